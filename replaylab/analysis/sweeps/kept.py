"""Kept results of a sweep: a folder with a file a point, named by the digest of all that it was made of."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from replaylab.analysis.backtests.account import Rules
from replaylab.analysis.batches.cache import cache_folder
from replaylab.analysis.batches.fingerprint import fingerprint, versions
from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.sweeps.grid import Point
from replaylab.analysis.sweeps.per_game import PerGame
from replaylab.durable import make_folders, publish, sweep, written_aside

_COLUMNS: Final = ("profit", "paid", "trades")


class Kept:
    """A folder of results by point; it may be deleted at any time, and a file that cannot be read counts as not there.

    Parameters
    ----------
    folder : path
        The folder that the user named.
    strategy : object
        What makes a strategy of a point.
    rules, paths, options
        What else the results depend on.
    """

    def __init__(self, folder: str | os.PathLike[str], strategy: Any, rules: Rules, paths: Paths, options: str) -> None:
        digest, named = fingerprint(strategy, tuple(map(str, astuple(rules))), options)
        task = fingerprint(digest, versions(named), paths.digest)[0]
        self._folder = cache_folder(folder) / f"sweep-{task}"
        self._games = len(paths)
        make_folders(self._folder)
        sweep(self._folder)

    def find(self, grid: Sequence[Point]) -> dict[int, PerGame]:
        """Return the results that are kept, by the number of the point."""
        found = ((place, self._read(self._path(point))) for place, point in enumerate(grid))
        return {place: one for place, one in found if one is not None}

    def keep(self, point: Point, found: PerGame) -> None:
        """Keep the results of a point.

        Raises
        ------
        StoreFull, StoreUnwritable
            When the folder cannot be written.
        """
        table = pa.table([getattr(found, name) for name in _COLUMNS], names=list(_COLUMNS))
        table = table.replace_schema_metadata({"failures": str(found.failures)})
        path = self._path(point)
        with written_aside(self._folder, path.stem) as aside:
            with pa.OSFile(str(aside), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
            publish(aside, path)

    def _path(self, point: Point) -> Path:
        return self._folder / f"{fingerprint(point)[0]}.arrow"

    def _read(self, path: Path) -> PerGame | None:
        try:
            with pa.OSFile(str(path), "rb") as file:
                table = pa.ipc.open_file(file).read_all()
            failures = int((table.schema.metadata or {}).get(b"failures", b""))
            profit, paid, trades = (np.array(table.column(name).to_numpy(), np.float64) for name in _COLUMNS)
        except (OSError, pa.ArrowException, KeyError, ValueError):
            return None
        return PerGame(profit, paid, trades, failures) if table.num_rows == self._games else None
