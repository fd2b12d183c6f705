"""Watch: whether the disk has room for a recording, and whether its store is still where it was."""

from __future__ import annotations

import logging

from replaylab.durable import keep_room, make_folders
from replaylab.errors import ReplayLabError
from replaylab.recording.event import RecorderEventKind
from replaylab.recording.journal_file import JournalFile
from replaylab.recording.sealer import Sealer
from replaylab.recording.state import PAUSED, RECORDING, RESERVE_BYTES, State
from replaylab.storage.store import JOURNALS, REMARKS, SEGMENTS

_log = logging.getLogger("replaylab.recorder")


class Watch:
    """Looks at the disk of a recorder and at its store."""

    def __init__(self, state: State, sealer: Sealer) -> None:
        self.state = state
        self.sealer = sealer

    def look(self) -> None:
        """See whether there is room, and whether the store is still where it was."""
        state = self.state
        try:
            state.free_bytes = state.world.free_bytes(state.folder)
        except OSError:
            state.free_bytes = -1  # the folder is gone
        with state.lock:
            if state.phase in {RECORDING, PAUSED} and not all(file.there for file in state.written):
                self._move()
            for file in [*state.retired, state.file]:
                if not file.lost and file.is_cut:
                    self._give_up(file)
            if state.phase == RECORDING and 0 <= state.free_bytes < state.settings.min_free_bytes:
                state.pause("disk_full")
            elif state.phase == PAUSED and state.free_bytes >= state.settings.min_free_bytes:
                self._resume()

    def _resume(self) -> None:
        """Go on when the disk gives room again."""
        state = self.state
        try:
            keep_room(state.reserve, RESERVE_BYTES)
            if state.file.spoilt:
                state.turn()
        except OSError as error:
            state.tally.last_error = str(error)
            return
        state.phase, state.pause_reason = RECORDING, None
        state.settle()
        state.tell(RecorderEventKind.RESUMED, free_bytes=state.free_bytes)

    def _move(self) -> None:
        """The store was deleted or moved: go on where it was, with all that has not become a segment."""
        state = self.state
        lost = [file for file in state.files if not file.there and file is not self.sealer.current]
        if state.spare is not None and state.spare in lost:
            state.spare.close()
            state.spare = None
        contents = [(file, file.content()) for file in lost if file.descriptor >= 0]
        try:
            make_folders(state.root, *(state.root / name for name in (SEGMENTS, REMARKS, JOURNALS)))
            for file, content in contents:
                self._copy(file, content)
        except (OSError, ReplayLabError) as error:
            state.fail(error)
            return
        state.settle()
        state.tell(RecorderEventKind.MOVED, path=str(state.root), journals=len(contents))

    def _give_up(self, file: JournalFile) -> None:
        """Somebody has made a journal shorter: what is not permanent is written again, the rest is told of."""
        state = self.state
        problem = f"{file.path.name} was made shorter by somebody else"
        state.tally.errors += 1
        state.tally.last_error = problem
        state.damage = problem
        _log.error("recorder %s: %s", state.run, problem)
        file.lost = True
        state.flush_asked = True

    def _copy(self, file: JournalFile, content: bytes) -> None:
        """Write the lines of a journal whose name is gone to a file of that name."""
        state = self.state
        try:
            new = JournalFile.create(state.folder, state.run, file.number)
        except FileExistsError:  # another file stands there, which may be a copy of it
            state.tally.errors += 1
            new = state.create()
        new.put(content)
        new.first_seq, new.next_seq = file.first_seq, file.next_seq
        for files in (state.retired, state.abandoned, state.sealing):
            files[:] = [new if one is file else one for one in files]
        if state.file is file:
            state.file = new
        new.synced = len(content) if file in state.abandoned else 0
        file.close()
        state.flush_asked = True
