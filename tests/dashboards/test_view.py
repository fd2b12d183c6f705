"""View: what the dashboard shows of a store, whatever state that is in."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.dashboards.view import FINDINGS, GAMES, POINTS, Verified, View, _thinned
from tests.playing import until
from tests.stores import quiet, run_child, simulated


class Clock:
    """Seconds that the test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


def test_a_store_without_recorders(tmp_path: Path) -> None:
    """Its newest games are shown, with few points of their prices; the whole is JSON without NaN."""
    quiet(simulated(tmp_path / "recordings", games=15), tmp_path / "store")
    shown = View(rl.open_store(tmp_path / "store")).now()
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert (shown["verdict"], shown["problems"], shown["runs"]) == ("idle", [], [])
    assert shown["totals"]["games"] == 15
    ids = rl.open_store(tmp_path / "store").game_ids()
    assert [game["game_id"] for game in shown["games"]] == ids[-1 : -GAMES - 1 : -1]
    assert all(0 < len(game["points"]) <= 2 * POINTS for game in shown["games"])


def test_an_empty_store(tmp_path: Path) -> None:
    """A store that holds nothing yet has no games and no problem."""
    rl.Recorder(tmp_path).stop()
    shown = View(rl.open_store(tmp_path)).now()
    assert (shown["verdict"], shown["totals"]["games"], shown["games"], shown["gaps"]) == ("idle", 0, [], [])


def test_a_live_recorder(tmp_path: Path) -> None:
    """A recorder of another thread or process is shown with its counts and its verdict."""
    clock = Clock()
    with rl.Recorder(tmp_path) as recorder:
        recorder.record({"game_id": "g", "tick": 1, "timestamp": "2031-01-02T03:04:05", "price": "x"})
        view = View(rl.Store(tmp_path), clock)
        assert until(lambda: view.now()["runs"], 60), "its status is written within a second or so"
        [run] = view.now()["runs"]
        assert (run["run"], run["state"]) == (recorder.status().run, "recording")
        assert view.now()["verdict"] in {"healthy", "degraded"}
    clock.seconds = 60
    assert [run["state"] for run in view.now()["runs"]] == ["closed"]


def test_a_killed_recorder_is_an_alarm(tmp_path: Path) -> None:
    """The verdict is failed, and the problem names the run."""
    code = "import os, sys; import replaylab as rl; from tests.playing import until; one = rl.Recorder(sys.argv[1])\n"
    code += "os._exit(0 if until(lambda: rl.status(sys.argv[1]).runs) else 9)"
    assert run_child(code, tmp_path).returncode == 0
    shown = View(rl.Store(tmp_path)).now()
    assert shown["verdict"] == "failed"
    assert [run["state"] for run in shown["runs"]] == ["dead"]
    assert shown["runs"][0]["run"] in shown["problems"][0]
    rl.recover(tmp_path)
    assert View(rl.Store(tmp_path)).now()["verdict"] == "failed"  # sealed, and nothing records in its place
    for path in (tmp_path / "status").glob("*.json"):
        path.unlink()
    assert (View(rl.Store(tmp_path)).now()["verdict"], View(rl.Store(tmp_path)).now()["problems"]) == ("idle", [])


def test_a_store_that_is_removed_is_said_once(tmp_path: Path) -> None:
    """What was last seen of it stays."""
    clock = Clock()
    quiet(simulated(tmp_path / "recordings", games=2), tmp_path / "store")
    view = View(rl.open_store(tmp_path / "store"), clock)
    assert len(view.now()["games"]) == 2
    shutil.rmtree(tmp_path / "store")
    for clock.seconds in (0.5, 60.0):
        shown = view.now()
        assert shown["problems"] == [f"no store at {tmp_path / 'store'} any more: it was moved or removed"]
        assert (shown["verdict"], len(shown["games"])) == ("failed", 2)


def test_a_damaged_segment_is_a_problem(tmp_path: Path) -> None:
    """The file is named, and the games of the others are shown."""
    for seed in (1, 2):
        quiet(simulated(tmp_path / str(seed), games=2, seed=seed), tmp_path / "store")
    segments = sorted((tmp_path / "store" / "segments").iterdir())
    segments[0].write_bytes(segments[0].read_bytes()[:-9])
    store = rl.Store(tmp_path / "store")
    shown = View(store).now()
    [problem] = shown["problems"]
    assert problem.count(segments[0].name) == 1
    assert len(shown["games"]) == 2
    found = store.verify().problems
    assert View(store).now(Verified(datetime.now(UTC), tuple(found)))["problems"] == found  # not said twice


def test_a_segment_that_is_damaged_later_is_a_problem(tmp_path: Path) -> None:
    """Its file is named at the next look, until it is what it was; a time that has changed alone is no damage."""
    for seed in (1, 2):
        quiet(simulated(tmp_path / str(seed), games=2, seed=seed), tmp_path / "store")
    clock = Clock()
    view = View(rl.open_store(tmp_path / "store"), clock)
    assert view.now()["problems"] == []
    segment, other = sorted((tmp_path / "store" / "segments").glob("*.parquet"))
    whole = segment.read_bytes()

    def later() -> dict[str, Any]:
        clock.seconds += 60
        return view.now()

    segment.write_bytes(bytes([*whole[:100], whole[100] ^ 1, *whole[101:]]))
    os.utime(segment, ns=(1, 1))
    os.utime(other, ns=(1, 1))
    for _ in range(2):
        shown = later()
        [problem] = shown["problems"]
        assert segment.name in problem
        assert "not those that were written" in problem
        assert shown["verdict"] == "failed"
    segment.write_bytes(whole[:-9])
    assert any(segment.name in problem for problem in later()["problems"])
    segment.write_bytes(whole)
    assert later()["problems"] == []
    segment.write_bytes(whole[:-9])
    later()
    segment.unlink()
    assert not any("not those that were written" in problem for problem in later()["problems"])


def test_what_a_verification_found_stays_a_problem(tmp_path: Path) -> None:
    """A few findings with when that was, how many more there are, and no problem once another one finds nothing."""
    rl.Recorder(tmp_path).stop()
    view = View(rl.open_store(tmp_path))
    at = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    shown = view.now(Verified(at, tuple(f"finding {number}" for number in range(FINDINGS + 2))))
    assert shown["problems"] == [
        *(f"verify of 2031-01-02 03:04 UTC: finding {number}" for number in range(FINDINGS)),
        "verify of 2031-01-02 03:04 UTC: and 2 more; `replaylab verify` shows all",
    ]
    assert (shown["verdict"], shown["verified_at"]) == ("failed", "2031-01-02T03:04:05.000+00:00")
    well = view.now(Verified(at))
    assert (well["problems"], well["verdict"]) == ([], "idle")
    assert view.now()["verified_at"] is None


def test_a_store_that_goes_away(tmp_path: Path) -> None:
    """What was seen stays, and the problem says what is missing; nothing is raised."""
    quiet(simulated(tmp_path / "recordings"), tmp_path / "store")
    clock = Clock()
    view = View(rl.open_store(tmp_path / "store"), clock)
    before = view.now()
    shutil.rmtree(tmp_path / "store")
    clock.seconds = 60
    after = view.now()
    assert after["problems"]
    assert after["games"] == before["games"]


def test_games_are_read_again_only_when_files_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is still costs no reading; one that grows is read, and not more often than each two seconds."""
    quiet(simulated(tmp_path / "1", games=2, seed=1), tmp_path / "store")
    clock = Clock()
    view = View(rl.open_store(tmp_path / "store"), clock)
    read: list[float] = []
    games = rl.Store.games

    def counted(store: rl.Store) -> Any:
        read.append(clock.seconds)
        return games(store)

    monkeypatch.setattr(rl.Store, "games", counted)
    for second in (0.0, 1.0, 60.0, 61.0):
        clock.seconds = second
        view.now()
    assert read == [0.0]
    quiet(simulated(tmp_path / "2", games=2, seed=2), tmp_path / "store")
    for second in (61.5, 63.0, 64.0):
        clock.seconds = second
        view.now()
    assert read == [0.0, 63.0]
    assert len(view.now()["games"]) == 4


@pytest.mark.parametrize(("work", "again"), [(0.001, 2), (0.05, 10), (5.0, 30)])
def test_games_that_take_long_are_read_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: float, again: int
) -> None:
    """Reading the games takes half a percent of a core at most; they are half a minute old at most."""
    store = tmp_path / "store"
    quiet(simulated(tmp_path / "0", games=1, seed=10), store)
    clock, done = Clock(), [0.0]
    view = View(rl.open_store(store), clock, lambda: done[0])
    read: list[int] = []
    games = rl.Store.games

    def counted(store: rl.Store) -> Any:
        read.append(int(clock.seconds))
        done[0] += work
        return games(store)

    monkeypatch.setattr(rl.Store, "games", counted)
    view.now()
    for seed, second in enumerate((2, 2 + again - 1, 2 + again), 1):
        quiet(simulated(tmp_path / str(seed), games=1, seed=10 + seed), store)
        clock.seconds = second
        view.now()
    assert read == [0, 2, 2 + again]


@pytest.mark.parametrize("count", [0, 1, POINTS, POINTS + 1, 10_000])
def test_small_charts_keep_the_extremes(count: int) -> None:
    """First, last, greatest and least price are among the points of a small chart."""
    import numpy as np

    prices = np.random.default_rng(count).random(count)
    chosen = _thinned(prices)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= POINTS + 2
    if count:
        assert {0, count - 1, int(prices.argmin()), int(prices.argmax())} <= set(chosen)
