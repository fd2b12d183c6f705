"""The command line: what is common to all commands, and which there are."""

from __future__ import annotations

import gc
import io
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from replaylab.cli.exit_codes import COULD_NOT_RUN, EXIT_CODES, FINE, INTERRUPTED, PROBLEM, READER_GONE, complain
from replaylab.cli.naming import note_command
from replaylab.cli.options import LogFormat, LogTo, before_the_command, with_log
from replaylab.cli.version import print_version
from replaylab.errors import NotARecording, ReplayLabError, SegmentDamaged, SourceDamaged
from replaylab.urls import hidden_within

# the module of each, in the order in which --help lists them
COMMANDS: Final = {
    "convert": "convert",
    "inspect": "convert",
    "record": "record",
    "recover": "record",
    "status": "status",
    "info": "stores",
    "verify": "stores",
    "compact": "stores",
    "prune": "prune",
    "rezone": "stores",
    "encrypt": "keys",
    "rotate": "keys",
    "simulate": "convert",
    "stats": "stores",
    "run": "run",
    "export": "export",
    "plot": "export",
    "play": "play",
    "serve": "feeds",
    "dashboard": "dashboard",
    "token": "dashboard",
}


class _Commands(TyperGroup):
    """The commands, each made when it is asked for; an error in one becomes one line and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 click hands it over
        """Return the names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 click hands it over
        """Return a command; None when there is none of that name."""
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = _made(cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(self, ctx: Any, args: Any) -> Any:
        """Return the command that is asked for; messages name its options from here on."""
        if args and args[0] not in COMMANDS:  # those that there are, for the names that are like it
            self.commands.update({name: self.get_command(ctx, name) for name in COMMANDS})
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


def _made(name: str) -> Any:
    """Return a command of the command line: to make all of them takes as long as to convert a small recording."""
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    function = getattr(import_module(f"replaylab.cli.{COMMANDS[name]}"), name)
    alone.command(epilog=EXIT_CODES)(with_log(function))
    return typer.main.get_command(alone)


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
