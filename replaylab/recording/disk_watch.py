"""DiskWatch: whether the disk has room for a recording, and whether the store is still where it was."""

from __future__ import annotations

import logging
from contextlib import suppress

from replaylab.durable import keep_room
from replaylab.errors import ReplayLabError
from replaylab.recording.event import RecorderEventKind
from replaylab.recording.health import Phase
from replaylab.recording.journal_file import JournalFile
from replaylab.recording.journal_set import discard
from replaylab.recording.sealer import Sealer
from replaylab.recording.state import DISK_FULL, RESERVE_BYTES, STORE_GONE, State
from replaylab.recording.syncer import Syncer
from replaylab.storage.store import SEGMENTS

_log = logging.getLogger("replaylab.recorder")


class DiskWatch:
    """Looks at the disk and the store of a recorder from time to time.

    Parameters
    ----------
    state : State
        Shared with the writer.
    sealer, syncer : Sealer, Syncer
        The journal being sealed is left alone; what is not permanent is written again when the store is gone.
    """

    def __init__(self, state: State, sealer: Sealer, syncer: Syncer) -> None:
        self.state = state
        self.sealer = sealer
        self.syncer = syncer

    def look(self) -> None:
        """Pause or resume the recording by the free space, and restore journals that are gone."""
        state, health = self.state, self.state.health
        try:
            free_bytes = state.environment.free_bytes(state.folder)
        except OSError:
            free_bytes = -1  # the folder is gone
        with state.lock:
            health.look_at(free_bytes)
            if health.phase in {Phase.RECORDING, Phase.PAUSED}:
                self.restore()
            for file in state.journals.unsynced:
                if not file.given_up and file.is_cut:
                    self._give_up(file)
            if health.phase is Phase.RECORDING and 0 <= free_bytes < state.settings.min_free_bytes:
                state.pause(DISK_FULL)
            elif health.may_resume and not state.positions.lost and free_bytes >= state.settings.min_free_bytes:
                self._resume()

    def _resume(self) -> None:
        """Go on when there is room again."""
        state = self.state
        try:
            keep_room(state.reserve, RESERVE_BYTES)
            if state.journals.current.spoilt:
                state.turn()
        except OSError as error:
            state.health.note(error)
            return
        state.health.resume()
        state.events.emit(RecorderEventKind.RESUMED, free_bytes=state.health.free_bytes)

    def _missing(self) -> list[JournalFile]:
        """Return the journals whose names are gone, or lead to other files."""
        return [file for file in self.state.journals.files if not (file in self.sealer.current or file.is_reachable)]

    def restore(self, *, at_once: bool = False) -> bool:
        """Go on where the store was when it has been deleted or moved, with all that has not become a segment.

        What was not permanent is written to a new journal, as after a failed sync; what was permanent is copied from
        the files, which can be read as long as they are open, and synced. A step that fails is tried again at the next
        look: no file is closed before its copy is permanent. Until then ticks are refused, and what is in no file that
        has a name is not called durable. Return whether all journals have their names; the caller holds the lock.
        """
        state, journals = self.state, self.state.journals
        missing = self._missing()
        if not missing or (state.positions.lost and state.health.retry_seconds and not at_once):
            return not missing
        if journals.spare in missing:
            journals.discard_spare()
        try:
            state.make_folders()
            if any(file in missing for file in journals.unsynced) and not self.syncer.write_again():
                self._lose(missing)
                return False
            for file in [one for one in missing if one in journals.files]:
                journals.replace(file, self._copy(file))
        except (OSError, ReplayLabError) as error:
            self._lose(missing)
            state.fail(f"the store {state.root} is gone and cannot be made again: {error}")
            return False
        with suppress(OSError):  # taken again when there is room
            keep_room(state.reserve, RESERVE_BYTES)
        state.positions.restore()
        state.positions.ask_for_sync()
        state.changed.notify_all()
        state.events.emit(RecorderEventKind.MOVED, path=str(state.root), journals=len(missing))
        return True

    def restore_waiting(self) -> bool:
        """Copy the journals that wait to be sealed and whose names are gone, when the recording has ended.

        One that was being sealed while the store went is among them. Return whether any was copied; where that fails,
        what is in them is not called durable. The caller holds the lock.
        """
        state, journals = self.state, self.state.journals
        missing = [file for file in journals.sealing if not file.is_reachable]
        try:
            if missing:
                state.make_folders()
            for file in missing:
                journals.replace(file, self._copy(file))
        except (OSError, ReplayLabError) as error:
            self._lose(missing)
            state.give_up(f"the store {state.root} is gone and could not be made again: {error}")
            return False
        return bool(missing)

    def _lose(self, missing: list[JournalFile]) -> None:
        """Refuse ticks, and call durable only what is in files that have their names."""
        state = self.state
        sealed_too = not (state.root / SEGMENTS).is_dir()
        firsts = [file.first_seq for file in missing if file is not state.journals.spare]
        state.positions.lose(0 if sealed_too or not firsts else min(firsts))
        state.pause(STORE_GONE)

    def _copy(self, file: JournalFile) -> JournalFile:
        """Write the permanent part of a journal whose name is gone to a new file of that name, and sync it."""
        state, journals = self.state, self.state.journals
        try:
            new = JournalFile.create(state.folder, state.run, file.number, state.keys)
        except FileExistsError:  # another file has that name, which may be a copy of it
            state.health.count_error(f"{file.path.name} was replaced by another file")
            new = journals.create()
        try:
            new.begin(file.first_seq, file.content(file.synced))
            new.go_on_as(file)
            new.end(file.next_seq)
            new.make_permanent(new.size)
        except BaseException:
            discard(new)
            new.close()
            raise
        return new

    def _give_up(self, file: JournalFile) -> None:
        """When another process has made a journal shorter, write again what is not permanent, and report the rest."""
        state = self.state
        problem = f"{file.path.name} was made shorter by another process"
        state.health.report_damage(problem)
        _log.error("recorder %s: %s", state.run, problem)
        file.give_up()
        state.positions.ask_for_sync()
