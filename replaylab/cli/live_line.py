"""Live line: the last line of a terminal, redrawn in place, below lines that stay."""

from __future__ import annotations

from contextlib import suppress
from typing import TextIO, cast

from rich.console import Console
from rich.live import Live
from rich.text import Text


def live_console(out: TextIO, width: int | None) -> Console:
    """Return the console of what is redrawn in place: plain text on `out`, as wide as the terminal unless given."""
    return Console(
        file=cast("TextIO", Unbroken(out)),
        width=width,
        height=None if width is None else 25,
        force_terminal=True,
        force_jupyter=False,
        color_system=None,
        markup=False,
        highlight=False,
        emoji=False,
    )


class LiveLine:
    """One line of a terminal that is redrawn in place; drawn by rich, on the thread that calls `show`.

    Parameters
    ----------
    out : text stream
        The terminal.
    width : int, optional
        Columns; by default those of the terminal, asked at each drawing.

    Examples
    --------
    >>> import io
    >>> out = io.StringIO()
    >>> line = LiveLine(out, width=40)
    >>> line.show("12 ticks")
    >>> line.close()
    >>> "12 ticks" in out.getvalue()
    True
    """

    def __init__(self, out: TextIO, *, width: int | None = None) -> None:
        self._console = live_console(out, width)
        # standard output stays the program's: receipts of `record --ack` are read by programs
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False)

    @property
    def width(self) -> int:
        """Columns that a line may have."""
        return max(20, self._console.width - 1)

    def say(self, text: str) -> None:
        """Print a line that stays, above the one that is redrawn."""
        self._console.print(text, soft_wrap=True)

    def show(self, text: str) -> None:
        """Redraw the line, cut to the width of the terminal."""
        if not self._live.is_started:
            self._live.start()
            self._console.show_cursor()  # a process that is killed leaves the terminal as it was
        self._live.update(Text(text[: self.width], no_wrap=True, overflow="crop"), refresh=True)

    def close(self) -> None:
        """Leave the line as it stands; what is printed next begins below it."""
        self._live.stop()


class Unbroken:
    """A terminal whose errors are ignored: what is shown must never end what is recorded or played."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.encoding = getattr(out, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write the text if the terminal takes it."""
        with suppress(OSError, ValueError):
            self._out.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if the terminal is still there."""
        with suppress(OSError, ValueError):
            self._out.flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._out.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream."""
        return self._out.fileno()
