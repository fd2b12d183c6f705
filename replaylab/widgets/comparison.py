"""GameComparison: up to eight games over each other in a notebook cell, aligned at a tick, with one playhead."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import itertools
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any, Final, Literal, cast

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from replaylab.columns import as_numpy
from replaylab.errors import Unplayable
from replaylab.keywords import hint, options_of
from replaylab.storage.game import Game
from replaylab.storage.store import Store
from replaylab.tick import short_id
from replaylab.widgets.bundle import module
from replaylab.widgets.cell_output import embedded, in_kernel, keep_what_is_in_boxes, plain, show
from replaylab.widgets.fallback import INLINE_ROWS, turned
from replaylab.widgets.payload import as_bytes
from replaylab.widgets.sources import chosen
from replaylab.widgets.trades import Dealt, Trades

Align = Literal["tick", "start", "peak"]
MOST: Final = 8  # more lines cannot be told apart
_COLOURS: Final = ("#0072B2", "#C04F00", "#00795A", "#A8477F", "#8A6D00", "#2E6F9E", "#5A5A5A", "#7A3E9D")
_STYLES: Final = ("-", "--", ":", "-.")
_numbers: Final = itertools.count(1)
_HELP: Final = "type rl.compare([game, game]), rl.compare(store, ['id', 'id']) or rl.compare(store.games().head(3))"


class GameComparison(anywidget.AnyWidget):
    """Games over each other with one playhead: play, pause, seek, log prices, a game hidden by its key in the legend.

    Parameters
    ----------
    games : list of Game, Store, path of one, or DataFrame
        What to compare, up to eight games.
    ids : str, DataFrame, or list of str, optional
        Ids of the games of the store.
    trades : Backtest, DataFrame, or list of trades, optional
        What a strategy did: entries and exits are drawn on the lines, and the legend says the profit of each game.
    align : {"tick", "start", "peak"}
        What lies at 0: tick 0, the first live tick that was recorded, or the peak. A trait: it can be set later, too.
    height : int
        Of the chart, in pixels.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> compared = GameComparison(folder + "/store")
    >>> len(compared.games), compared.align
    (3, 'tick')
    >>> compared.close()
    """

    _esm = module("compare")
    height = traitlets.Int(320, min=60, max=10_000, help="of the chart, in pixels").tag(sync=True)
    align = traitlets.Enum(["tick", "start", "peak"], "tick", help="what lies at 0")
    player_id = traitlets.Unicode("", read_only=True, help="names the comparison in its page").tag(sync=True)

    @options_of("GameComparison")
    def __init__(
        self, games: object, ids: object = None, *, trades: object = None, align: Align = "tick", height: int = 320
    ) -> None:
        self._games = _several(games, ids)
        found = Trades.of(trades)
        self._tracks = [_Track(game, () if found is None else found.dealt(game.id)) for game in self.games]
        super().__init__(align=align, height=height)
        self.on_msg(self._receive)
        self.observe(lambda _change: self.send({"kind": "align", "align": self.align}), "align")
        keep_what_is_in_boxes()

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute that a comparison has; a name that it does not have is an error, not a new attribute."""
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"a comparison has no {name!r} to be set{hint(name, ('align', 'height'))}")
        super().__setattr__(name, value)

    @property
    def games(self) -> list[Game]:
        """The games that are compared, in the order of the legend."""
        return list(self._games)

    @traitlets.default("player_id")
    def _new_id(self) -> str:
        return f"compared-{next(_numbers)}"

    def _receive(self, _widget: object, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and content.get("kind") == "ready":
            self.send({"kind": "compare", **self._content()}, cast("list[Any]", self._columns()))

    def _content(self) -> dict[str, Any]:
        return {"align": self.align, "games": [track.facts for track in self._tracks]}

    def _columns(self) -> list[memoryview]:
        return [as_bytes(column) for track in self._tracks for column in (track.tick, track.price)]

    def __repr__(self) -> str:
        return f"GameComparison({', '.join(repr(short_id(game.id)) for game in self.games)})"

    def _ipython_display_(self, **_options: Any) -> None:
        """Show it, and in the same cell what stands in for it where the saved notebook is read later."""
        if not in_kernel():
            raise NotImplementedError  # IPython then asks for the bundle, of which a terminal shows the text
        show(super()._repr_mimebundle_(), self.stand_in(), repr(self))

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return the widget, and for where none can show: a page without a kernel, a picture, a line of text."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return bundle
        data, metadata = bundle
        return data | self._kept("") | {"text/plain": repr(self)}, metadata

    def stand_in(self) -> dict[str, str]:
        """Return what a saved notebook keeps of it, by media type: hidden as long as the comparison shows."""
        return self._kept(self.player_id)

    def _kept(self, player: str) -> dict[str, str]:
        drawn = base64.b64encode(self.picture()).decode()
        names = html.escape(", ".join(short_id(game.id) for game in self.games))
        still = (
            f'<img alt="Price charts of {names}" style="max-width:100%;background:#fff" src="data:image/png;base64,'
            f'{drawn}"><div>Games compared: {names}</div>'
        )
        if sum(len(track.tick) for track in self._tracks) > INLINE_ROWS * MOST:
            kept = plain(still, player)
        else:
            columns = [turned(column, width) for column, width in zip(self._columns(), cycle((4, 8)), strict=False)]
            content = self._content() | {"height": self.height}
            name = player or hashlib.blake2b(drawn.encode(), digest_size=8).hexdigest()
            kept = embedded("compare", name, still, content, columns, player=player)
        return {"image/png": drawn, "text/html": kept}

    def picture(self) -> bytes:
        """Return the chart as a PNG."""
        from replaylab.charts.style import blank

        ax = blank(9, 4)[0]
        for number, (game, track) in enumerate(zip(self.games, self._tracks, strict=True)):
            path = track.tick - track.origins[self.align]
            label = f"{short_id(game.id)} {track.facts['profit']}".rstrip()
            ax.plot(path, track.price, _STYLES[number % 4], color=_COLOURS[number], label=label, linewidth=1.3)
            for marker, ticks in (("^", track.entries), ("v", track.exits)):
                at = np.searchsorted(track.tick, ticks, "right") - 1
                ax.plot(path[at[at >= 0]], track.price[at[at >= 0]], marker, color=_COLOURS[number], markersize=6)
        ax.set(xlabel=f"ticks from {_ZERO[self.align]}", ylabel="price")
        ax.legend(loc="upper left", frameon=False, fontsize=8)
        drawn = io.BytesIO()
        cast("Any", ax.figure).savefig(drawn, format="png", dpi=80, metadata={"Software": None})
        return drawn.getvalue()


_ZERO: Final = {"tick": "tick 0", "start": "the first tick recorded", "peak": "the peak"}


class _Track:
    """The price path of one game."""

    def __init__(self, game: Game, dealt: Sequence[Dealt]) -> None:
        prices, summary = game.prices(prices="float64"), game.summary
        self.tick: NDArray[np.int32] = as_numpy(prices.column("tick")).astype(np.int32)
        price = prices.column("price").fill_null(float("nan"))
        self.price: NDArray[np.float64] = np.asarray(price.to_numpy(), np.float64)
        first = int(self.tick[0]) if len(self.tick) else 0
        peak = first if summary["peak_tick"] is None else int(summary["peak_tick"])
        self.origins = {"tick": 0, "start": first, "peak": peak}
        self.facts: dict[str, Any] = {
            "id": game.id,
            "origins": self.origins,
            "rugged": summary["rug_tick"] is not None,
            "trades": [[one.opened, one.closed, one.kind, one.returned >= one.paid] for one in dealt],
            "profit": f"{sum(one.returned - one.paid for one in dealt):+.4g}" if dealt else "",
        }

    @property
    def entries(self) -> list[int]:
        """Ticks at which something was bought."""
        return [one[0] for one in self.facts["trades"]]

    @property
    def exits(self) -> list[int]:
        """Ticks at which positions were closed."""
        return [one[1] for one in self.facts["trades"] if one[2] == "position"]


def _several(given: object, ids: object) -> list[Game]:
    """Return the games to compare."""
    if isinstance(given, Game) and isinstance(ids, Game):  # rl.compare(game, game)
        given, ids = [given, ids], None
    given, asked = chosen(given, ids, _HELP)
    games: Any = [given] if isinstance(given, Game) else given
    if isinstance(given, Store):
        names = given.game_ids() if asked is None else asked
        if len(names) > MOST:
            raise Unplayable(f"{len(names):,} games: at most {MOST} can be told apart; {_HELP}")
        games = [given.game(name) for name in names]
    if not isinstance(games, Iterable):
        raise Unplayable(f"{type(games).__name__} holds no games to compare; {_HELP}")
    found = list(games)
    wrong = [one for one in found if not isinstance(one, Game)]
    if wrong or not found:
        what = f"{type(wrong[0]).__name__} is no Game" if wrong else "no game was given"
        raise Unplayable(f"{what}; {_HELP}")
    if len(found) > MOST:
        raise Unplayable(f"{len(found):,} games: at most {MOST} can be told apart; {_HELP}")
    return found


@options_of("rl.compare")
def compare(
    games: object, ids: object = None, *, trades: object = None, align: Align = "tick", height: int = 320
) -> GameComparison:
    """Return up to eight games over each other with one playhead, to be shown as the last line of a cell.

    Parameters
    ----------
    games : list of Game, Store, path of one, or DataFrame
        What to compare.
    ids : str, DataFrame, or list of str, optional
        Ids of the games of the store.
    trades : Backtest, DataFrame, or list of trades, optional
        What a strategy did: entries and exits are drawn on the lines, and the legend says the profit of each game.
    align : {"tick", "start", "peak"}
        What lies at 0: tick 0, the first live tick that was recorded, or the peak.
    height : int
        Of the chart, in pixels.

    Raises
    ------
    Unplayable, GameNotFound
        When there is no game, more than eight, or one that the store lacks; it says what to type.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> store = rl.open_store(folder + "/store")
    >>> compared = rl.compare([store[name] for name in store.game_ids()[:2]], align="peak")
    >>> compared.align
    'peak'
    >>> compared.close()
    """
    return GameComparison(games, ids, trades=trades, align=align, height=height)
