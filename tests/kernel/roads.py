"""The two roads of reading, held against each other: the kernel and numpy must find the same in any bytes."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final
from unittest import mock

from replaylab.parsing.mapping import Mapping
from replaylab.parsing.scan import Scan, scan
from replaylab.table import FURTHER, Names

TYPED: Final = (
    '{{"type": "tick", "timestamp": "{time}", "game_id": "{game}", "tick": {tick}, "price": {price},'
    ' "phase": "{phase}", "active": {active}, "rugged": {rugged}, "cooldown_timer": {timer}, "trade_count": {trades}}}'
)
COMPACT: Final = (
    '{{"tick":{tick},"game_id":"{game}","timestamp":"{time}Z","price":"{price}","active":{active},"rugged":{rugged},'
    '"phase":"{phase}","cooldown_timer":{timer},"trade_count":{trades}}}'
)
JOURNAL: Final = (
    '{{"type":"tick","timestamp":"{time}+00:00","game_id":"{game}","tick":{tick},"price":"{price}","phase":"{phase}",'
    '"active":{active},"rugged":{rugged},"cooldown_timer":{timer},"trade_count":{trades},"seq":{seq},"crc":"{crc}"}}'
)
LAYOUTS: Final = (TYPED, COMPACT, JOURNAL)
_ODD_BYTES: Final = b'0123456789"\\,.:{}[]-+eEtrufalsn \t\r\x00\x0b\x7f\xc3\xa9\xff'
_PRICES: Final = (
    "1.0",
    "1",
    "0",
    "0.5",
    "1.000000000000000001",
    "12345678901234.01234567890123456789",
    "01",
    "1.",
    "1e2",
)


@contextmanager
def road(library: ctypes.CDLL | None) -> Iterator[None]:
    """Read by the kernel, or by numpy when `library` is None."""
    with (
        mock.patch("replaylab.parsing.scan.load", return_value=library),
        mock.patch("replaylab.segments.digest.load", return_value=library),
    ):
        yield


def rows_of(found: Scan) -> list[tuple[Any, ...]]:
    """Return the rows of a scan in plain values."""
    batch = found.batch
    columns = []
    for name in batch.__slots__:
        values = getattr(batch, name)
        if name == "further":
            columns += [batch.stated(one).to_pylist() for one in FURTHER]
        elif isinstance(values, Names):
            columns.append([None if code < 0 else values.texts[code] for code in values.codes.tolist()])
        else:
            columns.append(values.to_pylist() if name == "price" else values.tolist())
    return list(zip(*columns, strict=True))


def assert_same(data: bytes, library: ctypes.CDLL, mapping: Mapping | None = None) -> Scan:
    """Assert that both roads find the same rows, remarks, accounts and parts; return what the kernel found."""
    with road(library):
        ours = scan(data, mapping)
    with road(None):
        theirs = scan(data, mapping)
    assert rows_of(ours) == rows_of(theirs), data
    assert ours.remarks == theirs.remarks, data
    assert ours.accounts == theirs.accounts, data
    assert ours.part_of_line.tolist() == theirs.part_of_line.tolist(), data
    return ours


def line(chance: random.Random, layout: str) -> bytes:
    """Return a line of a layout with values drawn by chance, plain ones mostly."""
    seconds = chance.randrange(86_400)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{chance.randrange(10**6):06}"
    return layout.format(
        time=f"20{chance.randrange(100):02}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T{clock}",
        game=chance.choice(["g", "20310102-0123456789ab4cde", "é" * chance.randint(1, 9), f"game-{chance.random()}"]),
        tick=chance.choice([0, 7, 12345678, 123456789, chance.randrange(3000)]),
        price=chance.choice([*_PRICES, str(Decimal(chance.randrange(10**9)).scaleb(-chance.randint(0, 12)))]),
        phase=chance.choice(["ACTIVE_GAMEPLAY", "PRESALE", "X"]),
        active=chance.choice(["true", "false"]),
        rugged=chance.choice(["true", "false", "false"]),
        timer=chance.choice([0, -1, 15000, chance.randrange(10**6)]),
        trades=chance.choice([0, 99999999, chance.randrange(10**4)]),
        seq=chance.randrange(10**6),
        crc=f"{chance.randrange(2**32):08x}",
    ).encode()


def mutated(chance: random.Random, raw: bytes) -> bytes:
    """Return a line in which one to three bytes, or short stretches, were replaced, removed, put in or repeated."""
    found = bytearray(raw)
    for _ in range(chance.randint(1, 3)):
        if not found:
            break
        at = chance.randrange(len(found))
        match chance.randrange(6):
            case 0:
                found[at] = chance.choice(_ODD_BYTES)
            case 1:
                del found[at]
            case 2:
                found.insert(at, chance.choice(_ODD_BYTES))
            case 3:
                del found[at : at + chance.randint(1, 20)]
            case 4:
                begin = chance.randrange(len(found))
                found[at:at] = found[begin : begin + chance.randint(1, 20)]
            case _:
                found[at] ^= 1 << chance.randrange(8)
    return bytes(found).replace(b"\n", b"")


def blocks(seed: int, lines: int) -> Iterator[bytes]:
    """Return blocks of lines, `lines` in all, of one to three layouts, six in ten of them mutated."""
    chance = random.Random(seed)
    while lines > 0:
        size = min(lines, chance.randint(1, 120))
        layouts = chance.sample(LAYOUTS, chance.randint(1, 3))
        raws = [line(chance, chance.choice(layouts)) for _ in range(size)]
        raws = [mutated(chance, raw) if chance.random() < 0.6 else raw for raw in raws]
        yield chance.choice([b"\n", b"\r\n"]).join(raws) + chance.choice([b"\n", b"\n", b""])
        lines -= size
