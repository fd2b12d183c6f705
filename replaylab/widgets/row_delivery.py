"""RowDelivery: from ranges that a page reports to callbacks that see each row once, in order, on the main loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from replaylab.widgets.messages import RowRange

SLICE_SECONDS: Final = 0.02  # what callbacks may take before the loop gets its turn


class RowDelivery:
    """Takes ranges of rows from any thread and goes through them on the event loop that it was made on.

    Without a loop (a plain script) it does so at once.

    Parameters
    ----------
    arrive : callable
        Called with each row and its range; False leaves out the rest of the range.
    after_slice : callable
        Called after each slice of work, so that traits and observers follow; with True after the last.
    """

    def __init__(self, arrive: Callable[[int, RowRange], bool], after_slice: Callable[[bool], None]) -> None:
        self._arrive = arrive
        self._after_slice = after_slice
        self._waiting: deque[tuple[list[RowRange], Callable[[], None]]] = deque()
        self._task: asyncio.Task[None] | None = None
        try:
            self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self.loop = None

    def put(self, ranges: Iterable[RowRange], taken: Callable[[], None]) -> None:
        """Deliver ranges of rows, then call `taken`."""
        self._waiting.append((list(ranges), taken))
        self.soon(self._start)

    def soon(self, call: Callable[[], None]) -> None:
        """Call on the loop; at once where there is none."""
        if self.loop is None:
            call()
        elif not self.loop.is_closed():
            self.loop.call_soon_threadsafe(call)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call on the loop after a while; at once where there is none."""
        loop = self.loop
        if loop is None:
            call()
            return

        def plan() -> None:
            loop.call_later(seconds, call)

        self.soon(plan)

    def close(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def _start(self) -> None:
        if self.loop is None:
            while self._waiting:
                for _ in self._slices(*self._waiting.popleft()):
                    pass
        elif self._task is None or self._task.done():
            self._task = self.loop.create_task(self._run(), name="replaylab-player")

    async def _run(self) -> None:
        while self._waiting:
            for _ in self._slices(*self._waiting.popleft()):
                await asyncio.sleep(0)

    def _slices(self, ranges: list[RowRange], taken: Callable[[], None]) -> Iterable[None]:
        """Deliver, and yield after each slice; `taken` is called even when a callback raises."""
        try:
            until = time.monotonic() + SLICE_SECONDS
            for shown in ranges:
                for row in _rows(shown):
                    if not self._arrive(row, shown):
                        break
                    if time.monotonic() > until:
                        self._after_slice(False)
                        yield
                        until = time.monotonic() + SLICE_SECONDS
            self._after_slice(True)
        finally:
            taken()


def _rows(shown: RowRange) -> Iterable[int]:
    for _ in range(shown.times):
        yield from range(shown.lo, shown.hi + 1)
