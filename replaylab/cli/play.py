"""Commands that play: a game in the terminal."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from replaylab.cli.exit_codes import finish
from replaylab.cli.options import AsJson, StorePath


def play(
    store: StorePath,
    game: Annotated[str, typer.Argument(metavar="GAME", help="Id of the game.")],
    *,
    speed: Annotated[
        str | None, typer.Option(metavar="X", help="0.1 to 100 times as fast as it happened, or max.")
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", metavar="PLACE", help="Tick number or time (UTC) to begin at.")
    ] = None,
    nominal: Annotated[bool, typer.Option("--nominal", help="A tick every 0.25 s, whenever it came.")] = False,
    skip_gaps: Annotated[bool, typer.Option("--skip-gaps", help="Shorten stalls of 2 s and more to 0.25 s.")] = False,
    json: AsJson = False,
) -> None:
    """Play a game in the terminal.

    q or Ctrl-C ends, space pauses. Piped, it prints one line a tick, each at its time.
    """
    import io

    from replaylab.cli.tables import show_json
    from replaylab.cli.terminal_player import Watch, keyboard, print_ticks, row_at, speed_of
    from replaylab.playback.engine import ReplayEngine
    from replaylab.storage.open import open_store

    opened = open_store(store)
    rate = None if speed is None else speed_of(speed)
    wishes: dict[str, Any] = {"pacing": "nominal" if nominal else "recorded", "skip_gaps": skip_gaps}
    with ReplayEngine(opened.game(game), speed=rate, **wishes) as engine:
        row = None if start is None else row_at(engine, start)
        if json:
            shown = print_ticks(engine, row, io.StringIO())
            show_json({"game_id": game, "rows": engine.total, "from": row, "shown": shown})
        elif sys.stdout.isatty():
            with keyboard(sys.stdin) as key:
                Watch(engine, sys.stdout).run(key, row)
        else:
            print_ticks(engine, row)
    finish(*opened.damaged.values())
