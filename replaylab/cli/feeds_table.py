"""FeedsTable: what live feeds are doing, one row a feed, redrawn in place in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TextIO

from rich.live import Live
from rich.table import Table

from replaylab.cli.live_line import live_console

if TYPE_CHECKING:
    from replaylab.sessions.event import LiveStatus

_COLUMNS: Final = ("feed", "state", "ticks", "gaps", "missing", "healed", "game", "tick")
_NUMBERS: Final = frozenset({"ticks", "gaps", "missing", "healed", "tick"})


class FeedsTable:
    """A table that is redrawn in place; drawn by rich, on the thread that calls `show`.

    Parameters
    ----------
    out : text stream
        The terminal.
    width : int, optional
        Columns; by default those of the terminal.

    Examples
    --------
    >>> import io
    >>> from datetime import UTC, datetime
    >>> from replaylab.sessions.event import LiveState, LiveStatus
    >>> out = io.StringIO()
    >>> table = FeedsTable(out, width=100)
    >>> table.show([LiveStatus("ws://127.0.0.1/feed", LiveState.LIVE, datetime.now(UTC), ticks=1200)])
    >>> table.close()
    >>> "1,200" in out.getvalue()
    True
    """

    def __init__(self, out: TextIO, *, width: int | None = None) -> None:
        console = live_console(out, width)
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._console = console

    def show(self, found: Iterable[LiveStatus]) -> None:
        """Redraw the table."""
        table = Table(box=None, pad_edge=False)
        for name in _COLUMNS:
            table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=name != "feed")
        for one in found:
            numbers = (f"{count:,}" for count in (one.ticks, one.gaps, one.missing, one.healed))
            tick = "" if one.tick is None else str(one.tick)
            table.add_row(one.feed, str(one.state), *numbers, one.game_id or "", tick)
        if not self._live.is_started:
            self._live.start()
            self._console.show_cursor()  # a process that is killed leaves the terminal as it was
        self._live.update(table, refresh=True)

    def close(self) -> None:
        """Leave the table as it stands; what is printed next begins below it."""
        self._live.stop()
