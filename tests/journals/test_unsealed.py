"""Unsealed journals: what readers see of a recording while its journals change under them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.journals.unsealed import OpenedJournals, UnsealedJournal, UnsealedJournals
from replaylab.segments.extent import Extent
from tests.recordings import small, stored, ticks


def test_journals_are_listed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks that a failed sync has moved to a journal that a reader has not listed yet are read all the same."""
    real, failing = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        if failing[0] and str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith(".journal"):
            failing[0] -= 1
            raise OSError(5, os.strerror(5))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        monkeypatch.setattr(recorder._lifecycle.sealer, "wake", lambda: None)
        recorder.record_many(ticks(5))
        recorder.flush()
        recorder._state.journals.discard_spare()
        recorder.record_many(ticks(4, first=5))
        store, read = rl.Store(tmp_path), UnsealedJournals.read
        turned: list[OpenedJournals] = []

        def read_when_it_has_turned(
            self: UnsealedJournals, opened: OpenedJournals, sealed: Sequence[Extent]
        ) -> list[UnsealedJournal]:
            if not turned:
                turned.append(opened)
                failing[0] = 1
                recorder.flush()  # fails, is written again to a new journal, and cut off the one that was listed
            return read(self, opened, sealed)

        monkeypatch.setattr(UnsealedJournals, "read", read_when_it_has_turned)
        assert sum(segment.row_count for segment in store.segments()) == 9
        assert turned
        assert stored(store) == ticks(9)
        assert recorder.status().retried == 4
