"""Addresses of databases: what is shown of them, and that no password ever is."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import replaylab as rl
from replaylab.cli.main import app
from replaylab.postgres.address import Address, is_address
from tests.stores import quiet, simulated

MARK = "Tr0ub4dor"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("postgresql:///ticks", "postgresql:///ticks"),
        (f"postgresql://me:{MARK}@db.example:5433/ticks", "postgresql://me@db.example:5433/ticks"),
        (f"postgres://me:{MARK}%40%2F@[::1]:5/t?sslmode=require", "postgresql://me@[::1]:5/t"),
        (f"postgresql://a:1,b:2/t?user=x&password={MARK}", "postgresql://a:1,b:2/t"),
        (f"postgresql://me:{MARK}@/t?host=%2Ftmp", "postgresql://me@/t?host=%2Ftmp"),
    ],
)
def test_shown(uri: str, shown: str) -> None:
    """What is shown leads a reader to the database, and to no password."""
    address = Address.of(uri)
    assert is_address(uri)
    assert str(address) == shown
    assert MARK not in repr(address)
    assert "connect_timeout=10" in address.uri
    told = address.without_secrets(" ".join(["could not parse", address.uri, *address.secrets]))
    assert MARK not in told


BROKEN = [
    f"postgresql://me:{MARK}/x@host/db",
    f"postgresql://me:{MARK}?x@host/db",
    f"postgresql://me:{MARK}#x@host/db",
    f"postgresql://me:{MARK}%zz@host/db",
    f"postgresql://{MARK}:x:y/db",
    f"postgresql://me@host:{MARK}/db",
    f"postgresql://me@host/db?{MARK}",
    f"postgresql://me:x@{MARK}@host/db#",
]


@pytest.mark.parametrize("uri", BROKEN)
def test_what_is_not_understood_is_not_shown(uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A password that was not encoded may stand anywhere in an address, so nothing of it stands in a message."""
    store = tmp_path / "s"
    quiet(simulated(tmp_path / "r", games=1), store)
    with pytest.raises(rl.errors.SettingsError) as caught:
        rl.export(store, uri)
    assert MARK not in str(caught.value)
    done = CliRunner().invoke(app, ["export", str(store), "--to", uri, "--log", "-"], prog_name="replaylab")
    assert done.exit_code == 2
    assert MARK not in done.output + caplog.text


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    """Any text is an address or a `SettingsError`, and what is shown holds no password."""
    try:
        told = str(Address.of(f"postgresql://me:{MARK}{text}"))
    except rl.errors.SettingsError as error:
        told = str(error)
    assert MARK not in told


@pytest.mark.parametrize(
    "words",
    [
        ["info", "{uri}"],
        ["convert", "{samples}", "--to", "{uri}"],
        ["verify", "{uri}"],
        ["export", "{uri}", "--to", "x.csv"],
        ["export", "{store}", "--to", "{uri}"],
        ["convert", "{uri}", "--to", "{new}"],
        ["convert", "{uri}", "{samples}", "--to", "{new}"],
        ["record", "{uri}"],
        ["status", "{uri}"],
    ],
    ids=" ".join,
)
def test_no_command_shows_a_password(words: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever an address is given, and nothing answers there, its password is in no error and in no log."""
    store = tmp_path / "s"
    quiet(simulated(tmp_path / "r", games=1), store)
    uri = f"postgresql://me:{MARK}@127.0.0.1:1/ticks"
    places = {"uri": uri, "store": store, "samples": tmp_path / "r", "new": tmp_path / "n"}
    done = CliRunner().invoke(app, [word.format(**places) for word in words], prog_name="replaylab")
    assert done.exit_code == 2
    assert MARK not in done.output + caplog.text + repr(done.exception)


def test_arguments_that_a_database_has_not(tmp_path: Path) -> None:
    """A database takes in a whole store, and is converted alone."""
    quiet(simulated(tmp_path / "r", games=1), tmp_path / "s")
    with pytest.raises(rl.errors.SettingsError, match="leave out"):
        rl.export(tmp_path / "s", "postgresql:///t", games=["x"])
    with pytest.raises(rl.errors.SettingsError, match="alone"):
        rl.convert(["postgresql:///t", str(tmp_path / "r")], tmp_path / "n", progress=False)
    with pytest.raises(rl.errors.SettingsError, match="mapping"):
        rl.convert("postgresql:///t", tmp_path / "n", time_unit="s", progress=False)


@pytest.mark.parametrize(
    "uri", ["postgresql://me:{mark}@127.0.0.1:1/ticks", "postgresql://127.0.0.1:1/t?password={mark}"]
)
def test_no_library_logs_a_password(uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither a log of any library at its most talkative, nor a traceback with all its causes, holds the password."""
    uri = uri.format(mark=MARK)
    quiet(simulated(tmp_path / "r", games=1), tmp_path / "s")
    with caplog.at_level(logging.DEBUG):
        for do in (lambda: rl.export(tmp_path / "s", uri), lambda: rl.convert(uri, tmp_path / "n", progress=False)):
            with pytest.raises(rl.errors.DatabaseUnreachable) as caught:
                do()
            shown = traceback.TracebackException.from_exception(caught.value)
            assert MARK not in "".join(shown.format())
            assert MARK not in repr(caught.value)
    assert MARK not in caplog.text
    assert not any(MARK in repr(vars(record)) for record in caplog.records)


def test_no_status_holds_a_password(tmp_path: Path) -> None:
    """A store that came from a database knows it without its password: no file under it holds one."""
    uri = f"postgresql://me:{MARK}@127.0.0.1:1/ticks"
    with pytest.raises(rl.errors.DatabaseUnreachable):
        rl.convert(uri, tmp_path / "n", progress=False)
    quiet(simulated(tmp_path / "r", games=1), tmp_path / "s")
    with rl.Recorder(tmp_path / "s"):
        with pytest.raises(rl.errors.DatabaseUnreachable):
            rl.export(tmp_path / "s", uri)
        assert MARK not in repr(rl.status(tmp_path / "s"))
    assert not any(MARK.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
