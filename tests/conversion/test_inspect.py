"""Inspect: what a file is, the command that reads it, and a mapping to begin with."""

from __future__ import annotations

import gzip
import tomllib
from pathlib import Path

import pytest

from replaylab.conversion.inspect import inspect
from replaylab.errors import SourceNotFound, TickError
from replaylab.parsing.mapping import Mapping
from replaylab.storage.open import open_store
from replaylab.tick import parse_time
from tests.stores import game_lines, quiet

BINANCE = b'{"e":"trade","E":1925089445001,"s":"BTCUSDT","t":%d,"p":"64000.01","q":"0.1","m":true}\n'


def test_a_proposed_mapping_reads_the_file(tmp_path: Path) -> None:
    """The field that looks like a time is taken for one, not the first that might be called so."""
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"".join(BINANCE % number for number in range(5)))
    found = inspect(path)
    assert (found.form, found.ticks, found.reasons) == ("no known form", 0, {"unknown_object": 5})
    mapping = Mapping.of(tomllib.loads(found.mapping))
    assert mapping.fields == {"timestamp": "E", "price": "p", "game_id": "s"}
    report = quiet(path, tmp_path / "store", mapping=mapping)
    assert (report.ticks_stored, report.times_at_epoch) == (5, 0)
    assert inspect(path, mapping).first[0].startswith("BTCUSDT, numbered by place, 2031-01-02T03:04:05.001000, price")


def test_trades_of_several_symbols_are_not_one_game(tmp_path: Path) -> None:
    """Where trades name their symbol, the form that reads them as a game a day is not all that is offered."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"ts":1925089445000,"sym":"BTC","px":1.5}\n{"ts":1925089445001,"sym":"ETH","px":2.5}\n')
    found = inspect(path)
    assert (found.form, found.ticks) == ("trades", 2)
    quiet(path, tmp_path / "store", mapping=Mapping.of(tomllib.loads(found.mapping)))
    assert sorted(open_store(tmp_path / "store").game_ids()) == ["BTC", "ETH"]
    path.write_bytes(b'{"ts":1925089445000,"px":1.5}\n')
    assert not inspect(path).mapping


def test_a_packed_recording_is_seen_through(tmp_path: Path) -> None:
    """Packing and form are both said, and nothing is stored."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(gzip.compress(b"".join(game_lines("g", 5)).decode().encode("utf-16")))
    found = inspect(path)
    assert (found.dress, found.form, found.ticks) == ("gzip, utf-16-le", "recording", 6)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(SourceNotFound):
        inspect(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text", ["20310102T030405,25Z", "2031-01-02 03:04:05.25 UTC", "2031-01-02t03:04:05,25Z", "2031-W01-4T03:04"]
)
def test_times_in_all_forms_of_the_standard(text: str) -> None:
    """Comma, basic form, week dates and `UTC` are read; a mixture of the two forms is none."""
    assert parse_time(text).isoformat().startswith("2031-01-02T03:04")
    with pytest.raises(TickError, match="not a time in ISO 8601"):
        parse_time("2031-01-02T030405")
