"""Secrets: a key, a secret or a password in a URL is in no error, no log, no output and no name of a file."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import replaylab as rl
from replaylab import analysis as a
from replaylab.analysis.batches.results import Results
from replaylab.cli.main import app
from replaylab.errors import ReplayLabError
from tests.analysis.made import drawn
from tests.stores import quiet, simulated

SECRET = "pl4nted-s3cret"
URLS = {
    "user": f"s3://user:{SECRET}@bucket/place?nonsense=1",
    "query": f"s3://bucket/place?nonsense={SECRET}",
    "unknown scheme": f"nosuch://user:{SECRET}@host/place?key={SECRET}",
    "database": f"postgresql://user:{SECRET}@127.0.0.1:1/nothing?connect_timeout=1",
    "web": f"https://user:{SECRET}@127.0.0.1:1/place?key={SECRET}",
}
FEEDS = [f"{scheme}://user:{SECRET}@127.0.0.1:1/feed?key={SECRET}" for scheme in ("ws", "nosuch", "socketio+http")]


def nothing(_tape: Any, _account: Any) -> None:
    """Place no order."""


# Every door of the package that takes a path or a URL, called with a URL and a store of this machine.
DOORS: dict[str, Callable[[Any, Path], object]] = {
    "open_store": lambda url, _: rl.open_store(url),
    "Store": lambda url, _: rl.Store(url),
    "Recorder": lambda url, _: rl.Recorder(url),
    "convert from": lambda url, store: rl.convert(url, store.parent / "new", progress=False),
    "convert to": lambda url, store: rl.convert(store.parent / "recordings", url, progress=False),
    "simulate": lambda url, _: rl.simulate(url, games=1),
    "compact": lambda url, _: rl.compact(url, progress=False),
    "prune": lambda url, _: rl.prune(url, keep_games=1),
    "recover": lambda url, _: rl.recover(url),
    "rezone": lambda url, _: rl.rezone(url, "UTC", progress=False),
    "encrypt": lambda url, store: rl.encrypt(url, rl.FileKey(store.parent / "key", create=True), progress=False),
    "FileKey": lambda url, _: rl.FileKey(url).unwrap(b""),
    "status": lambda url, _: rl.status(url),
    "serve": lambda url, _: rl.serve(url),
    "dashboard": lambda url, _: rl.dashboard(url),
    "play": lambda url, _: rl.play(url),
    "browse": lambda url, _: rl.browse(url),
    "export from": lambda url, store: rl.export(url, store.parent / "x.csv"),
    "export to": lambda url, store: rl.export(store, url),
    "paths": lambda url, _: a.paths(url),
    "games": lambda url, _: a.games(url),
    "gap_mask": lambda url, _: a.gap_mask(url),
    "trade_flow": lambda url, _: a.trade_flow(url),
    "map_games": lambda url, _: a.map_games(url, len, workers=1),
    "cache": lambda url, store: a.map_games(store, len, cache=url, workers=1),
    "Results.load": lambda url, _: Results.load(url),
    "Results.save": lambda url, store: a.map_games(store, len, workers=1).save(url),
    "report": lambda url, _: a.backtest(drawn(5), nothing, progress=False).report(url),
    "live to": lambda url, _: rl.live("simulated:1", to=url),
    "Webhook": lambda url, _: rl.Webhook(url, "x" * 32),
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of one game."""
    folder = tmp_path_factory.mktemp("secrets")
    return Path(quiet(simulated(folder / "recordings", games=1), folder / "store").store)


def shown(call: Callable[[], object], caplog: pytest.LogCaptureFixture) -> str:
    """Return all that a refused call shows: error, repr, traceback with all causes, and the log at any level."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ReplayLabError) as caught:
        call()
    error = caught.value
    chain: list[BaseException] = [error]
    while before := chain[-1].__cause__ or (None if chain[-1].__suppress_context__ else chain[-1].__context__):
        chain.append(before)
    said = [text for one in chain for text in traceback.format_exception_only(one)]
    return "\n".join([str(error), repr(error), repr(error.args), *said, caplog.text])


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("door", DOORS)
def test_no_door_shows_what_is_secret(
    door: str,
    url: str,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A URL that cannot be used is refused without its secret, and no file or folder is named after it."""
    monkeypatch.chdir(tmp_path)
    assert SECRET not in shown(lambda: DOORS[door](URLS[url], store), caplog)
    assert SECRET not in "".join(capfd.readouterr())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("door", sorted(DOORS.keys() - {"Webhook"}))
def test_a_path_made_of_a_url_shows_no_secret(
    door: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`Path` takes a slash of two away: it is a URL still, and no folder `s3:`."""
    monkeypatch.chdir(tmp_path)
    assert SECRET not in shown(lambda: DOORS[door](Path(URLS["user"]), store), caplog)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("url", FEEDS)
def test_no_feed_shows_what_is_secret(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A feed that cannot be opened is refused, and says its address, without user, password and query."""

    async def opened() -> None:
        feed = rl.open_feed(url)
        assert SECRET not in repr(feed) + str(feed)
        async with feed:
            pass

    assert SECRET not in shown(lambda: asyncio.run(opened()), caplog)


COMMANDS = [
    ["info", "URL"], ["verify", "URL"], ["status", "URL"], ["convert", "URL", "--to", "new"], ["compact", "URL"],
    ["convert", "STORE", "--to", "URL"], ["export", "URL", "--to", "x.csv"], ["export", "STORE", "--to", "URL"],
    ["record", "new", "--feed", "URL"], ["recover", "URL"], ["simulate", "URL"], ["serve", "URL"],
]  # fmt: skip


@pytest.mark.parametrize("url", ["user", "query", "unknown scheme"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_shows_what_is_secret(
    command: list[str], url: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command ends with an error, without the secret."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [{"URL": URLS[url], "STORE": str(store)}.get(word, word) for word in command])
    assert done.exit_code not in {0, None}
    assert "Usage: " not in done.output, "the command was not reached"
    assert SECRET not in done.output
    assert not [one for one in tmp_path.rglob("*") if SECRET in str(one)]
