"""Support: what the process makes raises no alarm; what it cannot make does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import replaylab as rl
from replaylab import fair
from replaylab.fair.support import outside_support, possible
from replaylab.simulation.bulk import price_arrays
from tests.stores import RECORDINGS, line, quiet, simulated

GAME = "20310102-0123456789ab4cde"


def game_of(folder: Path, prices: list[str], rug: str | None = "0.01", first: int = 0) -> rl.Game:
    """Store one game with these live prices, and give it."""
    lines = [line(GAME, first + place, price) for place, price in enumerate(prices)]
    if rug is not None:
        lines.append(line(GAME, first + len(prices), rug, rugged=True))
    folder.joinpath("game.jsonl").write_bytes(b"".join(lines))
    quiet(folder / "game.jsonl", folder / "store")
    return rl.open_store(folder / "store").game(GAME)


def test_whole_process_lies_within() -> None:
    """Of a million simulated ticks, not one lies outside."""
    prices, starts, rug_ticks = price_arrays(5_000, seed=3)
    inner = np.ones(len(prices) - 1, bool)
    inner[starts + rug_ticks - 1] = False  # the step to the rug price
    inner[(starts + rug_ticks)[:-1]] = False  # the step to the next game
    assert possible(prices[:-1], prices[1:])[inner].all()
    assert inner.sum() > 900_000


@pytest.mark.parametrize(
    ("before", "after", "can"),
    [
        (1.0, 1.0, True),
        (1.0, 1.035, True),
        (1.0, 1.0351, False),
        (1.0, 0.975, True),
        (1.0, 0.9749, False),
        (1.0, 1.149, False),
        (1.0, 1.15, True),
        (1.0, 0.75, True),
        (1.0, 0.7499, False),
        (1.0, 1.2501, False),
        (400.0, 400 * 1.08, True),  # the noise is capped at the root of 100
        (400.0, 400 * 1.081, False),
        (22.4848, 224.848, True),
        (100.0, 1000.0, True),
        (100.1, 1001.0, False),
        (1.0, 9.999, False),
        (1.0, 0.0, False),
        (0.0, 1.0, False),
        (1.0, float("nan"), False),
        (1.0, float("inf"), False),
        (-1.0, -1.0, False),
    ],
)
def test_bounds(before: float, after: float, *, can: bool) -> None:
    """The bounds of a tick are those of the published rule, and what is no positive number is outside."""
    assert bool(possible(np.array([before]), np.array([after]))[0]) is can


def test_impossible_return_is_named(tmp_path: Path) -> None:
    """An alarm names the game, the tick, both prices and the reason."""
    (alarm,) = outside_support(game_of(tmp_path, ["1", "1.02", "1.12", "1.13"]))
    assert alarm == (GAME, 2, 1.02, 1.12, "return")


def test_start_and_rug_are_looked_at(tmp_path: Path) -> None:
    """A game that does not begin at 1, and a rug price above 2 % of the price before it, raise alarms of their own."""
    found = outside_support(game_of(tmp_path, ["0.5", "0.5", "0.5"], rug="0.0101"))
    assert [(alarm.tick, alarm.reason) for alarm in found] == [(0, "start"), (3, "rug")]


def test_rug_at_the_ceiling_is_possible(tmp_path: Path) -> None:
    """The double of 1 - 0.98, which the server sends as the greatest rug price, is none."""
    assert outside_support(game_of(tmp_path, ["1", "1.02"], rug="0.020000000000000018")) == []


def test_gaps_are_not_compared(tmp_path: Path) -> None:
    """Across missing ticks nearly every return is possible: no alarm."""
    lines = [line(GAME, 0, "1"), line(GAME, 1, "1.01"), line(GAME, 40, "3.5"), line(GAME, 41, "3.51")]
    (tmp_path / "game.jsonl").write_bytes(b"".join(lines))
    quiet(tmp_path / "game.jsonl", tmp_path / "store")
    assert fair.alarms(rl.open_store(tmp_path / "store"), progress=False) == []


def test_game_without_rug_or_price(tmp_path: Path) -> None:
    """A game that was cut, and one whose prices are missing in places, raise none."""
    assert outside_support(game_of(tmp_path, ["1", "null", "1.4"], rug=None)) == []


def test_store_is_looked_through(tmp_path: Path) -> None:
    """`alarms` finds one changed price among many games, also in a game that lies in two segments."""
    recordings = simulated(tmp_path / "recordings", games=4, seed=5)
    files = sorted(recordings.glob("*.jsonl"))
    lines = files[1].read_bytes().splitlines(keepends=True)
    place = next(number for number, one in enumerate(lines) if b'"tick": 7,' in one and b"ACTIVE_GAME" in one)
    before, _, rest = lines[place].partition(b'"price": ')
    lines[place] = before + b'"price": 7.5' + rest[rest.index(b",") :]
    files[1].write_bytes(b"".join(lines))
    half = len(lines) * 2 // 3
    quiet(files[:1] + files[2:], tmp_path / "store")
    for number, part in enumerate((lines[:half], lines[half:])):
        (tmp_path / f"part{number}.jsonl").write_bytes(b"".join(part))
        quiet(tmp_path / f"part{number}.jsonl", tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    found = fair.alarms(store, progress=False)
    assert {(alarm.tick, alarm.reason) for alarm in found} == {(7, "return"), (8, "return")}
    assert len({alarm.game_id for alarm in found}) == 1


def test_recordings_raise_no_alarm(tmp_path: Path) -> None:
    """No return, start or rug price of the real recordings (or of simulated ones) lies outside."""
    files = sorted(RECORDINGS.glob("*.jsonl"))[:60]
    quiet(files or simulated(tmp_path / "recordings", games=8, seed=2), tmp_path / "store")
    assert fair.alarms(rl.open_store(tmp_path / "store"), progress=False) == []
