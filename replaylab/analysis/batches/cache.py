"""Cache: results of games in a folder, keyed by digests of their inputs; only changed games are computed again."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from replaylab.analysis.batches.local_path import local_path
from replaylab.analysis.batches.parts import Part
from replaylab.analysis.batches.rows import GAME, alike
from replaylab.analysis.batches.task import Outcome
from replaylab.durable import make_folders, publish, sweep, written_aside
from replaylab.encryption.envelope import closed, opened
from replaylab.encryption.keys import StoreKeys
from replaylab.errors import AnalysisError, Tampered
from replaylab.segments.digest import file_digest

_ENDING: Final = ".arrows"
_FINISHED: Final = pa.schema([(GAME, pa.string())])


class Cache:
    """A folder of results of one task; it may be deleted at any time, and any number of processes may share it.

    A file holds a list of finished games and their rows, as Arrow streams one after another; its name says the digest
    of the segments that the games were read from, and that of its own bytes. A file that is damaged counts as not
    there. Failures are not kept, so that they are tried again.

    Parameters
    ----------
    folder : path
        The folder that the user named.
    task : str
        Digest of the function, its parameters and the versions: the name of the folder in it.
    keys : StoreKeys, optional
        Of an encrypted store, whose results are encrypted as well.
    """

    def __init__(self, folder: str | os.PathLike[str], task: str, keys: StoreKeys | None = None) -> None:
        self.folder = cache_folder(folder) / task
        self.keys = keys
        make_folders(self.folder, private=keys is not None)
        sweep(self.folder)
        self._files: defaultdict[str, list[Path]] = defaultdict(list)
        self._read: dict[Path, tuple[frozenset[str], tuple[pa.Table, ...]]] = {}
        for path in sorted(self.folder.glob(f"*{_ENDING}")):
            self._files[path.name.partition("_")[0]].append(path)

    def find(self, part: Part) -> Outcome:
        """Return the cached results of the games of a part."""
        left = set(part.games)
        outcomes = []
        for path in self._files.get(part.holders, ()):
            games, tables = self._content(path)
            here = left & games
            if here:
                outcomes.append(Outcome(tuple(here), tables if here == games else _only(tables, here)))
                left -= here
        return Outcome.of(outcomes)

    def keep(self, part: Part, outcome: Outcome) -> None:
        """Keep the games of a part that were finished.

        Raises
        ------
        StoreFull, StoreUnwritable
            When the folder cannot be written.
        """
        if not outcome.games:
            return
        games = xxhash.xxh3_64_hexdigest("\n".join(outcome.games).encode())
        with written_aside(self.folder, f"{games}-{threading.get_ident()}") as aside:
            name = f"{part.holders}_{games}"
            aside.write_bytes(closed(self.keys, "cache", name, _content_of(outcome)))
            final = self.folder / f"{name}_{file_digest(aside)}{_ENDING}"
            publish(aside, final, private=self.keys is not None)

    def _content(self, path: Path) -> tuple[frozenset[str], tuple[pa.Table, ...]]:
        found = self._read.get(path)
        if found is None:
            found = self._read[path] = _loaded(path, self.keys)
        return found


def _content_of(outcome: Outcome) -> bytes:
    """Return finished games and their rows as Arrow streams, one after another."""
    sink = pa.BufferOutputStream()
    for table in (pa.table([list(outcome.games)], schema=_FINISHED), *outcome.tables):
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def cache_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the folder of a cache; raises `AnalysisError` for a file, or a URL that is no folder of this machine.

    Examples
    --------
    >>> cache_folder("file:///var/cache/games").as_posix()
    '/var/cache/games'
    """
    path = local_path(
        folder,
        "cache",
        "pass a path, one that all workers share, or no cache at all: the results are the same without one",
    )
    if path.exists() and not path.is_dir():
        raise AnalysisError(f"cache={str(path)!r} is a file; name a folder")
    return path


def _loaded(path: Path, keys: StoreKeys | None) -> tuple[frozenset[str], tuple[pa.Table, ...]]:
    nothing = frozenset[str](), ()
    try:
        name, _, digest = path.name.removesuffix(_ENDING).rpartition("_")
        if file_digest(path) != digest:
            return nothing
        tables = []
        with pa.BufferReader(opened(keys, "cache", name, path.read_bytes())) as file:
            while file.tell() < file.size():
                tables.append(pa.ipc.open_stream(file).read_all())
    except (OSError, pa.ArrowException, Tampered):
        return nothing
    if not tables or any(GAME not in table.column_names for table in tables):
        return nothing  # its digest is right, and it is no list of games
    games = tables[0].column(GAME).to_pylist()
    held = {game for table in tables[1:] for game in table.column(GAME).to_pylist()}
    if not all(isinstance(game, str) for game in games) or not held <= set(games):
        return nothing
    return frozenset(games), tuple(tables[1:])


def _only(tables: tuple[pa.Table, ...], games: set[str]) -> tuple[pa.Table, ...]:
    wanted = pa.array(sorted(games), pa.string())
    return alike(table.filter(pc.is_in(table.column(GAME), wanted)) for table in tables)
