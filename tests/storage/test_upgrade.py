"""A store of each earlier release, in `tests/stores/`, opens, verifies and reads the same in this one.

``0.0.1`` is by the first one with a recorder. To add one, run this file with that release: ``python FILE STORE JSON``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl

ALL = sorted((Path(__file__).resolve().parents[1] / "stores").iterdir())
STORES = [folder for folder in ALL if not (folder / "master.key").exists()]  # tests/encryption has the others
COLUMNS = ("game_id", "tick", "price", "timestamp", "active", "rugged", "cooldown_timer", "trade_count", "seq", "line")
SUMMARY = ("game_id", "rows", "ticks", "complete", "rug_tick", "peak", "gaps", "missing_ticks", "repaired")


def seen_in(path: Path, **more: Any) -> dict[str, Any]:
    """What a store holds, as a release without changes to it sees it: games, each row of each, remarks, recordings."""
    store = rl.Store(path, **more)
    check = store.verify()
    remarks = sorted((one["kind"], one["source"], one["start"], one["raw"]) for one in store.remarks().to_pylist())
    return {
        "problems": check.problems,
        "rows": store.rows,
        "rows_digest": check.rows_digest,
        "bytes": check.bytes,
        "games": [_game(store, game) for game in store.games_table().to_pylist()],
        "remarks": _digest(remarks),
        "recordings": [[one.run, one.state, one.ticks] for one in store.recordings()],
    }


def _game(store: rl.Store, summary: dict[str, Any]) -> dict[str, str]:
    rows = store.game(summary["game_id"]).ticks().select(COLUMNS).to_pylist()
    digest = _digest([list(row.values()) for row in rows])
    return {name: str(summary[name]) for name in SUMMARY} | {"digest": digest}


def _digest(rows: list[Any]) -> str:
    text = json.dumps(rows, default=lambda value: value.hex() if isinstance(value, bytes) else str(value))
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(params=STORES, ids=lambda path: path.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a store of an earlier release, and what that release saw in it."""
    shutil.copytree(request.param, tmp_path / "old")
    return tmp_path / "old"


def test_it_reads_the_same(old: Path) -> None:
    """Every row, price digit, remark and account is what the release that wrote it saw; nothing is a problem."""
    expected = json.loads((old / "expected.json").read_text(encoding="utf-8"))
    assert expected["problems"] == []
    assert seen_in(old / "store") == expected


def test_it_recovers_and_compacts(old: Path) -> None:
    """What its recorders left is sealed, it takes new recordings and is compacted, and keeps every row of before."""
    expected = json.loads((old / "expected.json").read_text(encoding="utf-8"))
    store = rl.open_store(old / "store")
    assert {one.state for one in store.recordings()} == {"clean", "recovered"}
    with rl.Recorder(store.path) as recorder:
        assert recorder.record(
            rl.Tick("20310103-0000000000000new", 0, datetime(2031, 1, 3, tzinfo=UTC), Decimal("1.5"))
        )
    rl.compact(store.path, progress=False)
    found = seen_in(store.path)
    before = [one for one in found["games"] if not one["game_id"].endswith("new")]
    assert (found["problems"], before, found["remarks"]) == ([], expected["games"], expected["remarks"])


def test_there_are_stores() -> None:
    """The folder is found, and small enough to carry along."""
    assert STORES
    assert sum(path.stat().st_size for folder in ALL for path in folder.rglob("*") if path.is_file()) < 50_000 * len(
        ALL
    )


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(seen_in(Path(sys.argv[1])), indent=1) + "\n", encoding="utf-8")
