"""Listeners: the callbacks of each kind of event; strong or weak, each callback once."""

from __future__ import annotations

import inspect
import threading
import weakref
from collections.abc import Callable
from types import MethodType
from typing import Any, Final, Self

from replaylab.playback.event import KINDS, Callback


class _Weak:
    """Calls a callback while other references to it, or to the object it is a method of, exist."""

    __slots__ = ("_gone", "ref")

    def __init__(self, callback: Callback, gone: Callable[[_Weak], None]) -> None:
        kind: Any = weakref.WeakMethod if isinstance(callback, MethodType) else weakref.ref
        self.ref: Callable[[], Callback | None] = kind(callback)
        self._gone = gone

    def __call__(self, value: Any) -> None:
        callback = self.ref()
        if callback is None:
            self._gone(self)
        else:
            callback(value)


class Subscription:
    """The handle of one subscription: call `cancel`, or leave its ``with`` block, and the callback is called no more.

    Examples
    --------
    >>> listeners = Listeners()
    >>> with listeners.add("tick", print):
    ...     len(listeners.of["tick"])
    1
    >>> len(listeners.of["tick"])
    0
    """

    __slots__ = ("_cancel",)

    def __init__(self, cancel: Callable[[], None]) -> None:
        self._cancel = cancel

    def cancel(self) -> None:
        """End it; more than once changes nothing."""
        self._cancel()

    __call__ = cancel

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._cancel()


class Listeners:
    """The callbacks of each kind, in the order in which they subscribed.

    `of` maps a kind to a tuple that is replaced, never changed, so that it can be iterated without a lock.
    """

    def __init__(self) -> None:
        self.of: Final[dict[str, tuple[Callback, ...]]] = dict.fromkeys(KINDS, ())
        self._lock = threading.RLock()  # a finaliser may cancel while this thread subscribes

    def add(self, kind: str, callback: Callback, *, weak: bool = False) -> Subscription:
        """Subscribe; the same callback of the same kind is one subscription, however often it is added.

        Raises
        ------
        ValueError
            When there is no such kind.
        TypeError
            When the callback cannot be called, or is a coroutine function (use ``async for`` instead).
        """
        if not _callable(callback) or inspect.iscoroutinefunction(callback):
            raise TypeError(f"{callback!r} is no callback: pass a plain function; in a coroutine use `async for`")
        if kind not in self.of:
            raise ValueError(f"kind={kind!r}: must be one of {', '.join(KINDS)}")
        with self._lock:
            entry = next((entry for entry in self.of[kind] if _target(entry) == callback), None)
            if entry is None:
                entry = _Weak(callback, lambda gone: self._remove(kind, gone)) if weak else callback
                self.of[kind] = (*self.of[kind], entry)
        kept: Callback = entry
        return Subscription(lambda: self._remove(kind, kept))

    def _remove(self, kind: str, entry: Callback) -> None:
        with self._lock:
            self.of[kind] = tuple(one for one in self.of[kind] if one != entry)

    def clear(self) -> None:
        """Remove every callback."""
        with self._lock:
            for kind in self.of:
                self.of[kind] = ()


def _callable(callback: object) -> bool:
    return callable(callback)


def _target(entry: Callback) -> Callback | None:
    return entry.ref() if isinstance(entry, _Weak) else entry
