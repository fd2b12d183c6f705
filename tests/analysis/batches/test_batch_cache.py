"""The cache of a batch: a rerun computes what changed and nothing else, and an interrupted run goes on."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import replaylab as rl
from replaylab import errors
from replaylab.analysis import map_games, summarise
from replaylab.analysis.batches import fingerprint as fingerprints
from replaylab.analysis.batches import parts
from replaylab.segments.digest import file_digest
from tests.stores import game_lines, quiet, run_child, simulated, start_child

FACTOR = 2


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of 6 games in two segments, cut into several parts."""
    monkeypatch.setattr(parts, "ROW_GROUP_ROWS", 300)
    for seed in (1, 2):
        quiet(simulated(tmp_path / str(seed), games=3, seed=seed), tmp_path / "store")
    return tmp_path / "store"


def counts(store: Path, cache: Path, fn: Callable[..., object] = len, **options: Any) -> tuple[int, int]:
    """How many games a run computed, and how many it found; the rows must be those of a run without a cache."""
    found = map_games(store, fn, cache=cache, progress=False, **options)
    fresh = map_games(store, fn, progress=False, **options)
    assert found.table.equals(fresh.table)
    return found.manifest.computed, found.manifest.cached


def test_a_rerun_computes_nothing(store: Path, tmp_path: Path) -> None:
    """The second run finds every game, also by another executor; without a cache nothing is written anywhere."""
    before = sorted(tmp_path.rglob("*"))
    map_games(store, len)
    assert sorted(tmp_path.rglob("*")) == before
    assert counts(store, tmp_path / "cache") == (6, 0)
    assert counts(store, tmp_path / "cache", workers=2) == (0, 6)
    assert summarise(store, cache=tmp_path / "cache").equals(summarise(store, cache=tmp_path / "cache"))


def test_only_what_changed_is_computed(store: Path, tmp_path: Path) -> None:
    """New games are computed, and those that gained rows; all others are found."""
    assert counts(store, tmp_path / "cache") == (6, 0)
    (tmp_path / "new").mkdir()
    known = rl.Store(store).game_ids()[0]
    (tmp_path / "new" / "new.jsonl").write_bytes(b"".join([*game_lines("20310103-new", 20), *game_lines(known, 5)]))
    quiet(tmp_path / "new", store)
    assert counts(store, tmp_path / "cache") == (2, 5)


def test_the_function_and_what_it_is_given_count(store: Path, tmp_path: Path) -> None:
    """Another function, parameter or version is another result."""
    cache = tmp_path / "cache"

    def times(game: rl.Game, factor: int) -> int:
        return len(game) * factor

    assert counts(store, cache, times, parameters={"factor": 2}) == (6, 0)
    assert counts(store, cache, times, parameters={"factor": 3}) == (6, 0)
    assert counts(store, cache, times, parameters={"factor": 2}) == (0, 6)
    assert counts(store, cache, lambda game, factor: len(game) + factor, parameters={"factor": 2}) == (6, 0)


def test_a_new_version_counts(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade nothing is taken from before it."""
    assert counts(store, tmp_path / "cache") == (6, 0)
    monkeypatch.setattr(np, "__version__", "99.0")
    assert counts(store, tmp_path / "cache") == (6, 0)


def test_failures_are_tried_again(store: Path, tmp_path: Path) -> None:
    """A game that failed is not kept: the next run tries it again, and only it."""
    bad = rl.Store(store).game_ids()[2]

    def fails(game: rl.Game) -> int:
        return len(game) // (game.id != bad)

    found = map_games(store, fails, cache=tmp_path / "cache")
    assert (found.manifest.computed, found.manifest.failed) == (5, 1)
    again = map_games(store, fails, cache=tmp_path / "cache")
    assert (again.manifest.cached, again.manifest.computed, again.manifest.failed) == (5, 0, 1)
    assert again.table.equals(found.table)


@pytest.mark.parametrize("harm", ["cut short", "one bit", "empty", "foreign"])
def test_a_damaged_file_counts_as_not_there(store: Path, tmp_path: Path, harm: str) -> None:
    """A file of the cache that is not what was written is computed anew, never read."""
    counts(store, tmp_path / "cache")
    files = sorted((tmp_path / "cache").rglob("*.arrows"))
    data = files[0].read_bytes()
    flipped = data[:100] + bytes([data[100] ^ 1]) + data[101:]
    files[0].write_bytes({"cut short": data[:-9], "one bit": flipped, "empty": b"", "foreign": b"hello"}[harm])
    computed, cached = counts(store, tmp_path / "cache")
    assert computed > 0
    assert computed + cached == 6
    assert counts(store, tmp_path / "cache") == (0, 6)


def test_a_cache_that_is_no_folder(store: Path, tmp_path: Path) -> None:
    """A file in the place of the folder is refused before the work."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(errors.AnalysisError, match="is a file"):
        map_games(store, len, cache=tmp_path / "file")


def test_what_has_no_digest_is_refused(store: Path, tmp_path: Path) -> None:
    """A function over an open file cannot be told from another one: it has no place in a cache, and works without."""
    with (tmp_path / "open").open("w") as file:

        def writes(game: rl.Game) -> int:
            return file.fileno() * 0 + len(game)

        with pytest.raises(errors.AnalysisError, match="has no digest"):
            map_games(store, writes, cache=tmp_path / "cache")
        assert map_games(store, writes).ok


def test_all_kinds_of_values_come_back(store: Path, tmp_path: Path) -> None:
    """Columns whose types differ from game to game come back from the cache as they were."""
    values: list[Any] = [1, 2.5, None, 3, float("nan"), 7]
    ids = rl.Store(store).game_ids()

    def value(game: rl.Game) -> Any:
        return {"x": values[ids.index(game.id)], "d": Decimal("0.100"), "l": [game.id]}

    first = map_games(store, value, cache=tmp_path / "cache").table
    again = map_games(store, value, cache=tmp_path / "cache")
    assert again.manifest.computed == 0
    assert str(again.table) == str(first)
    assert again.table.schema == first.schema


INTERRUPTED = """
import sys, time
from pathlib import Path
import replaylab as rl
from replaylab.analysis import Interrupted, map_games
from replaylab.analysis.batches import parts

parts.ROW_GROUP_ROWS = 1
store, cache, started, slow = sys.argv[1:]

def slowly(game):
    Path(started).touch()
    time.sleep(float(slow))
    while Path(started + ".hold").exists() and len(list(Path(cache).glob("*/*.arrows"))) >= 2:
        time.sleep(0.01)
    return len(game)

try:
    found = map_games(store, slowly, cache=cache, workers=2)
    print(found.manifest.computed, found.manifest.cached, found.ok)
except Interrupted as stop:
    print("interrupted", stop.results.manifest.computed, stop)
"""


def test_interrupt_and_go_on(tmp_path: Path) -> None:
    """Ctrl-C in the middle ends the workers and keeps what was finished; the next run computes only the rest."""
    quiet(simulated(tmp_path / "recordings", games=12, seed=1), tmp_path / "store")
    arguments = (tmp_path / "store", tmp_path / "cache", tmp_path / "started", 0.1)
    (tmp_path / "started.hold").touch()  # after the second game no other ends before the interrupt
    child = start_child(INTERRUPTED, *arguments)
    waited = time.monotonic() + 240
    while len(list(tmp_path.glob("cache/*/*.arrows"))) < 2 and time.monotonic() < waited:  # the first is counted then
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    said, problems = child.communicate(timeout=240)
    assert said.startswith("interrupted"), problems
    assert "run again to go on" in said
    done = int(said.split()[1])
    assert 0 < done < 12
    (tmp_path / "started.hold").unlink()
    again = run_child(INTERRUPTED, *arguments)
    computed, cached, fine = again.stdout.split()
    assert (int(computed) + int(cached), fine) == (12, "True"), again.stderr
    assert int(cached) >= done  # one more when the interrupt came between keeping and counting it


def test_workers_die_with_their_leader(tmp_path: Path) -> None:
    """A run that is killed leaves no process behind."""
    quiet(simulated(tmp_path / "recordings", games=4, seed=1), tmp_path / "store")
    child = start_child(INTERRUPTED, tmp_path / "store", tmp_path / "cache", tmp_path / "started", 60)
    waited = time.monotonic() + 240
    while not (tmp_path / "started").exists() and time.monotonic() < waited:
        time.sleep(0.02)
    workers = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text(encoding="utf-8").split()
    assert workers
    child.kill()
    child.communicate(timeout=240)
    while any(Path("/proc", one).exists() for one in workers) and time.monotonic() < waited:
        time.sleep(0.02)
    assert not any(Path("/proc", one).exists() for one in workers)


def digest(*values: object) -> str:
    """The digest alone."""
    return fingerprints.fingerprint(*values)[0]


def doubled(value: int) -> int:
    """A helper that names a global."""
    return value * FACTOR


def uses_helper(game: rl.Game) -> int:
    """A function whose helper names a global."""
    return doubled(len(game))


def test_helpers_and_their_globals_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change in a helper of a helper, or in a constant that it names, is a change of the function."""
    before = digest(uses_helper)
    assert before == digest(uses_helper)
    monkeypatch.setitem(doubled.__globals__, "FACTOR", 3)
    assert digest(uses_helper) != before
    monkeypatch.undo()
    assert digest(uses_helper) == before
    monkeypatch.setitem(doubled.__globals__, "doubled", lambda value: value)
    assert digest(uses_helper) != before


class Kind(Enum):
    """Two things that differ by name."""

    ONE = 1
    TWO = 2


class Ratio:
    """A strategy with state, and a method that counts."""

    def __init__(self, of: int) -> None:
        self.of = of

    def __call__(self, game: rl.Game) -> int:
        """Return the share."""
        return len(game) // self.of

    def method(self, game: rl.Game) -> int:
        """Call itself."""
        return self(game)


def test_comments_and_places_do_not_count() -> None:
    """The same code elsewhere, with other comments, is the same function."""
    spaces: list[dict[str, Any]] = [{}, {}]
    exec("def fn(game):\n    return len(game) + 1\n", spaces[0])
    exec("\n\n# moved\ndef fn(game):\n    # explained\n    return len(game) + 1\n", spaces[1])
    assert digest(spaces[0]["fn"]) == digest(spaces[1]["fn"])


DIFFERENT: dict[str, tuple[object, object]] = {
    "default": (lambda n=1: n, lambda n=2: n),
    "partial": (functools.partial(doubled, 1), functools.partial(doubled, 2)),
    "state": (Ratio(2), Ratio(3)),
    "method": (Ratio(2).method, Ratio(3).method),
    "enum": (Kind.ONE, Kind.TWO),
    "array": (np.array([1, 2]), np.array([1, 3])),
    "shape": (np.array([[1, 2]]), np.array([[1], [2]])),
    "set": ({1, 2}, {1, 3}),
    "mapping": ({"a": 1}, {"a": 2}),
    "decimal": (Decimal("1.0"), Decimal("1.00")),
    "type": (1, True),
    "text": ("ab", "a"),
    "table": (pa.table({"a": [1]}), pa.table({"a": [2]})),
    "joined texts": (["ab", "c"], ["a", "bc"]),
    "constant in a nested function": (lambda g: [x + 1 for x in g], lambda g: [x + 2 for x in g]),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_things_differ(name: str) -> None:
    """Whatever can make a result differ makes the digest differ, and the same thing has the same digest."""
    one, other = DIFFERENT[name]
    assert digest(one) != digest(other)
    assert digest(one) == digest(one)


def test_order_of_sets_and_mappings_does_not_count() -> None:
    """A set and a mapping have one digest in every process, whatever their order there."""
    code = (
        "from replaylab.analysis.batches.fingerprint import fingerprint\n"
        "print(fingerprint({'a', 'b', 'c'}, {'x': 1, 'y': 2}, lambda g: g in {'p', 'q', 'r'})[0])"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(said) == 1
    assert digest({"x": 1, "y": 2}) == digest({"y": 2, "x": 1})


def test_installed_packages_count_by_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function of an installed package is told by its name and the package's version, which the manifest names."""
    before, packages = fingerprints.fingerprint(np.linalg.norm)
    assert packages == {"numpy": np.__version__}
    monkeypatch.setattr(np, "__version__", "99.0")
    assert fingerprints.fingerprint(np.linalg.norm)[0] != before


@pytest.mark.parametrize("table", [{"a": [1]}, {"game_id": [1]}, {"game_id": ["other"], "a": [1]}])
def test_a_file_of_another_schema_counts_as_not_there(store: Path, tmp_path: Path, table: dict[str, list[Any]]) -> None:
    """A cache file with a right digest that holds something else is no answer, and no error."""
    expected = map_games(store, len, workers=1, cache=tmp_path).table
    for path in tmp_path.rglob("*.arrows"):
        with pa.OSFile(str(path), "wb") as file:
            for _ in range(2):
                made = pa.table(table)
                with pa.ipc.new_stream(file, made.schema) as stream:
                    stream.write_table(made)
        stem = path.name.removesuffix(".arrows").rpartition("_")[0]
        path.rename(path.with_name(f"{stem}_{file_digest(path)}.arrows"))
    assert map_games(store, len, workers=1, cache=tmp_path).table.equals(expected)
