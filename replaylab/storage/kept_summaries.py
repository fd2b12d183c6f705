"""KeptSummaries: the games table of a store in one small file beside it, so that a fresh open need not read all rows.

Each summary is kept under the names of its segments, which end in the digest of their bytes, and counts while those
have the size and the time of change that they had and their footers list the same games and rows. A file that is
missing, damaged, of another release or of another key is made anew; one that cannot be written is done without.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import pyarrow as pa
import xxhash

from replaylab.durable import publish, remove, sweep, written_aside
from replaylab.encryption.document import KEYS_FILE
from replaylab.encryption.envelope import closed, opened
from replaylab.encryption.keys import StoreKeys
from replaylab.errors import StoreError
from replaylab.segments.segment import Segment
from replaylab.storage.game_summary import SCHEMA

FILE: Final = "summaries.cache"
LEAST_SEGMENTS: Final = 16  # of a store, or so many rows, from which on summaries are kept
LEAST_ROWS: Final = 100_000
_VERSION: Final = 1  # to be raised when a column of the table is computed otherwise
_DIGEST_BYTES: Final = 16
Key: TypeAlias = tuple[str, ...]
Stamp: TypeAlias = tuple[int, int]  # size in bytes, time of the last change in nanoseconds


class Kept(NamedTuple):
    """Summaries, and by their keys the first row and the number of rows."""

    rows: pa.Table
    place: dict[Key, tuple[int, int]]


def stamps_of(segments: Iterable[Segment]) -> dict[str, Stamp]:
    """Return size and time of change of the segments that are files of this machine, by their names."""
    found = {}
    for segment in segments:
        with suppress(OSError):
            if segment.filesystem is None and type(segment) is Segment:
                stat = segment.path.stat()
                found[segment.name] = stat.st_size, stat.st_mtime_ns
    return found


class KeptSummaries:
    """The file of a store; nothing raises, as all that it holds can be computed.

    Parameters
    ----------
    root : Path
        The store.
    keys : StoreKeys, optional
        Of the store, when it is encrypted: so is the file then.
    """

    def __init__(self, root: Path, keys: StoreKeys | None) -> None:
        self.root = root
        self.keys = keys

    def load(self, wanted: Mapping[Key, Sequence[Segment]], stamps: Mapping[str, Stamp]) -> Kept:
        """Return what is kept of the summaries wanted, each given with its segments."""
        try:
            content = opened(self.keys, "cache", FILE, (self.root / FILE).read_bytes())
            digest, body = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if xxhash.xxh3_128_digest(body) != digest:
                return _nothing()
            with pa.ipc.open_stream(pa.BufferReader(body)) as stream:
                table = stream.read_all()
            said = json.loads((table.schema.metadata or {})[b"kept"])
            if said["version"] != _VERSION or not table.schema.equals(SCHEMA):
                return _nothing()
            then = {name: (int(size), int(at)) for name, size, at in said["segments"]}
            names = table.column("game_id").to_pylist()
            counts = table.column("rows").to_pylist()
            place: dict[Key, tuple[int, int]] = {}
            spans: list[tuple[int, int]] = []
            first = total = 0
            for rows, *key in said["keys"]:
                parts = wanted.get(tuple(key), ())
                same = all(then.get(one.name, 0) == stamps.get(one.name) for one in parts)
                here = dict(zip(names[first : first + rows], counts[first : first + rows], strict=True))
                if parts and same and here == _listed(tuple(key), parts):
                    place[tuple(key)] = total, rows
                    total += rows
                    spans.append((first, rows))
                first += rows
            kept = pa.concat_tables([table.slice(*span) for span in spans] or [table.slice(0, 0)])
            return Kept(kept.replace_schema_metadata(None), place)
        except (StoreError, OSError, pa.ArrowException, ValueError, KeyError, TypeError):
            return _nothing()

    def save(self, kept: Kept, segments: Mapping[Key, Sequence[Segment]], stamps: Mapping[str, Stamp]) -> None:
        """Keep those summaries whose segments are files of this machine."""
        known = {key: span for key, span in kept.place.items() if all(one.name in stamps for one in segments[key])}
        used = sorted({one.name for key in known for one in segments[key]})
        said = {
            "version": _VERSION,
            "segments": [[name, *stamps[name]] for name in used],
            "keys": [[rows, *key] for key, (_, rows) in known.items()],
        }
        table = pa.concat_tables([kept.rows.slice(*span) for span in known.values()] or [kept.rows.slice(0, 0)])
        table = table.combine_chunks().replace_schema_metadata({b"kept": json.dumps(said).encode()})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        body = bytes(sink.getvalue())
        with suppress(StoreError, OSError):
            content = closed(self.keys, "cache", FILE, xxhash.xxh3_128_digest(body) + body)
            if self._is_another_store():
                return
            sweep(self.root)
            with written_aside(self.root, FILE) as aside:
                aside.write_bytes(content)
                publish(aside, self.root / FILE, private=self.keys is not None)
            if self._is_another_store():
                forget(self.root)

    def _is_another_store(self) -> bool:
        """Whether the store has been encrypted since it was opened: nothing in plain may be written into it."""
        return self.keys is None and (self.root / KEYS_FILE).exists()


def forget(root: Path) -> None:
    """Remove the file of a store: its segments have changed, or were removed with what they held."""
    if (root / FILE).exists():
        remove([root / FILE])


def _nothing() -> Kept:
    return Kept(pa.Table.from_batches([], SCHEMA), {})  # `empty_table` loads pandas


def _listed(key: Key, parts: Sequence[Segment]) -> dict[str, int]:
    """Return the games of a summary and their numbers of rows, as the footers of its segments list them."""
    if parts[0].name == key[0]:
        listed = parts[0].rows_of
        return {name: listed[name][1] for name in listed.keys() - set(key[1:])}
    return {key[0]: sum(one.rows_of[key[0]][1] for one in parts)}
