"""Scanning whole files: documents, endings, marks, made-up and real recordings, and what they have to add up to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from replaylab.parsing.scan import Account, Scan, scan, scan_document, too_long
from replaylab.simulation.damage import KINDS
from replaylab.simulation.dialect import DIALECTS
from replaylab.simulation.recording import Recording
from replaylab.simulation.simulate import simulate_game
from tests.strategies import TICK_KEYS, tick_line

SHARED = Path(__file__).parents[2] / "../shared"
PLAIN = tick_line(TICK_KEYS).encode()


def check(recording: Recording) -> None:
    """Hold a scan against what a made recording is known to hold."""
    expected = recording.expected()
    found = scan_document(recording.data) if recording.name.endswith(".json") else scan(recording.data)
    account = found.account
    kinds = Counter(remark.kind for remark in found.remarks)
    assert {kind: account.ticks[kind] for kind in ("clean", "merged", "torn")} == expected["ticks"]
    assert account.ticks["filled"] == expected["price_filled"]
    assert sum(account.bytes.values()) == expected["bytes"]
    assert kinds["control"] == expected["control"]
    assert kinds["annotation"] == expected["annotations"]
    assert account.lines["blank"] == expected["blank"]
    assert kinds["quarantine"] == expected["quarantined"]
    assert sum(account.lines.values()) == expected["lines"] or recording.name.endswith(".json")
    prices = [None if row.filled else Decimal(row.price) for row in recording.rows]
    assert found.batch.price.to_pylist() == prices


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("seed", range(3))
def test_every_kind_of_damage_gives_what_is_owed(kind: str, seed: int) -> None:
    """Rows, prices, control lines and quarantined spans of every damaged recording are those it was made with."""
    for part in KINDS[kind](simulate_game(seed, rug_tick=60, idle=40).recording(), np.random.default_rng(seed)):
        check(part)


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_every_dialect_gives_what_is_owed(dialect: str) -> None:
    """The same game, written by any writer, is read as that writer told it."""
    check(simulate_game(5, rug_tick=60, idle=40).recording(dialect))


def same(found: Scan, other: Scan) -> None:
    """Hold the ticks of two scans against each other."""
    assert found.batch.price.to_pylist() == other.batch.price.to_pylist()
    assert found.batch.tick.tolist() == other.batch.tick.tolist()
    assert found.batch.wall_us.tolist() == other.batch.wall_us.tolist()


def test_carriage_returns_and_marks_change_nothing() -> None:
    """The same recording with CRLF, a byte order mark or blank lines holds the same ticks."""
    data = simulate_game(1, rug_tick=30).recording().data
    plain = scan(data)
    marked = scan(b"\xef\xbb\xbf" + data)
    same(scan(data.replace(b"\n", b"\r\n")), plain)
    same(marked, plain)
    same(scan(data.replace(b"\n", b"\n\n")), plain)
    same(scan(data.removesuffix(b"\n")), plain)
    assert marked.account.bytes["blank"] == 3


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n\r\n"])
def test_a_document_is_read_whole(indent: int | None, mark: bytes, ending: bytes) -> None:
    """A game state file is one document, printed on one line or many, with a mark or without."""
    document = {"meta": {"game_id": "g"}, "prices": ["1", None, "1.5", "0.0042"]}
    data = mark + json.dumps(document, indent=indent).encode() + ending
    found = scan_document(data)
    assert found.batch.tick.tolist() == [0, 2, 3]
    assert found.batch.price.to_pylist() == [Decimal(1), Decimal("1.5"), Decimal("0.0042")]
    assert sum(found.account.bytes.values()) == len(data)
    assert found.account.bytes["kept"] == len(data) - len(mark)


@pytest.mark.parametrize("indent", [None, 1])
def test_a_private_document_is_never_kept(indent: int | None) -> None:
    """A document about a person is metadata without its bytes, printed on one line or many."""
    document = {"meta": {"player_id": "x", "username": "anna"}, "actions": []}
    (remark,) = scan_document(json.dumps(document, indent=indent).encode()).remarks
    assert (remark.kind, remark.raw) == ("control", None)


@pytest.mark.parametrize(
    "data",
    [PLAIN + b"\n" + PLAIN, b"## by hand\n" + PLAIN, b"", b"{}\n{}", PLAIN + b"\n", b"[1,\n2]", b"\xef\xbb\xbf"],
)
def test_what_is_no_document_is_read_as_lines(data: bytes) -> None:
    """Whatever a .json file holds is read one way or the other, and accounted for alike."""
    found, lines = scan_document(data), scan(data)
    assert found.remarks == lines.remarks
    assert found.account.bytes == lines.account.bytes
    assert len(found.batch) == len(lines.batch)


def test_a_line_that_is_too_long_is_quarantined_piece_by_piece() -> None:
    """Its bytes are quarantined as they come, and the line is counted where it ends."""
    first, last = too_long(b"x" * 10, ends_line=False), too_long(b"y\n", ends_line=True)
    total = Account()
    for piece in (first, last):
        total.add(piece.account)
        assert [remark[:2] for remark in piece.remarks] == [("quarantine", "line_too_long")]
    assert (total.bytes["quarantined"], total.lines["damaged"]) == (12, 1)


def test_text_without_a_line() -> None:
    """Nothing gives nothing; spaces and a mark are blank."""
    assert len(scan(b"").part_of_line) == 0
    assert scan(b"").account.bytes.total() == 0
    assert scan(b"  ").account.bytes == Counter(blank=2)
    assert scan(b"\xef\xbb\xbf").account.lines["blank"] == 1


def test_real_recordings_hold_what_is_known_about_them(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """Where real recordings are at hand, the counts, phases and the exact sum of prices are those that are known."""
    truth_file = SHARED / "recordings.truth.json"
    truth = json.loads(truth_file.read_text()) if truth_file.exists() else {}
    if not truth:
        record_property("recordings", "no recordings at ../shared/recordings")
        reporter = request.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:  # a worker process has none
            reporter.write_line("no recordings at ../shared/recordings")
    account, phases, total, files = Account(), Counter[str](), Decimal(0), 0
    for path in sorted((SHARED / "recordings").glob("*.jsonl")):
        found = scan(path.read_bytes())
        account.add(found.account)
        batch = found.batch
        names = np.bincount(batch.recorded_phase.codes, minlength=len(batch.recorded_phase.texts))
        phases.update(dict(zip(batch.recorded_phase.texts, names.tolist(), strict=True)))
        total += sum((price for price in batch.price.to_pylist() if price is not None), Decimal(0))
        files += 1
    assert files == truth.get("files", 0)
    assert account.bytes.total() == truth.get("bytes", 0)
    assert account.lines.total() == truth.get("lines", 0)
    assert account.lines["damaged"] == truth.get("unparseable_lines", 0)
    for kind in ("clean", "merged", "torn"):
        assert account.ticks[kind] == truth.get(f"tick.{kind}", 0)
    assert account.ticks["filled"] == truth.get("price_filled", 0)
    assert phases == Counter(truth.get("phases", {}))
    assert total + account.ticks["filled"] == Decimal(truth.get("price_sum_all_rows", 0))
