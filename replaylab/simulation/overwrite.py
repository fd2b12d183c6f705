"""Overwrite: two processes that write one file, each from its own offset, and what is left of each line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np

from replaylab.simulation.process import time_text
from replaylab.simulation.recording import Line, Part, Recording, cut_part

_LAGS: Final = (1, 2, 2, 3, 19, 20, 21, 22, 23, 25)  # bytes, as found
_TURN: Final = 0.25  # how often the second process is the first to write a line
_LEAST_START: Final = len(b'{"type":')  # fewer bytes than this do not show that an object begins


@dataclass(frozen=True, slots=True)
class _Run:
    """Bytes `start` to `end` of a line that were left standing, side by side."""

    line: Line
    start: int
    end: int

    @property
    def whole(self) -> bool:
        return self.start == 0 and self.end >= len(self.line.text) - 1

    @property
    def ends_line(self) -> bool:
        return self.end == len(self.line.text)


def two_writers(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """Two processes record the same game into one file; the second lags behind by a few bytes and overwrites.

    Every line is kept by the one or the other, so nothing is missing when the damage is repaired well.

    Examples
    --------
    >>> from replaylab.simulation.simulate import simulate_game
    >>> healthy = simulate_game(3, rug_tick=40).recording()
    >>> (broken,) = two_writers(healthy, np.random.default_rng(1))
    >>> broken.expected()["games"] == healthy.expected()["games"], broken.expected()["ticks"]["torn"] > 0
    (True, True)
    """
    lag = _LAGS[int(rng.integers(len(_LAGS)))]
    size = len(recording.data)
    owner = np.full(size, -1, np.int64)  # which line, of both processes, each byte is from
    origin: list[int] = []
    written: list[Line] = []
    offset = 0
    for place, line in enumerate(recording.lines):
        turns = [(line, offset)]
        if place:  # the second process opened the file while the first line was being written
            turns.append((_later(line, int(rng.integers(20, 400))), offset - lag))
        if rng.random() < _TURN:
            turns.reverse()
        for text, at in turns:
            owner[at : at + len(text.text)] = len(written)
            origin.append(at)
            written.append(text)
        offset += len(line.text)
    edges = [0, *(np.flatnonzero(np.diff(owner)) + 1).tolist(), size]
    runs = []
    for start, end in pairwise(edges):
        number = int(owner[start])
        runs.append(_Run(written[number], start - origin[number], end - origin[number]))
    return (replace(recording, lines=tuple(_lines(runs))),)


def _later(line: Line, delay: int) -> Line:
    """The same row, received some microseconds later; other lines stay as they are."""
    row = line.row
    if row is None:
        return line
    text = line.text.replace(time_text(row.at).encode(), time_text(row.at + delay).encode())
    return Line(text, (Part("clean", row._replace(at=row.at + delay)),))


def _lines(runs: list[_Run]) -> list[Line]:
    """Physical lines from the runs of bytes in file order."""
    lines: list[Line] = []
    line: list[_Run] = []
    for run in runs:
        line.append(run)
        if run.ends_line:
            lines.append(_line(line))
            line = []
    return lines


def _line(runs: list[_Run]) -> Line:
    """One physical line: whole when one object is all it holds, otherwise what can be saved."""
    text = b"".join(run.line.text[run.start : run.end] for run in runs)
    runs = [run for run in runs if run.start < len(run.line.text) - 1]
    if not runs:
        return Line(text, (Part("blank"),))
    if len(runs) == 1 and runs[0].whole:
        return Line(text, runs[0].line.parts)
    parts: list[Part] = []
    absorbing = False  # scraps behind an object without an end belong to it
    for run in runs:
        if run.start == 0 and run.end >= _LEAST_START:
            part = run.line.parts[0] if run.whole else cut_part(run.line, run.end)
            parts.append(replace(part, what="merged") if part.what == "clean" else part)
            absorbing = not run.whole
        elif not absorbing:
            parts.append(Part("quarantined"))
            absorbing = True
    saved = any(part.what != "quarantined" for part in parts)
    return Line(text, tuple(parts) if saved else (Part("quarantined"),))
