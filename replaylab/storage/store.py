"""Store: a folder of segments; the directory is the database, and opening it is all there is to recovery."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replaylab.errors import GameNotFound, SegmentDamaged, StoreNotFound
from replaylab.journals.reader import Recording
from replaylab.journals.unsealed import UnsealedJournal, UnsealedJournals
from replaylab.segments.digest import ENDING, file_digest, name_digest
from replaylab.segments.extent import Extent
from replaylab.segments.order import in_order_received
from replaylab.segments.remarks import SCHEMA as REMARKS_SCHEMA
from replaylab.segments.segment import Segment
from replaylab.storage.game import Game
from replaylab.storage.interchange import Interchange
from replaylab.storage.summary_cache import Summaries
from replaylab.storage.verify import Verification, check

if TYPE_CHECKING:
    import pandas as pd

SEGMENTS: Final = "segments"
REMARKS: Final = "remarks"
JOURNALS: Final = "journals"
Result = TypeVar("Result")
_COMPACTIONS: Final = 10  # that may get in the way of one reading
_log = logging.getLogger("replaylab.store")


class Store(Interchange):
    """A folder of segments, read as it is now: what another process adds is seen at the next call.

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

    is_local = True  # a folder of this machine, and no object store

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not (self.path / SEGMENTS).is_dir():
            raise StoreNotFound(f"no store at {self.path}; make one with `replaylab convert SOURCE --to ...`")
        self.damaged: dict[str, str] = {}
        self._opened: dict[str, Segment] = {}
        self._tails = UnsealedJournals(self.path / JOURNALS)
        self._summaries = Summaries()
        self.sealed()  # journals are read when they are asked for

    def __repr__(self) -> str:
        return f"Store({str(self.path)!r}, {len(self.game_ids())} games, {self.rows} rows)"

    def _repr_html_(self) -> str:
        from replaylab.charts.html import store_card

        return store_card(self)

    @property
    def rows(self) -> int:
        """Number of rows stored."""
        return sum(segment.footer.rows for segment in self.segments())

    def segments(self) -> list[Segment]:
        """Give the segments that count: readable ones, less those that another replaces, and journals not yet sealed.

        A segment that cannot be read is named in `damaged` and logged; the others stay usable.
        """
        return self._steady(self._segments)

    def _segments(self) -> list[Segment]:
        journals = self._tails.names()  # first: one that is sealed meanwhile is then seen as its segment, or asked anew
        for _ in range(_COMPACTIONS):
            sealed = self._sealed()
            extents = [extent for segment in sealed for extent in segment.footer.extents] if journals else []
            found = [*sealed, *self._tails.read(journals, extents)]
            listed, journals = journals, self._tails.names()
            if set(journals) <= set(listed):
                break  # else lines may have been written again to a journal that was not there yet
        return found

    def sealed(self) -> list[Segment]:
        """Give the segments that are files of their own: `segments` without the journals."""
        return self._steady(self._sealed)

    def _sealed(self) -> list[Segment]:
        names = self._listing()
        damaged: dict[str, str] = {}
        opened: dict[str, Segment] = {}
        for name in names:
            segment = self._opened.get(name) or self._segment(name)
            try:
                segment.footer  # noqa: B018 read now, so that damage is found here
            except SegmentDamaged as error:
                damaged[name] = str(error)
            except FileNotFoundError:
                if not os.path.lexists(segment.path):
                    raise  # compacted away since the listing
                damaged[name] = f"{name}: a link that leads nowhere"
            else:
                opened[name] = segment
        for name in damaged.keys() - self.damaged.keys():
            _log.warning("segment left out: %s", damaged[name])
        self._opened, self.damaged = opened, damaged
        replaced = {name for segment in opened.values() for name in segment.footer.replaces}
        return [segment for name, segment in opened.items() if name not in replaced]

    def _listing(self) -> list[str]:
        """Names of the files in the folder of segments."""
        return _stable_listing(self.path / SEGMENTS)

    def _segment(self, name: str) -> Segment:
        return Segment(self.path / SEGMENTS / name)

    def extents(self) -> list[Extent]:
        """Give the parts of sources that were converted, each with the account of its bytes."""
        return [extent for segment in self.segments() for extent in segment.footer.extents]

    def recordings(self) -> list[Recording]:
        """Give the journals that were recorded into this store, sealed or not, in order of their names."""
        segments = self.segments()
        found = [
            Recording.of(extent, live=isinstance(segment, UnsealedJournal))
            for segment in segments
            for extent in segment.footer.extents
            if extent.recording
        ]
        return sorted(found, key=lambda one: one.journal)

    def game_ids(self) -> list[str]:
        """Give the ids of all games, sorted."""
        return sorted({game for segment in self.segments() for game in segment.rows_of})

    def _ipython_key_completions_(self) -> list[str]:
        return self.game_ids()

    def __getitem__(self, game_id: str) -> Game:
        return self.game(game_id)

    def __contains__(self, game_id: object) -> bool:
        return any(game_id in segment.rows_of for segment in self.segments())

    def __iter__(self) -> Iterator[Game]:
        return (self.game(game_id) for game_id in self.game_ids())

    def __len__(self) -> int:
        return len(self.game_ids())

    def game(self, game_id: str) -> Game:
        """Give one game; raises `GameNotFound`. ``store["<TAB>`` completes ids."""
        if game_id not in self:
            close = [known for known in self.game_ids() if known.startswith(str(game_id)[:12])][:3]
            hint = f"; close to it: {', '.join(close)}" if close else "; see Store.game_ids()"
            raise GameNotFound(f"no game {game_id!r} in {self.path}{hint}")
        return Game(game_id, lambda: self._steady(lambda: self._read_game(game_id)))

    def _read_game(self, game_id: str) -> pa.Table:
        holders = [segment for segment in self.segments() if game_id in segment.rows_of]
        return in_order_received(pa.concat_tables([segment.read_game(game_id) for segment in holders]))

    def _steady(self, read: Callable[[], Result]) -> Result:
        """Read again when a compaction has removed a segment between listing it and reading it."""
        for _ in range(_COMPACTIONS):
            try:
                return read()
            except FileNotFoundError:
                _log.debug("a segment was compacted away while it was read: reading again")
        return read()

    def games(self) -> pd.DataFrame:
        """Give one row a game, in order of their start.

        Returns
        -------
        DataFrame
            `game_id`, `rows`, `ticks` (distinct live ones), `rug_tick`, `rug_price`, `peak`, `peak_tick`, `start`,
            `end` (UTC), `first_tick`, `last_tick` (live), `complete`, `late_start`, `censored`, `gaps`,
            `missing_ticks`, `double_rug`, `repaired` (rows), `sources`. Prices are Decimals, whole numbers are
            nullable integers; see `replaylab.storage.game_summary` for the definitions.
        """
        import pandas as pd

        whole = {pa.int64(): pd.Int64Dtype()}
        frame: pd.DataFrame = self.games_table().to_pandas(types_mapper=whole.get)
        return frame

    def games_table(self) -> pa.Table:
        """Give the table of `games()` in Arrow."""
        return self._steady(lambda: self._summaries.table(self.segments(), self._leave_out))

    def _leave_out(self, segment: Segment, error: SegmentDamaged) -> None:
        if segment.name not in self.damaged:
            _log.warning("segment left out: %s", error)
        self.damaged[segment.name] = str(error)

    def remarks(self, kind: str | None = None) -> pa.Table:
        """Give what is no clean tick: control lines, annotations, repairs, quarantined bytes, with their places.

        Parameters
        ----------
        kind : {"control", "annotation", "repair", "quarantine"}, optional
            Only these.

        Returns
        -------
        Table
            `source`, `line` (from 1), `start`, `end` (bytes of the source), `kind`, `reason`, `raw`.
        """
        table = self._steady(self._remarks)
        return table if kind is None else table.filter(pc.equal(table.column("kind"), kind))

    def _remarks(self) -> pa.Table:
        parts = [REMARKS_SCHEMA.empty_table()]
        for segment in self.segments():
            if isinstance(segment, UnsealedJournal):
                parts.append(segment.remarks_table())
            elif segment.footer.remarks:
                path = self.path / REMARKS / segment.footer.remarks
                try:
                    if file_digest(path) != name_digest(path.name):
                        raise pa.ArrowInvalid("its bytes are not those that were written")
                    parts.append(pq.read_table(path))
                except (pa.ArrowException, OSError) as error:
                    if isinstance(error, FileNotFoundError) and not (self.path / SEGMENTS / segment.name).exists():
                        raise  # compacted away, both of them
                    self._leave_out(segment, SegmentDamaged(f"{path.name}: remarks cannot be read ({error})"))
        return pa.concat_tables(parts)

    def quarantine(self) -> pd.DataFrame:
        """Give the bytes that could not become ticks: `source`, `line`, `start`, `end`, `reason`, `raw`."""
        frame: pd.DataFrame = self.remarks("quarantine").drop_columns(["kind"]).to_pandas()
        return frame

    def verify(self, *, progress: bool = False) -> Verification:
        """Check every byte and every row against the digests and the accounts written with them; changes nothing."""
        return self._steady(lambda: check(self.path / REMARKS, self.segments(), dict(self.damaged), progress=progress))

    def plot(self, axes: Any = None) -> Any:
        """Draw when games end and how high they go; give a figure that a cell shows, or `axes` when they are given."""
        from replaylab.charts.store_chart import draw_store  # matplotlib is only loaded when a chart is asked for

        drawn = draw_store(self.games_table(), axes=axes)
        return drawn[0].figure if axes is None else drawn


def _stable_listing(folder: Path) -> list[str]:
    """List the segments of a folder twice alike, so that a compaction in between cannot hide both old and new."""
    before: list[str] | None = None
    while True:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(ENDING))
        if names == before:
            return names
        before = names
