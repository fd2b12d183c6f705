"""ReplayPlayer: a game in a notebook cell; the page keeps the clock and draws, and reports what it showed."""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from replaylab.errors import Unplayable
from replaylab.keywords import hint, options_of
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.event import Step
from replaylab.playback.listeners import Subscription
from replaylab.playback.playlist import Playlist
from replaylab.playback.timeline import Pacing
from replaylab.plural import count_of
from replaylab.tick import short_id
from replaylab.widgets.blind_payload import BlindPayload
from replaylab.widgets.bundle import loader
from replaylab.widgets.cell_output import in_kernel, keep_what_is_in_boxes, show
from replaylab.widgets.chart_marks import ChartMark, MarksFile, marks_of
from replaylab.widgets.fallback import cell
from replaylab.widgets.live_notes import LiveNotes
from replaylab.widgets.live_still import LiveStill, still
from replaylab.widgets.panels import Panels
from replaylab.widgets.payload import StoredPayload
from replaylab.widgets.player_traits import MarksTrait, PanelsTrait, RangeTrait, SpeedTrait, TradesTrait
from replaylab.widgets.ranges import Loop, Rows, checked_row, whole
from replaylab.widgets.sources import playable
from replaylab.widgets.sync import DisplayOptions, PlayerSync

_OPTIONS: Final = ("pacing", "height", "log", "ahead", "blind", "lockstep", "play_on", "candles")
_RANGES: Final = ("loop", "selection")
_SETTABLE: Final = ("speed", *_OPTIONS, *_RANGES, "marks", "trades", "panels")
_MOVED_BY: Final = {
    "index": "player.seek(row) goes to a row",
    "playing": "player.play() and player.pause() do that",
    "game_id": "player.pick(number) shows another of its games",
}
_log: Final = logging.getLogger("replaylab.player")
_numbers: Final = itertools.count(1)


class ReplayPlayer(anywidget.AnyWidget):
    """A player for a notebook: chart, transport and keyboard; playing goes on in the page while the kernel is busy.

    Parameters
    ----------
    source : Game, Store, path of one, Table, Timeline, ReplayEngine, DataFrame, or a list of games or of Tick
        What to play. Of several games, the first that can be played is shown and the others can be picked. An engine
        is shown with what it holds: a stored game, or a live one, which is followed. A DataFrame is one of
        `Store.games`, whole or in part.
    games : str, DataFrame, or list of str, optional
        Ids of the games of the store to play, in that order.
    speed : float, optional
        0.1 to 100 seconds of the game a second; infinity is as fast as possible. That of the engine unless given.
    pacing : {"recorded", "nominal"}
        When ticks are due: when they were received, or every 0.25 s.
    height : int
        Of the chart, in pixels.
    log : bool
        Logarithmic price axis.
    ahead : bool
        Draw what lies beyond the playhead, faintly.
    blind : bool
        Hide what lies ahead wholly: the page gets each row when it is shown and not before, and neither the length of
        the game nor its peak, rug or gaps. The kernel then keeps the time. A trait: it can be set later, too.
    lockstep : bool
        Let the page wait for the callbacks, however slow they are.
    play_on : bool
        At the end of a game play the next one; of several games only.
    candles : int
        Rows of a candle, 20 are five seconds; 0 draws the price as a line.
    trades : Backtest, DataFrame, or list of trades, optional
        What a strategy did: entries and exits are drawn at their price, side bets as spans, and the profit at the
        playhead is said. See `replaylab.widgets.trades`.
    marks : path, mapping of ticks to labels, or list of ChartMark, mappings of their fields, or numbers of ticks
        What is written on the chart of the first game. A path names a small JSON file, beside the notebook say, that
        keeps the marks of all games, those that are made in the page among them.
    panels : list of str, or mapping of str to series or function
        What is drawn below the price: ``["trade_count"]``, ``{"volatility": series}`` with one value a row, or
        ``["trades"]`` for the trades that were recorded. See `replaylab.widgets.panels`.

    Attributes
    ----------
    engine : ReplayEngine
        Follows the page; its events (``tick``, ``rug``, ``gap``, ``game_end`` ...) say what was shown.
    index, playing, speed, game_id
        Can be observed like the traits of any widget. They follow the page at most ten times a second, and at once
        when it pauses, seeks or ends. Of these only `speed` can be set.
    loop, selection : Rows
        Rows that are repeated, and rows that were chosen (dragged over in the chart, or from A to B): set them to
        ``(first, last)`` or None, observe them, and read `frame()`.
    marks : tuple of ChartMark
        What is written on the chart of the game that is shown, by Python and by the page; can be set and observed.
    speed, pacing, height, log, ahead, blind, lockstep, play_on, candles, trades, panels
        Can be set at any time, and take effect at once. A name that a player does not have raises `AttributeError`.

    Notes
    -----
    Callbacks run on the kernel's main thread; each gets every tick that was shown, once and in order, as soon as the
    kernel has time for it.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> game = [Tick(game_id="g", tick=n, timestamp=f"2031-01-02T03:04:05.{n}", price=f"1.{n}", active=True)
    ...         for n in range(4)]
    >>> player = ReplayPlayer(game)
    >>> seen = []
    >>> _ = player.on_tick(lambda step: seen.append(str(step.price)))
    >>> player.run(), seen, player.index
    (4, ['1', '1.1', '1.2', '1.3'], 3)
    >>> player
    ReplayPlayer('g', 4 rows)
    >>> player.close()
    """

    _esm = loader()
    _sync: PlayerSync | None = None  # until the player is complete, and after it was closed
    _still: LiveStill | None = None  # of a live game, once a cell has shown it

    index = traitlets.Int(-1, read_only=True, help="row at the playhead, from 0; -1 when there is none")
    playing = traitlets.Bool(default_value=False, read_only=True, help="whether ticks come by themselves")
    speed = SpeedTrait(1.0, help="seconds of the game a second; infinity is as fast as possible")
    pacing = traitlets.Enum(["recorded", "nominal"], "recorded", help="when ticks are due")
    height = traitlets.Int(300, min=60, max=10_000, help="of the chart, in pixels")
    log = traitlets.Bool(default_value=False, help="logarithmic price axis")
    ahead = traitlets.Bool(default_value=True, help="draw what lies beyond the playhead, faintly")
    blind = traitlets.Bool(default_value=False, help="hide what lies ahead from the page wholly")
    play_on = traitlets.Bool(default_value=False, help="at the end of a game play the next one")
    candles = traitlets.Int(0, min=0, max=10_000, help="rows of a candle; 0 draws a line")
    panels = PanelsTrait(Panels(), help="what is drawn below the price")
    loop = RangeTrait(Loop, help="rows that are repeated, both included; None for none")
    selection = RangeTrait(Rows, help="rows that were chosen: dragged over in the chart, or from A to B")
    marks = MarksTrait((), help="what is written on the chart of the game that is shown")
    trades = TradesTrait(None, allow_none=True, help="what a strategy did")
    lockstep = traitlets.Bool(default_value=False, help="let the page wait for the callbacks")
    game_id = traitlets.Unicode("", read_only=True, help="id of the game that is shown")
    player_id = traitlets.Unicode("", read_only=True, help="names the player in its page").tag(sync=True)

    @options_of("ReplayPlayer")
    def __init__(  # noqa: PLR0913  each option is written out, so that a signature tells them
        self,
        source: object,
        games: object = None,
        *,
        speed: float | None = None,
        pacing: Pacing = "recorded",
        height: int = 300,
        log: bool = False,
        ahead: bool = True,
        blind: bool = False,
        lockstep: bool = False,
        play_on: bool = False,
        candles: int = 0,
        trades: object = None,
        marks: str | os.PathLike[str] | Iterable[object] = (),
        panels: object = (),
    ) -> None:
        source = playable(source, games)
        given = isinstance(source, ReplayEngine)
        self.engine: ReplayEngine = source if isinstance(source, ReplayEngine) else ReplayEngine(pacing=pacing)
        self._own = not given
        if speed is not None:
            self.engine.speed = speed
        playlist = None if given else Playlist.of(source)
        given_options: dict[str, Any] = {
            "pacing": pacing, "height": height, "log": log, "ahead": ahead, "blind": blind, "lockstep": lockstep,
            "play_on": play_on, "candles": candles,
        }  # fmt: skip
        super().__init__(**given_options, trades=trades, panels=panels)
        options = DisplayOptions(**given_options)
        self._first_layout = self.layout
        self._sync = PlayerSync(self.engine, playlist, self.send, self._update, options, self.panels)
        self._sync.set_trades(self.trades)
        self._put_marks(marks)
        self._update()
        self.observe(self._speed_set, "speed")
        self.observe(self._option_set, [*_OPTIONS, *_RANGES])
        self.observe(self._marks_set, "marks")
        self.observe(self._panels_set, "panels")
        self.observe(self._trades_set, "trades")
        self.on_msg(self._receive)
        keep_what_is_in_boxes()
        game, rows = self.engine.game_id, self.engine.total
        _log.info("game %s opened: %d rows", game, rows, extra={"event": "opened", "game_id": game, "rows": rows})

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute that a player has; a name that it does not have is an error, not a new attribute."""
        if name in _MOVED_BY:
            raise AttributeError(f"{name} cannot be set; {_MOVED_BY[name]}")
        if not name.startswith("_") and name != "engine" and not hasattr(type(self), name):
            raise AttributeError(f"a player has no {name!r} to be set{hint(name, _SETTABLE)}")
        super().__setattr__(name, value)

    def play(self) -> None:
        """Play; a page that opens later begins at once. At the end, it begins again."""
        self._active.play()

    def pause(self) -> None:
        """Pause. What a page had already shown still comes to the callbacks."""
        self._active.pause()

    def seek(self, index: int) -> bool:
        """Go to a row, counted from 0; False, and nothing changes, when there is no such row."""
        return self._active.seek(checked_row(index))

    def step(self, n: int = 1) -> int:
        """Pause, go `n` rows on (back when negative), each of them to the callbacks; return how many it went."""
        return self._active.step(whole("n", n))

    def run(self) -> int:
        """Go through to the end without waiting, with no page needed; return how many ticks callbacks got."""
        ticks: list[None] = []
        with self.on_tick(lambda _step: ticks.append(None)):
            self._active.step(self.engine.total)
        return len(ticks)

    def pick(self, number: int) -> bool:
        """Show another of the games that it was made with, counted from 0; False when that cannot be played."""
        return self._active.pick(whole("number", number))

    @options_of("player.mark")
    def mark(
        self, tick: int, label: str = "", colour: str | None = None, *, shape: str = "flag", price: float | None = None
    ) -> None:
        """Draw a mark at a tick of the game that is shown; `marks` holds them all.

        Parameters
        ----------
        tick : int
            Its number; of several rows with it the first live one, as in `ReplayEngine.seek_tick`.
        label : str
            A word or two.
        colour : str, optional
            A CSS colour.
        shape : {"flag", "up", "down", "cross", "dot"}
            A flag has a line over the whole height, the others stand at their price.
        price : float, optional
            Where it stands; at the price of the tick unless given.

        Raises
        ------
        TickError
            When the game has no tick of that number (it is a `ValueError`).
        """
        made = ChartMark.of(ChartMark(tick, label, colour, shape, price), self.engine.timeline)
        self._active.set_marks((*self._active.game_marks(), made))
        self._update()

    def clear_marks(self) -> None:
        """Remove the marks of the game that is shown."""
        self._active.set_marks(())
        self._update()

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write what is selected, else the loop, else the whole game, as a clip; or the chart at the playhead.

        Parameters
        ----------
        path : path
            ``.gif`` or ``.mp4`` (needs ffmpeg) for a clip, ``.png`` for a picture of the chart up to the playhead.

        Raises
        ------
        Unplayable
            When nothing stored is shown, the name has another ending, or ffmpeg is not there.
        """
        from replaylab.widgets.clip import save_clip

        sync, line = self._active, self.engine.timeline
        if line is None:
            raise Unplayable("only a stored game can be saved as a clip or a picture")
        payload = sync.payload if isinstance(sync.payload, StoredPayload) else StoredPayload(line)
        rows = self.selection or self.loop
        first, last = (rows.first, rows.last) if rows else (0, line.stop - 1)
        if Path(path).suffix.lower() == ".png":
            first, last = 0, max(self.engine.index, 0)
        return save_clip(payload, path, first, last, log=self.log)

    @property
    def notes(self) -> LiveNotes:
        """What is known of live games beside their ticks, and is drawn: gaps with their causes, and trades."""
        return self._active.notes

    def show_feed(self, words: dict[str, Any]) -> None:
        """Show how the feed of a live game is, as `live_notes.status_words` says it; nothing once it is closed."""
        if self._sync is not None:
            self._sync.show_feed(words)

    def show_notes(self) -> None:
        """Show what is new in `notes`: gaps that no row has followed, trades at rows that are there."""
        if self._sync is not None:
            self._sync.show_notes()

    def on_tick(self, callback: Callable[[Step], object]) -> Subscription:
        """Call with every tick that is shown; cancel with the subscription that is returned."""
        return self.engine.on("tick", callback)

    def close(self) -> None:
        """Release everything: the page, the callbacks of the player, the engine when it is the player's own."""
        sync, self._sync = self._sync, None
        if sync is None:
            return
        sync.close()
        if self._own:
            self.engine.close()
        self._first_layout.close()  # ipywidgets makes one for every widget, and would keep it
        super().close()

    @property
    def _active(self) -> PlayerSync:
        if self._sync is None:
            raise Unplayable("the player was closed; make another one")
        return self._sync

    def _receive(self, _widget: object, content: Any, _buffers: Any) -> None:
        if self._sync is not None:
            self._sync.channel.receive(content)

    def _update(self) -> None:
        with self.hold_trait_notifications():
            self.set_trait("index", self.engine.index)
            self.set_trait("playing", self._sync is not None and self._sync.playing)
            self.set_trait("game_id", self.engine.game_id or "")
            self.speed = self.engine.speed
            if self._sync is not None:
                for name in (*_OPTIONS, *_RANGES):
                    setattr(self, name, getattr(self._sync.options, name))
                self.marks = self._sync.game_marks()

    @traitlets.default("player_id")
    def _new_player_id(self) -> str:
        return f"player-{next(_numbers)}"

    def _speed_set(self, change: dict[str, Any]) -> None:
        if self._sync is not None and change["new"] != self.engine.speed:
            self._sync.set_speed(change["new"])

    def _option_set(self, change: dict[str, Any]) -> None:
        if self._sync is not None:
            self._sync.set_option(change["name"], change["new"])

    def _put_marks(self, marks: str | os.PathLike[str] | Iterable[object]) -> None:
        """Take over the marks that were given, or those of the file that keeps them."""
        sync = self._active
        if isinstance(marks, (str, os.PathLike)):
            sync.marks_file = MarksFile(marks)
            sync.marks = sync.marks_file.load()
        else:
            sync.set_marks(marks_of(marks, self.engine.timeline))

    def _marks_set(self, change: dict[str, Any]) -> None:
        if self._sync is not None:
            self._sync.set_marks(change["new"])

    def _panels_set(self, change: dict[str, Any]) -> None:
        if self._sync is None:
            return
        try:
            self._sync.set_panels(change["new"])
        except Unplayable:
            self.panels = self._sync.panels
            raise

    def _trades_set(self, change: dict[str, Any]) -> None:
        if self._sync is not None:
            self._sync.set_trades(change["new"])

    def __repr__(self) -> str:
        if self._sync is None:
            return "ReplayPlayer(closed)"
        if isinstance(self._sync.payload, BlindPayload):
            return f"ReplayPlayer({short_id(self.game_id)!r}, blind)"
        if not isinstance(self._sync.payload, StoredPayload):
            return "ReplayPlayer(live)"  # whatever it shows by now: a notebook that is run again stores the same
        rows = self.engine.total
        return f"ReplayPlayer({short_id(self.game_id)!r}, {count_of(rows, 'row')})"

    def _ipython_display_(self, **_options: Any) -> None:
        """Show the player, and in the same cell what stands in for it where the saved notebook is read later."""
        if self._sync is None or not in_kernel():
            raise NotImplementedError  # IPython then asks for the bundle, of which a terminal shows the text
        bundle = super()._repr_mimebundle_()
        if isinstance(self._sync.payload, StoredPayload | BlindPayload):
            show(bundle, self.stand_in(), repr(self))
            return
        self._still = self._still or LiveStill(self.engine, repr(self), self.stand_in)
        self._still.show(bundle)

    def renew_still(self, *, over: bool = False) -> None:
        """Bring what a notebook keeps of a live game up to date: now and then, and at once when the feed is `over`."""
        if self._still is not None and self._sync is not None:
            self._still.renew(over=over)

    def stand_in(self) -> dict[str, str]:
        """Return what a saved notebook keeps of the player, by media type: it is hidden as long as the player shows."""
        return {} if self._sync is None else self._stand_in(self.player_id)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """Return the widget, and for where none can show: a page without a kernel, a picture, a line of text."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None or self._sync is None:
            return bundle
        data, metadata = bundle
        data |= self._stand_in("")
        data["text/plain"] = repr(self)
        return data, metadata

    def _stand_in(self, player: str) -> dict[str, str]:
        """Return what stands in for the player, by media type."""
        sync = self._active
        if isinstance(sync.payload, StoredPayload):
            marks = [mark.to_page() for mark in sync.game_marks()]
            row, log = self.engine.index, sync.options.log
            candles, trades = sync.options.candles, sync.visible_trades()
            return cell(sync.payload, player=player, row=row, log=log, candles=candles, marks=marks, trades=trades)
        if not player:
            return {}
        stream = None if isinstance(sync.payload, BlindPayload) else self.engine.stream
        return {"text/html": still(stream, f"{self!r}: run the cell again to play it", player, log=sync.options.log)}


@options_of("rl.play")
def play(  # noqa: PLR0913  as above
    source: object,
    games: object = None,
    *,
    speed: float | None = None,
    pacing: Pacing = "recorded",
    height: int = 300,
    log: bool = False,
    ahead: bool = True,
    blind: bool = False,
    lockstep: bool = False,
    play_on: bool = False,
    candles: int = 0,
    trades: object = None,
    marks: str | os.PathLike[str] | Iterable[object] = (),
    panels: object = (),
) -> ReplayPlayer:
    """Return a player for a game, several games, a store, or an engine; `ReplayPlayer` says what the options do.

    Parameters
    ----------
    source : Game, Store, path of one, Table, Timeline, ReplayEngine, DataFrame, or a list of games or of Tick
        What to play. A DataFrame is one of `Store.games`, whole or in part.
    games : str, DataFrame, or list of str, optional
        Ids of the games of the store to play, in that order.
    speed : float, optional
        0.1 to 100 seconds of the game a second; infinity is as fast as possible.
    pacing : {"recorded", "nominal"}
        When ticks are due: when they were received, or every 0.25 s.
    height : int
        Of the chart, in pixels.
    candles : int
        Rows of a candle, 20 are five seconds; 0 draws the price as a line.
    log, ahead, blind, lockstep, play_on : bool
        Logarithmic prices; draw what lies ahead faintly; hide it wholly; let the page wait for callbacks; at the end of
        a game play the next one.
    trades : Backtest, DataFrame, or list of trades, optional
        What a strategy did, drawn in the games in which it did it.
    marks : path, or list of marks
        What is written on the chart of the first game; a path names a small file that keeps the marks of all games.
    panels : list of str, or mapping of str to series or function
        What is drawn below the price: columns such as ``trade_count``, or series of your own with one value a row.

    Raises
    ------
    Unplayable
        When there is nothing to play; it says what to type.
    GameNotFound
        When the store has no game of an id.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> play([Tick(game_id="g", tick=0, timestamp="2031-01-02T03:04:05", price=1)], speed=5)
    ReplayPlayer('g', 1 row)
    """
    return ReplayPlayer(
        source,
        games,
        speed=speed,
        pacing=pacing,
        height=height,
        log=log,
        ahead=ahead,
        blind=blind,
        lockstep=lockstep,
        play_on=play_on,
        candles=candles,
        trades=trades,
        marks=marks,
        panels=panels,
    )
