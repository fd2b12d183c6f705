"""What callbacks receive: steps and events; and the status of an engine. All of them small frozen values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, Protocol, get_args

from replaylab.tick import Phase, Tick, price_text, short_id


class Mode(StrEnum):
    """What an engine holds: nothing, one stored game, or a live ring; one at a time."""

    EMPTY = "empty"
    FILE = "file"
    LIVE = "live"


# What can be listened to. `tick` and `push` bring a Step, all others an Event. Plain texts: an Enum is slow to look up.
Kind = Literal["tick", "push", "seek", "state", "game_start", "game_end", "rug", "gap", "error"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


class Track(Protocol):
    """What holds the rows that steps point at: a timeline, or one tick of a live game."""

    @property
    def mode(self) -> Mode:
        """Where the rows come from."""

    @property
    def stop(self) -> int:
        """One more than the greatest index."""

    def value(self, name: str, index: int) -> Any:
        """Return the value of a column in a row; None where it is null."""


class Step(NamedTuple):
    """One tick at the playhead; its values are read from the game when they are asked for.

    Parameters
    ----------
    index : int
        Place of the row in the game, from 0.
    track : Track
        What holds the rows.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> tick = Tick(game_id="g", tick=7, timestamp="2031-01-02T03:04:05", price="1.02", active=True)
    >>> step = Step(7, Received(tick, 8))
    >>> step.tick, step.price, step.progress, step.mode
    (7, Decimal('1.02'), 1.0, <Mode.LIVE: 'live'>)
    """

    index: int  # type: ignore[assignment]  # a step is found by its index, never searched in
    track: Track

    def __repr__(self) -> str:
        price = "no price" if self.price is None else price_text(self.price)
        row = f"row {self.index} of {self.total}"
        return f"Step({short_id(self.game_id)!r}, {row}, tick {self.tick}, {price}, {self.phase})"

    @property
    def total(self) -> int:
        """Rows of the game (received so far, when live)."""
        return self.track.stop

    @property
    def progress(self) -> float:
        """How far into the game, above 0 and up to 1."""
        return (self.index + 1) / self.track.stop

    @property
    def mode(self) -> Mode:
        """Where the tick comes from."""
        return self.track.mode

    @property
    def game_id(self) -> str:
        """Id of the game."""
        return str(self.track.value("game_id", self.index))

    @property
    def tick(self) -> int:
        """Number of the tick; neither unique nor monotone."""
        return int(self.track.value("tick", self.index))

    @property
    def price(self) -> Decimal | None:
        """Exact price; None where the recorder had none and filled one in."""
        price: Decimal | None = self.track.value("price", self.index)
        return price

    @property
    def timestamp(self) -> datetime | None:
        """When it was received, UTC; None where that is unknown."""
        moment: datetime | None = self.track.value("timestamp", self.index)
        return moment

    @property
    def phase(self) -> Phase:
        """The phase that follows from the flags."""
        return Phase.of(active=self.active, rugged=self.rugged, tick=self.tick, cooldown_timer=self.cooldown_timer)

    @property
    def recorded_phase(self) -> str | None:
        """The name that the recorder gave the phase."""
        name: str | None = self.track.value("recorded_phase", self.index)
        return name

    @property
    def active(self) -> bool:
        """Whether the game was active."""
        return bool(self.track.value("active", self.index))

    @property
    def rugged(self) -> bool:
        """Whether the game had rugged."""
        return bool(self.track.value("rugged", self.index))

    @property
    def cooldown_timer(self) -> int | None:
        """Milliseconds to the start."""
        timer: int | None = self.track.value("cooldown_timer", self.index)
        return timer

    @property
    def trade_count(self) -> int | None:
        """Trades so far."""
        count: int | None = self.track.value("trade_count", self.index)
        return count

    def value(self, column: str) -> Any:
        """Return any column of the row, such as ``step.value("line")``; None where it is null or not there."""
        return self.track.value(column, self.index)


_IN_TICK: Final = {"recorded_phase": "phase"}
new_step: Final[Callable[[type[Step], tuple[int, Track]], Step]] = tuple.__new__  # a third of the time of Step(...)


class Received(NamedTuple):
    """The track of one live tick: it stays what it was when the ring has long evicted it."""

    received: Tick
    stop: int

    @property
    def mode(self) -> Mode:
        """Live."""
        return Mode.LIVE

    def value(self, name: str, index: int) -> Any:
        """Return a value of the tick."""
        del index
        return getattr(self.received, _IN_TICK.get(name, name), None)


_new_received: Final[Callable[[type[Received], tuple[Tick, int]], Received]] = tuple.__new__


def received_step(tick: Tick, index: int) -> Step:
    """Return the step of a live tick that is the newest.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> received_step(Tick(game_id="g", tick=7, timestamp="2031-01-02T03:04:05", price="1.02"), 3).total
    4
    """
    return new_step(Step, (index, _new_received(Received, (tick, index + 1))))


@dataclass(frozen=True, slots=True)
class Gap:
    """A place where something is missing before a row.

    Parameters
    ----------
    index : int
        The first row after it.
    reason : str
        ``missing``: tick numbers were left out. ``stall``: nothing came for a while.
    missing : int
        Tick numbers left out.
    seconds : float
        Time between the rows around it; 0 where it is unknown.
    """

    index: int
    reason: str
    missing: int
    seconds: float


@dataclass(frozen=True, slots=True, repr=False)
class Status:
    """Everything that can be asked of an engine at one moment; plain numbers, flags and names.

    `index` is -1 and `progress` 0.0 before anything was shown. `lag` and `max_lag` are seconds by which ticks came late
    because a callback was slow; `waiting` counts events that wait for a callback that runs, `missed` live ticks that
    callbacks were too slow to receive.
    """

    mode: Mode
    game_id: str | None
    index: int
    total: int
    tick: int | None
    progress: float
    playing: bool
    following: bool
    speed: float
    at_start: bool
    at_end: bool
    loop: tuple[int, int] | None
    closed: bool
    lag: float
    max_lag: float
    pushed: int
    refused: int
    waiting: int
    missed: int
    duplicates: int
    regressions: int
    gaps: int
    ring_ticks: int
    ring_size: int
    ring_bytes: int

    def __repr__(self) -> str:
        state = "closed" if self.closed else "following" if self.following else "playing" if self.playing else "paused"
        words = [
            self.mode.value,
            f"game {short_id(self.game_id)!r}",
            f"row {self.index} of {self.total}",
            state,
            f"{self.speed:g}x",
        ]
        words += [f"{name} {count:,}" for name in ("gaps", "missed", "refused") if (count := getattr(self, name))]
        return f"Status({', '.join(words)})"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, other than a tick.

    Parameters
    ----------
    kind : Kind
        What happened.
    game_id : str, optional
        The game it happened in.
    step : Step, optional
        Where the playhead was, or the tick that it is about.
    reason : str
        Why: ``seek``, ``loop``, ``stop`` ... for a seek, ``end``, ``replaced``, ``superseded`` for the end of a game,
        the message of an error.
    gap : Gap, optional
        For a gap.
    status : Status, optional
        For a change of state: what it is now.
    error : Exception, optional
        For an error.
    """

    kind: Kind
    game_id: str | None = None
    step: Step | None = None
    reason: str = ""
    gap: Gap | None = None
    status: Status | None = None
    error: Exception | None = None


Callback = Callable[[Any], object]
