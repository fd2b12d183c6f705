"""Shapes: only plain ticks have one, and only lines that fit it byte for byte are read by it."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from replaylab.parsing.line_layout import Shape
from replaylab.parsing.scan import scan
from replaylab.tick import MAX_TICK_BYTES
from tests.strategies import LAST_ENUMERATED, SINK_KEYS, TICK_KEYS, TIME_LAST, tick_line

LAYOUTS = [TICK_KEYS, SINK_KEYS, LAST_ENUMERATED, TIME_LAST]


def counts(*lines: str | bytes) -> tuple[int, int]:
    """Give how many of the lines are clean ticks, and how many are damaged."""
    data = b"\n".join(line if isinstance(line, bytes) else line.encode() for line in lines) + b"\n"
    account = scan(data).account
    assert sum(account.bytes.values()) == len(data)
    return account.ticks["clean"], account.lines["damaged"]


@pytest.mark.parametrize("keys", LAYOUTS)
@pytest.mark.parametrize("spacing", [(", ", ": "), (",", ":"), (" ,\t", " : ")])
@pytest.mark.parametrize("ending", ["", "Z", "+00:00"])
def test_plain_ticks_have_a_shape(keys: tuple[str, ...], spacing: tuple[str, str], ending: str) -> None:
    """Any order of keys, any spacing, times without a zone and in UTC; the pieces are those of the line."""
    line = tick_line(keys, {"timestamp": f'"2031-01-02T03:04:20.250000{ending}"'}, spacing).encode()
    shape = Shape.of(line)
    assert shape is not None
    assert [piece.key for piece in shape.pieces] == list(keys)
    assert shape.zoned == bool(ending)
    assert Shape.of(line + b"\r\n") == shape
    assert all(piece.before in line for piece in shape.pieces)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timestamp", '"2031-01-02T03:04:20"'),
        ("timestamp", '"2031-01-02T03:04:20.250000+02:00"'),
        ("timestamp", "null"),
        ("game_id", '"a,b"'),
        ("game_id", '"a\\u0041"'),
        ("price", "null"),
        ("type", '"game_end"'),
        ("tick", "5.9"),
        ("tick", ' {"a": 1}'),
        ("cooldown_timer", " " * 80 + "0"),
    ],
)
def test_other_lines_have_no_shape(key: str, value: str) -> None:
    """A line with anything out of the ordinary is no model for others."""
    assert Shape.of(tick_line(TICK_KEYS, {key: value}).encode()) is None


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[1]", b"{" + b"," * 9 + b"}", tick_line(TICK_KEYS).encode()[:-1], b"\xff"]
)
def test_what_is_no_tick_has_no_shape(line: bytes) -> None:
    """Neither scraps nor torn ticks nor other JSON have a shape."""
    assert Shape.of(line) is None


@pytest.mark.parametrize("keys", LAYOUTS)
@pytest.mark.parametrize("first", ["[", " ", "x", "\x00"])
def test_the_first_byte_is_part_of_the_frame(keys: tuple[str, ...], first: str) -> None:
    """A line whose brace is missing or another byte is not taken for its neighbours."""
    plain = tick_line(keys)
    assert counts(plain, first + plain[1:], plain)[1] == 1


@pytest.mark.parametrize("keys", LAYOUTS)
def test_the_last_brace_is_part_of_the_frame(keys: tuple[str, ...]) -> None:
    """A line without its last brace, or with more behind it, is damaged, whichever field comes last."""
    plain = tick_line(keys)
    for end in ("", "]", "}}", "} x", "}\x00", "}\r\r\x0b\x00", "}\t\x0c"):
        assert counts(plain, plain[:-1] + end, plain)[1] == 1
    for end in ("}\r", "} ", "}\r\r", "}\t\r"):
        assert counts(plain, plain[:-1] + end, plain) == (3, 0)


@pytest.mark.parametrize("keys", LAYOUTS)
def test_commas_alone_are_no_line(keys: tuple[str, ...]) -> None:
    """Lines of as many commas as a tick has, at the end of the data too, do not lead out of the block."""
    plain = tick_line(keys)
    for scrap in (",", "{", "}", '"'):
        for line in (scrap * (len(keys) - 1), "," * (len(keys) - 1) + scrap, "{" + "," * (len(keys) - 1) + "}"):
            assert counts(plain, line) == (1, 1)
            assert counts(plain.replace(".250000", ".250000Z"), line) == (1, 1)


@pytest.mark.parametrize("value", ["tock", "tick ", "Tick", "tic", "ticks"])
def test_the_type_is_part_of_the_frame(value: str) -> None:
    """A line that says it is something else, with all the fields of a tick, is not read as its neighbours are."""
    plain = tick_line(TICK_KEYS)
    other = tick_line(TICK_KEYS, {"type": f'"{value}"'})
    found = scan(f"{plain}\n{other}\n{plain}".encode())
    assert (len(found.batch), found.account.lines["damaged"]) == (2, 1)
    assert found.account.reasons == {"unknown_type": 1}


def test_a_price_that_is_no_text() -> None:
    """A byte that is no UTF-8 within a price costs that line only."""
    plain = tick_line(TICK_KEYS).encode()
    assert counts(plain, plain.replace(b"1.0123", b"1.\xff123"), plain) == (2, 1)


@pytest.mark.parametrize("digits", range(13, 40))
def test_no_price_overflows_unseen(digits: int) -> None:
    """Numbers that 128 bits cannot hold are refused, never turned into other numbers, at every length."""
    random.seed(digits)
    whole = [str(random.randrange(10 ** (digits - 1), 10**digits)) for _ in range(200)]
    texts = [*whole, *(f"{text}.5" for text in whole)]
    for text in texts[:: 1 if digits > 14 else 40]:
        data = "\n".join([tick_line(TICK_KEYS), tick_line(TICK_KEYS, {"price": text})]).encode()
        prices = scan(data).batch.price.to_pylist()[1:]
        assert prices == ([Decimal(text)] if digits <= 14 else [])


def test_ten_thousand_prices_of_18_digits() -> None:
    """Random prices read as a block are exact, digit by digit."""
    random.seed(18)
    texts = [f"{random.randrange(1000)}.{random.randrange(10**18):018}" for _ in range(10_000)]
    data = "\n".join(tick_line(TICK_KEYS, {"price": text}) for text in texts).encode()
    assert scan(data).batch.price.to_pylist() == [Decimal(text) for text in texts]


def test_prices_of_38_digits() -> None:
    """The largest and finest prices are read as a block, exactly."""
    random.seed(38)
    texts = [f"{random.randrange(10**13, 10**14)}.{random.randrange(10**24):024}" for _ in range(500)]
    data = "\n".join(tick_line(TICK_KEYS, {"price": text}) for text in texts).encode()
    assert scan(data).batch.price.to_pylist() == [Decimal(text) for text in texts]


@pytest.mark.parametrize("size", [3000, 5000, MAX_TICK_BYTES - 200, MAX_TICK_BYTES + 1])
def test_a_long_line_beside_short_ones(size: int) -> None:
    """A line of any length is judged as it is alone: above a mebibyte it is no tick."""
    plain, long = tick_line(TICK_KEYS), tick_line(TICK_KEYS, {"game_id": '"' + "x" * size + '"'})
    assert counts(plain, long, plain) == ((2, 1) if len(long) > MAX_TICK_BYTES else (3, 0))


def test_many_distinct_names_are_read_all_the_same() -> None:
    """A column that was expected to hold few texts may hold as many as there are lines."""
    lines = [tick_line(TICK_KEYS, {"game_id": f'"game {number}"'}) for number in range(3000)]
    found = scan("\n".join(lines).encode())
    assert [found.batch.game.texts[code] for code in found.batch.game.codes] == [f"game {n}" for n in range(3000)]


def test_several_writers_in_one_block() -> None:
    """Lines of more writers than are told apart are all read, in their order."""
    spacings = [(", ", ": "), (",", ":"), (" , ", " : ")]
    lines = [tick_line(keys, {"tick": str(at)}, spacings[at % 3]) for at in range(60) for keys in [LAYOUTS[at % 4]]]
    assert scan("\n".join(lines).encode()).batch.tick.tolist() == list(range(60))
