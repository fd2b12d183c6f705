"""Hypothesis strategies for ticks, for the lines that writers leave, and for what damage makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from hypothesis import strategies as st

from replaylab.tick import Tick

TICK_KEYS: Final = (
    "type",
    "timestamp",
    "game_id",
    "tick",
    "price",
    "phase",
    "active",
    "rugged",
    "cooldown_timer",
    "trade_count",
)
JOURNAL_KEYS: Final = (*TICK_KEYS, "seq", "crc")
SINK_KEYS: Final = (
    "game_id",
    "tick",
    "timestamp",
    "price",
    "phase",
    "active",
    "rugged",
    "cooldown_timer",
    "trade_count",
)
LAST_ENUMERATED: Final = (
    "type",
    "timestamp",
    "game_id",
    "tick",
    "price",
    "trade_count",
    "phase",
    "active",
    "rugged",
    "cooldown_timer",
)
TIME_LAST: Final = (*SINK_KEYS[:2], *SINK_KEYS[3:], "timestamp")
PLAIN: Final = {
    "type": '"tick"',
    "timestamp": '"2031-01-02T03:04:20.250000"',
    "game_id": '"20310102-0123456789ab4cde"',
    "tick": "41",
    "price": "1.0123456789012345",
    "phase": '"ACTIVE_GAMEPLAY"',
    "active": "true",
    "rugged": "false",
    "cooldown_timer": "0",
    "trade_count": "12",
    "seq": "17",
    "crc": '"89abcdef"',
}
# What stands in a line where a recorder writes something plain: legal oddities, and values that are none.
ODD: Final = {
    "seq": [
        "0",
        "007",
        "-1",
        "1.0",
        "1e3",
        '"17"',
        "null",
        "12345678",
        "123456789",
        "1" * 30,
        "",
        "true",
        "[1]",
        "1 7",
    ],
    "crc": [
        '"89ABCDEF"',
        '"89abcde"',
        '"89abcdef0"',
        '"89abcdeg"',
        '"89abcde\\""',
        "12345678",
        "null",
        '""',
        '"',
        "{}",
    ],
    "type": ['"tock"', '"game_end"', "null", "5", '""', '"ti"ck"', '"ti\\u0063k"', "tick", '"\\ud800"', '"t\xefck"'],
    "timestamp": [
        '"2031-01-02T03:04:21.999999"',
        '"2031-01-02T03:04:20.250000Z"',
        '"2031-01-02T03:04:20.250000z"',
        '"2031-01-02T03:04:20.250000+00:00"',
        '"2031-01-02T03:04:20.250000-00:00"',
        '"2031-01-02T03:04:20.250000+02:00"',
        '"2031-01-02T03:04:20.250000+25:00"',
        '"2031-01-02T03:04:20.250000-17:93"',
        '"2031-01-02T03:04:20"',
        '"2031-01-02T03:04"',
        '"2031-01-02T03:04:20.2"',
        '"2031-01-02T03:04:20.250"',
        '"2031-01-02T03:04:20.250000000"',
        '"2031-01-02T03:04:20.250000001"',
        '"2031-01-02 03:04:20.250000"',
        '" 2031-01-02T03:04:20.25000"',
        '"2031-01-02T03:04:20.25000 "',
        '"2031-13-01T03:04:20.250000"',
        '"2031-02-29T03:04:20.250000"',
        '"2031-01-02T25:61:20.250000"',
        '"2031-01-02T24:00:00.000000"',
        '"2031-01-02T03:04:60.250000"',
        '"2031-01-02T03:04:2x.250000"',
        '"2031-01-02T03:04:20,250000"',
        '"2031-01-02T03:04:20.25000:"',
        '"2031-01-02T03;04:20.250000"',
        '"0001-01-01T00:00:00.000000"',
        '"9999-12-31T23:59:59.999999"',
        '"0000-01-01T00:00:00.000000"',
        '"2031-01-02t03:04:20.250000"',
        '"\uff12031-01-02T03:04:20.250000"',
        "null",
        "1924916660",
        '""',
    ],
    "game_id": [
        '"g"',
        '"日本-\U0001f680"',
        '"a,b"',
        '"a\\"b"',
        '"\\ud800"',
        '"\\n"',
        '""',
        "null",
        "7",
        '"}"',
        '"a\x7f"',
        '"x\ty"',
    ],
    "tick": [
        "0",
        "7",
        "00",
        "012",
        "-1",
        "-0",
        "+1",
        "5.9",
        "5.0",
        "1e2",
        "null",
        "true",
        '"5"',
        "99999999",
        "2147483647",
        "2147483648",
        "1" * 30,
        " 8",
        "8 ",
        "",
        "x",
    ],
    "price": [
        "1",
        "1.0",
        '"1.0"',
        '"1.5"',
        "1.00",
        "0",
        "0.0",
        "-0",
        "-0.0",
        "-1.5",
        "01.5",
        "00",
        "+1",
        "1.",
        ".5",
        "1e5",
        "1E-24",
        "1e-25",
        "6.288315726479595e-05",
        "1E+13",
        "1E14",
        "--1",
        "1.2.3",
        "1..2",
        "1/2",
        "1,5",
        "",
        '""',
        " 1.5",
        "1.5 ",
        '" 1.5"',
        "0." + "1" * 24,
        "0." + "1" * 25,
        "0." + "1" * 24 + "0" * 30,
        "0." + "0" * 60,
        "99999999999999." + "9" * 24,
        "99999999999999",
        "100000000000000",
        "1" * 39,
        "1" * 22 + ".5",
        "4097887988707231",
        "123456789012345.5",
        "12345678901234.5",
        "12345678.123456789",
        "1." + "0" * 40,
        "1E99999999999999999999",
        "1E-99999999999999999999",
        "0E99999",
        "0E-99999",
        "NaN",
        "Infinity",
        "-Infinity",
        "null",
        "true",
        '"abc"',
        '"1_0"',
        '"٣"',
        '"NaN"',
        "[1]",
        '{"a":1}',
        "0x10",
    ],
    "phase": ['"PRESALE"', '"RUG_EVENT_1"', '"made up"', '"a,b"', '""', "null", "5", '"\\u0041"', '"\\udfff"', '"ü"'],
    "active": ["true", "false", "0", "1", '"false"', "null", "True", "tru", " true", "true "],
    "rugged": ["true", "false", "0", '"true"', "null", "false ", ""],
    "cooldown_timer": [
        "14900",
        "-1",
        "10000",
        "10001",
        "null",
        "2147483648",
        "1.0",
        "true",
        '"0"',
        "007",
        " 0",
        "0 ",
        "{}",
    ],
    "trade_count": ["0", "100", "-1", "null", "1.0", "true", "00", "2147483648", "12345678", "123456789", "0 ", ""],
}
CONTROL: Final = [
    '{"type":"game_start","timestamp":"2031-01-02T03:04:05.000001","game_id":"g","session_game_number":7}',
    '{"type": "game_end", "timestamp": "2031-01-02T03:04:05", "game_id": "g", "tick_range": [0, 5], "final": 0.013}',
    '{"type":"session_end","timestamp":"2031-01-02T03:03:00.1","total_games":2,"total_ticks":400,"ending_balance":null}',
    '{"_metadata":{"game_id":"g","start_time":"2031-01-02T03:04:05.000001","version":"1.0"}}',
    '{"_metadata":{"end_time":"2031-01-02T03:04:40.2","tick_count":81,"total_bytes":17000}}',
    '{"_header":{"game_id":"g"}}',
    '{"_footer":{"action_count":7}}',
    '{"type":"action","action_id":"6f","game_id":"g","tick":5,"username":"x"}',
    '{"game_id":"g","timestamp_ms":1924916680000,"server_seed":"00","peak_multiplier":1.01,"rugged":true}',
    '{"meta":{"player_id":"x","username":"anna"},"actions":[]}',
    '{"seq":1,"ts":"2031-01-02T03:04:20.5","event":"connect","data":{}}',
    '{"timestamp":"2031-01-02T03:04:20.5","event_type":"standard/newTrade","data":[{"__trace":true},{"price":1.02}]}',
]
CAPTURED: Final = [
    '{"event":"gameStateUpdate","data":{"active":true,"price":1.02,"rugged":false,"tickCount":3,"gameId":"g"}}',
    '{"timestamp":"2031-01-02T03:04:20.5","event_type":"gameStateUpdate","data":{"gameId":"g","cooldownTimer":9900}}',
    '{"seq":12,"ts":null,"event":"gameStateUpdate","data":{"active":true,"price":null,"gameId":"g"}}',
]
GAME_STATE: Final = [
    '{"meta":{"game_id":"g","start_time":"2031-01-02T03:04:05"},"prices":["1","1.02",null,"1.05"]}',
    '{"meta":{"game_id":"g"},"prices":["1","1.5","0.0042"]}',
    '{"meta":{"game_id":"g"},"prices":["1","abc"]}',
    '{"meta":{},"prices":[]}',
]
OTHER: Final = [
    "",
    " \t",
    "## by hand",
    "#",
    "[1, 2]",
    "5",
    '"text"',
    "null",
    "{}",
    '{"a": 1}',
    "{",
    '{"',
    "}",
    "{,,,,,,,,,}",
    ",,,,,,,,,",
    ",,,,,,,,",
    "not json",
    "\x00\x00\x00",
    "NaN",
    '{"type": "tick", "type": "tick"}',
    "[" * 3000,
    '{"a":' * 1200 + "1" + "}" * 1200,
    '{"type": "game_start", "game_id": "g"}{"type": "game_start", "game_id": "h"}',
]


def tick_line(keys: Sequence[str], values: Mapping[str, str] = {}, spacing: tuple[str, str] = (", ", ": ")) -> str:
    """Give a tick as a line of JSON text; `values` are JSON texts that replace the plain ones."""
    texts = {**PLAIN, **values}
    return "{" + spacing[0].join(f'"{key}"{spacing[1]}{texts[key]}' for key in keys) + "}"


def prices() -> st.SearchStrategy[Decimal]:
    """Every price that can be stored: up to 14 digits before the point and 24 behind, in any writing."""
    whole = st.integers(0, 10**38 - 1).map(lambda digits: Decimal(f"{digits}E-24"))
    edges = st.sampled_from(["0", "-0", "1", "1.0", "1.10", "1E-24", "1E+13", "6.2E-5", "99999999999999." + "9" * 24])
    short = st.decimals(Decimal(0), Decimal(1000), places=6, allow_nan=False)
    return st.one_of(whole, edges.map(Decimal), short, st.integers(0, 10**14 - 1).map(Decimal))


def names() -> st.SearchStrategy[str]:
    """Texts that a game or a phase may be called: any valid Unicode, not empty."""
    return st.one_of(
        st.sampled_from(["20310102-0123456789ab4cde", "PRESALE", "a,b", '"', "}\n{", "\x00", "\u2028"]),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12),
    )


def ticks() -> st.SearchStrategy[Tick]:
    """Every tick that can be made."""
    small = st.integers(0, 2**31 - 1)
    return st.builds(
        Tick,
        game_id=names(),
        tick=small,
        timestamp=st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),
        price=prices(),
        phase=names(),
        active=st.booleans(),
        rugged=st.booleans(),
        cooldown_timer=st.integers(-(2**31 - 1), 2**31 - 1),
        trade_count=small,
    )


@st.composite
def tick_lines(draw: st.DrawFn) -> bytes:
    """A line of one tick: any of the writers' layouts, with up to two odd values."""
    keys = draw(st.sampled_from([TICK_KEYS, TICK_KEYS, JOURNAL_KEYS, SINK_KEYS, LAST_ENUMERATED, TIME_LAST]))
    spacing = draw(st.sampled_from([(", ", ": "), (", ", ": "), (",", ":"), (" , ", " : ")]))
    number = draw(st.integers(0, 99_999))
    values = {"tick": str(number), "price": f"1.{number}", "active": draw(st.sampled_from(["true", "false"]))}
    values["timestamp"] = f'"2031-01-02T03:{number % 60:02}:20.{number:06}"'
    for key in draw(st.lists(st.sampled_from(keys), max_size=2)):
        values[key] = draw(st.sampled_from(ODD[key]))
    return tick_line(keys, values, spacing).encode("utf-8", "surrogateescape")


@st.composite
def damaged(draw: st.DrawFn, line: bytes) -> bytes:
    """A line with a stretch cut out, doubled, replaced or put in; newlines may come with it."""
    start = draw(st.integers(0, len(line)))
    end = draw(st.integers(start, min(len(line), start + 40)))
    scraps = st.sampled_from([b"}", b"{", b'{"', b",", b"\r", b"\xff", b'"'])
    put = draw(st.one_of(st.just(b""), st.just(line[start:end] * 2), scraps, st.binary(max_size=8)))
    return line[:start] + put + line[end:]


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Any line that a recording may hold, without its newline."""
    line = draw(
        st.one_of(
            tick_lines(),
            tick_lines(),
            tick_lines(),
            st.sampled_from(CONTROL + CAPTURED + GAME_STATE + OTHER).map(str.encode),
        )
    )
    how = draw(st.integers(0, 11))
    if how == 0:
        line = draw(damaged(line))
    elif how == 1:
        line = line[: draw(st.integers(0, len(line)))] + draw(tick_lines())
    elif how == 2:
        line = draw(st.sampled_from([b" ", b"\xef\xbb\xbf", b"\t", b"\x0c", b"["])) + line
    elif how == 3:
        line += draw(st.sampled_from([b" ", b"}", b",", b"\x00", b"\r"]))
    elif how == 4:
        line = b"[" + line[1:]
    return line.replace(b"\n", b" ")


@st.composite
def recordings(draw: st.DrawFn) -> bytes:
    """A file: lines of any kind, mostly of one writer, ending in any way."""
    found = draw(st.lists(lines(), max_size=14))
    ending = draw(st.sampled_from([b"\n", b"\n", b"\r\n"]))
    last = draw(st.sampled_from([b"", ending]))
    return ending.join(found) + last
