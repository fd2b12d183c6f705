"""Panels: what is drawn below the price: a column of the ticks, a series of one's own, trades that were recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.errors import Unplayable
from replaylab.mark import traded_quantity
from replaylab.playback.timeline import Timeline
from replaylab.tick import short_id

TRADES: Final = "trades"  # those that were recorded beside the ticks
MOST: Final = 6
_BOUGHT: Final = frozenset({"buy", "short_close"})
_HELP: Final = "pass names of columns such as ['trade_count'], or {'name': series} with one value a row"


class Panel(NamedTuple):
    """One panel of a game: its name, how it is drawn, and a value for each row; NaN is none."""

    name: str
    kind: str  # "line" or "bars"
    values: NDArray[np.float64]


class Panels:
    """Panels below the price of the games that a player shows.

    Parameters
    ----------
    source : list of str, or mapping of str to series, function or column
        Names of numeric columns of the ticks, or ``"trades"`` for `Game.trades` (bought above zero, sold below); a
        series has one value for each row as received. A function takes the rows as a pandas frame and returns one.

    Raises
    ------
    Unplayable
        When it is neither; and for a game, when a series has another length, or a column is not there.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> game = [Tick(game_id="g", tick=n, timestamp="2031-01-02T03:04:05", price=1 + n, active=True) for n in range(4)]
    >>> panels = Panels({"double": lambda rows: rows["price"] * 2})
    >>> panels.of_game(Timeline.of(game))[0].values.tolist()
    [2.0, 4.0, 6.0, 8.0]
    """

    def __init__(self, source: object = ()) -> None:
        if isinstance(source, str):
            source = [source]
        if isinstance(source, Mapping):
            found = dict(source)
        elif isinstance(source, Iterable) and not isinstance(source, (str, bytes)):
            found = {name: name for name in source}
        else:
            raise Unplayable(f"panels={source!r}: {_HELP}")
        wrong = [name for name in found if not isinstance(name, str) or not 0 < len(name) <= 60]
        if wrong or len(found) > MOST:
            said = f"{wrong[0]!r} is no name" if wrong else f"{len(found)} panels, at most {MOST} are shown"
            raise Unplayable(f"panels: {said}; {_HELP}")
        self._of: dict[str, Any] = found

    def __len__(self) -> int:
        return len(self._of)

    def __repr__(self) -> str:
        return f"Panels({', '.join(self._of)})"

    def of_game(self, line: Timeline) -> tuple[Panel, ...]:
        """Return the panels of a game, one value for each of its rows."""
        return tuple(_panel(name, what, line) for name, what in self._of.items())

    def of_rows(self, table: pa.Table, trades: Mapping[int, float] | None = None) -> tuple[Panel, ...]:
        """Return the panels of rows of a live game: columns and trades, as a series can have no value for what comes.

        `trades` is how much was bought less what was sold, by tick, as far as that is known.
        """
        return tuple(
            Panel(name, "bars", _traded(table, trades or {})) if _is_trades(what)
            else Panel(name, "line", _column(name, what, table))
            for name, what in self._of.items()
        )  # fmt: skip

    @property
    def trades(self) -> tuple[int, ...]:
        """The places of panels that draw trades."""
        return tuple(number for number, what in enumerate(self._of.values()) if _is_trades(what))


def _is_trades(what: object) -> bool:
    return isinstance(what, str) and what == TRADES


def signed(trade: Mapping[str, Any]) -> float | None:
    """Return how much a trade moved, above zero where it was bought, below where it was sold; None where unknown.

    Examples
    --------
    >>> signed({"side": "short_open", "quantity": 2})
    -2.0
    """
    amount = traded_quantity(trade)
    if amount is None:
        return None
    return amount if trade.get("side") in _BOUGHT else -amount


def _traded(table: pa.Table, trades: Mapping[int, float]) -> NDArray[np.float64]:
    ticks = table.column("tick").to_pylist()
    last = {tick: row for row, tick in reversed(list(enumerate(ticks))) if tick in trades}
    values = np.full(len(ticks), np.nan)
    for tick, row in last.items():
        values[row] = trades[tick]
    return values


def _panel(name: str, what: object, line: Timeline) -> Panel:
    if _is_trades(what):
        return Panel(name, "bars", _recorded(line))
    if isinstance(what, str):
        return Panel(name, "line", _column(name, what, line.table))
    if callable(what):
        what = _called(name, what, line)
    if not isinstance(what, Sized):
        raise Unplayable(f"panels[{name!r}] is a {type(what).__name__}; {_HELP}")
    if len(what) != line.stop:
        raise Unplayable(
            f"panels[{name!r}] has {len(what):,} values, game {short_id(line.game_id)!r} has {line.stop:,} rows"
        )
    try:
        values = np.array([np.nan if value is None else float(value) for value in what], np.float64)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise Unplayable(f"panels[{name!r}] holds what is no number; {_HELP}") from None
    if np.isinf(values).any():
        raise Unplayable(f"panels[{name!r}] has {int(np.isinf(values).sum()):,} infinite values; write NaN for none")
    return Panel(name, "line", values)


def _called(name: str, what: Callable[..., object], line: Timeline) -> object:
    from replaylab.storage.interchange import pandas_frame

    try:
        return what(pandas_frame(line.table, "float64"))
    except Exception as error:
        said = f"panels[{name!r}]: its function raised {type(error).__name__}: {error}"
        raise Unplayable(f"{said}, in game {short_id(line.game_id)!r}; it gets the rows as a pandas frame") from error


def _column(name: str, what: object, table: pa.Table) -> NDArray[np.float64]:
    numeric = [
        field.name
        for field in table.schema
        if pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
    ]
    if what not in numeric:
        shown = f"panels[{name!r}]: {what!r}" if isinstance(what, str) else f"panels[{name!r}]: a series"
        raise Unplayable(f"{shown} is no numeric column of these ticks; there are {', '.join(numeric)}")
    return np.asarray(table.column(what).cast(pa.float64()).to_numpy(), np.float64)


def _recorded(line: Timeline) -> NDArray[np.float64]:
    """Return how much was bought (above zero) and sold at each row, of the trades that were recorded."""
    if line.game is None:
        raise Unplayable("panels: trades are recorded in a game of a store; this is none")
    values = np.full(line.stop, np.nan)
    frame = line.game.trades()
    names = ["side", "quantity", "amount", "price"]
    for tick, *said in zip(frame["tick"], *(frame[name] for name in names), strict=True):
        amount = signed(dict(zip(names, said, strict=True)))
        row = None if tick is None or tick != tick else line.index_of_tick(int(tick))  # noqa: PLR0124  NaN, or NA
        if row is None or amount is None:
            continue
        values[row] = amount + (0.0 if np.isnan(values[row]) else values[row])
    return values
