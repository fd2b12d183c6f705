"""Courier: from ranges that a page reports to callbacks that see each row once, in order, on the main loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

SLICE_SECONDS: Final = 0.02  # what callbacks may take before the loop gets its turn


@dataclass(frozen=True, slots=True)
class Span:
    """Rows that a page showed: `low` to `high`, both included.

    Parameters
    ----------
    gen : int
        Grows with each jump of the playhead; what was played before a jump of the kernel's own is late.
    low, high : int
        Rows.
    reason : str
        ``play`` and ``step`` for rows one after another; ``seek``, ``stop``, ``loop`` for a jump, ``told`` for one
        that the kernel asked for.
    times : int
        How often, for the passes of a loop that came while nobody listened.

    Examples
    --------
    >>> Span.read({"gen": 1, "lo": 3, "hi": 5, "reason": "play"})
    Span(gen=1, low=3, high=5, reason='play', times=1)
    """

    gen: int
    low: int
    high: int
    reason: str
    times: int = 1

    @classmethod
    def read(cls, item: Mapping[str, Any]) -> Span:
        """Give the span of a message."""
        return cls(int(item["gen"]), int(item["lo"]), int(item["hi"]), str(item["reason"]), int(item.get("times", 1)))


class Courier:
    """Takes spans from any thread and walks through their rows on the loop that it was made on.

    Without a loop (a plain script) it walks at once.

    Parameters
    ----------
    arrive : callable
        Told each row and its span; False leaves the rest of the span out.
    rest : callable
        Called after each slice, so that what is shown elsewhere follows; with True after the last.
    """

    def __init__(self, arrive: Callable[[int, Span], bool], rest: Callable[[bool], None]) -> None:
        self._arrive = arrive
        self._rest = rest
        self._waiting: deque[tuple[list[Span], Callable[[], None]]] = deque()
        self._task: asyncio.Task[None] | None = None
        try:
            self.loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self.loop = None

    def put(self, spans: Iterable[Span], taken: Callable[[], None]) -> None:
        """Deliver spans, then call `taken`."""
        self._waiting.append((list(spans), taken))
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

    def _slices(self, spans: list[Span], taken: Callable[[], None]) -> Iterable[None]:
        """Walk, and pause after each slice; `taken` is called even when a callback raises."""
        try:
            until = time.monotonic() + SLICE_SECONDS
            for span in spans:
                for row in _rows(span):
                    if not self._arrive(row, span):
                        break
                    if time.monotonic() > until:
                        self._rest(False)
                        yield
                        until = time.monotonic() + SLICE_SECONDS
            self._rest(True)
        finally:
            taken()


def _rows(span: Span) -> Iterable[int]:
    for _ in range(span.times):
        yield from range(span.low, span.high + 1)
