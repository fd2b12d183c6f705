"""Positions: how far a recording is accepted and how far it is durable, in sequence numbers."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime


class Positions:
    """How far a recording is accepted and durable, and the lines between the two.

    The writer counts ticks under the lock; the syncer moves `durable_seq` without it. Both orders are safe because a
    line is in the file before it is in `unsynced`, and there before it is counted.

    Attributes
    ----------
    next_seq : int
        Sequence number of the next tick.
    synced_seq : int
        Last sequence number that has been synced; `unsynced` holds the lines after it.
    durable_seq, durable_at : int, datetime or None
        Last sequence number that survives a power cut (-1 for none), and when it was synced: `synced_seq`, or less
        while journals are lost.
    lost : bool
        Whether journals have lost their names, so that what was synced in them cannot be read after the recording.
    unsynced : list of bytes
        Lines accepted and not yet synced, kept under ``durability="group"`` so that they can be written again.
    due_seq : int
        Sequence number at which the writer asks for the next sync; the writer raises it when it asks.
    sync_asked : bool
        Whether a sync is wanted now, before the bound of ticks or seconds is reached.
    """

    def __init__(self, sync_ticks: int) -> None:
        self.next_seq = 0
        self._sync_ticks = sync_ticks
        self.due_seq = sync_ticks - 1
        self.synced_seq = self.durable_seq = -1
        self.lost = False
        self.durable_at: datetime | None = None
        self.unsynced: list[bytes] = []
        self.sync_asked = False

    @property
    def last_seq(self) -> int:
        """Sequence number of the last accepted tick; -1 before the first."""
        return self.next_seq - 1

    def accept(self, line: bytes) -> None:
        """Count one tick whose line is kept until it is synced."""
        self.unsynced.append(line)
        self.next_seq += 1

    def accept_all(self, lines: list[bytes]) -> None:
        """Count ticks whose lines are kept until they are synced."""
        self.unsynced.extend(lines)
        self.next_seq += len(lines)

    def add_to_last(self, line: bytes) -> None:
        """Keep a line that is no tick with the tick before it, unless that has been synced."""
        with suppress(IndexError):  # synced just now: the syncer takes no lock
            self.unsynced[-1] += line

    def count(self, ticks: int) -> None:
        """Count ticks whose lines are not kept."""
        self.next_seq += ticks

    def drop(self, lines: list[bytes]) -> None:
        """Forget lines that `accept_all` was interrupted on, after keeping and before counting them."""
        if lines and self.unsynced[-len(lines) :] == lines:
            del self.unsynced[-len(lines) :]

    def make_durable(self, seq: int, at: datetime) -> None:
        """Record that every tick up to `seq` is permanent."""
        count = seq - self.synced_seq
        if count > 0:
            del self.unsynced[:count]
            self.synced_seq = seq
        self.expect_sync()
        if not self.lost:
            self.durable_at = at  # before the place: who reads the place first finds a time for it
            self.durable_seq = self.synced_seq

    def expect_sync(self) -> None:
        """Let the writer ask for a sync when as many ticks wait for one as the bound allows."""
        self.due_seq = self.synced_seq + self._sync_ticks

    def raise_due(self, seq: int) -> None:
        """Record that a sync up to a tick has been asked for."""
        self.due_seq = seq + self._sync_ticks

    def lose(self, first_seq: int) -> None:
        """Record that the journals from `first_seq` on have lost their names."""
        self.lost = True
        self.durable_seq = min(self.durable_seq, first_seq - 1)

    def restore(self) -> None:
        """Record that every journal that was lost has been written again, and synced."""
        self.lost = False
        self.durable_seq = self.synced_seq

    def ask_for_sync(self) -> None:
        """Want a sync now."""
        self.sync_asked = True

    def begin_sync(self) -> None:
        """Record that a sync has begun: what is asked for from now on is for the next one."""
        self.sync_asked = False
