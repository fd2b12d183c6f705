"""Laws of the store: however recordings come, are broken off, compacted and come again, the rows are the same."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

import replaylab as rl
from replaylab import compact as compact_function
from replaylab.conversion import plan as planning
from replaylab.durable import publish
from replaylab.simulation.simulate import simulate
from tests.stores import quiet, rows

DAMAGE = ("two_writers", "torn_end", "double_tick", "time_backwards", "swapped_rows", "crlf", "comments")


class Killed(BaseException):
    """Stands for the end of the process."""


@contextmanager
def killed_at(point: int | None) -> Iterator[None]:
    """End the work at the n-th file that is about to be published."""
    left = [point or -1]

    def publish_until(aside: Path, final: Path, *, private: bool = False) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed
        publish(aside, final, private=private)

    names = ("replaylab.segments.remarks.publish", "replaylab.segments.segment.publish")
    with (
        mock.patch(names[0], publish_until),
        mock.patch(names[1], publish_until),
        suppress(Killed),
    ):
        yield


def of_rows(found: Counter[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """Give rows without their place in a file: sequence, line, and whether the line was repaired, stay behind."""
    return Counter(row[:1] + row[2:-2] for row in found.elements())


@st.composite
def histories(draw: st.DrawFn) -> tuple[int, list[tuple[str, int, int | None]]]:
    """Give a seed and a list of steps: convert some files, compact, grow a file, each perhaps broken off."""
    step = st.tuples(
        st.sampled_from(["all", "one", "compact", "grow", "rename"]),
        st.integers(0, 5),
        st.none() | st.integers(1, 6),
    )
    return draw(st.integers(0, 5)), draw(st.lists(step, min_size=1, max_size=8))


@settings(max_examples=30)
@given(history=histories(), job_bytes=st.sampled_from([20_000, 60_000, 10_000_000]))
def test_any_history_gives_the_same_rows(
    history: tuple[int, list[tuple[str, int, int | None]]], job_bytes: int
) -> None:
    """Any order of conversions, growth, renaming, compactions and kills ends in the rows of one undisturbed run."""
    seed, steps = history
    with tempfile.TemporaryDirectory() as temporary, mock.patch.object(planning, "JOB_BYTES", job_bytes):
        folder = Path(temporary)
        finals = simulate(folder / "final", games=3, seed=seed, damage=DAMAGE[: seed + 1])
        growing = folder / "r"
        growing.mkdir()
        paths = [growing / path.name for path in finals]
        for path, final in zip(paths, finals, strict=True):
            path.write_bytes(first_lines(final.read_bytes(), 3 + seed))
        for what, number, point in steps:
            at = number % len(paths)
            with killed_at(point):
                if what == "all":
                    assert quiet(growing, folder / "store").balanced
                elif what == "one":
                    assert quiet(paths[at], folder / "store").balanced
                elif what == "compact" and (folder / "store" / "segments").is_dir():
                    compact_function(folder / "store", progress=False)
                elif what == "grow":
                    more = first_lines(finals[at].read_bytes(), 40 * (number + 1))
                    paths[at].write_bytes(more) if len(more) > paths[at].stat().st_size else None
                elif what == "rename":
                    paths[at] = paths[at].rename(paths[at].with_name(f"{number}-{paths[at].name}"))
            if (folder / "store" / "segments").is_dir():
                check = rl.open_store(folder / "store").verify()
                assert check.problems == [], str(check)  # parts may be missing until it is run again
        for path, final in zip(paths, finals, strict=True):
            shutil.copy(final, path)
        assert quiet(growing, folder / "store").balanced
        quiet(folder / "final", folder / "whole")
        assert rows(folder / "store") == rows(folder / "whole")
        assert quiet(folder / "final", folder / "store").ticks_stored == 0
        held(folder / "store")


def first_lines(data: bytes, count: int) -> bytes:
    """Give the first lines of a recording: at least a kibibyte, by which it is known under any name."""
    lines = data.splitlines(keepends=True)
    while len(b"".join(lines[:count])) < 1_100:
        count += 1
    return b"".join(lines[:count])


def held(store: Path) -> None:
    """Check what holds for every store: order of each source kept, paths strictly rising, accounts that add up."""
    opened = rl.open_store(store)
    for game in opened:
        ticks = game.ticks()
        for source in set(ticks.column("source").to_pylist()):
            places = [row["seq"] for row in ticks.to_pylist() if row["source"] == source]
            assert places == sorted(places)
            assert len(set(places)) == len(places)
        path = game.prices().column("tick").to_pylist()
        assert all(before < after for before, after in pairwise(path))
        assert game.live().column("tick").to_pylist() == sorted(set(game.live().column("tick").to_pylist()))
    extents = opened.extents()
    assert sum(extent.tick_count for extent in extents) == opened.rows
    assert all(sum(extent.bytes.values()) == extent.end - extent.start for extent in extents)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 5),
    cuts=st.lists(st.integers(0, 900), max_size=5),
    order=st.randoms(use_true_random=False),
)
def test_any_split_over_files_gives_the_same_rows(seed: int, cuts: list[int], order: Any) -> None:
    """A recording cut into files at any line ends, converted in any order, gives the same ticks as the whole."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        damaged = simulate(folder / "whole", games=3, seed=seed, damage=["double_tick", "time_backwards"])
        lines = [one for path in damaged for one in path.read_bytes().splitlines(keepends=True)]
        whole = folder / "whole.jsonl"
        whole.write_bytes(b"".join(lines))
        bounds = sorted({0, len(lines), *(min(cut, len(lines)) for cut in cuts)})
        parts = []
        for number, (first, last) in enumerate(pairwise(bounds)):
            parts.append(folder / f"{number}.jsonl")
            parts[-1].write_bytes(b"".join(lines[first:last]))
        order.shuffle(parts)
        for part in parts:
            assert quiet(part, folder / "parts").balanced
        quiet(whole, folder / "one")
        assert of_rows(rows(folder / "parts")) == of_rows(rows(folder / "one"))
        one, split = rl.open_store(folder / "one"), rl.open_store(folder / "parts")
        assert [game.prices() for game in split] == [game.prices() for game in one]
        held(folder / "parts")
