"""JournalSet: the open journals of one recorder, from the next one to those that wait to be sealed."""

from __future__ import annotations

import itertools
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from replaylab.encryption.keys import StoreKeys
from replaylab.journals.format import Header
from replaylab.journals.sealed import header_lines
from replaylab.recording.journal_file import JournalFile

_TOLD: Final = 8  # earlier journals of which a header says how much is permanent


class JournalSet:
    """The open journals of one recorder. Callers hold the recorder's lock, except in `create`.

    A journal is `spare`, then `current`, then one of `retired`, then `sealing`; after a failed sync it is `abandoned`
    before it is `sealing`.

    Parameters
    ----------
    folder, run, durability : Path, str, dict
        Where journals are made, and what their first lines say.
    keys : StoreKeys, optional
        Of an encrypted store.

    Attributes
    ----------
    current : JournalFile
        The one that is written.
    spare : JournalFile, optional
        The next one, made in advance.
    retired : list of JournalFile
        No longer written, not yet synced.
    abandoned : list of JournalFile
        Their unsynced lines have been written to a later journal.
    sealing : list of JournalFile
        Synced, not yet in a segment.
    retired_bytes : int
        Bytes of journals that are no longer written.
    """

    current: JournalFile

    def __init__(self, folder: Path, run: str, durability: dict[str, Any], keys: StoreKeys | None = None) -> None:
        self.folder = folder
        self.keys = keys
        self.run = run
        self.durability = durability
        self.spare: JournalFile | None = None
        self.retired: list[JournalFile] = []
        self.abandoned: list[JournalFile] = []
        self.sealing: list[JournalFile] = []
        self.retired_bytes = 0
        self._numbers = itertools.count()

    @property
    def is_behind(self) -> bool:
        """Whether journals end faster than they are sealed: they then grow longer instead of more numerous."""
        return len(self.sealing) > 1

    @property
    def files(self) -> list[JournalFile]:
        """Every journal that is open."""
        spare = [self.spare] if self.spare else []
        return [*self.sealing, *self.abandoned, *self.retired, self.current, *spare]

    @property
    def unsynced(self) -> list[JournalFile]:
        """The journals that may hold lines that are not permanent, in order."""
        return [*self.retired, self.current]

    def create(self) -> JournalFile:
        """Create the next journal; raises OSError."""
        return JournalFile.create(self.folder, self.run, next(self._numbers), self.keys)

    def open_first(self) -> None:
        """Create the first journal with its header; raises OSError.

        While it is there no key of the store is dropped; one that is not the newest any more may have been dropped
        just before, and then it is made again.
        """
        while True:
            self.current = self.create()
            try:
                self.current.begin(0, self._header(self.current, 0))
                if self.current.sealed is None or self.keys is None:
                    return
                if self.current.sealed.key_id == self.keys.newest():
                    return
            except BaseException:
                discard(self.current)
                self.current.close()
                raise
            discard(self.current)
            self.current.close()

    def _header(self, file: JournalFile, first_seq: int) -> bytes:
        limits = {str(one.number): one.size for one in self.files if one.spoilt}
        before = [one for one in self.files if one.number < file.number and one.synced]
        durable = {str(one.number): one.synced for one in sorted(before, key=lambda one: one.number)[-_TOLD:]}
        header = Header(self.run, file.number, first_seq, self.durability, limits, durable)
        return header.to_line() if file.sealed is None else header_lines(header, file.sealed)

    def turn(self, first_seq: int, next_seq: int) -> JournalFile:
        """Make the spare, or a new journal, the current one; return the one before. Raises OSError.

        Parameters
        ----------
        first_seq : int
            Sequence number of the first tick that will be written to it.
        next_seq : int
            The number after the last tick in the journal before.
        """
        new, self.spare = self.spare or self.create(), None
        try:
            new.begin(first_seq, self._header(new, first_seq))
        except OSError:
            new.roll_back(0)
            discard(new)
            new.close()
            raise
        old = self.current
        old.end(next_seq)
        self.retired.append(old)  # first: the syncer reads both without the lock
        self.current = new
        self.retired_bytes += old.size
        return old

    def keep_spare(self, file: JournalFile) -> bool:
        """Keep a new journal for the next turn; return False when a later one is in use already, and discard it."""
        if file.number < self.current.number:  # numbers give the order, and limits of earlier journals depend on it
            discard(file)
            file.close()
            return False
        self.spare = file
        return True

    def discard_spare(self) -> None:
        """Remove the spare."""
        if self.spare is not None:
            discard(self.spare)
            self.spare.close()
            self.spare = None

    def renew_spare(self, lock: AbstractContextManager[Any]) -> None:
        """Remove the spare when the store has got another key since it was made; the next one uses that."""
        spare, keys = self.spare, self.keys
        if spare is None or spare.sealed is None or keys is None or spare.sealed.key_id == keys.newest():
            return
        with lock:
            if self.spare is spare:
                self.discard_spare()

    def abandon(self, file: JournalFile | None = None) -> None:
        """Move a retired journal, or all of them, to the abandoned ones."""
        moved = self.retired if file is None else [file]
        self.abandoned += moved
        self.retired = [one for one in self.retired if one not in moved]

    def release(self, file: JournalFile) -> None:
        """Hand a retired journal that is permanent over to be sealed."""
        if file in self.retired:
            self.retired.remove(file)
            self.sealing.append(file)

    def drop_abandoned(self) -> None:
        """Remove abandoned journals in which nothing is permanent: a later one holds all that was in them."""
        self.abandoned = [file for file in self.abandoned if file.synced or not discard(file)]

    def take_abandoned(self) -> list[JournalFile]:
        """Remove and return the abandoned journals."""
        taken, self.abandoned = self.abandoned, []
        return taken

    def seal_later(self, files: list[JournalFile]) -> None:
        """Hand journals over to be sealed."""
        self.sealing += files
        self.sealing.sort(key=lambda file: file.number)

    def end(self) -> None:
        """Hand every journal over to be sealed: the recording has ended."""
        files = [*self.abandoned, *self.retired, self.current]
        self.abandoned, self.retired = [], []
        self.seal_later(files)

    def replace(self, old: JournalFile, new: JournalFile) -> None:
        """Put a copy in the place of a journal, and close that."""
        for files in (self.retired, self.abandoned, self.sealing):
            files[:] = [new if one is old else one for one in files]
        if self.current is old:
            self.current = new
        old.close()

    def mark_sealed(self, file: JournalFile) -> None:
        """Forget a journal that has been sealed, and close it."""
        self.sealing.remove(file)
        file.close()

    def close(self) -> None:
        """Close every file."""
        for file in self.files:
            file.close()


def discard(file: JournalFile) -> bool:
    """Remove a journal whose ticks, if any, are in another one; return False, and keep it open, if that fails."""
    try:
        if file.is_reachable:
            file.path.unlink(missing_ok=True)
    except OSError:
        return False
    file.close()
    return True
