"""Logs: where the commands write them, in which form, at which level; and that they cost no command its work."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import replaylab as rl
from replaylab.cli.main import app
from replaylab.errors import SettingsError
from replaylab.exports.export import export
from replaylab.exports.pages import export_pages
from replaylab.logs import JsonFormat, TextFormat, fields_of, logging_to
from replaylab.simulation.simulate import simulate
from tests.crash.recordings import made
from tests.stores import run_child

Events = Callable[[], list[tuple[str, Any]]]


def run(*words: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="replaylab")


@pytest.mark.parametrize("before", [True, False], ids=["before the command", "after it"])
def test_log_goes_to_a_file(tmp_path: Path, before: bool) -> None:  # noqa: FBT001 a parameter
    """`--log FILE` stands before or after the command, and the file is appended to; the command prints as without."""
    options = ["--log", tmp_path / "log", "--log-format", "json"]
    for _ in range(2):
        words = ["info", tmp_path / "none"]
        result = run(*options, *words) if before else run(*words, *options)
        assert result.exit_code == 2
        assert result.stderr == run(*words).stderr
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [(one["level"], one["logger"], one["event"], one["command"]) for one in lines] == [
        ("ERROR", "replaylab.cli", "failed", "info")
    ] * 2


def test_log_goes_to_standard_error(tmp_path: Path) -> None:
    """`--log -` is standard error: what a command prints on standard output stays for programs."""
    simulate(tmp_path / "recordings", games=1)
    result = run("--log", "-", "convert", tmp_path / "recordings", "--to", tmp_path / "store", "--json")
    assert json.loads(result.stdout)["ticks_stored"]
    assert " INFO replaylab." in result.stderr


def test_plot_keeps_its_own_log(tmp_path: Path) -> None:
    """`plot --log` draws on a log scale, as before; a log of `plot` is asked for before its name."""
    simulate(tmp_path / "recordings", games=1)
    run("convert", tmp_path / "recordings", "--to", tmp_path / "store")
    game = json.loads(run("info", tmp_path / "store", "--json").stdout)["table"][0]["game_id"]
    words = ["plot", tmp_path / "store", game, "--log", "--to", tmp_path / "game.svg"]
    assert run("--log", tmp_path / "log", *words).exit_code == 0
    assert (tmp_path / "log").read_text().count("opened") == 1


@pytest.mark.parametrize(("level", "count"), [("INFO", 1), ("error", 0), ("", 0)])
def test_level_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: str, count: int) -> None:
    """REPLAYLAB_LOG_LEVEL alone logs on standard error from that level on; unset, a command logs nothing."""
    run("simulate", tmp_path / "recordings", "--games", 1)
    run("convert", tmp_path / "recordings", "--to", tmp_path / "store")
    monkeypatch.setenv("REPLAYLAB_LOG_LEVEL", level)
    assert run("verify", tmp_path / "store").stderr.count("replaylab.verification") == count


def test_a_level_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A level that does not exist ends a command with 2 and the ones that do."""
    monkeypatch.setenv("REPLAYLAB_LOG_LEVEL", "loud")
    result = run("info", tmp_path)
    assert result.exit_code == 2
    assert "log_level='LOUD'" in result.stderr
    assert "INFO, WARNING, ERROR" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--log", "none/log"], "--log none/log: cannot be opened for writing (No such file or directory)"),
        (["--log-format", "xml"], "--log-format 'xml': must be one of text, json"),
    ],
)
def test_a_log_that_cannot_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    """A file that cannot be opened and an unknown form end a command with 2 before it does anything."""
    monkeypatch.chdir(tmp_path)
    result = run("simulate", "recordings", *options)
    assert (result.exit_code, result.stderr) == (2, f"replaylab: {said}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_fails_costs_nothing(tmp_path: Path) -> None:
    """A log on a full disk is lost; the command does its work and ends with 0."""
    simulate(tmp_path / "recordings", games=1)
    result = run("convert", tmp_path / "recordings", "--to", tmp_path / "store", "--log", "/dev/full")
    assert (result.exit_code, result.stderr) == (0, "")


def test_a_line_is_one_line() -> None:
    """Control characters of names do not break or colour a log; in JSON the fields keep their types."""
    record = logging.makeLogRecord(
        {"name": "replaylab.store", "levelname": "INFO", "msg": "%s opened", "args": ("\x1b[31m\n",), "rows": 7}
    )
    assert TextFormat().format(record).endswith(r"Z INFO replaylab.store: \x1b[31m\n opened")
    assert json.loads(JsonFormat().format(record))["rows"] == 7
    assert "\n" not in JsonFormat().format(record)


def test_an_error_is_logged_with_its_trace() -> None:
    """A record with an exception carries the traceback, in text on the same line."""
    error = ValueError("no")
    record = logging.makeLogRecord({"msg": "failed", "exc_info": (ValueError, error, None)})
    assert json.loads(JsonFormat().format(record))["error"].endswith("ValueError: no")
    assert TextFormat().format(record).endswith("ValueError: no")


def test_log_is_as_before_afterwards(tmp_path: Path) -> None:
    """The set-up ends with its block, also by an error: nothing of it stays on the logger."""
    logger = logging.getLogger("replaylab")
    before = logger.level, list(logger.handlers)
    for form in ("json", "neither"):
        with suppress(ZeroDivisionError, SettingsError), logging_to(str(tmp_path / "log"), form, "DEBUG"):
            logger.debug("shown")
            1 / 0  # noqa: B018 any error
        assert (logger.level, list(logger.handlers)) == before
    assert json.loads((tmp_path / "log").read_text())["message"] == "shown"


def test_import_sets_up_no_log() -> None:
    """`import replaylab` sets no level and adds the handler that discards alone: a log belongs to its program."""
    code = (
        "import logging, replaylab; one = logging.getLogger('replaylab')\n"
        "print([type(handler).__name__ for handler in one.handlers], one.level)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert shown.stdout == "['NullHandler'] 0\n"


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Events:
    """What was logged, as pairs of logger and event, in order."""
    caplog.set_level(logging.DEBUG, "replaylab")
    return lambda: [(one.name.removeprefix("replaylab."), fields_of(one).get("event")) for one in caplog.records]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of three games."""
    simulate(tmp_path / "recordings", games=3)
    return Path(rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False).store)


def test_a_conversion_is_one_line(tmp_path: Path, events: Events, caplog: pytest.LogCaptureFixture) -> None:
    """A conversion logs its account once, whatever it converts."""
    simulate(tmp_path / "recordings", games=3)
    done = rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    assert events() == [("conversion", "converted")]
    fields = fields_of(caplog.records[0])
    assert (fields["ticks_stored"], fields["bytes_in"], fields["sources"]) == (done.ticks_stored, done.bytes_in, 3)
    simulate(tmp_path / "more", games=3, seed=2, damage="all")
    again = rl.convert(tmp_path / "more", tmp_path / "store", progress=False)
    assert fields_of(caplog.records[1])["ticks_quarantined"] == again.ticks_quarantined > 0


def test_opening_is_one_line(store: Path, events: Events) -> None:
    """`open_store` logs that a store was opened; reading it logs nothing."""
    for game in rl.open_store(store):
        assert game.live().num_rows
    assert events() == [("store", "opened")]


def test_a_verification_is_one_line(store: Path, events: Events, caplog: pytest.LogCaptureFixture) -> None:
    """`verify` logs what it found once; a problem makes it a warning."""
    opened = rl.Store(store)
    assert opened.verify().ok
    data = bytearray(opened.segments()[0].path.read_bytes())
    data[100] ^= 1
    opened.segments()[0].path.write_bytes(data)
    assert not rl.Store(store).verify().ok
    assert events() == [("verification", "verified")] * 2
    assert [(one.levelname, fields_of(one)["problems"]) for one in caplog.records] == [("INFO", 0), ("WARNING", 1)]


def test_a_compaction_is_one_line(store: Path, tmp_path: Path, events: Events) -> None:
    """`compact` logs what it joined."""
    simulate(tmp_path / "more", games=2, seed=2)
    rl.convert(tmp_path / "more", store, progress=False)
    rl.compact(store, progress=False)
    assert events() == [("conversion", "converted"), ("compaction", "compacted")]


def test_an_export_is_one_line(store: Path, tmp_path: Path, events: Events) -> None:
    """An export logs the file, its rows and bytes, also of a folder of pages."""
    export(store, tmp_path / "all.csv")
    export_pages(store, tmp_path / "pages")
    assert events() == [("export", "exported")] * 2


def recorded(folder: Path, count: int) -> rl.Recorder:
    """A recorder that was given so many ticks of a game."""
    recorder = rl.Recorder(folder)
    for tick in made(count):
        recorder.record(tick)
    return recorder


@pytest.mark.parametrize("count", [10, 1_000])
def test_recording_logs_no_tick(tmp_path: Path, events: Events, count: int) -> None:
    """Start, game, seal and stop are logged, each once, however many ticks there are."""
    recorded(tmp_path, count).stop()
    logged = [event for _, event in events()]
    assert sorted(filter(None, logged)) == ["game_ended", "game_started", "sealed", "started", "stopped"]


def test_a_recovery_is_one_line_a_journal_and_one_in_all(tmp_path: Path, events: Events) -> None:
    """What a killed recorder left is logged as it is sealed; a recovery that finds nothing logs nothing."""
    code = "import sys, os; import replaylab as rl; from tests.crash.recordings import made\n"
    code += "one = rl.Recorder(sys.argv[1]); [one.record(tick) for tick in made(20)]; os._exit(0)"
    assert run_child(code, tmp_path).returncode == 0
    rl.recover(tmp_path)
    rl.recover(tmp_path)
    assert events() == [("recovery", "sealed"), ("recovery", "recovered")]


def test_refusals_are_logged_at_powers_of_ten(tmp_path: Path, events: Events, caplog: pytest.LogCaptureFixture) -> None:
    """The 1st, 10th, 100th refusal of a reason is a line, one by one or many at once; the others are only counted."""
    with rl.Recorder(tmp_path) as recorder:
        for _ in range(123):
            recorder.record({"game_id": "g"})
        recorder.record_many([{"game_id": "g"}] * 2_000)
    refused = [fields_of(one) for one in caplog.records if fields_of(one).get("event") == "refused"]
    assert [(one["reason"], one["refused"]) for one in refused][:3] == [
        ("missing_field", count) for count in (1, 10, 100)
    ]
    assert len(refused) == 4
    assert 1_000 <= refused[3]["refused"] <= 2_123
    assert events()[0] == ("recorder", "started")


def test_refused_lines_are_logged_too(tmp_path: Path) -> None:
    """What `record` cannot read as a tick is logged by its reason, at the first and the tenth line."""
    source = tmp_path / "lines"
    source.write_bytes(b"{oops\n" * 12)
    log = tmp_path / "log"
    assert run("record", tmp_path / "store", "--from", source, "--log", log, "--log-format", "json").exit_code == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(one["reason"], one["refused"]) for one in lines if one["event"] == "refused"] == [
        ("not_json", 1),
        ("not_json", 10),
    ]


@pytest.mark.parametrize("count", [10, 1_000])
def test_playing_logs_no_tick(events: Events, count: int) -> None:
    """Playing and pausing are logged, each once, however many ticks are shown between them."""
    with rl.ReplayEngine(made(count), speed=100.0, pacing="nominal", now=lambda: 0.0, wait=lambda *_: None) as engine:
        engine.pause()
        engine.play()
        engine.play()
        engine.pause()
        engine.pause()
    with rl.ReplayEngine(made(count), speed=float("inf")) as engine:
        assert engine.run() == count
    assert events() == [("engine", "playing"), ("engine", "paused")] * 2
