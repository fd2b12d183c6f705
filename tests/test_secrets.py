"""Secrets: a key, a secret or a password in a URL is in no error, no log, no output and no name of a file."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import replaylab as rl
from replaylab import analysis as a
from replaylab.analysis.batches.results import Results
from replaylab.cli.main import app
from replaylab.dashboards.server import serve_dashboard
from replaylab.errors import ReplayLabError
from replaylab.service.public_keys import PublicKeys
from replaylab.storage.inventory import Inventory
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
BROKEN = {  # signs that were not quoted, and addresses that Python refuses to split, with all of them in its error
    "slash": f"//user:{SECRET}/x@127.0.0.1:1/feed",
    "question": f"//user:{SECRET}?x@127.0.0.1:1/feed",
    "hash": f"//user:{SECRET}#x@127.0.0.1:1/feed",
    "bracket": f"//user:{SECRET}[@127.0.0.1:1/feed",
    "port": f"//user@127.0.0.1:{SECRET}/feed",
    "no port": f"//user:{SECRET}",
    "letters": f"//user:{SECRET}@ho\u2100st:1/feed",
    "space": f"//user: {SECRET} @127.0.0.1:1/feed",
}
FEEDS = [
    f"{scheme}:{rest}"
    for scheme in ("ws", "nosuch", "socketio+http")
    for rest in (f"//user:{SECRET}@127.0.0.1:1/feed?key={SECRET}", *BROKEN.values())
]


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
    "compare": lambda url, _: rl.compare([url, url]),
    "rotate": lambda url, store: rl.rotate(url, a_key(store), new_store_key=True),
    "rotate by": lambda url, store: rl.rotate(store, rl.FileKey(url), new_store_key=True),
    "FileKey made": lambda url, _: rl.FileKey(url, create=True),
    "verify against": lambda url, store: rl.open_store(store).verify(expect=url),
    "save the inventory": lambda url, _: Inventory(rows=0, rows_digest="00").save(url),
    "mapping": lambda url, store: rl.convert(store.parent / "recordings", "new", mapping=url, progress=False),
    "marks": lambda url, store: rl.play(rl.open_store(store).games().index[0], marks=url),
    "keys of tokens": lambda url, store: rl.serve(store, keys=url),
    "serve at": lambda url, store: rl.serve(store, host=url, secret="x" * 32, port=0),
    "dashboard at": lambda url, store: serve_dashboard(store, host=url),
    "dashboard on": lambda url, store: serve_dashboard(store, path=url),
    "PublicKeys": lambda url, _: PublicKeys(url),
    "Settings.load": lambda url, _: rl.Settings.load(url),
    "Settings.save": lambda url, _: rl.Settings().save(url),
    "setting": lambda url, _: rl.Settings(source_tz=url, workers=url),
    "setting that is none": lambda url, _: rl.Settings(database=url),
    "settings file": lambda url, store: rl.Settings.load(a_file(store, json.dumps({"log_level": url, "to": url}))),
    "certificates": lambda url, _: asyncio.run(connected(rl.open_feed("wss://127.0.0.1:1/feed", ca=url))),
    "live": lambda url, _: rl.live(str(url).replace("s3", "nosuch")),
}


def a_key(store: Path) -> rl.FileKey:
    """Return a master key."""
    return rl.FileKey(store.parent / "key", create=not (store.parent / "key").exists())


def a_file(store: Path, text: str) -> Path:
    """Return a file that holds a text."""
    (store.parent / "file").write_text(text)
    return store.parent / "file"


async def connected(feed: Any) -> None:
    """Connect a feed."""
    async with feed:
        pass


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


@pytest.mark.parametrize("door", sorted(DOORS.keys() - {"Webhook", "serve at", "dashboard at", "settings file"}))
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


@pytest.mark.parametrize("door", sorted(DOORS.keys() - {"live", "serve at"}))
def test_no_door_shows_a_secret_of_a_url_that_is_broken(
    door: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Signs that were not quoted: what may be secret is not to be told from the rest, so less is shown."""
    monkeypatch.chdir(tmp_path)
    scheme = "https" if door in {"Webhook", "PublicKeys", "keys of tokens"} else "s3"
    for kind, rest in BROKEN.items():
        assert SECRET not in shown(partial(DOORS[door], f"{scheme}:{rest}", store), caplog), kind
    assert not list(tmp_path.iterdir())


COMMANDS = [
    "info URL",
    "verify URL",
    "status URL",
    "convert URL --to new",
    "compact URL",
    "convert STORE --to URL",
    "export URL --to x.csv",
    "export STORE --to URL",
    "record new --feed URL",
    "recover URL",
    "simulate URL",
    "serve URL",
    "record URL",
    "dashboard URL",
    "dashboard STORE --jwks URL",
    "dashboard STORE --socket URL",
    "dashboard STORE --secret-file URL",
    "dashboard STORE --host URL",
    "token --secret-file URL",
    "serve STORE --keys URL",
    "serve STORE --secret-file URL",
    "rotate URL --new-store-key",
    "rotate STORE --key-file URL --new-store-key",
    "rotate STORE --to URL --new-key",
    "encrypt URL",
    "encrypt STORE --key-file URL",
    "encrypt STORE --key-file URL --new-key",
    "prune URL --keep-games 1",
    "inspect URL",
    "rezone URL UTC",
    "rezone STORE URL",
    "stats URL",
    "plot URL --to x.png",
    "plot STORE --to URL",
    "play URL GAME",
    "run URL STORE",
    "run SCRIPT URL",
    "run SCRIPT STORE --to URL",
    "verify STORE --expect URL",
    "verify STORE --save URL",
    "info STORE --log URL",
    "info STORE --key-file URL",
    "record new --from URL",
    "record new --feed store:URL",
    "record new --alert URL",
    "record new --source-tz URL",
    "record new --durability URL",
    "record new --feed wss://127.0.0.1:1/feed --ca URL",
    "convert STORE --to new --map URL",
]


@pytest.mark.parametrize("url", ["user", "unknown scheme"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_shows_what_is_secret(
    command: str, url: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command ends with an error, without the secret."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REPLAYLAB_ALERT_SECRET", "x" * 32)
    (script := store.parent / "script.py").write_text("def analyse(game):\n    return 1\n")
    words = {"URL": URLS[url], "store:URL": f"store:{URLS[url]}", "STORE": str(store), "SCRIPT": str(script)}
    done = CliRunner().invoke(app, [words.get(word, word) for word in command.split()])
    assert done.exit_code not in {0, None}
    assert "Usage: " not in done.output, "the command was not reached"
    assert SECRET not in done.output
    assert not [one for one in tmp_path.rglob("*") if SECRET in str(one)]
