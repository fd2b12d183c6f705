"""Material: what the benchmarks read, made from the real recordings where they are, else simulated from a seed."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from replaylab.simulation.bulk import tick_lines
from replaylab.simulation.damage import KINDS
from replaylab.simulation.simulate import simulate

PRICE = pa.decimal128(38, 24)
_KEYS = ["type", "timestamp", "game_id", "tick", "price", "phase", "active", "rugged", "cooldown_timer", "trade_count"]
_GAME = re.compile(rb'("game_id": ")(\d{8})-([0-9a-f]{8})')
_SEED = 20310102


class Clean(NamedTuple):
    """A file of clean tick lines, and the price that each line tells, read by `json` with `Decimal`."""

    path: Path
    prices: pa.Array
    origin: str

    @property
    def ticks(self) -> int:
        """How many lines."""
        return len(self.prices)

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size


def recordings(folder: Path) -> list[Path]:
    """The real recordings; none when they are not there."""
    return sorted(folder.glob("*.jsonl"))


def clean_lines(files: list[Path]) -> Iterator[bytes]:
    """The undamaged tick lines of recordings, without their newlines."""
    for file in files:
        for raw in file.read_bytes().splitlines():
            line = raw.rstrip(b"\r")
            if line.startswith(b'{"type": "tick"'):
                try:
                    found = json.loads(line)
                except ValueError:
                    continue
                if list(found) == _KEYS:
                    yield line


def price_of(line: bytes) -> Decimal:
    """The price that a line tells, exactly."""
    found = json.loads(line, parse_float=Decimal, parse_int=Decimal)["price"]
    return Decimal(found)


def decimals(values: list[Decimal]) -> pa.Array:
    """Prices as Arrow decimals, without rounding."""
    return pa.array(values, PRICE)


def clean_file(folder: Path, source: Path, ticks: int) -> Clean:
    """Write one clean file of so many ticks; a second and later helping of the same games gets other game ids."""
    files = recordings(source)
    lines = list(clean_lines(files)) if files else b"".join(tick_lines(min(ticks, 200_000), _SEED)).splitlines()
    prices = decimals([price_of(line) for line in lines])
    path = folder / "clean.jsonl"
    with path.open("wb") as file:
        for helping in range(-(-ticks // len(lines))):
            wanted = lines[: ticks - helping * len(lines)]
            file.write(renamed(b"\n".join(wanted) + b"\n", helping))
    helpings = -(-ticks // len(lines))
    return Clean(path, pa.concat_arrays([prices] * helpings).slice(0, ticks), origin(files))


def renamed(lines: bytes, helping: int) -> bytes:
    """The same lines with other game ids, unless it is the first helping of them."""
    return _GAME.sub(b"\\g<1>\\g<2>-%08x" % helping, lines) if helping else lines


def origin(files: list[Path]) -> str:
    """What the material is, in a word."""
    return "real ticks" if files else "simulated ticks"


def folder_of_recordings(folder: Path, source: Path, games: int) -> tuple[Path, str]:
    """The folder of real recordings, or simulated ones with every kind of damage but the line of 100 MB."""
    files = recordings(source)
    if not files:
        source = folder / "recordings"
        simulate(source, games=games, seed=_SEED, damage=sorted(set(KINDS) - {"long_line"}))
    return source, origin(files)


def random_prices(count: int) -> list[str]:
    """Prices of 38 digits: 14 before the point, 24 behind it, the first and the last not 0."""
    dice = random.Random(_SEED)
    whole = [dice.randrange(10**13, 10**14) for _ in range(count)]
    return [f"{one}.{dice.randrange(10**23):023}{dice.randrange(1, 10)}" for one in whole]


def lines_of_prices(prices: list[str]) -> Iterator[bytes]:
    """One tick line for each price, a thousand to a game."""
    for number, price in enumerate(prices):
        game, tick = divmod(number, 1000)
        second, micro = divmod(tick * 250_000, 1_000_000)
        yield (
            f'{{"type": "tick", "timestamp": "2031-01-02T03:{second // 60:02}:{second % 60:02}.{micro:06}", '
            f'"game_id": "20310102-{game:08x}a4bc4def", "tick": {tick}, "price": {price}, '
            f'"phase": "ACTIVE_GAMEPLAY", "active": true, "rugged": false, "cooldown_timer": 0, "trade_count": 0}}\n'
        ).encode()
