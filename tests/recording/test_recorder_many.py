"""Recorder.record_many: what may be handed over at once, and what becomes of each kind of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import replaylab as rl
from replaylab.recording.receipt import Receipt
from tests.recordings import GAME, small, stored, tick, ticks


@pytest.fixture
def table(tmp_path: Path) -> pa.Table:
    """Give the rows of a stored game."""
    with rl.Recorder(tmp_path / "first", settings=small()) as recorder:
        recorder.record_many(ticks(20))
    return rl.Store(tmp_path / "first").game(GAME).ticks()


def test_every_receipt_is_whole(tmp_path: Path) -> None:
    """Whatever a tick was recorded by, its receipt has every field, and can be printed, compared and changed."""
    with rl.Recorder(tmp_path, settings=small(sync_seconds=3_600)) as recorder:
        receipts = [
            recorder.record(tick(0)),
            recorder.record(asdict(tick(1))),
            recorder.record_many([tick(2)]),
            recorder.lane("other").record(tick(3)),
        ]
    assert receipts == [Receipt(1, seq, -1) for seq in range(4)]
    assert [repr(one) for one in receipts] == [repr(Receipt(1, seq, -1)) for seq in range(4)]
    assert [one._replace(detail="x").detail for one in receipts] == ["x"] * 4


def test_a_generator_that_raises(tmp_path: Path) -> None:
    """What it gave before is recorded, and the exception is the one raised."""

    def failing() -> Iterator[rl.Tick]:
        yield from ticks(150)
        raise KeyError("mine")

    with rl.Recorder(tmp_path, settings=small()) as recorder:
        with pytest.raises(KeyError, match="mine"):
            recorder.record_many(failing())
        assert recorder.status().accepted == 150
    assert stored(tmp_path) == ticks(150)


def test_a_generator_that_records(tmp_path: Path) -> None:
    """A generator may itself record: no lock is held while it is asked."""

    def nested() -> Iterator[rl.Tick]:
        for number in range(3):
            assert recorder.record(tick(100 + number))
            yield tick(number)

    with rl.Recorder(tmp_path, settings=small()) as recorder:
        assert recorder.record_many(nested()).accepted == 3
    assert stored(tmp_path) == [*ticks(3, first=100), *ticks(3)]


def test_good_and_bad_ones_in_turn(tmp_path: Path) -> None:
    """Each bad one is refused and counted where it stands; the order of the others stays."""
    given: list[Any] = [tick(0), None, tick(1), {"game_id": "g"}, "text", tick(2)]
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        receipt = recorder.record_many(given)
        assert (receipt.accepted, receipt.refused) == (3, 3)
        assert recorder.status().refused == {"wrong_type": 2, "missing_field": 1}
    assert stored(tmp_path) == ticks(3)


def test_one_is_not_taken_apart(tmp_path: Path) -> None:
    """One tick, or one mapping of its fields, is one tick here, too."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        assert recorder.record_many(tick(0)).accepted == 1
        fields = {"game_id": GAME, "tick": 1, "timestamp": "2031-01-02T03:04:05.5Z", "price": "1.5"}
        assert recorder.record_many(fields | {"active": True, "rugged": False}).accepted == 1
        assert recorder.record_many({"game_id": GAME}).reason == "missing_field"
    assert len(stored(tmp_path)) == 2


def test_tables_in_any_order_of_columns(tmp_path: Path, table: pa.Table) -> None:
    """Columns are taken by their names, in tables and in batches of them."""
    turned = table.select(table.column_names[::-1])
    with rl.Recorder(tmp_path / "second", settings=small()) as recorder:
        assert recorder.record_many(turned.slice(0, 12)).accepted == 12
        assert recorder.record_many(turned.slice(12).combine_chunks().to_batches()[0]).accepted == 8
    assert stored(tmp_path / "second") == ticks(20)


def test_rows_without_a_price_are_refused(tmp_path: Path, table: pa.Table) -> None:
    """A null price is no price: such rows are refused and counted, the others are recorded."""
    price = table.schema.field("price")
    holes = pa.array([None if at % 4 == 0 else value.as_py() for at, value in enumerate(table["price"])], price.type)
    with rl.Recorder(tmp_path / "second", settings=small()) as recorder:
        receipt = recorder.record_many(table.set_column(table.schema.get_field_index("price"), price, holes))
        assert (receipt.accepted, receipt.refused, receipt.reason) == (15, 5, "wrong_type")
    assert stored(tmp_path / "second") == [one for at, one in enumerate(ticks(20)) if at % 4]


@pytest.mark.parametrize("most", [10, 50])
def test_fewer_unsynced_ticks_than_are_written_at_once(tmp_path: Path, most: int) -> None:
    """A bound below the hundred of one write, or of one sync, holds: none is refused, and none waits for a timer."""
    settings = small(max_unsynced_ticks=most, sync_seconds=3_600)
    with rl.Recorder(tmp_path, settings=settings, overflow_seconds=120) as recorder:
        assert recorder.record_many(ticks(250)).accepted == 250
        assert all(recorder.record(one) for one in ticks(most + 5, first=250))
        assert recorder.status().unsynced <= most
    assert stored(tmp_path) == ticks(255 + most)
