"""The command `prune`: remove old games from a store, whole and accounted for."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from replaylab.cli.options import AsJson, NoProgress, StorePath

_LISTED: Final = 20


def prune(
    store: StorePath,
    *,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Games whose last row is older: 90d, 12h, 2w.")
    ] = None,
    keep_games: Annotated[int | None, typer.Option(metavar="N", help="All games but the N newest.")] = None,
    max_bytes: Annotated[
        str | None, typer.Option(metavar="N", help="The oldest, until the store takes no more: 500MB, 2G.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this it only says what it would do.")] = False,
    no_progress: NoProgress = False,
    json: AsJson = False,
) -> None:
    """Remove old games, whole; without --yes only say which.

    What was removed stays in the account: verify does not take it for loss, and convert does not bring it back.
    """
    from replaylab.cli.tables import show_json, show_pairs
    from replaylab.retention.choice import size_of
    from replaylab.retention.prune import prune as library_prune

    report = library_prune(
        store,
        older_than=older_than,
        keep_games=keep_games,
        max_bytes=None if max_bytes is None else size_of(max_bytes),
        yes=yes,
        progress=not no_progress,
    )
    if json:
        show_json(report)
        return
    more = [f"and {len(report.games) - _LISTED:,} more"] if len(report.games) > _LISTED else []
    listed = "" if report.done else ", ".join([*report.games[:_LISTED], *more])
    hint = "" if report.done or not report.games else "nothing was removed; run it again with --yes"
    show_pairs({"pruned" if report.done else "prune": str(report), "games": listed, "dry run": hint})
