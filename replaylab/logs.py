"""Logs: set-up of the log of the commands; the library itself only writes to the loggers ``replaylab.*``.

One line a change of state, none a tick. Each record carries what it says as fields, too: ``event``, a word that stays
the same between releases, and the numbers and names of the message.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from replaylab.durable import of_user
from replaylab.errors import SettingsError

ROOT: Final = "replaylab"
FORMATS: Final = ("text", "json")
STANDARD_ERROR: Final = "-"
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields that a record carries beside its message.

    Examples
    --------
    >>> fields_of(logging.makeLogRecord({"msg": "sealed", "event": "sealed", "ticks": 7}))
    {'event': 'sealed', 'ticks': 7}
    """
    return {name: value for name, value in vars(record).items() if name not in _OWN}


class TextFormat(logging.Formatter):
    r"""One line a record: time (UTC), level, logger, message; control characters are escaped.

    Examples
    --------
    >>> record = logging.makeLogRecord({"name": "replaylab.store", "levelname": "INFO", "created": 0.25, "msg": "a\n"})
    >>> print(TextFormat().format(record))
    1970-01-01T00:00:00.250Z INFO replaylab.store: a\n
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        text = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        if record.exc_info:
            text += f" | {self.formatException(record.exc_info)}"
        return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


class JsonFormat(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, ``error``, and the fields of the record.

    Examples
    --------
    >>> record = {"name": "replaylab.store", "levelname": "INFO", "created": 0, "msg": "opened", "games": 7}
    >>> print(JsonFormat().format(logging.makeLogRecord(record)))
    {"time": "1970-01-01T00:00:00.000Z", "level": "INFO", "logger": "replaylab.store", "message": "opened", "games": 7}
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the object, on one line."""
        line = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        more = {name: value for name, value in fields_of(record).items() if name not in line}
        return json.dumps(line | more, default=str, ensure_ascii=False)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what is standard error at that moment, so that a live line on it stays below."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 the name in logging
        """Ignore a log that cannot be written: what is logged goes on."""


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


@contextmanager
def logging_to(target: str | None, form: str = "text", level: str = "INFO") -> Iterator[None]:
    """Write the log of the package to a file or to standard error while the block runs.

    Parameters
    ----------
    target : str, optional
        A file, which is appended to; ``-`` is standard error; None keeps the log silent.
    form : {"text", "json"}
        How a line looks.
    level : str
        Least level that is written.

    Raises
    ------
    SettingsError
        When the file cannot be opened, or `form` is neither.
    """
    logger = logging.getLogger(ROOT)
    handler: logging.Handler = logging.NullHandler()
    if form not in FORMATS:
        raise SettingsError(f"--log-format {form!r}: must be one of {', '.join(FORMATS)}")
    if target == STANDARD_ERROR:
        handler = _StandardError(sys.stderr)
    elif target is not None:
        try:
            from replaylab.log_file import LogFile  # loads sockets, which few commands need

            handler = LogFile(of_user(target, SettingsError), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise SettingsError(f"--log {target}: cannot be opened for writing ({error.strerror})") from None
    handler.setFormatter(JsonFormat() if form == "json" else TextFormat())
    before = logger.level
    logger.addHandler(handler)
    if target is not None:
        logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.setLevel(before)
