"""ReportGames: which games a report plays, which it shows as thumbnails, which it leaves out, and their rows."""

from __future__ import annotations

import difflib
import html
from collections.abc import Sequence
from decimal import Context, Decimal
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa

from replaylab.analysis.backtests.backtest import Backtest
from replaylab.analysis.backtests.exact import ExactPrices
from replaylab.analysis.price_paths.paths import Paths
from replaylab.clock import NOMINAL_SECONDS
from replaylab.columns import as_numpy
from replaylab.errors import AnalysisError, StoreError, Unplayable
from replaylab.playback.timeline import Timeline
from replaylab.plural import count_of
from replaylab.storage.game import Game
from replaylab.storage.store import Store
from replaylab.table import PRICE_TYPE, TIME_TYPE
from replaylab.tick import PRICE_SCALE, short_id
from replaylab.widgets.fallback import players
from replaylab.widgets.games_table import NO_POINT, thumbnail
from replaylab.widgets.payload import StoredPayload
from replaylab.widgets.trades import Trades

GAMES: Final = 60  # played in a page, unless more are named
ROWS: Final = 60_000  # of them together; each is 10 to 20 bytes of the page
IN_CELL: Final = 5_000  # rows of those that are played in a cell
THUMBNAILS: Final = 300
_HEIGHT: Final = 28  # of a thumbnail
_STORE: Final = "report(store=...) shows them"
_RULE: Final = (
    ": the best, the worst and the median by profit, those that were named, and the largest profits and losses, "
    "as many as the page has room for; report(games=[...]) names others"
)
_LEAST: Final = Decimal(1).scaleb(-PRICE_SCALE)
_EXACT: Final = Context(prec=60)


class ReportGames:
    """The games of a backtest as its report shows them.

    Parameters
    ----------
    found : Backtest
    named : sequence of str
        Ids of games that must be played in the page.
    store : Store, optional
        Where all rows are; that which was tested unless given.
    fewest : bool
        Play only the best, the worst, the median and those that are named.

    Attributes
    ----------
    played : dict
        Role of each game that is played in the page, by its id.

    Raises
    ------
    AnalysisError
        When a game was not part of the backtest.
    """

    def __init__(
        self, found: Backtest, named: Sequence[str], store: Store | None = None, *, fewest: bool = False
    ) -> None:
        self.found = found
        self.named = tuple(named)
        self.names = list(found.played.game_id)
        self._profits = dict(zip(self.names, found.equity["profit"].tolist()[1:], strict=True))
        for name in self.named:
            if name not in self._profits:
                close = difflib.get_close_matches(name, self.names, 1)
                hint = f"; did you mean {close[0]!r}?" if close else f"; it had {len(self.names):,} games"
                raise AnalysisError(f"games: {name!r} was not part of this backtest{hint}")
        self._traded = {entry.game_id for entry in found.entries}
        self._trades = Trades(found)
        self.store = store if store is not None else (None if found.origin is None else found.origin.store)
        self._paths = Paths.join([]) if found.origin is None else found.origin.paths
        self._number = {name: at for at, name in enumerate(self._paths.game_ids)}
        self._other: dict[str, str] = {}  # why the rows of a game are not those of the store
        self._payloads: dict[str, StoredPayload] = {}
        self._rows: dict[str, int] = {}  # of each game in the store
        self._fewest = fewest
        self.played = self._choose()

    def fewer(self) -> ReportGames:
        """Return them for a cell, which plays only a few."""
        few = ReportGames(self.found, self.named, self.store, fewest=True)
        few._payloads |= {name: one for name, one in self._payloads.items() if name in few.played}
        return few

    def _ranked(self) -> list[str]:
        """Return the games with trades from the worst to the best, or all games where there is no trade."""
        found = [name for name in self.names if name in self._traded] or self.names
        return sorted(found, key=lambda name: self._profits[name])

    def _choose(self) -> dict[str, str]:
        """Return the games to play with the role of each: named, best, worst, median, and the most that fit."""
        ranked = self._ranked()
        if not ranked or not (self._number or self.store):
            return {}
        roles = dict.fromkeys(self.named, "")
        roles |= {ranked[-1]: "best", ranked[0]: "worst", ranked[len(ranked) // 2]: "median"}
        wanted = list(roles)
        if not self._fewest:
            rest = sorted(self.names, key=lambda name: (name not in self._traded, -abs(self._profits[name])))
            wanted += [name for name in rest if name not in roles]
        most, rows, chosen = (IN_CELL if self._fewest else ROWS), 0, dict[str, str]()
        for name in wanted:
            size = 0 if name in self.named else self._size(name)
            if name in self.named or (len(chosen) < GAMES and rows + size <= most):
                chosen[name] = roles.get(name, "")
                rows += size
        return chosen

    def _size(self, name: str) -> int:
        """Return about how many rows a game has; its live ticks where nothing else is known."""
        if self.store is not None:
            return self._rows_in(self.store).get(name, 0)
        return int(self._paths.lengths[self._number[name]])

    def _rows_in(self, store: Store) -> dict[str, int]:
        if not self._rows:
            table = store.games_table()
            rows = as_numpy(table.column("rows")).tolist()
            self._rows |= zip(table.column("game_id").to_pylist(), rows, strict=True)
        return self._rows

    def payload(self, name: str) -> StoredPayload:
        """Return the rows of a game: all of them, as stored, or else the live ticks that were tested."""
        if name not in self._payloads:
            self._payloads[name] = StoredPayload(self._line(name))
        return self._payloads[name]

    def _line(self, name: str) -> Timeline:
        if self.store is not None:
            why = "the store does not have it"
            try:
                game = self.store.game(name)
                if self._as_tested(game):
                    return Timeline.of(game)
                why = "its rows in the store are not those that were tested"
            except (StoreError, Unplayable, OSError) as error:
                why = str(error)
            if name not in self._number:
                raise AnalysisError(f"game {name!r} cannot be shown: {why}; is this the store that was played?")
            self._other[name] = why
        return line_as_tested(self._paths, self._number[name])

    def _as_tested(self, game: Game) -> bool:
        """Return whether live ticks and prices are those that were tested."""
        if game.id not in self._number:
            return True  # of a strategy that followed an engine: nothing else is known
        tick, price = self._paths.of(self._number[game.id])
        return np.array_equal(game.path.tick, tick) and np.array_equal(game.path.price, price, equal_nan=True)

    def result(self, name: str) -> str:
        """Return the words of a game: its role and its profit."""
        profit = f"{float(self._profits[name]):+.4g}" if name in self._traded else "no trade"
        return " ".join(filter(None, [self.played.get(name, ""), profit]))

    def player(self) -> str:
        """Return the HTML of the player of these games."""
        games = [(f"{self.result(name)}  {short_id(name)}", self.payload(name), self._trades) for name in self.played]
        return players(games, name="games", height=360)

    @property
    def notes(self) -> list[str]:
        """What is shown and what is not, in sentences."""
        total = len(self.names)
        if not total:
            return ["No game was played."]
        if not self.played and not (self._number or self.store):
            return [f"The prices of these games were not kept, as the strategy followed an engine; {_STORE}."]
        found = [
            f"{count_of(len(self.played), 'game')} of {total:,} can be played here{_RULE * (len(self.played) < total)}."
        ]
        if len(self._pictured) + len(self.played) < total:
            found.append(f"Thumbnails are of the first {THUMBNAILS:,} games with a trade.")
        for name in self.played:
            self.payload(name)  # says which rows are those of the store
        if self.store is None:
            found.append(
                "Shown are the live ticks that were tested, 250 ms apart, as this backtest was made from price paths. "
                f"The time before each game, recorded times, stalls and trade counts are not known here; {_STORE}."
            )
        for name, why in list(self._other.items())[:20]:
            found.append(f"Game {short_id(name)} is shown by the ticks that were tested alone: {why}.")
        return found

    @cached_property
    def _pictured(self) -> list[str]:
        """Games that are not played and have a thumbnail: with a trade first."""
        rest = [name for name in self.names if name not in self.played and name in self._number]
        rest.sort(key=lambda name: name not in self._traded)
        return [] if self._fewest else rest[: max(0, THUMBNAILS - len(self.played))]

    @property
    def thumbnails(self) -> list[str]:
        """HTML of each thumbnail; those of games that are played here are buttons."""
        if self._fewest:
            return []
        place = {name: number for number, name in enumerate(self.played)}
        found = []
        for name in [*(one for one in self.played if one in self._number), *self._pictured]:
            result, written = html.escape(self.result(name)), html.escape(short_id(name))
            inside = f"<b>{result}</b> <span>{written}</span>{self._thumbnail(name)}"
            found.append(
                f'<button type="button" class="game" data-game="{place[name]}">{inside}</button>'
                if name in place
                else f'<div class="game">{inside}</div>'
            )
        return found

    def _thumbnail(self, name: str) -> str:
        tick, price = self._paths.of(self._number[name])
        alive = np.ones(len(tick), np.bool_)
        points = thumbnail(pa.table({"tick": tick, "price": price, "active": alive, "rugged": ~alive}), None)
        at = [f"{4 * place},{_HEIGHT - 1 - round(int(one) / 254 * (_HEIGHT - 2))}"
              for place, one in enumerate(points.tolist()) if one != NO_POINT]  # fmt: skip
        box = f"0 0 {4 * (len(points) - 1)} {_HEIGHT}"
        return (
            f'<svg viewBox="{box}" preserveAspectRatio="none" aria-hidden="true"><polyline points="{" ".join(at)}" '
            'vector-effect="non-scaling-stroke"/></svg>'
        )


def line_as_tested(paths: Paths, game: int) -> Timeline:
    """Return the live ticks of a game of paths, and its rug, as a timeline: 250 ms apart, in the decimals tested.

    Examples
    --------
    >>> from replaylab.fair import simulate
    >>> paths = Paths.of_arrays(*simulate(2, seed=1))
    >>> line = line_as_tested(paths, 0)
    >>> len(line) == int(paths.lengths[0]) + 1, line.rug == int(paths.rug_tick[0]), line.due(4)
    (True, True, 1.0)
    """
    exact = ExactPrices(paths)
    first, stop = int(paths.start[game]), int(paths.start[game + 1])
    prices = [None if np.isnan(paths.price[row]) else exact.at(row) for row in range(first, stop)]
    ticks = paths.tick[first:stop].astype(np.int64)
    rug = int(paths.rug_tick[game])
    if rug >= 0:
        ticks = np.append(ticks, rug)
        prices.append(exact.rug(game))
    if not len(ticks):
        raise Unplayable(f"game {paths.game_ids[game]!r} has no live tick and no rug")
    start = paths.games.column("start").cast(pa.int64())[game].as_py() or 0
    rugged = np.arange(len(ticks)) == stop - first
    stored = [None if price is None else price.quantize(_LEAST, context=_EXACT) for price in prices]
    columns: dict[str, Any] = {
        "game_id": pa.array([paths.game_ids[game]] * len(ticks), pa.string()),
        "tick": pa.array(ticks),
        "timestamp": pa.array(start + (ticks - ticks[0]) * round(NOMINAL_SECONDS * 1e6)).cast(TIME_TYPE),
        "price": pa.array(stored, PRICE_TYPE),
        "active": pa.array(np.ones(len(ticks), np.bool_)),
        "rugged": pa.array(rugged),
    }
    return Timeline(pa.table(columns))
