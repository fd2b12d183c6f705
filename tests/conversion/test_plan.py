"""Plan: what of which source is new, whatever it is called now and wherever an earlier conversion was broken off."""

from __future__ import annotations

import bz2
import gzip
import importlib
import json
import lzma
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import replaylab as rl
from replaylab.conversion import plan as planning
from replaylab.conversion.plan import Plan, plan
from replaylab.conversion.source import search_sources
from replaylab.encryption.kms import FileKey
from replaylab.errors import SourceUnreadable
from replaylab.parsing.mapping import READY
from replaylab.segments.extent import Extent
from replaylab.storage.compact import compact
from replaylab.storage.open import open_store
from tests.crash.scale import SCALE
from tests.stores import as_nobody, game_lines, line, locked_away, names, opened_to_all, quiet, rows, simulated, state
from tests.strategies import recordings

GAME = "20310102-0123456789ab4cde"


def planned(sources: Path | list[Path], store: Path) -> Plan:
    """Plan a conversion without doing it."""
    return plan(search_sources(sources).sources, open_store(store).extents())


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return a recording of 40 lines, nothing of it stored yet."""
    path = tmp_path / "r" / "x.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(game_lines(GAME, 39)))
    return path


def cut(path: Path, size: int) -> bytes:
    """Leave the first bytes of a file; give all that was there."""
    data = path.read_bytes()
    path.write_bytes(data[:size])
    return data


def lines_of(store: Path) -> list[int]:
    """Return the line number of every row of the one game."""
    found: list[int] = open_store(store)[GAME].ticks().column("line").to_pylist()
    return found


def test_new_known_renamed_and_copied(tmp_path: Path, recording: Path) -> None:
    """The same content is converted once, whatever its file is called later and in whatever folder it lies."""
    store = tmp_path / "store"
    assert quiet(recording, store).ticks_stored == 40
    shutil.copytree(recording.parent, tmp_path / "copy")
    again = [recording, recording.rename(recording.with_name("y.jsonl")), tmp_path / "copy", tmp_path]
    for source in again[1:]:
        report = quiet(source, store)
        assert (report.ticks_stored, report.ticks_known % 40) == (0, 0)
        assert {one.status for one in report.sources} == {"known"}
    assert "already in the store as x.jsonl" in quiet(again[1], store).sources[0].problem
    assert len(names(store / "segments")) == 1


def test_twins_in_one_run_are_converted_once(tmp_path: Path) -> None:
    """Copies given together are told by their content too; the report names both and counts one."""
    simulated(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    both = quiet([tmp_path / "a", tmp_path / "b"], tmp_path / "both")
    one = quiet(tmp_path / "a", tmp_path / "one")
    assert rows(tmp_path / "both") == rows(tmp_path / "one")
    assert (both.ticks_stored, both.ticks_known) == (one.ticks_stored, one.ticks_stored)
    assert both.balanced
    assert both.bytes_in == 2 * one.bytes_in
    assert [report.status for report in both.sources] == ["converted"] * 3 + ["known"] * 3


@pytest.mark.parametrize("size", [0, 1, 1_000, 1_500, 5_000])
def test_a_grown_recording_is_carried_on(tmp_path: Path, recording: Path, size: int) -> None:
    """What is appended is converted, what was there is not converted again, lines keep the numbers they have in it."""
    store = tmp_path / "store"
    data = recording.read_bytes()
    size = data.index(b"\n", size) + 1 if size else 0
    cut(recording, size)
    first = quiet(recording, store)
    recording.write_bytes(data)
    grown = quiet(recording, store)
    assert first.ticks_stored + grown.ticks_stored == 40
    assert (grown.bytes_known, grown.bytes_in, grown.balanced) == (size, len(data), True)
    assert [one.status for one in grown.sources] == ["grown"]
    assert lines_of(store) == list(range(1, 41))
    assert open_store(store).verify().ok


def test_a_grown_recording_without_newline_at_its_end(tmp_path: Path, recording: Path) -> None:
    """A last line that had no newline yet is whole, and its newline makes no line of its own."""
    store = tmp_path / "store"
    data = recording.read_bytes()
    cut(recording, data.index(b"\n", 3_000))
    quiet(recording, store)
    recording.write_bytes(data)
    assert quiet(recording, store).reasons == {}
    assert lines_of(store) == list(range(1, 41))
    assert open_store(store).verify().ok


def account(store: Path, source: str = "x.jsonl") -> list[Counter[str]]:
    """Return what became of the bytes, lines and ticks of a source, whatever its extents."""
    found = [Counter[str]() for _ in range(4)]
    for extent in open_store(store).extents():
        if extent.source == source:
            for counter, counts in zip(found, (extent.bytes, extent.lines, extent.ticks, extent.reasons), strict=True):
                counter.update(counts)
    return [+counter for counter in found]


def test_a_recording_that_grew_in_the_middle_of_a_line(tmp_path: Path, recording: Path) -> None:
    """Half a line, converted while it was being written, is read again whole: nothing of it stays in quarantine."""
    store, once = tmp_path / "store", tmp_path / "once"
    data = recording.read_bytes()
    quiet(recording, once)
    start = data.index(b"\n", 3_000) + 1
    for size in (start + 40, start + 170, len(data)):  # half a line, one that is torn late, and all
        recording.write_bytes(data[:size])
        assert quiet(recording, store).balanced
    assert lines_of(store) == list(range(1, 41))
    assert open_store(store).quarantine().empty
    assert state(store) == state(once)
    assert account(store) == account(once)


@settings(max_examples=10 * SCALE, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(recordings(), st.lists(st.floats(0, 1), max_size=5), st.booleans())
@example(b'{"type": "game_start"} ', [0.5], False)
def test_however_a_recording_grew_its_store_is_that_of_one_conversion(
    tmp_path_factory: pytest.TempPathFactory,
    data: bytes,
    cuts: list[float],
    compacted: bool,  # noqa: FBT001
) -> None:
    """Any file, converted at any moments of its growth: rows, remarks and byte accounts as if converted once."""
    folder = tmp_path_factory.mktemp("grown")
    (folder / "r").mkdir()
    path = folder / "r" / "x.jsonl"
    for size in [*sorted(int(len(data) * cut) for cut in cuts), len(data)]:
        path.write_bytes(data[:size])
        report = quiet(path, folder / "store")
        assert report.balanced
        assert report.bytes_in == size
        if compacted:
            compact(folder / "store", progress=False)
    quiet(path, folder / "once")
    assert state(folder / "store") == state(folder / "once")
    assert account(folder / "store") == account(folder / "once")
    assert quiet(path, folder / "store").ticks_stored == 0


def laid_out(layout: str, *, damaged: bool = False) -> str:
    """Return three ticks as JSON text, laid out in one of the ways that are read, perhaps with a torn one between."""
    objects = [json.loads(line(GAME, number, player="café \U0001f600 [x, {y")) for number in range(3)]
    joint, indent, ends = LAYOUTS[layout]
    texts = [json.dumps(one, indent=indent, ensure_ascii=False) for one in objects]
    if damaged:
        texts[1] = texts[1][: len(texts[1]) // 2]
    return ends[0] + joint.join(texts) + ends[1]


LAYOUTS: dict[str, tuple[str, int | None, tuple[str, str]]] = {
    "lines": ("\n", None, ("", "\n")),
    "no last newline": ("\n", None, ("", "")),
    "array on one line": (", ", None, ("[", "]")),
    "tight array on one line": (",", None, ("[ ", " ]\n")),
    "array of lines": (",\n", None, ("[\n", "\n]\n")),
    "indented array": (",\n  ", 2, ("[\n  ", "\n]\n")),
    "indented objects": ("\n", 2, ("", "\n")),
}
ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-8": str.encode,
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16 LE": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16 BE": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 BE without a mark": lambda text: text.encode("utf-16-be"),
    "UTF-32 LE": lambda text: b"\xff\xfe\0\0" + text.encode("utf-32-le"),
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": lambda data: gzip.compress(data[:300], mtime=0) + gzip.compress(data[300:], mtime=0),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def grown_like_once(folder: Path, data: bytes, cuts: Iterable[int]) -> None:
    """Assert that a file, converted at these sizes and whole, leaves the store and account of one conversion."""
    path = folder / "x.jsonl"
    for size in [*sorted({cut for cut in cuts if cut < len(data)}), len(data)]:
        path.write_bytes(data[:size])
        try:
            assert quiet(path, folder / "store").balanced
        except SourceUnreadable:  # of a packed file too little is there to unpack anything
            assert size < len(data)
    quiet(path, folder / "once")
    assert state(folder / "store") == state(folder / "once")
    assert account(folder / "store") == account(folder / "once")
    assert quiet(path, folder / "store").ticks_stored == 0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_recording_cut_at_its_first_bytes_and_around_its_first_object(
    tmp_path: Path, layout: str, encoding: str
) -> None:
    """One conversion before the file is whole: behind a bracket, within a mark, a character, between two objects.

    Each of the places with every fourth layout and encoding; all with all of them with CRASH_SCALE.
    """
    text = laid_out(layout)
    data = ENCODINGS[encoding](text)
    unit = len(ENCODINGS[encoding]("x" * 9)) - len(ENCODINGS[encoding]("x" * 8))
    first = len(ENCODINGS[encoding](text[: text.index("}") + 1]))  # behind the first object
    wide = len(ENCODINGS[encoding](text[: text.index("\U0001f600")]))
    alone = [1, 3, 5, wide + 1, first, first + unit, first + 2 * unit]
    turn = list(LAYOUTS).index(layout) + list(ENCODINGS).index(encoding)
    chosen = [cut for number, cut in enumerate(alone) if SCALE > 1 or (number + turn) % 4 == 0]
    for number, cuts in enumerate([*([cut] for cut in chosen), [*range(8), wide + 2, wide + 3, *alone]]):
        folder = tmp_path / str(number)
        folder.mkdir()
        grown_like_once(folder, data, cuts)


@settings(max_examples=12 * SCALE, deadline=None)
@given(
    st.sampled_from(list(LAYOUTS)),
    st.sampled_from(list(ENCODINGS)),
    st.sampled_from(list(PACKINGS)),
    st.lists(st.floats(0, 1), min_size=1, max_size=4),
    st.booleans(),
)
@example("array on one line", "UTF-8", "", [0.0015], False)
@example("lines", "UTF-16 BE", "", [0.0333, 0.0334, 0.0335, 0.0336], False)
@example("indented array", "UTF-8", "", [0.001, 0.002, 0.005, 0.2], False)
@example("array of lines", "UTF-8", "gzip", [0.003, 0.3, 0.6], False)
def test_however_a_file_of_any_layout_grew_its_store_is_that_of_one_conversion(
    tmp_path_factory: pytest.TempPathFactory,
    layout: str,
    encoding: str,
    packing: str,
    cuts: list[float],
    damaged: bool,  # noqa: FBT001
) -> None:
    """Rows, remarks and byte accounts, in every layout, encoding and packing, damaged or not, wherever it is cut."""
    data = PACKINGS[packing](ENCODINGS[encoding](laid_out(layout, damaged=damaged)))
    grown_like_once(tmp_path_factory.mktemp("grown"), data, [int(cut * len(data)) for cut in cuts])


def test_another_file_under_the_name_of_an_unended_one_is_not_its_growth(tmp_path: Path, recording: Path) -> None:
    """A file of one line that has no newline yet, replaced by other content, keeps its tick: it is told."""
    store = tmp_path / "store"
    recording.write_bytes(line("first").rstrip(b"\n"))
    quiet(recording, store)
    recording.write_bytes(line("second", 2) + line("second", 3))
    report = quiet(recording, store)
    assert "other content: x.jsonl" in str(report)
    assert open_store(store).rows == 3


def test_a_last_line_that_its_writer_wrote_anew(tmp_path: Path, recording: Path) -> None:
    """A recorder that cuts off a torn last line and goes on has a recording that has grown, not another one."""
    store = tmp_path / "store"
    data = recording.read_bytes()
    start = data.index(b"\n", 3_000) + 1
    recording.write_bytes(data[: start + 40])
    quiet(recording, store)
    recording.write_bytes(data[:start])
    assert quiet(recording, store).ticks_stored == 0
    recording.write_bytes(data[:start] + line(GAME, 77))
    assert [one.status for one in quiet(recording, store).sources] == ["grown"]
    assert open_store(store).quarantine().empty
    assert 77 in open_store(store)[GAME].ticks().column("tick").to_pylist()
    assert open_store(store).verify().ok


def test_taking_out_a_last_line_leaves_what_it_stood_beside(tmp_path: Path, recording: Path) -> None:
    """Rows and remarks of other sources in the same, compacted segment are as they were."""
    store = tmp_path / "store"
    data = recording.read_bytes()
    other = recording.with_name("y.jsonl")
    other.write_bytes(b"".join(game_lines("other", 20)) + b"broken\n")
    recording.write_bytes(data[: data.index(b"\n", 3_000) + 60])
    quiet(recording.parent, store)
    quiet(simulated(tmp_path / "more"), store)
    compact(store, progress=False)
    assert len(open_store(store).segments()) == 1
    recording.write_bytes(data)
    quiet(recording.parent, store)
    assert lines_of(store) == list(range(1, 41))
    assert len(open_store(store)["other"]) == 21
    assert open_store(store).quarantine()["source"].tolist() == ["y.jsonl"]
    assert open_store(store).verify().ok


def test_many_files_of_one_size_are_each_looked_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second run over files of one size, named as before or renamed, reads each a fixed number of times."""
    folder = tmp_path / "r"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number:03}.jsonl").write_bytes(line(f"game-{number:03}"))
    quiet(folder, tmp_path / "store")
    looked = 0
    plain = planning.digest_between

    def counted(*arguments: Any) -> str:
        nonlocal looked
        looked += 1
        return plain(*arguments)

    monkeypatch.setattr(planning, "digest_between", counted)
    assert quiet(folder, tmp_path / "store").ticks_stored == 0
    assert looked <= 2 * 60
    for path in sorted(folder.iterdir()):
        path.rename(path.with_name("renamed-" + path.name))
    looked = 0
    assert quiet(folder, tmp_path / "store").ticks_known == 60
    assert looked <= 3 * 60


@pytest.mark.parametrize("place", ["r/x.jsonl", "r/renamed.jsonl", "elsewhere/x.jsonl"])
def test_grown_and_renamed(tmp_path: Path, recording: Path, place: str) -> None:
    """A recording that has grown is known by its beginning, also under another name or from another folder."""
    store = tmp_path / "store"
    data = cut(recording, recording.read_bytes().index(b"\n", 3_000) + 1)
    quiet(recording, store)
    recording.unlink()
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_bytes(data)
    report = quiet(tmp_path / place, store)
    assert [(one.source, one.status) for one in report.sources] == [(Path(place).name, "grown")]
    assert lines_of(store) == list(range(1, 41))
    assert open_store(store)[GAME].summary["sources"] == ["x.jsonl"]
    assert quiet(tmp_path, store).ticks_stored == 0


def test_read_otherwise_under_its_name(tmp_path: Path, recording: Path) -> None:
    """The same file, converted again with a unit for its times, is not said to have other content."""
    store = tmp_path / "store"
    quiet(recording, store)
    again = rl.convert(recording, store, time_unit="ms", progress=False)
    assert again.sources[0].problem.startswith("same name, read with another mapping or other times than in the store")
    assert "read otherwise: x.jsonl" in str(again)
    assert "other content" not in str(again)


@pytest.mark.parametrize(("name", "grown"), [("x.jsonl", False), ("x.jsonl", True), ("renamed.jsonl", False)])
def test_a_reading_that_brought_no_tick_is_replaced_by_another(
    tmp_path: Path, recording: Path, name: str, *, grown: bool
) -> None:
    """Times in milliseconds are refused; read again with their unit, also grown or renamed, only that is accounted."""
    store, once = tmp_path / "store", tmp_path / "once"
    lines = [line(GAME, number, timestamp=1_925_000_000_000 + number) for number in range(5)]
    recording.write_bytes(b"".join(lines[:3] if grown else lines))
    assert quiet(recording, store).ticks_stored == 0
    recording.write_bytes(b"".join(lines))
    recording = recording.rename(recording.with_name(name))
    again = rl.convert(recording, store, time_unit="ms", progress=False)
    assert (again.ticks_stored, again.balanced, again.sources[0].status) == (5, True, "converted")
    rl.convert(recording, once, time_unit="ms", progress=False)
    assert state(store) == state(once)
    assert account(store, name) == account(once, name)
    assert {one.source for one in open_store(store).extents()} == {name}
    assert rl.convert(recording, store, time_unit="ms", progress=False).ticks_known == 5


def test_readings_that_brought_no_tick_give_way_each_time(tmp_path: Path, recording: Path) -> None:
    """Read without a unit, then by a wrong mapping, then rightly: one account is left; a reading with ticks stays."""
    store = tmp_path / "store"
    recording.write_bytes(b"".join(line(GAME, number, timestamp=1_925_000_000_000 + number) for number in range(5)))
    quiet(recording, store)
    rl.convert(recording, store, mapping="games", progress=False)
    assert len(open_store(store).extents()) == 1
    rl.convert(recording, store, time_unit="ms", progress=False)
    assert [(one.source, one.tick_count) for one in open_store(store).extents()] == [("x.jsonl", 5)]
    quiet(recording, store)
    assert open_store(store).rows == 5
    assert open_store(store).verify().ok


def test_a_reading_that_gives_way_stays_until_the_other_is_there(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off just before it is taken out it stands beside the new reading, which is no problem; then it goes."""
    store, once = tmp_path / "store", tmp_path / "once"
    recording.write_bytes(b"".join(line(GAME, number, timestamp=1_925_000_000_000 + number) for number in range(5)))
    quiet(recording, store)
    with monkeypatch.context() as broken:
        broken.setattr(importlib.import_module("replaylab.conversion.convert"), "take_out", raised(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            rl.convert(recording, store, time_unit="ms", progress=False)
    assert sorted((one.source, one.tick_count) for one in open_store(store).extents()) == [
        ("x.jsonl", 0),
        ("x.jsonl", 5),
    ]
    assert open_store(store).verify().ok
    compact(store, progress=False)
    for place in (store, once):
        rl.convert(recording, place, time_unit="ms", progress=False)
    assert open_store(store).rows == 5
    assert [one.tick_count for one in open_store(store).extents()] == [5]
    assert account(store) == account(once)


def raised(error: type[BaseException]) -> Callable[..., None]:
    """Return a function that raises."""

    def fail(*_arguments: object) -> None:
        raise error

    return fail


@pytest.mark.encryption
@pytest.mark.parametrize("game", ["day", "file", "gap:60"])
def test_numbers_go_on_where_a_last_line_is_read_again(tmp_path: Path, recording: Path, game: str) -> None:
    """Ticks that a mapping numbers: the place of one that is read again is its own, in an encrypted store too."""
    data = b"".join(b'{"ts": %d, "px": "%d.5"}\n' % (1_925_089_445_000 + 20_000 * n * (1 + n % 3), n) for n in range(9))
    trades = replace(READY["trades"], game=game)
    kms = FileKey(tmp_path / "master.key", create=True)
    recording.write_bytes(data)
    rl.convert(recording, tmp_path / "once", mapping=trades, progress=False, kms=kms)
    for size in (30, 70, 71, 100, 130, 150, len(data) - 1, len(data)):
        recording.write_bytes(data[:size])
        rl.convert(recording, tmp_path / "store", mapping=trades, progress=False, kms=kms)
    columns = ["game_id", "tick", "timestamp", "price", "seq", "line"]
    grown, once = (rl.Store(tmp_path / name, kms=kms) for name in ("store", "once"))
    assert sorted(map(str, grown.to_arrow(columns=columns).to_pylist())) == sorted(
        map(str, once.to_arrow(columns=columns).to_pylist())
    )


def test_changed_under_its_name(tmp_path: Path, recording: Path) -> None:
    """Another content under a known name is another source, also when it grows later; the old rows stay."""
    store = tmp_path / "store"
    quiet(recording, store)
    other = b"".join(game_lines("20310103-0123456789ab4cde", 39))
    recording.write_bytes(other[: other.index(b"\n", 3_000) + 1])
    changed = quiet(recording, store)
    recording.write_bytes(other)
    grown = quiet(recording, store)
    assert changed.ticks_stored + grown.ticks_stored == 40
    assert len({extent.source for extent in open_store(store).extents()}) == 2
    assert changed.sources[0].problem.startswith("same name, other content than in the store: stored as x.jsonl@")
    assert "other content: x.jsonl" in str(changed)
    assert [len(game) for game in open_store(store)] == [40, 40]
    assert quiet(recording, store).ticks_stored == 0
    assert open_store(store).verify().ok


def test_two_of_one_name(tmp_path: Path, recording: Path) -> None:
    """Recordings of one name in different folders are told apart by their folders."""
    other = tmp_path / "s" / "x.jsonl"
    other.parent.mkdir()
    other.write_bytes(b"".join(game_lines("other", 9)))
    report = quiet([recording, other], tmp_path / "store")
    assert [one.source for one in report.sources] == ["r/x.jsonl", "s/x.jsonl"]
    assert open_store(tmp_path / "store")["other"].summary["sources"] == ["s/x.jsonl"]


def test_two_that_grew_from_one(tmp_path: Path, recording: Path) -> None:
    """When two files go on differently from the same beginning, the rows of both are there and none is lost."""
    store = tmp_path / "store"
    data = cut(recording, recording.read_bytes().index(b"\n", 3_000) + 1)
    quiet(recording, store)
    known = open_store(store).rows
    recording.write_bytes(data)
    other = recording.with_name("y.jsonl")
    other.write_bytes(data + line(GAME, 77))
    quiet(recording.parent, store)
    assert set(open_store(store)[GAME].ticks().column("tick").to_pylist()) == {*range(40), 77}
    assert open_store(store).rows in {40 + 41, 41 + 40 - known}
    assert open_store(store).verify().ok
    assert quiet(recording.parent, store).ticks_stored == 0


@pytest.mark.parametrize("missing", [[0], [3], [2, 3], [0, 4], [8]])
def test_parts_that_a_kill_left_out_are_all_that_is_converted(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch, missing: list[int]
) -> None:
    """Parts of a large recording are stored in any order; after a kill only those not there are converted."""
    monkeypatch.setattr(planning, "JOB_BYTES", 1_000)
    store = tmp_path / "store"
    quiet(recording, store)
    whole = state(store)
    segments = sorted(open_store(store).segments(), key=lambda segment: segment.footer.extents[0].start)
    assert len(segments) >= 9
    for number in missing:
        segments[number].path.unlink()
    monkeypatch.setattr(planning, "JOB_BYTES", 1_500)  # another release may cut otherwise
    assert planned(recording, store).bytes == sum(segments[number].footer.extents[0].end for number in missing) - sum(
        segments[number].footer.extents[0].start for number in missing
    )
    quiet(recording, store)
    assert state(store) == whole
    assert quiet(recording, store).ticks_stored == 0


def test_parts_in_another_zone_are_not_converted_twice(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conversion that is finished with another zone, after a kill, does not store the same bytes in both."""
    monkeypatch.setattr(planning, "JOB_BYTES", 1_000)
    store = tmp_path / "store"
    quiet(recording, store)
    segments = sorted(open_store(store).segments(), key=lambda segment: segment.footer.extents[0].start)
    segments[2].path.unlink()
    quiet(recording, store, source_tz="Asia/Tokyo")
    assert open_store(store).rows == 40
    assert sorted({extent.zone for extent in open_store(store).extents()}) == ["Asia/Tokyo", "UTC"]


def test_empty_then_grown(tmp_path: Path, recording: Path) -> None:
    """An empty recording is known from then on, and what is written into it later is its beginning."""
    store = tmp_path / "store"
    data = cut(recording, 0)
    assert quiet(recording, store).bytes_in == 0
    assert [one.status for one in quiet(recording, store).sources] == ["known"]
    recording.write_bytes(data)
    assert quiet(recording, store).ticks_stored == 40
    assert open_store(store).verify().ok


def test_one_unreadable_recording_does_not_stop_the_others(tmp_path: Path) -> None:
    """A recording and a folder that may not be read, and a link to nowhere, are named; all others are converted."""
    good = simulated(tmp_path / "r", games=2)
    simulated(good / "closed", seed=2)
    (good / "locked.jsonl").write_bytes(line())
    (good / "nowhere.jsonl").symlink_to("nothing")
    opened_to_all(tmp_path)
    with locked_away(good / "closed", good / "locked.jsonl"):
        answer = as_nobody(lambda: quiet(good, tmp_path / "store"))
    assert "5 sources (2 converted, 3 unreadable)" in answer
    for place in ("closed: Permission denied", "locked.jsonl: Permission denied", "nowhere.jsonl: No such file"):
        assert place in answer
    assert quiet(good, tmp_path / "store").ticks_stored > 0


def test_nothing_readable_at_all(tmp_path: Path) -> None:
    """When no recording can be read that is an error, and so is one in strict mode."""
    good = simulated(tmp_path / "r", games=2)
    (tmp_path / "r" / "nowhere.jsonl").symlink_to("nothing")
    with pytest.raises(SourceUnreadable, match=r"nowhere\.jsonl: No such file"):
        quiet(good, tmp_path / "strict", strict=True)
    opened_to_all(tmp_path)
    with locked_away(good):
        assert "SourceUnreadable" in as_nobody(lambda: quiet(good, tmp_path / "store"))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """A named pipe among the recordings is refused, not opened."""
    good = simulated(tmp_path / "r", games=2)
    os.mkfifo(good / "pipe.jsonl")
    report = quiet(good, tmp_path / "store")
    assert report.unreadable == [f"{good}/pipe.jsonl: not a regular file"]
    assert not report.ok


def test_extents_that_overlap_are_counted_once() -> None:
    """A plan looks at each byte of a source once, also in a store that holds some twice."""
    one = Extent("a", 0, 10, "x", 0, 0, "UTC", lines={"tick": 1}, ticks={"clean": 1})
    two = Extent("a", 5, 15, "y", 0, 0, "UTC")
    assert plan([], [one, two]).bytes == 0


@pytest.mark.parametrize("name", ["y.jsonl", "x.jsonl"])
def test_a_truncated_copy_of_a_known_recording(
    tmp_path: Path, recording: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A copy that ends earlier is a source of its own: it is no growth of the known one, and no byte counts twice."""
    monkeypatch.setattr(planning, "JOB_BYTES", 1_000)
    store = tmp_path / "store"
    quiet(recording, store)
    known = {(extent.source, extent.start, extent.end) for extent in open_store(store).extents()}
    assert len(known) > 5
    data = recording.read_bytes()
    copied = tmp_path / "copy" / name
    copied.parent.mkdir()
    copied.write_bytes(data[: data.index(b"\n", 3_300) + 1])
    report = quiet(copied, store)
    assert (report.ticks_stored, report.bytes_known, report.balanced) == (copied.read_bytes().count(b"\n"), 0, True)
    assert known < {(extent.source, extent.start, extent.end) for extent in open_store(store).extents()}
    assert open_store(store).verify().ok
    assert quiet([recording, copied], store).ticks_stored == 0


def test_jobs_hold_a_bounded_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of many small files is held a job at a time, and nothing waits for what follows a whole file."""
    monkeypatch.setattr(planning, "JOB_PIECES", 7)
    folder = tmp_path / "r"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number:03}.jsonl").write_bytes(line(f"game-{number:03}"))
    passed_on: list[object] = []
    monkeypatch.setattr("replaylab.conversion.pool.Bases.tell", lambda *passed: passed_on.append(passed))
    report = quiet(folder, tmp_path / "store")
    assert (report.segments, report.ticks_stored, passed_on) == (3, 20, [])
