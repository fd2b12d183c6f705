"""Long ids: what people read shows them short, and data hold them whole."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import replaylab as rl
from replaylab.tick import LONGEST_SHOWN, short_id

LONG = "x" * 3_000


def test_no_repr_is_as_long_as_its_id(tmp_path: Path) -> None:
    """Game, engine, its status, and players say the ends of a long id; the id itself is whole."""
    with rl.Recorder(tmp_path) as recorder:
        for tick in range(3):
            recorder.record(rl.Tick(LONG, tick, datetime(2031, 1, 2, tzinfo=UTC), Decimal(1), active=True))
    game = rl.open_store(tmp_path)[LONG]
    engine = rl.ReplayEngine(game)
    shown = [game, engine, engine.status, rl.play(game), rl.play(game, blind=True)]
    assert [text for text in map(repr, shown) if short_id(LONG) not in text or len(text) > 200] == []
    assert game.id == engine.status.game_id == LONG
    other = rl.open_store(tmp_path)
    compared = rl.compare([game, other[LONG]])
    assert repr(compared).count(short_id(LONG)) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns where a title leaves no room for the picture
        assert compared.picture()
        assert other[LONG].plot()._repr_png_()  # type: ignore[attr-defined]
    for player in (rl.play(game), rl.play(game, blind=True)):
        assert player._sync is not None
        assert player._sync.payload is not None
        assert player._sync.payload.opening()[0]["title"] == short_id(LONG)


def test_an_id_of_ordinary_length_is_shown_whole() -> None:
    """Only what is longer than a table's column is cut, and its beginning and end stay."""
    assert short_id("x" * LONGEST_SHOWN) == "x" * LONGEST_SHOWN
    assert len(short_id("x" * (LONGEST_SHOWN + 1))) == LONGEST_SHOWN
    assert short_id("begin" + LONG + "end").startswith("begin")
    assert short_id("begin" + LONG + "end").endswith("end")
    assert short_id(None) is None
