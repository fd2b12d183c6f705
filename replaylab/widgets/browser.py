"""GameBrowser: the games of a store in a table; a click plays one beside it."""

from __future__ import annotations

import html
import itertools
import time
from collections.abc import Sequence
from typing import Any, Final, cast

import anywidget
import ipywidgets
import traitlets

from replaylab.errors import ReplayLabError, Unplayable
from replaylab.keywords import hint, options_of
from replaylab.plural import count_of
from replaylab.storage.game import Game
from replaylab.storage.store import Store
from replaylab.widgets.bundle import module
from replaylab.widgets.cell_output import embedded, in_kernel, show
from replaylab.widgets.fallback import turned
from replaylab.widgets.games_table import GamesTable
from replaylab.widgets.player import ReplayPlayer
from replaylab.widgets.sources import chosen
from replaylab.widgets.trades import Trades

KEPT: Final = 2_000  # games in a saved notebook, 50 to 80 bytes each
_LOOK_SECONDS: Final = 2.0  # between two looks whether the store has changed
_AT_ONCE: Final = 256  # thumbnails of one question
_HELP: Final = (
    "type rl.browse(store), rl.browse('store'), rl.browse(store, ['id', 'id']), "
    "or rl.browse(store.games().query('peak > 10'))"
)
_HELD: Final = ("store", "trades", "player", "table")
_LISTED: Final = 20  # games in plain HTML, where no script may run
_numbers: Final = itertools.count(1)


class BrowserTable(anywidget.AnyWidget):
    """The table in the page; what it shows is sent as messages, never as traits, so that saved notebooks stay small."""

    _esm = module("browse")
    height = traitlets.Int(420, min=120, max=10_000, help="of the rows, in pixels").tag(sync=True)
    player_id = traitlets.Unicode("", read_only=True, help="names the table in its page").tag(sync=True)
    game_id = traitlets.Unicode("", read_only=True, help="id of the game that plays beside the table; empty for none")

    @traitlets.default("player_id")
    def _new_id(self) -> str:
        return f"games-{next(_numbers)}"


class GameBrowser:
    """The games of a store in a table of the notebook: sorted, filtered, played beside it.

    Parameters
    ----------
    source : Store, path of one, or DataFrame
        Which games; a DataFrame is one of `Store.games`, whole or in part.
    games : str, DataFrame, or list of str, optional
        Ids of the games of the store to show.
    trades : Backtest, DataFrame, or list of trades, optional
        What a strategy did: the table says in which games it won and lost (type ``won`` or ``lost`` into the filter),
        and the player shows its trades.
    height : int
        Of the rows in sight, in pixels.

    Attributes
    ----------
    store : Store
        Where the games are.
    ids : list of str
        The games in the table, in the order of their start.
    player : ReplayPlayer or None
        What plays beside the table.
    table : widget
        The table; its trait `game_id` can be observed, and `height` set.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> browser = GameBrowser(folder + "/store")
    >>> len(browser.ids), browser.open(browser.ids[2]).game_id == browser.ids[2]
    (3, True)
    >>> browser.close()
    """

    @options_of("GameBrowser")
    def __init__(self, source: object, games: object = None, *, trades: object = None, height: int = 420) -> None:
        self.store, self._asked = _asked(source, games)
        self.trades = Trades.of(trades)
        self.player: ReplayPlayer | None = None
        self.table = BrowserTable(height=height)
        self.table.layout = ipywidgets.Layout(flex="1 1 480px", min_width="0")
        self._box: Any = ipywidgets.Box(
            [self.table],
            layout=ipywidgets.Layout(display="flex", flex_flow="row wrap", width="100%", overflow="hidden"),
        )
        self._version = 0
        self._looked = 0.0
        self._read()
        self.table.on_msg(self._receive)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute that a browser has; a name that it does not have is an error, not a new attribute."""
        if not name.startswith("_") and name not in _HELD and not hasattr(type(self), name):
            raise AttributeError(f"a browser of games has no {name!r} to be set{hint(name, ('height',))}")
        super().__setattr__(name, value)

    @property
    def height(self) -> int:
        """Height of the rows in sight, in pixels; can be set."""
        return int(self.table.height)

    @height.setter
    def height(self, height: int) -> None:
        self.table.height = height

    @property
    def ids(self) -> list[str]:
        """The games in the table, in the order of their start."""
        return list(self._games.ids)

    @property
    def game_id(self) -> str:
        """Id of the game that plays beside the table; empty when none does."""
        return str(self.table.game_id)

    def open(self, game: str | Game) -> ReplayPlayer:
        """Play a game beside the table, in the place of the one before; return its player.

        Raises `GameNotFound` or `Unplayable`; the game before then plays on.
        """
        game_id = game.id if isinstance(game, Game) else game
        player = ReplayPlayer(self.store.game(game_id), trades=self.trades)
        player.layout.flex = "1 1 480px"
        player.layout.min_width = "0"
        before, self.player = self.player, player
        self._box.children = (self.table, player)
        if before is not None:
            before.close()
        self.table.set_trait("game_id", game_id)
        return player

    def refresh(self) -> int:
        """Read the store again; return how many games the table has now."""
        self._read()
        self._send_games()
        return len(self._games)

    def close(self) -> None:
        """Release the table and the player."""
        player, self.player = self.player, None
        if player is not None:
            player.close()
        self.table.close()
        self._box.close()

    def _read(self) -> None:
        self._games = GamesTable(self.store, self._asked, None if self.trades is None else self.trades.profits())
        self._version += 1
        self._looked = time.monotonic()

    def _title(self) -> str:
        return f"Games in {self.store.place}"

    def _note(self) -> str:
        damaged = len(self.store.damaged)
        return f"{count_of(damaged, 'damaged file')} {'is' if damaged == 1 else 'are'} left out" if damaged else ""

    def _send_games(self) -> None:
        content = {"kind": "games", "title": self._title(), "note": self._note(), "version": self._version}
        self.table.send(content, cast("list[Any]", self._games.buffers()))

    def _receive(self, _widget: object, content: Any, _buffers: Any) -> None:
        """Act on a message of a page; one that is malformed is left alone."""
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "ready":
            self._send_games()
        elif kind == "refresh":
            self._try(self.refresh)
        elif kind in {"open", "want"} and content.get("version") != self._version:
            self._send_games()
        elif kind == "open":
            number = content.get("number")
            if type(number) is int and 0 <= number < len(self._games):
                self._try(lambda: self.open(self._games.ids[number]))
        elif kind == "want":
            self._send_thumbnails(content.get("numbers"))
        self._look()

    def _send_thumbnails(self, numbers: Any) -> None:
        if not isinstance(numbers, list) or len(numbers) > _AT_ONCE:
            return
        if all(type(number) is int and 0 <= number < len(self._games) for number in numbers):
            points = self._games.thumbnails(numbers)
            content = {"kind": "thumbnails", "numbers": numbers, "version": self._version}
            self.table.send(content, [memoryview(points.tobytes())])

    def _try(self, do: Any) -> None:
        try:
            do()
        except ReplayLabError as error:
            self._say(f"{type(error).__name__}: {error}")
        else:
            self._say("")

    def _say(self, text: str) -> None:
        self.table.send({"kind": "say", "text": text})

    def _look(self) -> None:
        """Say when the store has other games than the table, at most every two seconds."""
        if self._asked is not None or time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        now = set(self.store.game_ids())
        new, gone = len(now - self._games.numbers.keys()), len(self._games.numbers.keys() - now)
        if new or gone:
            words = [f"{count:,} {what}" for count, what in ((new, "new"), (gone, "gone")) if count]
            self._say(f"the store has changed ({', '.join(words)}): Refresh shows it as it is now")

    def __repr__(self) -> str:
        count = len(self._games)
        return f"GameBrowser({self.store.place!r}, {count_of(count, 'game')})"

    def _ipython_display_(self, **_options: Any) -> None:
        """Show the table, and in the same cell what stands in for it where the saved notebook is read later."""
        if not in_kernel():
            raise NotImplementedError  # IPython then shows the text
        kept = {"text/html": fragment(self._games, self._title(), player=self.table.player_id)}
        show(self._box._repr_mimebundle_(), kept, repr(self))


def fragment(games: GamesTable, title: str, *, player: str = "", height: int = 420, kept: int = KEPT) -> str:
    """Return HTML of a table that needs no kernel: the newest `kept` games, and a line about the others.

    Parameters
    ----------
    games : GamesTable
        The games.
    title : str
        Above the table.
    player : str
        Id of the table in the same cell that this stands in for: it is hidden as long as that one shows.
    height : int
        Of the rows in sight, in pixels.
    kept : int
        Games in it, at most.
    """
    left_out = max(0, len(games) - kept)
    note = f"the {kept:,} newest of {len(games):,} games are kept here; run the cell for all" if left_out else ""
    facts = {"title": title, "note": note, "height": height, "pages": None}
    return embedded(
        "browse", player or "games", _plain(games, title, note), facts, packed_columns(games, kept), player=player
    )


def packed_columns(games: GamesTable, kept: int) -> list[tuple[int, str]]:
    """Return the columns of the last `kept` games, packed for a page."""
    return [turned(data.data, width) for width, data in games.packed_columns(kept)]


def _plain(games: GamesTable, title: str, note: str) -> str:
    """Return the newest games as a plain table, for where no script may run."""
    rows = games.table.slice(max(0, len(games) - _LISTED)).to_pylist()
    more = (
        f"the {len(rows):,} newest of {len(games):,} games" if len(games) > len(rows) else count_of(len(rows), "game")
    )
    head = "".join(f"<th>{name}</th>" for name in ("game", "start (UTC)", "ticks", "peak", "rug tick"))
    lines = []
    for row in rows:
        name = row["game_id"] if len(row["game_id"]) <= 80 else f"{row['game_id'][:60]}...{row['game_id'][-16:]}"
        start = f"{row['start']:%Y-%m-%d %H:%M:%S}" if row["start"] else "not recorded"
        peak = "" if row["peak"] is None else f"{row['peak']:,.2f}"
        cells = (name, start, f"{row['ticks'] or 0:,}", peak, "" if row["rug_tick"] is None else f"{row['rug_tick']:,}")
        lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    words = f"<div><b>{html.escape(title)}</b>: {more}{'; ' + note if note else ''}</div>"
    return f"{words}<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _asked(source: object, games: object) -> tuple[Store, Sequence[str] | None]:
    """Return the store, and the ids that were asked for; None for all of them."""
    store, ids = chosen(source, games, _HELP)
    if not isinstance(store, Store):
        raise Unplayable(f"{type(store).__name__} holds no games to browse; {_HELP}")
    return store, ids


@options_of("rl.browse")
def browse(source: object, games: object = None, *, trades: object = None, height: int = 420) -> GameBrowser:
    """Return a browser of the games of a store: a table to sort and filter, in which a click plays a game beside it.

    Parameters
    ----------
    source : Store, path of one, or DataFrame
        Which games; a DataFrame is one of `Store.games`, whole or in part.
    games : str, DataFrame, or list of str, optional
        Ids of the games of the store to show.
    trades : Backtest, DataFrame, or list of trades, optional
        What a strategy did: the table says where it won and lost, the player beside it shows its trades.
    height : int
        Of the rows in sight, in pixels.

    Raises
    ------
    Unplayable, GameNotFound
        When there is no store, or a game that is not in it; it says what to type.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> browser = rl.browse(rl.open_store(folder + "/store").games().query("rug_tick > 0"))
    >>> len(browser.ids) <= 3
    True
    >>> browser.close()
    """
    return GameBrowser(source, games, trades=trades, height=height)


def show_store(store: Store) -> Any:
    """Show a store as the last line of a cell: its games; an empty one shows its card."""
    if not len(store):
        raise NotImplementedError
    GameBrowser(store)._ipython_display_()
