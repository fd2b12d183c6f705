"""Paths: live ticks and nothing else, once each, as exact as a double can be; whatever the store looks like."""

from __future__ import annotations

import logging
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab import errors
from replaylab.analysis.price_paths.paths import Paths, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.columns import nearest_doubles
from replaylab.errors import AnalysisError, StoreNotFound
from replaylab.simulation.bulk import price_arrays
from tests.stores import game_lines, line, quiet, simulated

EVERY = Selection(min_ticks=0, double_rug=None)
DAMAGE = (
    "missing_ticks",
    "double_tick",
    "double_rug",
    "late_start",
    "swapped_rows",
    "never_rugged",
    "cooldown_only",
    "several_files",
    "recorded_twice",
    "two_games",
    "two_writers",
    "torn_end",
    "time_backwards",
)
IDLE: dict[str, Any] = {"active": False, "cooldown_timer": 9900, "phase": "PRESALE"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """Return a store of forty damaged recordings: gaps, cut games, reconnects, games that came back."""
    folder = tmp_path_factory.mktemp("paths")
    rl.simulate(folder / "recordings", games=40, seed=4, damage=DAMAGE)
    quiet(folder / "recordings", folder / "store")
    return rl.open_store(folder / "store")


def written(folder: Path, lines: list[bytes]) -> rl.Store:
    """Make a store of lines."""
    (folder / "a.jsonl").write_bytes(b"".join(lines))
    quiet(folder / "a.jsonl", folder / "store")
    return rl.open_store(folder / "store")


def same(one: Paths, other: Paths) -> bool:
    """Return whether two hold the same, to the last bit."""
    arrays = ("start", "tick", "price", "rug_tick", "rug_price")
    return one.games.equals(other.games) and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name.endswith("price")) for name in arrays
    )


def test_paths_are_those_of_the_games(store: rl.Store) -> None:
    """Each path is what `Game.prices` gives without the rug row, and the games are those of `Store.games`, in order."""
    found = paths(store, where=EVERY)
    assert found.games.equals(store.games_table())
    assert {"late_start", "censored", "gaps"} <= {
        name for name in ("late_start", "censored", "gaps") if any(found.games.column(name).to_pylist())
    }
    for number, game_id in enumerate(found.game_ids):
        path = store[game_id].prices().to_pylist()
        rug = found.rug_tick[number]
        if rug >= 0:
            last = path.pop()
            assert (last["tick"], float(last["price"])) == (rug, found.rug_price[number])
        tick, price = found.of(number)
        assert tick.tolist() == [row["tick"] for row in path]
        assert price.tolist() == [float(row["price"]) for row in path]


def test_idle_rug_and_later_rows_are_not_in_it(tmp_path: Path) -> None:
    """Neither cooldown rows, nor the rug's two rows, nor what comes after a rug is a tick of a path."""
    lines = [
        line(tick=0, price="1.0", **IDLE),
        *game_lines("g", 3),
        line("g", 4, "0.01", rugged=True, phase="RUG_EVENT_1"),
    ]
    lines += [line("g", tick, "0.01") for tick in (9, 10)]
    found = paths(written(tmp_path, lines), where=EVERY)
    game = found.game_ids.index("g")
    assert found.of(game)[0].tolist() == [0, 1, 2]
    assert (found.rug_tick[game], found.rug_price[game]) == (3, 0.01)


def test_a_tick_counts_once_the_first_received(tmp_path: Path) -> None:
    """Ticks that come twice or out of order are in the path once, in order, with the price received first."""
    lines = [line("g", tick, price) for tick, price in ((1, "1.5"), (0, "1"), (2, "3"), (1, "7"))]
    found = paths(written(tmp_path, lines))
    tick, price = found.of(0)
    assert (tick.tolist(), price.tolist()) == ([0, 1, 2], [1.0, 1.5, 3.0])


def test_every_source_gives_the_same(store: rl.Store) -> None:
    """A store, its path, its segments and paths themselves are the same question."""
    found = paths(store)
    assert same(found, paths(store.path))
    assert same(found, paths(str(store.path)))
    assert same(found, paths(store.segments()))
    assert paths(found) is found


def test_segments_do_not_matter(tmp_path: Path) -> None:
    """A game that two segments hold, and games of many segments, come out as from one compacted segment."""
    simulated(tmp_path / "recordings", games=6, seed=3)
    for number, path in enumerate(sorted((tmp_path / "recordings").glob("*.jsonl"))):
        lines = path.read_bytes().splitlines(keepends=True)
        for half, part in enumerate((lines[: len(lines) // 2], lines[len(lines) // 2 :])):
            (tmp_path / f"{number}_{half}.jsonl").write_bytes(b"".join(part))
            quiet(tmp_path / f"{number}_{half}.jsonl", tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    before = paths(store)
    assert len(store.segments()) == 12
    assert before.n_games == 6
    rl.compact(tmp_path / "store", progress=False)
    assert len(store.segments()) == 1
    assert same(before, paths(store))


@pytest.mark.parametrize("prices", [["0.1", "8.005", "1.0123456789012345", "6.288315726479595e-05", "824.08"]])
def test_doubles_are_the_nearest(prices: list[str]) -> None:
    """A price as a double is the one nearest to the decimal, as Python rounds."""
    column = pa.array([Decimal(price) for price in prices] + [None], pa.decimal128(38, 24))
    assert nearest_doubles(column).tolist()[:-1] == [float(price) for price in prices]
    assert np.isnan(nearest_doubles(column)[-1])


@given(st.lists(st.decimals(0, 10**13, allow_nan=False, places=24), max_size=40))
def test_doubles_are_the_nearest_always(prices: list[Decimal]) -> None:
    """Law: for every decimal that can be stored, the double is the nearest one."""
    column = pa.array(prices, pa.decimal128(38, 24))
    assert nearest_doubles(column).tolist() == [float(price) for price in prices]


@given(st.lists(st.integers(0, 19), max_size=40))
def test_taking_games_keeps_each_whole(numbers: list[int]) -> None:
    """Law: games taken in any order, any number of times, are the games they were, and nothing else is there."""
    all_games = Paths.of_arrays(*price_arrays(20, seed=2))
    found = all_games.take(np.array(numbers, np.int64))
    assert found.n_games == len(numbers)
    assert found.n_ticks == sum(all_games.lengths[number] for number in numbers)
    assert found.game_ids == [all_games.game_ids[number] for number in numbers]
    for place, number in enumerate(numbers):
        assert found.of(place)[0].tolist() == all_games.of(number)[0].tolist()
        assert found.of(place)[1].tolist() == all_games.of(number)[1].tolist()
        assert (found.rug_tick[place], found.rug_price[place]) == (
            all_games.rug_tick[number],
            all_games.rug_price[number],
        )


def test_simulated_games_are_complete_ones(tmp_path: Path) -> None:
    """Games drawn as arrays have the same table as the same games recorded, converted and read."""
    prices, starts, rug_ticks = price_arrays(15, seed=8)
    drawn = Paths.of_arrays(prices, starts, rug_ticks)
    lines = []
    for number, (start, rug) in enumerate(zip(starts.tolist(), rug_ticks.tolist(), strict=True)):
        for tick in range(rug + 1):
            text = format(Decimal(repr(float(prices[start + tick]))), "f")
            second, micro = divmod(tick * 250_000, 10**6)
            time = f"2031-01-{number + 1:02}T00:{second // 60:02}:{second % 60:02}.{micro:06}"
            lines.append(line(f"simulated-{number:07}", tick, text, timestamp=time, rugged=tick == rug))
    stored = paths(written(tmp_path, lines))
    assert np.array_equal(drawn.price, stored.price)
    assert np.array_equal(drawn.tick, stored.tick)
    assert np.array_equal(drawn.rug_price, stored.rug_price)
    other = {"start", "end", "sources", "rug_price", "peak"}
    names = [name for name in drawn.games.column_names if name not in other]
    assert drawn.games.select(names).equals(stored.games.select(names))
    assert np.array_equal(nearest_doubles(drawn.games.column("peak")), nearest_doubles(stored.games.column("peak")))


def test_nothing_can_be_changed() -> None:
    """The arrays are read-only: one load serves many questions, and none of them can spoil the next."""
    found = Paths.of_arrays(*price_arrays(3, seed=1))
    with pytest.raises(ValueError, match="read-only"):
        found.price[0] = 2


def test_places_count_from_either_end() -> None:
    """Game -1 is the last, and a game that is not there is an IndexError."""
    found = Paths.of_arrays(*price_arrays(3, seed=1))
    assert np.array_equal(found.of(-1)[1], found.of(2)[1])
    with pytest.raises(IndexError):
        found.of(3)


def test_empty_store_has_no_paths(tmp_path: Path) -> None:
    """A store without a row gives no game and no tick, and every question can still be asked."""
    (tmp_path / "store" / "segments").mkdir(parents=True)
    found = paths(tmp_path / "store")
    assert (found.n_games, found.n_ticks, found.game_ids, found.start.tolist()) == (0, 0, [], [0])
    assert found.take(np.zeros(0, np.int64)).n_games == 0
    assert repr(found) == "Paths(0 games, 0 ticks)"


def test_cooldown_alone_is_no_game(tmp_path: Path) -> None:
    """A record of a cooldown is left out unless asked for: it has no live tick."""
    store = written(tmp_path, [line(tick=0, price="1.0", **IDLE), *game_lines("g", 2)])
    assert paths(store).game_ids == ["g"]
    assert paths(store, where=EVERY).n_games == 2


def test_damaged_segment_raises_or_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A segment that cannot be read raises; when it is to be left out it is named in `left_out` and logged."""
    for number in range(2):
        (tmp_path / f"{number}.jsonl").write_bytes(b"".join(game_lines(f"g{number}", 400)))
        quiet(tmp_path / f"{number}.jsonl", tmp_path / "store")
    victim = next((tmp_path / "store" / "segments").glob("*_g0_*"))
    data = bytearray(victim.read_bytes())
    data[200] ^= 0xFF  # inside a page: the footer is as it was
    victim.write_bytes(data)
    with pytest.raises(errors.SegmentDamaged, match=victim.name):
        paths(tmp_path / "store")
    with caplog.at_level(logging.WARNING):
        found = paths(tmp_path / "store", damaged="skip")
    assert found.game_ids == ["g1"]
    assert list(found.left_out) == [victim.name]
    assert victim.name in caplog.text
    victim.write_bytes(b"nothing")
    assert list(paths(tmp_path / "store", damaged="skip").left_out) == [victim.name]
    with pytest.raises(errors.SegmentDamaged, match=victim.name):
        paths(tmp_path / "store")
    with pytest.raises(errors.AnalysisError, match="take 'raise' or 'skip'"):
        paths(tmp_path / "store", damaged="no")  # type: ignore[arg-type]


def test_compaction_in_between_is_read_again(store: rl.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that a compaction removes while it is to be read is no error: the store is read again."""
    shutil.copytree(store.path, tmp_path / "store")
    opened = rl.open_store(tmp_path / "store")
    listed = opened.segments()
    rl.compact(tmp_path / "store", progress=False)
    answers = iter([listed])
    real = type(opened).segments
    monkeypatch.setattr(type(opened), "segments", lambda self: next(answers, None) or real(self))
    if len(listed) > 1 or not listed[0].path.exists():
        assert same(paths(opened), paths(store))


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    """A folder without a store, and things that are no source, are errors that say what to give."""
    with pytest.raises(StoreNotFound):
        paths(tmp_path)
    with pytest.raises(AnalysisError, match="pass a Store"):
        paths(17)  # type: ignore[arg-type]
    with pytest.raises(AnalysisError, match="one flag a game"):
        Paths.of_arrays(*price_arrays(3, seed=1)).select(np.ones(2, np.bool_))
