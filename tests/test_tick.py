"""Tick: what can be made can be stored exactly; everything else is refused by name, and nothing is replaced."""

from __future__ import annotations

import json
import pickle
import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given

from replaylab.errors import TickError
from replaylab.table import PRICE_TYPE
from replaylab.tick import MAX_TICK_BYTES, Phase, Tick, checked_price, parse_time, parse_wall_time, price_text, tick_of
from tests.strategies import prices, ticks

GOOD: dict[str, Any] = {
    "game_id": "g",
    "tick": 3,
    "timestamp": "2031-01-02T03:04:20.75",
    "price": "1.02",
    "phase": "ACTIVE_GAMEPLAY",
    "active": True,
    "rugged": False,
    "cooldown_timer": 0,
    "trade_count": 4,
}


def refusal(**fields: object) -> TickError:
    """Give the error that a tick with these fields is refused with."""
    with pytest.raises(TickError) as caught:
        Tick(**{**GOOD, **fields})
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "0.12345678901234567890",
        "1E-7",
        "1E-18",
        "1E-24",
        "12345678901234.123456789012345678901234",
        "-0",
        "1.10",
        "1E+13",
    ],
)
def test_a_price_keeps_its_value(text: str) -> None:
    """Whatever the exponent or the number of digits, the price is the number given, and Arrow holds it."""
    tick = Tick(**{**GOOD, "price": text})
    assert tick.price == Decimal(text)
    assert pa.array([tick.price], PRICE_TYPE)[0].as_py() == Decimal(text)
    assert Decimal(price_text(tick.price)) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["1." + "0" * 40, "12345678901234." + "0" * 30, "0." + "1" * 24 + "0" * 9, "0E+99999", "0E-99999", "-0E+30"]
)
def test_digits_that_say_nothing_do_not_stop_a_price(text: str) -> None:
    """Zeros beyond the 24th decimal and exponents of zero are no precision: such prices are stored."""
    price = Tick(**{**GOOD, "price": Decimal(text)}).price
    assert price == Decimal(text)
    assert pa.array([Decimal("1.5"), price], PRICE_TYPE)[1].as_py() == Decimal(text)


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("abc", "wrong_type"),
        ("", "wrong_type"),
        ("1_0", "wrong_type"),
        (" 1.5", "wrong_type"),
        ("1.5\n", "wrong_type"),
        ("\u0661", "wrong_type"),
        ("0x10", "wrong_type"),
        (1.5, "wrong_type"),
        (True, "wrong_type"),
        ("NaN", "not_finite"),
        (Decimal("sNaN"), "not_finite"),
        ("-Infinity", "not_finite"),
        ("100000000000000", "price_too_large"),
        ("123456789012345678.123456789", "price_too_large"),
        (10**30, "price_too_large"),
        pytest.param(10**5000, "price_too_large", id="huge"),
        ("1E+999999", "price_too_large"),
        ("1E-25", "price_too_fine"),
        ("1E-999999", "price_too_fine"),
        ("0." + "1" * 25, "price_too_fine"),
    ],
)
def test_a_price_that_cannot_be_stored_is_refused(price: object, reason: str) -> None:
    """The error names the field, carries the value and says why; no other price is put in its place."""
    error = refusal(price=price)
    assert (error.field, error.reason) == ("price", reason)
    assert error.value is price
    assert str(error).startswith("price=")


def test_a_tick_may_have_no_price() -> None:
    """None is a price that is not known: it is kept as None, and a line says null."""
    tick = Tick(**{**GOOD, "price": None})
    assert tick.price is None
    assert json.loads(tick.to_line())["price"] is None


def test_a_row_of_a_store_makes_a_tick() -> None:
    """Fields of a store that no tick has are dropped, its recorded phase is the phase, nulls are the default."""
    row = {**GOOD, "phase": "RUGGED", "recorded_phase": "RUG_EVENT_1", "seq": 7, "trade_count": None}
    assert tick_of(row) == Tick(**{**GOOD, "phase": "RUG_EVENT_1", "trade_count": 0})
    with pytest.raises(TypeError, match="price"):
        tick_of({name: value for name, value in row.items() if name != "price"})


@pytest.mark.parametrize("field", ["tick", "cooldown_timer", "trade_count"])
@pytest.mark.parametrize(
    "value", [5.9, None, True, "5", 2**31, -(2**31), pytest.param(10**5000, id="huge"), Decimal(5)]
)
def test_a_whole_number_is_nothing_else(field: str, value: object) -> None:
    """A tick number of 5.9, null, true or text never becomes 5, 0 or 1."""
    assert refusal(**{field: value}).field == field


@pytest.mark.parametrize("field", ["active", "rugged"])
@pytest.mark.parametrize("value", ["false", "", 0, 1, None])
def test_a_flag_is_true_or_false(field: str, value: object) -> None:
    """Text such as 'false' is not taken for true, nor 0 for false."""
    assert refusal(**{field: value}).reason == "wrong_type"


@pytest.mark.parametrize("field", ["game_id", "phase"])
@pytest.mark.parametrize("value", ["", None, 5, b"g", "\ud800", "ok\udfff"])
def test_a_name_is_valid_text(field: str, value: object) -> None:
    """Empty, missing or half-a-character names are refused."""
    assert refusal(**{field: value}).field == field


def test_numbers_below_zero_are_refused_where_they_mean_nothing() -> None:
    """Ticks and trades count from 0; a clock may be behind."""
    assert refusal(tick=-1).reason == refusal(trade_count=-1).reason == "out_of_range"
    assert Tick(**{**GOOD, "cooldown_timer": -1}).cooldown_timer == -1


@pytest.mark.parametrize(
    "text",
    [
        "2031-13-01T00:00:00",
        "2031-02-29T00:00:00",
        "2031-01-02T25:61:00",
        "2031-01-02T24:00:00",
        "2031-01-02T03:04:60",
        "2031-01-02",
        "2031-01-02T03:04:05+25:00",
        "2031-01-02T03:04:05-17:93",
        "2031-01-02T03:04:05.1234567",
        "0000-01-01T00:00:00",
        "0001-01-01T00:00:00+02:00",
        "9999-12-31T23:59:59-02:00",
        "0001-06-01T00:00:00",
        "9999-06-01T00:00:00",
        "\uff12031-01-02T03:04:05",
        " 2031-01-02T03:04:05",
        "now",
        "",
    ],
)
def test_a_time_that_is_none_is_refused(text: str) -> None:
    """Impossible dates, other notations and times finer than microseconds are errors, never rounded or guessed."""
    assert refusal(timestamp=text).field == "timestamp"


@pytest.mark.parametrize("value", [None, 1924916660, 1.5, pd.NaT, pd.Timestamp("2031-01-02T03:04:05.123456789")])
def test_a_moment_that_is_none_is_refused(value: object) -> None:
    """Numbers, nothing, and the times of pandas that are none or too fine are refused."""
    assert refusal(timestamp=value).field == "timestamp"


def test_every_zone_becomes_utc() -> None:
    """Text and datetimes mean the same moment, whatever the zone; without one it is UTC."""
    moment = datetime(2031, 1, 2, 3, 4, 5, 250_000, UTC)
    for given_time in (
        "2031-01-02T03:04:05.25",
        "2031-01-02 03:04:05.250000000Z",
        "2031-01-02T05:04:05.25+02:00",
        "2031-01-02T05:04:05.25+02",
        "2031-01-01T20:04:05.25-0700",
        moment.replace(tzinfo=None),
        moment.astimezone(timezone(timedelta(hours=-7))),
        pd.Timestamp(moment),
    ):
        tick = Tick(**{**GOOD, "timestamp": given_time})
        assert (tick.timestamp, type(tick.timestamp), tick.timestamp.tzinfo) == (moment, datetime, UTC)
        assert tick.at_us == 1_925_089_445_250_000


def test_the_text_of_a_time_is_kept_as_written() -> None:
    """A wall time stays naive until a zone is chosen for it."""
    assert parse_wall_time("2031-01-02T03:04").tzinfo is None
    assert parse_time("2031-01-02T03:04").tzinfo is UTC


@pytest.mark.parametrize("text", ["20310102T030405", "2031-W01-4T03:04:05"])
def test_the_other_forms_of_iso_8601_are_times(text: str) -> None:
    """The basic form and the week date are the same time as the usual form."""
    assert parse_time(text) == parse_time("2031-01-02T03:04:05")


def test_numbers_of_numpy_become_those_of_python() -> None:
    """A whole number of numpy is stored as Python's, without a width of its own; a float is refused by name."""
    tick = Tick(**{**GOOD, "tick": np.int64(3)})
    assert (tick.tick, type(tick.tick)) == (3, int)
    assert refusal(tick=np.float64(3)).field == "tick"


@pytest.mark.parametrize("filler", ["x", "\u20ac", "\x01"])
def test_a_tick_is_at_most_one_mebibyte(filler: str) -> None:
    """Exactly 2**20 bytes are accepted; one more is refused, whatever the text needs when written."""
    width = len(json.dumps(filler, ensure_ascii=False).encode()) - 2
    empty = len(Tick(**{**GOOD, "game_id": "x"}).to_line()) - 1
    count, rest = divmod(MAX_TICK_BYTES - empty, width)
    largest = Tick(**{**GOOD, "game_id": filler * count + "y" * rest})
    assert len(largest.to_line()) == MAX_TICK_BYTES
    assert refusal(game_id=largest.game_id + "y").reason == "tick_too_large"


@given(ticks())
def test_a_tick_written_is_exact_json(tick: Tick) -> None:
    """The line of a tick is one line of JSON that means the tick."""
    line = tick.to_line()
    value = json.loads(line, parse_float=Decimal)
    assert b"\n" not in line
    assert Decimal(value["price"]) == tick.price
    assert (
        Tick(**{key: one for key, one in value.items() if key not in {"type", "price"}}, price=Decimal(value["price"]))
        == tick
    )


@given(prices())
def test_a_checked_price_is_the_price(price: Decimal) -> None:
    """Checking changes no value, and whoever checks twice gets the same."""
    assert checked_price(price) == price
    assert checked_price(price_text(price)) == price
    assert "E" not in price_text(price)


def test_ten_thousand_prices_of_18_digits_are_exact() -> None:
    """Random prices that no float could hold come back digit by digit."""
    random.seed(18)
    texts = [f"{random.randrange(1000)}.{random.randrange(10**18):018}" for _ in range(10_000)]
    found = pa.array([Tick(**{**GOOD, "price": text}).price for text in texts], PRICE_TYPE).to_pylist()
    assert found == [Decimal(text) for text in texts]


@pytest.mark.parametrize("active", [True, False])
@pytest.mark.parametrize("rugged", [True, False])
def test_the_phase_follows_from_the_flags(active: bool, rugged: bool) -> None:  # noqa: FBT001
    """Rugged wins, then active with or without ticks, then the clock on either side of 10,000 ms."""

    def state(tick: int, timer: int) -> Phase:
        fields = {"active": active, "rugged": rugged, "tick": tick, "cooldown_timer": timer}
        return Tick(**{**GOOD, **fields}).state

    if rugged:
        expected = [Phase.RUGGED] * 5
    elif active:
        expected = [Phase.GAME_ACTIVATION, *[Phase.ACTIVE_GAMEPLAY] * 4]
    else:
        expected = [Phase.UNKNOWN, Phase.UNKNOWN, Phase.PRESALE, Phase.COOLDOWN, Phase.UNKNOWN]
    assert [state(0, 0), state(1, 0), state(1, 10_000), state(1, 10_001), state(1, -5)] == expected


@pytest.mark.parametrize(
    ("phase", "active", "rugged", "tradeable"),
    [
        ("PRESALE", False, False, True),
        ("ACTIVE_GAMEPLAY", True, False, True),
        ("ACTIVE_GAMEPLAY", False, False, False),
        ("ACTIVE_GAMEPLAY", True, True, False),
        *[(phase, True, False, False) for phase in ("COOLDOWN", "RUG_EVENT", "RUG_EVENT_1", "RUG_EVENT_2", "UNKNOWN")],
    ],
)
def test_what_can_be_traded(phase: str, active: bool, rugged: bool, tradeable: bool) -> None:  # noqa: FBT001
    """Presale can, and play that neither flags nor recorded phase speak against."""
    assert Tick(**{**GOOD, "phase": phase, "active": active, "rugged": rugged}).tradeable is tradeable


def test_an_error_crosses_processes() -> None:
    """A refusal says the same after pickling, even when its value cannot be printed."""
    for error in (refusal(tick=10**5000), refusal(price="abc")):
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.field, again.value, again.reason) == (
            str(error),
            error.field,
            error.value,
            error.reason,
        )
