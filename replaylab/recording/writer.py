"""Writer: the caller's side of a recorder; a tick is with the operating system before it is acknowledged."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from replaylab.errors import TickError
from replaylab.recording.event import RecorderEventKind
from replaylab.recording.mender import Mender
from replaylab.recording.receipt import Receipt
from replaylab.recording.state import CLOSED, FAILED, FORKED, RECORDING, State
from replaylab.tick import Tick

BLOCK: Final = "block"
REFUSE: Final = "refuse"
WRITE_FAILED: Final = "write_failed"
REASONS: Final = {FAILED: "stopped", CLOSED: "closed", FORKED: "forked"}
_NEEDED: Final = ("game_id", "tick", "timestamp", "price", "active", "rugged")
_AT_ONCE: Final = 100  # ticks of one write
_FIELDS: Final = frozenset(Tick.__slots__)
_new: Final = tuple.__new__


class Writer:
    """Writes ticks to the journal of a recorder, for any number of threads.

    Parameters
    ----------
    state : State
        Shared with the keeper.
    overflow : str
        What to do with a tick when as many as `max_unsynced_ticks` wait for a sync: ``block`` or ``refuse``.
    overflow_seconds : float
        How long to block at most.
    """

    def __init__(self, state: State, overflow: str, overflow_seconds: float) -> None:
        self.state = state
        self.overflow = overflow
        self.overflow_seconds = overflow_seconds
        self.mender = Mender(state)
        self._keeps = state.mode == "group"
        self._syncs = state.mode == "tick"
        self._most = state.settings.max_unsynced_ticks
        self._at_once = min(_AT_ONCE, self._most)
        self._due = state.settings.buffer_ticks

    def record(self, tick: Tick | Mapping[str, Any]) -> Receipt:  # noqa: C901, PLR0912 in one piece: calls cost a third
        """Write one tick."""
        state = self.state
        if type(tick) is not Tick:
            try:
                tick = as_tick(tick)
            except TickError as error:
                return self._refuse(error.reason)
        with state.lock:
            troubled = state.clear is not True or len(state.pending) >= self._most
            if troubled:
                reason = self._wait()
                if reason:
                    return self._refuse(reason)
            file, seq = state.file, state.next_seq
            before = file.size
            line = b""
            try:
                state.clear = None
                if tick.game_id != state.game_id:
                    self._begin_game(tick.game_id)
                    file = state.file
                    before = file.size
                line = state.encoder.line(tick, seq)
                if os.write(file.descriptor, line) != len(line):
                    raise OSError(errno.ENOSPC, "a write came to an end before its last byte")  # noqa: TRY301
                file.size = before + len(line)
                if self._keeps:
                    state.pending.append(line)
                    if len(state.pending) == self._due:
                        state.queue.put(None)
                elif self._syncs:
                    file.make_permanent(file.size)
                    state.made_durable(seq)
                state.next_seq = seq + 1
                state.clear = state.phase is RECORDING  # a signal handler may have stopped it meanwhile
            except OSError as error:
                file.size = before
                if not self.mender.write_again([line], error):
                    return self._refuse(state.pause_reason or WRITE_FAILED)
            except BaseException:
                self.mender.interrupted(file, before, line, seq)
                raise
            finally:
                if state.clear is None:
                    state.settle()
            if troubled:
                state.tally.failures = 0
            return _new(Receipt, (1, seq, state.durable_seq, None, 0))

    def record_many(self, ticks: Iterable[Tick | Mapping[str, Any]]) -> Receipt:
        """Write ticks in their order, up to a hundred in one call of the operating system."""
        accepted = refused = 0
        reason: str | None = None
        for piece in self._pieces(ticks):
            if isinstance(piece, TickError):
                refused, reason = refused + 1, piece.reason
                self._refuse(piece.reason)
            else:
                taken, why = self._record_piece(piece)
                accepted, refused, reason = accepted + taken, refused + len(piece) - taken, why or reason
        state = self.state
        return Receipt(accepted, state.next_seq - 1, state.durable_seq, reason, refused)

    def _pieces(self, given: Iterable[Tick | Mapping[str, Any]]) -> Iterator[list[Tick] | TickError]:
        """Give ticks of one game that are written at once, and what is wrong with those that are none."""
        piece: list[Tick] = []
        one_by_one = iter(given)
        while True:
            try:
                tick = as_tick(next(one_by_one))
            except TickError as error:
                if piece:
                    yield piece
                piece = []
                yield error
                continue
            except StopIteration:
                break
            except BaseException:  # of whoever gives the ticks: those before it count
                if piece:
                    yield piece
                raise
            if piece and (len(piece) >= self._at_once or tick.game_id != piece[0].game_id):
                yield piece
                piece = []
            piece.append(tick)
        if piece:
            yield piece

    def _record_piece(self, ticks: list[Tick]) -> tuple[int, str | None]:
        """Write ticks of one game with one write; give how many were accepted, and why others were not."""
        state = self.state
        with state.lock:
            if state.clear is not True or len(state.pending) + len(ticks) > self._most:
                reason = self._wait(len(ticks))
                if reason:
                    self._refuse(reason, len(ticks))
                    return 0, reason
            file, first = state.file, state.next_seq
            before = file.size
            lines: list[bytes] = []
            try:
                state.clear = None
                if ticks[0].game_id != state.game_id:
                    self._begin_game(ticks[0].game_id)
                    file = state.file
                    before = file.size
                encode = state.encoder.line
                lines = [encode(tick, first + number) for number, tick in enumerate(ticks)]
                file.put(b"".join(lines))
                if self._syncs:
                    file.make_permanent(file.size)
                    state.made_durable(first + len(lines) - 1)
                self.mender.keep(lines)
            except OSError as error:
                file.size = before
                if not self.mender.write_again(lines, error):
                    reason = state.pause_reason or WRITE_FAILED
                    self._refuse(reason, len(ticks))
                    return 0, reason
            except BaseException:
                self.mender.interrupted(file, before, b"".join(lines), first, lines)
                raise
            finally:
                state.settle()
        return len(ticks), None

    def _wait(self, room: int = 1) -> str | None:
        """Wait until ticks may be written; give the reason when they may not."""
        state = self.state
        if state.clear is None:
            return "reentrant"  # a signal handler, in the middle of a tick of the same thread
        deadline = time.monotonic() + self.overflow_seconds
        while state.phase is RECORDING and len(state.pending) + room > self._most:
            state.flush_asked = True  # whatever the next sync would have waited for
            state.queue.put(None)
            left = deadline - time.monotonic()
            if self.overflow == REFUSE or left <= 0 or threading.get_ident() == state.keeper:
                return "overflow"
            state.wait(lambda: state.phase is not RECORDING or len(state.pending) + room <= self._most, left)
        if state.phase is RECORDING and state.file.spoilt:
            try:
                state.turn()
            except OSError as error:
                self.mender.failed(error)
        if state.phase is not RECORDING:
            return REASONS.get(state.phase) or state.pause_reason
        return WRITE_FAILED if state.file.spoilt else None

    def _begin_game(self, game_id: str) -> None:
        """Tell that a game has ended and another begun; a journal long enough ends with the game."""
        state = self.state
        if state.game_id is not None:
            state.tell(RecorderEventKind.GAME_ENDED, game_id=state.game_id)
            long_enough = state.next_seq - state.file.first_seq >= state.settings.seal_game_ticks
            if long_enough and state.spare and not state.is_behind:
                with suppress(OSError):  # the journal before goes on
                    state.turn()
                    state.queue.put(None)
        state.game_id = game_id
        state.tally.games += 1
        state.tell(RecorderEventKind.GAME_STARTED, game_id=game_id)

    def _refuse(self, reason: str, count: int = 1) -> Receipt:
        state = self.state
        with state.lock:
            state.tally.refused[reason] += count
        return Receipt(0, state.next_seq - 1, state.durable_seq, reason, count)


def as_tick(found: object) -> Tick:
    """Give the tick of a mapping; raises `TickError`, whatever is wrong with it. Other fields are dropped."""
    if isinstance(found, Tick):
        return found
    if not isinstance(found, Mapping):
        raise TickError("tick", type(found).__name__, "wrong_type", "must be a Tick or a mapping of its fields")
    try:
        given = {name: found[name] for name in _FIELDS if name in found}
        missing = next((name for name in _NEEDED if name not in given), None)
        tick = None if missing else Tick(**given)
    except TickError:
        raise
    except Exception as error:  # a value may do anything when it is looked at, and must not stop the recording
        raise TickError("tick", type(error).__name__, "wrong_type", "its fields cannot be read") from error
    if tick is None:
        raise TickError(missing or "tick", None, "missing_field", "not there")
    return tick
