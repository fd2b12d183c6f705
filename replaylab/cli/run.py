"""The command `run`: a user's Python function over the games of a store."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from replaylab.cli.exit_codes import finish
from replaylab.cli.options import AsJson, NoProgress, StorePath
from replaylab.plural import count_of

if TYPE_CHECKING:
    from rich.table import Table

    from replaylab.analysis.batches.results import Results

_SHOWN: Final = 20  # rows, when they are not written to a file


def run(  # noqa: PLR0913 the options of the command
    script: Annotated[str, typer.Argument(metavar="SCRIPT", help="Python file with a function analyse(game, ...).")],
    store: StorePath,
    *,
    to: Annotated[str | None, typer.Option("--to", metavar="FILE", help="Parquet file for the rows.")] = None,
    function: Annotated[str, typer.Option(metavar="NAME", help="Function of the script.")] = "analyse",
    parameter: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="A parameter; may be repeated.")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Processes at once; one a core unless set.")] = None,
    cache: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Keep results here, so that a rerun computes what changed.")
    ] = None,
    no_progress: NoProgress = False,
    json: AsJson = False,
) -> None:
    """Run a Python function over every game.

    What it returns is a row, or rows, of the results; a game that fails is a row with the reason. Interrupted, it
    writes what was finished; with --cache the next run goes on from there.
    """
    from replaylab.analysis.batches.batch import map_games
    from replaylab.analysis.batches.results import Interrupted, check_target
    from replaylab.analysis.batches.user_script import function_in, parameters_of
    from replaylab.exports.export import refuse_inside
    from replaylab.storage.objectstore import is_uri

    if to is not None:
        check_target(to)
    for place in (to, cache):
        if place is not None and not is_uri(store):
            refuse_inside(Path(store), Path(place))
    try:
        found = map_games(
            store,
            function_in(script, function),
            parameters=parameters_of(parameter or ()),
            workers=workers,
            cache=cache,
            progress=False if no_progress else None,
        )
    except Interrupted as stop:
        _show(stop.results, to, json=json)
        raise
    _show(found, to, json=json)
    failed = found.failed.to_pylist()
    more = [f"and {len(failed) - _SHOWN:,} more games failed"] if len(failed) > _SHOWN else []
    finish(*found.manifest.left_out.values(), *(f"{one['game_id']}: {one['error']}" for one in failed[:_SHOWN]), *more)


def _show(found: Results, to: str | None, *, json: bool) -> None:
    """Write the results, and print what they are; without a file, their first rows."""
    from replaylab.cli.tables import show, show_json, show_pairs

    manifest = found.manifest
    path = None if to is None else str(found.save(to))
    if json:
        counts: dict[str, Any] = {
            name: getattr(manifest, name) for name in ("games", "rows", "computed", "cached", "failed")
        }
        show_json(counts, complete=manifest.complete, to=path, table=[] if path else found.table.to_pylist())
        return
    if path is None:
        show(_rows(found))
    kinds = f"{manifest.computed:,} computed, {manifest.cached:,} cached, {manifest.failed:,} failed"
    show_pairs({"games": f"{manifest.games:,} with {count_of(manifest.rows, 'tick')}: {kinds}", "results": path or ""})


def _rows(found: Results) -> Table:
    """Return the first rows as a table; a column of nothing but nulls is left out."""
    from rich import box
    from rich.table import Table

    from replaylab.cli.tables import plain

    shown = found.table.slice(0, _SHOWN)
    names = [name for name in shown.column_names if shown.column(name).null_count < shown.num_rows]
    more = found.table.num_rows - shown.num_rows
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, caption=f"and {more:,} more rows" if more else None)
    for name in names:
        table.add_column(plain(name), overflow="fold")
    for row in shown.select(names).to_pylist():
        table.add_row(*("" if value is None else plain(_text(value)) for value in row.values()))
    return table


def _text(value: object) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
