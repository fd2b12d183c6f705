"""The power-cut simulator itself: it finds every planted bug, and clears what is right."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.crash.power import SECTOR_BYTES, PowerCut, power_cut, states
from tests.crash.trace import Names, Note, Sync, Trace, Write

Program = Callable[[Path, Trace], None]


def cuts_of(folder: Path, program: Program, sync: Callable[[int], bool] = lambda _: True) -> list[PowerCut]:
    """Run a program under a trace; give every state after every cut."""
    (folder / "before").mkdir(parents=True)
    trace = Trace(folder, sync)
    with trace.watching():
        program(folder, trace)
    found = {}
    for cut in range(trace.first, len(trace.log) + 1):
        for state in states(lambda choose, cut=cut: power_cut(trace, cut, choose), 300, random.Random(1)):  # type: ignore[misc]
            found[state.key()] = state
    return list(found.values())


def broken(cuts: list[PowerCut], name: str, content: bytes, note: str = "done") -> list[PowerCut]:
    """List the states where a file is not whole though the program said so, or is there in part."""
    return [
        cut
        for cut in cuts
        if (note in cut.notes and cut.tree.get(name) != content) or cut.tree.get(name, content) != content
    ]


def appended(path: Path, *parts: bytes, sync: bool = True) -> None:
    """Append to a file with the calls of the operating system."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for part in parts:
        os.write(file, part)
    if sync:
        os.fsync(file)
    os.close(file)


def folder_synced(folder: Path) -> None:
    """Sync a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def published(folder: Path, trace: Trace, *left_out: str) -> None:
    """Write a file aside and publish it, leaving something out."""
    aside = folder / "aside"
    appended(aside, b"a" * 5_000, b"b" * 5_000, sync="file" not in left_out)
    aside.replace(folder / "final")
    if "folder" not in left_out:
        folder_synced(folder)
    trace.note("done")


WHOLE = b"a" * 5_000 + b"b" * 5_000


def test_a_file_published_rightly_is_whole(tmp_path: Path) -> None:
    """Written aside, synced, renamed, folder synced: in no state is it half, and once said to be done it is there."""
    cuts = cuts_of(tmp_path / "d", published)
    assert broken(cuts, "final", WHOLE) == []
    asides = [cut.tree["aside"] for cut in cuts if cut.tree.get("aside") is not None]
    assert {len(one) for one in asides if one is not None} >= {0, 5_000, 10_000}  # nothing, a part, all of it
    assert any(set(one) == {0} for one in asides if one)  # zeros
    assert any(one and one.startswith(b"\0" * SECTOR_BYTES) and one.endswith(b"b") for one in asides)  # reordered
    assert all(not ("aside" in cut.tree and "final" in cut.tree) for cut in cuts)  # a rename is one step
    assert {"aside", "final"} <= {name for cut in cuts for name in cut.tree}


@pytest.mark.parametrize("left_out", ["file", "folder"])
def test_a_sync_left_out_is_found(tmp_path: Path, left_out: str) -> None:
    """A file renamed before it is synced, or in a folder that is not, is found to be half or missing."""
    cuts = cuts_of(tmp_path / "d", lambda folder, trace: published(folder, trace, left_out))
    found = broken(cuts, "final", WHOLE)
    assert found
    assert any("final" in cut.tree for cut in found) == (left_out == "file")


def test_a_folder_that_nobody_synced_is_found(tmp_path: Path) -> None:
    """What is synced in a folder whose own name is not may be gone with it."""

    def program(folder: Path, trace: Trace, *, careful: bool) -> None:
        (folder / "new").mkdir()
        if careful:
            folder_synced(folder)
        appended(folder / "new" / "file", b"x")
        folder_synced(folder / "new")
        trace.note("done")

    assert broken(cuts_of(tmp_path / "a", lambda *given: program(*given, careful=False)), "new/file", b"x")
    found = cuts_of(tmp_path / "b", lambda *given: program(*given, careful=True))
    assert [cut for cut in found if "done" in cut.notes and cut.tree.get("new/file") != b"x"] == []


def test_an_acknowledgement_before_the_sync_is_found(tmp_path: Path) -> None:
    """Data said to be safe before it is synced is found missing."""

    def program(folder: Path, trace: Trace) -> None:
        file = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        folder_synced(folder)
        os.write(file, b"one")
        trace.note("one")
        os.fsync(file)
        os.write(file, b"two")
        os.fsync(file)
        trace.note("two")
        os.close(file)

    cuts = cuts_of(tmp_path / "d", program)
    assert [cut for cut in cuts if "one" in cut.notes and cut.tree["log"] == b""]
    assert [cut for cut in cuts if "two" in cut.notes and cut.tree["log"] != b"onetwo"] == []


def test_a_removal_before_its_copy_is_safe_is_found(tmp_path: Path) -> None:
    """When the old file goes before the folder of the new one is synced, there is a state with neither."""

    def program(folder: Path, trace: Trace, *, careful: bool) -> None:
        appended(folder / "before" / "old", b"x")
        folder_synced(folder / "before")
        trace.note("there")
        appended(folder / "new", b"x")
        if careful:
            folder_synced(folder)
        (folder / "before" / "old").unlink()
        folder_synced(folder / "before")

    def neither(cuts: list[PowerCut]) -> list[PowerCut]:
        return [cut for cut in cuts if "there" in cut.notes and not {"new", "before/old"} & cut.tree.keys()]

    assert neither(cuts_of(tmp_path / "a", lambda *given: program(*given, careful=False)))
    assert neither(cuts_of(tmp_path / "b", lambda *given: program(*given, careful=True))) == []


def test_a_failed_sync_that_is_simply_repeated_is_found(tmp_path: Path) -> None:
    """After a failed sync the data may be lost though the next sync succeeds; in a new file it is safe."""

    def program(folder: Path, trace: Trace, *, careful: bool) -> None:
        with pytest.raises(OSError, match="Input/output"):
            appended(folder / "log", b"12345")
        if careful:
            appended(folder / "log2", b"12345")
        else:
            appended(folder / "log")
        folder_synced(folder)
        trace.note("done")

    def fails_once() -> Callable[[int], bool]:
        left = [True]

        def sync(descriptor: int) -> bool:
            if left:
                left.pop()
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return True

        return sync

    careless = cuts_of(tmp_path / "a", lambda *given: program(*given, careful=False), fails_once())
    assert [cut for cut in careless if "done" in cut.notes and cut.tree["log"] != b"12345"]
    careful = cuts_of(tmp_path / "b", lambda *given: program(*given, careful=True), fails_once())
    assert [cut for cut in careful if "done" in cut.notes and cut.tree["log2"] != b"12345"] == []


def test_a_sync_that_lies_is_found(tmp_path: Path) -> None:
    """A sync that only pretends makes nothing permanent."""
    assert broken(cuts_of(tmp_path / "d", published, lambda _: False), "final", WHOLE)


def test_a_write_during_a_sync_is_not_covered_by_it(tmp_path: Path) -> None:
    """What is written while a sync runs may be missing after it."""
    syncing, written = threading.Event(), threading.Event()

    def slow(descriptor: int) -> bool:
        syncing.set()
        return written.wait(120)

    def program(folder: Path, trace: Trace) -> None:
        file = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        written.set()
        folder_synced(folder)
        written.clear()
        syncing.clear()
        os.write(file, b"one")
        helper = threading.Thread(target=os.fsync, args=(file,))
        helper.start()
        assert syncing.wait(120)
        os.write(file, b"two")
        written.set()
        helper.join()
        trace.note("synced")
        os.close(file)

    after = [cut.tree["log"] for cut in cuts_of(tmp_path / "d", program, slow) if "synced" in cut.notes]
    assert {b"one", b"onetwo"} <= set(after)
    assert all(one is not None and one.startswith(b"one") for one in after)


def test_what_bypasses_the_calls_is_seen(tmp_path: Path) -> None:
    """Files of Arrow and of file objects are in the log, in full, before the sync that covers them."""

    def program(folder: Path, trace: Trace) -> None:
        with pa.OSFile(str(folder / "arrow"), "wb") as file:
            file.write(b"arrow" * 1_000)
        with (folder / "python").open("wb") as other:
            other.write(b"python")
            other.flush()
            other.seek(2)
            other.write(b"T")
        for name in ("arrow", "python"):
            appended(folder / name)

    folder = tmp_path / "d"
    folder.mkdir()
    trace = Trace(folder)
    with trace.watching():
        program(folder, trace)
    written = [event.data for event in trace.log if isinstance(event, Write)]
    assert b"arrow" * 1_000 in written
    last = list(states(lambda choose: power_cut(trace, len(trace.log), choose), 99, random.Random(1)))
    assert {"arrow", "python"} <= {name for state in last for name in state.tree}
    contents = {name: state.tree[name] for state in last for name in state.tree}
    assert contents == {"arrow": b"arrow" * 1_000, "python": b"pyThon"}  # synced: certain whenever the name is there


def test_the_log_keeps_the_order_of_what_happened(tmp_path: Path) -> None:
    """Names, bytes, syncs and notes stand in the log as they came, a rename in one step, a replaced file gone."""
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "final").write_bytes(b"old")
    trace = Trace(folder)
    with trace.watching():
        published(folder, trace)
    kinds = [type(event) for event in trace.log[trace.first :]]
    assert kinds == [Names, Write, Write, Sync, Names, Sync, Note]
    renamed = [event for event in trace.log if isinstance(event, Names)][-1]
    assert [(name, node is None) for _, name, node in renamed.changes] == [("aside", True), ("final", False)]
    before = {
        state.tree["final"]
        for state in states(lambda choose: power_cut(trace, trace.first + 5, choose), 99, random.Random(1))
    }
    assert before == {b"old", WHOLE}


@given(
    st.lists(st.tuples(st.sampled_from(["write", "sync", "note"]), st.binary(min_size=1, max_size=9)), max_size=12),
    st.data(),
)
def test_what_was_synced_is_always_there(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    """Wherever the power goes, bytes that were synced are there, and none but those that were written."""
    folder = tmp_path_factory.mktemp("d")
    trace, whole, safe = Trace(folder), b"", b""
    with trace.watching():
        file = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
        folder_synced(folder)
        start = len(trace.log)
        for step, content in steps:
            if step == "write":
                os.write(file, content)
                whole += content
            elif step == "sync":
                os.fsync(file)
                safe = whole
            else:
                trace.note((safe, whole))
        trace.note((safe, whole))
        os.close(file)
    cut = data.draw(st.integers(start, len(trace.log)))
    state = power_cut(trace, cut, lambda count: data.draw(st.integers(0, count - 1)))
    found = state.tree["log"]
    assert found is not None
    if state.notes:
        assert found.startswith(state.notes[-1][0])  # type: ignore[index]
    assert all(one in {0, there} for one, there in zip(found, whole, strict=False))
    assert len(found) <= len(whole)
