"""The two roads of a pipe, held against each other: what is written to a journal, counted, kept and reported."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Final
from unittest import mock

from replaylab.journals.encoder import Encoder
from replaylab.parsing.line_reader import LineReader
from replaylab.recording.pipe import Pipe
from replaylab.recording.receipt import Receipt
from replaylab.recording.refusals import Refusals
from replaylab.recording.tick_block import TickBlocks, TickPiece
from replaylab.tick import Tick

RUN: Final = "run"
READ_BYTES: Final = 5_000  # at once: more lines of a layout in one block than pieces have


class Journal:
    """A recorder that keeps the bytes of its journal; how many ticks came as pieces is counted."""

    def __init__(self) -> None:
        self.encoder = Encoder(RUN)
        self.content: list[bytes] = []
        self.games: list[str] = []
        self.in_pieces = 0

    def record_many(self, ticks: list[Tick] | TickPiece) -> Receipt:
        """Take all."""
        first = len(self.content)
        if isinstance(ticks, TickPiece):
            self.content += ticks.lines(first, self.encoder.seed)
            self.games += [ticks.game_id] * len(ticks)
            self.in_pieces += len(ticks)
        else:
            self.content += [self.encoder.line(tick, first + number) for number, tick in enumerate(ticks)]
            self.games += [tick.game_id for tick in ticks]
        assert len(self.content) == first + len(ticks)
        return Receipt(len(ticks), len(self.content) - 1, -1)


def piped(data: bytes, folder: Path, blocks: TickBlocks | None, zone: str) -> tuple[dict[str, Any], int]:
    """Return what a pipe makes of a stream, and how many of its ticks the kernel wrote."""
    journal, reader, refusals = Journal(), LineReader(zone), Refusals(folder, RUN)
    reports: list[tuple[int, int, int, str, str]] = []
    with mock.patch("replaylab.recording.pipe.LEAST_BYTES", 0):
        pipe = Pipe(journal, reader, refusals, lambda *one: reports.append(one), lambda _seconds: False, 100, blocks)
        for start in range(0, len(data), READ_BYTES):
            pipe.feed(data[start : start + READ_BYTES])
        pipe.finish()
    refusals.close()
    kept = refusals.path.read_bytes() if refusals.kept else b""
    refusals.path.unlink(missing_ok=True)
    made = {"journal": journal.content, "games": journal.games, "counts": pipe.counts, "kept": kept}
    return made | {"reports": reports, "zoneless": reader.zoneless_times}, journal.in_pieces


def assert_same_pipe(data: bytes, library: ctypes.CDLL, folder: Path, zone: str = "UTC") -> int:
    """Assert that both roads write, count, keep and report the same; return how many ticks the kernel wrote."""
    ours, in_pieces = piped(data, folder, TickBlocks(library, zone), zone)
    theirs, none = piped(data, folder, None, zone)
    assert none == 0
    for name, found in theirs.items():
        assert ours[name] == found, (name, data)
    return in_pieces
