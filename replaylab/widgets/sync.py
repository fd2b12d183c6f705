"""Desk: what stands between an engine and the pages of a player; each hears of what the other does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from replaylab.errors import Unplayable
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.event import Callback, Event, Step
from replaylab.playback.playlist import Playlist
from replaylab.playback.timeline import Pacing
from replaylab.widgets.channel import Link, from_page, to_page
from replaylab.widgets.live_payload import Tail
from replaylab.widgets.payload import Reel

TELL_SECONDS: Final = 0.1  # between two words to observers while rows go by
TRAIL_SECONDS: Final = 0.05  # between two words to the pages while the engine plays by itself


@dataclass
class Look:
    """How a player shows: pacing, scale, what lies ahead, whether pages wait for callbacks, the loop."""

    pacing: Pacing = "recorded"
    log: bool = False
    ahead: bool = True
    lockstep: bool = False
    loop: Sequence[int | None] = (None, None)


class Desk:
    """Moves the engine as the pages report, and the pages as the engine is moved.

    Parameters
    ----------
    engine : ReplayEngine
        The engine; its cursor is where callbacks are.
    playlist : Playlist, optional
        The games that can be picked.
    send : callable
        Sends content and buffers to every page.
    told : callable
        Called when index, playing, speed or game may have changed.
    """

    def __init__(
        self,
        engine: ReplayEngine,
        playlist: Playlist | None,
        send: Callable[[Any, Sequence[Any]], Any],
        told: Callable[[], None],
        look: Look,
        height: int,
    ) -> None:
        self.engine = engine
        self.playlist = playlist
        self.look = look
        self.notes: dict[str, list[dict[str, Any]]] = {}
        self.runs = False  # whether a page plays
        self._height = height
        self._told = told
        self._last_told = 0.0
        self._driving = 0
        self._follows = False  # whether a page stays with the newest row of a live game
        self._trailing = False
        self._owing = False  # whether observers will hear a little later
        self._number = 0
        self.link = Link(send, self)
        if playlist is not None:
            self._number, line = playlist.first()
            engine.load(line, show=False)
        self.film = self._filmed()
        heard: dict[str, Callback] = {"tick": self._ticked, "push": self._pushed, "state": self._changed}
        self._subscriptions = [engine.on(kind, callback) for kind, callback in heard.items()]

    def _filmed(self) -> Reel | Tail | None:
        line, stream = self.engine.timeline, self.engine.stream
        if line is not None:
            return Reel(line)
        return None if stream is None else Tail(stream, self.link)

    @property
    def playing(self) -> bool:
        """Whether ticks come by themselves, from a page or from the engine."""
        return self.runs or self.engine.playing

    def show_loop(self, loop: Sequence[int | None]) -> None:
        """Change the loop of the pages."""
        self.look.loop = loop
        self.link.post("loop", loop=loop)

    def close(self) -> None:
        """Hear and say nothing more."""
        self._told = lambda: None
        for subscription in self._subscriptions:
            subscription.cancel()
        self.link.close()
        self.film = None

    # -- what a page asks and says, on the main loop ---------------------------------------------------------------

    def opening(self) -> tuple[dict[str, Any], list[memoryview]] | None:
        """Give the message that opens the game in a page, and its bytes; None while there is no game."""
        if self.film is None:
            return None
        facts, buffers = self.film.opening()
        live = isinstance(self.film, Tail)
        return {
            "reel": facts | {"height": self._height, "game": self._number, "speeds": list(self.engine.speed_bounds)},
            "state": asdict(self.look)
            | {
                "row": self.engine.index,
                "playing": self.engine.playing if live else self.runs,
                "speed": to_page(self.engine.speed),
            },
            "games": [] if self.playlist is None else list(self.playlist.names),
            "notes": self.notes.get(self.engine.game_id or "", []),
        }, buffers

    def piece(self, name: str, number: int) -> list[memoryview]:
        """Give the bytes of one chunk of the rows called `name`; none when that game is shown no more."""
        film = self.film
        return film.chunk(number) if isinstance(film, Reel) and film.id == name else []

    def arrive(self, row: int, reason: str) -> bool:
        """Follow a page to a row; False leaves out the rest."""
        with self.drives():
            if self._follows:
                return True  # the jump to the newest row, told before it began to follow
            if reason not in {"play", "step"}:
                return (reason == "told" and self.engine.index == row) or self.engine.seek(row)
            while self.engine.index < row:
                if not self.engine.step_forward():
                    return False
        return True

    def follow(self, state: Mapping[str, Any]) -> None:
        """Take over what a page says of its state."""
        self.runs = bool(state["playing"])
        self.look.pacing = state["pacing"]
        self.look.loop = state["loop"]
        self._follows = bool(state["following"])
        speed = from_page(state["speed"])
        with self.drives():
            if self._follows:
                self.engine.go_live()
            elif self.engine.playing:
                self.engine.pause()
            if speed != self.engine.speed:
                self.engine.speed = speed
        self.tell(now=True)

    def pick(self, number: int) -> bool:
        """Show another game; False when it cannot be played."""
        if self.playlist is None:
            return False
        try:
            line = self.playlist.open(number)
        except Unplayable as error:
            self.link.post("trouble", text=f"cannot be played: {error}")
            return False
        self._number = number
        self.runs = False
        self.engine.load(line, show=False)
        self._mirror("load")  # at once: the cell that picked may show the player
        return True

    def tell(self, *, now: bool = False) -> None:
        """Let observers know where it is; while rows go by, at most ten times a second."""
        moment = time.monotonic()
        if now or moment - self._last_told >= TELL_SECONDS:
            self._last_told, self._owing = moment, False
            self._told()
        elif not self._owing and self.link.courier.loop is not None:
            self._owing = True  # or nobody would hear of the last of several moves
            self.link.courier.later(TELL_SECONDS, lambda: self.tell(now=True))

    # -- what somebody does with the engine itself --------------------------------------------------------------------

    @contextmanager
    def drives(self) -> Iterator[None]:
        """What the engine tells meanwhile is known to the pages."""
        self._driving += 1
        try:
            yield
        finally:
            self._driving -= 1

    def _ticked(self, _step: Step) -> None:
        if not self._driving and isinstance(self.film, Reel):
            self._trail()

    def _pushed(self, _step: Step) -> None:
        if isinstance(self.film, Tail):
            self.film.nudge()
        self._trail()

    def _trail(self) -> None:
        """Let pages and observers follow soon; many moves become one."""
        if not self._trailing:
            self._trailing = True
            self.link.courier.later(TRAIL_SECONDS, self._caught_up)

    def _caught_up(self) -> None:
        self._trailing = False
        if isinstance(self.film, Reel):
            self.link.seek(self.engine.index)
        self.tell(now=not self.engine.playing)

    def _changed(self, event: Event) -> None:
        if not self._driving or event.reason in {"load", "live"}:
            self.link.courier.soon(lambda: self._mirror(event.reason))

    def _mirror(self, reason: str) -> None:
        shown = None if self.film is None else self.film.track
        if (self.engine.timeline or self.engine.stream) is not shown:
            self._follows = False
            self.film = self._filmed()
            self.look.loop = (None, None)
            self.link.open()
        elif reason == "speed":
            self.link.post("speed", speed=to_page(self.engine.speed))
        elif reason == "loop":
            self.show_loop(self.engine.loop or (None, None))
        elif reason == "play" and isinstance(self.film, Reel):
            self.runs = False  # the engine keeps the time now, the pages follow
            self.link.post("pause")
        elif isinstance(self.film, Tail):
            self.link.post("play" if self.engine.playing else "pause")
        self.tell(now=True)
