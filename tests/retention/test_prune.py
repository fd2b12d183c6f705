"""Pruning: whole games go, the account stays, a kill leaves each game whole or gone, and nothing comes back."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import replaylab as rl
from replaylab.cli.main import app
from replaylab.errors import SettingsError, StoreFull
from replaylab.recording.event import RecorderEventKind
from replaylab.retention.choice import Held, Rule, age_of, chosen, size_of
from tests.crash.faults import WRITES, Fault
from tests.crash.works import killed_at_every_point
from tests.stores import game_lines, quiet, rows, simulated, state

NOW = datetime(2031, 6, 1, tzinfo=UTC)


def wait_for(reached: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so."""
    give_up_at = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def ticks(game: str, count: int, start: datetime) -> list[rl.Tick]:
    """Make the ticks of a game, a second apart."""
    return [rl.Tick(game, at, start + timedelta(seconds=at), Decimal("1.02")) for at in range(count)]


def recorded(store: Path, games: int = 5, each: int = 30, **options: Any) -> None:
    """Record games a day apart, the last one a day before `NOW`."""
    with rl.Recorder(store, **options) as recorder:
        for number in range(games):
            recorder.record_many(ticks(f"game-{number}", each, NOW - timedelta(days=games - number)))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a store of twelve games in three segments, with remarks."""
    for seed in (1, 2, 3):
        quiet(simulated(tmp_path / f"r{seed}", games=4, seed=seed, damage="two_writers"), tmp_path / "s")
    return tmp_path / "s"


def test_a_dry_run_changes_nothing(store: Path) -> None:
    """Without `yes` it only says which games would go, and how much that is."""
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")}
    report = rl.prune(store, keep_games=5)
    assert (report.done, len(report.games), report.games_left) == (False, 7, 5)
    assert "would be removed" in str(report)
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.parquet")} == before
    assert rl.prune(store, keep_games=5, yes=True).games == report.games


def test_whole_games_go_and_all_else_stays(store: Path) -> None:
    """The rows of the games that stay are the same, and so are all remarks."""
    opened = rl.open_store(store)
    order = opened.games_table().sort_by("end")["game_id"].to_pylist()
    remarks = opened.remarks().num_rows
    kept = opened.to_arrow(games=order[-5:]).to_pylist()
    report = rl.prune(store, keep_games=5, yes=True)
    assert list(report.games) == order[:-5]
    after = rl.open_store(store)
    assert sorted(after.game_ids()) == sorted(order[-5:])
    assert after.to_arrow().to_pylist() == kept
    assert after.remarks().num_rows == remarks
    assert report.bytes_after < report.bytes_before
    assert after.verify().pruned_rows == report.rows
    assert "removed on purpose" in str(after.verify())


def test_verification_tells_removed_rows_from_lost_ones(store: Path, tmp_path: Path) -> None:
    """An inventory of before the prune is met; a segment that is lost afterwards is still missed."""
    first = rl.open_store(store).verify()
    assert first.inventory is not None
    first.inventory.save(tmp_path / "held.json")
    rl.prune(store, keep_games=5, yes=True)
    checked = rl.open_store(store).verify(expect=tmp_path / "held.json")
    assert checked.ok, str(checked)
    assert checked.bytes == first.bytes
    rl.compact(store, progress=False)
    rl.prune(store, keep_games=2, yes=True)
    assert rl.open_store(store).verify(expect=tmp_path / "held.json").ok
    quiet(simulated(tmp_path / "r4", games=2, seed=4), store)
    newest = max((store / "segments").glob("convert_*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    assert rl.open_store(store).verify(expect=tmp_path / "held.json").ok
    assert len(rl.Store(store).sealed()) >= 2
    for path in (store / "segments").glob("*.parquet"):
        if path != newest:
            path.unlink()
    assert not rl.open_store(store).verify(expect=tmp_path / "held.json").ok


def test_an_inventory_of_an_earlier_release(store: Path, tmp_path: Path) -> None:
    """One that was saved before there was pruning is read."""
    found = rl.open_store(store).verify().inventory
    assert found is not None
    found.save(tmp_path / "held.json")
    written = json.loads((tmp_path / "held.json").read_text())
    del written["pruned_rows"], written["pruned_digest"]
    (tmp_path / "held.json").write_text(json.dumps(written))
    rl.prune(store, keep_games=5, yes=True)
    assert rl.open_store(store).verify(expect=tmp_path / "held.json").ok


def test_a_recording_is_not_converted_again(store: Path, tmp_path: Path) -> None:
    """What was pruned is known by its account; the report counts it as known."""
    rows_before = rl.Store(store).rows
    rl.prune(store, keep_games=0, yes=True)
    for seed in (1, 2, 3):
        report = quiet(tmp_path / f"r{seed}", store)
        assert (report.ticks_stored, report.balanced) == (0, True)
    assert rl.Store(store).rows == 0
    assert rl.Store(store).verify().pruned_rows == rows_before
    assert len(rl.Store(store).sealed()) == 1  # what is left of many is one


def test_a_game_in_several_segments(tmp_path: Path) -> None:
    """All parts of a game go in one step, whichever segments they are in."""
    lines = game_lines("20310102-0123456789ab4cde", 9)
    for number in range(3):
        source = tmp_path / f"r{number}" / f"{number}.jsonl"
        source.parent.mkdir()
        others = game_lines(f"2031010{number + 3}-0123456789ab4cde", 60)
        source.write_bytes(b"".join([*lines[number * 3 : number * 3 + 3], *others]))
        quiet(source.parent, tmp_path / "s")
    assert len(rl.Store(tmp_path / "s").sealed()) == 3
    report = rl.prune(tmp_path / "s", keep_games=3, yes=True)
    assert report.games == ("20310102-0123456789ab4cde",)
    assert len(rl.Store(tmp_path / "s").sealed()) == 1  # one step for all that share it
    assert rl.Store(tmp_path / "s").verify().ok


def test_by_age(tmp_path: Path) -> None:
    """Games whose last row is older go."""
    recorded(tmp_path)
    report = rl.prune(tmp_path, older_than="60h", now=NOW, yes=True)
    assert report.games == ("game-0", "game-1", "game-2")
    assert rl.open_store(tmp_path).verify().ok


def test_by_room(store: Path) -> None:
    """The oldest go until the store takes no more than asked, if the account alone takes no more."""
    size = rl.Store(store).size_bytes
    report = rl.prune(store, max_bytes=size * 2 // 3, yes=True)
    assert report.bytes_after <= size * 2 // 3 or not report.games_left
    assert 0 < report.games_left < 12
    assert rl.open_store(store).verify().ok


def test_a_game_that_is_open_stays(tmp_path: Path) -> None:
    """While something records, games in its journal and those of the last hour stay."""
    with rl.Recorder(tmp_path, settings=rl.Settings(seal_ticks=100, seal_game_ticks=1)) as recorder:
        for number in range(4):
            recorder.record_many(ticks(f"old-{number}", 120, NOW - timedelta(days=9 - number)))
        wait_for(lambda: sum(segment.footer.rows for segment in rl.Store(tmp_path).sealed()) >= 240)
        recorder.record_many(ticks("open", 10, NOW))
        report = rl.prune(tmp_path, keep_games=0, now=NOW, yes=True)
        assert "open" not in report.games
        assert len(report.games) >= 2
        recorder.record_many(ticks("open", 20, NOW)[10:])
    opened = rl.open_store(tmp_path)
    assert opened.to_arrow(games="open").num_rows == 20
    assert opened.verify().ok, str(opened.verify())


def test_a_recorder_prunes_on_a_schedule(tmp_path: Path) -> None:
    """By its settings, off the threads that write and sync; an event says what went."""
    recorded(tmp_path)
    events: list[Any] = []
    settings = rl.Settings(prune_keep_games=2, prune_seconds=0.2)
    with rl.Recorder(tmp_path, settings=settings, on_event=events.append):
        wait_for(lambda: any(event.kind is RecorderEventKind.PRUNED for event in events))
        assert len(rl.Store(tmp_path)) == 2
    (pruned,) = [event for event in events if event.kind is RecorderEventKind.PRUNED]
    assert pruned.details == {"games": 3, "rows": 90}


@pytest.mark.encryption
def test_a_recorder_with_a_key_prunes_on_a_schedule(tmp_path: Path) -> None:
    """The schedule of an encrypted store needs no other key than the recorder's, and leaves nothing in plain."""
    key = rl.FileKey(tmp_path / "key", create=True)
    store = tmp_path / "vault"
    recorded(store, kms=key)
    settings = rl.Settings(prune_keep_games=2, prune_seconds=0.2)
    events: list[Any] = []
    with rl.Recorder(store, kms=key, settings=settings, on_event=events.append) as recorder:
        wait_for(lambda: any(event.kind is RecorderEventKind.PRUNED for event in events))
        assert recorder.record_many(ticks("game-9", 30, NOW)).accepted == 30
    opened = rl.open_store(store, kms=key)
    assert opened.game_ids()[-2:] == ["game-4", "game-9"]
    assert opened.game_ids()[:-2] in (["game-3"], [])  # gone when another round has come before the end
    assert opened.verify().ok, str(opened.verify())
    assert set(opened.parquet_keys()) == {path.name for path in (store / "segments").iterdir()}


@pytest.mark.encryption
def test_an_encrypted_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole games go from an encrypted store as from a plain one; the rewritten segments are ciphertext."""
    key = rl.FileKey(tmp_path / "key", create=True)
    left = []
    for name, kms in (("plain", None), ("vault", key)):
        for seed in (1, 2):
            recordings = simulated(tmp_path / f"{name}{seed}", games=4, seed=seed, damage="two_writers")
            quiet(recordings, tmp_path / name, kms=kms)
        rl.prune(tmp_path / name, keep_games=3, yes=True, kms=kms)
        opened = rl.open_store(tmp_path / name, kms=kms)
        assert opened.verify().ok, str(opened.verify())
        left.append(opened.to_arrow(list(set(opened.to_arrow().column_names) - {"source"})).to_pylist())
    assert left[0] == left[1]
    assert len(opened.parquet_keys()) == len(list((tmp_path / "vault" / "segments").iterdir()))
    monkeypatch.setenv("REPLAYLAB_KEY_FILE", str(tmp_path / "key"))
    done = CliRunner().invoke(app, ["prune", str(tmp_path / "vault"), "--keep-games", "1", "--yes"])
    assert done.exit_code == 0, done.output
    assert len(rl.open_store(tmp_path / "vault")) == 1


def test_a_schedule_that_fails_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is busy or full is pruned another time; the recording goes on."""
    tries: list[int] = []

    def fail(*_: object, **__: object) -> None:
        tries.append(1)
        raise StoreFull(28, "full")

    monkeypatch.setattr("replaylab.retention.prune.prune", fail)
    with rl.Recorder(tmp_path, settings=rl.Settings(prune_keep_games=2, prune_seconds=0.05)) as recorder:
        wait_for(lambda: len(tries) > 2)
        assert recorder.record(ticks("g", 1, NOW)[0]).accepted
        assert recorder.status().verdict == "healthy"


def test_killed_at_every_step(store: Path, tmp_path: Path) -> None:
    """Each game is whole or gone, the store verifies, and the next prune does the rest."""
    whole = rows(store)
    games = {game: sum(count for row, count in whole.items() if game in row) for game in rl.Store(store).game_ids()}

    def copy(point: int) -> Path:
        return Path(shutil.copytree(store, tmp_path / f"kill-{point}"))

    killed_at_every_point("prune", copy)
    seen = set()
    for folder in sorted(tmp_path.glob("kill-*")):
        opened = rl.open_store(folder)
        assert opened.verify().ok, str(opened.verify())
        there = dict(zip(*(opened.games_table()[name].to_pylist() for name in ("game_id", "rows")), strict=True))
        assert all(there[game] == games[game] for game in there)
        seen.add(len(there))
        assert rl.prune(folder, keep_games=1, yes=True).games_left == 1
        assert rl.open_store(folder).verify().ok
    assert seen == {1, 12} or len(seen) > 2


def test_a_full_disk(store: Path) -> None:
    """Nothing is lost when the segments cannot be written."""
    before = state(store)
    with Fault(store, WRITES).in_force(), Fault(store, ("replace",), 28).in_force(), pytest.raises(StoreFull):
        rl.prune(store, keep_games=1, yes=True)
    assert state(store) == before


def test_bad_arguments(store: Path) -> None:
    """A rule is needed, and it has to make sense."""
    for words in ({}, {"older_than": "3 moons"}, {"keep_games": -1}, {"max_bytes": True}, {"older_than": timedelta(0)}):
        with pytest.raises(SettingsError):
            rl.prune(store, yes=True, **words)
    assert len(rl.Store(store)) == 12


def test_the_command(store: Path) -> None:
    """A dry run unless --yes; --json for programs."""

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["prune", str(store), *words], prog_name="replaylab")
        return done.exit_code, done.output

    code, said = run("--keep-games", "10")
    assert (code, "run it again with --yes" in said) == (0, True)
    assert len(rl.Store(store)) == 12
    code, said = run("--keep-games", "10", "--yes", "--json")
    assert (code, json.loads(said)["done"], len(json.loads(said)["games"])) == (0, True, 2)
    assert run("--older-than", "soon", "--yes")[0] == 2
    assert run()[0] == 2
    assert run("--max-bytes", "1kB", "--yes")[0] == 0
    assert len(rl.Store(store)) == 0
    assert CliRunner().invoke(app, ["verify", str(store)], prog_name="replaylab").exit_code == 0


HELD = st.builds(
    Held,
    game_id=st.text("abcdef", min_size=1, max_size=6),
    end=st.none() | st.datetimes(datetime(2031, 1, 1), datetime(2031, 5, 31), timezones=st.just(UTC)),
    rows=st.integers(1, 1000),
    bytes=st.floats(0, 1e6),
)


@given(
    games=st.lists(HELD, unique_by=lambda one: one.game_id, max_size=20),
    days=st.none() | st.floats(0.1, 400),
    keep=st.none() | st.integers(0, 25),
    room=st.none() | st.integers(0, 10**7),
    opened=st.sets(st.text("abcdef", min_size=1, max_size=6)),
)
def test_the_choice(
    games: list[Held], days: float | None, keep: int | None, room: int | None, opened: set[str]
) -> None:
    """No open game goes; the oldest go first; each rule that is set is met as far as open games allow."""
    if days is None and keep is None and room is None:
        return
    rule = Rule(None if days is None else timedelta(days=days), keep, room)
    size = sum(one.bytes for one in games)
    gone = chosen(games, rule, NOW, size, opened)
    left = [one for one in games if one not in gone]
    closed = [one for one in left if one.game_id not in opened]
    assert not {one.game_id for one in gone} & opened
    if rule.older_than is not None:
        assert all(one.end is None or NOW - one.end <= rule.older_than for one in closed)
    if keep is not None:
        assert len(closed) <= keep
    if room is not None and closed:
        assert sum(one.bytes for one in left) <= room + 1e-3
    ends = [one.end for one in gone if one.end is not None]
    assert ends == sorted(ends)


def test_words() -> None:
    """Ages and sizes are written as people write them."""
    assert age_of("2w") == timedelta(days=14)
    assert (size_of("10"), size_of("10kB"), size_of("2.5G")) == (10, 10_000, 2_500_000_000)
    for wrong in ("", "10 parsecs", "-5d", "1e9999d"):
        with pytest.raises(SettingsError):
            age_of(wrong)
    with pytest.raises(SettingsError):
        size_of("much")
