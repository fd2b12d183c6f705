"""Report: a page that needs nothing beside it: no kernel, no network, no other file; and what a backtest rests on.

The page itself is written in `exports`, as it holds the player.
"""

from __future__ import annotations

import html
import os
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Final

from replaylab.analysis.batches.local_path import local_path
from replaylab.analysis.price_paths.paths import Paths
from replaylab.durable import publish, written_aside
from replaylab.storage.store import Store


@dataclass(frozen=True, eq=False)
class Origin:
    """What a backtest was made from: its games, and the strategy in words.

    Parameters
    ----------
    paths : Paths
    strategy : str
        Its name.
    parameters : dict
        Fields of the strategy, as text.
    source : str
        Its source code; empty where there is none, as of code that was typed into a terminal.
    unfinished : str
        What was done with games that were cut off.
    store : Store, optional
        Where all rows of the games are, when a store was tested.
    """

    paths: Paths
    strategy: str
    parameters: dict[str, str]
    source: str
    unfinished: str
    store: Store | None = None

    @classmethod
    def of(cls, paths: Paths, strategy: Any, unfinished: str, store: Store | None = None) -> Origin:
        """Return the origin of a strategy on games."""
        import inspect

        from replaylab.analysis.batches.fingerprint import source_of

        what = getattr(strategy, "signals", strategy)
        call = getattr(what, "func", what)  # of a partial
        kind = call if inspect.isroutine(call) or isinstance(call, type) else type(call)
        if is_dataclass(what) and not isinstance(what, type):
            given = {one.name: repr(getattr(what, one.name)) for one in fields(what)}
        else:
            given = {name: repr(value) for name, value in getattr(what, "keywords", {}).items()}
        return cls(paths, getattr(kind, "__qualname__", repr(kind)), given, source_of(kind), unfinished, store)

    @property
    def code_digest(self) -> str:
        """Digest of the source code; empty where there is none."""
        import xxhash

        return xxhash.xxh3_128(self.source.encode()).hexdigest() if self.source else ""


class Report:
    """A page of HTML that needs nothing beside it; in a cell it shows itself, in a frame of its own.

    Examples
    --------
    >>> Report("<p>hello</p>")
    Report(12 bytes)
    """

    def __init__(self, text: str, in_cell: str = "") -> None:
        self.html: Final = text
        self._in_cell: Final = in_cell or text  # a shorter page, so that a notebook stays small

    def __repr__(self) -> str:
        return f"Report({len(self.html.encode()):,} bytes)"

    def _repr_html_(self) -> str:
        style = "width:100%;height:900px;border:0"
        return f'<iframe title="report" style="{style}" srcdoc="{html.escape(self._in_cell)}"></iframe>'

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file, which appears under its name when it is whole; a URL raises `AnalysisError`."""
        target = report_target(path)
        with written_aside(target.parent, target.name) as aside:
            aside.write_text(self.html, encoding="utf-8")
            publish(aside, target)


def report_target(path: str | os.PathLike[str]) -> Path:
    """Return where a report is written; raise `AnalysisError` for the URL of an object store."""
    return local_path(path, "path", "write the report to a path and copy the file, as with pyarrow.fs.copy_files")
