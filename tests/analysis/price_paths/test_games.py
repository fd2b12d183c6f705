"""Games: the table, and splits and resampling by whole games."""

from __future__ import annotations

from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab.analysis.price_paths.games import PARTS, bootstrap, games, games_of, split
from replaylab.analysis.price_paths.paths import Paths, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.errors import AnalysisError, SegmentDamaged
from replaylab.simulation.bulk import price_arrays
from tests.stores import game_lines, line, quiet, simulated

DRAWN = Paths.of_arrays(*price_arrays(300, seed=6))
DAMAGE = ("double_rug", "cooldown_only", "never_rugged", "late_start", "missing_ticks")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """Return a store with complete games and every kind of other one."""
    folder = tmp_path_factory.mktemp("games")
    quiet(simulated(folder / "recordings", games=20, seed=2, damage=DAMAGE), folder / "store")
    return rl.open_store(folder / "store")


def empty(folder: Path) -> rl.Store:
    """Make a store without a segment."""
    (folder / "store" / "segments").mkdir(parents=True)
    return rl.Store(folder / "store")


def test_table_of_a_segment_is_that_of_the_store(store: rl.Store) -> None:
    """The tables of segments that share no game, put together, are the table of the store; the same bytes, the same."""
    parts = [games_of(segment) for segment in store.segments()]
    together = pa.concat_tables(parts).sort_by([("start", "ascending"), ("game_id", "ascending")])
    assert together.equals(store.games_table())
    assert [games_of(segment) for segment in store.segments()] == parts


def test_games_leaves_out_what_is_none(store: rl.Store) -> None:
    """Cooldowns and games that came back are out by default, every other row is that of `Store.games`."""
    every = store.games()
    kept = every[(every["ticks"] > 0) & ~every["double_rug"]].reset_index(drop=True)
    found = games(store)
    assert 0 < len(found) < len(every)
    pd.testing.assert_frame_equal(found, kept)
    assert (found.attrs["n_games"], found.attrs["n_ticks"]) == (len(kept), kept["ticks"].sum())
    pd.testing.assert_frame_equal(games(store, min_ticks=0, double_rug=None), every)


def test_every_source_has_the_same_games(store: rl.Store) -> None:
    """A store, its path, its segments and its paths have the same table, and say how many ticks are behind it."""
    found = games(store)
    for source in (store.path, store.segments(), tuple(store.segments()), paths(store)):
        other = games(source)
        pd.testing.assert_frame_equal(found, other)
        assert other.attrs == found.attrs


def test_conditions_take_the_place_of_those_before(store: rl.Store) -> None:
    """A condition by name changes that one field of `where` and keeps the others."""
    where = Selection(complete=True, min_ticks=50)
    assert set(games(store, where=where, complete=None)["game_id"]) == set(games(store, min_ticks=50)["game_id"])
    assert games(store, where=where)["complete"].all()
    with pytest.raises(AnalysisError, match="length"):
        games(store, length=3)


def test_empty_store_has_no_games(tmp_path: Path) -> None:
    """A store without a row is an empty table with all its columns; what cannot be drawn from it is an error."""
    store = empty(tmp_path)
    found = games(store)
    assert len(found) == 0
    assert list(found.columns) == list(store.games().columns)
    assert found.attrs == {"prices": "float64", "n_games": 0, "n_ticks": 0, "left_out": {}}
    for by in ("game", "date"):
        with pytest.raises(AnalysisError, match="games=0: a part would be empty"):
            split(store, by=by)
        with pytest.raises(AnalysisError, match="games=2: a part would be empty"):
            split(DRAWN.take(np.array([0, 1])), by=by)
    with pytest.raises(AnalysisError, match="no game"):
        bootstrap(store, len)


def test_damaged_segment_is_named(tmp_path: Path) -> None:
    """A damaged segment raises; when it is to be left out, the result says which segment and why."""
    for number in range(2):
        (tmp_path / f"{number}.jsonl").write_bytes(b"".join(game_lines(f"g{number}", 400)))
        quiet(tmp_path / f"{number}.jsonl", tmp_path / "store")
    victim = next((tmp_path / "store" / "segments").glob("*_g0_*"))
    data = bytearray(victim.read_bytes())
    data[200] ^= 0xFF  # inside a page: the footer is as it was
    victim.write_bytes(data)
    store = rl.open_store(tmp_path / "store")
    with pytest.raises(SegmentDamaged, match=victim.name):
        games(store)
    found = games(store, damaged="skip")
    assert found["game_id"].tolist() == ["g1"]
    assert list(found.attrs["left_out"]) == [victim.name]
    (broken,) = (segment for segment in store.segments() if segment.name == victim.name)
    with pytest.raises(SegmentDamaged, match=victim.name):
        games_of(broken)


@pytest.mark.parametrize("by", ["game", "date"])
def test_every_game_is_in_one_part(by: str) -> None:
    """The parts have no game in common and leave none out, and are about as large as asked for."""
    parts = split(DRAWN, by=by)
    together = [game for part in parts.values() for game in part.game_ids]
    assert sorted(together) == DRAWN.game_ids
    assert sum(part.n_ticks for part in parts.values()) == DRAWN.n_ticks
    for name, share in PARTS.items():
        assert abs(parts[name].n_games / 300 - share) < (0.1 if by == "game" else 1e-9)


def test_by_date_is_in_order_of_time() -> None:
    """Cut by date, every game of a part is later than those of the part before."""
    parts = list(split(DRAWN, by="date").values())
    for earlier, later in pairwise(parts):
        assert max(earlier.games.column("start").to_pylist()) < min(later.games.column("start").to_pylist())


@given(st.sets(st.integers(0, 299)), st.integers(0, 3))
def test_a_game_stays_in_its_part(kept: set[int], seed: int) -> None:
    """Law: whatever other games there are, a game is in the same part; another seed draws other parts."""
    every = split(DRAWN, seed=seed)
    names, some_games = {DRAWN.game_ids[place] for place in kept}, DRAWN.take(np.array(sorted(kept), np.int64))
    if not all(names & set(part.game_ids) for part in every.values()):
        with pytest.raises(AnalysisError, match="a part would be empty"):
            split(some_games, seed=seed)
        return
    some = split(some_games, seed=seed)
    for name, part in some.items():
        assert set(part.game_ids) <= set(every[name].game_ids)
    assert split(DRAWN, seed=seed + 1)["test"].game_ids != every["test"].game_ids


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"parts": {"a": 0.5, "b": 0.6}}, "add up to 1.1"),
        ({"parts": {}}, "add up to 0"),
        ({"parts": {"a": 1.5, "b": -0.5}}, "'b'"),
        ({"by": "tick"}, "by='tick': take one of game, date"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_nonsense_parts_are_refused(arguments: dict[str, object], said: str) -> None:
    """Shares that do not add up to 1, and splitting by tick, are errors."""
    with pytest.raises(AnalysisError, match=said):
        split(DRAWN, **arguments)  # type: ignore[arg-type]


def mean_life(found: Paths) -> float:
    """Mean of R over the games whose rug was seen."""
    return float(found.rug_tick.mean())


def test_bootstrap_draws_games() -> None:
    """The standard error of a mean over games is that of independent games, and one of ticks would be far smaller."""
    found = bootstrap(DRAWN, mean_life, resamples=400).loc["value"]
    by_games = DRAWN.rug_tick.std() / np.sqrt(300)
    assert found["estimate"] == DRAWN.rug_tick.mean()
    assert found["standard_error"] == pytest.approx(by_games, rel=0.15)
    assert found["low"] < found["estimate"] < found["high"]
    assert (found["n_games"], found["n_ticks"], found["resamples"]) == (300, DRAWN.n_ticks, 400)


def test_bootstrap_is_the_same_for_the_same_seed() -> None:
    """The same seed draws the same games, another one others; several numbers keep their names and order."""

    def two(found: Paths) -> dict[str, float]:
        return {"mean": mean_life(found), "games": found.n_games}

    first = bootstrap(DRAWN, two, resamples=20, seed=1)
    pd.testing.assert_frame_equal(first, bootstrap(DRAWN, two, resamples=20, seed=1))
    assert not first.equals(bootstrap(DRAWN, two, resamples=20, seed=2))
    assert list(first.index) == ["mean", "games"]
    assert (first.loc["games", ["low", "high"]] == 300).all()


def test_bootstrap_counts_what_gave_no_number() -> None:
    """A resample in which the statistic is NaN is out of the interval and out of the count."""
    calls = count()
    found = bootstrap(DRAWN, lambda one: float("nan") if next(calls) % 2 else mean_life(one), resamples=10)
    assert found.loc["value", "resamples"] == 5
    assert found["low"].notna().all()


def test_bootstrap_refuses(tmp_path: Path) -> None:
    """One game, no number from the statistic, and bounds that are none are errors that say so."""
    (tmp_path / "a.jsonl").write_bytes(b"".join([*game_lines("g", 5), line("h", 0, "1.0", active=False)]))
    quiet(tmp_path / "a.jsonl", tmp_path / "store")
    with pytest.raises(AnalysisError, match="games=1"):
        bootstrap(tmp_path / "store", mean_life)
    with pytest.raises(AnalysisError, match="must return a number"):
        bootstrap(DRAWN, lambda found: found, resamples=2)  # type: ignore[arg-type, return-value]
    with pytest.raises(AnalysisError, match="confidence=1"):
        bootstrap(DRAWN, mean_life, confidence=1)
