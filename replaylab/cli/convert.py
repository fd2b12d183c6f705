"""Commands on recordings: convert them, make them from a seed."""

from __future__ import annotations

from typing import Annotated

import typer

from replaylab.cli.exit_codes import finish
from replaylab.cli.options import AsJson, NoProgress


def convert(
    source: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Files, folders and quoted patterns.")],
    *,
    to: Annotated[str, typer.Option("--to", metavar="STORE", help="Folder of the store, made when it is not there.")],
    source_tz: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Zone of times that carry none; UTC unless set.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first damage.")] = False,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes at once; one a core unless set.")] = None,
    no_progress: NoProgress = False,
    json: AsJson = False,
) -> None:
    """Convert recordings into a store.

    A second run adds only what is new.
    """
    from replaylab.cli.tables import show_conversion, show_json
    from replaylab.conversion.convert import convert as library_convert

    report = library_convert(
        source, to, source_tz=source_tz, strict=strict, workers=workers, progress=False if no_progress else None
    )
    show_json(report.model_dump(mode="json"), ok=report.ok) if json else show_conversion(report)
    finish(*report.problems, *([] if report.balanced else ["the bytes do not add up: see the report"]))


def simulate(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Where to write, made when it is not there.")],
    *,
    games: Annotated[int, typer.Option(metavar="N", help="How many games.")] = 10,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed makes the same bytes.")] = 1,
    damage: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND", help="A kind of damage, several with commas between, or all; an unknown one lists all."
        ),
    ] = None,
    dialect: Annotated[str, typer.Option(metavar="NAME", help="recording, sink, game_state or capture.")] = "recording",
    json: AsJson = False,
) -> None:
    """Make recordings from a seed.

    A file beside them, expected.json, says what a reader has to find.
    """
    from replaylab.cli.tables import show_json, show_written
    from replaylab.simulation.simulate import simulate as library_simulate

    kinds = [kind.strip() for one in damage or [] for kind in one.split(",") if kind.strip()]
    paths = library_simulate(folder, games, seed, "all" if "all" in kinds else kinds, dialect)
    show_json({"folder": folder, "recordings": paths}) if json else show_written(paths, folder)
