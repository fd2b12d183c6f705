"""Commands on recordings: convert them, make them from a seed."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import typer

from replaylab.cli.exit_codes import finish
from replaylab.cli.options import AsJson, NoProgress

_OBJECTS_A_COLLECTION: Final = 50_000


def convert(  # noqa: PLR0913 the options of the command
    source: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Files, folders and quoted patterns.")],
    *,
    to: Annotated[str, typer.Option("--to", metavar="STORE", help="Folder of the store, made when it is not there.")],
    source_tz: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Zone of times that carry none; UTC unless set.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first damage.")] = False,
    map_by: Annotated[
        str | None,
        typer.Option("--map", metavar="FILE", help="A mapping in TOML, or vectra, pandas, trades or games."),
    ] = None,
    time_unit: Annotated[
        str, typer.Option(metavar="UNIT", help="Unit of times that are numbers since 1970: s, ms, us or ns.")
    ] = "",
    truncate_times: Annotated[
        bool, typer.Option("--truncate-times", help="Cut times that are finer than a microsecond, and count them.")
    ] = False,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes at once; one a core unless set.")] = None,
    no_progress: NoProgress = False,
    json: AsJson = False,
) -> None:
    """Convert recordings into a store.

    A second run adds only what is new. Packed files are unpacked; - reads standard input.
    """
    # numpy's linear algebra, of which nothing is used, starts threads that spin for a tenth of a second
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own holds 80 MB more, and takes no less time
    with _rare_collections():
        from replaylab.cli.tables import show_conversion, show_json
        from replaylab.conversion.convert import convert as library_convert

        report = library_convert(
            source,
            to,
            source_tz=source_tz,
            strict=strict,
            mapping=map_by,
            time_unit=time_unit,
            truncate_times=truncate_times,
            workers=workers,
            progress=False if no_progress else None,
        )
    show_json(report.to_dict(), ok=report.ok) if json else show_conversion(report)
    finish(*report.problems, *([] if report.balanced else ["the bytes do not add up: see the report"]))


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for cycles of objects seldom: a conversion makes few, and each look goes through all that was imported."""
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_A_COLLECTION, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file of any kind.")],
    *,
    map_by: Annotated[
        str | None, typer.Option("--map", metavar="FILE", help="Show how this mapping would read it.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show what a file is and how it would be read.

    Packing, encoding, form, its first ticks, and the mapping that it would take. Nothing is stored.
    """
    from replaylab.cli.tables import show_inspection, show_json
    from replaylab.conversion.inspect import inspect as library_inspect

    found = library_inspect(file, map_by)
    show_json(found) if json else show_inspection(found)
    finish(*([] if found.ticks else [f"{file}: no tick can be read as it is"]))


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
