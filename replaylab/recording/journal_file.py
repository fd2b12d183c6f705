"""JournalFile: the file of one journal while its recorder has it open."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Final, Self

from replaylab.durable import create, cut, leads_to, sync, sync_folder, try_lock
from replaylab.encryption.keys import StoreKeys
from replaylab.encryption.lines import SealedLines, sealed_size
from replaylab.journals.format import end_line, journal_name

_LOCK_SECONDS: Final = 5.0  # for one who looks at a lock, also when that process does not run for a while
_LOCK_TRIES: Final = 100  # at least: this process may not run for a while either


def _lock(path: Path, descriptor: int) -> bool:
    """Lock a new journal; one who looks whether it is locked holds it for a moment, so that is tried again."""
    give_up_at, tries = time.monotonic() + _LOCK_SECONDS, 1
    while not try_lock(descriptor):
        if not leads_to(path, descriptor) or (tries >= _LOCK_TRIES and time.monotonic() > give_up_at):
            return False
        tries += 1
        time.sleep(0.001)
    return True


class JournalFile:
    """One open journal, locked by its recorder until it is closed.

    Attributes
    ----------
    first_seq, next_seq : int
        Sequence number of its first tick, and of the tick after its last once it is no longer written.
    size : int
        Bytes acknowledged; nothing after them counts.
    synced : int
        Bytes that survive a power cut.
    named : bool
        Whether its name survives a power cut.
    spoilt : bool
        Whether there may be bytes after `size` that could not be removed: nothing more is written to it.
    given_up : bool
        Whether it is never synced again, because a sync failed or its end was cut off: what is not permanent in it is
        written to another journal.
    sealed : SealedLines, optional
        What encrypts its lines, in an encrypted store.
    """

    __slots__ = (
        "descriptor",
        "first_seq",
        "given_up",
        "named",
        "next_seq",
        "number",
        "path",
        "sealed",
        "since",
        "size",
        "spoilt",
        "synced",
    )

    def __init__(self, path: Path, number: int, descriptor: int, sealed: SealedLines | None = None) -> None:
        self.path = path
        self.sealed = sealed
        self.number = number
        self.descriptor = descriptor
        self.size = self.synced = 0
        self.first_seq = self.next_seq = 0
        self.named = False
        self.spoilt = False
        self.given_up = False
        self.since = time.monotonic()

    @classmethod
    def create(cls, folder: Path, run: str, number: int, keys: StoreKeys | None = None) -> Self:
        """Create a new journal and lock it, with a key of its own in an encrypted store; raises OSError."""
        path = folder / journal_name(run, number)
        descriptor = create(path)
        try:
            if not (_lock(path, descriptor) and leads_to(path, descriptor)):
                # a recovery got the lock first: it took the empty file for an abandoned one
                raise FileExistsError(f"{path} was taken away while it was made")
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, FileExistsError):
                path.unlink(missing_ok=True)
            raise
        return cls(path, number, descriptor, None if keys is None else SealedLines(keys, "journal"))

    @property
    def is_cut(self) -> bool:
        """Whether another process has removed bytes that were acknowledged."""
        return os.fstat(self.descriptor).st_size < self.size

    @property
    def is_reachable(self) -> bool:
        """Whether its path still leads to it."""
        return leads_to(self.path, self.descriptor)

    def write(self, data: bytes) -> None:
        """Write all of some lines, or raise OSError; what a failure leaves behind does not count."""
        if self.sealed is not None:
            data = self.sealed.seal(data)
        done = os.write(self.descriptor, data)
        self.size += done if done == len(data) else self._write_rest(data, done)

    def _write_rest(self, data: bytes, done: int) -> int:
        """Write what stands after the first `done` bytes; return the size of all."""
        while done < len(data):
            wrote = os.write(self.descriptor, data[done:])
            if not wrote:
                raise OSError(f"{self.path}: nothing was written")
            done += wrote
        return done

    def begin(self, first_seq: int, header: bytes) -> None:
        """Write the first lines as they are; raises OSError."""
        self.first_seq = first_seq
        self.size += self._write_rest(header, 0)

    def go_on_as(self, other: JournalFile) -> None:
        """Encrypt on where another file ended, whose lines have been copied to this one."""
        self.sealed = other.sealed

    def end(self, next_seq: int) -> None:
        """Record that the tick before `next_seq` is its last."""
        self.next_seq = next_seq

    def roll_back(self, size: int) -> None:
        """Remove what stands after the first `size` bytes; they are all that was acknowledged."""
        self.size = size
        self.spoilt = self.spoilt or self.given_up  # nothing more is written to it, even while there is no other
        self.remove_rest()

    def settle(self, before: int, data: bytes) -> bool:
        """After an interrupted `write` of `data` at byte `before`: keep all of it or none; return whether all."""
        size = len(data) if self.sealed is None else sealed_size(data)
        whole = bool(data) and os.fstat(self.descriptor).st_size == before + size
        self.size = before + size * whole
        self.remove_rest()
        return whole

    def cut_to_synced(self) -> None:
        """Keep only what is permanent: the rest has been written to another journal, and is permanent there."""
        self.size = self.synced
        self.remove_rest()

    def remove_rest(self) -> None:
        """Remove what stands after the bytes acknowledged."""
        try:
            cut(self.descriptor, self.size)
        except OSError:
            self.spoilt = True

    def give_up(self) -> None:
        """Never sync it again."""
        self.given_up = True

    def write_end_line(self, run: str) -> None:
        """Write that the journal was closed normally, if there is room for it."""
        try:
            self.write(end_line(run, self.next_seq))
        except OSError:
            self.remove_rest()

    def make_permanent(self, size: int, *, looks: bool = True) -> None:
        """Sync the first `size` bytes and the name; raises OSError, and then the journal is given up.

        A journal whose path no longer leads to it raises as well, if `looks`, and is not given up: what was synced
        cannot be found there, and is restored from the open file.
        """
        try:
            sync(self.descriptor)
            if not self.named:
                self.make_name_permanent()
        except OSError:
            self.given_up = True
            raise
        if looks:
            self.check_reachable()
        self.synced = size

    def check_reachable(self) -> None:
        """Raise OSError when its path no longer leads to it."""
        if not self.is_reachable:
            raise OSError(errno.ENOENT, f"{self.path} is gone")

    def note_synced(self, size: int) -> None:
        """Record that the first `size` bytes are permanent."""
        self.synced = size

    def make_name_permanent(self) -> None:
        """Sync the folder; raises OSError."""
        sync_folder(self.path.parent)
        self.named = True

    def lines(self, start: int) -> list[bytes]:
        """Read back the lines from byte `start` on, as they were before they were encrypted."""
        raws = self.content(self.size)[start:].splitlines(keepends=True)
        if self.sealed is None:
            return raws
        opened = (self.sealed.open(raw[:-1]) for raw in raws)
        return [one.text + b"\n" for one in opened if one is not None]

    def content(self, size: int) -> bytes:
        """Read the first `size` bytes, also when the path no longer leads here."""
        parts = []
        at = 0
        while at < size and (part := os.pread(self.descriptor, size - at, at)):
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the file, which releases its lock."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)
