"""Options and arguments that several commands have."""

from __future__ import annotations

import functools
import inspect
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from replaylab.durable import of_user
from replaylab.encryption.keys import is_plain_store, not_encrypted
from replaylab.encryption.kms import KEY_FILE
from replaylab.errors import KeyMissing, ReplayLabError
from replaylab.logs import STANDARD_ERROR, logging_to
from replaylab.urls import hidden_within

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

KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file", metavar="FILE", help="Master key of an encrypted store; one that is made is encrypted with it."
    ),
]

# --log and --log-format as they stand before the command, set anew by each call of the program
before_the_command: ContextVar[tuple[str | None, str]] = ContextVar("before_the_command", default=(None, "text"))
_LEVEL: Final = "REPLAYLAB_LOG_LEVEL"
_log = logging.getLogger("replaylab.cli")


def with_log(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the options `--log` and `--log-format`, which logs while it runs.

    A command that has a `--log` of its own, as `plot` has, takes the log's only before its name. One on a store also
    has `--key-file`.
    """
    signature = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter("log_to", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LogTo),
        inspect.Parameter("log_format", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=LogFormat),
    ]
    if "log" in signature.parameters:
        added = []
    place = "to" if command.__name__ == "convert" else "store"
    if place in signature.parameters:
        added.append(inspect.Parameter("key_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=KeyFile))

    @functools.wraps(command)
    def logged(
        *words: Any,
        log_to: str | None = None,
        log_format: str | None = None,
        key_file: Path | None = None,
        **options: Any,
    ) -> None:
        target, form = before_the_command.get()
        with logging_to(*_log_options(log_to or target, log_format or form)):
            try:
                with _key_at_hand(key_file, "" if command.__name__ == "encrypt" else str(options.get(place, ""))):
                    command(*words, **options)
            except (ReplayLabError, OSError) as error:
                _log.error(
                    "%s failed: %s",
                    command.__name__,
                    hidden_within(str(error)),
                    extra={"event": "failed", "command": command.__name__},
                )
                raise

    logged.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *added])  # type: ignore[attr-defined]
    logged.__annotations__ = {one.name: one.annotation for one in logged.__signature__.parameters.values()}  # type: ignore[attr-defined]
    return logged


@contextmanager
def _key_at_hand(key_file: Path | None, store: str) -> Iterator[None]:
    """Name a key file in the environment while a command runs; its workers, and every way to the store, find it there.

    Raises `KeyMissing` for a store that is there in plain: who passes a key expects an encrypted one.
    """
    if key_file is None:
        yield
        return
    if store and is_plain_store(Path(store), "segments"):
        raise not_encrypted(store)
    before = os.environ.get(KEY_FILE)
    os.environ[KEY_FILE] = str(of_user(key_file, KeyMissing).absolute())
    try:
        yield
    finally:
        if before is None:
            del os.environ[KEY_FILE]
        else:
            os.environ[KEY_FILE] = before


def _log_options(target: str | None, form: str) -> tuple[str | None, str, str]:
    """Return target, form and level of the log; a level in the environment asks for one on standard error."""
    if target is None and os.environ.get(_LEVEL):
        target = STANDARD_ERROR
    if target is None:
        return None, form, "INFO"
    from replaylab.settings import Settings  # pydantic loads late, as most commands do not log

    return target, form, Settings().log_level
