"""The games table of many segments is that of each game alone, also of those kept from before."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from replaylab.journals.encoder import Encoder
from replaylab.journals.format import Header, end_line, journal_name
from replaylab.segments.order import in_order_received
from replaylab.segments.segment import Segment
from replaylab.storage.game_summary import SCHEMA, summarise
from replaylab.storage.recovery import recover
from replaylab.storage.store import JOURNALS, Store
from replaylab.storage.store import SEGMENTS as SEGMENTS_FOLDER
from replaylab.storage.summary_cache import Summaries
from replaylab.tick import Tick
from tests.stores import quiet, run_child, simulated

SEGMENTS = 7


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> list[Segment]:
    """Segments of one journal each; some games lie in two or three of them, and some segments hold no other game."""
    folder = tmp_path_factory.mktemp("store")
    for name in (SEGMENTS_FOLDER, JOURNALS):
        (folder / name).mkdir()
    chance, at = random.Random(2), datetime(2031, 1, 2, tzinfo=UTC)
    for number in range(SEGMENTS):
        run = f"2031010{number + 1}T030405000000Z-0123456789ab-7"
        encoder, lines, seq = Encoder(run), [Header(run, 0, 0).to_line()], 0
        for game in ["spread"] if number == 3 else [f"g{number}", f"g{number}b", *["spread", "also"][: number % 3]]:
            for tick in range(chance.randint(1, 30)):
                price = Decimal(chance.randrange(1, 10**6)).scaleb(-4)
                made = Tick(game, tick, at + timedelta(seconds=chance.randrange(9)), price, "X", active=True)
                lines.append(encoder.line(made, seq))
                seq += 1
        (folder / JOURNALS / journal_name(run, 0)).write_bytes(b"".join([*lines, end_line(run, seq)]))
    assert recover(folder, progress=False).ok
    found = Store(folder).segments()
    assert len(found) == SEGMENTS
    return found


def plainly(segments: list[Segment]) -> pa.Table:
    """Return the games table of segments, each game summed up alone from all of its rows."""
    rows = in_order_received(pa.concat_tables([one.read() for one in segments]))
    games = rows.column("game_id").cast(pa.string())
    made = [summarise(rows.filter(pc.equal(games, name))) for name in sorted(set(games.to_pylist()))]
    found = pa.concat_tables([*made, SCHEMA.empty_table()])
    return found.sort_by([("start", "ascending"), ("game_id", "ascending")])


def fail(segment: Segment, error: Exception) -> None:
    """No segment here is damaged."""
    raise AssertionError(segment, error)


@pytest.mark.parametrize("rows_at_once", [1, 40, 200_000])
def test_many_segments_at_once(rows_at_once: int, segments: list[Segment]) -> None:
    """However many rows are summed up at once, each game has the summary of its own rows."""
    with mock.patch("replaylab.storage.summary_cache._ROWS_AT_ONCE", rows_at_once):
        assert Summaries().table(segments, fail).to_pylist() == plainly(segments).to_pylist()


@pytest.mark.parametrize("seed", range(8))
def test_what_is_kept(seed: int, segments: list[Segment]) -> None:
    """As segments come and go the table is that of a fresh one, and what stays the same is not read again."""
    chance, kept = random.Random(seed), Summaries()
    some: list[Segment] = []
    for _ in range(24):
        if chance.random() < 0.5:  # one more or one less, as recordings and compactions do
            one = chance.choice(segments)
            some = [each for each in segments if (each in some) != (each is one)]
        elif chance.random() < 0.5:
            some = chance.sample(segments, chance.randint(0, SEGMENTS))
        assert kept.table(some, fail).to_pylist() == (plainly(some).to_pylist() if some else [])
    before = kept.table(segments, fail)
    with mock.patch.object(Segment, "_read", side_effect=AssertionError):
        assert kept.table(segments, fail).equals(before)


def test_nothing(tmp_path: Path) -> None:
    """A store without segments has an empty table of games."""
    assert Summaries().table([], fail).equals(SCHEMA.empty_table())
    (tmp_path / SEGMENTS_FOLDER).mkdir()
    assert len(Store(tmp_path).games()) == 0


def test_summaries_load_no_pandas(tmp_path: Path) -> None:
    """A process that asks for the games as an Arrow table, again too, and not for a frame, has no pandas in memory."""
    quiet(simulated(tmp_path / "r"), tmp_path / "store")
    code = (
        "import sys, replaylab as rl\n"
        "store = rl.open_store(sys.argv[1])\n"
        "print(store.games_table().num_rows, store.games_table().num_rows, 'pandas' in sys.modules)"
    )
    child = run_child(code, tmp_path / "store")
    assert child.stdout.split() == ["3", "3", "False"], child.stderr
