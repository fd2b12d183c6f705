"""The file of a log: appended to, and opened anew when it was moved away."""

from __future__ import annotations

import logging
from contextlib import suppress
from logging.handlers import WatchedFileHandler


class LogFile(WatchedFileHandler):
    """Appends records to a file, opened anew when it was moved away, as logrotate does."""

    def close(self) -> None:
        """Close the file; what the disk still refuses then is no error of what was logged."""
        with suppress(OSError):
            super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 the name in logging
        """Ignore a log that cannot be written: what is logged goes on."""
