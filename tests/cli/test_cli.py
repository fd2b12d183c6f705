"""The command line: what each verb prints, what `--json` promises, and how a command ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from replaylab.analysis.questions.survival import survival
from replaylab.cli.main import app, main
from replaylab.durable import sole_writer
from replaylab.recording.recorder import Recorder
from replaylab.simulation.simulate import simulate
from replaylab.storage.store import Store
from replaylab.tick import price_text
from tests.stores import ROOT, line, quiet

SHELL = [sys.executable, "-c", "import sys; sys.argv[0] = 'replaylab'; from replaylab.cli.main import main; main()"]
COMMANDS = ["convert", "record", "recover", "info", "verify", "compact", "simulate", "stats", "export", "plot", "play"]


def run(*words: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="replaylab")


def told(*words: object, code: int = 0) -> Any:
    """The JSON document that a command prints, which must be all that it prints."""
    result = run(*words, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def shell(*words: object, **wishes: Any) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would."""
    return subprocess.run(
        [*SHELL, *map(str, words)], capture_output=True, text=True, check=False, timeout=240, **wishes
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with recordings of which some are damaged, and a store made from them; reading does not change it."""
    made = tmp_path_factory.mktemp("cli")
    assert run("simulate", made / "recordings", "--games", 30, "--seed", 3, "--damage", "all").exit_code == 0
    assert run("convert", made / "recordings", "--to", made / "store").exit_code == 0
    return made


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A store in which one byte of its segment has changed."""
    run("simulate", tmp_path / "recordings", "--games", 2)
    run("convert", tmp_path / "recordings", "--to", tmp_path / "store")
    path = Store(tmp_path / "store").segments()[0].path
    data = bytearray(path.read_bytes())
    data[1_000] ^= 1
    path.write_bytes(data)
    return tmp_path / "store"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_names_the_exit_codes(command: str) -> None:
    """The help of every command tells what its exit codes mean."""
    result = run(*([command] if command else []), "--help")
    assert result.exit_code == 0
    said = " ".join(result.stdout.split())
    assert "0 all is fine; 1 a problem was found" in said
    assert "2 the command could not run" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_speaks_json(command: str) -> None:
    """Every command has `--json`."""
    assert "--json" in run(command, "--help").stdout


def test_help_is_quick() -> None:
    """Asking for help loads neither numpy nor Arrow nor anything that draws."""
    code = f"import sys; sys.argv = ['replaylab', '--help']; {SHELL[2].split('; ', 2)[2]}"
    code = code.replace("main()", "\ntry:\n    main()\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    assert "simulate" in done.stdout
    assert not {"numpy", "pyarrow", "pandas", "pydantic", "matplotlib"} & set(done.stderr.split())


def test_version() -> None:
    """`--version` prints the installed version."""
    from importlib.metadata import version

    assert run("--version").stdout == f"replaylab {version('replaylab')}\n"


@pytest.mark.parametrize(
    ("built", "says"), [(True, "by the C kernel, version"), (False, "by numpy: the C kernel was not")]
)
def test_info_says_how_lines_are_read(built: object, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`info --version` prints what replaylab runs on, and whether the C kernel is in use."""
    monkeypatch.setattr("replaylab.kernel.library.load", lambda: object() if built else None)
    lines = run("info", "--version").stdout.splitlines()
    assert lines[0].startswith("replaylab ")
    assert says in lines[2]


def test_simulate_is_seeded(tmp_path: Path) -> None:
    """The same seed makes the same files; kinds of damage may be given with commas or apart; JSON lists the files."""
    first = told("simulate", tmp_path / "a", "--games", 3, "--seed", 5, "--damage", "crlf,late_start")
    again = told("simulate", tmp_path / "b", "--games", 3, "--seed", 5, "--damage", "crlf", "--damage", "late_start")
    assert first["folder"] == str(tmp_path / "a")
    assert [Path(path).name for path in first["recordings"]] == [Path(path).name for path in again["recordings"]]
    for one, other in zip(first["recordings"], again["recordings"], strict=True):
        assert Path(one).read_bytes() == Path(other).read_bytes()
    assert told("simulate", tmp_path / "c", "--games", 1, "--dialect", "sink")["recordings"]


def test_convert_reports_every_byte(folder: Path, tmp_path: Path) -> None:
    """The JSON of a conversion is the library's report; the expected counts of the recordings are in it."""
    report = told("convert", folder / "recordings", "--to", tmp_path / "store")
    expected = json.loads((folder / "recordings" / "expected.json").read_text(encoding="utf-8"))["totals"]
    assert report["ok"]
    assert report["balanced"]
    assert report["bytes_in"] == expected["bytes"]
    assert report["ticks_stored"] == sum(expected["ticks"].values())
    assert report["pieces_quarantined"] == expected["quarantined"]
    again = told("convert", folder / "recordings", "--to", tmp_path / "store")
    assert (again["ticks_stored"], again["ticks_known"]) == (0, report["ticks_stored"])


def test_convert_prints_the_accounts(folder: Path, tmp_path: Path) -> None:
    """A person reads what was stored, repaired and set aside, and why."""
    result = run("convert", folder / "recordings", "--to", tmp_path / "store", "--source-tz", "America/New_York")
    assert result.exit_code == 0
    for word in ("stored", "quarantined", "too_deep", "read as America/New_York"):
        assert word in result.stdout


def test_strict_stops_at_damage(folder: Path, tmp_path: Path) -> None:
    """`--strict` ends with 1 and says where the damage is, in one line, with nothing on standard output."""
    result = run("convert", folder / "recordings", "--to", tmp_path / "store", "--strict", "--json")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "line" in result.stderr
    assert "byte" in result.stderr


def test_unreadable_source_among_several(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording that may not be read ends `convert` with 1 and is named; the others are stored."""
    open_path = Path.open
    refused = min((folder / "recordings").glob("*.jsonl"))

    def refusing(path: Path, *given: Any, **more: Any) -> Any:
        if path.name == refused.name:
            raise PermissionError(13, "Permission denied")
        return open_path(path, *given, **more)

    monkeypatch.setattr(Path, "open", refusing)
    result = run("convert", folder / "recordings", "--to", tmp_path / "store")
    assert result.exit_code == 1
    assert refused.name in result.stderr
    assert "stored" in result.stdout


def test_info_of_a_store(folder: Path) -> None:
    """`info` counts what the store holds and lists the newest games; `--limit` and `--oldest` choose which."""
    store = Store(folder / "store")
    found = told("info", folder / "store", "--limit", 0)
    assert (found["games"], found["rows"], found["segments"]) == (len(store), store.rows, len(store.segments()))
    starts = [row["start"] for row in found["table"] if row["start"]]
    assert len(found["table"]) == len(store)
    assert starts == sorted(starts)
    newest = told("info", folder / "store", "--limit", 3)["table"]
    oldest = told("info", folder / "store", "--limit", 3, "--oldest")["table"]
    assert newest == found["table"][-3:]
    assert oldest == found["table"][:3]
    shown = run("info", folder / "store", "--limit", 3).stdout
    assert found["live_ticks"] == sum(row["ticks"] for row in found["table"]) < found["rows"]
    assert f"{found['rows']:,}, {found['live_ticks']:,} of them live ticks" in shown
    assert f"newest 3 of {len(store)}" in shown
    assert all(row["game_id"] in shown for row in newest)


def test_info_of_a_game(folder: Path) -> None:
    """`info STORE GAME` gives the game's summary; prices in JSON are text with all their digits."""
    game = next(one for one in Store(folder / "store") if one.summary["complete"])
    found = told("info", folder / "store", game.id)
    assert found["rug_tick"] == game.summary["rug_tick"]
    assert found["peak"] == price_text(game.summary["peak"])
    shown = run("info", folder / "store", game.id).stdout
    assert price_text(game.summary["rug_price"]) in shown
    assert "complete" in shown


def test_verify_finds_a_flipped_byte(folder: Path, damaged: Path) -> None:
    """`verify` ends with 0 on a sound store and with 1 on a damaged one, naming the file."""
    assert told("verify", folder / "store")["problems"] == []
    found = told("verify", damaged, code=1)
    assert not found["ok"]
    name = Store(damaged).segments()[0].name
    assert name in found["problems"][0]
    result = run("verify", damaged)
    assert result.exit_code == 1
    assert name in result.stderr


def test_verify_flags_what_the_process_cannot_make(folder: Path, tmp_path: Path) -> None:
    """`verify --fair` ends with 0 on games of the process, and with 1 where a price leaps as it never does."""
    assert told("verify", folder / "store", "--fair")["alarms"] == []
    with Recorder(tmp_path / "store") as recorder:
        for tick, price in enumerate(["1", "1.01", "9"]):
            found = {"game_id": "leaping", "tick": tick, "timestamp": f"2031-01-02T03:04:0{tick}", "price": price}
            assert recorder.record({**found, "active": True, "rugged": False})
    assert told("verify", tmp_path / "store")["ok"]
    raised = told("verify", tmp_path / "store", "--fair", code=1)["alarms"]
    assert [(alarm["tick"], alarm["reason"]) for alarm in raised] == [(2, "return")]
    assert "leaping, tick 2: 1.01 to 9" in run("verify", tmp_path / "store", "--fair").stderr


def test_verify_fair_tells_of_damage_first(damaged: Path) -> None:
    """Of a damaged store the whole check is told, and that its prices were not looked at; the JSON is whole."""
    found = told("verify", damaged, "--fair", code=1)
    assert found["problems"]
    assert found["alarms"] is None
    result = run("verify", damaged, "--fair")
    assert result.exit_code == 1
    assert "verdict" in result.stdout
    assert "the prices were not looked at" in result.stderr


def test_a_picture_is_not_put_into_the_store(folder: Path) -> None:
    """A store holds what its writers wrote, and no pictures."""
    result = run("plot", folder / "store", "--to", folder / "store" / "games.png")
    assert result.exit_code == 2
    assert "lies inside the store" in result.stderr


@pytest.mark.parametrize("command", ["info", "stats"])
def test_damage_is_not_passed_over(damaged: Path, command: str) -> None:
    """A command that has to leave out a damaged segment says so and ends with 1; its JSON is still whole."""
    assert told(command, damaged, code=1)["damaged"]
    result = run(command, damaged)
    assert result.exit_code == 1
    assert Store(damaged).segments()[0].name in result.stderr


def test_export_of_damage_is_a_problem(damaged: Path, tmp_path: Path) -> None:
    """A damaged segment ends `export` with 1, and no file appears."""
    result = run("export", damaged, "--to", tmp_path / "all.csv")
    assert result.exit_code == 1
    assert not (tmp_path / "all.csv").exists()


def test_compact(tmp_path: Path) -> None:
    """`compact` makes one segment of several, with the same rows."""
    for seed in (1, 2):
        run("simulate", tmp_path / str(seed), "--games", 1, "--seed", seed)
        run("convert", tmp_path / str(seed), "--to", tmp_path / "store")
    before = Store(tmp_path / "store").verify().rows_digest
    found = told("compact", tmp_path / "store")
    assert (found["segments_before"], found["segments_after"]) == (2, 1)
    assert Store(tmp_path / "store").verify().rows_digest == before
    assert "1 -> 1" in run("compact", tmp_path / "store").stdout


def test_stats_make_up_for_cut_games(folder: Path) -> None:
    """`stats` says how many games its quantiles rest on; each is a value that was seen, the median Kaplan-Meier's."""
    games = Store(folder / "store").games(prices="decimal")
    complete = games[games["complete"]]
    found = told("stats", folder / "store")
    assert (found["games"], found["complete"]) == (len(games), len(complete))
    assert found["complete_ticks"] == complete["ticks"].sum()
    assert set(found["rug_tick"].values()) <= set(games["rug_tick"].dropna())
    assert {Decimal(text) for text in found["peak"].values()} <= set(complete["peak"])
    assert found["rug_tick"]["0.5"] == survival(folder / "store").median
    shown = run("stats", folder / "store").stdout
    assert f"over {len(games)} games, {len(complete)} of them complete" in " ".join(shown.split())
    assert "too_deep" in shown


def test_stats_without_complete_games(tmp_path: Path) -> None:
    """Where no game is complete there are no quantiles, and the counts say why."""
    run("simulate", tmp_path / "recordings", "--games", 1, "--damage", "cooldown_only")
    run("convert", tmp_path / "recordings", "--to", tmp_path / "store")
    found = told("stats", tmp_path / "store")
    assert (found["games"], found["never_live"], found["complete"], found["rug_tick"]) == (1, 1, 0, {})
    assert run("stats", tmp_path / "store").exit_code == 0


def test_export(folder: Path, tmp_path: Path) -> None:
    """`export` passes games, times, columns and kind of rows on."""
    games = Store(folder / "store").game_ids()[:2]
    words = ("export", folder / "store", "--to", tmp_path / "two.csv", "--game", games[0], "--game", games[1])
    found = told(*words, "--columns", "game_id, price", "--live")
    lines = (tmp_path / "two.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "game_id,price"
    assert len(lines) == found["rows"] + 1
    assert {line.split(",")[0] for line in lines[1:]} <= set(games)
    assert told("export", folder / "store", "--to", tmp_path / "p.parquet", "--prices")["what"] == "prices"
    assert told("export", folder / "store", "--to", tmp_path / "n.jsonl", "--until", "2000-01-01")["rows"] == 0
    assert str(tmp_path / "two.csv") in run(*words).stdout


def test_export_of_pages(folder: Path, tmp_path: Path) -> None:
    """`--html`, or a name that ends in it, writes pages: one file for one game, a folder for several."""
    games = Store(folder / "store").game_ids()[:2]
    one = told("export", folder / "store", "--to", tmp_path / "one.html", "--game", games[0])
    assert (one["format"], one["games"]) == ("html", 1)
    assert games[0] in (tmp_path / "one.html").read_text(encoding="utf-8")
    words = ("export", folder / "store", "--html", "--to", tmp_path / "pages", "--game", games[0], "--game", games[1])
    assert told(*words)["games"] == 2
    assert sorted(path.name for path in (tmp_path / "pages").iterdir()) == sorted(
        [f"{games[0]}.html", f"{games[1]}.html", "index.html", "player.js"]  # the pages share their script
    )


def test_plot(folder: Path, tmp_path: Path) -> None:
    """`plot` draws the store or one game into a picture of the kind that its name asks for."""
    game = Store(folder / "store").game_ids()[0]
    found = told("plot", folder / "store", "--to", tmp_path / "new" / "store.png")
    assert (tmp_path / "new" / "store.png").read_bytes().startswith(b"\x89PNG")
    assert found["bytes"] == (tmp_path / "new" / "store.png").stat().st_size
    assert run("plot", folder / "store", game, "--to", tmp_path / "game.svg", "--log").exit_code == 0
    assert b"<svg" in (tmp_path / "game.svg").read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        ["frobnicate"],
        ["info"],
        ["info", "nothing"],
        ["verify", "nothing"],
        ["compact", "nothing"],
        ["stats", "nothing"],
        ["info", "{store}", "20310102-0000000000000000"],
        ["convert", "nothing", "--to", "made"],
        ["convert", "nothing*", "--to", "made"],
        ["convert", "{empty}", "--to", "made"],
        ["convert", "{recordings}"],
        ["convert", "{recordings}", "--to", "made", "--source-tz", "Mars/Olympus"],
        ["convert", "{recordings}", "--to", "made", "--workers", "0"],
        ["convert", "{recordings}", "--to", "{file}"],
        ["simulate", "made", "--games", "0"],
        ["simulate", "made", "--damage", "rust"],
        ["simulate", "made", "--dialect", "latin"],
        ["simulate", "{file}/below"],
        ["export", "{store}", "--to", "all.xlsx"],
        ["export", "{store}", "--to", "all.csv", "--live", "--prices"],
        ["export", "{store}", "--to", "all.csv", "--columns", "cost"],
        ["export", "{store}", "--to", "all.csv", "--from", "soon"],
        ["export", "{store}", "--to", "all.html"],
        ["export", "{store}", "--to", "pages", "--html", "--live"],
        ["export", "{store}", "--to", "pages.html", "--columns", "price"],
        ["play", "{store}"],
        ["play", "nothing", "{game}"],
        ["play", "{store}", "20310102-0000000000000000"],
        ["play", "{store}", "{game}", "--speed", "0"],
        ["play", "{store}", "{game}", "--speed", "nan"],
        ["play", "{store}", "{game}", "--speed", "fast"],
        ["play", "{store}", "{game}", "--from", "999999"],
        ["play", "{store}", "{game}", "--from", "soon"],
        ["play", "{store}", "{game}", "--from", "2001-01-01"],
        ["plot", "{store}", "--to", "all.gif"],
        ["plot", "{store}", "--to", "all.png", "--log"],
    ],
)
def test_what_cannot_run_ends_with_2(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """What could not run ends with 2 and a message on standard error: no traceback, nothing on standard output."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    places = {"store": folder / "store", "recordings": folder / "recordings", "empty": "empty", "file": "file"}
    places["game"] = Store(folder / "store").game_ids()[0]
    result = run(*(word.format_map(places) for word in words))
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr
    assert isinstance(result.exception, SystemExit)


def test_busy_store(tmp_path: Path) -> None:
    """A store that another process is changing ends the command with 2 and a hint."""
    run("simulate", tmp_path / "recordings", "--games", 1)
    run("convert", tmp_path / "recordings", "--to", tmp_path / "store")
    with sole_writer(tmp_path / "store"):
        result = run("compact", tmp_path / "store")
    assert result.exit_code == 2
    assert "again" in result.stderr


def test_real_process(tmp_path: Path) -> None:
    """As a process: results on standard output, problems on standard error, the same codes, no traceback."""
    simulate(tmp_path / "recordings", games=2)
    done = shell("convert", "recordings", "--to", "store", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["ticks_stored"]
    done = shell("info", "nothing", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("replaylab: no store at nothing")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("module", ["replaylab", "replaylab.cli"])
def test_python_m_runs_the_commands(tmp_path: Path, module: str) -> None:
    """`python -m replaylab` is the command, where its script is not on the path."""
    command = [sys.executable, "-m", module, "info", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 2
    assert done.stderr.startswith(f"replaylab: no store at {tmp_path / 'none'}")


def test_closed_pipe_is_quiet(folder: Path) -> None:
    """A reader that leaves early, as `head` does, gets no complaint."""
    process = subprocess.Popen(
        [*SHELL, "info", str(folder / "store"), "--limit", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(240), said) == (141, b"")


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["info", "--version"], ["info", "--version", "--json"]])
def test_an_answer_that_cannot_be_written(words: list[str]) -> None:
    """An answer into a full disk ends a command with 2 and one line, whatever the answer is."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*SHELL, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=240
        )
    assert (done.returncode, done.stderr) == (2, "replaylab: error: No space left on device\n")


@pytest.mark.parametrize("closed", [1, 2])
def test_a_closed_output(tmp_path: Path, closed: int) -> None:
    """A command whose standard output or error is closed runs to its end, and nothing of its answer is in its files."""
    simulate(tmp_path / "recordings", games=1)
    done = shell("convert", "recordings", "--to", "store", cwd=tmp_path, preexec_fn=lambda: os.close(closed))
    assert (done.returncode, done.stderr) == (0, "")
    assert Store(tmp_path / "store").verify().ok


def test_what_a_reader_left_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that has gone before the last of an answer changes no exit code, and what is left is not tried again."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as answer:
        monkeypatch.setattr("sys.stdout", answer)
        monkeypatch.setattr("replaylab.cli.main.app", lambda **_: answer.write("the rest"))
        with pytest.raises(SystemExit) as ended:
            main()
        answer.write("what is still written goes nowhere")
        answer.flush()
    assert ended.value.code == 0


def test_interrupt_ends_with_130(tmp_path: Path) -> None:
    """Ctrl-C ends a command with 130 and one line; nothing half-written is left, and running again finishes."""
    simulate(tmp_path / "recordings", games=1)
    code = (
        "import sys, os; sys.argv = ['replaylab', 'convert', 'recordings', '--to', 'store']\n"
        "import replaylab.conversion.job as job\n"
        "from replaylab.cli.main import main\n"
        "def wait(*given, **more):\n"
        "    import time\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "job.write_segment = wait\n"
        "main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=240)
    assert (process.returncode, said) == (130, "replaylab: interrupted\n")
    assert not list((tmp_path / "store").rglob("*.aside"))
    assert run("convert", tmp_path / "recordings", "--to", tmp_path / "store").exit_code == 0


def test_names_cannot_command_the_terminal(tmp_path: Path) -> None:
    """Control characters and markup in a game's name are shown, not obeyed."""
    name = "\x1b[31m[bold]game\n"
    line = {"type": "tick", "timestamp": "2031-01-02T03:04:05", "game_id": name, "tick": 1, "price": 2}
    line |= {"phase": "ACTIVE_GAMEPLAY", "active": True, "rugged": False, "cooldown_timer": 0, "trade_count": 1}
    (tmp_path / "odd.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    assert run("convert", tmp_path / "odd.jsonl", "--to", tmp_path / "store").exit_code == 0
    shown = run("info", tmp_path / "store").stdout
    assert "\x1b" not in shown
    assert r"\x1b[31m[bold]game\n" in shown
    assert told("info", tmp_path / "store")["table"][0]["game_id"] == name


def test_ids_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    """With PYTHONIOENCODING=ascii an id beyond ASCII is shown escaped, and no command ends in a traceback."""
    (tmp_path / "a.jsonl").write_bytes(line("g\u00fc\u20ac", 1))
    quiet(tmp_path / "a.jsonl", tmp_path / "store")
    for command in (["info"], ["info", "--json"], ["stats"], ["verify"]):
        done = subprocess.run(
            [sys.executable, "-m", "replaylab", command[0], str(tmp_path / "store"), *command[1:]],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()
        assert b"Traceback" not in done.stderr


def test_info_says_what_a_compaction_would_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From many small segments on; nothing is said of few, nor of those that were joined."""
    for seed in (1, 2, 3):
        simulate(tmp_path / str(seed), games=1, seed=seed)
        quiet(tmp_path / str(seed), tmp_path / "store")
    assert "replaylab compact" not in run("info", tmp_path / "store").stdout
    monkeypatch.setattr("replaylab.cli.stores.MANY_SEGMENTS", 3)
    assert "3 segments would be 1, and open faster, after: replaylab" in run("info", tmp_path / "store").stdout
    assert run("compact", tmp_path / "store", "--no-progress").exit_code == 0
    assert "would be" not in run("info", tmp_path / "store").stdout
