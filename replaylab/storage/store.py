"""Store: a folder of segments; the directory is the database, and opening it is all there is to recovery."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from replaylab.compute import pc
from replaylab.durable import of_user
from replaylab.encryption.kms import Kms
from replaylab.encryption.parquet import file_key
from replaylab.errors import AnalysisError, GameNotFound, StoreNotFound
from replaylab.journals.reader import Recording
from replaylab.mark import Mark
from replaylab.plural import count_of
from replaylab.segments.extent import Extent
from replaylab.segments.segment import Segment, by_start
from replaylab.storage import interchange
from replaylab.storage.files import JOURNALS, REMARKS, SEGMENTS, FolderFiles, StoreFiles, reread
from replaylab.storage.game import Game
from replaylab.storage.gaps import game_gaps, gaps_frame
from replaylab.storage.interchange import Damaged, Prices, What, asked_ids, marked, priced
from replaylab.storage.inventory import Inventory
from replaylab.storage.kept_summaries import KeptSummaries
from replaylab.storage.listing import Listing
from replaylab.storage.marks import marks_of
from replaylab.storage.refused import refused_rows
from replaylab.storage.summary_cache import Summaries
from replaylab.storage.verify import Verification, check
from replaylab.table import SCHEMA
from replaylab.tick import short_id

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from replaylab.storage.dataset import StoreDataset

__all__ = ["JOURNALS", "REMARKS", "SEGMENTS", "Store"]


class Store:
    """A folder of segments, read as it is now: what another process adds is seen at the next call.

    `path` is the folder. `damaged` names the files that could not be read at the last call, with the reason; questions
    about single games are answered from the others, and reading many rows at once raises `SegmentDamaged`.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> store = rl.Store(folder + "/store")
    >>> len(store.games())
    3
    >>> store.verify().ok
    True
    """

    def __init__(
        self, path: str | os.PathLike[str], *, files: StoreFiles | None = None, kms: Kms | None = None
    ) -> None:
        self.__setstate__(FolderFiles(of_user(path, StoreNotFound), kms) if files is None else files)
        self.sealed()  # journals are read when they are asked for

    @classmethod
    def over(cls, files: StoreFiles) -> Self:
        """Return the store whose files lie in `files`: a folder, or a place in an object store."""
        return cls(files.place, files=files)

    def __getstate__(self) -> StoreFiles:
        return self.files  # what was read is read anew elsewhere, when it is asked for: an error shows there

    def __setstate__(self, files: StoreFiles) -> None:
        self.files = files
        self._listing = Listing(files)
        self._summaries = Summaries(KeptSummaries(files.path, files.keys) if files.is_local else None)

    @property
    def damaged(self) -> dict[str, str]:
        """The files that could not be read at the last call: the reasons by their names."""
        return self._listing.damaged

    @property
    def path(self) -> Path:
        """The folder; of an object store its name alone."""
        return self.files.path

    @property
    def place(self) -> str:
        """What messages call it: the folder, or the URI without credentials."""
        return self.files.place

    @property
    def is_local(self) -> bool:
        """Whether it is a folder of this machine, and no object store."""
        return self.files.is_local

    @property
    def encrypted(self) -> bool:
        """Whether it is encrypted at rest."""
        return self.files.keys is not None

    def key_ids(self) -> list[str]:
        """Return the names of the keys in its ``keys.json``, the newest last; none when it is not encrypted."""
        return [] if self.files.keys is None else self.files.keys.ids

    def parquet_keys(self) -> dict[str, bytes]:
        """Return by the name of each encrypted segment its key, 32 bytes, with which other programs can read it."""
        keys = self.files.keys
        found = ((one.name, file_key(keys, one.name, "segment")) for one in self.sealed()) if keys else ()
        return {name: key for name, key in found if key is not None}

    @property
    def size_bytes(self) -> int:
        """Bytes of all segments and remarks."""
        return self.files.size_bytes()

    def __repr__(self) -> str:
        counts = [(len(self.game_ids()), "game"), (self.rows, "row")]
        words = [count_of(count, what) for count, what in counts]
        return f"Store({self.place!r}, {', '.join(words)})"

    def _repr_html_(self) -> str:
        from replaylab.charts.html import store_card

        return store_card(self)

    @property
    def rows(self) -> int:
        """Number of rows stored."""
        return sum(segment.footer.rows for segment in self.segments())

    def held(self) -> Self:
        """Return this store as it is now, for several questions about one moment while recorders go on.

        What is recorded or converted later is not in it. It is for a moment: once its files are compacted or retired,
        reading them raises `StoreBusy`.

        Examples
        --------
        >>> import replaylab as rl, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> with rl.Recorder(folder) as recorder:
        ...     _ = recorder.record(rl.Tick("g", 0, "2031-01-02T03:04:05Z", "1.00"))
        ...     then = rl.Store(folder).held()
        ...     _ = recorder.record(rl.Tick("g", 1, "2031-01-02T03:04:05.25Z", "1.01"))
        ...     then.rows, rl.Store(folder).rows
        (1, 2)
        """
        found = copy.copy(self)
        vars(found).update(_listing=reread(self._listing.held), _summaries=self._summaries)
        return found

    def segments(self) -> list[Segment]:
        """Return the segments that count: readable ones, less those another replaces, and journals not yet sealed.

        A segment that cannot be read is named in `damaged` and logged; the others stay usable.
        """
        return reread(self._listing.segments)

    def sealed(self) -> list[Segment]:
        """Return the segments that are files of their own: `segments` without the journals."""
        return reread(self._listing.sealed)

    def segment(self, name: str) -> Segment:
        """Return the segment of that file name; what it says of itself is read when asked, and not again to list it."""
        return self._listing.segment(name)

    def take_up(self, written: Iterable[Segment]) -> None:
        """Take segments that this process has just written as opened, so that they need not be read to be listed."""
        self._listing.take_up(written)

    def waiting(self) -> list[Segment]:
        """Return the segments that stand in for others which still count: an exchange begun, or broken off."""
        return reread(self._listing.waiting)

    def extents(self) -> list[Extent]:
        """Return the parts of sources that were converted, each with the account of its bytes."""
        return [extent for segment in self.segments() for extent in segment.footer.extents]

    def recordings(self) -> list[Recording]:
        """Return the journals that were recorded into this store, sealed or not, in order of their names."""
        return reread(self._listing.recordings)

    def game_ids(self) -> list[str]:
        """Return the ids of all games in the order of their start, as in `games`; those without a time are last."""
        return by_start(self.segments())

    def _ipython_key_completions_(self) -> list[str]:
        return self.game_ids()

    def __getitem__(self, game_id: str) -> Game:
        return self.game(game_id)

    def __contains__(self, game_id: object) -> bool:
        return isinstance(game_id, str) and bool(reread(lambda: self._listing.holders(game_id)))

    def __iter__(self) -> Iterator[Game]:
        return map(self._game, self.game_ids())

    def __len__(self) -> int:
        return len({game for segment in self.segments() for game in segment.rows_of})

    def game(self, game_id: str) -> Game:
        """Return one game; raises `GameNotFound`. ``store["<TAB>`` completes ids."""
        asked: object = game_id
        if not isinstance(asked, str):
            what = f"a store is asked by the id of a game, not by {asked!r:.40}"
            raise GameNotFound(f"{what}; type store[store.game_ids()[0]], or store.games().head(3) for a part of it")
        if game_id not in self:
            close = [known for known in self.game_ids() if known.startswith(str(game_id)[:12])][:3]
            hint = f"; close to it: {', '.join(close)}" if close else "; see Store.game_ids()"
            raise GameNotFound(f"no game {short_id(str(game_id))!r} in {self.place}{hint}")
        return self._game(game_id)

    def _game(self, game_id: str) -> Game:
        return Game(
            game_id,
            lambda: reread(lambda: self._listing.read_game(game_id)),
            marks=lambda: marks_of(self, None, game_id),
        )

    def games(self, *, prices: Prices = "float64") -> pd.DataFrame:
        """Return one row a game, in order of their start.

        Parameters
        ----------
        prices : {"float64", "decimal"}
            Prices as the nearest doubles, with which pandas and numpy reckon, or as exact Decimals (`object`).

        Returns
        -------
        DataFrame
            `game_id`, `rows`, `ticks` (distinct live ones), `rug_tick`, `rug_price`, `peak`, `peak_tick`, `start`,
            `end` (UTC), `first_tick`, `last_tick` (live), `complete`, `late_start`, `censored`, `gaps`,
            `missing_ticks`, `double_rug`, `repaired` (rows), `sources`. ``attrs["prices"]`` says what prices are; whole
            numbers are nullable integers; see `replaylab.storage.game_summary` for the definitions. Segments that
            cannot be read are left out and named in ``attrs["left_out"]``; ``attrs["store"]`` is where the store is.
        """
        frame = interchange.pandas_frame(self.games_table(), prices)
        frame.attrs["store"] = self.place
        if self.damaged:
            frame.attrs["left_out"] = dict(self.damaged)
        return frame

    def games_table(self, *, damaged: Damaged = "skip") -> pa.Table:
        """Return the table of `games()` in Arrow; with ``damaged="raise"`` a segment that cannot be read raises."""
        interchange.checked_damaged(damaged)
        table = reread(lambda: self._summaries.table(self.segments(), self._listing.leave_out_segment))
        if damaged == "raise":
            self._listing.refuse_lost()
        return table

    def kept_summaries(self) -> pa.Table:
        """Return the rows of `games_table` that are known without reading a tick: those of games that do not grow."""
        return self._summaries.known(self.segments())

    def remarks(self, kind: str | None = None) -> pa.Table:
        """Return what is no clean tick: control lines, annotations, repairs, quarantined bytes, with their places.

        Parameters
        ----------
        kind : {"control", "annotation", "repair", "quarantine"}, optional
            Only these, or a kind of mark.

        Returns
        -------
        Table
            `source`, `line` (from 1), `start`, `end` (bytes of the source), `kind`, `reason`, `raw`, `detail` (field
            and value at fault).
        """
        table = reread(self._listing.remarks)
        return table if kind is None else table.filter(pc.equal(table.column("kind"), kind))

    def marks(self, *kinds: str) -> list[Mark]:
        """Return what was known beside the ticks when they came, in the order of time.

        Parameters
        ----------
        *kinds : {"gap", "heal", "phase", "feed", "history", "trade", "cursor"}
            Only these; all of them unless given.
        """
        return marks_of(self, kinds or None)

    def gaps(self) -> pd.DataFrame:
        """Return one row a gap: ticks that are missing, and times in which nothing could come.

        Returns
        -------
        DataFrame
            `game_id`; `after` and `before`, the ticks around it; `missing`, ticks that are missing now; `start` and
            `end`, UTC; `cause`: ``disconnect``, ``stall``, ``refused``, ``server_restart``, ``skipped``,
            ``recorder_down`` and so on where a recorder knew it, else ``unknown``; `healed`, whether all of it came
            after all. What is not known is null.
        """
        marks: dict[str | None, list[Mark]] = {}
        for mark in self.marks("gap"):
            marks.setdefault(mark.game_id, []).append(mark)
        table = self.games_table()
        names = ("game_id", "missing_ticks", "rug_tick")
        found: list[dict[str, Any]] = []
        for game_id, missing, rug_tick in zip(*(table[name].to_pylist() for name in names), strict=True):
            if missing or game_id in marks:
                found += game_gaps(game_id, self.game(game_id).live(), rug_tick, marks.get(game_id, []))
        return gaps_frame(found)

    def quarantine(self) -> pd.DataFrame:
        """Return the bytes that could not become ticks: `source`, `line`, `start`, `end`, `reason`, `raw`, `detail`."""
        frame: pd.DataFrame = self.remarks("quarantine").drop_columns(["kind"]).to_pandas()
        return frame

    def refused(self) -> pd.DataFrame:
        """Return the lines that recorders refused: `run`, `line`, `start`, `reason`, `detail`, `raw`; decrypted.

        A line that cannot be read is left out here and named by `verify`.
        """
        import pandas as pd

        with self.files.refused() as folder:
            rows = refused_rows(folder, self.files.keys)
        return pd.DataFrame(rows, columns=["run", "line", "start", "reason", "detail", "raw"])

    def readable(self, damaged: Damaged = "raise") -> tuple[list[Segment], dict[str, str]]:
        """Return the segments to read many rows from, and what cannot be: the reasons by the name of the file.

        Raises
        ------
        SegmentDamaged
            With ``damaged="raise"``, when a segment cannot be opened.
        """
        return self._listing.readable(interchange.checked_damaged(damaged) == "skip")

    def dataset(self, *, damaged: Damaged = "raise") -> StoreDataset:
        """Return the rows as a pyarrow dataset, to be read in pieces, filtered, or handed to another engine.

        Parameters
        ----------
        damaged : {"raise", "skip"}
            Whether a segment that cannot be opened raises `SegmentDamaged` or is left out; `Store.damaged` names it
            then. Pages are compared with their checksums as they are read, and a damaged one raises whatever is set.

        Returns
        -------
        pyarrow.dataset.Dataset
            The stored columns of every row, once: segments that a compaction has replaced are not in it, what a
            recorder has not sealed yet is, as of now.

        Examples
        --------
        >>> import replaylab as rl, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
        >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
        >>> store = rl.open_store(folder + "/store")
        >>> store.dataset().count_rows() == store.rows
        True
        """
        from replaylab.storage.dataset import dataset_of

        return reread(lambda: dataset_of(self.readable(damaged)[0]))

    def sql(
        self,
        query: str,
        params: Sequence[Any] | Mapping[str, Any] | None = None,
        *,
        damaged: Damaged = "raise",
        prices: Prices = "decimal",
    ) -> pa.Table:
        """Return the answer of DuckDB to a query over the views of a store.

        `ticks` is every stored row, `games` one row a game, `live` every live tick once (what the analysis counts),
        `prices` its price as `price` (exact) and `price_double` (the nearest double), `gaps` the missing live ticks.

        Parameters
        ----------
        query : str
            SQL as DuckDB speaks it; prices are DECIMAL(38,24), times TIMESTAMP WITH TIME ZONE in UTC.
        params : sequence or mapping, optional
            Values for ``?`` or ``$name`` in the query.
        damaged : {"raise", "skip"}
            As for `to_arrow`.
        prices : {"decimal", "float64"}
            Decimals of the answer as they are, or as the nearest doubles.

        Returns
        -------
        Table
            Arrow, in which Decimals stay Decimals; DuckDB's own frames would make floats of them.

        Raises
        ------
        MissingExtra
            When DuckDB is not installed.
        AnalysisError
            When DuckDB cannot answer; the message is its own.
        SegmentDamaged
            When a segment is damaged.

        Examples
        --------
        >>> import replaylab as rl, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
        >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
        >>> found = rl.open_store(folder + "/store").sql("SELECT max(price) AS peak, count(*) AS n FROM ticks")
        >>> found.schema.field("peak").type
        Decimal128Type(decimal128(38, 24))
        """

        def ask() -> pa.Table:
            segments, left_out = self.readable(damaged)
            lost = left_out if damaged == "skip" else None
            games = lambda: self.games_table(damaged=damaged)  # noqa: E731 made when a query asks for it
            found = interchange.answered(query, params, segments, games, lost)
            return marked(priced(found, prices), self._listing.leave_out(left_out))

        return reread(ask)

    def to_arrow(
        self,
        columns: Sequence[str] | None = None,
        games: str | Iterable[str] | None = None,
        *,
        damaged: Damaged = "raise",
        prices: Prices = "decimal",
    ) -> pa.Table:
        """Return every row as stored, game after game in order of their start, each in the order received.

        Parameters
        ----------
        columns : sequence of str, optional
            Which, in which order; all unless given.
        games : str or iterable of str, optional
            Ids; all unless given.
        damaged : {"raise", "skip"}
            What to do with a segment that cannot be read: raise `SegmentDamaged`, or leave it out. The table then
            names what it lacks in its metadata, under ``replaylab.left_out``; so does `Store.damaged`.
        prices : {"decimal", "float64"}
            Exact, or the nearest doubles.

        Raises
        ------
        SegmentDamaged
            When a segment is damaged, by its name.
        """
        wanted = interchange.asked_columns("ticks", columns)
        ids = None if games is None else asked_ids(games)

        def ask() -> pa.Table:
            segments, left_out = self.readable(damaged)
            found = interchange.read_rows(segments, wanted, ids, left_out if damaged == "skip" else None)
            return marked(priced(found, prices), self._listing.leave_out(left_out))

        return reread(ask)

    def to_pandas(
        self,
        what: What = "ticks",
        *,
        columns: Sequence[str] | None = None,
        games: str | Iterable[str] | None = None,
        damaged: Damaged = "raise",
        prices: Prices = "float64",
    ) -> pd.DataFrame:
        """Return every row, or one row a game (``what="games"``), as a pandas frame.

        ``what="live"`` has every live tick once (what the analysis counts), ``"prices"`` of these `game_id`, `tick`,
        `timestamp` and `price`; DuckDB finds them (`pip install 'replaylab[sql]'`).

        Prices are the nearest doubles, or with ``prices="decimal"`` exact Decimals (`object`), of which each takes a
        hundred bytes; ``frame.attrs["prices"]`` says which. Whole numbers that may be missing are nullable, names are
        categories. For more than some million rows use `dataset` or `to_polars`. With
        ``damaged="skip"`` what cannot be read is left out and named in ``frame.attrs["left_out"]``.
        """
        return interchange.pandas_frame(self._asked(what, columns, games, damaged), prices)

    def to_polars(
        self,
        what: What = "ticks",
        *,
        columns: Sequence[str] | None = None,
        games: str | Iterable[str] | None = None,
        damaged: Damaged = "raise",
        prices: Prices = "decimal",
    ) -> pl.DataFrame:
        """Return every row, one row a game (``what="games"``), or live ticks as `to_pandas` does, as a Polars frame.

        Prices are Decimal(38, 24), in which Polars reckons exactly, or with ``prices="float64"`` the nearest doubles.

        With ``damaged="skip"`` what cannot be read is left out and named in `Store.damaged`.

        Raises
        ------
        MissingExtra
            When Polars is not installed.
        """
        return interchange.polars_frame(self._asked(what, columns, games, damaged), prices)

    def _asked(
        self, what: What, columns: Sequence[str] | None, games: str | Iterable[str] | None, damaged: Damaged
    ) -> pa.Table:
        if what == "ticks":
            return self.to_arrow(columns, games, damaged=damaged)
        if what in {"live", "prices"}:
            found = self.sql(*interchange.live_query(what, columns, games), damaged=damaged)
            return found.cast(pa.schema([SCHEMA.field(name) for name in found.column_names], found.schema.metadata))
        if what != "games":
            raise AnalysisError(f"what={what!r} is not known; take 'ticks', 'live', 'prices' or 'games'")
        table = self.games_table(damaged=damaged)
        return marked(interchange.chosen_games(table, columns, games), self._listing.rows_lost())

    def verify(
        self, *, progress: bool = False, expect: Inventory | str | os.PathLike[str] | None = None
    ) -> Verification:
        """Check every byte and row against what was written with them, and look for what is missing; changes nothing.

        Parameters
        ----------
        progress : bool
            Show a progress bar.
        expect : Inventory or path, optional
            What the store held at an earlier moment: what is no more is `missing`, even a whole run or source, of which
            nothing in the store tells.

        Raises
        ------
        StoreUnreachable
            When an object store does not answer: a check fetches every byte of it.
        StoreError
            When `expect` is a file that holds no inventory.

        Examples
        --------
        >>> import replaylab as rl, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = rl.simulate(folder + "/recordings", games=1, seed=1)
        >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
        >>> store = rl.open_store(folder + "/store")
        >>> store.verify().inventory.save(folder + "/held.json")
        >>> store.verify(expect=folder + "/held.json").ok
        True
        """
        expected = expect if isinstance(expect, Inventory) or expect is None else Inventory.load(expect)

        def look() -> Verification:
            self.segments()
            return check(self.files, self.segments, self.damaged, progress=progress, expected=expected)

        return reread(look)

    def plot(self, axes: Any = None) -> Any:
        """Draw when games end and how high they go; return a figure that a cell shows, or `axes` when passed."""
        from replaylab.charts.store_chart import draw_store  # matplotlib is only loaded when a chart is asked for

        drawn = draw_store(self.games_table(), axes=axes)
        return drawn[0].figure if axes is None else drawn
