"""The command `status`: how the recorders of a store are doing, from another process."""

from __future__ import annotations

import dataclasses
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from replaylab.cli.exit_codes import finish
from replaylab.cli.options import AsJson, StorePath
from replaylab.plural import count_of

if TYPE_CHECKING:
    from rich.table import Table

    from replaylab.watching.status import StoreStatus

_WATCH_SECONDS: Final = 1.0


def status(
    store: StorePath,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again each second until Ctrl-C.")] = False,
    json: AsJson = False,
) -> None:
    """Show how the recorders of a store are doing, whichever processes they are in.

    A recorder whose process was killed is dead here at once. With --watch and --json, one line of JSON each second.
    """
    from replaylab.watching.status import status as library_status

    while watch:
        _print(library_status(store), json=json, again=True)
        time.sleep(_WATCH_SECONDS)
    found = library_status(store)
    _print(found, json=json)
    finish(*found.problems)


def _print(found: StoreStatus, *, json: bool, again: bool = False) -> None:
    from replaylab.cli.tables import show, show_json, show_pairs

    if json and again:
        import json as jsonlib

        print(jsonlib.dumps(_fields(found), default=str), flush=True)  # noqa: T201 the answer
        return
    if json:
        show_json(_fields(found))
        return
    if again and sys.stdout.isatty():
        print("\x1b[H\x1b[2J", end="")  # noqa: T201 the screen is cleared
    if not found.runs:
        show_pairs({"recorders": "none has written a status here"})
        return
    show(_table(found))
    sys.stdout.flush()


def _fields(found: StoreStatus) -> dict[str, object]:
    runs = [dataclasses.asdict(run) for run in found.runs]
    return {"store": found.store, "ok": found.ok, "problems": list(found.problems), "runs": runs}


def _table(found: StoreStatus) -> Table:
    from rich import box
    from rich.table import Table

    from replaylab.cli.tables import plain

    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False)
    for name in ("run", "state", "verdict", "ticks", "a second", "not durable", "refused", "free", "seen"):
        table.add_column(name, overflow="fold")
    now = datetime.now(UTC)
    for run in found.runs:
        seen = "" if run.written_at is None else f"{max(0.0, (now - run.written_at).total_seconds()):.0f} s ago"
        free = f"{run.free_bytes / 1e9:.1f} GB" if run.free_bytes >= 0 else "gone"
        refused = sum(run.refused.values())
        counts = (f"{run.accepted:,}", f"{run.ticks_a_second:,.0f}", f"{run.unsynced:,}", f"{refused:,}")
        table.add_row(plain(run.run), plain(run.state), plain(run.verdict), *counts, free, seen)
        for feed in run.feeds:
            said = f"{feed.get('ticks', 0):,}", "", "", count_of(feed.get("gaps") or 0, "gap"), "", ""
            table.add_row(f"  {plain(str(feed.get('feed')))}", plain(str(feed.get("state"))), "", *said)
    return table
