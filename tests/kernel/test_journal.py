"""Lines of a journal: the kernel writes those that Python writes, to the byte, and finds in them what Python finds."""

from __future__ import annotations

import ctypes
import random
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab.journals.encoder import closed, seed_of
from replaylab.journals.format import scan
from replaylab.journals.good_ticks import GoodTicks, scan_good
from replaylab.parsing.line_reader import LineReader
from replaylab.recording.pipe import Pipe
from replaylab.recording.refusals import Refusals
from replaylab.recording.tick_block import TickBlocks
from replaylab.tick import Tick
from tests.kernel.journals import damaged, journal, what_is_read
from tests.kernel.pipes import RUN, assert_same_pipe
from tests.kernel.roads import COMPACT, JOURNAL, LAYOUTS, TYPED, blocks, line
from tests.strategies import recordings

LINES = 20_000


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_checksums(library: ctypes.CDLL, data: bytes, seed: int) -> None:
    """The checksum of any bytes is that of google_crc32c, by the processor's instruction and by the table."""
    buffer = ctypes.create_string_buffer(data, len(data) + 1)
    for by_table in (0, 1):
        found = library.replaylab_crc32c(seed, ctypes.addressof(buffer), len(data), by_table)
        assert found == google_crc32c.extend(seed, data)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_mutated_lines_in_a_pipe(library: ctypes.CDLL, tmp_path: Path, zone: str) -> None:
    """Of lines of which six in ten were mutated, both roads write, count, keep and report the same."""
    in_pieces = 0
    for seed in range(4):
        data = b"".join(one if one.endswith(b"\n") else one + b"\n" for one in blocks(seed, LINES // 8))
        in_pieces += assert_same_pipe(data, library, tmp_path, zone)
    assert in_pieces > LINES // 2 * 0.1


@given(recordings())
def test_any_recording_in_a_pipe(library: ctypes.CDLL, tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """In recordings of every dialect and damage, both roads write, count, keep and report the same."""
    assert_same_pipe(data, library, tmp_path_factory.mktemp("pipe"))


@pytest.mark.parametrize("layout", [COMPACT, JOURNAL])
def test_plain_lines_in_a_pipe_are_written_by_the_kernel(layout: str, library: ctypes.CDLL, tmp_path: Path) -> None:
    """Lines in their plainest form do not go to the careful reader: else the kernel would be of no use."""
    chance = random.Random(layout)
    plain: dict[str, Any] = {"game": "g", "tick": 1, "price": "1.50", "phase": "X", "active": "true"}
    plain |= {"rugged": "false", "timer": 0, "trades": 2, "seq": 3, "crc": "0123abcd"}
    raws = [
        layout.format(**plain | {"tick": number, "time": f"2031-01-02T03:04:05.{chance.randrange(10**6):06}"})
        for number in range(500)
    ]
    assert assert_same_pipe("\n".join([*raws, ""]).encode(), library, tmp_path) == 500


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("price", ["0", "0.0", "0.10", "10", "100.00", "1.0", "0.000000000000000000000001", "9" * 14])
@pytest.mark.parametrize("time", ["0002-01-01T00:00:00.000000", "1969-12-31T23:59:59.999999", "2400-02-29T12:00:00.5"])
def test_values_at_their_bounds_in_a_pipe(
    layout: str, price: str, time: str, library: ctypes.CDLL, tmp_path: Path
) -> None:
    """Prices lose the zeros behind their fraction and nothing else; times before 1970 and far ones are the same."""
    values: dict[str, Any] = {"game": "é", "tick": 7, "price": price, "phase": "X", "active": "false"}
    values |= {"rugged": "false", "timer": -1, "trades": 2, "seq": 3, "crc": "0123abcd", "time": time.ljust(26, "0")}
    assert assert_same_pipe((layout.format(**values) + "\n").encode() * 30, library, tmp_path) == 30


@pytest.mark.parametrize("durability", ["group", "tick", "none"])
def test_what_a_recorder_stores(durability: Any, library: ctypes.CDLL, tmp_path: Path) -> None:
    """A store that was recorded through a pipe by the kernel holds what the other road reads, under each durability."""
    chance = random.Random(3)
    data = b"\n".join([*(line(chance, TYPED) for _ in range(400)), b""])
    stores = []
    for name, reader in (("kernel", TickBlocks(library)), ("python", None)):
        with rl.Recorder(tmp_path / name, durability=durability) as recorder:
            pipe = Pipe(
                recorder, LineReader(), Refusals(tmp_path, name), lambda *_: None, lambda _seconds: True, 100, reader
            )
            pipe.feed(data)
        names = [one for one in rl.Store(tmp_path / name).to_arrow().column_names if one != "source"]
        stores.append(rl.Store(tmp_path / name).to_arrow().select(names).to_pylist())
        assert len(stores[-1]) == pipe.counts.accepted > 100
        assert rl.Store(tmp_path / name).verify().ok
    assert stores[0] == stores[1]


def test_a_piece_is_refused_whole(library: ctypes.CDLL, tmp_path: Path) -> None:
    """A closed recorder refuses a piece of the kernel as it refuses ticks: each is counted, and the pipe is over."""
    tick = Tick("g", 1, datetime(2031, 1, 2, tzinfo=UTC), Decimal("1.02"))
    reports: list[tuple[int, int, int, str, str]] = []
    recorder = rl.Recorder(tmp_path)
    recorder.stop()
    refusals = Refusals(tmp_path, "run")
    pipe = Pipe(
        recorder,
        LineReader(),
        refusals,
        lambda *one: reports.append(one),
        lambda _seconds: True,
        100,
        TickBlocks(library),
    )
    size = len(tick.to_line()) + 1
    pipe.feed((tick.to_line() + b"\n") * 150)
    assert pipe.over
    assert pipe.counts.refused == {"closed": 150}
    assert reports == [(1, 100, 0, "closed", ""), (101, 150, 100 * size, "closed", "")]


@pytest.mark.parametrize("seed", range(8))
def test_damaged_journals(seed: int, library: ctypes.CDLL) -> None:
    """Of a journal with any damage, read at once or bit by bit, both roads find the same rows, remarks and account."""
    chance = random.Random(seed)
    for _ in range(15):
        data = damaged(chance, journal(chance, chance.randint(1, 120)))
        pieces = sorted(chance.randrange(len(data)) for _ in range(chance.randint(0, 3))) if data else []
        ours, theirs = (what_is_read(data, road, pieces) for road in (library, None))
        for name, found in theirs.items():
            assert ours[name] == found, (name, data)


@pytest.mark.parametrize("seed", range(4))
def test_blocks_of_damaged_journals(seed: int, library: ctypes.CDLL) -> None:
    """Of a block of a journal, wherever it begins, both roads find the same ticks and all else that is in it."""
    chance = random.Random(seed)
    by_kernel = 0
    for _ in range(60):
        data = damaged(chance, journal(chance, chance.randint(1, 80)))
        place: dict[str, Any] = {"start": chance.randrange(100), "first_line": 7, "final": chance.random() < 0.5}
        theirs = scan(data, RUN, **place)
        with (
            mock.patch("replaylab.journals.good_ticks.load", return_value=library),
            mock.patch("replaylab.journals.good_ticks.LEAST_BYTES", 0),
        ):
            good, ours = scan_good(data, RUN, **place)
        by_kernel += not ours.ticks
        expected = GoodTicks.of(theirs)
        assert good.content == expected.content, data
        for name in ("seqs", "lines", "starts", "sizes"):
            assert getattr(good, name).tolist() == getattr(expected, name).tolist(), (name, data)
            setattr(ours, name, getattr(theirs, name))
        ours.ticks = theirs.ticks
        assert ours == theirs, data
    assert by_kernel > 20


@pytest.mark.parametrize(
    "end",
    [
        b', "seq": 123456789012345678',
        b', "seq": 1234567890123456789',
        b', "seq": ',
        b', "seq": -1',
        b', "seq":  1',
        b', "seq": 007',
        b', "seq": 1 ',
        b"1",
        b"",
    ],
)
def test_numbers_of_ticks_at_their_bounds(end: bytes, library: ctypes.CDLL) -> None:
    """A line with a right checksum and an odd number is what Python takes it for, also where it is short."""
    for body in (
        b'{"type": "tick", "timestamp": "2031-01-02T03:04:05", "game_id": "g", "tick": 1',
        b'{"type": "tick", ',
    ):
        data = closed(body + end, seed_of(RUN)) * 2
        ours, theirs = (what_is_read(data, road, []) for road in (library, None))
        assert ours == theirs
