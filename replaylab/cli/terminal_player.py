"""Terminal player: a game as one live line with keys; where the output is no terminal, as one line a tick."""

from __future__ import annotations

import math
import os
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from replaylab.cli.live_line import LiveLine
from replaylab.clock import FASTEST, checked_speed
from replaylab.errors import SettingsError
from replaylab.exports.selection import moment
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.event import Event, Step
from replaylab.tick import price_text

HELP: Final = "q ends, space pauses, left and right step, + and - change the speed"
_FRAME_SECONDS: Final = 0.05
_FASTER: Final = 2.0
_KEYS: Final = {
    b"q": "quit",
    b"Q": "quit",
    b"\x04": "quit",
    b" ": "pause",
    b"\x1b[C": "on",
    b"\x1b[D": "back",
    b"+": "faster",
    b"=": "faster",
    b"-": "slower",
}


def tick_line(step: Step) -> str:
    """Return a tick in words: its number, its exact price and its phase.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> engine = ReplayEngine([Tick(game_id="g", tick=7, timestamp="2031-01-02T03:04:05", price="1.020", active=True)])
    >>> tick_line(engine.current)
    'tick 7  1.02  ACTIVE_GAMEPLAY'
    """
    price = "no price" if step.price is None else price_text(step.price)
    return f"tick {step.tick:,}  {price}  {step.phase}"


def row_at(engine: ReplayEngine, place: str) -> int:
    """Return the row of a tick number or of a time (UTC), both as text.

    Raises
    ------
    SettingsError
        When it is neither, or the game has no such place.
    """
    line = engine.timeline
    if line is None:
        raise SettingsError(f"{place!r}: there is no stored game to look in")
    if place.removeprefix("-").isdecimal():
        found = engine.seek_tick(int(place))
    else:
        when = moment("--from", place)
        found = when is not None and engine.seek_time(when)
    if not found:
        raise SettingsError(
            f"{place!r}: game {line.game_id} has no such place; its ticks are {line.tick.min():,} to "
            f"{line.tick.max():,}, its times {_time_text(line.at_us[0])} to {_time_text(line.at_us[-1])}"
        )
    return engine.index


def speed_of(text: str) -> float:
    """Return the speed that a text says: a number, or ``max`` for as fast as possible; raises `SpeedError`.

    Examples
    --------
    >>> speed_of("2"), speed_of("max")
    (2.0, inf)
    """
    try:
        return FASTEST if text == "max" else checked_speed(float(text))
    except ValueError:
        return checked_speed(text)


def print_ticks(engine: ReplayEngine, row: int | None = None, out: TextIO | None = None) -> int:
    """Play from a row to the end, one line a tick; return how many.

    Parameters
    ----------
    engine : ReplayEngine
        With a stored game.
    row : int, optional
        Where to begin; where the engine stands unless given.
    out : TextIO, optional
        By default standard output.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> ticks = [Tick(game_id="g", tick=n, timestamp="2031-01-02T03:04:05", price=1 + n, active=True)
    ...          for n in range(2)]
    >>> print_ticks(ReplayEngine(ticks, speed=FASTEST))
    tick 0  1  GAME_ACTIVATION
    tick 1  2  ACTIVE_GAMEPLAY
    2
    """
    written = sys.stdout if out is None else out
    failed: list[Exception] = []
    shown: list[None] = []

    def show(step: Step) -> None:
        if failed:
            return
        try:
            written.write(tick_line(step) + "\n")
            written.flush()
            shown.append(None)
        except OSError as error:  # the reader has gone: an engine would play on
            failed.append(error)
            engine.pause()

    with engine.on("tick", show):
        if row is not None:
            engine.seek(row)
        engine.run()
    if failed:
        raise failed[0]
    return len(shown)


class Watch:
    """A line of a terminal in which a game plays, and the keys that control it.

    Parameters
    ----------
    engine : ReplayEngine
        With a stored game.
    out : TextIO
        The terminal.
    width : int, optional
        Columns; asked of the terminal unless given.
    """

    def __init__(self, engine: ReplayEngine, out: TextIO, width: int | None = None) -> None:
        self.engine = engine
        self.shown = 0
        self._live = LiveLine(out, width=width)
        self._news: deque[str] = deque()
        self._step: Step | None = None
        self._paused = False

    def run(self, key: Callable[[float], str | None], row: int | None = None) -> int:
        """Play from a row until the end or ``quit``; `key` waits some seconds for a key and returns what it means."""
        engine = self.engine
        with engine.on("tick", self._ticked), engine.on("rug", self._happened), engine.on("gap", self._happened):
            self._live.say(HELP)
            if row is not None:
                engine.seek(row)
            engine.play()
            try:
                while (engine.playing or self._paused) and self._act(key(_FRAME_SECONDS)):
                    self._draw()
            finally:
                engine.pause()
                self._draw()
                self._live.close()
        return self.shown

    def _ticked(self, step: Step) -> None:
        self.shown += 1
        self._step = step

    def _happened(self, event: Event) -> None:
        gap, step = event.gap, event.step
        missing = f"{gap.missing:,} ticks are missing" if gap and gap.missing else ""
        what = missing or (f"nothing came for {gap.seconds:,.1f} s" if gap else "rug")
        self._news.append(f"{what}: {tick_line(step)}" if step else what)

    def _act(self, key: str | None) -> bool:
        """Do what a key means; False ends it."""
        engine = self.engine
        if key == "quit":
            return False
        if key == "pause":
            self._paused = engine.playing
            engine.pause() if self._paused else engine.play()
        elif key in {"on", "back"}:
            self._paused = True
            engine.pause()
            engine.step_forward() if key == "on" else engine.step_backward()
        elif key in {"faster", "slower"} and engine.speed != FASTEST:
            least, most = engine.speed_bounds
            engine.speed = min(max(engine.speed * (_FASTER if key == "faster" else 1 / _FASTER), least), most)
        return True

    def _draw(self) -> None:
        """Print what happened since, above the line that says where it is."""
        while self._news:
            self._live.say(self._news.popleft())
        if self._step is not None:
            self._live.show(self._line(self._step))

    def _line(self, step: Step) -> str:
        sign = "||" if self._paused else "> "
        speed = "max" if self.engine.speed == FASTEST else f"{self.engine.speed:g}x"
        words = f"{sign} {tick_line(step)}  {speed}  {step.progress:4.0%} "
        room = self._live.width - len(words) - 2
        return words + (f"[{'=' * math.floor(room * step.progress):<{room}}]" if room >= 10 else "")


@contextmanager
def keyboard(source: TextIO) -> Iterator[Callable[[float], str | None]]:
    """Return a function that waits for a key and says what it means; on leaving the terminal is as it was before."""
    if not source.isatty():
        yield _no_key
        return
    import termios
    import tty

    descriptor = source.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)

    def wait(seconds: float) -> str | None:
        if not select.select([descriptor], [], [], seconds)[0]:
            return None
        pressed = os.read(descriptor, 16)
        return _KEYS.get(pressed, None if pressed else "quit")

    try:
        yield wait
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _no_key(seconds: float) -> str | None:
    time.sleep(seconds)
    return None


def _time_text(at_us: int) -> str:
    from datetime import UTC, datetime, timedelta

    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(at_us)):%Y-%m-%dT%H:%M:%S}"
