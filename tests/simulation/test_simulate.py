"""Simulated recordings: same seed, same bytes; written as recorders write; the samples are as committed."""

from __future__ import annotations

import json
import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from replaylab.errors import ReplayLabError, SimulationError
from replaylab.simulation.damage import KINDS
from replaylab.simulation.dialect import DIALECTS, as_capture
from replaylab.simulation.process import generator
from replaylab.simulation.simulate import _SAMPLES, expectation, samples, simulate, simulate_game, write_recordings

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
KEYS = [
    "type", "timestamp", "game_id", "tick", "price", "phase", "active", "rugged", "cooldown_timer", "trade_count",
]  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_same_seed_same_bytes(tmp_path: Path, dialect: str) -> None:
    """The same seed writes the same bytes in every dialect, another seed other ones."""
    for name, seed in (("one", 5), ("two", 5), ("three", 6)):
        simulate(tmp_path / name, games=4, seed=seed, dialect=dialect)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert contents(tmp_path / "one") != contents(tmp_path / "three")


def test_files_are_named_as_recorders_name_them(tmp_path: Path) -> None:
    """A file is named by its second and the end of the game's id; the id is a date and half a UUID of version 4."""
    for path in simulate(tmp_path, games=5, seed=1):
        first = json.loads(path.read_text().splitlines()[0])
        assert re.fullmatch(r"20310102-[0-9a-f]{12}4[0-9a-f]{3}", first["game_id"])
        assert re.fullmatch(rf"game_20310102_\d{{6}}_{first['game_id'][-8:]}\.jsonl", path.name)


def test_lines_are_spelt_as_in_recordings() -> None:
    """Keys come in the recorded order with a space after comma and colon; a price is the shortest text of a double."""
    start, *ticks, end = simulate_game(1, rug_tick=50).recording().data.decode().splitlines()
    assert list(json.loads(start)) == ["type", "timestamp", "game_id", "session_game_number"]
    assert list(json.loads(end)) == [
        "type", "timestamp", "game_id", "total_ticks", "tick_range", "price_range", "peak_price", "final_price",
    ]  # fmt: skip
    for line in ticks:
        found = json.loads(line, parse_float=Decimal)
        assert list(found) == KEYS
        assert line == json.dumps(json.loads(line))
        assert datetime.fromisoformat(found["timestamp"]).tzinfo is None


def test_game_end_agrees_with_the_rows() -> None:
    """The last line counts all rows, and gives the extremes of ticks and prices, filled prices included."""
    lines = [json.loads(line) for line in simulate_game(8, rug_tick=50).recording().data.splitlines()]
    rows, end = lines[1:-1], lines[-1]
    assert end["total_ticks"] == len(rows)
    assert end["tick_range"] == [0, max(row["tick"] for row in rows)]
    assert end["price_range"] == [min(row["price"] for row in rows), max(row["price"] for row in rows)]
    assert end["peak_price"] == end["price_range"][1]
    assert end["final_price"] == rows[-1]["price"]


def test_games_follow_each_other_in_time(tmp_path: Path) -> None:
    """A folder is one session: each game begins after the one before, and is numbered on."""
    starts = [json.loads(path.read_text().splitlines()[0]) for path in simulate(tmp_path, games=6, seed=2)]
    assert [start["session_game_number"] for start in starts] == [1, 2, 3, 4, 5, 6]
    assert [start["timestamp"] for start in starts] == sorted(start["timestamp"] for start in starts)


def test_expectation_adds_up(tmp_path: Path) -> None:
    """Totals are the sums over the files, and a healthy folder has only complete games."""
    simulate(tmp_path, games=6, seed=3)
    expected = json.loads((tmp_path / "expected.json").read_text())
    files = expected["files"].values()
    assert expected["totals"]["ticks"]["clean"] == sum(each["ticks"]["clean"] for each in files)
    assert expected["totals"]["lines"] == sum(each["lines"] for each in files)
    assert expected["totals"]["control"] == 12
    assert len(expected["games"]) == 6
    assert all(game["complete"] for game in expected["games"])


def test_sink_has_text_prices_and_no_type() -> None:
    """A recorder sink has metadata first and last, and ticks without a type whose price is text."""
    first, *ticks, last = [
        json.loads(line) for line in simulate_game(1, rug_tick=9).recording("sink").data.splitlines()
    ]
    assert list(first["_metadata"]) == ["game_id", "start_time", "version"]
    assert last["_metadata"]["tick_count"] == len(ticks)
    assert all("type" not in tick and isinstance(tick["price"], str) for tick in ticks)


def test_game_state_has_a_price_a_tick() -> None:
    """A game state file has R + 1 places, null where a tick was not received, and expects a row for each price."""
    for seed in range(12):
        game = simulate_game(seed, rug_tick=120)
        recording = game.recording("game_state", seed=seed)
        prices = json.loads(recording.data)["prices"]
        assert len(prices) == 121
        assert all(text in {None, repr(price)} for text, price in zip(prices[1:], game.prices[1:], strict=True))
        gaps = prices.count(None)
        assert recording.expected()["ticks"]["clean"] == 121 - gaps
        assert recording.expected()["games"][0]["missing_ticks"] == gaps
    assert recording.name.endswith(".game.json")


def test_capture_has_the_frames_of_the_wire() -> None:
    """A capture counts its events and holds snapshots, countdowns without price, and ticks with five prices."""
    lines = [json.loads(line) for line in simulate_game(2, rug_tick=30).recording("capture").data.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    frames = [line["data"] for line in lines[1:]]
    assert sum("price" not in frame for frame in frames) > 100
    ticks = [frame for frame in frames if "partialPrices" in frame]
    assert [frame["tickCount"] for frame in ticks] == list(range(31))
    assert list(ticks[20]["partialPrices"]["values"]) == ["16", "17", "18", "19", "20"]
    late = simulate_game(2, rug_tick=30, idle=0)
    joined = as_capture(late.rows, 1, generator(1), joined=10)
    assert json.loads(joined.lines[1].text)["data"]["prices"] == [1, *late.prices[1:11]]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_damage_is_dealt_out(tmp_path: Path, seed: int) -> None:
    """Every kind of damage can be asked for at once, and what is expected still counts every line and byte."""
    files = simulate(tmp_path, games=30, seed=seed, damage="all")
    expected = json.loads((tmp_path / "expected.json").read_text())
    assert sorted(expected["files"]) == sorted(path.name for path in files)
    for path in files:
        assert expected["files"][path.name]["bytes"] == path.stat().st_size
    assert len(files) == 32


def test_damage_by_name(tmp_path: Path) -> None:
    """One name, or several, strike that many games and leave the others healthy."""
    simulate(tmp_path / "healthy", games=6, seed=1)
    simulate(tmp_path / "struck", games=6, seed=1, damage=["nan_price", "comments"])
    healthy, hurt = contents(tmp_path / "healthy"), contents(tmp_path / "struck")
    changed = [name for name in healthy if healthy[name] != hurt[name] and name != "expected.json"]
    assert len(changed) == 2
    simulate(tmp_path / "one", games=6, seed=1, damage="comments")
    assert b"## note" in b"".join(contents(tmp_path / "one").values())


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"games": 0}, "games=0"),
        ({"seed": -1}, "seed=-1"),
        ({"damage": "fire"}, "two_writers"),
        ({"dialect": "morse"}, "game_state"),
        ({"dialect": "sink", "damage": "comments"}, "recording"),
        ({"start": "soon"}, "ISO 8601"),
    ],
)
def test_bad_arguments_are_refused(tmp_path: Path, arguments: dict[str, object], problem: str) -> None:
    """A wrong argument is an error that says what would be right, and nothing is written."""
    with pytest.raises(SimulationError, match=problem) as caught:
        simulate(tmp_path / "new", **arguments)  # type: ignore[arg-type]
    assert isinstance(caught.value, (ReplayLabError, ValueError))
    assert not (tmp_path / "new").exists()


def test_damage_needs_a_game_long_enough(tmp_path: Path) -> None:
    """When no game has room for the damage, the error says to ask for more games."""
    seed = next(seed for seed in range(500) if simulate_game(seed).rug_tick < 5)
    with pytest.raises(SimulationError, match="more games"):
        simulate(tmp_path, games=1, seed=seed, damage="several_files")


def test_a_game_can_be_bounded() -> None:
    """The rug tick can be fixed and the idle rows cut; nonsense is refused."""
    game = simulate_game(1, rug_tick=7, idle=5)
    assert (game.rug_tick, game.rug_price, len(game.rows)) == (7, game.prices[-1], 5 + 7 + 2)
    assert game.peak == max(game.prices)
    with pytest.raises(SimulationError, match="idle=-1"):
        simulate_game(1, idle=-1)
    with pytest.raises(SimulationError, match="dialect='x'"):
        game.recording("x")


def test_same_name_twice_is_refused(tmp_path: Path) -> None:
    """Two recordings never overwrite each other silently."""
    recording = simulate_game(1, rug_tick=3).recording()
    with pytest.raises(SimulationError, match="same file name"):
        write_recordings(tmp_path, [recording, recording])


def test_samples_are_as_committed(tmp_path: Path) -> None:
    """The committed samples are exactly what the simulator makes, file by file and byte by byte."""
    samples(tmp_path)
    committed = {name: data for name, data in contents(SAMPLES).items() if name not in {"README.md", ".gitattributes"}}
    assert contents(tmp_path) == committed
    assert sum(map(len, committed.values())) < 600_000


def test_samples_show_every_kind_of_damage() -> None:
    """Between them the samples have rows of every kind, every dialect, and every mark that a game can bear."""
    expected = json.loads((SAMPLES / "expected.json").read_text())
    assert {each["dialect"] for each in expected["files"].values()} == set(DIALECTS)
    assert min(expected["totals"]["ticks"].values()) > 20
    assert all(expected["totals"][name] for name in ("control", "annotations", "blank", "quarantined", "price_filled"))
    for mark in ("complete", "late_start", "censored", "double_rug", "missing_ticks"):
        assert any(game[mark] for game in expected["games"]), mark
    assert {kind for *_, damage in _SAMPLES for kind in damage.split()} == set(KINDS) - {"long_line"}


def test_expectation_merges_games_over_files() -> None:
    """One game in two recordings is one game of the expectation."""
    game = simulate_game(1, rug_tick=20)
    first, second = game.recording("recording"), game.recording("capture")
    assert [summary["ticks"] for summary in expectation([first, second])["games"]] == [20]
