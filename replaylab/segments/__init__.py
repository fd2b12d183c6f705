"""One immutable Parquet file: its footer, digest, order of rows, extents of its sources, and remarks."""
