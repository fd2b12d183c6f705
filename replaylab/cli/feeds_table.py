"""What live feeds are doing: a table that is redrawn in place in a terminal, else a line at each change."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Group
from rich.live import Live
from rich.padding import Padding
from rich.table import Table

from replaylab.cli.live_line import live_console
from replaylab.cli.naming import in_options
from replaylab.plural import count_of

if TYPE_CHECKING:
    from replaylab.sessions.event import LiveStatus

_COLUMNS: Final = ("feed", "state", "ticks", "gaps", "missing", "healed", "game", "tick")
_LINE_SECONDS: Final = 10.0  # between two lines of a feed that goes on as it did
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

    def show(self, found: Sequence[LiveStatus]) -> None:
        """Redraw the table; below it stands why a feed is not well."""
        table = Table(box=None, pad_edge=False)
        for name in _COLUMNS:
            table.add_column(name, justify="right" if name in _NUMBERS else "left", no_wrap=name != "feed")
        for one in found:
            numbers = (f"{count:,}" for count in (one.ticks, one.gaps, one.missing, one.healed))
            tick = "" if one.tick is None else str(one.tick)
            table.add_row(one.feed, str(one.state), *numbers, one.game_id or "", tick)
        why = [Padding(in_options(reason), (0, 0, 0, 2)) for one in found for reason in one.reasons]
        if not self._live.is_started:
            self._live.start()
            self._console.show_cursor()  # a process that is killed leaves the terminal as it was
        self._live.update(Group(table, *why), refresh=True)

    def close(self) -> None:
        """Leave the table as it stands; what is printed next begins below it."""
        self._live.stop()


class FeedsLog:
    """Lines on a stream that is no terminal: one at each change of a feed, and one every ten seconds.

    Parameters
    ----------
    out : text stream
        Where they are written.
    now : callable
        Seconds of a clock that does not jump.

    Examples
    --------
    >>> import sys
    >>> from datetime import UTC, datetime
    >>> from replaylab.sessions.event import LiveState, LiveStatus
    >>> status = LiveStatus("ws://127.0.0.1/feed", LiveState.LIVE, datetime.now(UTC), ticks=1200)
    >>> log = FeedsLog(sys.stdout)
    >>> for _ in range(3):
    ...     log.show([status])
    ws://127.0.0.1/feed: live, 1,200 ticks, 0 gaps, 0 missing, nothing yet
    """

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._now = now
        self._said: dict[int, tuple[tuple[object, ...], float]] = {}

    def show(self, found: Sequence[LiveStatus]) -> None:
        """Write a line for each feed that has changed, or that nothing was said of for a while."""
        now = self._now()
        for number, one in enumerate(found):
            why = "; ".join(one.reasons).removeprefix(f"{one.state}: ")
            known = (one.state, why, one.gaps)
            before = self._said.get(number)
            if before is not None and before[0] == known and now - before[1] < _LINE_SECONDS:
                continue
            self._said[number] = known, now
            where = f"game {one.game_id} tick {one.tick}" if one.game_id else "nothing yet"
            counts = f"{count_of(one.ticks, 'tick')}, {count_of(one.gaps, 'gap')}, {one.missing} missing"
            line = f"{one.feed}: {one.state}, {counts}, {where}"
            shown = in_options(why.removeprefix(f"{one.feed}: "))
            print(line + (f" ({shown})" if shown and shown != one.state else ""), file=self._out, flush=True)

    def close(self) -> None:
        """Do nothing: what was written stays."""
