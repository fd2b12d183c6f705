"""Ticks and Arrow: the schema, columns with nothing lost, times in zones, and the orders of rows."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.columns import column
from replaylab.segments.order import in_order_received, sorted_by_game
from replaylab.table import (
    PRICE_TYPE,
    SCHEMA,
    Batch,
    Names,
    doubtful_times,
    phase_codes,
    to_table,
    to_utc,
)
from replaylab.tick import Phase, Row, microseconds
from tests.strategies import prices

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=8)


def row(game: str = "g", tick: int = 0, **values: object) -> Row:
    """Give a row with little in it."""
    empty = Row(game, tick, None, True, None, False, None, False, False, None, None)
    return empty._replace(**values)  # type: ignore[arg-type]


def table(rows: list[Row], sources: list[str] | None = None, zone: str = "UTC") -> pa.Table:
    """Give the table of rows, numbered within their sources."""
    names = sources or ["s"] * len(rows)
    seq = [names[:place].count(name) for place, name in enumerate(names)]
    batch = Batch.of(rows, range(len(rows)))
    return to_table(batch, source=Names.of(names), seq=np.array(seq, np.int64), line=batch.line + 1, zone=zone)


@given(st.lists(prices(), max_size=6))
def test_prices_go_to_arrow_exactly(given_prices: list[Decimal]) -> None:
    """Any storable prices together make one column of equal values."""
    found = table([row(price=price) for price in given_prices])
    assert found.schema == SCHEMA
    assert found.column("price").to_pylist() == given_prices


def test_what_is_not_known_is_null() -> None:
    """Unknown time, price, phase, timer and trades are null, and nothing else is."""
    full = row(wall_us=5, price=Decimal(1), recorded_phase="P", cooldown_timer=-1, trade_count=2)
    found = table([full, row()])
    nulls = {"timestamp", "price", "recorded_phase", "cooldown_timer", "trade_count"}
    assert {name for name in SCHEMA.names if found.column(name).to_pylist()[1] is None} == nulls
    assert all(found.column(name).null_count == (name in nulls) for name in SCHEMA.names)
    assert found.column("cooldown_timer").to_pylist()[0] == -1


def test_no_rows_make_an_empty_table() -> None:
    """Nothing scanned is a table of the schema without rows."""
    assert table([]) == SCHEMA.empty_table()
    assert len(Batch.join([])) == 0


@given(TEXTS, TEXTS, st.data())
def test_names_survive_joining_and_taking(
    first: list[str | None], second: list[str | None], draw: st.DataObject
) -> None:
    """Columns of names put end to end and picked from hold the same texts as the lists do."""
    names = Names.join([Names.of(first), Names.of(second)])
    both = first + second
    assert names.to_arrow().to_pylist() == both
    assert len(set(names.texts)) == len(names.texts)
    if both:
        places = draw.draw(st.lists(st.integers(0, len(both) - 1), max_size=9))
        assert names.take(np.array(places, np.int64)).to_arrow().to_pylist() == [both[place] for place in places]


@given(st.lists(st.booleans(), max_size=40), st.data())
def test_columns_are_those_of_numpy(flags: list[bool], draw: st.DataObject) -> None:
    """Flags and whole numbers become Arrow with the nulls asked for."""
    mask = draw.draw(st.lists(st.booleans(), min_size=len(flags), max_size=len(flags)))
    for values in (np.array(flags, np.bool_), np.array(flags, np.int32), np.arange(len(flags))[::-1]):
        expected = pa.array(values.tolist(), pa.from_numpy_dtype(values.dtype), mask=np.array(mask, np.bool_))
        assert column(values, np.array(mask, np.bool_)).to_pylist() == expected.to_pylist()


def test_batches_join_in_line_order() -> None:
    """Rows of several readers come into line order; those of one line keep theirs."""
    first = Batch.of([row("a", 1, price=Decimal(1)), row("b", 2)], [0, 4])
    second = Batch.of([row("c", 3), row("c", 4, price=Decimal(4)), row("a", 5)], [2, 2, 1])
    found = Batch.join([first, second]).in_line_order()
    assert found.tick.tolist() == [1, 5, 3, 4, 2]
    assert [found.game.texts[code] for code in found.game.codes] == ["a", "a", "c", "c", "b"]
    assert found.price.to_pylist() == [Decimal(1), None, None, Decimal(4), None]
    assert found.moved(np.full(5, 10)).line.tolist() == [10, 11, 12, 12, 14]


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("rugged", [True, False])
def test_phases_of_columns_are_those_of_ticks(*, active: bool, rugged: bool) -> None:
    """The column rule is the rule of `Phase.of`."""
    for tick in (0, 1):
        for timer in (None, -1, 0, 1, 10_000, 10_001):
            (found,) = (
                table([row(tick=tick, active=active, rugged=rugged, cooldown_timer=timer)]).column("phase").to_pylist()
            )
            assert found == Phase.of(active=active, rugged=rugged, tick=tick, cooldown_timer=timer)
    assert (
        phase_codes(np.zeros(0, bool), np.zeros(0, bool), np.zeros(0, np.int32), np.zeros(0, np.int64)).tolist() == []
    )


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"])
def test_times_without_a_zone_are_read_in_the_zone_given(zone: str) -> None:
    """As the standard library reads them: the first of two, and moved on by the gap where the clock skipped."""
    random.seed(1)
    walls = [datetime(2025, 3, 30, 2, 30), datetime(2025, 10, 26, 2, 30), datetime(2025, 3, 9, 2, 15)]
    walls += [datetime(random.randrange(1970, 2036), 10, random.randrange(1, 28), 2, 15) for _ in range(50)]
    found = to_utc(np.array([microseconds(wall) for wall in walls]), np.zeros(len(walls), np.bool_), zone)
    assert found.to_pylist() == [wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for wall in walls]


def test_times_with_a_zone_are_left_alone() -> None:
    """A zone given for a source does not touch times that say their own, nor unknown ones."""
    rows = [row(wall_us=0, zoned=True), row(wall_us=0, zoned=False), row()]
    found = table(rows, zone="Asia/Kolkata").column("timestamp").to_pylist()
    assert found == [datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 18, 30, tzinfo=UTC), None]


def test_doubtful_times_are_counted() -> None:
    """Times that a clock showed twice or never are counted, in zones that have such."""
    walls = [datetime(2025, 3, 30, 2, 30), datetime(2025, 10, 26, 2, 30), datetime(2025, 7, 1)]
    numbers = np.array([*(microseconds(wall) for wall in walls), np.iinfo(np.int64).min])
    naive = np.zeros(4, np.bool_)
    assert [doubtful_times(numbers, naive, zone) for zone in ("Europe/Berlin", "UTC", "Asia/Kolkata")] == [2, 0, 0]
    assert doubtful_times(numbers, ~naive, "Europe/Berlin") == 0


ORDERS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.one_of(st.none(), st.integers(0, 5))), max_size=14
)


@given(ORDERS)
def test_the_order_received(given_rows: list[tuple[str, str, int | None]]) -> None:
    """Within a game: sources by their first known time, then by name, and rows by their place in the source."""
    rows = [row(game, tick, wall_us=time) for tick, (game, _, time) in enumerate(given_rows)]
    found = in_order_received(table(rows, [source for _, source, _ in given_rows]))
    games = list(dict.fromkeys(game for game, _, _ in given_rows))
    first: dict[tuple[str, str], int] = {}
    for game, source, time in given_rows:
        known = 99 if time is None else time
        first[game, source] = min(known, first.get((game, source), 99))

    def place(tick: int) -> tuple[int, int, str, int]:
        game, source, _ = given_rows[tick]
        return games.index(game), first[game, source], source, tick

    assert found.column("tick").to_pylist() == sorted(range(len(given_rows)), key=place)


@given(ORDERS)
def test_rows_sorted_by_game_keep_their_order(given_rows: list[tuple[str, str, int | None]]) -> None:
    """Games come in the order of their names, the rows of each as they stood."""
    rows = [row(game, tick) for tick, (game, _, _) in enumerate(given_rows)]
    found = sorted_by_game(table(rows))
    expected = sorted(range(len(rows)), key=lambda tick: given_rows[tick][0])
    assert found.column("tick").to_pylist() == expected
    assert found.column("game_id").to_pylist() == [given_rows[tick][0] for tick in expected]
    assert found.schema == SCHEMA


def test_the_price_type() -> None:
    """Prices are stored as decimal128(38, 24)."""
    assert pa.decimal128(38, 24) == PRICE_TYPE
