"""The command line: what is common to all commands, and which there are."""

from __future__ import annotations

import gc
import io
import os
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from replaylab.cli import convert, dashboard, export, feeds, keys, play, prune, record, run, status, stores
from replaylab.cli.exit_codes import COULD_NOT_RUN, EXIT_CODES, FINE, INTERRUPTED, PROBLEM, READER_GONE, complain
from replaylab.cli.naming import note_command
from replaylab.cli.options import LogFormat, LogTo, before_the_command, with_log
from replaylab.cli.version import print_version
from replaylab.errors import NotARecording, ReplayLabError, SegmentDamaged, SourceDamaged
from replaylab.urls import hidden_within


class _Commands(TyperGroup):
    """The commands; an error in one becomes one line on standard error and an exit code."""

    def resolve_command(self, ctx: Any, args: Any) -> Any:
        """Return the command that is asked for; messages name its options from here on."""
        found = super().resolve_command(ctx, args)
        name, command, words = found
        if command is not None:
            note_command(name or "", command.params, words)
        return found

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (SourceDamaged, NotARecording, SegmentDamaged) as error:
            code, problem = PROBLEM, str(error)
        except ReplayLabError as error:
            code, problem = COULD_NOT_RUN, str(error)
        except BrokenPipeError:
            _leave_output()
            raise typer.Exit(READER_GONE) from None
        except KeyboardInterrupt:
            code, problem = INTERRUPTED, "interrupted"
        except (FileExistsError, NotADirectoryError) as error:
            code, problem = (
                COULD_NOT_RUN,
                hidden_within(f"{error.filename}: is a file or lies below one; name a folder"),
            )
        except OSError as error:
            code, problem = COULD_NOT_RUN, hidden_within(f"{error.filename or 'error'}: {error.strerror or error}")
        complain(problem)
        raise typer.Exit(code)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line of this process."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started it: its number must not go to a file of the store
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 for the whole process
        if isinstance(stream, io.TextIOWrapper):  # an id that the terminal cannot show is no reason to end
            stream.reconfigure(errors="backslashreplace")
    code: int | str | None = FINE
    try:
        app(prog_name="replaylab")
    except SystemExit as ended:
        code = ended.code
    except OSError as error:  # help and versions are printed before there is a command
        code = _unwritten(error)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave_output()
    except OSError as error:
        code = code or _unwritten(error)
        _leave_output()
    gc.freeze()  # what is left goes with the process: looking for cycles in it would take longer than some commands
    sys.exit(code)


def _unwritten(error: OSError) -> int:
    """Say why the answer could not be written, and return the exit code."""
    complain(f"error: {error.strerror or error}")
    return COULD_NOT_RUN


def _leave_output() -> None:
    """Point standard output at /dev/null: what it could not take is not tried again at the exit, which would fail."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


@app.callback()
def _replaylab(
    *,
    version: Annotated[  # noqa: ARG001 its callback prints it
        bool, typer.Option("--version", callback=print_version, is_eager=True, help="Print the version.")
    ] = False,
    log_to: LogTo = None,
    log_format: LogFormat = None,
) -> None:
    """Flight recorder and replay lab for tick streams: exact, crash-safe, every byte accounted for."""
    before_the_command.set((log_to, log_format or "text"))


# in the order in which --help lists them
_COMMANDS: Final = (
    convert.convert,
    convert.inspect,
    record.record,
    record.recover,
    status.status,
    stores.info,
    stores.verify,
    stores.compact,
    prune.prune,
    stores.rezone,
    keys.encrypt,
    keys.rotate,
    convert.simulate,
    stores.stats,
    run.run,
    export.export,
    export.plot,
    play.play,
    feeds.serve,
    dashboard.dashboard,
    dashboard.token,
)
for _command in _COMMANDS:
    app.command(epilog=EXIT_CODES)(with_log(_command))
