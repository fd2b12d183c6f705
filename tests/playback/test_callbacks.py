"""Callbacks: isolated from one another, in order, strong or weak; and Arrow batches beside them."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pyarrow as pa
import pytest

from replaylab.clock import FASTEST
from tests.playing import FakeTime, Log, game, tick


def test_a_callback_that_raises_is_isolated(clock: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    """The others are called, playing goes on, and each failure is an error event, logged loudly once."""
    engine = clock.engine(game(4), speed=FASTEST)
    engine.on("tick", lambda step: 1 // (step.index - 2))
    log = Log(engine)
    engine.run()
    assert log.rows == [0, 1, 2, 3]
    [error] = log.of("error")
    assert isinstance(error.error, ZeroDivisionError)
    assert "tick" in error.reason
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_an_error_callback_that_raises_is_only_logged(clock: FakeTime) -> None:
    """A failing error callback does not tell itself for ever."""
    engine = clock.engine(game(3), speed=FASTEST)
    calls: list[Any] = []

    def fail(value: Any) -> None:
        calls.append(value)
        raise RuntimeError("no")

    engine.on("tick", fail)
    engine.on("error", fail)
    assert engine.run() == 3
    assert len(calls) == 6


def test_what_a_callback_does_is_told_after_what_it_was_told(clock: FakeTime) -> None:
    """Events reach every callback in the order in which things happened, also those that callbacks cause."""
    engine = clock.engine(game(10), speed=FASTEST)
    engine.on("tick", lambda step: step.index == 2 and engine.seek(7))
    log = Log(engine, "tick", "seek")
    engine.run()
    assert [(kind, getattr(value, "index", None)) for kind, value in log.told] == [
        ("tick", 0),
        ("tick", 1),
        ("tick", 2),
        ("seek", None),
        ("tick", 7),
        ("tick", 8),
        ("tick", 9),
    ]


def test_the_same_callback_twice_is_one_subscription(clock: FakeTime) -> None:
    """A bound method added twice is called once, and cancelling ends it for good."""
    engine = clock.engine(game(3), speed=FASTEST)
    rows: list[Any] = []
    handles = [engine.on("tick", rows.append) for _ in range(2)]
    engine.step_forward()
    assert len(rows) == 2  # the first row, and the next
    handles[0].cancel()
    handles[0].cancel()
    engine.step_forward()
    assert len(rows) == 2


def test_a_weak_callback_does_not_keep_its_object(clock: FakeTime) -> None:
    """A weak subscription ends with the object that the method belongs to; a strong one keeps it."""

    class Chart:
        def draw(self, step: Any) -> None:
            seen.append(step.index)

    seen: list[int] = []
    engine = clock.engine(game(9))
    chart = Chart()
    gone = weakref.ref(chart)
    engine.on("tick", chart.draw, weak=True)
    engine.step_forward()
    del chart
    gc.collect()
    assert gone() is None
    engine.step_forward()
    assert seen == [0, 1]
    assert engine._listeners.of["tick"] == ()


@pytest.mark.parametrize("callback", [None, 5, "print"])
def test_what_cannot_be_called_is_refused(clock: FakeTime, callback: Any) -> None:
    """A callback that is none, or a coroutine function, is refused when it is added, and so is an unknown kind."""
    engine = clock.engine(game(3))

    async def later(_step: Any) -> None: ...

    for bad in (callback, later):
        with pytest.raises(TypeError, match="callback"):
            engine.on("tick", bad)
    with pytest.raises(ValueError, match="kind='tock'"):
        engine.on("tock", print)


def test_batches_give_every_row_and_tell_what_happened(clock: FakeTime) -> None:
    """Arrow batches hold the rest of the game once; start, gap, rug and end are told, ticks are not."""
    rows = [*game(50), tick(60, price="2"), tick(61, price="0.01", rugged=True)]
    engine = clock.engine(rows)
    log = Log(engine)
    found = pa.Table.from_batches(engine.batches(20))
    assert found.column("tick").to_pylist() == [one.tick for one in rows]
    assert log.kinds == ["game_start", "gap", "rug", "game_end"]
    assert list(engine.batches()) == []
    engine.seek(49)
    assert [batch.num_rows for batch in engine.batches()] == [2]
    with pytest.raises(ValueError, match="rows=0"):
        next(engine.batches(0))
