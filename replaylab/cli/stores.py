"""Commands on a whole store: show it, check it, count it, join its segments."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Final

import typer

from replaylab.cli.exit_codes import PROBLEM, finish
from replaylab.cli.options import AsJson, NoProgress, StorePath
from replaylab.cli.version import print_versions

MANY_SEGMENTS: Final = 100  # from which on `info` says what a compaction would make of them


def info(
    store: StorePath,
    game: Annotated[str | None, typer.Argument(metavar="GAME", help="Id of one game.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="How many games to list; 0 for all.")] = 20,
    oldest: Annotated[bool, typer.Option("--oldest", help="List the first games instead of the newest.")] = False,
    json: AsJson = False,
    version: Annotated[  # noqa: ARG001 its callback prints it
        bool,
        typer.Option("--version", callback=print_versions, is_eager=True, help="Print what replaylab runs on."),
    ] = False,
) -> None:
    """Show a store and its games, or one game."""
    from replaylab.cli.overview import overview
    from replaylab.cli.record_status import runs_of, show_recordings
    from replaylab.cli.tables import show_game, show_games, show_json, show_overview, show_pairs
    from replaylab.storage.compact import segments_when_compacted
    from replaylab.storage.open import open_store

    opened = open_store(store)
    if game is not None:
        found = opened.game(game).summary
        show_json(found) if json else show_game(game, found)
        return
    seen = overview(opened)
    games, recordings = opened.games_table(), opened.recordings()
    if json:
        count = min(limit, games.num_rows) if limit else games.num_rows
        first = 0 if oldest else games.num_rows - count
        more = {"recordings": runs_of(recordings), "table": games.slice(first, count).to_pylist()}
        show_json(seen, bytes_a_tick=seen.bytes_a_tick, **more)
    else:
        show_overview(seen)
        sealed = opened.sealed()
        after = segments_when_compacted(sealed)
        if len(sealed) >= MANY_SEGMENTS and after * 2 <= len(sealed):
            said = f"{len(sealed):,} segments would be {after:,}, and open faster, after: replaylab compact {store}"
            show_pairs({"hint": said})
        show_recordings(recordings)
        show_games(games, limit=limit, oldest=oldest)
    finish(*seen.damaged)


def verify(
    store: StorePath,
    *,
    fair: Annotated[
        bool, typer.Option("--fair", help="Also look for prices that the published game cannot make.")
    ] = False,
    expect: Annotated[
        Path | None, typer.Option("--expect", metavar="FILE", help="Also look for what was there when FILE was saved.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Save what the store holds, when all is well.")
    ] = None,
    no_progress: NoProgress = False,
    json: AsJson = False,
) -> None:
    """Check every byte and row of a store, and look for what is missing.

    Digests, counts and the accounts of all sources are compared with what was written; nothing is changed. Runs,
    sources and remarks of which a part is gone are named. Journals that are not yet sealed are checked and named; they
    are not a problem.
    """
    from replaylab.cli.record_status import show_unsealed, unsealed
    from replaylab.cli.tables import show_json, show_verification
    from replaylab.fair import alarms
    from replaylab.storage.objectstore import opened

    checked = opened(store)
    found = checked.verify(progress=not no_progress, expect=expect)
    left = unsealed(checked.recordings())
    raised = alarms(checked, progress=not no_progress) if fair and found.ok else []
    ok = found.ok and not raised
    if json:
        looked = {"alarms": [alarm._asdict() for alarm in raised] if found.ok else None} if fair else {}
        names = [field.name for field in dataclasses.fields(found) if field.name != "inventory"]
        fields = {name: getattr(found, name) for name in names}
        show_json(fields, ok=ok, unsealed=left, **looked)
    else:
        show_unsealed(left)
        show_verification(found)
    if save is not None and found.inventory is not None and ok:
        found.inventory.save(save)
    if not ok:
        unsaved = [f"{save} was not written, as the store has problems"] if save is not None else []
        unseen = ["the prices were not looked at, as the store is damaged"] if fair and not found.ok else []
        finish(*unsaved, *unseen, *[str(alarm) for alarm in raised])
        raise typer.Exit(PROBLEM)


def stats(
    store: StorePath,
    *,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes at once; one a core unless set.")] = None,
    no_progress: NoProgress = False,
    json: AsJson = False,
) -> None:
    """Count games and damage, and show quantiles.

    The quantiles of rug tick and peak make up for games that were cut off.
    """
    from replaylab.cli.overview import statistics
    from replaylab.cli.tables import show_json, show_statistics

    found = statistics(store, workers=workers, progress=False if no_progress else None)
    show_json(found) if json else show_statistics(found)
    finish(*found.damaged)


def compact(store: StorePath, *, no_progress: NoProgress = False, json: AsJson = False) -> None:
    """Join small segments into few.

    The rows stay the same, and readers may go on reading.
    """
    from replaylab.cli.tables import show_compaction, show_json
    from replaylab.storage.compact import compact as library_compact

    report = library_compact(store, progress=not no_progress)
    show_json(report) if json else show_compaction(report)


def rezone(
    store: StorePath,
    zone: Annotated[str, typer.Argument(metavar="ZONE", help="Name of a zone, such as America/New_York.")],
    *,
    no_progress: NoProgress = False,
    json: AsJson = False,
) -> None:
    """Read times that carry no zone in another one.

    What the recorder's clock showed stays as it is; running it again changes nothing.
    """
    from replaylab.cli.tables import show_json, show_rezoning
    from replaylab.storage.rezone import rezone as library_rezone

    report = library_rezone(store, zone, progress=not no_progress)
    show_json(report, ok=report.ok) if json else show_rezoning(report)
    finish(*[f"{name}: {why}" for name, why in report.left_alone.items()])
