"""Similar games: nearest first, by what was seen up to a tick alone."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from replaylab.analysis.models.similar import similar_games
from replaylab.errors import AnalysisError
from replaylab.simulation.simulate import simulate
from replaylab.storage.open import open_store
from tests.analysis.made import Made, drawn, made, whole
from tests.stores import quiet

KNOWN = [
    whole(4, ["1", "2", "4", "8"]),
    whole(5, ["1", "2", "4", "6", "9"]),
    whole(4, ["1", "1.1", "1.2", "1.3"]),
    Made([0, 1, 3], 4, ["1", "2", "4"]),
    Made(range(3), None, ["2", "4", "8"]),
    whole(2, ["1", "2"]),
]


def test_nearest_games_by_hand() -> None:
    """Games with a gap, or too short, are not compared; a rug and a peak that were not seen are NaN."""
    found = similar_games(made(KNOWN), "g0", ticks=3)
    assert found["game_id"].to_list() == ["g1", "g4", "g2"]
    assert found["distance"].to_list() == pytest.approx([0, math.log(2), found["distance"][2]])
    assert found["ticks_left"].to_list()[0] == 3
    assert found["peak_after"].to_list()[0] == 9 / 4
    assert math.isnan(found["rug_tick"][1])
    assert math.isnan(found["peak_after"][1])
    assert found.attrs["n_compared"] == 3
    shape = similar_games(made(KNOWN), "g0", ticks=3, by="shape")
    assert shape["distance"].to_list()[:2] == pytest.approx([0, 0])


def test_distances_are_those_of_a_plain_loop() -> None:
    """The ten nearest of 2,000 games are those that a loop finds."""
    known = drawn(2_000)
    found = similar_games(known, known.game_ids[7], ticks=25)
    own = np.log(known.of(7)[1][:25])
    apart = {
        name: float(np.sqrt(np.mean((np.log(price[:25]) - own) ** 2)))
        for name, (_, price) in zip(known.game_ids, known, strict=True)
        if len(price) >= 25 and name != known.game_ids[7]
    }
    assert found["game_id"].to_list() == sorted(apart, key=lambda name: apart[name])[:10]
    assert found["distance"].to_list() == pytest.approx(sorted(apart.values())[:10])


def test_nothing_after_the_ticks_compared_counts() -> None:
    """Prices of a live game so far find what the whole game finds, but for itself."""
    known = drawn(500)
    so_far = known.of(3)[1][:12]
    live, stored = similar_games(known, so_far, count=4), similar_games(known, known.game_ids[3], ticks=12, count=3)
    assert live["game_id"].to_list() == [known.game_ids[3], *stored["game_id"]]
    assert live["distance"][0] == 0


def test_a_stored_game_is_one_of_its_store(tmp_path: Path) -> None:
    """A `Game` finds what its id finds, in the store it comes from."""
    simulate(tmp_path / "recordings", games=6, seed=3)
    quiet(tmp_path / "recordings", tmp_path / "store")
    store = open_store(tmp_path / "store")
    game = store.game(max(store.game_ids(), key=lambda one: store.game(one).summary["ticks"]))
    one, other = (similar_games(store, asked, ticks=5) for asked in (game, game.id))
    assert one.equals(other)
    assert game.id not in set(one["game_id"])


def test_what_cannot_be_compared_is_named() -> None:
    """Unknown games, too many or too few ticks, prices that are none, and a lone game are refused by name."""
    known = made(KNOWN)
    for game, options, text in (
        ("g9", {}, "no such game"),
        ("g0", {"ticks": 9}, "ticks=9"),
        ("g0", {"ticks": 1}, "ticks=1"),
        ("g0", {"by": "heart"}, "by='heart'"),
        ("g0", {"count": 0}, "count=0"),
        ([1, float("nan")], {}, "above 0"),
        ([1] * 50, {}, "none of the other 6"),
        (object(), {}, "no such game"),
    ):
        with pytest.raises(AnalysisError, match=text):
            similar_games(known, game, **options)
    with pytest.raises(AnalysisError, match="games=0"):
        similar_games(made([]), "g0")
    with pytest.raises(AnalysisError, match="none of the other"):
        similar_games(made([whole(1, ["1"]), whole(5)]), "g1", ticks=5)
    flat = similar_games(made([whole(5)] * 3), "g0")
    assert flat["distance"].to_list() == [0, 0]
    with pytest.raises(AnalysisError, match="none of the other"):
        similar_games(made([whole(5)] * 3), "g0", by="shape")
