"""Commands on games: write them to files, draw them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from replaylab.cli.exit_codes import finish
from replaylab.cli.options import AsJson, NoProgress, StorePath
from replaylab.errors import SettingsError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def export(  # noqa: PLR0913 the options of the command
    store: StorePath,
    *,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FILE",
            help="File to write: .csv, .jsonl, .parquet or .html; or postgresql://USER@HOST/DATABASE.",
        ),
    ],
    game: Annotated[list[str] | None, typer.Option(metavar="ID", help="Id of a game; may be repeated.")] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Rows from this time on (UTC).")] = None,
    end: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Rows before this time (UTC).")] = None,
    columns: Annotated[str | None, typer.Option(metavar="A,B,...", help="Columns, in this order.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Live ticks only, once each, in order.")] = False,
    prices: Annotated[bool, typer.Option("--prices", help="The price path of each game only.")] = False,
    guard_formulas: Annotated[
        bool,
        typer.Option("--guard-formulas", help="In CSV put ' before texts that begin with = + - @."),
    ] = False,
    html: Annotated[
        bool, typer.Option("--html", help="Pages that play by themselves; FILE may be a folder, for one page a game.")
    ] = False,
    no_progress: NoProgress = False,
    json: AsJson = False,
) -> None:
    """Write games as CSV, JSONL, Parquet, or pages that play; or all that is new to a PostgreSQL database.

    JSONL of all columns converts back to the same rows. A page needs no kernel and no network.
    """
    from replaylab.cli.tables import show_json, show_pairs
    from replaylab.exports.export import export as library_export
    from replaylab.exports.pages import export_pages, is_page

    if live and prices:
        raise SettingsError("--live and --prices: choose one")
    if html or is_page(to):
        if live or prices or any(option is not None for option in (start, end, columns)):
            raise SettingsError("a page plays whole games: leave out --from, --until, --columns, --live and --prices")
        report = export_pages(store, to, games=game, progress=not no_progress)
    else:
        report = library_export(
            store,
            to,
            games=game,
            start=start,
            end=end,
            columns=None if columns is None else [name.strip() for name in columns.split(",")],
            what="live" if live else "prices" if prices else "ticks",
            guard_formulas=guard_formulas,
            progress=not no_progress,
        )
    show_json(report) if json else show_pairs({"exported": str(report)})
    finish(*report.damaged)


def plot(
    store: StorePath,
    game: Annotated[str | None, typer.Argument(metavar="GAME", help="Id of one game.")] = None,
    *,
    to: Annotated[str, typer.Option("--to", metavar="FILE", help="Picture to write: .png, .svg or .pdf.")],
    log: Annotated[bool, typer.Option("--log", help="Draw the price of a game on a log scale.")] = False,
    json: AsJson = False,
) -> None:
    """Draw a game, or all games together."""
    from replaylab.cli.tables import show_json, show_pairs
    from replaylab.exports.export import refuse_inside, save_picture
    from replaylab.storage.open import open_store

    if log and game is None:
        raise SettingsError("--log: draws one game on a log scale; name the game: replaylab plot STORE GAME --log")
    opened = open_store(store)
    refuse_inside(opened.path, Path(to))
    figure: Figure = opened.plot() if game is None else opened.game(game).plot(log=log)
    size = save_picture(figure, to)
    show_json({"path": to, "bytes": size}) if json else show_pairs({"drawn": f"{to}, {size:,} bytes"})
    finish(*opened.damaged.values())
