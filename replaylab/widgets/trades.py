"""Trades: entries, exits, side bets and profit of a strategy in the games that a player shows, by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import pandas as pd

from replaylab.errors import Unplayable
from replaylab.playback.timeline import Timeline
from replaylab.plural import count_of

_HELP: Final = (
    "pass a Backtest, its trade_table, a list of its trades, or rows with game_id, kind ('position' or 'bet'), "
    "opened and closed (ticks), paid and returned"
)
_FIELDS: Final = ("game_id", "kind", "opened", "closed", "paid", "returned")
_IN: Final = frozenset({"buy"})
_OUT: Final = frozenset({"sell", "rug", "void", "mark"})
_LEAST: Final = Decimal("1E-12")  # of a position: less is what rounding left of it


class Dealt(NamedTuple):
    """One position or side bet, from tick to tick."""

    kind: str
    opened: int
    closed: int
    paid: Decimal
    returned: Decimal
    ending: str


class Movement(NamedTuple):
    """One movement of money: `kind` as in the ledger of a backtest."""

    tick: int
    kind: str
    amount: Decimal


class Trades:
    """What a strategy did, game by game.

    Parameters
    ----------
    source : Backtest, DataFrame, or iterable of trades
        A trade has `game_id`, `kind` (``position`` or ``bet``), `opened` and `closed` (ticks), `paid` and `returned`,
        as `Backtest.trades` has them. Of a backtest every buy and sale is known, of anything else the first and last.

    Raises
    ------
    Unplayable
        When that is no list of trades; it says what is missing.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> game = [Tick(game_id="g", tick=n, timestamp="2031-01-02T03:04:05", price=1 + n, active=True) for n in range(4)]
    >>> one = {"game_id": "g", "kind": "position", "opened": 1, "closed": 3, "paid": "0.5", "returned": "1"}
    >>> trades = Trades([one])
    >>> seen = trades.of_game(Timeline.of(game))
    >>> seen["trades"][0]["profit"], seen["profit"]
    ('0.5', [{'row': 1, 'cash': '-0.5', 'held': 0.25}, {'row': 3, 'cash': '0.5', 'held': 0.0}])
    """

    def __init__(self, source: object) -> None:
        entries: Iterable[Any] = ()
        if hasattr(source, "entries") and hasattr(source, "trades"):
            entries, source = source.entries, source.trades
        self._trades: dict[str, list[Dealt]] = {}
        self._movements: dict[str, list[Movement]] = {}
        for number, row in enumerate(_rows(source)):
            game, trade = _trade(row, number)
            self._trades.setdefault(game, []).append(trade)
        for entry in entries:
            movement = Movement(int(entry.tick), str(entry.kind), entry.amount)
            self._movements.setdefault(entry.game_id, []).append(movement)

    def __len__(self) -> int:
        return sum(map(len, self._trades.values()))

    @classmethod
    def of(cls, source: object) -> Trades | None:
        """Return the trades of a source; None of None, and trades as they are."""
        return source if source is None or isinstance(source, Trades) else cls(source)

    def profits(self) -> dict[str, Decimal]:
        """Return the profit of each game in which there was a trade, by its id."""
        return {
            game: sum((one.returned - one.paid for one in dealt), Decimal(0)) for game, dealt in self._trades.items()
        }

    def dealt(self, game_id: str) -> tuple[Dealt, ...]:
        """Return the positions and side bets of a game, by tick."""
        return tuple(self._trades.get(game_id, ()))

    def of_game(self, line: Timeline, stop: int | None = None) -> dict[str, Any]:
        """Return what a page draws of one game: fills and spans by row, and the profit as steps.

        Parameters
        ----------
        line : Timeline
            The game.
        stop : int, optional
            Only what had happened before that row: a game whose future is hidden.
        """
        all_trades = self._trades.get(line.game_id, [])
        trades = [trade for trade in all_trades if _within(line, trade)]
        movements = self._movements.get(line.game_id) or _first_and_last(trades)
        end = line.stop if stop is None else stop
        return {
            "trades": [one for one in (_span(line, trade, end) for trade in trades) if one is not None],
            "fills": _fills(line, movements, trades, end),
            "profit": _steps(line, movements, trades, end),
        } | _note(all_trades, trades, stop)


def _rows(source: object) -> Iterable[Any]:
    if isinstance(source, pd.DataFrame):
        lacking = [name for name in _FIELDS if name not in source.columns]
        if lacking:
            raise Unplayable(f"trades: the table has no column {', '.join(lacking)}; {_HELP}")
        return source.to_dict("records")
    if isinstance(source, Iterable) and not isinstance(source, (str, bytes, Mapping)):
        return source
    raise Unplayable(f"trades={type(source).__name__}: these are no trades; {_HELP}")


def _trade(row: Any, number: int) -> tuple[str, Dealt]:
    """Return the game of a trade, and the trade."""
    found: Any = row if isinstance(row, Mapping) else {name: getattr(row, name, None) for name in (*_FIELDS, "ending")}
    lacking = [name for name in _FIELDS if found.get(name) is None]
    if lacking:
        raise Unplayable(f"trades[{number}]: no {', '.join(lacking)}; {_HELP}")
    try:
        paid, returned = (Decimal(str(found[name])) for name in ("paid", "returned"))
        opened, closed = int(found["opened"]), int(found["closed"])
    except (ArithmeticError, ValueError, TypeError):
        raise Unplayable(f"trades[{number}]: opened, closed, paid and returned must be numbers; {_HELP}") from None
    if not (paid.is_finite() and returned.is_finite()) or found["kind"] not in {"position", "bet"}:
        raise Unplayable(f"trades[{number}]: kind={found['kind']!r}, paid={paid}, returned={returned}; {_HELP}")
    return str(found["game_id"]), Dealt(
        str(found["kind"]), opened, closed, paid, returned, str(found.get("ending") or "")
    )


def _first_and_last(trades: Iterable[Dealt]) -> list[Movement]:
    """Return what trades moved, as far as trades alone tell."""
    found: list[Movement] = []
    for trade in trades:
        kinds = ("buy", "sell") if trade.kind == "position" else ("bet", "won")
        found.append(Movement(trade.opened, kinds[0], -trade.paid))
        if trade.returned or trade.kind == "position":
            found.append(Movement(trade.closed, kinds[1], trade.returned))
    return sorted(found, key=lambda one: one.tick)


def row_of(line: Timeline, tick: int) -> int | None:
    """Return the row with a tick number, or the last live one before it; None when there is none."""
    row = line.index_of_tick(tick)
    if row is not None:
        return row
    before = [int(one) for one in line.priced[line.tick[line.priced] < tick][-1:]]
    return before[0] if before else None


def _within(line: Timeline, trade: Dealt) -> bool:
    """Return whether a trade lies in the game; a tick of it may be missing, and a side bet may outlive the game."""
    if not line.stop:
        return False
    first, last = int(line.tick.min()), int(line.tick.max())
    return first <= trade.opened <= last and (trade.kind == "bet" or trade.closed <= last)


def _note(given: list[Dealt], used: list[Dealt], stop: int | None) -> dict[str, str]:
    """Return what is to be said of trades that are not drawn; nothing where that would tell of what lies ahead."""
    if stop is not None or (used and len(given) == len(used)):
        return {}
    count = len(given) - len(used)
    return {"note": f"{count_of(count, 'trade')} outside this game" if count else "no trade in this game"}


def _span(line: Timeline, trade: Dealt, end: int) -> dict[str, Any] | None:
    """Return a position or a bet as a span of rows; None when it begins later, or nowhere in this game."""
    opened, closed = row_of(line, trade.opened), row_of(line, trade.closed)
    if opened is None or closed is None or opened >= end:
        return None
    open_still = {"kind": trade.kind, "open": opened, "close": None, "profit": None, "ending": None}
    if closed >= end:
        return open_still
    profit = trade.returned - trade.paid
    return open_still | {"close": closed, "profit": _plain(profit), "ending": trade.ending}


def _fills(line: Timeline, movements: Iterable[Movement], trades: list[Dealt], end: int) -> list[dict[str, Any]]:
    """Return entries and exits of positions, each at its row."""
    profit = {trade.closed: trade.returned - trade.paid for trade in trades if trade.kind == "position"}
    found = []
    for move in movements:
        row = row_of(line, move.tick)
        if row is None or row >= end or (move.kind not in _IN and move.kind not in _OUT):
            continue
        if move.kind in _IN:
            found.append({"row": row, "side": "in", "text": f"bought for {_plain(-move.amount)}"})
        elif move.tick in profit or move.kind == "sell":
            made = profit.get(move.tick)
            text = {"sell": "sold"}.get(move.kind, move.kind)
            text += f" for {_plain(move.amount)}" + ("" if made is None else f", {_signed(made)}")
            found.append({"row": row, "side": "out", "text": text, "won": made is None or made >= 0})
    return found


def _steps(line: Timeline, movements: Iterable[Movement], trades: list[Dealt], end: int) -> list[dict[str, Any]]:
    """Return where the profit changes: money so far, exactly, and how much is held at the price of the playhead."""
    closed = {trade.closed for trade in trades if trade.kind == "position"}
    cash = held = Decimal(0)
    steps: dict[int, dict[str, Any]] = {}
    for move in movements:
        row = row_of(line, move.tick)
        if row is None or row >= end:
            continue
        cash += move.amount
        price = line.value("price", row)
        if move.kind in {"buy", "sell"} and price:
            held -= move.amount / price
        if move.kind in _OUT and (move.tick in closed or abs(held) < _LEAST):
            held = Decimal(0)
        steps[row] = {"row": row, "cash": _plain(cash), "held": float(held)}
    return [steps[row] for row in sorted(steps)]


def _plain(amount: Decimal) -> str:
    return format(amount.normalize(), "f") if amount else "0"


def _signed(amount: Decimal) -> str:
    return f"{'+' if amount > 0 else ''}{_plain(amount)}"
