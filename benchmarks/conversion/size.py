"""Size: bytes a tick once a store is compacted, against the recordings, gzip, and DuckDB's zstd Parquet.

The claim: at most 9 bytes a tick on the real recordings, all columns included. The peers keep nine columns; the store
keeps fifteen (line, place and source of every tick among them) and what is no tick, byte for byte.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import replaylab as rl
from benchmarks import peers
from benchmarks.material import folder_of_recordings
from benchmarks.measure import arguments, print_ratio, print_table, workshop


def disk_bytes(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Convert, compact, weigh, and print."""
    options = arguments(__doc__)
    with workshop() as folder:
        source, origin = folder_of_recordings(folder, options.recordings, games=100)
        files = sorted(source.glob("*.jsonl"))[: 20 if options.quick else None]
        store, out = folder / "store", folder / "duckdb.parquet"
        peers.replaylab(files, store)
        before = disk_bytes(store / "segments")
        rl.compact(store, progress=False)
        peers.duckdb_text(files, out, skip_damage=True)
        ticks = rl.open_store(store).rows
        written = b"".join(file.read_bytes() for file in files)
        sizes = {
            "replaylab, compacted: segments": disk_bytes(store / "segments"),
            "replaylab, compacted: whole store": disk_bytes(store),
            "replaylab, as converted: segments": before,
            "DuckDB zstd Parquet, nine columns": out.stat().st_size,
            "gzip -9 of the lines": len(gzip.compress(written, 9)),
            "the lines (JSONL)": len(written),
        }
    rows = [(name, size, size / ticks) for name, size in sizes.items()]
    print_table(f"{len(files)} recordings, {ticks:,} {origin}", ["", "bytes", "bytes a tick"], rows)
    ratio = sizes["DuckDB zstd Parquet, nine columns"] / sizes["replaylab, compacted: segments"]
    print_ratio("size", ratio, "bytes of DuckDB's Parquet over those of the compacted segments")


if __name__ == "__main__":
    main()
