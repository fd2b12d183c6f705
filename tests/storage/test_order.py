"""Order: games come by their start, then by their id, whichever door one takes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import replaylab as rl
from replaylab.cli.main import app
from replaylab.exports.pages import export_pages
from replaylab.feeds.stored import StoredGames
from replaylab.playback.playlist import Playlist
from tests.stores import game_lines, quiet

WALLS = {"z": "02", "b": "04", "a": "04", "m": "01", "q": None, "c": "03", "d": None}
ORDER = ["m", "z", "c", "a", "b", "d", "q"]  # d and q have no time


def made(folder: Path) -> rl.Store:
    """Make a store whose games lie in several segments, in another order than that of their ids."""
    for number, (game, hour) in enumerate(WALLS.items()):
        lines = game_lines(game, 8)
        timed = [
            json.dumps(json.loads(line) | {"timestamp": hour and f"2031-01-02T{hour}:00:00.{place:06}"}).encode()
            for place, line in enumerate(lines)
        ]
        (folder / f"{number}.jsonl").write_bytes(b"\n".join(timed) + b"\n")
        quiet(folder / f"{number}.jsonl", folder / "store")
    return rl.open_store(folder / "store")


def shown(store: rl.Store, *words: str) -> str:
    """Return what a command prints about a store."""
    result = CliRunner().invoke(app, [words[0], str(store.path), *words[1:]])
    assert result.exit_code == 0, result.output
    return result.stdout


def exported(store: rl.Store) -> list[str]:
    """Return the games to which the index of exported pages leads."""
    export_pages(store, store.path.parent / "pages")
    index = (store.path.parent / "pages" / "index.html").read_text(encoding="utf-8")
    return re.findall(r'<a href="(.)\.html"', index)


DOORS: dict[str, Callable[[rl.Store], list[str]]] = {
    "game_ids": lambda store: store.game_ids(),
    "iteration": lambda store: [game.id for game in store],
    "completion": lambda store: store._ipython_key_completions_(),
    "games": lambda store: store.games()["game_id"].tolist(),
    "games_table": lambda store: store.games_table().column("game_id").to_pylist(),
    "playlist": lambda store: list(Playlist(store).names),
    "play": lambda store: [str(one) for one in rl.play(store)._active.playlist.names],  # type: ignore[union-attr]
    "info": lambda store: [
        row["game_id"] for row in json.loads(shown(store, "info", "--limit", "0", "--json"))["table"]
    ],
    "info as text": lambda store: re.findall(r"^([a-z]) ", shown(store, "info", "--limit", "0"), re.MULTILINE),
    "paths": lambda store: rl.analysis.paths(store).game_ids,
    "rows": lambda store: list(dict.fromkeys(store.to_pandas()["game_id"])),
    "exported pages": exported,
}
TIMED: dict[str, Callable[[rl.Store], list[str]]] = {
    "serve": lambda store: [game.game_id for game in StoredGames(store).games],
}


@pytest.mark.parametrize("compacted", [False, True])
def test_every_door_has_the_same_order(tmp_path: Path, *, compacted: bool) -> None:
    """By start, then by id, those without a time last."""
    store = made(tmp_path)
    if compacted:
        rl.compact(store.path, progress=False)
        store = rl.open_store(store.path)
    found = {name: door(store) for name, door in DOORS.items()}
    assert found == dict.fromkeys(DOORS, ORDER)
    assert {name: door(store) for name, door in TIMED.items()} == dict.fromkeys(TIMED, ORDER[:5])
    assert len(store) == len(ORDER)
