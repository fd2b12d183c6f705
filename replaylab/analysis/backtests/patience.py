"""Patience: a limit to the time that code of a user may take; what never returns is not waited for."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOKS = 4  # at what was done, within the time
_RINGS = [getattr(signal, name) for name in ("SIGUSR2", "SIGUSR1", "SIGALRM") if hasattr(signal, name)]


class _TooLong(BaseException):
    """Raised in the thread of the strategy; no `except Exception` of its own can hold it."""


def within(max_seconds: float | None, run: Callable[[], object], done: Callable[[], object]) -> bool:
    """Run something, and return whether it went on; False when nothing was done for so many seconds, and it was ended.

    Python code is ended wherever it is. A call into C is ended when it returns; in the main thread, where a signal ends
    it.

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
    with _rung() as ring:
        watch = _Watch(max_seconds, done, ring)
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


def never_returned(max_seconds: float | None) -> str:
    """Return what an error says of a strategy that was ended."""
    return (
        f"the strategy did not return within {max_seconds or 0:g} s; max_seconds= gives it more, or None for no limit"
    )


@contextmanager
def _rung() -> Iterator[signal.Signals | None]:
    """Yield the signal that ends what this thread does, a sleep as well; None where it has no free one."""
    if threading.current_thread() is not threading.main_thread():
        yield None
    elif signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        yield signal.SIGINT
    else:  # a worker ignores Ctrl-C
        free = next((one for one in _RINGS if signal.getsignal(one) == signal.SIG_DFL), None)
        if free is None:
            yield None
            return
        signal.signal(free, _raise)
        try:
            yield free
        finally:
            signal.signal(free, signal.SIG_DFL)


def _raise(*_given: object) -> None:
    raise _TooLong


class _Watch:
    """A thread that looks whether something is done, and interrupts the thread that made it when nothing is."""

    def __init__(self, seconds: float, done: Callable[[], object], ring: signal.Signals | None) -> None:
        self._ring = ring
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
        if self._ring is not None:
            signal.pthread_kill(ident, self._ring)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(_TooLong))
