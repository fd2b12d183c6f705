"""The published algorithm once more: slow, step by step from its description, sharing nothing with the package."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

RUG: Final = 0.005


def slow_bytes(text: str) -> Iterator[int]:
    """Bytes of the generator, one at a time, as RC4 makes them, less the first 256."""
    key: dict[int, int] = {}
    smear = 0
    encoded = text.encode("utf-16-be", "surrogatepass")
    for place in range(0, len(encoded), 2):
        unit = encoded[place] * 256 + encoded[place + 1]
        slot = (place // 2) % 256
        smear ^= key.get(slot, 0) * 19
        key[slot] = (smear + unit) % 256
    keys = [key[slot] for slot in sorted(key)] or [0]
    box = list(range(256))
    j = 0
    for i in range(256):
        j = (j + box[i] + keys[i % len(keys)]) % 256
        box[i], box[j] = box[j], box[i]
    i = j = 0
    count = 0
    while True:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        count += 1
        if count > 256:
            yield box[(box[i] + box[j]) % 256]


def slow_numbers(text: str) -> Iterator[float]:
    """Numbers of the generator, with the doubles that the description names."""
    stream = slow_bytes(text)
    while True:
        n = 0.0
        for _ in range(6):
            n = n * 256 + next(stream)
        d = 2.0**48
        x = 0
        while n < 2.0**52:
            n = (n + x) * 256
            d *= 256
            x = next(stream)
        while n >= 2.0**53:
            n /= 2
            d /= 2
            x >>= 1
        yield (n + x) / d


def slow_prices(server_seed: str, game_id: str, version: str) -> list[float]:
    """Live prices of a game, ticks 0 to R-1."""
    draws = slow_numbers(server_seed + "-" + game_id)
    price = 1.0
    path = [price]
    for _ in range(5000):
        if next(draws) < RUG:
            return path
        price = _moved(price, draws, version)
        path.append(price)
    return path


def _moved(price: float, draws: Iterator[float], version: str) -> float:
    if version == "v3" and next(draws) < 0.00001 and price <= 100:
        return price * 10
    if next(draws) < 0.125:
        size = 0.15 + next(draws) * (0.25 - 0.15)
        change = size if next(draws) > 0.5 else -size
    else:
        slope = -0.02 + next(draws) * (0.03 + 0.02)
        root = math.sqrt(price)
        volatility = 0.005 * (root if version == "v1" else min(10, root))
        change = slope + volatility * (2 * next(draws) - 1)
    moved = price * (1 + change)
    return moved if moved > 0 else 0.0
