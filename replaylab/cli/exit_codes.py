"""How a command ends: its exit code, and its problems on standard error."""

from __future__ import annotations

from typing import Final

import typer

from replaylab.cli.naming import in_options

FINE: Final = 0
PROBLEM: Final = 1
COULD_NOT_RUN: Final = 2
INTERRUPTED: Final = 130
READER_GONE: Final = 141
EXIT_CODES: Final = (
    "Exit codes: 0 all is fine; 1 a problem was found (what verify reports, damage under --strict, a source among "
    "several that cannot be read, a damaged segment, a refused line, a journal that cannot be sealed, a game that "
    "failed); 2 the command could not run (usage, a missing path, no store, "
    "a busy store, a full disk); 130 interrupted."
)


def complain(*problems: str) -> None:
    """Print problems on standard error, a line each."""
    from replaylab.cli.tables import complain as print_lines

    print_lines(*map(in_options, problems))


def finish(*problems: str) -> None:
    """Print problems on standard error and exit with 1; return when there are none."""
    if problems:
        complain(*problems)
        raise typer.Exit(PROBLEM)
