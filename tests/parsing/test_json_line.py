"""One line of JSON: every dialect is understood, and whatever else a line may hold has one defined outcome."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import pytest

from replaylab.errors import TickError
from replaylab.parsing import json_line
from replaylab.parsing.json_line import KNOWN_TYPES, MAX_KEYS, Kind, Line, Reading, Times, parse_line, read_time
from replaylab.tick import MAX_TICK_BYTES, Row, checked_int
from tests.strategies import CONTROL, PLAIN, SINK_KEYS, TICK_KEYS, tick_line

SOCKET = Path(__file__).parents[2] / "../shared/socket/gameStateUpdate.jsonl"


def row(**values: str) -> Row:
    """Give the row of a tick line with some values replaced."""
    (found,) = parse_line(tick_line(TICK_KEYS, values).encode()).rows
    return found


def label(line: str) -> str:
    """Give the reason for which a line is damaged."""
    found = parse_line(line.encode("utf-8", "surrogatepass"))
    assert (found.kind, found.rows) == (Kind.DAMAGED, ())
    return found.label


def test_a_plain_tick() -> None:
    """All fields of a tick line arrive, the price exactly."""
    assert row() == Row(
        "20310102-0123456789ab4cde",
        41,
        1_925_089_460_250_000,
        zoned=False,
        price=Decimal("1.0123456789012345"),
        price_filled=False,
        recorded_phase="ACTIVE_GAMEPLAY",
        active=True,
        rugged=False,
        cooldown_timer=0,
        trade_count=12,
    )


def test_a_tick_of_the_recorder_sink() -> None:
    """A line without `type` is a tick when it has a tick and a price; unknown fields are dropped."""
    assert parse_line(tick_line(SINK_KEYS).encode()).rows == (row(),)
    assert parse_line(tick_line(SINK_KEYS).encode()[:-1] + b', "more": {"a": [1]}}').rows == (row(),)


@pytest.mark.parametrize(
    ("text", "price", "filled"),
    [("1.0", None, True), ('"1.0"', None, True), ("1", Decimal(1), False), ("1.00", Decimal(1), False)],
)
def test_a_filled_price_is_no_price(text: str, price: Decimal | None, filled: bool) -> None:  # noqa: FBT001
    """The text 1.0 of an inactive tick was put there by the recorder; a 1 the server sent."""
    found = row(price=text, active="false")
    assert (found.price, found.price_filled) == (price, filled)
    assert row(price=text).price == Decimal(1)


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("tick", "5.9", "wrong_type"),
        ("tick", "null", "wrong_type"),
        ("tick", "true", "wrong_type"),
        ("tick", '"5"', "wrong_type"),
        ("tick", "-1", "out_of_range"),
        ("tick", "1" * 30, "out_of_range"),
        ("tick", "1" * 10_000, "out_of_range"),
        ("active", '"false"', "wrong_type"),
        ("active", "0", "wrong_type"),
        ("rugged", "null", "wrong_type"),
        ("price", "null", "wrong_type"),
        ("price", "NaN", "not_finite"),
        ("price", "Infinity", "not_finite"),
        ("price", "-Infinity", "not_finite"),
        ("price", "1e-25", "price_too_fine"),
        ("price", "1E14", "price_too_large"),
        ("price", "1E99999999999999999999", "out_of_range"),
        ("price", "1E-99999999999999999999", "out_of_range"),
        ("price", "1" * 10_000, "out_of_range"),
        ("price", "1" * 10_000 + ".5", "price_too_large"),
        ("timestamp", '"2031-13-01T00:00:00"', "bad_time"),
        ("timestamp", '"2031-01-02T03:04:05.123456789"', "time_too_fine"),
        ("timestamp", "5", "wrong_type"),
        ("game_id", '""', "wrong_type"),
        ("game_id", '"\\ud800"', "lone_surrogate"),
        ("phase", '"\\udfff"', "lone_surrogate"),
        ("type", '"\\ud800"', "lone_surrogate"),
        ("cooldown_timer", "1.0", "wrong_type"),
        ("trade_count", "-1", "out_of_range"),
        ("type", "5", "unknown_object"),
    ],
)
def test_a_value_that_cannot_be_stored_damages_the_line(field: str, text: str, reason: str) -> None:
    """The reason says what was wrong; no field is given another value."""
    assert label(tick_line(TICK_KEYS, {field: text})) == reason


@pytest.mark.parametrize("field", ["game_id", "tick", "timestamp", "price", "active", "rugged"])
def test_a_field_that_is_missing_damages_the_line(field: str) -> None:
    """A tick without a field is no tick; nothing is filled in."""
    assert label(tick_line([key for key in TICK_KEYS if key != field])) == "missing_field"


def test_what_may_be_unknown() -> None:
    """Timer, trades, phase and time may be null; the row says so."""
    found = row(timestamp="null", cooldown_timer="null", trade_count="null", phase="null")
    assert (found.wall_us, found.cooldown_timer, found.trade_count, found.recorded_phase) == (None,) * 4


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("[1, 2]", "not_object"),
        ("5", "not_object"),
        ("null", "not_object"),
        ('"text"', "not_object"),
        ("NaN", "not_object"),
        ("{}", "unknown_object"),
        ('{"tick": 1}', "unknown_object"),
        ('{"a": 1, "a": 1}', "duplicate_key"),
        ('{"type": "game_end", "x": {"a": 1, "a": 1}}', "duplicate_key"),
        ("[" * 100_000, "too_deep"),
        ("[" * 501, "too_deep"),
        ("[" * 501 + "]" * 501, "too_deep"),
        ("[" * 500 + "]" * 500, "not_object"),
        ("[" * 500, "not_json"),
        ('{"type":' * 501 + '{"a": 1, "a": 2}', "too_deep"),
        ('{"type":' * 100_000, "too_deep"),
        ('{"type": "game_end", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "too_deep"),
        ("{", "not_json"),
        ("\x00\x00", "not_json"),
        ("\ufeff{}", "not_json"),
        ("{'type': 'tick'}", "not_json"),
        ('{"type": "tick"} x', "not_json"),
        ("\ud800", "not_utf8"),
    ],
)
def test_a_line_that_is_none_of_ours(line: str, reason: str) -> None:
    """Every other JSON value, and everything that is no JSON, has its reason."""
    assert label(line) == reason


def test_any_depth_has_an_outcome() -> None:
    """Nesting of any depth, also one that can be read but no longer printed, ends in a reason."""
    for depth in range(sys.getrecursionlimit() - 150, sys.getrecursionlimit() + 10):
        assert label(tick_line(TICK_KEYS, {"tick": "[" * depth + "]" * depth})) in {"wrong_type", "too_deep"}


@pytest.mark.parametrize("line", CONTROL)
def test_control_lines_are_no_ticks(line: str) -> None:
    """Starts, ends, headers, footers, claims and other events are metadata; what names people is private."""
    found = parse_line(line.encode())
    assert (found.kind, found.rows) == (Kind.CONTROL, ())
    assert found.label
    assert found.private == ("username" in line or "event" in line)


@pytest.mark.parametrize(
    ("line", "kind"),
    [("", "blank"), (" \t\r\n", "blank"), ("## by hand", "annotation"), ("  # also", "annotation")],
)
def test_lines_without_json(line: str, kind: str) -> None:
    """Blank lines and annotations are what they look like."""
    assert parse_line(line.encode()).kind == kind


def test_a_captured_broadcast() -> None:
    """A captured tick and a countdown become rows; a countdown has no price, and says that it was not sent."""
    tick = '{"seq":1,"ts":"2031-01-02T03:04:20.5","event":"gameStateUpdate","data":{"gameId":"g","active":true,'
    (found,) = parse_line((tick + '"price":1.02,"tickCount":3,"tradeCount":4,"rugged":false}}').encode()).rows
    assert (found.tick, found.price, found.price_filled, found.trade_count) == (3, Decimal("1.02"), False, 4)
    countdown = '{"timestamp":null,"event_type":"gameStateUpdate","data":{"gameId":"g","cooldownTimer":9900}}'
    (found,) = parse_line(countdown.encode()).rows
    assert (found.price, found.price_filled, found.active, found.cooldown_timer, found.wall_us) == (
        None,
        True,
        False,
        9900,
        None,
    )
    assert label(tick + '"price":null,"tickCount":3,"rugged":false}}') == "wrong_type"
    assert label(tick + '"price":1,"rugged":false}}') == "wrong_type"


def test_a_captured_session() -> None:
    """The captured session, where it is at hand, is read without damage, and every price is that of its text."""
    lines = SOCKET.read_bytes().splitlines() if SOCKET.exists() else []
    for line in lines:
        found = parse_line(line)
        assert found.kind in {Kind.TICK, Kind.CONTROL}
        data = json.loads(line, parse_float=Decimal, parse_int=Decimal)["data"]
        assert [one.price for one in found.rows if not one.price_filled] == ([data["price"]] if "price" in data else [])


def test_a_game_state_document() -> None:
    """The index is the tick, null a gap; a last price far below is the rug."""
    meta = '{"meta": {"game_id": "g"}, "prices": '
    rows = parse_line((meta + '["1", "1.02", null, "1.05", "0.0042"]}').encode()).rows
    assert [(one.tick, str(one.price), one.rugged) for one in rows] == [
        (0, "1", False),
        (1, "1.02", False),
        (3, "1.05", False),
        (4, "0.0042", True),
    ]
    assert not parse_line((meta + '["1", "1.02"]}').encode()).rows[-1].rugged
    assert parse_line((meta + "[]}").encode()) == Line(Kind.TICK)
    assert label(meta + '["1", "abc"]}') == "wrong_type"
    assert label('{"meta": [], "prices": []}') == "wrong_type"


@pytest.mark.parametrize(("size", "kind"), [(-1, Kind.TICK), (0, Kind.TICK), (1, Kind.DAMAGED)])
def test_a_tick_line_is_at_most_one_mebibyte(size: int, kind: Kind) -> None:
    """2**20 bytes are a tick, one more is refused with a reason."""
    line = tick_line(TICK_KEYS)
    fill = "x" * (MAX_TICK_BYTES + size - len(line) + len(PLAIN["game_id"]) - 2)
    found = parse_line(tick_line(TICK_KEYS, {"game_id": f'"{fill}"'}).encode() + b"\n")
    assert (found.kind, found.label) == (kind, "" if kind is Kind.TICK else "tick_too_large")


@pytest.mark.parametrize("kind", ["Tick", "uick", "TICK", "match", "tick ", "trade"])
def test_what_has_the_fields_of_a_tick_is_never_control(kind: str) -> None:
    """A whole tick under another type is damage that names field and value, whatever the type."""
    line = parse_line(tick_line(TICK_KEYS, {"type": f'"{kind}"'}).encode())
    assert (line.kind, line.label) == (Kind.DAMAGED, "unknown_type")
    assert f"type={kind!r}" in line.detail


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"event": "gameStateUpdatf", "data": {"gameId": "g", "tickCount": 1, "price": 1.0}}', "unknown_type"),
        ('42["gameStateUpdatf", {"gameId": "g", "tickCount": 1, "price": 1.0}]', "unknown_type"),
        ('{"event": "gameStateUpdate", "data": {"gameIe": "g", "tickCount": 1, "price": 1.0}}', "missing_field"),
    ],
)
def test_a_captured_event_with_the_fields_of_a_tick_is_never_control(text: str, reason: str) -> None:
    """A flipped bit in the name of an event, or in the key of its game, is damage."""
    line = parse_line(text.encode())
    assert (line.kind, line.label) == (Kind.DAMAGED, reason)


def test_a_document_of_games_is_named_with_the_option_that_reads_it() -> None:
    """What holds whole games as arrays is no tick as it is; the form and the mapping for it are named."""
    line = parse_line(b'{"batchId": "b", "games": [{"priceHistory": [1, 1.01]}]}')
    assert (line.label, line.detail) == (
        "unknown_object",
        "keys batchId, games; looks like a document of games: --map games",
    )


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ('{"type": "game_start", "game_id": "g"}', False),
        ('{"type": "action", "game_id": "g", "tick": 5}', False),
        ('{"type": "match", "price": "64000.0"}', True),
        ('{"type": "made up"}', True),
        ('{"_metadata": {}}', False),
    ],
)
def test_types_that_no_recorder_writes_are_marked(text: str, unknown: bool) -> None:  # noqa: FBT001
    """A control line of an unknown type is told from those that recorders write."""
    line = parse_line(text.encode())
    assert (line.kind, line.unknown) == (Kind.CONTROL, unknown)


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("timestamp", "1925089445000", "timestamp=1925089445000: looks like epoch milliseconds: --time-unit ms"),
        ("timestamp", "1925089445", "looks like epoch seconds: --time-unit s"),
        ("timestamp", "1925089445.25", "looks like epoch seconds: --time-unit s"),
        ("timestamp", '"1925089445000000"', "looks like epoch microseconds: --time-unit us"),
        ("timestamp", "1925089445000000000", "looks like epoch nanoseconds: --time-unit ns"),
        ("timestamp", "7", "must be ISO 8601 text"),
        ("price", "true", "price=True"),
        ("game_id", '""', "game_id=''"),
    ],
)
def test_damage_names_field_and_value(field: str, text: str, said: str) -> None:
    """The detail of a damaged line says which field, what it holds, and what to do where that is known."""
    line = parse_line(tick_line(TICK_KEYS, {field: text}).encode())
    assert line.kind is Kind.DAMAGED
    assert said in line.detail
    missing = parse_line(tick_line([key for key in TICK_KEYS if key != field]).encode())
    assert (missing.label, field in missing.detail) == ("missing_field", True)


@pytest.mark.parametrize("key", ["timestamp", "ts"])
@pytest.mark.parametrize(
    ("unit", "value", "said"),
    [
        ("", 1925089445000, "looks like epoch milliseconds: --time-unit ms"),
        ("", "yesterday", "not a time in ISO 8601"),
        ("", "2031-01-02T03:04:05.0000001", "convert with --truncate-times"),
        ("ns", 1925089445000000001, "convert with --truncate-times"),
        ("s", 10**15, "beyond the year 9998"),
    ],
)
def test_damage_names_the_key_of_a_captured_event(key: str, unit: str, value: object, said: str) -> None:
    """The time of a captured event stands under one of two keys: the message has the one in the file."""
    data = {"gameId": "g", "tickCount": 1, "price": 1, "active": True, "rugged": False}
    text = json.dumps({"event": "gameStateUpdate", key: value, "data": data})
    line = parse_line(text.encode(), Reading(None, Times(unit)))
    assert line.detail.startswith(f"{key}={value!r}: ")
    assert said in line.detail


@pytest.mark.parametrize(
    "wrap", ["{0},", "[{0}", "{0}]", "[{0},", ",{0}", "  {0} , ", "[{0}]", "{0},{0}", "[{0}, {0}, {0}],", "{0}],"]
)
def test_lines_of_an_array_hold_clean_ticks(wrap: str) -> None:
    """Commas and brackets around the objects of a line are no damage, and no tick."""
    text = tick_line(TICK_KEYS)
    line = parse_line(wrap.format(text).encode())
    assert (line.kind, len(line.rows)) == (Kind.TICK, wrap.count("{0}"))
    assert set(line.rows) == set(parse_line(text.encode()).rows)


@pytest.mark.parametrize("text", ["[", "]", ",", "],", " ] ", "[ "])
def test_brackets_alone_are_blank(text: str) -> None:
    """Lines that only open or close an array hold nothing."""
    assert parse_line(text.encode()).kind is Kind.BLANK


def test_frames_of_socketio() -> None:
    """An event frame is read like a capture without a time; other frames are control lines, damaged ones damage."""
    data = '{"gameId":"g","tickCount":3,"price":1.5,"active":true,"rugged":false}'
    for prefix in ("42", "42/game,", "4217", "42/game,17"):
        line = parse_line(f'{prefix}["gameStateUpdate",{data}]'.encode())
        assert [(row.tick, str(row.price), row.wall_us) for row in line.rows] == [(3, "1.5", None)]
    assert parse_line(b'40{"sid":"x"}').label == "frame:40"
    assert parse_line(b'42["standard/newTrade",{}]').label == "event:standard/newTrade"
    assert parse_line(b'42["gameStateUpdate",{"gameId":"g","price":true,"active":true}]').kind is Kind.DAMAGED
    assert parse_line(b"42[1,2]").label == "not_json"
    assert parse_line(b"5" + tick_line(TICK_KEYS).encode()).broken
    assert parse_line(b"40" + tick_line(TICK_KEYS).encode()).broken


def test_only_the_blanks_of_json_are_blank() -> None:
    """A vertical tab or a form feed around an object is damage; the object is taken out of it."""
    assert parse_line(b"\x0b").kind is Kind.DAMAGED
    assert parse_line(b" \t\r").kind is Kind.BLANK
    line = parse_line(b"\x0b" + tick_line(TICK_KEYS).encode())
    assert (line.kind, line.label, line.broken) == (Kind.DAMAGED, "not_json", True)


def test_a_raw_control_character_is_named() -> None:
    """A raw TAB within a text is no torn line."""
    assert label(tick_line(TICK_KEYS, {"phase": '"A\tB"'})) == "control_character"


def test_an_object_of_very_many_keys_is_refused_by_name() -> None:
    """No tick has ten thousand fields."""
    text = "{" + ", ".join(f'"k{number}": 1' for number in range(MAX_KEYS + 1)) + "}"
    assert label(text) == "too_many_keys"


LAST_US = 253_370_764_799_999_999  # of the year 9998
FIRST_S = -62_104_060_800  # the year 2 begins


@pytest.mark.parametrize(
    ("value", "unit", "read", "cut"),
    [
        (0, "s", 0, 0),
        (7, "s", 7_000_000, 0),
        (7, "ms", 7_000, 0),
        (7, "us", 7, 0),
        (7_000, "ns", 7, 0),
        (-7, "ms", -7_000, 0),
        (Decimal("7.000001"), "s", 7_000_001, 0),
        (Decimal("7E+3"), "s", 7_000_000_000, 0),
        ("7.25", "s", 7_250_000, 0),
        ("-7.25", "ms", -7_250, 0),
        ("0000000000000000007", "s", 7_000_000, 0),
        (7_999, "ns", 7, 1),
        (-1, "ns", -1, 1),
        (Decimal("0.0000019"), "s", 1, 1),
        (LAST_US, "us", LAST_US, 0),
        (LAST_US * 1_000 + 999, "ns", LAST_US, 1),
        (str(LAST_US * 1_000), "ns", LAST_US, 0),
        (FIRST_S, "s", FIRST_S * 1_000_000, 0),
        (Decimal("1E-40"), "s", 0, 1),
        (None, "s", None, 0),
    ],
)
def test_a_time_in_units_since_1970(value: object, unit: str, read: int | None, cut: int) -> None:
    """Numbers, and texts of digits, are exact microseconds, rounded down where that is asked for; it is in UTC."""
    times = Times(unit, truncate=True)
    assert read_time(value, times) == (read, True)
    assert times.cut == cut
    if cut:
        with pytest.raises(TickError) as caught:
            read_time(value, Times(unit))
        assert (caught.value.field, caught.value.reason) == ("timestamp", "time_too_fine")
    else:
        assert read_time(value, Times(unit)) == (read, True)


@pytest.mark.parametrize(
    ("value", "unit", "reason"),
    [
        (LAST_US + 1, "us", "bad_time"),
        (FIRST_S - 1, "s", "bad_time"),
        (10**19, "us", "bad_time"),
        (10**400, "ns", "bad_time"),
        (Decimal("1E+999999"), "s", "bad_time"),
        (Decimal("Infinity"), "s", "bad_time"),
        (Decimal("NaN"), "s", "bad_time"),
        ("0000000000000000000007", "s", "bad_time"),  # more digits than a time has
        ("7e3", "s", "bad_time"),
        ("\u0667", "s", "bad_time"),
        (True, "s", "wrong_type"),
        ([7], "s", "wrong_type"),
    ],
)
@pytest.mark.parametrize("truncate", [False, True])
def test_what_is_no_time_in_units_since_1970(value: object, unit: str, reason: str, truncate: bool) -> None:  # noqa: FBT001
    """It is refused by its reason, and the field that the caller names is in the message."""
    with pytest.raises(TickError) as caught:
        read_time(value, Times(unit, truncate=truncate), "ts")
    assert (caught.value.field, caught.value.reason) == ("ts", reason)


@pytest.mark.parametrize(
    ("text", "same", "cut"),
    [
        ("2031-01-02T03:04:05.1234569", "2031-01-02T03:04:05.123456", 1),
        ("2031-01-02T03:04:05.1234560", "2031-01-02T03:04:05.123456", 0),
        ("2031-01-02T03:04:05,1234569+02:00", "2031-01-02T03:04:05.123456+02:00", 1),
        ("2031-01-02T03:04:05.123456", "2031-01-02T03:04:05.123456", 0),
    ],
)
def test_a_text_that_is_finer_than_a_microsecond(text: str, same: str, cut: int) -> None:
    """It is cut where that is asked for and counted when it lost something, its zone stays; else it is refused."""
    times = Times(truncate=True)
    assert read_time(text, times) == read_time(same)
    assert times.cut == cut
    if cut:
        with pytest.raises(TickError):
            read_time(text)


def captured(**values: object) -> Line:
    """Read a captured broadcast with some values replaced."""
    data = {"gameId": "g", "tickCount": 3, "price": 1.5, "active": True, "rugged": False} | values
    return parse_line(
        json.dumps({"event": "gameStateUpdate", "ts": 1, "data": data}).encode(), Reading(None, Times("s"))
    )


@pytest.mark.parametrize("field", ["gameId", "tickCount", "price", "active", "rugged", "cooldownTimer", "tradeCount"])
def test_every_field_of_a_captured_event_is_checked(field: str) -> None:
    """A value that cannot be stored damages the line; field and value are named as they stand in it."""
    line = captured(**{field: [8]})
    assert (line.kind, line.label) == (Kind.DAMAGED, "wrong_type")
    assert line.detail.startswith(f"{field}=[8]: ")


def test_the_numbers_of_a_captured_event() -> None:
    """Its tick, timer and count are those of the data."""
    (found,) = captured(cooldownTimer=-12, tradeCount=4).rows
    assert (found.tick, found.cooldown_timer, found.trade_count, found.wall_us) == (3, -12, 4, 1_000_000)
    assert captured(tickCount=-1).label == captured(tradeCount=-1).label == "out_of_range"
    assert captured().rows[0].cooldown_timer is None


def test_the_fields_of_a_missing_game_are_named() -> None:
    """An event with the fields of a tick and no game says which field is not there; so does a bad document."""
    line = parse_line(b'{"event": "gameStateUpdate", "data": {"tickCount": 1, "price": 1.0}}')
    assert line.detail == "gameId=None: not there"
    line = parse_line(b'{"meta": [7], "prices": []}')
    assert line.detail == "meta=[7]: must be an object"
    assert parse_line(b'{"meta": {"game_id": 7}, "prices": []}').detail.startswith("meta.game_id=7: ")


@pytest.mark.parametrize(
    ("before", "last", "rug"),
    [
        ("1.5", "0.020000000000001", True),
        ("1.5", "0.0200000000000011", False),
        ("0.5", "0.010000000000001", True),
        ("0.5", "0.0100000000000011", False),
        ("1", "0.02", True),
    ],
)
def test_the_rug_of_a_game_state_document(before: str, last: str, rug: bool) -> None:  # noqa: FBT001
    """At most 2 % of 1 and of the price before it, to the rounding of a double; only the last price may be it."""
    rows = parse_line(f'{{"meta": {{"game_id": "g"}}, "prices": ["0.001", "{before}", "{last}"]}}'.encode()).rows
    assert [one.rugged for one in rows] == [False, False, rug]
    assert rows[1] == Row("g", 1, None, zoned=True, price=Decimal(before), price_filled=False, recorded_phase=None,
                          active=True, rugged=False, cooldown_timer=None, trade_count=None)  # fmt: skip


def test_which_damage_may_be_mended() -> None:
    """Lines that are no JSON may hold whole ticks; lines that are JSON of another kind do not."""
    assert parse_line(b'{"a": "\xff"}') == Line(Kind.DAMAGED, label="not_utf8", broken=True)
    assert parse_line(b'{"a": 1').broken
    assert not parse_line(b'{"a": 1, "a": 2}').broken
    assert not parse_line(b"7").broken
    assert Line(Kind.TICK).broken is False
    assert parse_line(b'[{"a": 1}, {"b": 2}]') == Line(Kind.DAMAGED, label="not_object", broken=True)
    assert parse_line(b'[{"type": "game_end"}]').label == "game_end"
    assert parse_line(b'{"type": "game_end"},').label == "game_end"
    assert parse_line(b'{"type": "game_end"}, {"type": "game_end"}').kind is Kind.DAMAGED


def test_any_blanks_of_json_around_a_tick() -> None:
    """Spaces, tabs and both ends of a line stand around a tick, in any order."""
    assert parse_line(b"\t \r\n" + tick_line(TICK_KEYS).encode() + b"\r\t \n").rows == (row(),)


@pytest.mark.parametrize("kind", sorted(KNOWN_TYPES))
def test_types_that_recorders_write_are_known(kind: str) -> None:
    """Each of them is a control line of a known type, by that name."""
    assert parse_line(f'{{"type": "{kind}"}}'.encode()) == Line(Kind.CONTROL, label=kind)


def test_what_recorders_write_beside_ticks() -> None:
    """The types of all recorders, so that none of them is forgotten."""
    recorded = {"game_start", "game_end", "game_complete", "session_start", "session_end", "action"}
    assert recorded | {"hello", "heartbeat", "phase", "feed", "gap", "heal", "trade", "end"} == KNOWN_TYPES


def test_a_price_that_is_declared_as_filled() -> None:
    """A null price is a filled one only where the line says so."""
    keys = [*TICK_KEYS, "price_filled"]
    (found,) = parse_line(tick_line(keys, {"price": "null", "price_filled": "true"}).encode()).rows
    assert (found.price, found.price_filled) == (None, True)
    assert label(tick_line(keys, {"price": "null", "price_filled": "false"})) == "wrong_type"
    assert label(tick_line(keys, {"price": "null", "price_filled": '"true"'})) == "wrong_type"


def test_the_limit_of_keys() -> None:
    """So many keys are read, one more is refused, and the message says how many may be there."""
    keys = ", ".join(f'"k{number}": 1' for number in range(MAX_KEYS))
    assert parse_line(f"{{{keys}}}".encode()).label == "unknown_object"
    line = parse_line(f'{{{keys}, "more": 1}}'.encode())
    assert (line.label, line.detail) == ("too_many_keys", "an object of more than 10,000 keys")


@pytest.mark.parametrize(("length", "shown"), [(80, "k" * 80), (81, "k" * 77 + "...")])
def test_keys_of_an_unknown_object_are_shown_shortly(length: int, shown: str) -> None:
    """Up to 80 characters of the first eight keys are shown, and that there is more."""
    assert parse_line(f'{{"{"k" * length}": 1}}'.encode()).detail == f"keys {shown}"
    assert parse_line(b"{}").detail == "an empty object"
    many = ", ".join(f'"{letter}": 1' for letter in "abcdefghij")
    assert parse_line(f"{{{many}}}".encode()).detail == "keys a, b, c, d, e, f, g, h"


def test_an_error_in_place_of_ticks_is_told() -> None:
    """What a server says when it refuses, in one line that is not too long; with more beside it the keys are told."""
    assert parse_line(b'{"error": "speed must\\nbe a number"}').detail == "error: speed must be a number"
    assert parse_line(f'{{"error": "{"x" * 999}"}}'.encode()).detail == "error: " + "x" * 200
    assert parse_line(b'{"error": 7}').detail == "keys error"
    assert parse_line(b'{"error": "x", "code": 7}').detail == "keys error, code"


@pytest.mark.parametrize(
    "field", ["game_id", "tick", "timestamp", "price", "active", "rugged", "phase", "cooldown_timer", "trade_count"]
)
def test_every_field_of_a_tick_is_checked(field: str) -> None:
    """A value that cannot be stored damages the line; field and value are named as they stand in it."""
    line = parse_line(tick_line(TICK_KEYS, {field: "[8]"}).encode())
    assert (line.kind, line.label) == (Kind.DAMAGED, "wrong_type")
    assert line.detail.startswith(f"{field}=[8]: ")


def test_a_tick_that_was_repaired_says_so() -> None:
    """A store that was written out as lines is read with what was repaired in it."""
    keys = [*TICK_KEYS, "repaired"]
    repaired = [parse_line(tick_line(keys, {"repaired": text}).encode()).rows[0].repaired for text in ("true", "1")]
    assert repaired == [True, False]
    assert row().repaired is False


def test_the_least_that_is_no_control_line() -> None:
    """Game, tick and price are what a tick is known by, under any type; two of them are not."""
    assert label('{"type": "x", "game_id": "g", "tick": 1, "price": 1}') == "unknown_type"
    assert parse_line(b'{"type": "x", "game_id": "g", "tick": 1}').kind is Kind.CONTROL


def test_a_demonstration_is_known_by_both_of_its_parts() -> None:
    """One of them alone is an object that is not known."""
    assert parse_line(b'{"meta": {}, "actions": []}') == Line(Kind.CONTROL, label="demonstration", private=True)
    assert label('{"meta": {}}') == label('{"actions": []}') == "unknown_object"


def test_what_is_not_there_is_named() -> None:
    """A field that is missing, and a number that is no time, are named with what is wrong with them."""
    assert parse_line(b'{"type": "tick", "game_id": "g"}').detail == "tick=None: not there"
    with pytest.raises(TickError, match=r"^ts=Decimal\('NaN'\): no time in s since 1970$"):
        read_time(Decimal("NaN"), Times("s"), "ts")


def test_one_price_is_no_rug() -> None:
    """A document with one price, however low, has no price before it that it fell from."""
    (found,) = parse_line(b'{"meta": {"game_id": "g"}, "prices": [null, "0.001"]}').rows
    assert (found.tick, found.rugged) == (1, False)


def test_no_letter_is_a_blank() -> None:
    """A letter before or behind a tick is damage."""
    text = tick_line(TICK_KEYS).encode()
    assert {parse_line(line).label for line in (b"X" + text, text + b"X", b"XX" + text + b"XX")} == {"not_json"}


def test_what_holds_no_tick_is_told_whole() -> None:
    """An annotation, a header of the sink and the frames that open a connection have labels; frames are private."""
    assert parse_line(b"# by hand") == Line(Kind.ANNOTATION, label="annotation")
    assert parse_line(b'{"_metadata": {}}') == Line(Kind.CONTROL, label="metadata")
    assert parse_line(b'{"server_seed": "x"}') == Line(Kind.CONTROL, label="server_seed")
    for digits in ("0", "40"):
        assert parse_line(f'{digits}{{"sid":"x"}}'.encode()) == Line(
            Kind.CONTROL, label=f"frame:{digits}", private=True
        )


def test_a_trade_with_a_side_is_no_tick() -> None:
    """It has a tick and a price of its own; with the same fields and no side, or of another type, a line is damage."""
    fields = {"game_id": "g", "tick": 1, "price": "1.5"}
    assert parse_line(json.dumps({"type": "trade", "side": "buy", **fields}).encode()).kind is Kind.CONTROL
    for other in ({"type": "trade"}, {"type": "action", "side": "buy"}):
        line = parse_line(json.dumps({**other, **fields}).encode())
        assert (line.kind, line.label) == (Kind.DAMAGED, "unknown_type")
        assert 'the line has the fields of a tick; its type must be "tick"' in line.detail
    event = parse_line(b'{"event": "gameStateUpdatf", "data": {"gameId": "g", "tickCount": 1, "price": 1.0}}')
    assert event.detail.startswith("event='gameStateUpdatf'")
    assert 'the event has the fields of a tick; its name must be "gameStateUpdate"' in event.detail
    frame = parse_line(b'42["gameStateUpdate",{"gameId":"g","price":true,"active":true}]')
    assert (frame.label, frame.detail.partition("=")[0]) == ("wrong_type", "tickCount")
    assert parse_line(b'42["gameStateUpdate"]').label == "not_json"


def test_counts_begin_at_zero() -> None:
    """The first tick is 0, as is a countdown's, and a game may have no trades yet; below that a line is damage."""
    assert (row(tick="0").tick, row(trade_count="0").trade_count) == (0, 0)
    captured = '{"event":"gameStateUpdate","data":{"gameId":"g","active":true,"price":1.5,"rugged":false,'
    (found,) = parse_line((captured + '"tickCount":0,"tradeCount":0}}').encode()).rows
    assert (found.tick, found.trade_count, found.zoned) == (0, 0, True)
    (countdown,) = parse_line(b'{"event":"gameStateUpdate","data":{"gameId":"g","cooldownTimer":9}}').rows
    assert countdown.tick == 0
    (zoneless,) = parse_line(
        (captured.replace("{", '{"ts":"2031-01-02T03:04:05",', 1) + '"tickCount":0}}').encode()
    ).rows
    assert zoneless.zoned is False
    for count in ('"tickCount":-1', '"tickCount":0,"tradeCount":-1'):
        assert label(captured + count + "}}") == "out_of_range"


def test_times_are_read_as_asked_in_every_dialect() -> None:
    """A number is one of the unit that was named, also in a list; what is cut is counted over all lines."""
    times = Times("ms", truncate=True)
    reading = Reading(None, times)
    line = tick_line(TICK_KEYS, {"timestamp": "1925089460250"})
    assert [one.wall_us for one in parse_line(line.encode(), reading).rows] == [1_925_089_460_250_000]
    assert [one.wall_us for one in parse_line(f"[{line},".encode(), reading).rows] == [1_925_089_460_250_000]
    for count, text in enumerate(
        ('"2031-01-02T03:04:20.1234567"', "1925089460250.0001", '"2031-01-02T03:04:20.1234560"')
    ):
        assert parse_line(tick_line(TICK_KEYS, {"timestamp": text}).encode(), reading).kind is Kind.TICK
        assert times.cut == min(count + 1, 2)
    assert parse_line(tick_line(TICK_KEYS, {"timestamp": "1925089460250"}).encode()).kind is Kind.DAMAGED


class Mapped:
    """A mapping that says what it was given."""

    def __init__(self, *, native: bool = False, members: bool = True) -> None:
        self.native, self.members = native, members
        self.given: list[object] = []

    def read(self, found: object, times: Times | None = None) -> Line:
        """Note it."""
        self.given += [found, times]
        return Line(Kind.CONTROL, label="mapped")


def test_a_mapping_is_given_what_was_decoded() -> None:
    """An object, an event frame and a member of an object whole, with the times; native ones are read as always."""
    times, mapping = Times("s"), Mapped()
    for text in ('{"a": 1}', '42["event", 1]', '"name": {"a": 1},', '"name" : {"a": 1}'):
        assert parse_line(text.encode(), Reading(mapping, times)).label == "mapped"
    member = {"name": {"a": 1}}
    assert mapping.given == [{"a": 1}, times, ["event", 1], times, member, times, member, times]
    assert parse_line(b'"name": {"a": }', Reading(mapping, times)).label == "not_json"
    assert parse_line(b'"name"', Reading(mapping, times)).label == "not_object"
    assert parse_line(b'"name": {"a": 1}', Reading(Mapped(members=False), times)).label == "not_json"
    native = Mapped(native=True)
    assert parse_line(tick_line(TICK_KEYS).encode(), Reading(native)).rows == (row(),)
    assert parse_line(b'42["event", {}]', Reading(native)).label == "event:event"
    assert native.given == []


def test_further_columns_are_read_from_each_dialect(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that the dialect has for them, checked as they say; a line that states none has none."""
    monkeypatch.setattr(json_line, "FURTHER", (SimpleNamespace(name="lag_ms"),))

    def check(key: str, value: object) -> int:
        return checked_int(key, value, 0)

    monkeypatch.setitem(json_line.FURTHER_FIELDS, "lag_ms", json_line.FurtherField("lag", "serverLag", check))
    assert row().further == (None,)
    line = tick_line(TICK_KEYS)[:-1]
    assert [one.further for one in parse_line((line + ', "lag": 7}').encode()).rows] == [(7,)]

    assert parse_line((line + ', "lag": "x"}').encode()).detail.startswith("lag='x'")
    captured = '{"event":"gameStateUpdate","data":{"gameId":"g","active":true,"price":1.5,"tickCount":1,"rugged":false'
    assert [one.further for one in parse_line((captured + ',"serverLag":8}}').encode()).rows] == [(8,)]
    assert [one.further for one in parse_line((captured + "}}").encode()).rows] == [(None,)]
