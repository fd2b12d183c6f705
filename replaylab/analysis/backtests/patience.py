"""Patience: a limit to the time that a strategy may take for a tick; one that never returns is not waited for."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable

_LOOKS = 4  # at what was done, within the time


class _TooLong(BaseException):
    """Raised in the thread of the strategy; no `except Exception` of its own can hold it."""


def within(max_seconds: float | None, run: Callable[[], object], done: Callable[[], object]) -> bool:
    """Run something, and return whether it went on; False when nothing was done for so many seconds, and it was ended.

    Python code is ended wherever it is. A call into C is ended when it returns; in the main thread, where Ctrl-C would
    end it.

    Parameters
    ----------
    max_seconds : float, optional
        Without one it waits for ever.
    run : callable
        What to run, in this thread.
    done : callable
        Returns what changes whenever something was done; called from another thread.

    Examples
    --------
    >>> from itertools import count
    >>> within(5, lambda: None, lambda: 0), within(0.2, lambda: sum(0 for _ in count()), lambda: 0)
    (True, False)
    """
    if max_seconds is None:
        run()
        return True
    watch = _Watch(max_seconds, done)
    watch.start()
    try:
        run()
    except (_TooLong, KeyboardInterrupt):
        if not watch.stop():
            raise
        return False
    finally:
        watch.stop()
    return True


class _Watch:
    """A thread that looks whether something is done, and interrupts the thread that made it when nothing is."""

    def __init__(self, seconds: float, done: Callable[[], object]) -> None:
        self._seconds, self._done = seconds, done
        self._thread = threading.Thread(target=self._look, name="replaylab-patience", daemon=True)
        self._watched = threading.current_thread()
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._fired = False

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> bool:
        """End it; returns whether it has interrupted."""
        with self._lock:
            self._over.set()
        self._thread.join()
        return self._fired

    def _look(self) -> None:
        before, still = self._done(), 0
        while not self._over.wait(self._seconds / _LOOKS):
            now = self._done()
            still = still + 1 if now == before else 0
            before = now
            if still >= _LOOKS:
                with self._lock:
                    if not self._over.is_set():
                        self._fired = True
                        self._interrupt()
                return

    def _interrupt(self) -> None:
        ident = self._watched.ident
        if ident is None:  # a thread that runs has one
            return
        main = self._watched is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.pthread_kill(ident, signal.SIGINT)  # ends a sleep as well
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(_TooLong))
