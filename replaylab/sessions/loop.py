"""FeedLoop: one thread with one event loop for all feeds of a process, so that a busy notebook loses none of them."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

_Result = TypeVar("_Result")
NAME: Final = "replaylab-feeds"
_END_SECONDS: Final = 2.0  # for what is still running when the last session goes


class FeedLoop:
    """The thread ``replaylab-feeds``; it runs while a session uses it, and ends with the last.

    Examples
    --------
    >>> async def there():
    ...     return threading.current_thread().name
    >>> feeds = FeedLoop()
    >>> feeds.enter()
    >>> feeds.submit(there()).result()
    'replaylab-feeds'
    >>> feeds.leave()
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._process = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def enter(self) -> None:
        """Start the thread unless it runs; each `enter` needs a `leave`."""
        with self._lock:
            if self._process != os.getpid():  # a forked child has no such thread
                self._process, self._users, self._loop, self._thread = os.getpid(), 0, None, None
            self._users += 1
            if self._loop is None:
                loop = self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(loop,), name=NAME, daemon=True)
                self._thread.start()

    def leave(self) -> None:
        """Stop the thread when no other session uses it; waits for its end unless called on it."""
        with self._lock:
            self._users -= 1
            if self._users > 0 or self._loop is None:
                return
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        loop.call_soon_threadsafe(loop.stop)
        if thread is not None and thread is not threading.current_thread():
            thread.join(5.0)

    def submit(self, work: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        """Run a coroutine on the thread; return a future of its result. Raises RuntimeError when it does not run."""
        loop = self._loop
        if loop is None:
            work.close()
            raise RuntimeError("the thread of the feeds does not run")
        return asyncio.run_coroutine_threadsafe(work, loop)

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on the thread of the feeds."""
        return self._thread is threading.current_thread()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        if tasks := asyncio.all_tasks(loop):
            for task in tasks:
                task.cancel()
            loop.run_until_complete(asyncio.wait(tasks, timeout=_END_SECONDS))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


FEEDS: Final = FeedLoop()
