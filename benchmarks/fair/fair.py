"""Fair: seeds verified and ticks simulated a second on one core, against the rules written out step by step.

The claims: at least 300 games verified a second, and at least 2 million ticks simulated a second, each on one core. The
peers: the algorithm as its description has it, a byte at a time in plain Python; and its price rule with
`random.random`, a tick at a time.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table
from replaylab import fair

_RUG = 0.005


def plain_bytes(text: str) -> Iterator[int]:
    """Bytes of RC4, less the first 256."""
    box, key, j = list(range(256)), text.encode("ascii"), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    i = j = count = 0
    while True:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        count += 1
        if count > 256:
            yield box[(box[i] + box[j]) % 256]


def plain_numbers(text: str) -> Iterator[float]:
    """Numbers as the description makes them."""
    stream = plain_bytes(text)
    while True:
        n, d, x = 0.0, 2.0**48, 0
        for _ in range(6):
            n = n * 256 + next(stream)
        while n < 2.0**52:
            n, d, x = (n + x) * 256, d * 256, next(stream)
        while n >= 2.0**53:
            n, d, x = n / 2, d / 2, x >> 1
        yield (n + x) / d


def plain_path(draws: Iterator[float]) -> list[float]:
    """Live prices of a game, by the rules of version 3."""
    price, path = 1.0, [1.0]
    while next(draws) >= _RUG:
        if next(draws) < 0.00001 and price <= 100:
            price *= 10
        else:
            if next(draws) < 0.125:
                size = 0.15 + next(draws) * (0.25 - 0.15)
                change = size if next(draws) > 0.5 else -size
            else:
                slope = -0.02 + next(draws) * (0.03 + 0.02)
                change = slope + 0.005 * min(10, math.sqrt(price)) * (2 * next(draws) - 1)
            price = max(0.0, price * (1 + change))
        path.append(price)
    return path


def plain_verify(entry: dict[str, Any], seed: str) -> bool:
    """Whether all prices but that of the rug are those of the seed."""
    made = plain_path(plain_numbers(f"{seed}-{entry['id']}"))
    return made == [float(one) for one in entry["prices"][:-1]]


def verifying(rounds: int, games: int) -> None:
    """Games verified a second, prices as texts."""
    entries, known = [], []
    for number in range(games):
        seed, game_id = f"{number:064x}", f"20310102-{number:08x}a4bc4def"
        path = fair.prices(seed, game_id).tolist()
        entries.append({"id": game_id, "prices": [*map(repr, path), "0.0125"]})
        known.append(seed)
    assert all(fair.verify(*pair) for pair in zip(entries, known, strict=True))
    assert all(plain_verify(*pair) for pair in zip(entries, known, strict=True))
    found = alternate(
        {
            "replaylab": lambda: [fair.verify(*pair) for pair in zip(entries, known, strict=True)],
            "step by step": lambda: [plain_verify(*pair) for pair in zip(entries, known, strict=True)],
        },
        rounds,
    )
    ticks = sum(len(entry["prices"]) - 1 for entry in entries)
    rows = [(name, games / median(seconds), ticks / median(seconds)) for name, seconds in found.items()]
    print_table(
        f"verified, {games:,} games of {ticks / games:.0f} ticks", ["way", "games a second", "ticks a second"], rows
    )
    ratio = Ratio.of(found["step by step"], found["replaylab"])
    print_ratio("fair: verify a seed", ratio, "throughput over the description, step by step")


def simulating(rounds: int, games: int) -> None:
    """Ticks simulated a second."""
    few = max(20, games // 50)

    def tick_by_tick() -> int:
        dice = random.Random(1)
        draws = iter(dice.random, None)
        return sum(len(plain_path(draws)) for _ in range(few))

    drawn, ticks = fair.simulate(games, seed=1).n_ticks, tick_by_tick()
    found = alternate({"replaylab": lambda: fair.simulate(games, seed=1), "tick by tick": tick_by_tick}, rounds)
    ours, theirs = (
        [ticks / one for one in found[name]] for name, ticks in (("replaylab", drawn), ("tick by tick", ticks))
    )
    rows = [("replaylab", drawn, median(ours)), ("tick by tick", ticks, median(theirs))]
    print_table(f"simulated, {games:,} games", ["way", "ticks", "ticks a second"], rows)
    print_ratio("fair: simulate", Ratio.of(ours, theirs), "ticks a second over plain Python, tick by tick")


if __name__ == "__main__":
    given = arguments(__doc__, games=20_000)
    verifying(given.rounds, 10 if given.quick else 300)
    simulating(given.rounds, 200 if given.quick else given.games)
