"""Summaries of games: the same as a slow reading row by row, on every kind of damage and on cases made by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.parsing.scan import scan
from replaylab.segments.order import sorted_by_game
from replaylab.simulation.damage import KINDS
from replaylab.simulation.simulate import simulate_game
from replaylab.storage.game_summary import SCHEMA, summarise
from replaylab.table import Batch, Names, to_table
from replaylab.tick import Row


class Seen(NamedTuple):
    """What one row says of its game."""

    tick: int
    price: str | None = "1.5"
    active: bool = True
    rugged: bool = False
    phase: str | None = "ACTIVE_GAMEPLAY"
    at: int | None = 0
    source: str = "s"
    repaired: bool = False
    game: str = "g"


def rug(tick: int, price: str = "0.01", **more: Any) -> Seen:
    """Give the row of a rug."""
    return Seen(tick, price, rugged=True, **more)


def idle(tick: int = 0, **more: Any) -> Seen:
    """Give a row before the game."""
    return Seen(tick, None, active=False, phase="PRESALE", **more)


def again(tick: int, price: str = "0.01") -> Seen:
    """Give the second broadcast of a rug."""
    return Seen(tick, price, rugged=True, phase="RUG_EVENT_1")


def table(rows: list[Seen]) -> pa.Table:
    """Give rows as the table of a store."""
    told = [
        Row(
            one.game,
            one.tick,
            one.at,
            zoned=True,
            price=None if one.price is None else Decimal(one.price),
            price_filled=one.price is None,
            recorded_phase=one.phase,
            active=one.active,
            rugged=one.rugged,
            cooldown_timer=0,
            trade_count=0,
            repaired=one.repaired,
        )
        for one in rows
    ]
    places = np.arange(len(rows), dtype=np.int64)
    return to_table(
        Batch.of(told, range(len(rows))),
        source=Names.of(one.source for one in rows),
        seq=places,
        line=places,
        zone="UTC",
    )


def slowly(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarise one game row by row."""
    live = [row for row in rows if row["active"] and not row["rugged"]]
    rugs = [row for row in rows if row["rugged"] and row["recorded_phase"] != "RUG_EVENT_1"]
    end = min((row["tick"] for row in rugs), default=None)
    price = next((row["price"] for row in rugs if row["tick"] == end), None)
    ticks = {row["tick"] for row in live}
    below = sorted(tick for tick in ticks if end is None or tick < end)
    path = [row for row in live if row["price"] is not None and (end is None or row["tick"] < end)]
    peak = max((row["price"] for row in path), default=None)
    wanted = range(below[0], below[-1] + 1 if end is None else end) if below else range(0)
    missing = [tick for tick in wanted if tick not in ticks]
    double = end is not None and (any(tick > end for tick in ticks) or any(row["price"] != price for row in rugs))
    times = [row["timestamp"] for row in rows if row["timestamp"] is not None]
    return {
        "game_id": rows[0]["game_id"],
        "rows": len(rows),
        "ticks": len(ticks),
        "rug_tick": end,
        "rug_price": price,
        "peak": peak,
        "peak_tick": next((row["tick"] for row in path if row["price"] == peak), None),
        "start": min(times, default=None),
        "end": max(times, default=None),
        "first_tick": min(ticks, default=None),
        "last_tick": max(ticks, default=None),
        "complete": end is not None and bool(below) and below == list(range(end)) and not double,
        "late_start": bool(ticks) and min(ticks) > 0,
        "censored": bool(ticks) and end is None,
        "gaps": sum(1 for tick in missing if tick - 1 not in missing),
        "missing_ticks": len(missing),
        "double_rug": double,
        "repaired": sum(row["repaired"] for row in rows),
        "sources": list(dict.fromkeys(row["source"] for row in rows)),
    }


def check(ticks: pa.Table) -> list[dict[str, Any]]:
    """Hold the summary of a table against the slow one, and give it."""
    found = summarise(ticks)
    assert found.schema == SCHEMA
    games = groupby(ticks.to_pylist(), key=lambda row: row["game_id"])
    expected = [slowly(list(rows)) for _, rows in games]
    assert found.to_pylist() == expected
    return expected


def one(*rows: Seen) -> dict[str, Any]:
    """Give the summary of one game made by hand, checked against the slow one."""
    (found,) = check(table(list(rows)))
    return found


LIVE = [Seen(tick, f"{1 + tick}.5") for tick in range(5)]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_damaged_games_are_summarised_as_slowly(kind: str) -> None:
    """Every kind of damage leaves games whose summary is that of a reading row by row."""
    for seed in range(3):
        for part in KINDS[kind](simulate_game(seed, rug_tick=60, idle=40).recording(), np.random.default_rng(seed)):
            batch = scan(part.data).batch
            places = np.arange(len(batch), dtype=np.int64)
            names = Names.of([part.name] * len(batch))
            check(sorted_by_game(to_table(batch, source=names, seq=places, line=places, zone="UTC")))


SEEN = st.builds(
    Seen,
    tick=st.integers(0, 6),
    price=st.sampled_from([None, "1", "1.5", "0.01", "99999999999999.5", "0.000000000000000000000001"]),
    active=st.booleans(),
    rugged=st.booleans(),
    phase=st.sampled_from([None, "ACTIVE_GAMEPLAY", "RUG_EVENT_1", "RUGGED"]),
    at=st.one_of(st.none(), st.integers(-5, 5)),
    source=st.sampled_from("st"),
    repaired=st.booleans(),
    game=st.sampled_from("gh"),
)


@given(st.lists(SEEN, max_size=12))
def test_any_rows_are_summarised_as_slowly(rows: list[Seen]) -> None:
    """Rows of any order and sense are summarised as a reading row by row does it."""
    check(sorted_by_game(table(rows)))


@given(st.lists(SEEN, min_size=1, max_size=8), st.integers(1, 7))
def test_chunks_make_no_difference(rows: list[Seen], size: int) -> None:
    """A table in pieces, each with a dictionary of its own, and a slice of a table, are summarised alike."""
    ordered = sorted(rows, key=lambda row: row.game)
    chunks = [table(ordered[at : at + size]) for at in range(0, len(ordered), size)]
    check(pa.concat_tables(chunks))
    check(table([Seen(9, "77", game="x"), *ordered, Seen(9, "77", game="y")]).slice(1, len(ordered)))


def test_a_whole_game() -> None:
    """A game with every live tick up to its rug is complete."""
    found = one(idle(), *LIVE, rug(5), again(6))
    assert (found["complete"], found["rug_tick"], found["rug_price"]) == (True, 5, Decimal("0.01"))
    assert (found["peak"], found["peak_tick"], found["ticks"], found["gaps"]) == (Decimal("5.5"), 4, 5, 0)


def test_a_double_rug() -> None:
    """A game that came back after its rug, or rugged again at another price, is one with a double rug."""
    assert one(*LIVE, rug(5), Seen(8), rug(9, "0.02"))["double_rug"]
    assert one(*LIVE, rug(5), rug(9, "0.02"))["double_rug"]
    assert not one(*LIVE, rug(5), rug(5), again(6, "0.02"))["double_rug"]
    assert not one(*LIVE, rug(5), Seen(8), rug(9, "0.02"))["complete"]


def test_swapped_and_doubled_rows() -> None:
    """Order and repetition of live ticks change nothing."""
    plain = one(*LIVE, rug(5))
    assert one(LIVE[1], LIVE[0], *LIVE[2:], rug(5)) == plain
    assert one(rug(5), *reversed(LIVE)) == plain
    assert one(*LIVE, LIVE[3], rug(5)) == {**plain, "rows": 7}


def test_gaps() -> None:
    """Runs of missing ticks are counted between the first live tick and the rug, not before the first."""
    found = one(LIVE[1], LIVE[4], Seen(6), rug(9))
    assert (found["gaps"], found["missing_ticks"], found["late_start"]) == (3, 5, True)
    found = one(LIVE[0], LIVE[4])
    assert (found["gaps"], found["missing_ticks"], found["censored"]) == (1, 3, True)


def test_the_shortest_games() -> None:
    """A rug at tick 1 after one live tick is a complete game."""
    found = one(LIVE[0], rug(1))
    assert (found["complete"], found["ticks"], found["peak_tick"]) == (True, 1, 0)


def test_games_without_a_live_tick() -> None:
    """A cooldown alone is neither complete nor censored; a rug alone is no complete game unless it stands at tick 0."""
    found = one(idle())
    assert (found["complete"], found["censored"], found["peak"], found["first_tick"]) == (False, False, None, None)
    assert (found["peak_tick"], found["rug_tick"], found["gaps"]) == (None, None, 0)
    found = one(rug(7))
    assert (found["complete"], found["rug_tick"], found["missing_ticks"], found["ticks"]) == (False, 7, 0, 0)
    assert one(again(8))["rug_tick"] is None


def test_live_ticks_without_a_price_have_no_peak() -> None:
    """A peak that is not known stands at no tick."""
    found = one(Seen(0, None), Seen(1, None), rug(2))
    assert (found["peak"], found["peak_tick"], found["ticks"]) == (None, None, 2)


def test_peaks_are_compared_exactly() -> None:
    """Prices that no float tells apart are told apart; of equal ones the first is the peak."""
    large = "12345678901234.123456789012345678901234"
    found = one(Seen(0, large[:-1] + "3"), Seen(1, large), Seen(2, large), Seen(3, large[:-1] + "1"))
    assert (found["peak"], found["peak_tick"]) == (Decimal(large), 1)


def test_times_that_are_not_known() -> None:
    """Start and end are those of the known times, or unknown."""
    found = one(Seen(0, at=None), Seen(1, at=7), Seen(2, at=3), Seen(3, at=None))
    assert (found["start"], found["end"]) == tuple(datetime(1970, 1, 1, microsecond=at, tzinfo=UTC) for at in (3, 7))
    found = one(Seen(0, at=None))
    assert (found["start"], found["end"]) == (None, None)


def test_sources_and_repairs() -> None:
    """Sources are named once, in the order received, and repaired rows are counted."""
    found = one(Seen(0, source="b"), Seen(1, source="a", repaired=True), Seen(2, source="b"), Seen(3, source="a"))
    assert (found["sources"], found["repaired"]) == (["b", "a"], 1)


def test_no_rows() -> None:
    """No rows are no games."""
    assert summarise(table([])) == SCHEMA.empty_table()
