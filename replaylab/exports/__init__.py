"""A store or a game -> CSV, JSON lines, Parquet and pages that play."""
