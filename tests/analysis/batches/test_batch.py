"""Batch: each game exactly once, the same table whoever does it, and what goes wrong is a row of its game."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import replaylab as rl
from replaylab import errors
from replaylab.analysis import Interrupted, Results, Selection, map_games, summarise
from replaylab.analysis.batches import parts
from tests.stores import game_lines, quiet, simulated


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 12 games in two segments, and one more whose rows lie in both."""
    base = tmp_path_factory.mktemp("batch")
    lines = game_lines("20310102-spread", 40)
    for number, part in enumerate((lines[:17], lines[17:])):
        recordings = simulated(base / str(number), games=6, seed=number + 1)
        (recordings / "spread.jsonl").write_bytes(b"".join(part))
        quiet(recordings, base / "store")
    return base / "store"


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut a small store into several parts, as a large one is."""
    monkeypatch.setattr(parts, "ROW_GROUP_ROWS", 500)


def shape(game: rl.Game, least: int = 0) -> dict[str, Any]:
    """A row of every kind of value."""
    summary = game.summary
    prices = game.prices()["price"].to_pylist()
    return {
        "rows": len(game),
        "rug_tick": summary["rug_tick"],
        "long": summary["ticks"] >= least,
        "peak": summary["peak"],
        "mean": float(np.mean([float(price) for price in prices])),
        "start": summary["start"],
        "sources": summary["sources"],
    }


def plain(store: Path, fn: Callable[[rl.Game], dict[str, Any]]) -> list[dict[str, Any]]:
    """What a loop over the games gives."""
    opened = rl.Store(store)
    return [{"game_id": game, **fn(opened.game(game)), "error": None} for game in opened.games()["game_id"].to_list()]


def spawned() -> Executor:
    """Processes that are started anew, and share nothing with this one."""
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


WAYS: dict[str, tuple[Callable[[], AbstractContextManager[Any]], int | None]] = {
    "this process": (nullcontext, 1),
    "forked": (nullcontext, 2),
    "threads": (lambda: ThreadPoolExecutor(2), None),
    "spawned": (spawned, None),
}


@pytest.mark.parametrize("way", WAYS)
def test_each_game_once_whoever_does_it(folder: Path, way: str) -> None:
    """Every executor gives the table that a plain loop over `Store.games()` gives, in that order."""
    make, workers = WAYS[way]
    with make() as executor:
        found = map_games(
            rl.Store(folder), shape, parameters={"least": 150}, executor=executor, workers=workers, progress=False
        )
    expected = plain(folder, lambda game: shape(game, 150))
    assert found.table.to_pylist() == expected
    assert len(expected) == found.n_games == 13
    assert found.n_rows == rl.Store(folder).rows
    assert found.ok


@pytest.mark.parametrize("way", WAYS)
def test_summary_is_that_of_the_store(folder: Path, way: str) -> None:
    """`summarise` gives the frame of `Store.games()`, whoever does it, and says how much stands behind it."""
    make, workers = WAYS[way]
    with make() as executor:
        found = summarise(folder, executor=executor, workers=workers, progress=False)
    expected = rl.Store(folder).games()
    pd.testing.assert_frame_equal(found, expected)
    counts = {"n_games": 13, "n_ticks": expected["ticks"].sum(), "left_out": {}}
    assert found.attrs == {"prices": "float64", **counts}


def test_parts_share_out_the_store(folder: Path) -> None:
    """The fixture does what it is for: there are several parts, one of them with rows of two segments."""
    found = parts.parts_of(rl.Store(folder).segments(), None)
    assert len(found) > 4
    assert [one.games for one in found if len(one.segments) > 1] == [("20310102-spread",)]


def test_only_the_games_asked_for(folder: Path) -> None:
    """A selection takes whole games; an empty one gives an empty table, and no error."""
    some = rl.Store(folder).game_ids()[:3]
    assert map_games(folder, len, where=Selection(ids=some)).n_games == 3
    none = map_games(folder, len, where=Selection(ids=[]))
    assert (len(none), none.n_games, none.table.column_names) == (0, 0, ["game_id", "error"])
    assert len(summarise(folder, where=Selection(ids=some))) == 3


def test_empty_store(tmp_path: Path) -> None:
    """A store without a game gives tables without a row, with the columns that they always have."""
    (tmp_path / "empty.jsonl").write_bytes(b"")
    quiet(tmp_path / "empty.jsonl", tmp_path / "store")
    assert map_games(tmp_path / "store", len).ok
    pd.testing.assert_frame_equal(summarise(tmp_path / "store"), rl.Store(tmp_path / "store").games())


def test_no_store_there(tmp_path: Path) -> None:
    """A path without a store is said to be one."""
    with pytest.raises(errors.StoreNotFound):
        map_games(tmp_path, len)


SHAPES: dict[str, tuple[Callable[[Any], object], list[dict[str, Any]]]] = {
    "plain value": (lambda _: Decimal("0.10"), [{"value": Decimal("0.10")}]),
    "numpy value": (lambda _: np.int64(3), [{"value": 3}]),
    "empty mapping": (lambda _: {}, [{}]),
    "list of mappings": (lambda _: [{"a": 1}, {"b": 2}], [{"a": 1, "b": None}, {"a": None, "b": 2}]),
    "empty list": (lambda _: [], []),
    "nothing": (lambda _: None, []),
    "Arrow table": (lambda _: pa.table({"a": [1, 2]}), [{"a": 1}, {"a": 2}]),
    "record batch": (lambda _: pa.record_batch({"a": [1]}), [{"a": 1}]),
    "pandas frame": (lambda _: pd.DataFrame({"a": [1, 2]}, index=[7, 9]), [{"a": 1}, {"a": 2}]),
    "pandas series": (lambda _: pd.DataFrame({"a": [1, 2], "b": [3, 4]}).mean(), [{"a": 1.5, "b": 3.5}]),
    "missing values of pandas": (lambda _: {"a": pd.NaT, "b": pd.NA, "c": 1}, [{"a": None, "b": None, "c": 1}]),
    "own id": (lambda game: {"game_id": game.id, "a": 1}, [{"a": 1}]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_a_function_may_give(folder: Path, name: str) -> None:
    """A mapping, a value, several rows, a table, a frame or nothing: the rows stand beside their game's id."""
    fn, rows = SHAPES[name]
    found = map_games(folder, fn)
    ids = rl.Store(folder).games()["game_id"].to_list()
    assert found.table.to_pylist() == [{"game_id": one, **row, "error": None} for one in ids for row in rows]


WRONG: dict[str, tuple[Callable[..., object], str]] = {
    "object": (lambda _: object(), "object was returned; return a dict"),
    "set": (lambda _: {1, 2}, "set was returned"),
    "list of numbers": (lambda _: [1, 2], "list was returned"),
    "column of objects": (lambda _: {"a": object()}, "column 'a' cannot be stored"),
    "number as name": (lambda _: {1: 2}, "a column's name is a text"),
    "reserved name": (lambda _: {"error": 2}, "call it otherwise"),
    "another game": (lambda _: {"game_id": "other"}, "rows of another game"),
    "raises": (lambda game: 1 // (len(game) * 0), "by zero (test_batch"),
    "leaves": (lambda _: sys.exit("enough"), "SystemExit: enough"),
    "wrong arguments": (lambda _, more: more, "TypeError: "),
}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", WRONG)
def test_what_goes_wrong_is_a_row_of_its_game(folder: Path, name: str, workers: int) -> None:
    """A function that raises or gives no rows fails for its game alone, which has the reason; the others are there."""
    wrong, reason = WRONG[name]
    bad = rl.Store(folder).game_ids()[4]
    found = map_games(folder, lambda game: wrong(game) if game.id == bad else {"a": 1}, workers=workers)
    if name == "wrong arguments":
        found = map_games(folder, wrong, where=Selection(ids=[bad]))
    assert found.failed["game_id"].to_pylist() == [bad]
    assert reason in found.failed["error"][0].as_py()
    assert found.manifest.failed == 1
    assert not found.ok
    if name != "wrong arguments":
        assert found.table["a"].null_count == 1
        assert found.table["game_id"].to_pylist() == rl.Store(folder).games()["game_id"].to_list()


def test_nan_stays_nan(folder: Path) -> None:
    """A NaN that a function gives is kept as one, and is not taken for a missing value."""
    table = map_games(folder, lambda _: {"x": float("nan")}).table
    assert table["x"].null_count == 0
    assert all(np.isnan(table["x"].to_pylist()))


def test_kinds_widen_and_never_lose(folder: Path) -> None:
    """Whole numbers beside floats become floats, beside Decimals Decimals; a Decimal never becomes a float."""
    first, second = rl.Store(folder).games()["game_id"].to_list()[:2]
    exact = Decimal("1.000000000000000000000001")
    found = map_games(folder, lambda game: exact if game.id == first else 0)
    assert found.table["value"][0].as_py() == exact
    assert found.table["value"][1].as_py() == Decimal(0)
    mixed = map_games(folder, lambda game: 0.5 if game.id == second else exact)
    assert mixed.failed["game_id"].to_pylist() == [second]
    assert "return one kind of value" in mixed.failed["error"][0].as_py()
    wide = map_games(folder, lambda game: 2**60 + 1 if game.id == first else 0.5)
    assert wide.failed["game_id"].to_pylist() == [first]


def test_a_dead_worker_costs_nothing_but_time(folder: Path, tmp_path: Path) -> None:
    """A worker that is killed once is replaced, and its games are done by another."""
    once = tmp_path / "once"

    def dies_once(game: rl.Game) -> int:
        try:
            once.touch(exist_ok=False)
        except FileExistsError:
            return len(game)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    found = map_games(folder, dies_once, workers=2)
    assert found.ok
    assert found.table["value"].to_pylist() == rl.Store(folder).games()["rows"].to_list()
    assert not multiprocessing.active_children()


def test_a_game_that_kills_its_worker_is_a_row(folder: Path) -> None:
    """Of the games that a dying worker had, only the one that kills it fails."""
    bad = rl.Store(folder).game_ids()[4]
    found = map_games(folder, lambda game: os._exit(3) if game.id == bad else 1, workers=2)
    assert found.failed.to_pylist() == [
        {"game_id": bad, "error": "WorkerFailed: the process that worked on it died (exit code 3)"}
    ]


def test_an_executor_that_dies(folder: Path, tmp_path: Path) -> None:
    """An executor that ends stops the run with an error; what it had finished is kept, and another goes on."""
    with ProcessPoolExecutor(1) as executor, pytest.raises(errors.WorkerFailed, match="run again with a new one"):
        map_games(folder, lambda _: os._exit(3), executor=executor)
    with ThreadPoolExecutor(1) as ended:
        pass
    with pytest.raises(errors.WorkerFailed, match="after shutdown"):
        map_games(folder, len, executor=ended, cache=tmp_path)


def test_a_function_that_cannot_travel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be pickled is refused before the work; processes of this machine need no pickling at all."""
    held = io.FileIO(os.devnull)

    def reads(game: rl.Game) -> int:
        return len(game) + held.fileno() * 0

    assert map_games(folder, reads, workers=2).ok
    with spawned() as executor:
        with pytest.raises(errors.AnalysisError, match="cannot be sent to the executor"):
            map_games(folder, reads, executor=executor)
        monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(errors.AnalysisError, match="by value"):
            map_games(folder, lambda game: len(game), executor=executor)  # noqa: PLW0108 that it is a lambda matters
    held.close()


@pytest.mark.parametrize("given", ["not a function", 7])
def test_no_function(folder: Path, given: Any) -> None:
    """What cannot be called is refused at once."""
    with pytest.raises(errors.AnalysisError, match="cannot be called"):
        map_games(folder, given)


def test_no_executor_and_no_store(folder: Path) -> None:
    """An object without `submit` is no executor, one without games no store; each is refused by name."""
    with pytest.raises(errors.AnalysisError, match="no submit"):
        map_games(folder, len, executor=object())
    with pytest.raises(errors.AnalysisError, match="no store"):
        map_games(7, len)  # type: ignore[arg-type]
    with pytest.raises(errors.SettingsError, match="workers"):
        map_games(folder, len, workers=0)


def damaged(folder: Path, target: Path, position: Callable[[int], int]) -> Path:
    """A copy of a store with one byte of its first segment changed."""
    (target / "segments").mkdir(parents=True)
    for number, path in enumerate(sorted((folder / "segments").iterdir())):
        data = bytearray(path.read_bytes())
        if number == 0:
            data[position(len(data))] ^= 0xFF
        (target / "segments" / path.name).write_bytes(data)
    return target


def test_a_damaged_page_fails_its_games_alone(folder: Path, tmp_path: Path) -> None:
    """Games on a damaged page are rows with the reason, all others are done; the summary names what it leaves out."""
    copy = damaged(folder, tmp_path / "copy", lambda size: size // 8)
    lost = set(rl.Store(copy).segments()[0].rows_of)
    found = map_games(copy, len, workers=2)
    assert set(found.failed["game_id"].to_pylist()) == lost
    assert all(reason.startswith("SegmentDamaged: ") for reason in found.failed["error"].to_pylist())
    assert found.manifest.computed == 13 - len(lost)
    found_again = summarise(copy)
    assert set(found_again.attrs["left_out"]) == lost
    assert len(found_again) == 13 - len(lost)


def test_a_damaged_footer_is_named(folder: Path, tmp_path: Path) -> None:
    """A segment whose footer cannot be read is named in the manifest, and the results are not called whole."""
    copy = damaged(folder, tmp_path / "copy", lambda size: size - 20)
    found = map_games(copy, len)
    assert len(found.manifest.left_out) == 1
    assert not found.ok
    assert "1 segment left out" in repr(found)


def test_compaction_in_the_middle(folder: Path, tmp_path: Path) -> None:
    """A compaction that removes the segments while they are read costs no game and doubles none."""
    for number in (1, 2, 3):
        quiet(simulated(tmp_path / str(number), games=2, seed=number), tmp_path / "store")
    store = rl.Store(tmp_path / "store")
    expected = store.games()["rows"].to_list()
    first = store.games()["game_id"][0]

    def compacts(game: rl.Game) -> int:
        if game.id == first:
            rl.compact(tmp_path / "store", progress=False)
        return len(game)

    found = map_games(store, compacts, workers=1)
    assert len(store.segments()) == 1
    assert found.ok
    assert found.table["value"].to_pylist() == expected


def test_results_are_saved_with_their_manifest(folder: Path, tmp_path: Path) -> None:
    """Parquet holds the rows and the manifest, which says inputs, digests, versions and counts; it comes back equal."""
    found = map_games(folder, shape, parameters={"least": 150}, cache=tmp_path / "cache")
    path = found.save(tmp_path / "new" / "results.parquet")
    again = Results.load(path)
    assert again.table.equals(found.table)
    assert again.manifest == found.manifest
    assert pq.read_table(path)["peak"].to_pylist() == found.table["peak"].to_pylist()
    manifest = json.loads((tmp_path / "new" / "results.manifest.json").read_text(encoding="utf-8"))
    assert manifest["segments"] == [segment.name for segment in rl.Store(folder).segments()]
    assert manifest["parameters"] == {"least": 150}
    assert manifest["versions"]["replaylab"] == rl.__version__
    assert "def shape" in manifest["source"]
    assert (manifest["games"], manifest["rows"], manifest["complete"]) == (13, rl.Store(folder).rows, True)
    assert len(manifest["function_digest"]) == 32
    with pytest.raises(errors.AnalysisError, match="ends in"):
        found.save(tmp_path / "results.csv")
    with pytest.raises(errors.AnalysisError, match="no results"):
        Results.load(rl.Store(folder).segments()[0].path)


def test_frame_keeps_what_was_given(folder: Path) -> None:
    """The pandas frame has exact Decimals and whole numbers that may be missing, and counts in its attributes."""
    frame = map_games(
        folder, lambda game: {"n": None if game.id.endswith("spread") else 1, "d": Decimal("0.1")}
    ).frame()
    assert str(frame["n"].dtype) == "Int64"
    assert set(frame["d"]) == {Decimal("0.1")}
    assert frame.attrs["n_games"] == 13


def test_flags_and_large_numbers_may_be_missing(folder: Path) -> None:
    """Where a game failed its flag is missing and not an object, and numbers up to 2^64 stay whole."""
    bad = rl.Store(folder).game_ids()[4]

    def fn(game: rl.Game) -> dict[str, Any]:
        if game.id == bad:
            raise ValueError(bad)
        return {"long": len(game) > 100, "large": np.uint64(2**64 - 1)}

    frame = map_games(folder, fn).frame()
    assert (str(frame["long"].dtype), str(frame["large"].dtype)) == ("boolean", "UInt64")
    assert frame["large"].dropna().unique().tolist() == [2**64 - 1]
    assert len(frame[frame["long"]]) == frame["long"].sum()


PRINTS = """
import sys
from replaylab.analysis import map_games
from replaylab.analysis.batches import parts

parts.ROW_GROUP_ROWS = 1
print("before")
found = map_games(sys.argv[1], lambda game: print(game.id), workers=2)
"""


BESIDE_A_THREAD = """
import functools, sys, threading
from replaylab.analysis import map_games
from replaylab.analysis.batches import parts

parts.ROW_GROUP_ROWS = 1
begun, ended = threading.Event(), threading.Event()

class Slow:
    def __init__(self, wait):
        self.wait = wait

    @functools.cached_property
    def value(self):
        if self.wait:
            begun.set()
            ended.wait(240)
        return 1

thread = threading.Thread(target=lambda: Slow(True).value)
thread.start()
begun.wait()
print(map_games(sys.argv[1], lambda game: Slow(False).value, workers=2).ok)
ended.set()
"""


def test_a_thread_that_computes_does_not_stop_the_workers(folder: Path) -> None:
    """A thread that is inside a cached property when workers are forked, as a recorder's may be, keeps none waiting."""
    command = [sys.executable, "-c", BESIDE_A_THREAD, str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=240)
    assert said.stdout.split() == ["True"]


def test_what_a_function_prints_is_not_lost(folder: Path) -> None:
    """A function that prints in a worker is read once a game, also where the output goes to a file."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    said = subprocess.run(
        [sys.executable, "-c", PRINTS, folder], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert sorted(said) == sorted(["before", *rl.Store(folder).game_ids()])


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_counts_the_games(folder: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """The bar goes over the games that are to be done, and reaches its end."""
    bars: list[tuple[int, list[int]]] = []

    @contextmanager
    def bar(total: int, task: str, unit: str, *, show: bool) -> Iterator[Any]:
        assert (task, unit, show) == ("map", "game", True)
        bars.append((total, []))
        yield SimpleNamespace(update=bars[-1][1].append)

    monkeypatch.setattr("replaylab.analysis.batches.run.bar", bar)
    map_games(folder, len, workers=workers, progress=True)
    assert [(total, sum(steps)) for total, steps in bars] == [(13, 13)]
    assert len(bars[0][1]) > 1


def test_results_show_themselves(folder: Path) -> None:
    """A cell shows how many games stand behind the rows, and the first of them."""
    found = map_games(folder, lambda _: 1)
    assert repr(found) == (f"Results(13 rows of 13 games and {found.n_rows:,} ticks: 13 computed, 0 cached, 0 failed)")
    assert "20310102-spread" in found._repr_html_()


@pytest.fixture
def interrupting() -> Iterator[Callable[[rl.Game], int]]:
    """A function that is interrupted at its eighth game."""
    seen = []

    def counts(game: rl.Game) -> int:
        seen.append(game.id)
        if len(seen) == 8:
            raise KeyboardInterrupt
        return len(game)

    yield counts
    assert len(seen) >= 8


def test_interrupt_hands_over_what_was_finished(folder: Path, interrupting: Callable[[rl.Game], int]) -> None:
    """Ctrl-C is still a KeyboardInterrupt, and brings the rows of the games that were finished."""
    with pytest.raises(KeyboardInterrupt, match="7 of 13 games were finished and are in") as caught:
        map_games(folder, interrupting, workers=1)
    assert isinstance(caught.value, Interrupted)
    assert not isinstance(caught.value, Exception)
    assert len(caught.value.results) == 7
    assert not caught.value.results.manifest.complete
    assert "6 not reached" in repr(caught.value.results)


def test_games_have_their_summary_and_path(folder: Path) -> None:
    """The summary and the price path that a game of a batch has are those that it has when it is opened alone."""
    store = rl.Store(folder)

    def both(game: rl.Game) -> dict[str, object]:
        tick, price = game.path
        own = {name: str(value) for name, value in game.summary.items()}
        return {"summary": str(own), "ticks": tick.tobytes(), "prices": price.tobytes()}

    found = {row["game_id"]: row for row in map_games(store, both, workers=1).table.to_pylist()}
    assert len(found) == 13
    for game in store:
        assert {"game_id": game.id, **both(game), "error": None} == found[game.id]
    known = rl.analysis.paths(store)
    for place, game_id in enumerate(known.game_ids):
        assert found[game_id]["prices"] == known.of(place)[1].tobytes()
