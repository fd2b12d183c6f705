"""JournalFile: the file of one journal while its recorder has it open."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Self

from replaylab.durable import create, cut, leads_to, sync, sync_folder, try_lock
from replaylab.journals.format import end_line, journal_name


class JournalFile:
    """One journal, locked by whoever made it until it is closed.

    Attributes
    ----------
    size : int
        Bytes acknowledged; nothing behind them counts.
    synced : int
        Bytes that survive a power cut.
    spoilt : bool
        Whether there may be bytes behind `size` that could not be taken away.
    lost : bool
        Whether a sync has failed: it is never synced again, and what is not permanent in it is written elsewhere.
    """

    __slots__ = (
        "descriptor",
        "first_seq",
        "lost",
        "named",
        "next_seq",
        "number",
        "path",
        "since",
        "size",
        "spoilt",
        "synced",
    )

    def __init__(self, path: Path, number: int, descriptor: int) -> None:
        self.path = path
        self.number = number
        self.descriptor = descriptor
        self.size = self.synced = 0
        self.first_seq = self.next_seq = 0
        self.named = False  # its name survives a power cut
        self.spoilt = False
        self.lost = False
        self.since = time.monotonic()

    @classmethod
    def create(cls, folder: Path, run: str, number: int) -> Self:
        """Make a journal that was not there, and lock it; raises OSError."""
        path = folder / journal_name(run, number)
        descriptor = create(path)
        try:
            if not (try_lock(descriptor) and leads_to(path, descriptor)):
                # a recovery came between: it has taken the empty file for an abandoned one
                raise FileExistsError(f"{path} was taken away while it was made")
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, FileExistsError):
                path.unlink(missing_ok=True)
            raise
        return cls(path, number, descriptor)

    @property
    def is_cut(self) -> bool:
        """Whether somebody has taken away bytes that were acknowledged."""
        return os.fstat(self.descriptor).st_size < self.size

    @property
    def there(self) -> bool:
        """Whether its path still leads to it."""
        return leads_to(self.path, self.descriptor)

    def put(self, data: bytes) -> None:
        """Write all of some bytes, or raise OSError; what a failure leaves behind does not count."""
        done = 0
        while done < len(data):
            wrote = os.write(self.descriptor, data[done:] if done else data)
            if not wrote:
                raise OSError(f"{self.path}: nothing was written")
            done += wrote
        self.size += done

    def take_back(self) -> None:
        """Take away what stands behind the bytes acknowledged."""
        try:
            cut(self.descriptor, self.size)
        except OSError:
            self.spoilt = True

    def finish(self, run: str) -> None:
        """Say that the journal was closed in order, as far as there is room for it."""
        try:
            self.put(end_line(run, self.next_seq))
        except OSError:
            self.take_back()

    def make_permanent(self, size: int) -> None:
        """Sync the first `size` bytes and the name; raises OSError."""
        try:
            sync(self.descriptor)
            if not self.named:
                sync_folder(self.path.parent)
                self.named = True
        except OSError:
            self.lost = True
            raise
        self.synced = size

    def content(self) -> bytes:
        """Read the bytes acknowledged, also when the name is gone."""
        parts = []
        at = 0
        while at < self.size and (part := os.pread(self.descriptor, self.size - at, at)):
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Give the file and its lock back."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)
