"""What a page may send to the kernel: every message is input, and is checked here before anything acts on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from replaylab.playback.timeline import Pacing

MAX_INTEGER: Final = 2**52  # a page's numbers are doubles, which count exactly up to twice this
MAX_ITEMS: Final = 10_000  # ranges in one report
MAX_JUMPS: Final = 1_000_000_000  # of a page between two of the kernel
MAX_ROWS: Final = 10_000_000  # rows that one report may stand for, repeats of a loop included

Whole = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
Place = Annotated[int, Field(ge=-1, le=MAX_INTEGER)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Shape = Literal["flag", "up", "down", "cross", "dot"]


class _Checked(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class _Message(_Checked):
    client: Text  # the page that sends it


class RowRange(_Checked):
    """Rows that a page showed: `lo` to `hi`, both included, `times` times (the passes of a loop).

    `gen` is the generation of the playhead: it grows with each jump. What was shown in a generation before the last
    jump of the kernel is late. `reason` is ``play`` or ``step`` for rows one after another, ``seek``, ``stop`` or
    ``loop`` for a jump of the page, ``told`` for one that the kernel asked for.
    """

    gen: Whole
    lo: Place
    hi: Place
    reason: Literal["play", "step", "seek", "stop", "loop", "told"]
    times: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 1


class Ready(_Message):
    """A page that opens asks for the game."""

    kind: Literal["ready"]


class Script(_Message):
    """A page that has no player yet asks for its script."""

    kind: Literal["script"]


class Shown(_Message):
    """The rows that were shown since the last report."""

    kind: Literal["pos"]
    number: Whole
    items: Annotated[list[RowRange], Field(max_length=MAX_ITEMS)]


class State(_Message):
    """What a user changed in a page; `speed` is null for as fast as possible."""

    kind: Literal["state"]
    gen: Whole
    playing: bool
    row: Place
    speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None
    pacing: Pacing
    loop: Annotated[list[Whole | None], Field(min_length=2, max_length=2)]
    selection: Annotated[list[Whole | None], Field(min_length=2, max_length=2)] | None = None
    following: bool = False
    log: bool | None = None
    ahead: bool | None = None
    candles: Annotated[int, Field(ge=0, le=10_000)] | None = None
    play_on: bool | None = None


class Pick(_Message):
    """A user chose another game; with `play` it is the one that follows the one before, and plays at once."""

    kind: Literal["pick"]
    number: Whole
    play: bool = False


class Want(_Message):
    """A page asks for a chunk of a long game."""

    kind: Literal["want"]
    id: Text
    number: Whole


class Advance(_Message):
    """A user goes on by some rows of a game whose future is hidden: only the kernel has them."""

    kind: Literal["advance"]
    rows: Annotated[int, Field(ge=1, le=1_000)]


class Blind(_Message):
    """A user hides what lies ahead in the kernel, or shows it again."""

    kind: Literal["blind"]
    on: bool


class MarkMade(_Message):
    """A user put a mark at a row, and perhaps at a price."""

    kind: Literal["mark"]
    row: Whole
    label: Annotated[str, Field(max_length=200)] = ""
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None
    shape: Shape = "flag"
    price: Annotated[float, Field(allow_inf_nan=False)] | None = None


class MarkGone(_Message):
    """A user removed the marks at a row."""

    kind: Literal["unmark"]
    row: Whole


Message = Ready | Script | Shown | State | Pick | Want | Advance | Blind | MarkMade | MarkGone
_READER: Final[TypeAdapter[Any]] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])


@dataclass(frozen=True, slots=True)
class Limits:
    """What a message has to stay within at the moment when it arrives.

    Parameters
    ----------
    gen : int
        Generation of the kernel's last jump.
    rows : int
        One more than the greatest row of the game.
    live : bool
        Whether the newest row can be followed: in a live game, and in one whose future is hidden.
    speeds : (float, float)
        Least and greatest speed.
    games : int
        Games that can be picked.
    """

    gen: int
    rows: int
    live: bool
    speeds: tuple[float, float]
    games: int


def read_message(content: object) -> Message:
    """Return the message that a page sent; raise `ValueError` that says which field is wrong.

    Examples
    --------
    >>> read_message({"kind": "pick", "client": "a", "number": 2}).number
    2
    >>> read_message({"kind": "pick", "client": "a", "number": True})
    Traceback (most recent call last):
    ...
    ValueError: pick.number: Input should be a valid integer
    """
    try:
        message: Message = _READER.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "message"
        raise ValueError(f"{place}: {first['msg']}") from None
    return message


def check_limits(message: Message, limits: Limits) -> None:
    """Raise `ValueError` when a message names a row, speed or game that is not there.

    What is of an earlier generation is late, not wrong; it is not checked.

    Examples
    --------
    >>> limits = Limits(gen=1, rows=10, live=False, speeds=(0.1, 100.0), games=1)
    >>> check_limits(read_message({"kind": "pick", "client": "a", "number": 2}), limits)
    Traceback (most recent call last):
    ...
    ValueError: pick.number: 2, but there are 1 games
    """
    if isinstance(message, Pick) and message.number >= limits.games:
        raise ValueError(f"pick.number: {message.number}, but there are {limits.games} games")
    if isinstance(message, (MarkMade, MarkGone)) and message.row >= limits.rows:
        raise ValueError(f"{message.kind}.row: {message.row}, but there are {limits.rows} rows")
    gens = [message.gen] if isinstance(message, State) else []
    if isinstance(message, Shown):
        _check_shown(message, limits)
        gens = [item.gen for item in message.items]
    if any(gen > limits.gen + MAX_JUMPS for gen in gens):  # one that is believed would make all later ones late
        raise ValueError(f"{message.kind}.gen: {max(gens)}, but the last jump of the kernel is {limits.gen}")
    if isinstance(message, State) and message.gen >= limits.gen:
        _check_state(message, limits)


def _check_shown(message: Shown, limits: Limits) -> None:
    total = 0
    for item in message.items:
        if item.gen < limits.gen:
            continue
        if not item.lo <= item.hi < max(limits.rows, 1):
            raise ValueError(f"pos.items: rows {item.lo} to {item.hi}, but there are {limits.rows}")
        total += (item.hi - item.lo + 1) * item.times
    if total > MAX_ROWS:
        raise ValueError(f"pos.items: {total} rows in one report, more than {MAX_ROWS}")


def _check_state(message: State, limits: Limits) -> None:
    least, most = limits.speeds
    if message.speed is not None and not least <= message.speed <= most:
        raise ValueError(f"state.speed: {message.speed}, not within {least} and {most}")
    if any(row is not None and row >= limits.rows for row in message.loop):
        raise ValueError(f"state.loop: {message.loop}, but there are {limits.rows} rows")
    first, last = message.selection or (None, None)
    if (first is None) != (last is None) or (
        first is not None and last is not None and not first <= last < limits.rows
    ):
        raise ValueError(f"state.selection: {message.selection}, but there are {limits.rows} rows")
    if message.following and not limits.live:
        raise ValueError("state.following: the game is not live")
