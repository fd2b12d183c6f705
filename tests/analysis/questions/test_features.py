"""Features: blind to the rug and to the future, equal for one game and for many, and what their names say."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given

import replaylab as rl
from replaylab.analysis.price_paths.paths import Paths, paths
from replaylab.analysis.questions.features import FEATURES, feature_arrays, features, features_at
from replaylab.errors import AnalysisError, LookAhead
from replaylab.playback.timeline import Timeline
from replaylab.playback.view import View
from tests.analysis.made import Made, drawn, equal, made, recorded, some_game, whole
from tests.playing import tick as live_tick
from tests.stores import game_lines, line, quiet, simulated

pytestmark = pytest.mark.filterwarnings("default::UserWarning")


def test_chunks_do_not_show() -> None:
    """Over more rows than are worked on at once, games have the features that they have alone."""
    known = drawn(1_000)
    assert known.n_ticks > 4 * (1 << 15)
    found = feature_arrays(known)
    for game in (0, 1, 400, 999):
        alone = feature_arrays(known.take(np.array([game])))
        here = slice(known.start[game], known.start[game + 1])
        assert equal(alone, {name: values[here] for name, values in found.items()})


def test_a_view_sees_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In stored games, with idle rows and both rug broadcasts, the view's features are those of the store."""
    folder = tmp_path_factory.mktemp("features")
    quiet(simulated(folder / "recordings", games=3, seed=3), folder / "store")
    store = rl.open_store(folder / "store")
    known = paths(store)
    found = feature_arrays(known)
    for number, game_id in enumerate(known.game_ids):
        line_of = Timeline.of(store[game_id])
        seen = np.flatnonzero(line_of.live)
        rows = [*seen[:: max(1, len(seen) // 25)], seen[-1], line_of.stop - 1]
        for row in rows:
            place = known.start[number] + int((seen <= row).sum()) - 1
            here = features_at(View(line_of, int(row) + 1))
            assert equal(here, {name: float(values[place]) for name, values in found.items()})


def test_a_live_view_sees_the_same() -> None:
    """On a live feed the features at the newest tick are those that the store will have."""
    prices = [round(1 + 0.3 * math.sin(n), 6) for n in range(60)]
    engine = rl.ReplayEngine(ring_ticks=100)
    for number, price in enumerate(prices):
        engine.push(live_tick(number, price=str(price)))
    known = feature_arrays(made([Made(range(60), None, prices)]))
    assert equal(features_at(engine.view()), {name: float(values[-1]) for name, values in known.items()})


def plain(game: Made, place: int) -> dict[str, float]:
    """Work out the features at one row with Python's own statistics."""
    run = [float(game.prices[place])]
    for back in range(place - 1, -1, -1):
        if game.ticks[back + 1] - game.ticks[back] != 1:
            break
        run.insert(0, float(game.prices[back]))
    steps = [after / before - 1 for before, after in pairwise(run)]
    spreads = [statistics.pstdev(steps[end - 10 : end]) for end in range(10, len(steps) + 1)]
    found = {"return_1": steps[-1] if steps else math.nan}
    for window in (5, 10, 20, 50):
        enough = len(steps) >= window
        found[f"momentum_{window}"] = run[-1] / run[-1 - window] - 1 if enough else math.nan
        found[f"volatility_{window}"] = statistics.pstdev(steps[-window:]) if enough else math.nan
    found["mean_10"] = statistics.fmean(run[-10:]) if len(run) >= 10 else math.nan
    found["deviation_10"] = run[-1] / found["mean_10"] - 1
    slow = found["volatility_50"]
    found["volatility_ratio"] = found["volatility_10"] / slow if slow > 0 else math.nan
    found["volatility_of_volatility"] = statistics.pstdev(spreads[-20:]) if len(spreads) >= 20 else math.nan
    every = [float(price) for price in game.prices[: place + 1]]
    found["distance_from_peak"] = every[-1] / max(every) - 1
    found["ticks_since_peak"] = game.ticks[place] - game.ticks[every.index(max(every))]
    found["up_share_20"] = sum(step > 0 for step in steps[-20:]) / 20 if len(steps) >= 20 else math.nan
    return {name: found[name] for name in FEATURES}


@given(some_game())
def test_values_are_what_the_names_say(game: Made) -> None:
    """Each feature is what Python's own statistics make of the prices, and unknown exactly where they do not reach."""
    found = feature_arrays(made([game]))
    expected = [plain(game, place) for place in range(len(game.ticks))]
    for name in FEATURES:
        values = [one[name] for one in expected]
        if name == "volatility_ratio":  # of two values that are zero but for rounding it may be anything
            steady = found["volatility_50"] < 1e-9
            assert found[name][~steady] == pytest.approx(np.array(values)[~steady], rel=1e-6, nan_ok=True)
            continue
        assert found[name] == pytest.approx(values, rel=1e-9, abs=1e-9, nan_ok=True)


def test_idle_rows_and_the_rug_are_not_there(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A recording with cooldown rows and a rug gives one row a live tick; idle prices of 1 calm no volatility."""
    folder = tmp_path_factory.mktemp("idle")
    idle = [line(tick=0, price="1.0", active=False, cooldown_timer=9900, phase="PRESALE") for _ in range(30)]
    (folder / "a.jsonl").write_bytes(b"".join([*idle, *game_lines("20310102-0123456789ab4cde", 8)]))
    quiet(folder / "a.jsonl", folder / "store")
    frame = features(folder / "store")
    assert frame["tick"].tolist() == list(range(8))
    assert frame["volatility_5"].isna().sum() == 5
    assert (frame.attrs["n_games"], frame.attrs["n_ticks"]) == (1, 8)
    assert tuple(frame.columns[3:]) == FEATURES
    assert len(FEATURES) == 16


def test_a_row_without_a_price_is_a_gap() -> None:
    """A live row whose price is not known makes its own features unknown, and windows begin anew after it."""
    known = made([Made(range(20), 20, [1.0] * 20)])
    price = known.price.copy()
    price[8] = np.nan
    holed = Paths(known.games, known.start, known.tick, price, known.rug_tick, known.rug_price)
    found = feature_arrays(holed)
    assert all(np.isnan(found[name][8]) for name in FEATURES)
    assert np.isnan(found["momentum_5"]).tolist() == [*[True] * 5, *[False] * 3, *[True] * 6, *[False] * 6]
    assert found["ticks_since_peak"][9] == 9


def test_nothing_to_see_is_said() -> None:
    """No game, and a view that shows no live tick yet, are errors; beyond a view nobody sees."""
    with pytest.raises(AnalysisError, match="games=0"):
        features(made([whole(5)]).select(np.array([False])))
    idle = [
        live_tick(0, price="1", active=False, cooldown_timer=5000),
        live_tick(0, price="1"),
        live_tick(1, price="2"),
    ]
    line_of = Timeline.of(idle)
    with pytest.raises(AnalysisError, match="no live tick yet"):
        features_at(View(line_of, 1))
    with pytest.raises(AnalysisError, match="no live tick yet"):
        features_at(View(line_of, 0))
    assert features_at(View(line_of, 3))["return_1"] == 1.0
    with pytest.raises(LookAhead):
        features_at(View(line_of, 4))


def test_simulated_games_have_the_spread_of_theory() -> None:
    """Of 20,000 games the share of rising ticks and the spread of returns are those of the published process."""
    frame = feature_arrays(drawn(20_000))
    step = frame["return_1"][~np.isnan(frame["return_1"])]
    big = np.abs(step) >= 0.15 - 1e-9
    assert big.mean() == pytest.approx(0.125, abs=0.002)
    assert step[~big].mean() == pytest.approx(0.005, abs=0.0001)
    assert np.nanmean(frame["volatility_20"]) == pytest.approx(step[step < 1].std(), rel=0.15)


def test_the_real_recordings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Of the real games there is a row a live tick, no value hints at the rug, and no return is that of a rug."""
    known = recorded(tmp_path_factory.getbasetemp(), "features")
    if known is None:
        return
    frame = features(known)
    assert len(frame) == known.n_ticks
    assert frame["return_1"].min() > -0.26
    last = known.start[1:] - 1
    ratio = frame["volatility_10"].to_numpy()[last] / frame["volatility_10"].mean()
    assert np.nanmean(ratio) == pytest.approx(1, abs=0.15)
