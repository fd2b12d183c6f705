"""A store that is read again and again while its journals grow: at every moment it is what a fresh reader sees."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replaylab as rl
from replaylab import errors
from replaylab.encryption.kms import FileKey
from replaylab.mark import Mark, MarkKind
from replaylab.segments.segment import Segment
from replaylab.storage import summary_cache
from replaylab.storage.game_summary import summarise
from tests.crash.scale import SCALE
from tests.recordings import START, crash, journals, small, tick, ticks

KINDS = ["plain", "encrypted"]


class Recorded:
    """Two journals of one run in which games take turns, and a store into which they are put byte by byte."""

    def __init__(self, folder: Path, *, encrypted: bool) -> None:
        self.folder = folder
        self.kms = FileKey(folder / "key", create=True) if encrypted else None
        recorder = rl.Recorder(folder / "from", kms=self.kms, settings=small())
        recorder._lifecycle.sealer.wake = lambda: None  # type: ignore[method-assign]
        for number in range(40):
            recorder.record(tick(number, game=f"g{number % 3}", timestamp=START + timedelta(seconds=number % 7)))
            if number == 9:
                recorder.mark(Mark(MarkKind.PHASE, START, "g1", detail={"phase": "presale"}))
            if number == 25:
                recorder.flush()
                with recorder._state.lock:
                    recorder._state.turn()
        recorder.record(tick(41, game="g4", active=False, rugged=True))
        recorder.flush()
        crash(recorder)
        self.names = [one.name for one in journals(folder / "from")]
        self.bytes = [one.read_bytes() for one in journals(folder / "from")]
        assert len(self.names) == 2

    def store(self, name: str) -> Path:
        """Return a new store with the keys of that which was recorded into, and nothing in it."""
        root = self.folder / name
        shutil.rmtree(root, ignore_errors=True)
        for one in ("journals", "segments"):
            (root / one).mkdir(parents=True)
        if self.kms is not None:
            shutil.copy(self.folder / "from" / "keys.json", root)
        return root

    def opened(self, root: Path) -> rl.Store:
        """Return a store as a fresh reader sees it."""
        return rl.Store(root, kms=self.kms)


@pytest.fixture(scope="module", params=KINDS)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """What was recorded, in plain and encrypted."""
    return Recorded(tmp_path_factory.mktemp("recorded"), encrypted=request.param == "encrypted")


def seen(store: rl.Store) -> dict[str, Any]:
    """Return all that a store says."""
    return {
        "games": store.games_table().to_pylist(),
        "segments": [(one.name, one.footer) for one in store.segments()],
        "rows": store.to_arrow(damaged="skip").to_pylist(),
        "remarks": store.remarks().to_pylist(),
        "each": [store[name].ticks().to_pylist() for name in store.game_ids()],
        "recordings": store._listing.recordings(),
        "damaged": dict(store.damaged),
    }


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), st.integers(1, 3000)),
        st.tuples(st.just("flip"), st.integers(1, 400)),
        st.tuples(st.just("replace"), st.integers(0, 400)),
        st.tuples(st.just("seal"), st.just(0)),
    ),
    max_size=7,
)


@settings(max_examples=10 * SCALE)
@given(steps=STEPS)
def test_at_every_moment_as_a_fresh_reader_sees_it(recorded: Recorded, steps: list[tuple[str, int]]) -> None:
    """Grown by any bytes, damaged in what is new, replaced by a shorter one, sealed: what is kept changes no answer."""
    root, contents = recorded.store("growing"), [bytearray(one) for one in recorded.bytes]
    kept, number, size = recorded.opened(root), 0, 0
    for step, amount in steps:
        path, content = root / "journals" / recorded.names[number], contents[number]
        if step == "grow":
            size += amount
        elif step == "flip" and size < len(content):
            content[min(size + amount, len(content) - 1)] ^= 4  # is read with what the journal grows by
            size += amount
        elif step == "replace":
            size = max(0, size - amount)
            path.unlink(missing_ok=True)
        size = min(size, len(content))
        with path.open("ab") as file:
            file.write(content[file.tell() : size])
        if step == "seal" and size:
            rl.open_store(root, kms=recorded.kms)
            size = len(content)
        if size == len(content) and number == 0:
            number, size = 1, 0
        assert seen(kept) == seen(recorded.opened(root))


def test_a_line_that_comes_byte_by_byte(recorded: Recorded) -> None:
    """The torn last line of a journal that is being written is no tick until all of it is there, and then is one."""
    root, name, content = recorded.store("torn"), recorded.names[0], recorded.bytes[0]
    kept, path = recorded.opened(root), root / "journals" / recorded.names[0]
    ends = [at + 1 for at, byte in enumerate(content) if byte == 10]
    for size in [ends[4], *range(ends[5] - 9, ends[5] + 3), *range(ends[6] - 3, ends[6] + 1)]:
        with path.open("ab") as file:
            file.write(content[file.tell() : size])
        lines = sum(end <= size for end in ends)
        fresh = recorded.opened(root)
        assert seen(kept) == seen(fresh)
        assert kept.segments()[0].name == f"{name}:{ends[lines - 1]}"


def test_only_games_that_grow_are_summed_up_again(tmp_path: Path) -> None:
    """Of a journal with games that have ended, a look reads the rows of the one that goes on, and no other."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        recorder._lifecycle.sealer.wake = lambda: None  # type: ignore[method-assign]
        for number in range(20):
            recorder.record_many(ticks(30, game=f"g{number:02}"))
        store, summed = rl.Store(tmp_path), []
        assert len(store.games_table()) == 20

        def counted(table: Any) -> Any:
            summed.append((sorted(set(table["game_id"].to_pylist())), table.num_rows))
            return summarise(table)

        recorder.record_many(ticks(2, game="g07", first=30))
        with (
            mock.patch.object(summary_cache, "summarise", counted),
            mock.patch.object(Segment, "read", side_effect=AssertionError("all rows of a journal were read")),
        ):
            table = store.games_table()
        assert summed == [(["g07"], 32)]
        assert table.to_pylist() == rl.Store(tmp_path).games_table().to_pylist()


def test_a_store_that_is_held(tmp_path: Path) -> None:
    """Questions to it are about one moment; its own store goes on."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        recorder.record_many(ticks(5))
        store = rl.Store(tmp_path)
        held = store.held()
        before = seen(held)
        recorder.record_many(ticks(5, game="later"))
        assert seen(held) == before
        assert (held.rows, store.rows, len(held.games()), len(store.games())) == (5, 10, 1, 2)
    assert seen(held) == before  # sealed since: what it holds is in memory


def test_a_store_that_is_held_too_long(tmp_path: Path) -> None:
    """Once its files are compacted, a store that is held says so; its own store reads on."""
    for game in ("a", "b"):
        with rl.Recorder(tmp_path, settings=small()) as recorder:
            recorder.record_many(ticks(5, game=game))
    store = rl.Store(tmp_path)
    held = store.held()
    rl.compact(tmp_path, progress=False)
    with pytest.raises(errors.StoreBusy):
        held.to_arrow()
    assert store.to_arrow().num_rows == 10
