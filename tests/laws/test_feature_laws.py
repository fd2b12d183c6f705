"""Laws of features: neither the future, nor the rug, nor other games change what is known at a tick."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from replaylab.analysis.questions.features import feature_arrays
from tests.analysis.made import Made, equal, made, some_game


@given(some_game(), st.data())
def test_the_future_changes_nothing(game: Made, data: st.DataObject) -> None:
    """Features up to a tick are those of the game cut after that tick, whatever came later."""
    place = data.draw(st.integers(0, len(game.ticks) - 1))
    cut = Made(game.ticks[: place + 1], None, game.prices[: place + 1])
    later = [repr(float(price) * 3 + 1) for price in game.prices[place + 1 :]]
    other = Made(game.ticks, game.rug, [*game.prices[: place + 1], *later], game.rug_price)
    known = feature_arrays(made([game]))
    before = {name: values[: place + 1] for name, values in known.items()}
    assert equal(before, feature_arrays(made([cut])))
    assert equal(before, {name: values[: place + 1] for name, values in feature_arrays(made([other])).items()})


@given(some_game(), st.sampled_from(["0.00001", "0.02", "750"]))
def test_the_rug_row_changes_nothing(game: Made, price: str) -> None:
    """Features with the rug row altered, or without one, are the same in every row."""
    rugged = Made(game.ticks, game.ticks[-1] + 1, game.prices, price)
    none = Made(game.ticks, None, game.prices)
    known = feature_arrays(made([game]))
    assert equal(known, feature_arrays(made([rugged])))
    assert equal(known, feature_arrays(made([none])))


@given(st.lists(some_game(), min_size=1, max_size=4), st.integers(0, 3))
def test_other_games_change_nothing(games: list[Made], place: int) -> None:
    """Features of a game among others are those of the game alone, to the last bit."""
    place %= len(games)
    together, known = made(games), feature_arrays(made([games[place]]))
    here = slice(together.start[place], together.start[place + 1])
    assert equal(known, {name: values[here] for name, values in feature_arrays(together).items()})
