"""Writer: the caller's side of a recorder; a tick is with the operating system before it is acknowledged."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from replaylab.errors import TickError
from replaylab.journals.encoder import Encoder
from replaylab.mark import Mark
from replaylab.recording.event import RecorderEventKind
from replaylab.recording.health import Phase
from replaylab.recording.journal_file import JournalFile
from replaylab.recording.receipt import Receipt
from replaylab.recording.state import DISK_FULL, FULL, State
from replaylab.recording.tick_block import TickPiece
from replaylab.tick import Tick

BLOCK: Final = "block"
REFUSE: Final = "refuse"
WRITE_FAILED: Final = "write_failed"
REASONS: Final = {Phase.FAILED: "stopped", Phase.CLOSED: "closed", Phase.FORKED: "forked"}
_NEEDED: Final = ("game_id", "tick", "timestamp", "price", "active", "rugged")
_AT_ONCE: Final = 100  # ticks of one write
_FIELDS: Final = frozenset(Tick.__slots__)
_RECORDING: Final = Phase.RECORDING
_new: Final = tuple.__new__


class OpenGame(Protocol):
    """What has a game open: the recorder itself, or one of its lanes."""

    @property
    def game_id(self) -> str | None:
        """The game that is open."""

    def begin_game(self, game_id: str) -> None:
        """Take a game for the one that is open."""


class Writer:
    """Writes ticks to the journal of a recorder, for any number of threads.

    Parameters
    ----------
    state : State
        Shared with the background threads.
    overflow : str
        What to do with a tick while `max_unsynced_ticks` wait for a sync: ``block`` or ``refuse``.
    overflow_seconds : float
        How long to block at most.

    Attributes
    ----------
    game_id : str, optional
        The game that is being recorded.
    background_thread : int
        Identifier of the thread that calls the listener: it never blocks here, because it is the one that syncs.
    """

    def __init__(self, state: State, overflow: str, overflow_seconds: float) -> None:
        self.state = state
        self.overflow = overflow
        self.overflow_seconds = overflow_seconds
        self.game_id: str | None = None
        self.background_thread = 0
        self._writing = False
        self._restore: Callable[[], bool] = lambda: False
        self._encoder = Encoder(state.run)
        self._encode = self._encoder.line
        self._keeps = state.mode == "group"
        self._syncs = state.mode == "tick"
        self._journals = state.journals
        self._health = state.health
        self._positions = state.positions
        self._most = state.settings.max_unsynced_ticks
        self._free_seq = self._most if self._keeps else sys.maxsize  # up to which no tick has to wait for a sync
        self._at_once = min(_AT_ONCE, self._most)

    @property
    def is_inside(self) -> bool:
        """Whether this very thread is in the middle of writing a tick: the caller is a signal handler."""
        return self._writing and self.state.is_held

    @property
    def most_at_once(self) -> int:
        """Most ticks of one write."""
        return self._at_once

    def serve(self, thread: int, restore: Callable[[], bool]) -> None:
        """Remember which thread calls the listener, and how journals are restored whose names are gone."""
        self.background_thread = thread
        self._restore = restore

    def record(self, tick: Tick | Mapping[str, Any]) -> Receipt:  # noqa: C901, PLR0912 in one piece: calls cost
        """Write one tick."""
        if type(tick) is not Tick or tick.price is None:
            try:
                tick = as_tick(tick)
            except TickError as error:
                return self.refuse(error.reason)._replace(detail=str(error))
        state = self.state
        with state.lock:
            file, positions = self._journals.current, self._positions
            seq = positions.next_seq
            if self._writing or self._health.phase is not _RECORDING or file.spoilt or seq >= self._free_seq:
                reason = self._wait(1)
                if reason:
                    return self.refuse(reason)
                if self._keeps:
                    self._free_seq = state.synced_seq + 1 + self._most
                file, seq = self._journals.current, positions.next_seq
            before, line = file.size, b""
            try:
                self._writing = True
                if tick.game_id != self.game_id:
                    file = self._begin_game(tick.game_id)
                    before = file.size
                line = self._encode(tick, seq)
                file.write(line)
                if self._keeps:
                    positions.accept(line)
                    if seq >= positions.due_seq:
                        state.ask_for_sync(file, seq)
                else:
                    self._count(file, 1)
            except OSError as error:
                reason = self._write_again(file, before, [line], error)
                if reason:
                    return self.refuse(reason)
            except BaseException:
                self._interrupted(file, before, [line], seq)
                raise
            finally:
                self._writing = False
            if self._health.failures:
                self._health.succeed()
            return _new(Receipt, (1, seq, positions.durable_seq, None, 0, ""))

    def mark(self, mark: Mark) -> str | None:
        """Write a mark before the next tick; return why it was refused, or None."""
        state = self.state
        with state.lock:
            reason = self._wait(1)
            if reason:
                return reason
            file, positions = self._journals.current, self._positions
            before, line = file.size, self._encoder.mark_line(mark, positions.next_seq)
            try:
                self._writing = True
                file.write(line)
                if self._syncs:
                    state.sync(file, file.size)
                else:
                    positions.add_to_last(line)
            except OSError as error:
                state.health.count_error(error)
                file.roll_back(before)
                return WRITE_FAILED
            except BaseException:
                file.roll_back(before)
                raise
            finally:
                self._writing = False
        return None

    def record_lane(self, ticks: list[Tick], lane: OpenGame, origins: Sequence[str], *, counts: bool = True) -> Receipt:
        """Write ticks of one game of one lane, all of them or none; `origins` has one text a tick, or is empty."""
        reason = self._record_piece(ticks, lane, origins)
        if reason and counts:
            self.refuse(reason, len(ticks))
        positions = self.state.positions
        taken = 0 if reason else len(ticks)
        return Receipt(taken, positions.last_seq, positions.durable_seq, reason, len(ticks) - taken)

    def record_many(self, ticks: Iterable[Tick | Mapping[str, Any]]) -> Receipt:
        """Write ticks in their order, up to a hundred in one call of the operating system."""
        accepted = refused = 0
        reason: str | None = None
        detail = ""
        for piece in self._pieces(ticks):
            if isinstance(piece, TickError):
                refused, reason, detail = refused + 1, piece.reason, str(piece)
                self.refuse(piece.reason)
                continue
            why = self._record_piece(piece)
            if why is None:
                accepted += len(piece)
            else:
                refused, reason, detail = refused + len(piece), why, ""
                self.refuse(why, len(piece))
        positions = self.state.positions
        return Receipt(accepted, positions.last_seq, positions.durable_seq, reason, refused, detail)

    def _pieces(self, ticks: Iterable[Tick | Mapping[str, Any]]) -> Iterator[list[Tick] | TickError]:
        """Yield ticks of one game that are written at once, and the error of each that is not a tick."""
        piece: list[Tick] = []
        rest = iter(ticks)
        while True:
            try:
                tick = as_tick(next(rest))
            except TickError as error:
                if piece:
                    yield piece
                piece = []
                yield error
                continue
            except StopIteration:
                break
            except BaseException:  # of the caller's iterable: the ticks before it count
                if piece:
                    yield piece
                raise
            if piece and (len(piece) >= self._at_once or tick.game_id != piece[0].game_id):
                yield piece
                piece = []
            piece.append(tick)
        if piece:
            yield piece

    def record_lines(self, ticks: TickPiece) -> Receipt:
        """Write ticks of one game that are lines of a block, all of them or none."""
        seed = self._encoder.seed
        reason = self._record(ticks.game_id, len(ticks), lambda first: ticks.lines(first, seed))
        if reason:
            self.refuse(reason, len(ticks))
        positions = self.state.positions
        taken = 0 if reason else len(ticks)
        return Receipt(taken, positions.last_seq, positions.durable_seq, reason, len(ticks) - taken)

    def _record_piece(self, ticks: list[Tick], lane: OpenGame | None = None, origins: Sequence[str] = ()) -> str | None:
        """Write ticks of one game with one write; return why they were refused, or None."""
        encode = self._encode

        def lines_from(first: int) -> list[bytes]:
            if origins:
                pairs = zip(ticks, origins, strict=True)
                return [encode(tick, first + number, origin) for number, (tick, origin) in enumerate(pairs)]
            return [encode(tick, first + number) for number, tick in enumerate(ticks)]

        return self._record(ticks[0].game_id, len(ticks), lines_from, lane)

    def _record(
        self, game_id: str, count: int, lines_from: Callable[[int], list[bytes]], lane: OpenGame | None = None
    ) -> str | None:
        """Write the lines of `count` ticks of one game, which depend on the number of the first, with one write."""
        state = self.state
        with state.lock:
            reason = self._wait(count)
            if reason:
                return reason
            file, first = state.journals.current, state.positions.next_seq
            before = file.size
            lines: list[bytes] = []
            try:
                self._writing = True
                if game_id != (self if lane is None else lane).game_id:
                    file = self._begin_game(game_id, lane)
                    before = file.size
                lines = lines_from(first)
                file.write(b"".join(lines))
                if self._keeps:
                    self._keep(lines)
                else:
                    self._count(file, len(lines))
            except OSError as error:
                reason = self._write_again(file, before, lines, error)
                if reason:
                    return reason
            except BaseException:
                self._interrupted(file, before, lines, first)
                raise
            finally:
                self._writing = False
            state.health.succeed()
        return None

    def _keep(self, lines: list[bytes]) -> None:
        """Count lines that are kept until they are synced."""
        positions = self.state.positions
        positions.accept_all(lines)
        if positions.last_seq >= positions.due_seq:
            self.state.ask_for_sync(self._journals.current, positions.last_seq)

    def _count(self, file: JournalFile, ticks: int) -> None:
        """Count ticks whose lines are not kept; under ``durability="tick"`` they are synced first."""
        state = self.state
        if self._syncs:
            state.sync(file, file.size)
            state.make_durable(state.positions.last_seq + ticks)
        state.positions.count(ticks)

    def _wait(self, room: int) -> str | None:
        """Wait until ticks may be written; return the reason when they may not."""
        state = self.state
        health = state.health
        if self._writing and health.phase is not Phase.FORKED:
            return "reentrant"  # a signal handler, in the middle of a tick of the same thread
        deadline = time.monotonic() + self.overflow_seconds
        while health.phase is _RECORDING and state.waiting_ticks + room > self._most:
            state.positions.ask_for_sync()  # whatever the next sync would have waited for
            state.wake()
            left = deadline - time.monotonic()
            if self.overflow == REFUSE or left <= 0 or threading.get_ident() == self.background_thread:
                return "overflow"
            state.wait(lambda: health.phase is not _RECORDING or state.waiting_ticks + room <= self._most, left)
        if health.phase is _RECORDING and state.journals.current.spoilt:
            try:
                old = state.turn()
                if self._syncs:  # all that was acknowledged in it is permanent
                    state.journals.abandon(old)
                    state.journals.drop_abandoned()
            except OSError as error:
                self._failed(error)
        if health.phase is not _RECORDING:
            return REASONS.get(health.phase) or health.pause_reason
        return WRITE_FAILED if state.journals.current.spoilt else None

    def begin_game(self, game_id: str) -> None:
        """Take a game for the one that is being recorded."""
        self.game_id = game_id

    def _begin_game(self, game_id: str, lane: OpenGame | None = None) -> JournalFile:
        """Report that a game has begun; a journal that is long enough ends before it. Return the journal to write."""
        state, journals = self.state, self.state.journals
        open_game = self if lane is None else lane
        if open_game.game_id is not None:
            state.events.emit(RecorderEventKind.GAME_ENDED, game_id=open_game.game_id)
            long_enough = state.positions.next_seq - journals.current.first_seq >= state.settings.seal_game_ticks
            if long_enough and journals.spare and not journals.is_behind:
                with suppress(OSError):  # the journal in use goes on
                    state.turn()
                    state.wake()
        open_game.begin_game(game_id)
        state.counters.add_game()
        state.events.emit(RecorderEventKind.GAME_STARTED, game_id=game_id)
        return journals.current

    def _write_again(self, old: JournalFile, before: int, lines: list[bytes], error: OSError) -> str | None:
        """After a failed write, of which nothing counts, write the lines to the next journal; return why not."""
        state, journals = self.state, self.state.journals
        state.health.count_error(error)
        old.roll_back(before)
        new, first = old, state.positions.next_seq
        size = before
        try:
            if old.is_reachable or not self._restore():
                state.turn()
            new = journals.current
            size = new.size
            if self._syncs and old in journals.retired:  # a file whose sync has failed is never synced again
                journals.abandon(old)
                journals.drop_abandoned()
            new.write(b"".join(lines))
            if self._keeps:
                self._keep(lines)
            else:
                self._count(new, len(lines))
        except OSError as again:
            new.roll_back(size)
            self._failed(again)
            return (state.health.pause_reason if state.health.phase is Phase.PAUSED else None) or WRITE_FAILED
        except BaseException:  # an interrupt in the middle of the second attempt: half a line must not stay
            self._interrupted(new, size, lines, first)
            raise
        state.report_retried(len(lines), str(error))
        return None

    def _failed(self, error: OSError) -> None:
        """Wait for a full disk; count any other failure."""
        if error.errno in FULL:
            self.state.health.note(error)
            self.state.pause(DISK_FULL)
        else:
            self.state.fail(error)
        self.state.wake()

    def _interrupted(self, file: JournalFile, before: int, lines: list[bytes], first: int) -> None:
        """After an exception from outside, such as Ctrl-C: all lines are written and counted, or none is."""
        state = self.state
        if state.journals.current is not file:
            state.journals.current.remove_rest()
        elif file.settle(before, b"".join(lines)) and state.positions.next_seq == first:
            state.positions.drop(lines)
            if self._keeps:
                self._keep(lines)
            else:
                state.positions.count(len(lines))

    def refuse(self, reason: str, count: int = 1) -> Receipt:
        """Count ticks that are not recorded."""
        state = self.state
        with state.lock:
            state.counters.add_refused(reason, count)
        return Receipt(0, state.positions.last_seq, state.positions.durable_seq, reason, count)


def as_tick(value: object) -> Tick:
    """Return the tick of a mapping; raise `TickError`, whatever is wrong with it. Other fields are dropped."""
    if isinstance(value, Tick):
        return _priced(value)
    if not isinstance(value, Mapping):
        raise TickError("tick", type(value).__name__, "wrong_type", "must be a Tick or a mapping of its fields")
    try:
        fields = {name: value[name] for name in _FIELDS if name in value}
        missing = next((name for name in _NEEDED if name not in fields), None)
        tick = None if missing else Tick(**fields)
    except TickError:
        raise
    except Exception as error:  # a value may do anything when it is read, and must not stop the recording
        raise TickError("tick", type(error).__name__, "wrong_type", "its fields cannot be read") from error
    if tick is None:
        raise TickError(missing or "tick", None, "missing_field", "is missing")
    return _priced(tick)


def _priced(tick: Tick) -> Tick:
    """Return a tick that has a price; raise `TickError` for one whose price is not known: a journal holds none."""
    if tick.price is None:
        raise TickError("price", None, "wrong_type", "a price is a Decimal, an int or text")
    return tick
