"""The engine with a live game: pushes, the ring, looking back, and returning to now."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.clock import FASTEST
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.event import Mode
from replaylab.tick import MAX_TICK_BYTES
from tests.playing import Log, game, tick, until
from tests.stores import quiet


def test_each_push_is_one_tick_with_its_place(engine: ReplayEngine) -> None:
    """A push shows one tick that knows its row, the total, the progress and the mode."""
    log = Log(engine, "tick", "push", "game_start")
    for one in game(3):
        assert engine.push(one)
    steps = log.of("tick")
    assert [(step.index, step.total, step.progress, step.mode) for step in steps] == [
        (n, n + 1, 1.0, Mode.LIVE) for n in range(3)
    ]
    assert [step.price for step in steps] == [one.price for one in game(3)]
    assert [step.recorded_phase for step in steps] == ["ACTIVE_GAMEPLAY"] * 3
    assert log.kinds == ["game_start", "tick", "push", "tick", "push", "tick", "push"]


def test_another_game_ends_the_one_before(engine: ReplayEngine) -> None:
    """A new id ends the old game, empties the ring and starts the new one, in that order."""
    log = Log(engine, "game_start", "game_end", "tick")
    for one in [*game(3, name="A"), *game(2, name="B")]:
        engine.push(one)
    told = [(kind, value.game_id) for kind, value in log.told if kind != "tick"]
    assert told == [("game_start", "A"), ("game_end", "A"), ("game_start", "B")]
    assert (engine.total, engine.status.ring_ticks, engine.index) == (2, 2, 1)


def test_one_mode_at_a_time(engine: ReplayEngine) -> None:
    """The first push drops the stored game, a load leaves live and empties the ring; each is told."""
    engine.load(game(9, name="A"))
    log = Log(engine, "game_end", "game_start")
    engine.push(tick(1, game="B"))
    assert (engine.mode, engine.total, engine.timeline) == (Mode.LIVE, 1, None)
    engine.load(game(9, name="C"))
    assert (engine.mode, engine.total, engine.status.ring_ticks) == (Mode.FILE, 9, 0)
    told = [(kind, event.game_id, event.reason) for kind, event in log.told]
    assert told == [
        ("game_end", "A", "replaced"),
        ("game_start", "B", ""),
        ("game_end", "B", "replaced"),
        ("game_start", "C", ""),
    ]


def test_the_live_game_can_be_read_beside_playback(engine: ReplayEngine) -> None:
    """`stream` is the live game with its ring, None in any other mode; reading it moves nothing."""
    before = engine.stream
    for one in game(3):
        engine.push(one)
    stream = engine.stream
    assert before is None
    assert stream is not None
    assert (stream.game_id, stream.stop, stream.ring.latest()) == ("g", 3, game(3))
    assert engine.index == 2
    engine.load(game(2))
    assert engine.stream is None


@pytest.mark.parametrize("wrong", [None, 5, "tick", {}, {"tick": 1}, [], object(), {"game_id": "g", "tick": -1}])
def test_what_is_no_tick_changes_nothing(engine: ReplayEngine, wrong: Any) -> None:
    """Pushing something else is refused and counted, raises nothing and does not even enter live mode."""
    engine.load(game(3))
    assert not engine.push(wrong)
    assert (engine.mode, engine.total, engine.status.refused) == (Mode.FILE, 3, 1)


def test_a_tick_of_more_than_a_mebibyte_is_refused(engine: ReplayEngine) -> None:
    """Up to 1,048,576 bytes a tick is taken; a longer one is refused and counted, and the next one is taken."""
    fields = {"game_id": "g", "tick": 1, "timestamp": "2031-01-02T03:04:05", "price": "1", "phase": "x"}
    room = MAX_TICK_BYTES - len(tick(1, 0, "1", active=False, phase="x").to_line())
    taken = [engine.push(fields | {"phase": "x" * (1 + room + more)}) for more in (-1, 0, 1, 9 << 20)]
    assert taken == [True, True, False, False]
    assert not engine.push(fields | {"phase": "é" * (room // 2 + 2)})
    assert engine.push(fields)
    assert (engine.status.pushed, engine.status.refused) == (3, 3)


def test_order_is_kept_as_received_and_counted(engine: ReplayEngine) -> None:
    """Ticks received again, late ones and gaps are kept as they came, counted, and a gap is told when it is seen."""
    log = Log(engine, "gap", "tick")
    for number in (0, 1, 1, 2, 5, 4, 5):
        engine.push(tick(number, 1.0))
    seen = engine.status
    assert (seen.duplicates, seen.regressions, seen.gaps) == (2, 1, 1)
    assert [step.tick for step in log.of("tick")] == [0, 1, 1, 2, 5, 4, 5]
    assert [(event.gap.missing, event.step.tick) for event in log.of("gap")] == [(2, 5)]


def test_cooldown_rows_are_no_doubles(engine: ReplayEngine) -> None:
    """The rows of a cooldown all carry number 0; that is nothing odd. A silence of seconds is a gap."""
    for n in range(5):
        engine.push(tick(0, n * 0.1, active=False, cooldown_timer=500 - n))
    engine.push(tick(0, 9))
    seen = engine.status
    assert (seen.duplicates, seen.regressions, seen.gaps) == (0, 0, 1)


def test_the_rug_is_told_once_when_it_arrives(engine: ReplayEngine) -> None:
    """One rug a game, also when its second broadcast follows, and also while looking back."""
    log = Log(engine, "rug")
    for one in game(5):
        engine.push(one)
    engine.seek(1)
    engine.push(tick(5, price="0.01", rugged=True))
    engine.push(tick(6, price="0.01", rugged=True, phase="RUG_EVENT_1"))
    engine.push(tick(7, price="0.01", rugged=True))
    assert [event.step.tick for event in log.of("rug")] == [5]


def test_play_in_live_mode_ends_nothing(engine: ReplayEngine) -> None:
    """Playing while following says yes and changes nothing: the game goes on, no end is told."""
    log = Log(engine, "game_end", "state")
    for one in game(5):
        engine.push(one)
    before = len(log.told)
    assert engine.play()
    assert engine.playing
    assert len(log.told) == before
    assert engine.push(tick(5))
    assert engine.index == 5


def test_following_cannot_step_back_or_seek_by_number(engine: ReplayEngine) -> None:
    """While the newest tick is followed, steps and tick numbers are refused without an error."""
    for one in game(5):
        engine.push(one)
    assert not any([engine.step_backward(), engine.step_forward(), engine.seek_tick(2), engine.reset()])
    assert (engine.index, engine.status.following) == (4, True)


def test_pause_look_back_and_return_to_now(engine: ReplayEngine) -> None:
    """Paused, the ring goes on filling and no tick is shown; rows can be looked at; go_live shows the newest."""
    log = Log(engine, "tick", "push", "seek")
    rows = game(30)
    for one in rows[:10]:
        engine.push(one)
    assert engine.pause()
    for one in rows[10:20]:
        engine.push(one)
    assert (log.rows, len(log.of("push")), engine.index, engine.total) == (list(range(10)), 20, 9, 20)
    assert engine.seek(3)
    assert engine.step_backward()
    assert engine.step_forward()
    assert [step.price for step in log.of("tick")[-3:]] == [rows[n].price for n in (3, 2, 3)]
    assert engine.go_live()
    assert (engine.index, log.of("seek")[-1].reason) == (19, "live")
    engine.push(rows[20])
    assert engine.index == 20


def test_a_seek_while_following_stays_there(engine: ReplayEngine) -> None:
    """A look back is not snapped to the newest tick by the next push."""
    for one in game(10):
        engine.push(one)
    assert engine.seek(4)
    engine.push(tick(10))
    assert (engine.index, engine.status.following, engine.playing) == (4, False, False)


def test_playing_from_the_past_catches_up_and_follows(engine: ReplayEngine) -> None:
    """Played from a look back, every row comes once and in order, and at the newest it follows again."""
    log = Log(engine, "tick")
    rows = game(30)
    for one in rows[:20]:
        engine.push(one)
    engine.seek(5)
    engine.speed = FASTEST
    engine.play()
    assert until(lambda: engine.status.following)
    for one in rows[20:]:
        engine.push(one)
    assert log.rows == [*range(20), *range(5, 30)]


def test_what_is_evicted_while_paused_is_gone(engine: ReplayEngine) -> None:
    """The cursor moves on with the oldest tick that the ring still has, and rows before it are refused."""
    rows = game(300)
    for one in rows[:50]:
        engine.push(one)
    engine.pause()
    for one in rows[50:]:
        engine.push(one)
    assert (engine.index, engine.at_start) == (200, True)
    assert not any([engine.seek(199), engine.step_backward()])
    assert engine.seek(200)
    assert engine.seek_fraction(1.0)
    assert engine.index == 299
    assert engine.current is not None
    assert engine.current.price == rows[299].price


def test_a_new_game_while_paused_stays_paused_at_its_start(engine: ReplayEngine) -> None:
    """Somebody who looks back is not dragged along by the next game, and can follow it when he likes."""
    for one in game(5, name="A"):
        engine.push(one)
    engine.pause()
    for one in game(5, name="B"):
        engine.push(one)
    assert (engine.game_id, engine.index, engine.playing) == ("B", 0, False)
    assert engine.go_live()
    assert engine.index == 4


def test_rows_of_a_store_can_be_pushed(tmp_path: Path, engine: ReplayEngine) -> None:
    """Every row of a stored game is taken as it is, without a price too, and shown with the values that it has."""
    rl.simulate(tmp_path / "r", games=1, seed=5)
    quiet(tmp_path / "r", tmp_path / "store")
    [stored] = rl.open_store(tmp_path / "store")
    rows = stored.ticks().to_pylist()
    assert any(row["price"] is None for row in rows)
    log = Log(engine, "tick", "rug")
    assert all(engine.push(row) for row in rows)
    names = ["tick", "timestamp", "price", "recorded_phase", "active", "rugged", "cooldown_timer", "trade_count"]
    assert [{name: getattr(step, name) for name in names} for step in log.of("tick")] == [
        {name: row[name] for name in names} for row in rows
    ]
    assert [event.step.tick for event in log.of("rug")] == [stored.summary["rug_tick"]]
    view = engine.view().to_table()
    assert view.column("price").to_pylist() == [row["price"] for row in rows[-len(view) :]]


def test_a_tick_without_a_price_is_a_tick(engine: ReplayEngine) -> None:
    """A price that is not known is None, in the tick, the step and the ring, beside ticks that have one."""
    row: dict[str, Any] = {"game_id": "g", "tick": 0, "timestamp": "2031-01-02T03:04:05", "price": None}
    assert rl.Tick(**row).price is None
    assert engine.push(row)
    assert engine.push(tick(1, price="1.02"))
    assert engine.stream is not None
    assert [one.price for one in engine.stream.ring.latest()] == [None, Decimal("1.02")]
    assert engine.stream.ring.to_table().column("price").to_pylist() == [None, Decimal("1.02")]
    assert not engine.push({name: value for name, value in row.items() if name != "price"})
    engine.seek(0)
    assert engine.current is not None
    assert repr(engine.current) == "Step('g', row 0 of 2, tick 0, no price, UNKNOWN)"


def test_steps_and_statuses_are_one_short_line(engine: ReplayEngine) -> None:
    """A step says where it is and what it shows; a status names what a user looks for first."""
    for number in (0, 1, 4):
        engine.push(tick(number, price="1.020"))
    assert repr(engine.current) == "Step('g', row 2 of 3, tick 4, 1.02, ACTIVE_GAMEPLAY)"
    assert repr(engine.status) == "Status(live, game 'g', row 2 of 3, following, 1x, gaps 1)"
