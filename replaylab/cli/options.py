"""Options and arguments that several commands have."""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections.abc import Callable
from contextvars import ContextVar
from typing import Annotated, Any, Final

import typer

from replaylab.errors import ReplayLabError
from replaylab.logs import STANDARD_ERROR, logging_to

StorePath = Annotated[str, typer.Argument(metavar="STORE", help="Folder of the store.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
NoProgress = Annotated[bool, typer.Option("--no-progress", help="Show no progress bar.")]
LogTo = Annotated[
    str | None,
    typer.Option(
        "--log",
        metavar="FILE",
        help="Append a log to this file; - for standard error. REPLAYLAB_LOG_LEVEL sets its level.",
    ),
]
LogFormat = Annotated[
    str | None,
    typer.Option("--log-format", metavar="FORM", help="text (the default), or json, one object a line."),
]

# --log and --log-format as they stand before the command, set anew by each call of the program
before_the_command: ContextVar[tuple[str | None, str]] = ContextVar("before_the_command", default=(None, "text"))
_LEVEL: Final = "REPLAYLAB_LOG_LEVEL"
_log = logging.getLogger("replaylab.cli")


def with_log(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the options `--log` and `--log-format`, which logs while it runs.

    A command that has a `--log` of its own, as `plot` has, takes the log's only before its name.
    """
    signature = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter("log_to", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LogTo),
        inspect.Parameter("log_format", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LogFormat),
    ]
    if "log" in signature.parameters:
        added = []

    @functools.wraps(command)
    def logged(*words: Any, log_to: str | None = None, log_format: str | None = None, **options: Any) -> None:
        target, form = before_the_command.get()
        with logging_to(*_log_options(log_to or target, log_format or form)):
            try:
                command(*words, **options)
            except (ReplayLabError, OSError) as error:
                _log.error(
                    "%s failed: %s", command.__name__, error, extra={"event": "failed", "command": command.__name__}
                )
                raise

    logged.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]
    logged.__annotations__ = {one.name: one.annotation for one in logged.__signature__.parameters.values()}  # type: ignore[attr-defined]
    return logged


def _log_options(target: str | None, form: str) -> tuple[str | None, str, str]:
    """Return target, form and level of the log; a level in the environment asks for one on standard error."""
    if target is None and os.environ.get(_LEVEL):
        target = STANDARD_ERROR
    if target is None:
        return None, form, "INFO"
    from replaylab.settings import Settings  # pydantic loads late, as most commands do not log

    return target, form, Settings().log_level
