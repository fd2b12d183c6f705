"""Damage: each kind breaks what it says, and what a reader owes to it agrees with an independent look at the bytes."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from replaylab.errors import SimulationError
from replaylab.simulation.corruption import CORRUPTIONS
from replaylab.simulation.damage import KINDS
from replaylab.simulation.recording import Recording, expected_games
from replaylab.simulation.simulate import simulate_game

SEEDS = range(5)


def broken(kind: str, seed: int = 1) -> Recording:
    """Return one damaged recording."""
    healthy = simulate_game(seed, rug_tick=60, idle=40).recording()
    return KINDS[kind](healthy, np.random.default_rng(seed))[0]


def game(recording: Recording) -> dict[str, object]:
    """Return what is expected of the only game."""
    (summary,) = recording.expected()["games"]
    return dict(summary)


def look(data: bytes) -> Counter[str]:
    """Count what is in the bytes, by regular expressions and the standard library alone."""
    found: Counter[str] = Counter()
    for line in data.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            found["damaged"] += 1
            for piece in re.split(rb'(?=\{"type":)', line):
                if re.match(rb'\{"type": "tick".*"trade_count": \d+\}', piece):
                    found["merged"] += 1
                elif re.match(rb'\{"type": "tick".*"rugged": (true|false),', piece):
                    found["torn"] += 1
                    found["null_cooldown_timer"] += not re.search(rb'"cooldown_timer": \d+,', piece)
                elif re.match(rb'\{"type": "game_.*\}', piece):
                    found["control"] += 1
            continue
        found["clean" if value["type"] == "tick" else "control"] += 1
    return found


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_changes_the_bytes_and_is_seeded(kind: str) -> None:
    """Damage is visible, and the same seed does the same damage."""
    healthy = simulate_game(2, rug_tick=60).recording()
    once = KINDS[kind](healthy, np.random.default_rng(7))
    again = KINDS[kind](healthy, np.random.default_rng(7))
    assert [part.data for part in once] == [part.data for part in again]
    assert [part.data for part in once] != [healthy.data]
    assert all(part.expected()["bytes"] == len(part.data) for part in once)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_lines_and_bytes_are_counted(kind: str) -> None:
    """The expected number of lines is that of the bytes."""
    for part in KINDS[kind](simulate_game(3, rug_tick=60, idle=40).recording(), np.random.default_rng(3)):
        assert part.expected()["lines"] == len(part.data.splitlines())


@pytest.mark.parametrize("seed", range(25))
def test_two_writers_leave_what_is_expected(seed: int) -> None:
    """A file overwritten by two processes holds the rows that its making says, and no tick is lost."""
    recording = broken("two_writers", seed)
    expected, found = recording.expected(), look(recording.data)
    assert expected["ticks"] == {what: found[what] for what in ("clean", "merged", "torn")}
    assert expected["ticks"]["merged"] > 0
    assert expected["control"] == found["control"]
    assert expected["null_cooldown_timer"] == found["null_cooldown_timer"]
    assert game(recording)["complete"] is True
    assert game(recording)["rows"] == 40 + 60 + 2


def test_two_writers_show_every_lag() -> None:
    """Over a few seeds there are merged objects, torn objects, beginnings without data, and short scraps."""
    data = b"\n".join(broken("two_writers", seed).data for seed in range(25))
    for scrap in (rb"\}\{\{\"type\"", rb"\d\{\"\{\"type\"", rb"\{\"type\": \"tick\", \"ti\w*\{\"type\""):
        assert re.search(scrap, data), scrap


@pytest.mark.parametrize("seed", range(20))
def test_torn_end_is_judged_by_what_is_left(seed: int) -> None:
    """A torn last row counts when it is intact to the comma behind `rugged`, otherwise it is one span to refuse."""
    recording = broken("torn_end", seed)
    expected = recording.expected()
    last = recording.data.rsplit(b"\n", 1)[1]
    whole = bool(re.search(rb'"rugged": (true|false),', last))
    assert expected["ticks"]["torn"] + (last.endswith(b"}")) == int(whole)
    assert expected["quarantined"] == int(not whole)
    assert expected["control"] == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", sorted(CORRUPTIONS))
def test_corruption_costs_one_line_at_most(kind: str, seed: int) -> None:
    """A bad value costs its row and a bad line nothing but itself; an odd but good one costs nothing."""
    expected = broken(kind, seed).expected()
    refused = expected["quarantined"]
    assert refused == (kind not in {"crlf", "byte_order_mark", "upper_case_exponent"})
    extra = kind in {"array_line", "number_line", "deep_nesting", "long_line"}
    assert expected["ticks"]["clean"] == 102 - refused + extra
    assert expected["games"][0]["missing_ticks"] == refused - extra


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("nan_price", rb'"price": NaN,'),
        ("infinite_price", rb'"price": Infinity,'),
        ("upper_case_exponent", rb'"price": \d\.\d+E0,'),
        ("long_price", rb'"price": 1\.\d{30},'),
        ("fractional_tick", rb'"tick": 5\.9,'),
        ("null_tick", rb'"tick": null,'),
        ("text_flag", rb'"rugged": "false",'),
        ("lone_surrogate", rb'"phase": "\\ud800",'),
        ("invalid_utf8", b'"PLAY\xff"'),
        ("missing_field", rb'"game_id": "[^"]+", "price"'),
        ("duplicate_key", rb'"price": [^,]+, "price": 1\.5,'),
        ("array_line", rb'(?m)^\["tick"'),
        ("number_line", rb"(?m)^42$"),
        ("deep_nesting", rb"\[{2000}\]{2000}"),
        ("long_line", rb'"note": "x{1048576}'),
        ("crlf", rb"\r\n"),
        ("byte_order_mark", rb"\A\xef\xbb\xbf\{"),
    ],
)
def test_corruption_writes_what_it_says(kind: str, text: bytes) -> None:
    """Each kind leaves its mark in the bytes, once healthy bytes had none."""
    healthy = simulate_game(1, rug_tick=60, idle=40).recording().data
    assert not re.search(text, healthy)
    assert re.search(text, broken(kind).data)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kind", "marks"),
    [
        ("late_start", {"late_start": True, "complete": False, "missing_ticks": 0, "rug_tick": 60}),
        ("swapped_rows", {"late_start": True, "complete": False, "missing_ticks": 0, "rug_tick": 60}),
        ("cooldown_only", {"ticks": 0, "complete": False, "censored": False, "rug_tick": None}),
        ("never_rugged", {"censored": True, "complete": False, "rug_tick": None, "late_start": False}),
        ("double_tick", {"ticks": 60, "complete": True, "rows": 103}),
        ("double_rug", {"double_rug": True, "complete": False, "rug_tick": 60}),
        ("time_backwards", {"complete": True, "rows": 102}),
        ("repeated_cooldown", {"complete": True, "rows": 104}),
        ("paused_clock", {"complete": True, "rows": 109, "ticks": 60}),
        ("whole_second", {"complete": True, "rows": 102}),
        ("no_end", {"complete": True}),
        ("comments", {"complete": True}),
    ],
)
def test_games_are_marked(kind: str, marks: dict[str, object], seed: int) -> None:
    """The summary of the game tells of the damage, and of nothing else."""
    summary = game(broken(kind, seed))
    assert {name: summary[name] for name in marks} == marks


@pytest.mark.parametrize("seed", SEEDS)
def test_missing_ticks_are_counted(seed: int) -> None:
    """One to three ticks are missing, and as many live ticks are there less."""
    summary = game(broken("missing_ticks", seed))
    assert summary["missing_ticks"] in {1, 2, 3}
    assert summary["ticks"] == 60 - int(str(summary["missing_ticks"]))


def test_swapped_rows_and_backward_times() -> None:
    """The first two rows of a swapped file stand in the wrong order; a time can lie before the one above it."""
    first, second = (row.tick for row in broken("swapped_rows").rows[:2])
    assert first == second + 1
    times = [row.at for row in broken("time_backwards").rows]
    assert times != sorted(times)


def test_files_of_one_game_belong_together() -> None:
    """A game cut into files, or recorded twice, is one complete game once merged."""
    healthy = simulate_game(4, rug_tick=60, idle=40).recording()
    for kind in ("several_files", "recorded_twice"):
        parts = KINDS[kind](healthy, np.random.default_rng(1))
        assert len({part.name for part in parts}) == 2
        (summary,) = expected_games(parts)
        assert (summary["complete"], summary["ticks"]) == (True, 60)


def test_two_games_overlap() -> None:
    """In a session file the next game begins before the former one's second rug row, and both are complete."""
    recording = broken("two_games")
    ids = [row.game_id for row in recording.rows]
    assert len(list(dict.fromkeys(ids))) == 2
    assert sum(a != b for a, b in pairwise(ids)) == 3
    assert all(summary["complete"] for summary in recording.expected()["games"])
    assert recording.name.startswith("session_")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("doubled_control", rb'(?s)("game_start".*"game_start"|"game_end".*"game_end")'),
        ("cut_seed", rb'"server_seed": "[0-9a-f]{20}"\}'),
        ("whole_second", rb'"timestamp": "[0-9T:-]{19}",'),
        ("comments", rb"(?m)^## "),
        ("comments", rb"(?m)^\n"),
    ],
)
def test_lines_are_changed_as_said(kind: str, text: bytes) -> None:
    """Each kind of damage to control lines and times leaves its mark in the bytes."""
    healthy = simulate_game(1, rug_tick=60, idle=40).recording().data
    assert not re.search(text, healthy)
    assert re.search(text, broken(kind).data)


def test_totals_and_fills() -> None:
    """A wrong total is too small; filled values leave no server price before the game; without an end there is none."""
    end = json.loads(broken("wrong_total").lines[-1].text)
    assert 98 <= end["total_ticks"] < 102
    assert all(row.filled for row in broken("filled_values").rows if not row.active)
    assert b"game_end" not in broken("no_end").data


def test_a_game_too_short_is_refused() -> None:
    """Damage that has no room in a game says so, and what to do."""
    short = simulate_game(1, rug_tick=3).recording()
    with pytest.raises(SimulationError, match="take another seed"):
        KINDS["missing_ticks"](short, np.random.default_rng(1))
    bare = simulate_game(1, rug_tick=60, idle=0).recording()
    with pytest.raises(SimulationError, match="idle rows"):
        KINDS["paused_clock"](bare, np.random.default_rng(1))
