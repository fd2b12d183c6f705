"""The ring: exact, bounded, equally quick at any size, and never torn."""

from __future__ import annotations

import random
import threading
import time
import tracemalloc
from decimal import Decimal
from typing import Any

import pytest

from replaylab.errors import SettingsError
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.ring import RingBuffer
from replaylab.tick import Tick
from tests.playing import game, tick


def filled(size: int, rows: int) -> RingBuffer:
    """A ring after some pushes."""
    ring = RingBuffer(size)
    for one in game(rows):
        ring.push(one)
    return ring


def test_default_size() -> None:
    """Without a size it keeps 5,000 ticks."""
    assert RingBuffer().size == 5000


@pytest.mark.parametrize("size", [0, -1, 2.5, "9", None, True])
def test_size_below_one_is_an_error(size: int) -> None:
    """A size that is no whole number above zero is a ValueError that names it."""
    with pytest.raises(SettingsError, match=repr(size)) as caught:
        RingBuffer(size)
    assert isinstance(caught.value, ValueError)


def test_empty() -> None:
    """An empty ring has no oldest, no newest, no length and is false."""
    ring = RingBuffer(3)
    assert (ring.oldest, ring.newest, len(ring), bool(ring), ring.is_full) == (None, None, 0, False, False)
    assert ring.latest() == []
    assert ring.to_table().num_rows == 0


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 300, 600, 1000])
def test_the_oldest_goes_first(rows: int) -> None:
    """What is kept is the last ticks, oldest first, as they were given."""
    given = game(rows)
    ring = filled(3, rows)
    assert ring.latest() == given[-3:]
    assert (ring.oldest, ring.newest) == (given[-3:][0], given[-1])
    assert (len(ring), ring.is_full, bool(ring)) == (min(rows, 3), rows >= 3, True)
    assert (ring.first, ring.stop) == (max(0, rows - 3), rows)


@pytest.mark.parametrize(("n", "expected"), [(None, 10), (99, 10), (10, 10), (3, 3), (1, 1), (0, 0), (-5, 0)])
def test_latest(n: int | None, expected: int) -> None:
    """More than there is gives all, none or less gives nothing, no number gives all; newest last."""
    assert filled(10, 25).latest(n) == game(25)[25 - expected :]


def test_latest_is_a_copy() -> None:
    """Nobody can change the ring through what it gave."""
    ring = filled(5, 5)
    ring.latest().clear()
    assert len(ring.latest()) == 5


def test_tick_range_includes_both_ends() -> None:
    """Ticks are found by number, both ends included, doubles too, in the order received."""
    ring = RingBuffer(10)
    for number in (1, 2, 2, 9, 3):
        ring.push(tick(number))
    assert [one.tick for one in ring.between(2, 3)] == [2, 2, 3]
    assert ring.between(10, 99) == []


def test_positions_never_change() -> None:
    """A tick is found at its position until it is evicted, never another one in its place."""
    ring = filled(5, 20)
    assert ring.at(17) == game(20)[17]
    assert (ring.at(14), ring.at(20), ring.at(-1)) == (None, None, None)


def test_clear_forgets_and_counts_on() -> None:
    """After clearing there is nothing, and the next tick has the next position."""
    ring = filled(5, 8)
    ring.clear()
    assert (len(ring), ring.latest(), ring.newest, ring.first) == (0, [], None, 8)
    assert ring.push(tick(1)) == 8
    assert ring.latest() == [tick(1)]


def test_ten_thousand_prices_come_back_exactly() -> None:
    """Random prices of 18 decimals, and the extremes that can be stored, come back as they went in."""
    chance = random.Random(3)
    prices = [Decimal(chance.randrange(10**21)).scaleb(-18) for _ in range(10_000)]
    prices += map(Decimal, ["1E-24", "1E+13", "99999999999999.999999999999999999999999", "-1.5", "0", "-1E-24", "1.10"])
    ring = RingBuffer(len(prices))
    for price in prices:
        ring.push(tick(1, price=price))
    assert [one.price for one in ring.latest()] == prices
    assert ring.to_table().column("price").to_pylist() == prices


def test_every_field_comes_back() -> None:
    """A tick read back is equal to the one pushed, in every field."""
    given = Tick("日本", 7, "2031-01-02T03:04:05.000001", "1.02", "PRESALE", False, True, -3, 9)  # type: ignore[arg-type]
    ring = RingBuffer(1)
    ring.push(given)
    assert ring.newest == given
    assert ring.to_table().to_pylist()[0]["recorded_phase"] == "PRESALE"


def test_memory_is_measured_and_small() -> None:
    """A full ring of 5,000 ticks holds at most 1 MB, and says how much, within a tenth of what Python measures."""
    given = game(5300)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        ring = RingBuffer(5000)
        for one in given:
            ring.push(one)
        held = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert held <= 1_000_000
    assert ring.nbytes == pytest.approx(held, rel=0.1)


def test_pushing_onto_a_full_ring_allocates_nothing() -> None:
    """Twenty thousand more pushes leave no byte behind that the ring did not have."""
    given = game(2000)
    ring = RingBuffer(500)
    for one in given:
        ring.push(one)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(10):
            for one in given:
                ring.push(one)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 4096


class Counted:
    """A column of a ring that counts how often it is written and read."""

    def __init__(self, column: Any) -> None:
        self.column = column
        self.nbytes = 0
        self.writes = self.reads = 0

    def __setitem__(self, place: int, value: Any) -> None:
        self.writes += 1
        self.column[place] = value

    def __getitem__(self, place: Any) -> Any:
        self.reads += 1
        return self.column[place]


COLUMNS = ("_tick", "_at", "_low", "_high", "_flags", "_timer", "_trades", "_game", "_phase")


@pytest.mark.parametrize("size", [1_000, 100_000])
@pytest.mark.parametrize("through", ["ring", "engine"])
def test_push_costs_the_same_at_any_size(size: int, through: str) -> None:
    """A push onto a full ring writes one place of each column and reads none, whatever the size: nothing is copied."""
    engine = ReplayEngine(ring_ticks=size)
    engine.push(tick(0, 0))
    assert engine.stream is not None
    ring = engine.stream.ring
    for number in range(1, size + 1_000):
        ring.push(tick(number, 0)) if number < size else engine.push(tick(number, 0))
    assert ring.is_full
    counted = [Counted(getattr(ring, name)) for name in COLUMNS]
    for name, column in zip(COLUMNS, counted, strict=True):
        setattr(ring, name, column)
    push = ring.push if through == "ring" else engine.push
    for number in range(size + 1_000, size + 1_010):
        push(tick(number, 0))
    assert [(column.writes, column.reads) for column in counted] == [(10, 0)] * len(COLUMNS)


def test_readers_never_see_a_torn_row() -> None:
    """While one thread writes, every reader gets whole rows, without a hole, newest last, none too few."""
    ring = RingBuffer(200)
    given = [
        tick(n, price=Decimal(n) / 7 if n % 7 == 0 else n, cooldown_timer=n, trade_count=n, game=f"game-{n % 13}")
        for n in range(4000)
    ]
    for one in given[:200]:
        ring.push(one)
    done = threading.Event()
    wrong: list[object] = []
    reads = [0, 0, 0]

    def read(reader: int) -> None:
        while not done.is_set():
            rows = ring.latest()
            numbers = [one.tick for one in rows]
            good = numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else False
            if not good or len(rows) != 200 or any(one != given[one.tick] for one in rows):
                wrong.append(numbers[:3])
            reads[reader] += 1

    readers = [threading.Thread(target=read, args=(number,)) for number in range(3)]
    for thread in readers:
        thread.start()
    for position, one in enumerate(given[200:]):
        ring.push(one)
        if position % 50 == 0:
            time.sleep(0.001)
    done.set()
    for thread in readers:
        thread.join(10)
    assert not wrong
    assert min(reads) > 0


def test_a_reader_overtaken_while_it_copies_gets_the_newest() -> None:
    """Rows that the writer reaches in the middle of a copy are copied again: never half old, none too few."""
    ring = RingBuffer(10)
    given = [tick(n, game=f"game-{n}") for n in range(2000)]
    ahead = iter(given)

    class Names(list[str]):
        """Copied last; the writer is quicker than the reader, at each copy but the last."""

        overtaken = 0

        def __getitem__(self, place: Any) -> Any:
            if isinstance(place, slice) and self.overtaken < 3:
                self.overtaken += 1
                for one in [next(ahead) for _ in range(ring._rows)]:
                    ring.push(one)
            return super().__getitem__(place)

    for one in [next(ahead) for _ in range(10)]:
        ring.push(one)
    names = ring._game = Names(ring._game)
    rows = ring.latest()
    assert names.overtaken == 3
    assert rows == given[ring.stop - 10 : ring.stop]


class Suspended(list[str]):
    """The last column that a push writes; the writer is suspended just before it, as a thread may be."""

    def __setitem__(self, place: Any, value: Any) -> None:
        raise InterruptedError


def test_a_row_half_written_is_not_there_yet() -> None:
    """A reader that comes in the middle of a push gets the rows before it, and nothing of it."""
    ring = RingBuffer(10)
    given = [tick(n, price=n, game=f"game-{n}") for n in range(30)]
    for one in given[:20]:
        ring.push(one)
    ring._phase = Suspended(ring._phase)
    with pytest.raises(InterruptedError):
        ring.push(given[20])
    assert ring.latest() == given[10:20]
    assert (ring.stop, ring.newest, ring.at(20)) == (20, given[19], None)


def test_a_row_that_is_being_overwritten_is_left_out() -> None:
    """The writer announces a row before it overwrites it: a reader overtaken in that very push leaves it out."""
    ring = RingBuffer(10)
    rows = ring._rows
    given = [tick(n, price=n, game=f"game-{n}") for n in range(10 + rows)]

    class Names(list[str]):
        """Copied after the numbers and before the phases; meanwhile the writer comes round to the first row copied."""

        overtaken = False

        def __getitem__(self, place: Any) -> Any:
            if isinstance(place, slice) and not self.overtaken:
                self.overtaken = True
                for one in given[10:rows]:
                    ring.push(one)
                ring._phase = Suspended(ring._phase)
                with pytest.raises(InterruptedError):
                    ring.push(given[rows])  # into the place of row 0
            return super().__getitem__(place)

    for one in given[:10]:
        ring.push(one)
    ring._game = Names(ring._game)
    found = ring.latest()
    assert all(one == given[one.tick] for one in found)
    assert 0 not in [one.tick for one in found]


def test_a_row_overtaken_while_it_is_read_is_none() -> None:
    """`at` returns the tick of its position or None, also when the writer overtakes it, never a later tick."""
    ring = RingBuffer(10)
    given = [tick(n, price=n, game=f"game-{n}") for n in range(600)]

    class Names(list[str]):
        """Copied after the numbers; meanwhile the writer goes far beyond the row that is read."""

        overtaken = False

        def __getitem__(self, place: Any) -> Any:
            if isinstance(place, slice) and not self.overtaken:
                self.overtaken = True
                for one in given[10:]:
                    ring.push(one)
            return super().__getitem__(place)

    for one in given[:10]:
        ring.push(one)
    ring._game = Names(ring._game)
    assert ring.at(5) is None
    assert ring.at(595) == given[595]
