"""Results: the rows that a function returned for the games of a store, and the manifest of how they were made."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replaylab.analysis.batches.local_path import local_path
from replaylab.analysis.batches.rows import REASON
from replaylab.durable import make_folders, publish, written_aside
from replaylab.errors import AnalysisError
from replaylab.plural import count_of

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_KEY: Final = b"replaylab.manifest"


@dataclass(frozen=True)
class Manifest:
    """What results were made from, by what, and how far it went.

    Parameters
    ----------
    store : str
        Where the games lie.
    segments : tuple of str
        Names of the segments, which end in the digests of their bytes.
    function : str
        Name of the function.
    function_digest : str
        Digest of the function and its parameters; empty where it has none.
    source : str
        Text of the function, where there is one to be found.
    parameters : dict
        What it was called with besides the game.
    versions : dict
        Of Python, this package, and those that the function names.
    started, ended : datetime
        When, UTC.
    games, rows : int
        Games that were asked for, and their stored rows.
    computed, cached, failed : int
        Games of each kind; `failed` have a reason in the column `error`.
    complete : bool
        False when it was interrupted: `games` less the other three are missing.
    left_out : dict
        Segments that cannot be read, with the reason; games that lie in them alone are not among `games`.
    """

    store: str
    segments: tuple[str, ...]
    function: str
    function_digest: str
    source: str
    parameters: dict[str, Any]
    versions: dict[str, str]
    started: datetime
    ended: datetime
    games: int
    rows: int
    computed: int
    cached: int
    failed: int
    complete: bool
    left_out: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the manifest as JSON; a parameter that JSON cannot hold is written as its repr."""
        return json.dumps(dataclasses.asdict(self), default=_shown, indent=1, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Read what `to_json` wrote; parameters that JSON does not know come back as text."""
        found = json.loads(text)
        for name in ("started", "ended"):
            found[name] = datetime.fromisoformat(found[name])
        return cls(**found | {"segments": tuple(found["segments"])})


def _shown(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)


@dataclass(frozen=True, eq=False)
class Results:
    """Rows of games in order of their start, one reason for each game that failed, and the manifest.

    Parameters
    ----------
    table : Table
        `game_id`, the columns that the function gave, and `error` (text; null unless the game failed).
    manifest : Manifest
        How they were made.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> found = rl.analysis.map_games(folder + "/store", len)
    >>> found.n_games, sum(found.table["value"].to_pylist()) == found.n_rows
    (3, True)
    """

    table: pa.Table
    manifest: Manifest

    @property
    def n_games(self) -> int:
        """Number of games that were asked for."""
        return self.manifest.games

    @property
    def n_rows(self) -> int:
        """Number of stored rows of these games."""
        return self.manifest.rows

    @property
    def ok(self) -> bool:
        """Whether every game was finished and no segment was left out."""
        return self.manifest.complete and not self.manifest.failed and not self.manifest.left_out

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __repr__(self) -> str:
        made = self.manifest
        kinds = [f"{made.computed:,} computed", f"{made.cached:,} cached", f"{made.failed:,} failed"]
        missing = made.games - made.computed - made.cached - made.failed
        kinds += [f"{missing:,} not reached"] * bool(missing)
        kinds += [f"{count_of(len(made.left_out), 'segment')} left out"] * bool(made.left_out)
        seen = f"{count_of(len(self), 'row')} of {count_of(made.games, 'game')} and {count_of(made.rows, 'tick')}"
        return f"Results({seen}: {', '.join(kinds)})"

    def frame(self) -> pd.DataFrame:
        """Return the rows as a pandas frame: whole numbers and flags nullable, Decimals exact, NaN as it was given."""
        import pandas as pd

        kinds: dict[pa.DataType, Any] = {pa.bool_(): pd.BooleanDtype(), pa.uint64(): pd.UInt64Dtype()}
        signed = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())
        kinds |= dict.fromkeys(signed, pd.Int64Dtype())
        found: pd.DataFrame = self.table.to_pandas(types_mapper=kinds.get)
        found.attrs |= {"n_games": self.n_games, "n_rows": self.n_rows}
        return found

    def to_pandas(self) -> pd.DataFrame:
        """Return `frame()`, under the name that Arrow, Polars and `Paths` have for it."""
        return self.frame()

    @property
    def failed(self) -> pa.Table:
        """The games that failed: `game_id` and `error`."""
        return self.table.filter(pc.is_valid(self.table.column(REASON))).select(["game_id", REASON])

    def _repr_html_(self) -> str:
        import html

        shown: str = self.table.slice(0, 10).to_pandas().to_html(index=False)
        return f"<p>{html.escape(repr(self))}</p>{shown}"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a Parquet file, the manifest in its metadata, and beside it ``NAME.manifest.json`` to read by eye.

        Raises
        ------
        AnalysisError
            When the name does not end in ``.parquet``, or is a URL of an object store.
        StoreFull, StoreUnwritable
            When it cannot be written; what stood under the name is still there.
        """
        target = check_target(path)
        make_folders(target.parent)
        text = self.manifest.to_json()
        table = self.table.replace_schema_metadata({MANIFEST_KEY: text.encode()})
        with written_aside(target.parent, f".{target.name}") as aside:
            pq.write_table(table, aside, compression="zstd", write_page_checksum=True)
            publish(aside, target)
        beside = target.with_suffix(".manifest.json")
        with written_aside(target.parent, f".{beside.name}") as aside:
            aside.write_text(text + "\n", encoding="utf-8")
            publish(aside, beside)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Results:
        """Read what `save` wrote.

        Raises
        ------
        AnalysisError
            When the file holds no results, or is a URL of an object store.
        """
        source = local_path(path, "path", "copy the file to this machine, as with pyarrow.fs.copy_files")
        try:
            table = pq.read_table(source, page_checksum_verification=True)
            text = (table.schema.metadata or {})[MANIFEST_KEY]
        except (pa.ArrowException, KeyError, OSError) as error:
            raise AnalysisError(f"{source} holds no results of map_games ({error})") from error
        return cls(table.replace_schema_metadata(None), Manifest.from_json(text))


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return where results are saved; raise `AnalysisError` when they cannot be: before the work, not after it."""
    target = local_path(path, "path", "save the results to a path and copy the file, as with pyarrow.fs.copy_files")
    if target.suffix.lower() != ".parquet":
        raise AnalysisError(f"{str(target)!r}: results are written as Parquet; pass a name that ends in .parquet")
    return target


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a batch; `results` holds what was finished. Not an `Exception`, so no error handler catches it."""

    def __init__(self, message: str, results: Results) -> None:
        super().__init__(message)
        self.results = results
