"""A new key for a store: new files use it, compaction encrypts the older ones anew and drops the key they used."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.encryption.document import KEYS_FILE
from replaylab.encryption.envelope import key_of
from replaylab.encryption.keys import StoreKeys, keys_of, make_keys, new_salt, replace_document, rotate, unlocked
from replaylab.encryption.kms import FileKey
from replaylab.encryption.parquet import key_named
from replaylab.errors import KeyMissing, KeyWrong, StoreBusy, StoreTooNew, Tampered
from replaylab.journals.unsealed import first_header, journal_names
from replaylab.recording.refusals import Refusals
from replaylab.segments.segment import Segment
from replaylab.storage.refused import key_of_refused


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a key and an encrypted store of two segments with remarks, refused lines and a status."""
    folder = tmp_path_factory.mktemp("made")
    key = FileKey(folder / "key", create=True)
    for seed in (1, 2):
        rl.simulate(folder / f"recordings{seed}", games=2, seed=seed)
        with min((folder / f"recordings{seed}").rglob("*.jsonl")).open("ab") as file:
            file.write(b'{"type": "tick", "game_id": torn by hand\n')
        rl.convert(folder / f"recordings{seed}", folder / "vault", progress=False, kms=key)
    recording(folder / "vault", key)
    return folder


@pytest.fixture
def vault(made: Path, tmp_path: Path) -> tuple[Path, FileKey]:
    """Return a copy of the store that may be changed, and its key."""
    shutil.copytree(made / "vault", tmp_path / "vault")
    return tmp_path / "vault", FileKey(made / "key")


def recording(root: Path, key: FileKey) -> None:
    """Record some ticks and a refused line."""
    with rl.Recorder(root, kms=key) as recorder:
        recorder.record_many(ticks(5))
        refusals = Refusals(root, recorder.run, recorder.keys)
        assert refusals.keep(1, 0, "not_json", b"MARKER")
        refusals.close()


def ticks(count: int, game: str = "20310102-0123456789ab4cde") -> list[rl.Tick]:
    """Return ticks of a game."""
    at = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    return [rl.Tick(game, number, at + timedelta(seconds=number), Decimal("1.02")) for number in range(count)]


def wait_for(reached: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so."""
    give_up_at = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def used(root: Path) -> set[str | None]:
    """Return the keys that the files of a store name; None for one in plain."""
    found: set[str | None] = {key_named(path.name) for path in root.glob("*/*.parquet")}
    found |= {key_of_refused(path) for path in (root / "refused").glob("*.jsonl")}
    return found | {key_of(path.read_bytes()) for path in (root / "status").glob("*.json")}


def read_keys(root: Path, key: FileKey) -> StoreKeys:
    """Return the keys of a store that is there."""
    found = keys_of(root, key)
    assert found is not None
    return found


def test_new_files_use_the_new_key_and_old_ones_are_read(vault: tuple[Path, FileKey], made: Path) -> None:
    """Nothing but `keys.json` changes; then all rows, remarks and refused lines are there by either key."""
    root, key = vault
    before = rl.open_store(root, kms=key).verify()
    files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != KEYS_FILE}
    assert used(root) == {"k1"}
    assert rotate(root, key, new_store_key=True).ids == ["k1", "k2"]
    assert all(path.read_bytes() == content for path, content in files.items() if path.name != ".lock")
    recording(root, key)
    rl.simulate(root.parent / "more", games=1, seed=3)
    assert rl.convert(root.parent / "more", root, progress=False, kms=key).ticks_stored
    assert used(root) == {"k1", "k2"}
    store = rl.open_store(root, kms=key)
    after = store.verify()
    assert (after.ok, store.key_ids()) == (before.ok, ["k1", "k2"])
    assert store.rows > before.rows
    assert len(store.refused()) == 2
    assert len(rl.status(root, kms=key).runs) == 2
    assert {len(one) for one in store.parquet_keys().values()} == {32}
    assert made.exists()


def test_compaction_encrypts_anew_and_drops_the_old_key(vault: tuple[Path, FileKey]) -> None:
    """Every row is what it was, no file needs the old key, and one that does is refused from then on."""
    root, key = vault
    old_segment = min((root / "segments").glob("*.parquet"))
    kept = old_segment.name, old_segment.read_bytes()
    before = rl.open_store(root, kms=key).verify()
    refused = rl.open_store(root, kms=key).refused()
    rotate(root, key, new_store_key=True)
    report = rl.compact(root, progress=False, kms=key)
    assert (report.keys, report.keys_dropped, used(root)) == (("k2",), ("k1",), {"k2"})
    assert "encrypted by k2; k1 dropped" in str(report)
    store = rl.open_store(root, kms=key)
    after = store.verify()
    assert (after.rows_digest, after.ok) == (before.rows_digest, before.ok)
    assert store.refused().equals(refused)
    assert len(store.quarantine()) == 2
    (root / "segments" / kept[0]).write_bytes(kept[1])
    with pytest.raises(Tampered, match="the key k1, which was dropped when no file needed it"):
        Segment(root / "segments" / kept[0], read_keys(root, key)).footer  # noqa: B018
    assert kept[0] in rl.Store(root, kms=key).damaged
    (root / "segments" / kept[0]).unlink()
    again = rl.compact(root, progress=False, kms=key)
    assert (again.files_encrypted_anew, again.keys_dropped) == (0, ())
    assert rotate(root, key, new_store_key=True).ids == ["k2", "k3"]  # no name is used twice


def test_one_segment_alone_is_encrypted_anew(tmp_path: Path) -> None:
    """Also where there is nothing to merge, and without remarks."""
    key = FileKey(tmp_path / "key", create=True)
    with rl.Recorder(tmp_path / "vault", kms=key) as recorder:
        recorder.record_many(ticks(3))
    rotate(tmp_path / "vault", key, new_store_key=True)
    report = rl.compact(tmp_path / "vault", progress=False, kms=key)
    assert (report.segments_before, report.segments_after, report.keys_dropped) == (1, 1, ("k1",))
    assert rl.open_store(tmp_path / "vault", kms=key).rows == 3


def test_both_keys_at_once(vault: tuple[Path, FileKey], tmp_path: Path) -> None:
    """A new master key and a new key of the store; the old master key opens neither."""
    root, key = vault
    new = FileKey(tmp_path / "new.key", create=True)
    rows = rl.open_store(root, kms=key).rows
    assert rotate(root, key, new, new_store_key=True).ids == ["k1", "k2"]
    with pytest.raises(KeyWrong):
        keys_of(root, key)
    assert rl.open_store(root, kms=new).rows == rows
    with pytest.raises(ValueError, match="nothing to rotate"):
        rotate(root, new)


def test_a_recorder_that_runs_keeps_its_key(tmp_path: Path) -> None:
    """Its journal is read on, its next one uses the new key, and the old one is dropped once it has ended."""
    root, key = tmp_path / "vault", FileKey(tmp_path / "key", create=True)
    with rl.Recorder(root, kms=key) as recorder:
        recorder.record_many(ticks(4))
        reader = rl.Store(root, kms=key)
        rotate(root, key, new_store_key=True)
        name = min(journal_names(root / "journals"))  # beside it the next one, made in advance
        header = first_header(root / "journals" / name, keys=read_keys(root, key))
        assert header is not None
        assert header.key == "k1"
        report = rl.compact(root, progress=False, kms=key)
        assert (report.keys, report.keys_dropped) == (("k1", "k2"), ())
        assert "k1 kept, as a journal is there" in str(report)
        recorder.record_many(ticks(4, "20310103-0123456789ab4cde"))
        assert rl.Store(root, kms=key).rows == 8
    assert reader.rows == 8  # opened before the renewal, it looks up the key of what is sealed since
    assert rl.compact(root, progress=False, kms=key).keys_dropped == ("k1",)
    assert rl.open_store(root, kms=key).rows == 8


def test_the_next_journal_of_a_recorder_that_runs_uses_the_new_key(tmp_path: Path) -> None:
    """Also when it was made in advance, before the renewal: that one is made anew, and the current one goes on."""
    root, key = tmp_path / "vault", FileKey(tmp_path / "key", create=True)

    def written(*, empty: bool) -> list[str]:
        files = [root / "journals" / name for name in journal_names(root / "journals")]
        return [file.name for file in files if file.exists() and empty != bool(file.stat().st_size)]

    settings = rl.Settings(seal_game_ticks=10, buffer_ticks=10)
    with rl.Recorder(root, kms=key, settings=settings) as recorder:
        recorder.record_many(ticks(12))
        journals = recorder._state.journals
        wait_for(lambda: journals.spare)  # its key is chosen then; its file is there before
        (first,), (spare,) = written(empty=False), written(empty=True)
        rotate(root, key, new_store_key=True)
        wait_for(lambda: written(empty=True) not in ([spare], []))
        keys = read_keys(root, key)
        header = first_header(root / "journals" / first, keys=keys)
        assert header is not None
        assert header.key == "k1"
        recorder.record_many(ticks(3, "20310103-0123456789ab4cde"))
        recorder.flush()
        second = max(written(empty=False))
        header = first_header(root / "journals" / second, keys=keys)
        assert header is not None
        assert (second > first, header.key) == (True, "k2")
        wait_for(lambda: first not in journal_names(root / "journals"))
    assert {key_named(path.name) for path in root.glob("segments/*.parquet")} == {"k2"}  # what is sealed since, too
    assert rl.compact(root, progress=False, kms=key).keys_dropped == ("k1",)
    store = rl.open_store(root, kms=key)
    assert (store.rows, store.verify().problems) == (15, [])


def test_a_first_journal_is_made_again_when_the_key_was_renewed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between choosing the key and being there the key could have been dropped: such a journal is never written to."""
    root, key = tmp_path / "vault", FileKey(tmp_path / "key", create=True)
    make_keys(root, key)
    real, calls = StoreKeys.newest, list[str]()

    def newest(self: StoreKeys, *, certain: bool = False) -> str:
        calls.append(real(self, certain=certain))
        if len(calls) == 1:
            rotate(root, key, new_store_key=True)
        return calls[-1]

    monkeypatch.setattr(StoreKeys, "newest", newest)
    with rl.Recorder(root, kms=key) as recorder:
        recorder.record_many(ticks(2))
        (name,) = [name for name in journal_names(root / "journals") if (root / "journals" / name).stat().st_size]
        header = first_header(root / "journals" / name, keys=read_keys(root, key))
        assert header is not None
        assert header.key == "k2"
    assert rl.open_store(root, kms=key).rows == 2


def test_stores_of_earlier_releases_and_earlier_releases(tmp_path: Path) -> None:
    """A key that was never renewed has the file it always had; a release that knows one key refuses others by name."""
    root, key = tmp_path / "vault", FileKey(tmp_path / "key", create=True)
    make_keys(root, key)
    first = json.loads((root / KEYS_FILE).read_bytes())
    assert list(first) == ["type", "format", "state", "keys", "seal"]
    assert first["format"] == 1
    rotate(root, key, new_store_key=True)
    second = json.loads((root / KEYS_FILE).read_bytes())
    assert second["format"] == 2  # it compares this once it has found one key with its four members
    (entry,) = second["keys"]
    assert list(entry) == ["id", "created", "wrapped", "check"]
    replace_document(root, json.dumps({**second, "format": 3, "keys": []}).encode())
    with pytest.raises(StoreTooNew, match="format 3; upgrade replaylab"):
        keys_of(root, key)


def test_every_flip_and_cut_of_a_renewed_document_is_refused(tmp_path: Path) -> None:
    """Whatever byte is changed, it is refused, or says the same as before."""
    root, key = tmp_path / "vault", FileKey(tmp_path / "key", create=True)
    make_keys(root, key)
    rotate(root, key, new_store_key=True)
    document = (root / KEYS_FILE).read_bytes()
    for at in range(0, len(document), 3):
        for bit in (1, 4, 32):
            flipped = bytearray(document)
            flipped[at] ^= bit
            try:
                found = unlocked(bytes(flipped), "vault", key)
            except (Tampered, KeyWrong, StoreTooNew):
                continue
            assert json.loads(flipped) == json.loads(document)
            assert found.ids == ["k1", "k2"]
    for size in range(0, len(document) - 2, 7):
        with pytest.raises(Tampered, match=r"keys\.json is damaged"):
            unlocked(document[:size], "vault", key)


@pytest.mark.parametrize("change", ["no older one", "changed places", "another store's", "twice", "older as newest"])
def test_entries_that_were_changed_are_refused(tmp_path: Path, change: str) -> None:
    """An entry that was taken out, put in, or moved: the document is not what was written."""
    root, key = tmp_path / "vault", FileKey(tmp_path / "key", create=True)
    make_keys(root, key)
    rotate(root, key, new_store_key=True)
    make_keys(tmp_path / "other", key)
    found = json.loads((root / KEYS_FILE).read_bytes())
    other = json.loads((tmp_path / "other" / KEYS_FILE).read_bytes())["keys"]
    changed = {
        "no older one": {"older": []},
        "changed places": {"keys": found["older"], "older": found["keys"]},
        "another store's": {"older": other},
        "twice": {"older": found["older"] * 2},
        "older as newest": {"keys": found["older"], "older": []},
    }[change]
    with pytest.raises(Tampered):
        unlocked(json.dumps({**found, **changed}).encode(), "vault", key)


def test_an_older_document_that_is_put_back(vault: tuple[Path, FileKey]) -> None:
    """What was written since names a key that it does not hold; who has the newer one writes nothing by the older."""
    root, key = vault
    before = (root / KEYS_FILE).read_bytes()
    rotate(root, key, new_store_key=True)
    recording(root, key)
    keys, holder = read_keys(root, key), rl.Store(root, kms=key)
    replace_document(root, before)
    verification = rl.Store(root, kms=key).verify()
    assert not verification.ok
    assert any("names the key k2, which keys.json does not hold; restore" in one for one in verification.problems)
    with pytest.raises(KeyWrong, match="by an older one; restore the newest one from a backup"):
        keys.newest(certain=True)
    with pytest.raises(KeyWrong):
        rl.compact(holder, progress=False)
    assert keys.newest() == "k2"  # a recorder goes on with what it has
    with pytest.raises(KeyWrong):
        keys.restore_file(root)


def test_a_kms_that_is_gone_stops_no_recorder(tmp_path: Path) -> None:
    """A recorder whose master key was replaced meanwhile goes on with the key of the store that it has."""
    root, key = tmp_path / "vault", FileKey(tmp_path / "key", create=True)
    keys = make_keys(root, key)
    rotate(root, key, FileKey(tmp_path / "new", create=True), new_store_key=True)
    assert keys.newest() == "k1"
    assert keys.newest(certain=True) == "k1"  # which is still there
    Path(key.path).unlink()
    assert keys.newest() == "k1"
    with pytest.raises(Tampered, match="names the key k7, which"):
        read_keys(root, FileKey(tmp_path / "new")).derive(new_salt(), "segment", "k7")
    with pytest.raises(KeyMissing, match="no key file"):
        keys.derive(new_salt(), "segment", "k2")


def _rotate(root: str, key: str, done: Barrier) -> None:
    done.wait(60)
    try:
        rotate(root, FileKey(key), new_store_key=True)
    except StoreBusy:
        os._exit(3)


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Each renewal that says it is done is there: none overwrites another's key."""
    root, key = tmp_path / "vault", FileKey(tmp_path / "key", create=True)
    make_keys(root, key)
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    children = [context.Process(target=_rotate, args=(str(root), key.path, start)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join(90)
    assert {child.exitcode for child in children} <= {0, 3}
    done = sum(child.exitcode == 0 for child in children)
    assert read_keys(root, key).ids == [f"k{number + 1}" for number in range(done + 1)]
