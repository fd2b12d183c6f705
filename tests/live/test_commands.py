"""`serve` and `record --feed` where something is wrong: one clear line, exit code 2, and never a traceback."""

from __future__ import annotations

import io
import os
import re
import socket
import ssl
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import replaylab as rl
from replaylab.cli.feeds_table import FeedsTable
from replaylab.cli.main import app
from replaylab.sessions.event import LiveState, LiveStatus
from tests.feeds.certificates import certificates_in
from tests.feeds.servers import in_background
from tests.live.copies import whole_games
from tests.live.test_bad_input import END, LINE, in_turn


def run_code(code: str, *words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run Python code with words behind it in a process of its own, to its end."""
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run(*words: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="replaylab")


@pytest.mark.parametrize(
    ("words", "told", "not_told"),
    [
        (["serve", "{store}", "--port", "99999"], "--port 99999: must lie between 0 and 65535", "port="),
        (["serve", "{store}", "--pacing", "slow"], "--pacing 'slow': must be one of", "pacing="),
        (["serve", "{store}", "--speed", "0"], "--speed 0.0: must lie between", "speed="),
        (["serve", "{store}", "--host", "0.0.0.0"], "(--secret-file or REPLAYLAB_TOKEN_SECRET)", "secret="),
        (["record", "{copy}", "--durability", "some"], "--durability 'some': must be one of", "durability="),
        (["record", "{copy}", "--overflow", "some"], "--overflow 'some': must be one of", "overflow="),
        (["record", "{copy}", "--feed", "wss://127.0.0.1:1/", "--ca", "ca=none"], "certificates of --ca cannot", "ca="),
        (["info", "store=7"], "store=7", "STORE"),  # what was typed is not changed
    ],
)
def test_messages_name_options(words: list[str], told: str, not_told: str, tmp_path: Path) -> None:
    """What is wrong is named as it was typed: the option of the command, not the argument of a function."""
    whole_games(tmp_path / "store", 1, 3)
    found = run(*(word.format(store=tmp_path / "store", copy=tmp_path / "copy") for word in words))
    assert found.exit_code == 2, found.output
    assert told in found.stderr
    assert not_told not in found.stderr


def test_a_refused_token_names_where_one_is_read(tmp_path: Path) -> None:
    """`record --feed` reads its token from the environment, and says so when the server wants one."""
    whole_games(tmp_path / "store", 1, 3)
    with rl.serve(tmp_path / "store", secret="0123456789abcdef" * 2) as server:
        found = run("record", tmp_path / "copy", "--feed", server.url)
    assert found.exit_code == 2, found.output
    assert found.stderr.count("(REPLAYLAB_TOKEN)") == len(found.stderr.splitlines()) - 1  # all but the first
    assert "token=" not in found.stderr


def test_what_cannot_be_served(tmp_path: Path) -> None:
    """A taken port, and a host that lets others in without a secret, are one line and 2."""
    whole_games(tmp_path / "store", 1, 3)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = run("serve", tmp_path / "store", "--port", port)
        assert (found.exit_code, found.stderr.count("\n")) == (2, 1), found.output
        assert f"port {port} of 127.0.0.1 is taken" in found.stderr
        with pytest.raises(rl.errors.PortTaken):
            rl.serve(tmp_path / "store", port=port)
    found = run("serve", tmp_path / "store", "--host", "0.0.0.0", "--port", 0)
    assert (found.exit_code, found.stderr.count("\n")) == (2, 1), found.output
    assert [word in found.stderr for word in ("--secret-file", "REPLAYLAB_TOKEN_SECRET", "--keys")] == [True] * 3


@pytest.mark.parametrize("name", ["other", "expired", "good"])
def test_certificates_from_the_command_line(name: str, tmp_path: Path) -> None:
    """One that is not trusted is one line and 2; with `--ca` the good one is recorded."""
    made = certificates_in(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made[name])
    with in_background(in_turn([LINE % 0, "no json", END]), ssl=context) as port:
        url = f"wss://localhost:{port}/feed"
        words = ["record", tmp_path / "copy", "--feed", url, "--no-progress"]
        found = run(*words)
        assert found.exit_code == 2, found.output
        assert found.stderr.count("\n") == 1
        assert found.stderr.count(url) == 1
        assert "certificate is not trusted" in found.stderr
        if name == "good":
            found = run(*words, "--ca", made[name])
            assert found.exit_code == 0, found.output
            assert f"{url}: 1 tick, 0 gaps, 0 missing, 1 message refused (not_json 1)" in found.stdout
            assert rl.open_store(tmp_path / "copy").rows == 1


def test_a_long_reason_leaves_the_table_as_it_is() -> None:
    """Below the table stands why a feed is not well, as wide as the terminal; no column is wider for it."""
    out = io.StringIO()
    reason = "failed: ws://127.0.0.1/fed: " + "nothing is served there [/red] " * 6
    status = LiveStatus("ws://127.0.0.1/fed", LiveState.FAILED, datetime.now(UTC), reasons=(reason,))
    table = FeedsTable(out, width=100)
    table.show([status])
    shown = re.sub(r"\x1b\[[?0-9]*[A-Za-z]|\r", "", out.getvalue())
    table.close()
    head, row, *why = [line.rstrip() for line in shown.splitlines()]
    assert all(line.startswith("  ") for line in why)
    assert len(head) < 80
    assert row.startswith("ws://127.0.0.1/fed  failed")
    assert " ".join(" ".join(why).split()) == reason.strip()
    assert len(why[0]) > 85


REFUSED = {
    "/feed?speed=fast": "speed must be a number from 0.1 to 100",
    "/feed?from=never": "from must be 'start', a game id or a time in ISO 8601",
    "/feed?to=never": "to must be a game id or a time in ISO 8601",
    "/feed?pacing=slow": "pacing must be one of recorded, nominal, none",
    "/feed?games=none": "games: no game 'none' is served",
    "/feed?loop=perhaps": "loop must be 0 or 1",
    "/feed?sped=2": "no parameter 'sped'; known are after, from, games, loop, pacing, session, speed, to",
    "/feed?after=e-1": "the id is not of this content; begin again with from=start",
    "/fed": "nothing is served at /fed; there are /feed (WebSocket), /feed.jsonl, /events",
}


@pytest.mark.parametrize("way", ["ws", "socketio+http"])
def test_what_a_server_refuses(way: str, tmp_path: Path) -> None:
    """What cannot be right later ends a session at once, with what the server says; the command in one line and 2."""
    whole_games(tmp_path / "store", 1, 3)
    with rl.serve(tmp_path / "store", pacing="none") as server:
        for path, words in REFUSED.items():
            if way != "ws" and ("sped" in path or "after" in path):
                continue  # queries of the game's own clients are passed over, and there is no resume
            url = server.http.replace("http", way, 1) + (path if way == "ws" else path.replace("/feed", "/"))
            name = url.partition("?")[0]
            with rl.live(url) as session, pytest.raises(rl.errors.FeedLost) as raised:
                session.wait("live", timeout=60)
            status = session.status()
            assert (status.attempts, str(raised.value)) == (1, status.last_error)
            assert status.last_error is not None
            assert status.last_error.startswith(name)
            assert status.last_error.count(name) == 1
            assert words in status.last_error
            found = run("record", tmp_path / "copy", "--feed", url, "--no-progress")
            assert (found.exit_code, found.stderr) == (2, f"replaylab: {status.last_error}\n"), found.output


WHILE_IT_OPENS = """
import importlib, signal, sys
module, name = sys.argv.pop(1), sys.argv.pop(1)
opening = importlib.import_module(module)
really = getattr(opening, name)
def interrupted(*given, **options):
    signal.raise_signal(signal.SIGINT)
    return really(*given, **options)
setattr(opening, name, interrupted)
from replaylab.cli.main import main
main()
"""


@pytest.mark.parametrize(
    ("opener", "words"),
    [
        ("replaylab.sessions.opening open_sessions", ["record", "copy", "--feed", "ws://127.0.0.1:1/feed"]),
        ("replaylab.service.server serve", ["serve", "store", "--port", "0"]),
        ("replaylab.dashboards.server serve_dashboard", ["dashboard", "store", "--port", "0"]),
    ],
)
def test_ctrl_c_while_it_opens(opener: str, words: list[str], tmp_path: Path) -> None:
    """Ctrl-C before feeds or a server are open ends the command as it does later: 130, and no traceback."""
    whole_games(tmp_path / "store", 1, 3)
    done = run_code(WHILE_IT_OPENS, *opener.split(), *words, cwd=tmp_path)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert words[0] != "record" or "ws://127.0.0.1:1/feed: 0 ticks" in done.stdout


WHILE_IT_LOADS = """
import runpy, signal, sys
module = sys.argv.pop(1)
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
runpy.run_module("replaylab", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("module", ["replaylab.cli.main", "typer", "replaylab.service.server", "uvicorn"])
def test_ctrl_c_while_it_loads(module: str, tmp_path: Path) -> None:
    """Ctrl-C while modules are loaded, of the command line or of the command, ends it with 130 and one word."""
    whole_games(tmp_path / "store", 1, 3)
    done = run_code(WHILE_IT_LOADS, module, "serve", "store", "--port", "0", cwd=tmp_path)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("replaylab: ")


def test_whoever_ignores_ctrl_c_is_not_overruled(tmp_path: Path) -> None:
    """A command that is started in the background of a script, where SIGINT is ignored, is not ended by it."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + WHILE_IT_LOADS
    done = run_code(code, "typer", "--version", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
