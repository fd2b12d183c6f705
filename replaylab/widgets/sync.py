"""PlayerSync: keeps the engine and the pages of a player in step; each follows what is done to the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from replaylab.errors import TickError, Unplayable
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.event import Callback, Event, Step
from replaylab.playback.playlist import Playlist
from replaylab.playback.timeline import Pacing
from replaylab.tick import short_id
from replaylab.widgets.blind_payload import BlindPayload
from replaylab.widgets.channel import Channel, from_page, to_page
from replaylab.widgets.chart_marks import MAX_MARKS, ChartMark, MarksFile
from replaylab.widgets.live_notes import LiveNotes
from replaylab.widgets.live_payload import LivePayload
from replaylab.widgets.messages import Limits, MarkMade, State
from replaylab.widgets.panels import Panels
from replaylab.widgets.payload import StoredPayload
from replaylab.widgets.trades import Trades

NOTIFY_SECONDS: Final = 0.1  # between two updates of the traits while rows go by
TRAIL_SECONDS: Final = 0.05  # between two messages to the pages while the engine plays by itself


@dataclass
class DisplayOptions:
    """How a player shows: pacing, height, scale, what lies ahead, whether pages wait for callbacks, the loop.

    With `blind`, no page gets a row before the engine shows it, nor anything derived from one.
    """

    pacing: Pacing = "recorded"
    height: int = 300
    log: bool = False
    ahead: bool = True
    lockstep: bool = False
    blind: bool = False
    play_on: bool = False
    candles: int = 0
    loop: Sequence[int | None] = (None, None)
    selection: Sequence[int | None] = (None, None)


class PlayerSync:
    """Moves the engine as the pages report, and the pages as the engine is moved.

    Parameters
    ----------
    engine : ReplayEngine
        The engine; its cursor is where callbacks are.
    playlist : Playlist, optional
        The games that can be picked.
    send : callable
        Sends content and buffers to every page.
    on_change : callable
        Called when index, playing, speed or game may have changed.
    options : DisplayOptions
        How it shows.
    panels : Panels
        What is drawn below the price.

    Attributes
    ----------
    notes : LiveNotes
        What is known of live games beside their ticks.
    """

    def __init__(
        self,
        engine: ReplayEngine,
        playlist: Playlist | None,
        send: Callable[[Any, Sequence[Any]], Any],
        on_change: Callable[[], None],
        options: DisplayOptions,
        panels: Panels,
    ) -> None:
        self.engine = engine
        self.playlist = playlist
        self.options = options
        self.marks: dict[str, tuple[ChartMark, ...]] = {}  # by game
        self.marks_file: MarksFile | None = None
        self._shown: Any = None  # marks and trades that the pages of a game whose future is hidden know
        self.trades: Trades | None = None
        self.panels = panels
        self.notes = LiveNotes()
        self.feed: dict[str, Any] | None = None  # how the feed of a live game is, in words
        self.page_plays = False
        self._on_change = on_change
        self._notified_at = 0.0
        self._moving = 0  # depth of `_moving_engine`: what the engine reports meanwhile comes from here
        self._follows = False  # whether a page stays with the newest row of a live game
        self._trailing = False
        self._notify_later = False
        self._number = 0
        self.channel = Channel(send, self)
        if playlist is not None:
            self._number, line = playlist.first()
            engine.load(line, show=False)
        self.payload = self._new_payload()
        callbacks: dict[str, Callback] = {"tick": self._ticked, "push": self._pushed, "state": self._changed}
        self._subscriptions = [engine.on(kind, callback) for kind, callback in callbacks.items()]

    def _new_payload(self) -> StoredPayload | BlindPayload | LivePayload | None:
        line, stream = self.engine.timeline, self.engine.stream
        if line is not None and self.options.blind:
            return BlindPayload(line, self.channel, lambda: self.engine.index, self.panels)
        if line is not None:
            return StoredPayload(line, self.panels)
        return None if stream is None else LivePayload(stream, self.channel, self.notes, self.panels)

    @property
    def playing(self) -> bool:
        """Whether ticks come by themselves, from a page or from the engine."""
        return self.page_plays or self.engine.playing

    def close(self) -> None:
        """Stop following either side."""
        self._on_change = lambda: None
        for subscription in self._subscriptions:
            subscription.cancel()
        self.channel.close()
        self.payload = None

    # -- what Python does with the player ------------------------------------------------------------------------------

    def play(self) -> None:
        """Let the pages play; what lies ahead of a game whose future is hidden only the engine can play."""
        if isinstance(self.payload, BlindPayload):
            self.engine.play()
            return
        self.page_plays = True
        self.channel.post("play")
        self.notify(now=True)

    def pause(self) -> None:
        """Let the pages, and the engine, stay where they are."""
        self.page_plays = False
        self.channel.post("pause")
        with self._moving_engine():
            self.engine.pause()
        self.notify(now=True)

    def seek(self, row: int) -> bool:
        """Go to a row; False when there is none."""
        with self._moving_engine():
            moved = self.engine.seek(row)
        if moved:
            self._show_row(row)
            self.notify(now=True)
        return moved

    def step(self, rows: int) -> int:
        """Pause, go on or back row by row, and return how many rows it went."""
        self.pause()
        went = 0
        with self._moving_engine():
            step = self.engine.step_forward if rows > 0 else self.engine.step_backward
            while went < abs(rows) and step():
                went += 1
        self._show_row(self.engine.index)
        self.notify(now=True)
        return went

    def _show_row(self, row: int) -> None:
        """Send the pages to a row, which they get first where they do not have it."""
        if isinstance(self.payload, BlindPayload):
            self.payload.flush()
            self._show_new_marks()
        self.channel.seek(row)

    def show_feed(self, words: dict[str, Any]) -> None:
        """Show how the feed of a live game is."""
        if words != self.feed:
            self.feed = words
            self.channel.post("feed", feed=words)
        self.show_notes()

    def show_notes(self) -> None:
        """Show what is known beside the rows of a live game, and is new."""
        if isinstance(self.payload, LivePayload):
            self.payload.flush_notes()

    def set_speed(self, speed: float) -> None:
        """Change the speed of the engine and the pages."""
        with self._moving_engine():
            self.engine.speed = speed
        self.channel.post("speed", speed=to_page(self.engine.speed))

    def set_loop(self, loop: Sequence[int | None]) -> None:
        """Change the loop of the engine and the pages."""
        self._loop_engine(loop)
        self.channel.post("loop", loop=list(loop))

    def _loop_engine(self, loop: Sequence[int | None]) -> None:
        self.options.loop = loop
        first, last = loop
        wanted = None if first is None or last is None else (first, last)
        if wanted == self.engine.loop:  # what it says of a change may come later, and must not change it again
            return
        with self._moving_engine():
            if wanted is None:
                self.engine.clear_loop()
            else:
                self.engine.set_loop(*wanted)

    def select(self, rows: Sequence[int | None]) -> None:
        """Change what is selected in the pages."""
        self.options.selection = rows
        self.channel.post("selection", selection=list(rows))

    def set_option(self, name: str, value: Any) -> None:
        """Change how the pages show; what is as it was changes nothing."""
        if getattr(self.options, name) == value:
            return
        if name == "blind":
            self.set_blind(on=value)
            return
        if name in {"loop", "selection"}:
            (self.set_loop if name == "loop" else self.select)(tuple(value))
            return
        setattr(self.options, name, value)
        self.channel.post("options", **{name: value})

    def show_marks(self) -> None:
        """Show the marks of this game in the pages."""
        self.channel.post("marks", marks=self._visible_marks())

    def set_panels(self, panels: Panels) -> None:
        """Draw other panels below the price; what cannot be drawn of this game raises, and nothing changes."""
        if panels is self.panels:
            return
        line, stream = self.engine.timeline, self.engine.stream
        if line is not None:
            panels.of_game(line)
        elif stream is not None:
            panels.of_rows(stream.ring.to_table(0))
        self.panels = panels
        if self.payload is not None:
            loop, selection = self.options.loop, self.options.selection
            self._reopen()
            self.set_loop(loop)
            self.select(selection)

    def set_trades(self, trades: Trades | None) -> None:
        """Show trades in every game in which there are some; None removes them."""
        self.trades = trades
        self.channel.post("trades", trades=self.visible_trades())

    def visible_trades(self) -> dict[str, Any] | None:
        """Return the trades of this game that a page may know; None where there are none."""
        line = self.engine.timeline
        if line is None or self.trades is None:
            return None
        stop = self.payload.seen if isinstance(self.payload, BlindPayload) else None
        return self.trades.of_game(line, stop)

    def _show_new_marks(self) -> None:
        """Show marks and trades that the playhead has reached, in a game whose future is hidden."""
        marks, trades = self._visible_marks(), self.visible_trades()
        if (marks, trades) != self._shown:
            self._shown = (marks, trades)
            self.channel.post("marks", marks=marks)
            self.channel.post("trades", trades=trades)

    def game_marks(self) -> tuple[ChartMark, ...]:
        """Return the marks of the game that is shown, each with its row."""
        line = self.engine.timeline
        if line is None:
            return ()
        found = []
        for mark in self.marks.get(self.engine.game_id or "", ()):
            try:
                found.append(ChartMark.of(mark, line))
            except TickError:  # of a file: the game is another one by now
                continue
        return tuple(found)

    def set_marks(self, marks: tuple[ChartMark, ...]) -> None:
        """Change the marks of the game that is shown, in the pages and in the file that keeps them."""
        if len(marks) > MAX_MARKS:
            raise TickError("marks", len(marks), "too_many", f"a game has at most {MAX_MARKS:,} marks")
        if marks == self.game_marks():
            return
        self.marks[self.engine.game_id or ""] = marks
        if self.marks_file is not None:
            self.marks_file.save(self.marks)
        self.show_marks()

    def add_mark(self, mark: MarkMade) -> None:
        """Put a mark of a page on the chart."""
        line = self.engine.timeline
        if line is None or len(self.game_marks()) >= MAX_MARKS:
            self.show_marks()
            return
        made = ChartMark(int(line.tick[mark.row]), mark.label, mark.colour, mark.shape, mark.price, mark.row)
        self.set_marks((*self.game_marks(), made))
        self.notify(now=True)

    def remove_marks(self, row: int) -> None:
        """Remove the marks at a row."""
        self.set_marks(tuple(mark for mark in self.game_marks() if mark.row != row))
        self.notify(now=True)

    def _visible_marks(self) -> list[dict[str, Any]]:
        seen = self.payload.seen if isinstance(self.payload, BlindPayload) else self.engine.total
        return [mark.to_page() for mark in self.game_marks() if mark.row is not None and mark.row < seen]

    def set_blind(self, *, on: bool) -> None:
        """Hide what lies ahead from the pages, or show it; a live game hides nothing."""
        if on == self.options.blind:
            return
        self.options.blind = on
        if self.engine.timeline is not None:
            self.page_plays = False
            with self._moving_engine():
                self.engine.pause()
            self._reopen()
        self.notify(now=True)

    def advance(self, rows: int) -> None:
        """Show some more rows of a game whose future is hidden."""
        if isinstance(self.payload, BlindPayload):
            with self._moving_engine():
                self.engine.pause()
                self._go_to_newest()
            self.step(rows)

    def _go_to_newest(self) -> None:
        """Go to the furthest row of a game whose future is hidden that was shown."""
        payload = self.payload
        if isinstance(payload, BlindPayload) and self.engine.index < payload.seen - 1:
            self.engine.seek(payload.seen - 1)

    # -- what a page asks and reports, on the main loop ----------------------------------------------------------------

    def opening(self) -> tuple[dict[str, Any], list[memoryview]] | None:
        """Return the message that opens the game in a page, and its bytes; None while there is no game."""
        if self.payload is None:
            return None
        facts, buffers = self.payload.opening()
        follows = not isinstance(self.payload, StoredPayload)
        return {
            "facts": facts
            | {"height": self.options.height, "game": self._number, "speeds": list(self.engine.speed_bounds)},
            "state": asdict(self.options)
            | {
                "loop": list(self.options.loop),
                "selection": list(self.options.selection),
                "row": self.engine.index,
                "playing": self.engine.playing if follows else self.page_plays,
                "speed": to_page(self.engine.speed),
            },
            "games": [] if self.playlist is None else list(map(short_id, self.playlist.names)),
            "marks": self._visible_marks(),
            "trades": self.visible_trades(),
            "feed": self.feed,
        }, buffers

    def limits(self, gen: int) -> Limits:
        """Return what messages of pages have to stay within now."""
        return Limits(
            gen=gen,
            rows=self.payload.seen if isinstance(self.payload, BlindPayload) else self.engine.total,
            live=not isinstance(self.payload, StoredPayload),
            speeds=self.engine.speed_bounds,
            games=0 if self.playlist is None else len(self.playlist),
        )

    def chunk(self, name: str, number: int) -> list[memoryview]:
        """Return the bytes of one chunk of the rows called `name`; none when another game is shown now."""
        payload = self.payload
        return payload.chunk(number) if isinstance(payload, StoredPayload) and payload.id == name else []

    def arrive(self, row: int, reason: str) -> bool:
        """Move the engine to a row that a page showed; False leaves out the rest of the range."""
        with self._moving_engine():
            if self._follows:
                return True  # the jump to the newest row, reported before the page began to follow
            if reason not in {"play", "step"}:
                return (reason == "told" and self.engine.index == row) or self.engine.seek(row)
            while self.engine.index < row:
                if not self.engine.step_forward():
                    return False
        return True

    def take_state(self, state: State) -> None:
        """Take over what a user changed in a page."""
        blind = isinstance(self.payload, BlindPayload)
        self.page_plays = state.playing and not (blind and state.following)
        self.options.pacing = state.pacing
        self.options.log = self.options.log if state.log is None else state.log
        self.options.ahead = self.options.ahead if state.ahead is None else state.ahead
        self.options.candles = self.options.candles if state.candles is None else state.candles
        self.options.play_on = self.options.play_on if state.play_on is None else state.play_on
        if tuple(state.loop) != tuple(self.options.loop):
            self._loop_engine(tuple(state.loop))
        self.options.selection = tuple(state.selection or (None, None))
        self._follows = state.following
        speed = from_page(state.speed)
        with self._moving_engine():
            if speed != self.engine.speed:
                self.engine.speed = speed
            if self._follows and blind:
                self._go_to_newest()
                self.engine.play()
            elif self._follows:
                self.engine.go_live()
            elif self.engine.playing:
                self.engine.pause()
        self.notify(now=True)

    def pick(self, number: int) -> bool:
        """Show another game; False when it cannot be played."""
        if self.playlist is None:
            return False
        try:
            line = self.playlist.open(number)
            self.panels.of_game(line)
        except Unplayable as error:
            self.channel.post("trouble", text=f"cannot be played: {error}")
            return False
        self._number = number
        self.page_plays = False
        self.engine.load(line, show=False)
        self._mirror("load")  # at once: the cell that picked may show the player
        return True

    def play_next(self, number: int) -> bool:
        """Play a game, or the first after it that can be played; False when there is none."""
        games = 0 if self.playlist is None else len(self.playlist)
        for place in range(number, games):
            if self.pick(place):
                self.play()
                return True
        return False

    def notify(self, *, now: bool = False) -> None:
        """Update the traits that observers listen to; while rows go by, at most ten times a second."""
        moment = time.monotonic()
        if now or moment - self._notified_at >= NOTIFY_SECONDS:
            self._notified_at, self._notify_later = moment, False
            self._on_change()
        elif not self._notify_later and self.channel.delivery.loop is not None:
            self._notify_later = True  # or observers would miss the last of several moves
            self.channel.delivery.later(NOTIFY_SECONDS, lambda: self.notify(now=True))

    def _reopen(self) -> None:
        """Open what the engine holds now in every page."""
        self._follows = False
        if isinstance(self.payload, LivePayload):
            self.payload.close()
        self.payload = self._new_payload()
        self._shown = None
        self.options.loop = self.options.selection = (None, None)
        self.channel.open()

    # -- what is done to the engine itself, by other code --------------------------------------------------------------

    @contextmanager
    def _moving_engine(self) -> Iterator[None]:
        """What the engine reports meanwhile is known to the pages already."""
        self._moving += 1
        try:
            yield
        finally:
            self._moving -= 1

    def _ticked(self, _step: Step) -> None:
        if isinstance(self.payload, BlindPayload):
            self.payload.nudge()
            if not self._moving:
                self._trail()
        elif not self._moving and isinstance(self.payload, StoredPayload):
            self._trail()

    def _pushed(self, _step: Step) -> None:
        if isinstance(self.payload, LivePayload):
            self.payload.nudge()
        self._trail()

    def _trail(self) -> None:
        """Let pages and observers follow soon; many moves become one message."""
        if not self._trailing:
            self._trailing = True
            self.channel.delivery.later(TRAIL_SECONDS, self._catch_up)

    def _catch_up(self) -> None:
        self._trailing = False
        blind = isinstance(self.payload, BlindPayload)
        if isinstance(self.payload, StoredPayload) or (blind and not self.engine.playing):
            self._show_row(self.engine.index)
        elif blind:
            self._show_new_marks()
        self.notify(now=not self.engine.playing)

    def _changed(self, event: Event) -> None:
        if not self._moving or event.reason in {"load", "live"}:
            self.channel.delivery.soon(lambda: self._mirror(event.reason))

    def _mirror(self, reason: str) -> None:
        """Let the pages follow a change of the engine's state."""
        shown = None if self.payload is None else self.payload.track
        if (self.engine.timeline or self.engine.stream) is not shown:
            self._reopen()
        elif reason == "speed":
            self.channel.post("speed", speed=to_page(self.engine.speed))
        elif reason == "loop":
            self.set_loop(self.engine.loop or (None, None))
        elif reason == "play" and isinstance(self.payload, StoredPayload):
            self.page_plays = False  # the engine keeps the time now, the pages follow
            self.channel.post("pause")
        elif reason == "end" and self.options.play_on and self.play_next(self._number + 1):
            return
        elif self.payload is not None and not isinstance(self.payload, StoredPayload):
            if isinstance(self.payload, BlindPayload):
                self.payload.flush()
            self.channel.post("play" if self.engine.playing else "pause")
        self.notify(now=True)
