"""Counters: what a recorder counts besides ticks."""

from __future__ import annotations

from collections import Counter

from replaylab.recording.durations import Durations
from replaylab.recording.refusals import log_refusal


class Counters:
    """What a recorder counts besides ticks; every count only grows.

    Attributes
    ----------
    games, segments, retried, quarantined_bytes, callback_errors : int
        Games begun, segments made, ticks written again, bytes set aside while sealing, exceptions of the callback.
    refused : Counter
        Ticks refused, by reason.
    sync, flush : Durations
        How long one sync took, and making permanent all that was waiting.
    """

    def __init__(self) -> None:
        self.games = self.segments = self.retried = self.quarantined_bytes = self.callback_errors = 0
        self.refused: Counter[str] = Counter()
        self.sync = Durations()
        self.flush = Durations()

    def add_game(self) -> None:
        """Count a game that has begun."""
        self.games += 1

    def add_segment(self, quarantined_bytes: int) -> None:
        """Count a segment, and the bytes of its journals that were set aside."""
        self.segments += 1
        self.quarantined_bytes += quarantined_bytes

    def add_retried(self, ticks: int) -> None:
        """Count ticks that were written again."""
        self.retried += ticks

    def add_callback_error(self) -> None:
        """Count an exception of the callback."""
        self.callback_errors += 1

    def add_refused(self, reason: str, ticks: int) -> None:
        """Count refused ticks."""
        before = self.refused[reason]
        self.refused[reason] = before + ticks
        log_refusal(reason, before, before + ticks)
