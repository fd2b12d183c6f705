"""Survival, hazard, durations, peaks: against counting by hand, against theory, and on the real recordings."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student_t  # type: ignore[import-untyped]
from statsmodels.duration.survfunc import SurvfuncRight  # type: ignore[import-untyped]

import replaylab as rl
from replaylab.analysis.price_paths.paths import Paths, paths
from replaylab.analysis.price_paths.spells import Spells, kaplan_meier
from replaylab.analysis.questions.durations import duration_hist
from replaylab.analysis.questions.hazard import hazard, p_rug_within
from replaylab.analysis.questions.interval import wilson
from replaylab.analysis.questions.neighbours import sequence_study
from replaylab.analysis.questions.peaks import peak_quantiles, peak_table
from replaylab.analysis.questions.sidebets import sidebet_table
from replaylab.analysis.questions.survival import survival
from replaylab.analysis.simulated.watching import watched
from replaylab.errors import AnalysisError, SegmentDamaged
from replaylab.simulation.bulk import price_arrays
from tests.analysis.made import Made, made
from tests.analysis.made import drawn as simulated
from tests.stores import RECORDINGS, game_lines, line, quiet

TRUTH = RECORDINGS.parent / "recordings.truth.json"
QUESTIONS: list[Callable[[Any], Any]] = [
    survival,
    hazard,
    p_rug_within,
    duration_hist,
    peak_table,
    peak_quantiles,
    sequence_study,
]
GAMES = 100_000
SURE = 0.99
SEED = 1  # some sixty intervals are asked for, of which one in a hundred misses: many a seed has one that does

pytestmark = pytest.mark.filterwarnings("default::UserWarning")


@pytest.fixture(scope="module")
def drawn() -> Paths:
    """Return a hundred thousand games of the published process."""
    return simulated(GAMES, SEED)


@pytest.fixture(scope="module")
def cut(drawn: Paths) -> Paths:
    """Return the same games as a bad recorder sees them: half joined late, half cut off, and some with a gap."""
    return watched(drawn, seed=5)


def written(folder: Path, lines: list[bytes]) -> rl.Store:
    """Make a store of lines."""
    (folder / "a.jsonl").write_bytes(b"".join(lines))
    quiet(folder / "a.jsonl", folder / "store")
    return rl.open_store(folder / "store")


def by_hand(spells: Spells) -> list[float]:
    """Multiply the shares that survive each tick, counting game by game."""
    alive, found = 1.0, [1.0]
    for tick in range(1, max(spells.exit.tolist(), default=0) + 1):
        at_risk = rugs = 0
        for entry, end, rugged in zip(spells.entry.tolist(), spells.exit.tolist(), spells.rugged.tolist(), strict=True):
            at_risk += entry < tick <= end
            rugs += rugged and end == tick
        alive = alive * (at_risk - rugs) / at_risk if at_risk else math.nan
        found.append(alive)
    return found


def inside(frame: pd.DataFrame, truth: Any) -> bool:
    """Return whether every interval holds its true value."""
    return bool(((frame["low"] <= truth) & (truth <= frame["high"])).all())


spell = st.tuples(st.integers(0, 12), st.integers(1, 9), st.booleans())


@given(st.lists(spell, min_size=1, max_size=25))
def test_product_limit_is_that_counted_by_hand(found: list[tuple[int, int, bool]]) -> None:
    """Law: with any entries, ends and rugs the curve is the product counted game by game, and never rises."""
    entry, length, rugged = (np.array(column) for column in zip(*found, strict=True))
    spells = Spells(entry, entry + length, rugged, np.arange(len(entry)))
    curve = kaplan_meier(spells)
    assert np.allclose(curve.survival, by_hand(spells), rtol=0, atol=1e-12, equal_nan=True)
    known = curve.survival[~np.isnan(curve.survival)]
    assert (np.diff(known) <= 0).all()
    assert (curve.trials >= 0).all()


@given(st.lists(spell, min_size=1, max_size=25))
def test_transitions_are_accounted_for(found: list[tuple[int, int, bool]]) -> None:
    """Law: every transition that was seen is at risk once, and every rug is counted once."""
    entry, length, rugged = (np.array(column) for column in zip(*found, strict=True))
    spells = Spells(entry, entry + length, rugged, np.arange(len(entry)))
    assert spells.at_risk().sum() == length.sum()
    assert spells.rugs().sum() == rugged.sum()


def test_spells_end_at_gaps_and_only_seen_rugs_count(tmp_path: Path) -> None:
    """A gap ends a spell and begins another; a rug counts when the tick before was seen; a lone tick says nothing."""
    lines = game_lines("a", 6)
    del lines[3]  # tick 3 is missing
    lines += [line("b", tick) for tick in (0, 1, 2)] + [line("b", 5, "0.01", rugged=True)]  # 3 and 4 are missing
    lines += [line("c", 7)]
    spells = Spells.of(paths(written(tmp_path, lines)))
    found = list(zip(spells.entry.tolist(), spells.exit.tolist(), spells.rugged.tolist(), strict=True))
    assert sorted(found) == [(0, 2, False), (0, 2, False), (4, 6, True)]


def test_standard_error_is_greenwoods() -> None:
    """Without late entry and censoring the curve is the share alive, its error that of a share, its trials games."""
    ends = np.array([1, 2, 2, 5, 7, 7, 7, 9])
    curve = kaplan_meier(Spells(np.zeros(8, np.int64), ends, np.ones(8, np.bool_), np.arange(8)))
    share = np.array([(ends > tick).mean() for tick in range(10)])
    assert np.allclose(curve.survival, share)
    assert np.allclose(curve.standard_error[:9], np.sqrt(share * (1 - share) / 8)[:9])
    assert np.allclose(curve.trials[1:9], 8)


def staggered() -> Paths:
    """Return ten games: two rug at tick 1, three are cut off alive at 1, one rugs at 2, the others at 9."""
    ends = [(1, True)] * 2 + [(1, False)] * 3 + [(2, True)] + [(9, True)] * 4
    return made([Made(range(rug), rug) if rugged else Made(range(rug + 1)) for rug, rugged in ends])


def test_greenwood_with_censoring_in_closed_form() -> None:
    """Greenwood's sum is d / (n (n - d)), also where games were cut: 2/(10 x 8) + 1/(5 x 4) after two ticks."""
    survival_2, spread = 0.8 * 0.8, 2 / (10 * 8) + 1 / (5 * 4)
    curve = kaplan_meier(Spells.of(staggered()))
    assert curve.at_risk[:3].tolist() == [0, 10, 5]
    assert curve.survival[2] == pytest.approx(survival_2, rel=1e-12)
    assert curve.standard_error[2] == pytest.approx(survival_2 * math.sqrt(spread), rel=1e-12)
    trials = (1 - survival_2) / (survival_2 * spread)
    assert curve.trials[2] == pytest.approx(trials, rel=1e-12)
    low, high = wilson(1 - survival_2, trials)
    for row in (
        sidebet_table(staggered(), ticks=[0], window=2).iloc[0],
        p_rug_within(staggered(), 2, by=[0]).iloc[0],
        survival(staggered()).rugged_by([2]).iloc[0],
    ):
        assert (row["low"], row["high"]) == pytest.approx((float(low), float(high)), rel=1e-12)


@given(st.lists(spell, min_size=1, max_size=40))
def test_product_limit_is_that_of_statsmodels(found: list[tuple[int, int, bool]]) -> None:
    """Law: survival and standard error equal those of statsmodels wherever it has them, late entry included."""
    entry, length, rugged = (np.array(column) for column in zip(*found, strict=True))
    if not rugged.any():
        return
    with np.errstate(all="ignore"):
        peer = SurvfuncRight(entry + length, rugged.astype(int), entry=entry)
    curve = kaplan_meier(Spells(entry, entry + length, rugged, np.arange(len(entry))))
    for time, alive, error in zip(peer.surv_times, peer.surv_prob, peer.surv_prob_se, strict=True):
        if np.isnan(curve.survival[time]):
            continue
        assert curve.survival[time] == pytest.approx(alive, abs=1e-12)
        if np.isfinite(error):
            assert curve.standard_error[time] == pytest.approx(error, abs=1e-12)


def test_error_of_the_restricted_mean_in_closed_form() -> None:
    """Without censoring the error of E[min(R, tick)] is that of a plain mean, and the interval is Student's."""
    rugs = np.array([1, 2, 2, 5, 7, 7, 7, 9])
    row = survival(made([Made(range(rug), int(rug)) for rug in rugs])).mean_up_to(6).iloc[0]
    lived = np.minimum(rugs, 6)
    half = student_t.ppf(0.975, len(rugs) - 1) * lived.std() / math.sqrt(len(lived))
    assert (row["mean"], row["low"], row["high"]) == pytest.approx(
        (lived.mean(), lived.mean() - half, lived.mean() + half)
    )


def test_estimators_hold_the_truth(drawn: Paths) -> None:
    """On 100,000 simulated games every estimator's own 99 % interval holds what the process gives."""
    found = survival(drawn, confidence=SURE)
    assert (found.n_games, found.n_ticks, found.n_rugs) == (GAMES, drawn.n_ticks, GAMES)
    curve = found.curve[found.curve["tick"].isin([1, 10, 50, 100, 139, 200, 400, 700, 1000])]
    assert inside(curve, curve["theory"])
    for frame in (
        found.rugged_by([1, 50, 139, 300, 800]),
        found.mean_up_to(500),
        found.quantiles(),
        hazard(drawn, confidence=SURE),
        hazard(drawn, bins=[0], confidence=SURE),
        p_rug_within(drawn, 40, confidence=SURE),
        p_rug_within(drawn, 1, by=[0, 10, 600], confidence=SURE),
        duration_hist(drawn, confidence=SURE),
    ):
        assert inside(frame, frame["theory"]), frame


def test_peaks_hold_those_of_other_games(drawn: Paths) -> None:
    """Peaks of one draw lie in the intervals of another, and without censoring they are the plain shares."""
    other = Paths.of_arrays(*price_arrays(20_000, seed=SEED + 1))
    found = peak_table(other, beside=drawn, confidence=SURE)
    assert inside(found, found["beside"])
    assert np.allclose(found["reached"], found["complete_reached"] / 20_000)
    assert (found["games"] == found["complete_reached"]).all()
    quantiles = peak_quantiles(other, confidence=SURE)
    assert inside(quantiles, peak_quantiles(drawn)["peak"])


def test_intervals_miss_as_often_as_they_say(drawn: Paths) -> None:
    """Over many draws of badly watched games, intervals of 90 % miss about one time in ten."""
    missed: list[bool] = []
    for seed in range(150):
        part = watched(drawn.take(np.arange(seed * 600, seed * 600 + 600)), seed=seed)
        ages = hazard(part, bins=[0, 100, 300], confidence=0.9)
        by = survival(part, confidence=0.9).rugged_by([50, 139, 300])
        for frame in (ages, by):
            missed += ((frame["theory"] < frame["low"]) | (frame["theory"] > frame["high"])).tolist()
    assert len(missed) == 150 * 6
    assert 0.07 < np.mean(missed) < 0.13


def test_late_entry_and_censoring_do_not_bias(cut: Paths) -> None:
    """Joined late, cut off and with gaps, the curve still holds the truth; the naive mean and share do not."""
    found = survival(cut, confidence=SURE)
    frame = found.mean_up_to(600)
    assert inside(frame, frame["theory"])
    for frame in (
        found.rugged_by([50, 100, 200, 300, 500]),
        found.quantiles(),
        hazard(cut, confidence=SURE),
        p_rug_within(cut, 40, confidence=SURE),
        duration_hist(cut, confidence=SURE),
    ):
        assert inside(frame, frame["theory"]), frame
    complete = cut.select(np.array(cut.games.column("complete").to_pylist()))
    for naive in (complete.rug_tick, cut.rug_tick[cut.rug_tick >= 0]):  # long games are cut, short ones never joined
        assert abs(naive.mean() - 200) > 5 * naive.std() / math.sqrt(len(naive))
    assert complete.rug_tick.mean() < 180


def test_censoring_does_not_bias_peaks(drawn: Paths, cut: Paths) -> None:
    """Cut-off games do not lower the share that reaches a height, while the share of complete games is too low."""
    truth = peak_table(drawn, at=(1.5, 2, 5, 10))
    found = peak_table(cut, at=(1.5, 2, 5, 10), confidence=SURE)
    assert inside(found, truth["reached"])
    naive = found["complete_reached"] / found["complete_games"]
    assert (naive < found["low"]).all()


def test_p_rug_within_counts_games() -> None:
    """Each game seen live at the tick rugs within the window, lives beyond it, or is lost from sight."""
    rugs = np.array([3, 5, 10, 100])
    prices = np.ones(int((rugs + 1).sum()))
    found = p_rug_within(
        Paths.of_arrays(prices, np.concatenate([[0], np.cumsum(rugs + 1)[:-1]]), rugs), 5, by=[0, 5, 50]
    )
    assert found[["tick", "n_games", "rugs", "survived", "lost"]].to_numpy().tolist() == [
        [0, 4, 2, 2, 0],
        [5, 2, 1, 1, 0],
        [50, 1, 0, 1, 0],
    ]
    assert found["p"].tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert found.attrs["n_games"] == 4


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 30), st.integers(1, 60)), min_size=1, max_size=12))
def test_windows_account_for_every_game(games: list[tuple[int, int, int]]) -> None:
    """Law: at each tick the games seen live there are those that rug, live on or are lost."""
    rugs, entries, lengths = (np.array(column) for column in zip(*games, strict=True))
    prices = np.ones(int((rugs + 1).sum()))
    drawn = Paths.of_arrays(prices, np.concatenate([[0], np.cumsum(rugs + 1)[:-1]]), rugs)
    part = watched(drawn, entries=entries, lengths=lengths)
    if not part.n_games:
        return
    found = p_rug_within(part, 7, by=[0, 3, 20])
    assert (found["rugs"] + found["survived"] + found["lost"] == found["n_games"]).all()
    assert found["n_games"].tolist() == [(part.tick == tick).sum() for tick in (0, 3, 20)]
    whole = duration_hist(part, bins=[1, 10, 30])
    assert whole["games"].sum() == Spells.of(part).rugged.sum()
    total = whole["share"].sum(skipna=False)
    assert math.isnan(total) or total == pytest.approx(1)


@pytest.mark.parametrize("ask", QUESTIONS)
def test_nothing_to_ask(tmp_path: Path, ask: Callable[[Any], Any]) -> None:
    """A store without a game is an error that says so, never a number."""
    (tmp_path / "store" / "segments").mkdir(parents=True)
    with pytest.raises(AnalysisError, match="no game"):
        ask(tmp_path / "store")


@pytest.mark.parametrize("ask", QUESTIONS)
def test_damaged_segment_is_said(tmp_path: Path, ask: Callable[[Any], Any]) -> None:
    """A damaged segment raises; asked of what can be read, the answer says how many games, and what it lacks."""
    for number in range(2):
        (tmp_path / f"{number}.jsonl").write_bytes(b"".join(game_lines(f"g{number}", 300 + number)))
        quiet(tmp_path / f"{number}.jsonl", tmp_path / "store")
    victim = next((tmp_path / "store" / "segments").glob("*_g0_*"))
    data = bytearray(victim.read_bytes())
    data[200] ^= 0xFF
    victim.write_bytes(data)
    with pytest.raises(SegmentDamaged, match=victim.name):
        ask(tmp_path / "store")
    found = ask(paths(tmp_path / "store", damaged="skip"))
    counts = found.attrs if isinstance(found, pd.DataFrame) else vars(found)
    assert (counts["n_games"], counts["n_ticks"]) == (1, 301)
    assert list(counts["left_out"]) == [victim.name]


@pytest.mark.parametrize("rugged", [True, False], ids=["one game", "one game, cut off"])
@pytest.mark.parametrize("ask", QUESTIONS)
def test_one_game_is_enough(tmp_path: Path, ask: Callable[[Any], Any], *, rugged: bool) -> None:
    """One game, rugged or cut off, is answered without a warning, with its number and intervals that say how little."""
    lines = game_lines("g", 30)
    store = written(tmp_path, lines if rugged else lines[:-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = ask(store)
    if isinstance(found, pd.DataFrame):
        assert (found["low"].fillna(0) <= found["high"].fillna(np.inf)).all()
    assert "30 ticks" in repr(found) or isinstance(found, pd.DataFrame)


def test_all_cut_off(tmp_path: Path) -> None:
    """When no rug was seen the median is not known, and a hazard of 0 has an interval that reaches above it."""
    lines = [one for number in range(40) for one in game_lines(f"g{number}", 50)[:-1]]
    store = written(tmp_path, lines)
    found = survival(store)
    assert (found.n_rugs, found.n_transitions) == (0, 40 * 49)
    assert math.isnan(found.median)
    assert (found.curve["survival"] == 1).all()
    assert (found.curve["low"][1:] < 1).all()
    assert found.rugged_by([49, 50])["rugged"].isna().tolist() == [False, True]
    assert math.isnan(found.mean_up_to(51)["mean"].iloc[0])
    assert found.mean_up_to(50)["mean"].iloc[0] == 50
    row = hazard(store, bins=[0]).iloc[0]
    assert (row["hazard"], row["low"], row["rugs"]) == (0, 0, 0)
    assert 0 < row["high"] < 0.005
    assert p_rug_within(store, 40, by=[0, 20])["p"].isna().tolist() == [False, True]
    assert duration_hist(store)["games"].sum() == 0


def test_when_all_have_rugged_nothing_changes(tmp_path: Path) -> None:
    """After the last rug every later question has an answer: all have rugged, and the mean is that of their ends."""
    lines = [one for rug in (10, 20, 30) for one in game_lines(f"g{rug}", rug)]
    found = survival(written(tmp_path, lines))
    assert found.rugged_by([9, 10, 30, 500])["rugged"].tolist() == pytest.approx([0, 1 / 3, 1, 1])
    assert found.rugged_by([9, 10, 30, 500])["at_risk"].tolist() == [3, 3, 1, 0]
    assert found.mean_up_to(1000)["mean"].iloc[0] == pytest.approx(20)
    assert found.median == 20
    assert duration_hist(tmp_path / "store", bins=[1, 15, 100])["share"].tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert p_rug_within(tmp_path / "store", 500, by=[0, 15])["p"].tolist() == pytest.approx([1, 1])


def test_peaks_by_hand(tmp_path: Path) -> None:
    """A height counts from the first live price on, the rug's price never; a row without a price raises nothing."""
    lines = [line("a", tick, price) for tick, price in enumerate(("1", "2.5", "0.5"))]
    lines += [line("a", 3, "0.01", rugged=True)]
    lines += [line("b", tick, price) for tick, price in enumerate(("1", "1.5", "9"))]  # cut off
    lines += [line("c", 0, "1"), line("c", 1, "0.9"), line("c", 2, "30", rugged=True)]
    found = paths(written(tmp_path, lines))
    prices = np.where(found.tick == 0, np.nan, found.price)
    unpriced = Paths(found.games, found.start, found.tick, prices, found.rug_tick, found.rug_price)
    for source in (found, unpriced):
        table = peak_table(source, at=[1.2, 2, 9, 20])
        assert table["games"].tolist() == [2, 2, 1, 0]
        assert table["n_games"].tolist() == [3] * 4
        assert table["reached"].tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3, 0])
        assert peak_quantiles(source, shares=[0.5])["peak"].tolist() == [2.5]
    assert peak_table(found, at=[2])[["complete_games", "complete_reached"]].to_numpy().tolist() == [[2, 1]]


def test_nobody_watched_the_beginning(tmp_path: Path) -> None:
    """Where no game was watched nothing is known from then on, while later ages still have their hazard."""
    found = survival(written(tmp_path, game_lines("g", 50, first=20)))
    assert found.curve["survival"][1:].isna().all()
    assert math.isnan(found.median)
    assert hazard(tmp_path / "store", bins=[0, 20])["n_ticks"].tolist() == [0, 30]
    assert hazard(tmp_path / "store", bins=[0, 20])["hazard"].isna().tolist() == [True, False]


def test_neighbours_are_next_to_each_other(tmp_path: Path) -> None:
    """Two games are neighbours when none can have been between them and both rugs were seen; being listed so is not."""
    lines = []
    for name, minute, rugged in (("a", 0, True), ("b", 1, True), ("c", 9, True), ("d", 10, False), ("e", 11, True)):
        game = game_lines(name, 240) if rugged else game_lines(name, 240)[:-1]
        lines += [
            one.replace(b"T03:00", b"T04:%02d" % minute).replace(b"T03:01", b"T04:%02d" % (minute + 1)) for one in game
        ]
    found = sequence_study(written(tmp_path, lines))
    assert found.pairs[["game_id", "next_game_id"]].to_numpy().tolist() == [["a", "b"]]
    assert found.after["n_pairs"].tolist() == [1, 0, 0]
    assert found.correlation["correlation"].isna().all()


def test_neighbours_of_independent_games() -> None:
    """Independent games show no correlation, and a short next game is as likely after a high one as after any."""
    drawn = Paths.of_arrays(*price_arrays(20_000, seed=3))
    close = drawn.games.set_column(
        drawn.games.column_names.index("end"), "end", drawn.games.column("start").take(np.r_[1:20_000, 19_999])
    )
    found = sequence_study(
        Paths(close, drawn.start, drawn.tick, drawn.price, drawn.rug_tick, drawn.rug_price), confidence=SURE
    )
    assert len(found.pairs) == 19_999
    assert inside(found.correlation, 0)
    assert inside(found.after, found.after["theory"])


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda drawn: p_rug_within(drawn, 0), "window=0"),
        (lambda drawn: p_rug_within(drawn, by=-1), "by=-1"),
        (lambda drawn: hazard(drawn, bins=[]), "pass at least one"),
        (lambda drawn: hazard(drawn, confidence=1.0), "confidence=1.0"),
        (lambda drawn: duration_hist(drawn, bins=[0]), "bins=0"),
        (lambda drawn: peak_table(drawn, at=[0]), "at=0"),
        (lambda drawn: peak_quantiles(drawn, shares=[1]), "shares=1"),
        (lambda drawn: sequence_study(drawn, max_seconds=15), "max_seconds=15"),
        (lambda drawn: survival(drawn).quantiles([0]), "shares=0"),
        (lambda drawn: survival(drawn).mean_up_to(0), "tick=0"),
        (lambda drawn: survival(drawn).rugged_by([-1]), "ticks=-1"),
    ],
)
def test_nonsense_is_refused(ask: Callable[[Paths], Any], said: str) -> None:
    """A window below one tick, a share that is none and the like are errors that name the value."""
    with pytest.raises(AnalysisError, match=said):
        ask(Paths.of_arrays(*price_arrays(5, seed=1)))


class _Absent(UserWarning):
    """Said in the summary of the run, where every warning is."""


def test_real_recordings(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """On the real recordings the counts behind hazard, durations and peaks are the true ones."""
    if not TRUTH.is_file():
        warnings.warn_explicit(_Absent(f"no real recordings beside the repository: {request.node.name}"), None, "", 0)
        return
    known = json.loads(TRUTH.read_text())
    quiet(RECORDINGS, tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    found = paths(store)
    (row,) = hazard(found, bins=[0]).to_dict("records")
    assert {"events": row["rugs"], "transitions": row["n_ticks"]} == known["hazard"]
    assert row["hazard"] == pytest.approx(known["hazard"]["events"] / known["hazard"]["transitions"], rel=1e-9)
    assert row["low"] < row["theory"] < row["high"]
    binned = hazard(found)
    assert (binned["rugs"].sum(), binned["n_ticks"].sum()) == (row["rugs"], row["n_ticks"])
    peaks = peak_table(found, at=[2, 10])
    complete = known["complete"]
    assert peaks["complete_reached"].tolist() == [complete["peak_ge_2"], complete["peak_ge_10"]]
    assert peaks["complete_games"].tolist() == [known["games_complete"]] * 2
    whole = found.select(np.array(found.games.column("complete").to_pylist()))
    assert (whole.rug_tick.sum(), np.median(whole.rug_tick)) == (complete["rug_tick_sum"], complete["rug_tick_median"])
    assert whole.n_ticks + whole.n_games == complete["prices"]
    lives = survival(found, confidence=SURE)
    assert (lives.n_rugs, lives.n_transitions) == (row["rugs"], row["n_ticks"])
    assert inside(lives.quantiles([0.5]), 139)
