"""What an engine can play, odd games among them, one game after the other, and playlists."""

from __future__ import annotations

import shutil
import threading
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import replaylab as rl
from replaylab.clock import FASTEST
from replaylab.errors import Unplayable
from replaylab.playback.event import Mode
from replaylab.playback.playlist import Playlist
from replaylab.playback.timeline import Timeline
from tests.playing import FakeTime, Log, game, tick


def test_a_game_of_one_tick(clock: FakeTime) -> None:
    """It starts, shows its tick and ends, once each."""
    engine = clock.engine(game(1))
    log = Log(engine)
    assert engine.run() == 1
    assert log.kinds == ["game_start", "tick", "game_end"]
    assert (engine.play(), engine.step_forward(), engine.step_backward()) == (False, False, False)


def test_a_game_that_is_only_a_rug(clock: FakeTime) -> None:
    """The rug is told once, between its tick and the end."""
    engine = clock.engine([tick(0, price="0.01", rugged=True)])
    log = Log(engine)
    engine.run()
    assert log.kinds == ["game_start", "tick", "rug", "game_end"]


def test_a_double_rug_is_told_once(clock: FakeTime) -> None:
    """A game that came back after its rug tells the first one, however often it is passed."""
    rows = [*game(5, rug=True), *(tick(n, price="0.01") for n in range(5, 8)), tick(8, price="0.001", rugged=True)]
    engine = clock.engine(rows, speed=FASTEST)
    log = Log(engine)
    engine.run()
    engine.seek(0)
    engine.run()
    assert [event.step.index for event in log.of("rug")] == [4]


def test_a_game_without_a_live_tick(clock: FakeTime) -> None:
    """A cooldown alone plays; it has no rug, no peak, no move, and a tick number leads to its first row."""
    rows = [tick(0, n * 0.1, active=False, phase="COOLDOWN", cooldown_timer=12_000 - n) for n in range(6)]
    engine = clock.engine(rows)
    log = Log(engine)
    assert engine.run() == 6
    assert not log.of("rug")
    assert not any(engine.seek_event(kind) for kind in ("rug", "peak", "gap", "move"))
    assert engine.seek_tick(0)
    assert engine.index == 0
    assert str(log.of("tick")[0].phase) == "COOLDOWN"


def test_prices_from_the_least_to_the_greatest(clock: FakeTime) -> None:
    """Prices from 1e-24 to 1e13 arrive exactly, and the peak is found among them."""
    prices = [Decimal("1E-24"), Decimal("1.1"), Decimal("1E+13"), Decimal("9999999999999.999999999999999999999999")]
    engine = clock.engine([tick(n, price=price) for n, price in enumerate(prices)])
    log = Log(engine)
    engine.run()
    assert [step.price for step in log.of("tick")] == prices
    engine.seek(0)
    assert engine.seek_event("peak")
    assert engine.current is not None
    assert engine.current.price == Decimal("1E+13")


@pytest.mark.parametrize("source", ["no/such/file", 5, [], [1, 2], {}, pa.table({"tick": [1]}), object()])
def test_what_is_no_game_is_refused_and_the_former_stays(clock: FakeTime, source: Any) -> None:
    """A failed load raises one error, and the game before it is still there, where it was."""
    engine = clock.engine(game(9))
    engine.seek(4)
    with pytest.raises(Unplayable) as caught:
        engine.load(source)
    assert isinstance(caught.value, ValueError)
    assert (engine.index, engine.total, engine.game_id) == (4, 9, "g")


def test_a_load_ends_what_was_held(clock: FakeTime) -> None:
    """Another game ends the one that was begun, then starts, in that order."""
    engine = clock.engine(game(9, name="A"))
    log = Log(engine, "game_start", "game_end")
    engine.seek(3)
    engine.load(game(5, name="B"))
    told = [(kind, event.game_id, event.reason) for kind, event in log.told]
    assert told == [("game_start", "A", ""), ("game_end", "A", "replaced"), ("game_start", "B", "")]
    assert (engine.index, engine.total, engine.mode) == (0, 5, Mode.FILE)


def test_the_callers_list_is_not_aliased(clock: FakeTime) -> None:
    """Changing the list that was loaded changes nothing here."""
    rows = game(9)
    engine = clock.engine(rows)
    rows.clear()
    assert engine.run() == 9


def test_a_store_deleted_underneath(tmp_path: Path, clock: FakeTime) -> None:
    """A game that was loaded plays on; one that was not is refused, and in a playlist skipped and reported."""
    rl.simulate(tmp_path / "recordings", games=3, seed=5)
    rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    store = rl.open_store(tmp_path / "store")
    first, second = (store.game(game_id) for game_id in store.game_ids()[:2])
    engine = clock.engine(first, speed=FASTEST)
    games = Playlist(store)
    shutil.rmtree(tmp_path / "store")
    assert engine.run() == len(first)
    log = Log(engine)
    with pytest.raises(Unplayable):
        engine.load(second)
    with pytest.raises(Unplayable):
        engine.load(games)
    assert len(games.skipped) == 3
    assert len(log.of("error")) == 3
    assert engine.game_id == first.id


def test_a_stored_game_plays_as_received(tmp_path: Path, clock: FakeTime) -> None:
    """Every row of a stored game is shown with the values that the store has."""
    rl.simulate(tmp_path / "recordings", games=1, seed=5)
    rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    [stored] = rl.open_store(tmp_path / "store")
    engine = clock.engine(stored, speed=FASTEST)
    log = Log(engine)
    engine.run()
    names = [
        "tick",
        "timestamp",
        "price",
        "phase",
        "recorded_phase",
        "active",
        "rugged",
        "cooldown_timer",
        "trade_count",
    ]
    expected = stored.ticks().select(names).to_pylist()
    assert [{name: getattr(step, name) for name in names} for step in log.of("tick")] == expected
    assert log.of("rug")[0].step.tick == stored.summary["rug_tick"]
    engine.seek(0)
    assert engine.seek_event("peak")
    assert engine.current is not None
    assert engine.current.tick == stored.summary["peak_tick"]


def test_a_playlist_plays_on_and_skips_the_broken(clock: FakeTime) -> None:
    """Games follow one another; a broken one is skipped with an error, and the queue goes on to its end."""
    games = Playlist([game(3, name="A"), "broken", game(2, name="B")])
    engine = clock.engine(games, speed=FASTEST)
    log = Log(engine)
    assert engine.run() == 5
    assert [(kind, event.game_id) for kind, event in log.told if kind in {"game_start", "game_end"}] == [
        ("game_start", "A"),
        ("game_end", "A"),
        ("game_start", "B"),
        ("game_end", "B"),
    ]
    assert len(log.of("error")) == 1
    assert list(games.skipped) == [1]
    assert (games.has_next, games.peek(), games.progress) == (False, None, 1.0)


def test_next_and_previous_game(clock: FakeTime) -> None:
    """The picker goes on and back; at the last one it says no."""
    engine = clock.engine(Playlist([game(3, name=name) for name in "ABC"]))
    assert [(engine.next_game(), engine.game_id) for _ in range(3)] == [(True, "B"), (True, "C"), (False, "C")]
    assert [(engine.previous_game(), engine.game_id) for _ in range(3)] == [(True, "B"), (True, "A"), (True, "A")]


def test_shuffling_is_seeded() -> None:
    """The same seed gives the same order, all games once; another seed another order; a reset starts again."""
    games = [game(1, name=str(n)) for n in range(30)]
    one, same, other = (Playlist(games, shuffle=True, seed=seed) for seed in (1, 1, 2))
    assert one.order == same.order != other.order
    assert sorted(one.order) == list(range(30)) == Playlist(games).order
    first = one.next()
    assert first is not None
    one.reset()
    again = one.next()
    assert again is not None
    assert first.game_id == again.game_id


def test_two_threads_that_ask_for_the_next_game_get_two() -> None:
    """While one caller of `next` looks whose turn it is, another one waits: no game comes twice or is left out."""
    both = threading.Barrier(2)

    class Met(list[int]):
        """An order of play in which each look waits for a second one, for a moment."""

        def __getitem__(self, place: Any) -> Any:
            with suppress(threading.BrokenBarrierError):
                both.wait(0.5)
            return super().__getitem__(place)

    playlist = Playlist([[tick(number)] for number in range(2)])
    playlist.order = Met(playlist.order)
    found: list[Timeline | None] = []
    threads = [threading.Thread(target=lambda: found.append(playlist.next())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(int(line.tick[0]) for line in found if line is not None) == [0, 1]
    assert playlist.next() is None
