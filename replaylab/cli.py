"""The command line: a command is one parse, one library call, one print."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from typer.core import TyperGroup

from replaylab.errors import ReplayLabError, SegmentDamaged, SettingsError, SourceDamaged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FINE: Final = 0
PROBLEM: Final = 1
COULD_NOT_RUN: Final = 2
INTERRUPTED: Final = 130
READER_GONE: Final = 141
_EXIT_CODES: Final = (
    "Exit codes: 0 all is fine; 1 a problem was found (what verify reports, damage under --strict, a source among "
    "several that cannot be read, a damaged segment); 2 the command could not run (usage, a missing path, no store, "
    "a busy store, a full disk); 130 interrupted."
)


class _Commands(TyperGroup):
    """Turns what goes wrong in a command into one line on standard error and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (SourceDamaged, SegmentDamaged) as error:
            code, problem = PROBLEM, str(error)
        except ReplayLabError as error:
            code, problem = COULD_NOT_RUN, str(error)
        except BrokenPipeError:
            _leave_pipe()
            raise typer.Exit(READER_GONE) from None
        except KeyboardInterrupt:
            code, problem = INTERRUPTED, "interrupted"
        except OSError as error:
            code, problem = COULD_NOT_RUN, f"{error.filename or 'error'}: {error.strerror or error}"
        _complain(problem)
        raise typer.Exit(code)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StorePath = Annotated[str, typer.Argument(help="Folder of the store.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no progress bar.")]


def main() -> None:
    """Run the command line of this process."""
    logging.getLogger("replaylab").addHandler(logging.NullHandler())  # the commands say themselves what is left out
    try:
        app(prog_name="replaylab")
    finally:
        with suppress(BrokenPipeError):
            sys.stdout.flush()


def _leave_pipe() -> None:
    """Give standard output to nobody, so that leaving does not fail on the closed pipe again."""
    nobody = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nobody, sys.stdout.fileno())
    os.close(nobody)


def _complain(*problems: str) -> None:
    from replaylab.screen import complain

    complain(*problems)


def _finish(*problems: str) -> None:
    """End with 1 when there are problems, which are told on standard error."""
    if problems:
        _complain(*problems)
        raise typer.Exit(PROBLEM)


def _print_version(asked: bool) -> None:  # noqa: FBT001 typer calls it so
    if asked:
        from importlib.metadata import version

        typer.echo(f"replaylab {version('replaylab')}")
        raise typer.Exit(FINE)


@app.callback()
def _replaylab(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Flight recorder and replay lab for tick streams: exact, crash-safe, every byte accounted for."""


@app.command(epilog=_EXIT_CODES)
def convert(
    source: Annotated[list[str], typer.Argument(help="Files, folders and quoted patterns.")],
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
    from replaylab.convert import convert as library_convert
    from replaylab.screen import show_conversion, show_json

    report = library_convert(
        source, to, source_tz=source_tz, strict=strict, workers=workers, progress=False if no_progress else None
    )
    show_json(report.model_dump(mode="json"), ok=report.ok) if json else show_conversion(report)
    _finish(*report.unreadable, *([] if report.balanced else ["the bytes do not add up: see the report"]))


@app.command(epilog=_EXIT_CODES)
def info(
    store: StorePath,
    game: Annotated[str | None, typer.Argument(help="Id of one game.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=0, help="How many games to list; 0 for all.")] = 20,
    oldest: Annotated[bool, typer.Option("--oldest", help="List the first games instead of the newest.")] = False,
    json: AsJson = False,
) -> None:
    """Show a store and its games, or one game."""
    from replaylab.overview import overview
    from replaylab.screen import show_game, show_games, show_json, show_overview
    from replaylab.store import open_store

    opened = open_store(store)
    if game is not None:
        found = opened.game(game).summary
        show_json(found) if json else show_game(game, found)
        return
    seen = overview(opened)
    games = opened.games_table()
    if json:
        count = min(limit, games.num_rows) if limit else games.num_rows
        first = 0 if oldest else games.num_rows - count
        show_json(seen, bytes_a_tick=seen.bytes_a_tick, table=games.slice(first, count).to_pylist())
    else:
        show_overview(seen)
        show_games(games, limit=limit, oldest=oldest)
    _finish(*seen.damaged)


@app.command(epilog=_EXIT_CODES)
def verify(store: StorePath, *, no_progress: NoProgress = False, json: AsJson = False) -> None:
    """Check every byte and row of a store.

    Digests, counts and the accounts of all sources are compared with what was written; nothing is changed.
    """
    from replaylab.screen import show_json, show_verification
    from replaylab.store import open_store

    found = open_store(store).verify(progress=not no_progress)
    show_json(found, ok=found.ok) if json else show_verification(found)
    if not found.ok:
        raise typer.Exit(PROBLEM)


@app.command(epilog=_EXIT_CODES)
def compact(store: StorePath, *, no_progress: NoProgress = False, json: AsJson = False) -> None:
    """Join small segments into few.

    The rows stay the same, and readers may go on reading.
    """
    from replaylab.compact import compact as library_compact
    from replaylab.screen import show_compaction, show_json

    report = library_compact(store, progress=not no_progress)
    show_json(report) if json else show_compaction(report)


@app.command(epilog=_EXIT_CODES)
def simulate(
    folder: Annotated[str, typer.Argument(help="Where to write, made when it is not there.")],
    *,
    games: Annotated[int, typer.Option(help="How many games.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed makes the same bytes.")] = 1,
    damage: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND", help="A kind of damage, several with commas between, or all; an unknown one lists all."
        ),
    ] = None,
    dialect: Annotated[str, typer.Option(help="recording, sink, game_state or capture.")] = "recording",
    json: AsJson = False,
) -> None:
    """Make recordings from a seed.

    A file beside them, expected.json, says what a reader has to find.
    """
    from replaylab.screen import show_json, show_written
    from replaylab.simulate import simulate as library_simulate

    kinds = [kind.strip() for one in damage or [] for kind in one.split(",") if kind.strip()]
    paths = library_simulate(folder, games, seed, "all" if "all" in kinds else kinds, dialect)
    show_json({"folder": folder, "recordings": paths}) if json else show_written(paths, folder)


@app.command(epilog=_EXIT_CODES)
def stats(store: StorePath, *, json: AsJson = False) -> None:
    """Count games and damage; quantiles.

    The quantiles of rug tick and peak are taken over the complete games alone.
    """
    from replaylab.overview import statistics
    from replaylab.screen import show_json, show_statistics

    found = statistics(store)
    show_json(found) if json else show_statistics(found)
    _finish(*found.damaged)


@app.command(epilog=_EXIT_CODES)
def export(  # noqa: PLR0913 the options of the command
    store: StorePath,
    *,
    to: Annotated[str, typer.Option("--to", metavar="FILE", help="File to write: .csv, .jsonl or .parquet.")],
    game: Annotated[list[str] | None, typer.Option(metavar="ID", help="A game; may be given again.")] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Rows from this time on (UTC).")] = None,
    end: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Rows before this time (UTC).")] = None,
    columns: Annotated[str | None, typer.Option(metavar="A,B,...", help="Columns, in this order.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Live ticks only, once each, in order.")] = False,
    prices: Annotated[bool, typer.Option("--prices", help="The price path of each game only.")] = False,
    json: AsJson = False,
) -> None:
    """Write games as CSV, JSONL or Parquet.

    JSONL of all columns converts back to the same rows.
    """
    from replaylab.export import export as library_export
    from replaylab.screen import show_json, show_pairs

    if live and prices:
        raise SettingsError("--live and --prices: choose one")
    report = library_export(
        store,
        to,
        games=game,
        start=start,
        end=end,
        columns=None if columns is None else [name.strip() for name in columns.split(",")],
        what="live" if live else "prices" if prices else "ticks",
    )
    show_json(report) if json else show_pairs({"exported": str(report)})
    _finish(*report.damaged)


@app.command(epilog=_EXIT_CODES)
def plot(
    store: StorePath,
    game: Annotated[str | None, typer.Argument(help="Id of one game.")] = None,
    *,
    to: Annotated[str, typer.Option("--to", metavar="FILE", help="Picture to write: .png, .svg or .pdf.")],
    log: Annotated[bool, typer.Option("--log", help="Draw the price of a game on a log scale.")] = False,
    json: AsJson = False,
) -> None:
    """Draw a game, or all games together."""
    from replaylab.export import save_picture
    from replaylab.screen import show_json, show_pairs
    from replaylab.store import open_store

    if log and game is None:
        raise SettingsError("--log: goes with a game, whose id was not given")
    opened = open_store(store)
    figure: Figure = opened.plot() if game is None else opened.game(game).plot(log=log)
    size = save_picture(figure, to)
    show_json({"path": to, "bytes": size}) if json else show_pairs({"drawn": f"{to}, {size:,} bytes"})
    _finish(*opened.damaged.values())
