"""Game: the ticks of one game, as received and as they truly were."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import nearest_doubles
from replaylab.compute import pc
from replaylab.errors import ReplayLabError
from replaylab.keywords import options_of
from replaylab.mark import Mark, MarkKind
from replaylab.plural import count_of
from replaylab.storage.game_summary import summarise
from replaylab.storage.gaps import game_gaps, gaps_frame
from replaylab.storage.interchange import Prices, pandas_frame, polars_frame, priced
from replaylab.tick import short_id

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_TEXTS = ("game_id", "phase", "recorded_phase", "source")
_UNREADABLE = (OSError, pa.ArrowException, ReplayLabError)


class TickPath(NamedTuple):
    """Tick numbers and prices of a game, one value a live tick before the rug; prices are the nearest doubles."""

    tick: NDArray[np.int32]
    price: NDArray[np.float64]


class Game:
    """One game of a store.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=1, seed=7)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> store = rl.open_store(folder + "/store")
    >>> game = store.game(store.game_ids()[0])
    >>> game.prices().column_names
    ['tick', 'timestamp', 'price']
    """

    def __init__(
        self,
        game_id: str,
        read: Callable[[], pa.Table],
        *,
        summary: Callable[[], dict[str, Any]] | None = None,
        path: Callable[[], TickPath] | None = None,
        marks: Callable[[], list[Mark]] | None = None,
    ) -> None:
        self.id = game_id
        self._read = read
        self._summarise = summary
        self._read_path = path
        self._read_marks = marks

    @cached_property
    def _rows(self) -> pa.Table:
        return self._read()

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The game's row of `Store.games()`, as a dict."""
        if self._summarise is not None:  # made for many games at once
            return self._summarise()
        found: dict[str, Any] = summarise(self._rows).to_pylist()[0]
        return found

    @cached_property
    def path(self) -> TickPath:
        """The live ticks before the rug, each once and in order, and their prices as the nearest doubles (NaN: none).

        Examples
        --------
        >>> import replaylab as rl, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = rl.simulate(folder + "/recordings", games=1, seed=7)
        >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
        >>> tick, price = next(iter(rl.open_store(folder + "/store"))).path
        >>> int(tick[0]), float(price[0])
        (0, 1.0)
        """
        if self._read_path is not None:
            return self._read_path()
        table, rug_tick = self.live(), self.summary["rug_tick"]
        if rug_tick is not None:
            table = table.filter(pc.less(table.column("tick"), rug_tick))
        return TickPath(table.column("tick").to_numpy().astype(np.int32), nearest_doubles(table.column("price")))

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def __repr__(self) -> str:
        try:
            return f"Game({short_id(self.id)!r}, {count_of(len(self), 'row')})"
        except _UNREADABLE:
            return f"Game({self.id!r}, cannot be read: is its store still there?)"

    def ticks(self) -> pa.Table:
        """Return every row as received: source after source by their first time, each in its own order.

        Returns
        -------
        Table
            The columns of the stored schema, texts as plain strings; doubles, regressions and gaps are kept.
        """
        table = self._rows
        for name in _TEXTS:
            place = table.column_names.index(name)
            table = table.set_column(place, pa.field(name, pa.string()), table.column(name).cast(pa.string()))
        return table

    def to_pandas(self, *, prices: Prices = "float64") -> pd.DataFrame:
        """Return every row as received as a pandas frame: prices as the nearest doubles, or exact; see `prices`."""
        return pandas_frame(self.ticks(), prices)

    def to_polars(self, *, prices: Prices = "decimal") -> pl.DataFrame:
        """Return every row as received as a Polars frame; prices as Decimal(38, 24) or Float64. Needs `polars`."""
        return polars_frame(self.ticks(), prices)

    def live(self, *, prices: Prices = "decimal") -> pa.Table:
        """Return the live ticks (active, not rugged): merged over sources, in order, each tick number once."""
        table = priced(self.ticks(), prices)
        return _once(table.filter(pc.and_(table.column("active"), pc.invert(table.column("rugged")))))

    @cached_property
    def marks(self) -> list[Mark]:
        """What was known beside its ticks when they came: gaps, what healed them, phases, trades."""
        return [] if self._read_marks is None else self._read_marks()

    def gaps(self) -> pd.DataFrame:
        """Return one row a gap of this game; the columns are those of `Store.gaps`."""
        return gaps_frame(self.gap_rows())

    def gap_rows(self) -> list[dict[str, Any]]:
        """Return the rows of `gaps` as mappings."""
        marks = [mark for mark in self.marks if mark.kind is MarkKind.GAP]
        return game_gaps(self.id, self.live(), self.summary["rug_tick"], marks)

    def trades(self) -> pd.DataFrame:
        """Return one row a trade that was recorded beside the ticks, without who made it.

        Returns
        -------
        DataFrame
            `timestamp` (UTC), `tick`, `side` (``buy``, ``sell``, ``short_open``, ``short_close``), `quantity`,
            `amount`, `leverage`, `price` (Decimals).
        """
        import pandas as pd

        names = ["timestamp", "tick", "side", "quantity", "amount", "leverage", "price"]
        rows = [{"timestamp": mark.timestamp, **mark.detail} for mark in self.marks if mark.kind is MarkKind.TRADE]
        frame = pd.DataFrame(rows, columns=names)
        frame["tick"] = frame["tick"].astype("Int64")
        frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True).dt.as_unit("us")
        return frame

    def prices(self, prices: Prices = "decimal") -> pa.Table:
        """Return the price path: live ticks before the rug in order, each once, then the rug price once at R.

        Parameters
        ----------
        prices : {"decimal", "float64"}
            Exact, or the nearest doubles.

        Returns
        -------
        Table
            `tick` int32, `timestamp` UTC microseconds, `price` decimal128(38, 24) or float64.
        """
        rug_tick = self.summary["rug_tick"]
        path = self.live()
        if rug_tick is not None:
            path = path.filter(pc.less(path.column("tick"), rug_tick))
            path = pa.concat_tables([path, self._rug_row(rug_tick)])
        return priced(path.select(["tick", "timestamp", "price"]).combine_chunks(), prices)

    def _rug_row(self, rug_tick: int) -> pa.Table:
        table = self.ticks()
        named = pc.fill_null(pc.not_equal(table.column("recorded_phase"), "RUG_EVENT_1"), True)
        at_rug = pc.and_(pc.and_(table.column("rugged"), named), pc.equal(table.column("tick"), rug_tick))
        return table.filter(at_rug).slice(0, 1)

    @overload
    def plot(
        self, ax: None = None, *, log: bool = False, color: str | None = None, label: str | None = None
    ) -> Figure: ...
    @overload
    def plot(self, ax: Axes, *, log: bool = False, color: str | None = None, label: str | None = None) -> Axes: ...
    @options_of("Game.plot")
    def plot(
        self, ax: Axes | None = None, *, log: bool = False, color: str | None = None, label: str | None = None
    ) -> Figure | SubFigure | Axes:
        """Draw the price path with its phases, rug and gaps.

        Parameters
        ----------
        ax : Axes, optional
            Axes of your own to draw on.
        log : bool
            Logarithmic price axis.
        color, label : str, optional
            With either of them only the price path is drawn, as one line with a cross at the rug, and nothing else of
            the axes is touched: for several games on one `ax`, with a legend of your own.

        Returns
        -------
        Figure or Axes
            A figure that a notebook cell shows and that has `savefig` and `axes`; or `ax`, when it is given.

        Examples
        --------
        >>> import replaylab as rl, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = rl.simulate(folder + "/recordings", games=1, seed=7)
        >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
        >>> for game in rl.open_store(folder + "/store"):
        ...     game.plot().savefig(folder + "/game.png")
        """
        from replaylab.charts.game_chart import draw_game, draw_line  # matplotlib is only loaded when it is needed

        if color is not None or label is not None:
            line = draw_line(self.prices(), self.summary["rug_tick"], ax, log=log, color=color, label=label)
            return line.figure if ax is None else line
        drawn = draw_game(self.ticks(), self.prices(), self.summary, ax=ax, log=log)
        return drawn.figure if ax is None else drawn

    def _repr_html_(self) -> str | None:
        from replaylab.charts.html import game_card

        try:
            return game_card(self.id, self.summary)
        except _UNREADABLE:
            return None  # a notebook then shows the text, which says so


def _once(table: pa.Table) -> pa.Table:
    """Return rows in order of their tick, the first received of each."""
    tick = table.column("tick").to_numpy()
    if len(tick) < 2 or (np.diff(tick) > 0).all():
        return table
    _, first = np.unique(tick, return_index=True)
    return table.take(pa.array(first))
