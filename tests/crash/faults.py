"""Faults of a disk: calls of the operating system that fail, do half of their work, or only pretend to."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

from replaylab.watching.snapshot import STATUS

SYNCS: Final = ("fsync", "fdatasync")
WRITES: Final = ("write", "writev", "pwrite")
RENAMES: Final = ("replace", "rename", "link")
OPENS: Final = ("open",)
CUTS: Final = ("ftruncate",)
REMOVALS: Final = ("unlink", "remove")
FOR_EVER: Final = 1 << 30


class Fault:
    """Lets calls on files below a folder fail: after `skip` good ones, `times` of them, with an error number.

    `code` 0 is a lie: the call is not made and seems to succeed. A write first does that `part` of its work.
    """

    def __init__(
        self,
        folder: Path,
        calls: tuple[str, ...],
        code: int = errno.EIO,
        *,
        times: int = FOR_EVER,
        skip: int = 0,
        part: float = 0,
        only: str = "",
    ) -> None:
        self.folder = str(folder)
        self.code = code
        self.times = times
        self.skip = skip
        self.met = 0  # calls that failed
        self._calls = calls
        self._part = part
        self._only = only
        self._lock = threading.Lock()

    @contextmanager
    def in_force(self) -> Iterator[Fault]:
        """Let the calls fail meanwhile."""
        with ExitStack() as stack:
            for name in self._calls:
                stack.enter_context(mock.patch.object(os, name, self._failing(getattr(os, name), name)))
            yield self

    def _failing(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def failing(*arguments: Any, **options: Any) -> Any:
            if not self._strikes(name, arguments):
                return call(*arguments, **options)
            if self._part and name == "write":
                call(arguments[0], bytes(arguments[1])[: int(len(arguments[1]) * self._part)])
            if self.code:
                raise OSError(self.code, os.strerror(self.code), *arguments[:1])
            return None

        return failing

    def _strikes(self, name: str, arguments: tuple[Any, ...]) -> bool:
        path = _path(arguments[0])
        if not path.startswith(self.folder) or self._only not in path:
            return False
        if f"/{STATUS}/" in path and STATUS not in self._only:
            return False  # written once a second whatever is tested: it would use up faults that are counted
        if name == "open" and not arguments[1] & os.O_CREAT:
            return False
        with self._lock:
            if self.skip > 0:
                self.skip -= 1
                return False
            if self.times <= 0:
                return False
            self.times -= 1
            self.met += 1
            return True


def _path(place: Any) -> str:
    """Give the path of a descriptor, or of what is a path already."""
    if isinstance(place, int):
        try:
            return str(Path(f"/proc/self/fd/{place}").readlink())
        except FileNotFoundError:
            return ""
    return str(os.fspath(place))
