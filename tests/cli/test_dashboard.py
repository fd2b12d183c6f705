"""The commands `dashboard` and `token`: where the page is, who may see it, and how it ends."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

import replaylab as rl
from replaylab.cli.main import app
from replaylab.service.tokens import Tokens

SECRET = "0123456789abcdef0123456789abcdef"


def run(*words: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="replaylab")


def test_the_page_is_served_until_ctrl_c(tmp_path: Path) -> None:
    """The address is said on standard error; a token made by `replaylab token` opens it; Ctrl-C ends it with 130."""
    rl.Recorder(tmp_path / "store").stop()
    (tmp_path / "secret").write_text(SECRET)
    words = ["dashboard", tmp_path / "store", "--port", "0", "--secret-file", tmp_path / "secret"]
    command = [sys.executable, "-m", "replaylab", *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = server.stderr.readline()
        [address] = re.findall(r"http://\S+/", said)
        place = urlsplit(address)
        made = run("token", "--role", "view", "--secret-file", tmp_path / "secret").stdout.strip()
        for headers, status in (({}, 401), ({"Authorization": f"Bearer {made}"}, 200)):
            connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
            connection.request("GET", "/state", headers=headers)
            answer = connection.getresponse()
            assert answer.status == status
            assert "error" in json.load(answer) if status == 401 else json.load(answer)["verdict"] == "idle"
            connection.close()
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 130


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["token"], "--secret-file"),
        (["token", "--secret-file", "{short}"], "it needs 32 or more"),
        (["token", "--secret-file", "{none}"], "no such file"),
        (["token", "--secret-file", "{secret}", "--role", "root"], "view, record, admin"),
        (["dashboard", "{none}"], "no store at"),
        (["dashboard", "{store}", "--host", "0.0.0.0"], "tokens"),
        (["dashboard", "{store}", "--port", "99999"], "65535"),
        (["dashboard", "{store}", "--secret-file", "{secret}", "--jwks", "https://keys.example"], "not with both"),
        (["dashboard", "{store}", "--jwks", "http://keys.example"], "https alone"),
    ],
)
def test_what_cannot_be_is_said(tmp_path: Path, words: list[str], said: str) -> None:
    """Each ends with 2 and one line that says what is wrong; no secret is in it."""
    rl.Recorder(tmp_path / "store").stop()
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "short").write_text("too-short-a-secret")
    places = {name: str(tmp_path / name) for name in ("store", "secret", "short", "none")}
    result = run(*(word.format(**places) for word in words))
    assert result.exit_code == 2
    assert said in result.stderr
    assert SECRET not in result.stderr
    assert "too-short" not in result.stderr


def test_a_token_says_who_and_what(tmp_path: Path) -> None:
    """It carries its role and its subject, and ends."""
    import asyncio

    (tmp_path / "secret").write_text(SECRET)
    options = ["--role", "admin", "--subject", "ann", "--seconds", 60, "--secret-file", tmp_path / "secret"]
    claims = asyncio.run(Tokens(SECRET).claims(run("token", *options).stdout.strip()))
    assert (claims["role"], claims["sub"]) == ("admin", "ann")
