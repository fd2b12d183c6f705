"""Encoder: what it remembers of one tick never shows in the line of another."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from types import FrameType
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from replaylab.journals import encoder as module
from replaylab.journals.encoder import Encoder, closed, origin_text, seed_of
from replaylab.tick import Tick
from tests.strategies import ticks as any_tick

RUN: Final = "20310102T030405000000Z-0123456789ab-7"


class _Price(Decimal):
    def __str__(self) -> str:
        return "7e0"


class _Number(int):
    pass


class _Text(str):
    __slots__ = ()


IDS: Final = ("g", "h", 'a "b" \\', "日本-\U0001f680\n", _Text("sub"), "x" * 5_000)
PHASES: Final = ("ACTIVE_GAMEPLAY", "PRESALE", 'p"q', "фаза", _Text("PRESALE"), "y" * 5_000)
PRICES: Final = ("1", "1.0", "1.0234567890123456", "100", "-0.0", "0E-24", "1E+2", "6.2E-5", "1" * 14, f"0.{'0' * 23}1")
TIMES: Final = (
    datetime(2031, 1, 2, 3, 4, 59, 999_999, UTC),
    datetime(2031, 1, 2, 3, 5, tzinfo=UTC),
    datetime(2031, 1, 2, 3, 5, 59, 1, UTC),
    datetime(2031, 1, 2, 3, 5, 59, 1, UTC, fold=1),
    datetime(9998, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(2, 1, 1, 0, 0, 0, 100_000, UTC),
)


def near() -> st.SearchStrategy[Tick]:
    """Ticks that share most of their values with others."""
    number = st.sampled_from([0, 1, _Number(12), 2**31 - 1])
    return st.builds(
        Tick,
        game_id=st.sampled_from(IDS),
        tick=number,
        timestamp=st.sampled_from(TIMES),
        price=st.sampled_from([*map(Decimal, PRICES), _Price("1.5"), 3, "2.50"]),
        phase=st.sampled_from(PHASES),
        active=st.booleans(),
        rugged=st.booleans(),
        cooldown_timer=st.sampled_from([0, -1, 9_750, -(2**31 - 1)]),
        trade_count=number,
    )


def careful(tick: Tick, seq: int, origin: str = "") -> bytes:
    """The line without anything remembered."""
    return closed(tick.to_line()[:-1] + origin.encode() + b', "seq": %d' % seq, seed_of(RUN))


@given(
    given=st.lists(st.tuples(st.one_of(near(), near(), any_tick()), st.integers(0, 10**18), st.booleans()), max_size=30)
)
def test_lines_are_those_of_the_careful_way(given: list[tuple[Tick, int, bool]]) -> None:
    """One encoder writes ticks of any kind, in any order, byte for byte as each alone is written."""
    encoder, origin = Encoder(RUN), origin_text("lane", "e-1")
    for tick, seq, resumed in given:
        told = origin if resumed else ""
        assert encoder.line(tick, seq, told) == careful(tick, seq, told)


def test_more_texts_than_are_remembered() -> None:
    """Of any number of games and phases only some are kept, and each comes back as it was."""
    made = [Tick(f"g-{number}", number, TIMES[0], Decimal("1.5"), phase=f"p-{number}") for number in range(5_000)]
    encoder = Encoder(RUN)
    for seq, tick in enumerate([*made, *made[:10]]):
        assert encoder.line(tick, seq) == careful(tick, seq)
    assert len(encoder._games) <= 4_096
    assert len(encoder._phases) <= 4_096


@contextmanager
def interrupted(at: int) -> Iterator[None]:
    """Raise KeyboardInterrupt before an operation of the encoder, as a signal may at any moment."""
    left = [at]

    def trace(frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != module.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left[0] -= 1
            if left[0] < 0:
                sys.settrace(before)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)


def test_an_interrupt_leaves_no_text_of_another_tick() -> None:
    """Ctrl-C while a minute, a phase or a game is remembered spoils no line after it, whichever tick comes next."""
    first = Tick("g", 1, TIMES[1], Decimal("1.5"), phase="PRESALE")
    second = Tick("h", 2, TIMES[0], Decimal("1.25"), phase="ACTIVE_GAMEPLAY", active=True)
    at, ended = 0, False
    while not ended:
        for later in ((first, second), (second, first)):
            encoder = Encoder(RUN)
            encoder.line(first, 1)
            try:
                with interrupted(at):
                    encoder.line(second, 2)
                ended = True
            except KeyboardInterrupt:
                pass
            for tick in later:
                assert encoder.line(tick, 3) == careful(tick, 3)
        at += 1
    assert at > 100  # operations of one line
