"""A log of all that happens to a folder, in the order of the calls of the operating system.

The calls of `os` that write, sync or change names are logged as they are made; what bypasses them (Arrow's files, a
file object's own writing) is seen by looking at the folder before and after each of those calls, and at every note.
"""

from __future__ import annotations

import builtins
import io
import itertools
import os
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

_CHANGING: Final = (
    *("open", "close", "write", "writev", "pwrite", "ftruncate", "truncate", "posix_fallocate", "sendfile"),
    *("rename", "replace", "unlink", "remove", "mkdir", "rmdir", "link", "symlink", "copy_file_range"),
)
_SYNCING: Final = ("fsync", "fdatasync")
_STAMP_SECONDS: Final = 0.05  # of a change that may still hide behind the time of the one before it
ROOT: Final = 0
_open, _close, _scandir = os.open, os.close, os.scandir  # as they are before anything is put in their place


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes put into a file."""

    file: int
    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Resize:
    """A file cut or extended."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Names:
    """Names given, moved or taken away in one step: folder, name, and what it now leads to."""

    changes: tuple[tuple[int, str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Sync:
    """A file or a folder made permanent, as it was when the call began; or not, as the call said."""

    node: int
    begun: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Note:
    """What the program said at that moment."""

    value: Any


Event = Write | Resize | Names | Sync | Note


@dataclass(slots=True)
class _Node:
    number: int
    content: bytes | None  # None for a folder
    stamp: tuple[int, int] = (-1, -1)


@dataclass
class Trace:
    """The log of one folder, which is permanent as it stands at the beginning.

    `sync` stands in for the operating system's fsync: it may raise, or return False when it only pretends.
    """

    folder: Path
    sync: Callable[[int], bool] = lambda _: True
    log: list[Event] = field(default_factory=list)
    folders: set[int] = field(default_factory=lambda: {ROOT})
    first: int = 0  # where the log of the program begins

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._nodes: dict[int, _Node] = {ROOT: _Node(ROOT, None)}
        self._names: dict[int, dict[str, int]] = {ROOT: {}}
        self._numbers = itertools.count(ROOT + 1)
        self._inodes: dict[int, int] = {}
        self.look()
        self.log.extend(Sync(number, len(self.log)) for number in list(self._nodes))
        self.first = len(self.log)

    def note(self, value: Any) -> None:
        """Log what the program says."""
        with self._lock:
            self.look()
            self.log.append(Note(value))

    @contextmanager
    def watching(self) -> Iterator[Trace]:
        """Log all that happens meanwhile."""
        with ExitStack() as stack:
            for name in _CHANGING:
                stack.enter_context(mock.patch.object(os, name, self._logged(getattr(os, name))))
            for name in _SYNCING:
                stack.enter_context(mock.patch.object(os, name, self._synced))
            opening = self._logged(io.open)
            for module in (io, builtins):
                stack.enter_context(mock.patch.object(module, "open", opening))
            yield self
        self.look()

    def _logged(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def logged(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self.look()
                try:
                    return call(*arguments, **options)
                finally:
                    self.look()

        return logged

    def _synced(self, descriptor: int) -> None:
        with self._lock:
            self.look()
            node = self._inodes.get(os.fstat(descriptor).st_ino)
            begun = len(self.log)
        kept = failed = False
        try:
            kept = self.sync(descriptor)
        except OSError:
            failed = True
            raise
        finally:
            with self._lock:
                self.look()
                if node is not None and (kept or failed):
                    self.log.append(Sync(node, begun, failed))

    def look(self) -> None:
        """Log what has changed in the folder since the last look."""
        with self._lock:
            found: dict[int, dict[str, int]] = {}
            files: list[tuple[int, str, os.stat_result]] = []
            self._walk(str(self.folder), ROOT, found, files)
            self._log_names(found)
            for number, path, stat in files:
                self._log_content(self._nodes[number], path, stat)

    def _walk(
        self, path: str, folder: int, found: dict[int, dict[str, int]], files: list[tuple[int, str, os.stat_result]]
    ) -> None:
        self._inodes[Path(path).stat().st_ino] = folder
        found[folder] = {}
        with _scandir(path) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            try:
                stat = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue  # gone in between: another thread's business, logged at its own look
            number = self._inodes.get(stat.st_ino)
            if number is None:
                number = self._inodes[stat.st_ino] = next(self._numbers)
                is_folder = entry.is_dir(follow_symlinks=False)
                self._nodes[number] = _Node(number, None if is_folder else b"")
                if is_folder:
                    self.folders.add(number)
            found[folder][entry.name] = number
            if entry.is_dir(follow_symlinks=False):
                self._walk(entry.path, number, found, files)
            else:
                files.append((number, entry.path, stat))

    def _log_names(self, found: dict[int, dict[str, int]]) -> None:
        """Log the names that came, went and led elsewhere; one that moved did so in one step."""
        gone, come = [], []
        for folder in {*self._names, *found}:
            before, after = self._names.get(folder, {}), found.get(folder, {})
            gone += [(folder, name, before[name]) for name in before if name not in after]
            come += [(folder, name, after[name]) for name in after if before.get(name) != after[name]]
        for folder, name, number in come:
            moved = [one for one in gone if one[2] == number]
            gone = [one for one in gone if one[2] != number]
            self.log.append(Names((*((there, old, None) for there, old, _ in moved), (folder, name, number))))
        self.log.extend(Names(((folder, name, None),)) for folder, name, _ in gone)
        self._names = found
        linked = {number for names in found.values() for number in names.values()} | {ROOT}
        self._nodes = {number: node for number, node in self._nodes.items() if number in linked}
        self._inodes = {inode: number for inode, number in self._inodes.items() if number in linked}

    def _log_content(self, node: _Node, path: str, stat: os.stat_result) -> None:
        stamp = (stat.st_size, stat.st_mtime_ns)
        if stamp == node.stamp and time.time() - stat.st_mtime > _STAMP_SECONDS:
            return
        try:
            after = self._read(path)
        except FileNotFoundError:
            return
        before, node.content, node.stamp = node.content or b"", after, stamp
        if after != before:
            self._log_change(node.number, before, after)

    def _log_change(self, number: int, before: bytes, after: bytes) -> None:
        same = bisect_left(
            range(min(len(before), len(after))), 1, key=lambda size: before[: size + 1] != after[: size + 1]
        )
        if len(after) < len(before) or (same < len(before) != len(after)):
            self.log.append(Resize(number, same))
            before = before[:same]
        end = len(after)
        while end > same and len(before) == len(after) and before[end - 1] == after[end - 1]:
            end -= 1
        if same < end:
            self.log.append(Write(number, same, after[same:end]))

    def _read(self, path: str) -> bytes:
        descriptor = _open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = []
            while part := os.read(descriptor, 1 << 20):
                parts.append(part)
            return b"".join(parts)
        finally:
            _close(descriptor)
