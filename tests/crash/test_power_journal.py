"""A journal after a power cut, and after any damage: every whole line is read, and nothing that is not one."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replaylab.journals.encoder import Encoder
from replaylab.journals.format import Header, Lines, end_line, scan
from tests.crash.power import power_cut
from tests.crash.recordings import made
from tests.crash.scale import SCALE
from tests.crash.trace import Trace

RUN = "run"
GIVEN = made(60)
LINES = [Encoder(RUN).line(tick, seq) for seq, tick in enumerate(GIVEN)]
KINDS = ["flip", "zeros", "insert", "delete"]


@cache
def written() -> Trace:
    """Give the log of a journal that is synced now and then; its notes tell how many lines are safe."""
    folder = Path(tempfile.mkdtemp(prefix="journal"))
    trace = Trace(folder)
    with trace.watching():
        file = os.open(folder / "journal", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        above = os.open(folder, os.O_RDONLY)
        os.fsync(above)
        os.write(file, Header(RUN, 0, 0).to_line())
        trace.note(0)
        for number, line in enumerate(LINES, 1):
            os.write(file, line)
            if number % 13 == 0:
                os.fsync(file)
                trace.note(number)
        os.write(file, end_line(RUN, len(LINES)))
        os.fsync(file)
        trace.note(len(LINES))
        os.close(above)
        os.close(file)
    (folder / "journal").unlink()
    folder.rmdir()
    return trace


def accounted(found: Lines, content: bytes) -> None:
    """Hold that every byte is accounted for, and every line read is one that was written, once, in order."""
    damaged = sum(one.end - one.start for one in found.damage)
    assert sum(found.sizes) + damaged + found.control_bytes + found.blank_bytes == len(content)
    assert found.ticks == [GIVEN[seq].to_line() + b"\n" for seq in found.seqs]


@given(data=st.data())
@settings(max_examples=300 * SCALE)
def test_a_journal_after_a_power_cut(data: st.DataObject) -> None:
    """Synced lines are read; of the others those that are whole; the rest is damage, byte for byte."""
    trace = written()
    notes = [at for at, event in enumerate(trace.log) if type(event).__name__ == "Note"]
    cut = data.draw(st.integers(notes[0] + 1, len(trace.log)))
    state = power_cut(trace, cut, lambda count: data.draw(st.integers(0, count - 1)))
    content = state.tree["journal"]
    assert content is not None
    found = scan(content, RUN)
    accounted(found, content)
    assert found.seqs == sorted(set(found.seqs))
    safe = state.notes[-1]
    assert isinstance(safe, int)
    assert found.seqs[:safe] == list(range(safe))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS), st.integers(0, 3_000), st.integers(1, 300), st.binary(min_size=1, max_size=9)
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=300 * SCALE)
def test_a_journal_after_any_damage(damages: list[tuple[str, int, int, bytes]]) -> None:
    """Flipped bits, zeros, foreign and missing bytes never cost a line that is still whole."""
    content = bytearray(b"".join(LINES[:10]))
    for kind, place, size, foreign in damages:
        at = place % len(content)
        end = min(at + size, len(content))
        if kind == "flip":
            content[at] ^= 1 << size % 8
        elif kind == "zeros":
            content[at:end] = bytes(end - at)
        elif kind == "insert":
            content[at:at] = foreign
        else:
            del content[at : min(end, len(content) - 1)]
    found = scan(bytes(content), RUN)
    accounted(found, bytes(content))
    assert {seq for seq in range(10) if LINES[seq] in content} <= set(found.seqs)


@pytest.mark.parametrize("end", [b"", b"\x0b", b"\0", b"\0" * 4_096, b" \n"])
def test_the_newline_of_the_last_line_is_damaged(end: bytes) -> None:
    """A last line whose checksum is right counts, whatever has become of the newline behind it."""
    content = b"".join(LINES[:3])[:-1] + end
    found = scan(content, RUN)
    assert found.seqs == [0, 1, 2]
    accounted(found, content)
