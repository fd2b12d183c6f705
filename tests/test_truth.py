"""The real recordings: every count and digest that is known about them, recomputed from the store and nothing else.

They are not part of this repository. Where they are not beside it the test passes, and says so at the end of the run.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import replaylab as rl
from tests.stores import RECORDINGS, quiet

TRUTH = RECORDINGS.parent / "recordings.truth.json"


@pytest.fixture
def real(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Path | None]:
    """Give the store of the real recordings, converted once a run; None, said aloud, where there are none."""
    if not TRUTH.is_file():
        warnings.warn_explicit(_Absent(f"no real recordings beside the repository: {request.node.name}"), None, "", 0)
        yield None
        return
    store = tmp_path_factory.getbasetemp() / "real"
    if not store.exists():
        quiet(RECORDINGS, store)
    yield store


class _Absent(UserWarning):
    """Said in the summary of the run, where every warning is."""


pytestmark = pytest.mark.filterwarnings("default::UserWarning")


def truth() -> dict[str, Any]:
    """Give what is known about the recordings."""
    found: dict[str, Any] = json.loads(TRUTH.read_text())
    return found


def sha256(lines: list[str]) -> str:
    """Give the digest of lines."""
    return hashlib.sha256("".join(f"{one}\n" for one in lines).encode()).hexdigest()


def plain(price: Decimal) -> str:
    """Give the shortest text of a price without an exponent."""
    text = format(price, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def test_counts_of_the_whole(real: Path | None) -> None:
    """Bytes, lines, ticks by how they were read, control lines, phases and the sum of all prices are the true ones."""
    if real is None:
        return
    known, store = truth(), rl.open_store(real)
    lines: Counter[str] = Counter()
    ticks: Counter[str] = Counter()
    for extent in store.extents():
        lines.update(extent.lines)
        ticks.update(extent.ticks)
    control = Counter(store.remarks("control").column("reason").to_pylist())
    rows = pq.read_table(real / "segments")
    phases = Counter(rows.column("recorded_phase").to_pylist())
    assert {
        "bytes": sum(store.verify().bytes.values()),
        "files": len({extent.source for extent in store.extents()}),
        "game_end.clean": control["game_end"],
        "game_start.clean": control["game_start"],
        "lines": sum(lines.values()),
        "price_filled": pc.sum(rows.column("price_filled")).as_py(),
        "tick.clean": ticks["clean"],
        "tick.merged": ticks["merged"],
        "tick.torn": ticks["torn"],
        "unparseable_lines": lines["damaged"],
        "ticks": rows.num_rows,
        "phases": dict(phases),
    } == {name: known[name] for name in list(known)[:12]}
    filled = pc.sum(rows.column("price_filled")).as_py()
    prices = [price for price in rows.column("price").to_pylist() if price is not None]
    assert len(prices) + filled == rows.num_rows
    assert sum(prices) + filled == Decimal(known["price_sum_all_rows"])


def test_digests_of_the_games(real: Path | None) -> None:
    """Games, rugs, peaks and every price of every complete game are the true ones, digest by digest."""
    if real is None:
        return
    known, store = truth(), rl.open_store(real)
    games = store.games()
    complete = games[games["complete"]].sort_values("game_id")
    assert (len(games), games["rug_tick"].notna().sum(), len(complete)) == (
        known["games"],
        known["games_rug_seen"],
        known["games_complete"],
    )
    lines, highest = [], []
    for game_id in complete["game_id"]:
        prices = store[game_id].prices()
        highest.append(pc.max(prices.column("price")).as_py())
        ticks = prices.column("tick").to_pylist()
        assert ticks == list(range(len(ticks)))
        texts = map(plain, prices.column("price").to_pylist())
        lines += [f"{game_id},{tick},{text}" for tick, text in zip(ticks, texts, strict=True)]
    rugs = complete["rug_tick"].astype(int)
    assert {
        "prices": len(lines),
        "prices_sha256_normal": sha256(lines),
        "rug_ticks_sha256": sha256([f"{one.game_id},{one.rug_tick}" for one in complete.itertuples()]),
        "rug_tick_sum": int(rugs.sum()),
        "rug_tick_median": float(np.median(rugs)),
        "peak_ge_2": sum(peak >= 2 for peak in highest),
        "peak_ge_10": sum(peak >= 10 for peak in highest),
    } == {name: value for name, value in known["complete"].items() if name != "prices_sha256"}
    assert known["complete"]["prices_sha256"] == sha256(lines)


def test_every_price_against_an_independent_reading(real: Path | None) -> None:
    """No price of any line is wrong, read with pyarrow alone against json and Decimal."""
    if real is None:
        return
    table = pq.read_table(real / "segments", columns=["source", "line", "price", "price_filled", "repaired"])
    stored: dict[tuple[str, int], list[tuple[Decimal | None, bool]]] = {}
    columns = (table.column(name).to_pylist() for name in table.column_names)
    for source, number, price, filled, _ in zip(*columns, strict=True):
        stored.setdefault((source, number), []).append((price, filled))
    wrong = seen = 0
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        for number, raw in enumerate(path.read_bytes().split(b"\n"), 1):
            found = stored.pop((path.name, number), [])
            try:
                fields = json.loads(raw, parse_float=Decimal, parse_int=Decimal)
            except ValueError:
                wrong += sum(plain(price or Decimal(0)).encode() not in raw for price, filled in found if not filled)
                seen += len(found)
                continue
            if fields.get("type") == "tick":
                ((price, filled),) = found
                wrong += (Decimal(1) if filled else price) != fields["price"]
                seen += 1
    assert not stored
    assert (wrong, seen) == (0, truth()["ticks"])


def test_other_readers_agree(real: Path | None) -> None:
    """DuckDB and Polars read the segments as they are, and count and add up to the same numbers."""
    if real is None:
        return
    known = truth()
    places = f"{real}/segments/*.parquet"
    query = f"SELECT count(*), count(price), sum(price), count(DISTINCT game_id) FROM '{places}'"
    with duckdb.connect() as connection:
        (found,) = connection.execute(query).fetchall()
    frame = pl.scan_parquet(places).select(pl.len(), pl.col("price").count().alias("known"), pl.col("price").sum())
    rows, priced, total = frame.collect().row(0)
    assert found[:3] == (rows, priced, total)
    assert (rows, rows - priced) == (known["ticks"], known["price_filled"])
    assert total + known["price_filled"] == Decimal(known["price_sum_all_rows"])
    assert found[3] == known["games"]


def test_checked_balanced_and_compacted(real: Path | None, tmp_path: Path) -> None:
    """The check is green, the quarantine names reasons, and compaction changes no row."""
    if real is None:
        return
    quiet(RECORDINGS, tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    before, games, quarantine = store.verify(), store.games_table(), store.quarantine()
    assert before.ok
    reasons = Counter(quarantine["reason"])
    assert set(reasons) <= {"scrap", "torn_beginning"}
    assert sum(len(raw) for raw in quarantine["raw"]) == before.bytes["quarantined"]
    assert sum(before.bytes.values()) == truth()["bytes"]
    report = rl.compact(tmp_path / "store", progress=False)
    after = store.verify()
    assert (after.ok, after.rows_digest, after.bytes) == (True, before.rows_digest, before.bytes)
    assert store.games_table().equals(games)
    assert len(store.quarantine()) == len(quarantine)
    assert report.bytes_after < report.bytes_before
