"""Encrypting a store that exists: the same rows, nothing left in the clear, and no kill that loses anything."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import replaylab as rl
from replaylab.cli.main import app
from replaylab.encryption.kms import FileKey
from replaylab.errors import KeyMissing, KeyWrong, SegmentDamaged, StoreBusy
from replaylab.recording.refusals import Refusals
from replaylab.storage.encrypt import encrypt
from tests.crash.works import Killer
from tests.encryption.test_journals import MARKER, PRICE, left_by_a_kill, ticks

pytestmark = pytest.mark.encryption


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that this machine has set must open nothing here."""
    monkeypatch.delenv("REPLAYLAB_KEY", raising=False)
    monkeypatch.delenv("REPLAYLAB_KEY_FILE", raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a key and a store in plain: converted, recorded, refused lines, and what a kill left."""
    folder = tmp_path_factory.mktemp("made")
    FileKey(folder / "key", create=True)
    rl.simulate(folder / "recordings", games=2, seed=1, damage="two_writers")
    rl.convert(folder / "recordings", folder / "plain", progress=False)
    with rl.Recorder(folder / "plain") as recorder:
        recorder.record_many(ticks(20))
        refusals = Refusals(folder / "plain", recorder.run)
        refusals.keep(1, 0, "not_json", MARKER.encode())
        refusals.keep(2, 9, "not_json", b"\xff")
        refusals.close()
    left_by_a_kill(folder / "plain", 10)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> tuple[Path, FileKey]:
    """Return a copy of the store, and the key."""
    shutil.copytree(made / "plain", tmp_path / "store")
    return tmp_path / "store", FileKey(made / "key")


def clear_in(store: Path) -> list[str]:
    """Return the files of a store that hold, or are named by, what must not be seen, or are open to others."""
    found = []
    for path in [store, *store.rglob("*")]:
        content = b"" if path.is_dir() else path.read_bytes()
        seen = any(mark.encode() in content or mark in path.name for mark in (MARKER, PRICE, "replaylab.games"))
        if seen or path.stat().st_mode & 0o077:
            found.append(str(path))
    return found


def test_rows_remarks_and_refused_lines_stay(store: tuple[Path, FileKey]) -> None:
    """Digest, accounts and remarks are those of before; no byte is in the clear; a second time does nothing."""
    root, key = store
    before = rl.open_store(root)
    digest, accounts, remarks = before.verify().rows_digest, before.verify().bytes, before.remarks().num_rows
    lines = before.refused()
    assert clear_in(root)
    report = encrypt(root, key, progress=False)
    assert (report.segments, report.refused) == (3, 1)
    after = rl.open_store(root, kms=key)
    verified = after.verify()
    assert verified.ok, verified
    assert (verified.rows_digest, verified.bytes) == (digest, accounts)
    assert after.remarks().num_rows == remarks
    assert after.refused().equals(lines)
    assert clear_in(root) == []
    assert encrypt(root, key, progress=False).segments == 0
    assert [one.state for one in rl.status(root, kms=key).runs][:1] == ["closed"]


def test_what_a_killed_writer_left_half_written_does_not_stay(store: tuple[Path, FileKey]) -> None:
    """A file that was not whole when its writer was killed, in any folder of the store, is not left there in plain."""
    root, key = store
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        (folder / f"left-0.-{gone.pid}.aside").write_text(MARKER)
    encrypt(root, key, progress=False)
    assert clear_in(root) == []
    assert not list(root.rglob("*.aside"))


def test_killed_at_each_step_it_is_finished_by_the_next(made: Path, tmp_path: Path) -> None:
    """Whenever the process dies, the store opens whole: in plain before the first step, with the key after it."""
    key, expected = FileKey(made / "key"), rl.Store(made / "plain").verify().rows_digest
    point, status = 1, 1
    while status:
        root = tmp_path / f"{point}"
        shutil.copytree(made / "plain", root)
        child = os.fork()
        if child == 0:
            try:
                with Killer(point).watching():
                    encrypt(root, key, progress=False)
            except BaseException:  # noqa: BLE001 a child must not go on as its parent does
                os._exit(1)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status in {0, signal.SIGKILL}, point
        kms = key if (root / "keys.json").exists() else None
        assert rl.open_store(root, kms=kms).verify().rows_digest == expected, point
        encrypt(root, key, progress=False)
        again = rl.open_store(root, kms=key).verify()
        assert again.ok, (point, again)
        assert again.rows_digest == expected
        assert clear_in(root) == [], point
        shutil.rmtree(root)
        point += 7
    assert point > 30


def test_recorders_without_the_key_are_waited_for(store: tuple[Path, FileKey]) -> None:
    """Nothing is changed while one writes; one that begins later needs the key."""
    root, key = store
    with rl.Recorder(root) as recorder:
        recorder.record_many(ticks(5))
        with pytest.raises(StoreBusy, match="a recorder is writing"):
            encrypt(root, key, progress=False)
        assert not (root / "keys.json").exists()
    encrypt(root, key, progress=False)
    with pytest.raises(KeyMissing):
        rl.Recorder(root)


def test_damage_is_named_before_anything_is_changed(store: tuple[Path, FileKey]) -> None:
    """A store that cannot be read whole is not encrypted."""
    root, key = store
    path = min((root / "segments").iterdir())
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SegmentDamaged, match="encrypt again"):
        encrypt(root, key, progress=False)
    assert not (root / "keys.json").exists()


def test_store_of_another_key_is_refused(store: tuple[Path, FileKey], tmp_path: Path) -> None:
    """It is not encrypted a second time."""
    root, key = store
    encrypt(root, key, progress=False)
    with pytest.raises(KeyWrong):
        encrypt(root, FileKey(tmp_path / "other", create=True), progress=False)


def run(*words: object) -> tuple[int, str]:
    """Run a command; return how it ended and what it said."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.output


def test_commands_take_a_key_file(store: tuple[Path, FileKey], tmp_path: Path) -> None:
    """`encrypt`, `rotate` and all others; without the key, or with one for a store in plain, they end with 2."""
    root, key = store
    code, said = run("info", root, "--key-file", key.path)
    assert (code, "is not encrypted" in said) == (2, True)
    code, said = run("encrypt", root, "--key-file", tmp_path / "mine", "--no-progress")
    assert (code, "no key file at" in said) == (2, True)
    code, said = run("encrypt", root)
    assert (code, "--key-file FILE, with --new-key to make one" in said) == (2, True)
    code, said = run("encrypt", root, "--key-file", tmp_path / "mine", "--new-key", "--no-progress")
    assert (code, "3 segments of" in said) == (0, True), said
    code, said = run("verify", root, "--no-progress")
    assert (code, "is encrypted and no key is given" in said) == (2, True)
    assert run("verify", root, "--no-progress", "--key-file", tmp_path / "mine")[0] == 0
    assert run("stats", root, "--no-progress", "--key-file", tmp_path / "mine")[0] == 0
    code, said = run("rotate", root, "--key-file", tmp_path / "mine", "--to", tmp_path / "next", "--new-key")
    assert (code, "next from now on; keep a copy" in said.replace("\n", " ")) == (0, True)
    code, said = run("info", root, "--key-file", tmp_path / "mine")
    assert (code, "wrong key" in said) == (2, True)
    assert run("info", root, "--key-file", tmp_path / "next")[0] == 0
    code, said = run("rotate", root, "--key-file", tmp_path / "next")
    assert (code, "pass --to FILE for another master key, or --new-store-key" in said) == (2, True)
    code, said = run("rotate", root, "--key-file", tmp_path / "next", "--new-store-key", "--new-key")
    assert (code, "--new-key makes the file of --to FILE" in said) == (2, True)
    code, said = run("rotate", root, "--key-file", tmp_path / "next", "--new-store-key")
    assert (code, "k2" in said, "k1, until `replaylab compact`" in said) == (0, True, True), said
    code, said = run("compact", root, "--no-progress", "--key-file", tmp_path / "next")
    assert (code, "k1" in said, "dropped" in said) == (0, True, True), said
    assert "REPLAYLAB_KEY_FILE" not in os.environ


def test_a_command_that_is_refused_makes_no_key_file(store: tuple[Path, FileKey], tmp_path: Path) -> None:
    """`--new-key` makes its file when a key is wrapped by it: not for a wrong key, a store in plain, or none at all."""
    root, key = store
    new = tmp_path / "next"
    for place in (root, tmp_path / "nowhere"):
        assert run("rotate", place, "--key-file", key.path, "--to", new, "--new-key")[0] == 2
        assert not new.exists()
    assert run("encrypt", tmp_path / "nowhere", "--key-file", new, "--new-key", "--no-progress")[0] == 2
    assert not new.exists()
    assert run("encrypt", root, "--key-file", key.path, "--no-progress")[0] == 0
    code, said = run("encrypt", root, "--key-file", new, "--new-key", "--no-progress")
    assert (code, "no key file at" in said, new.exists()) == (2, True, False), said
    wrong = FileKey(tmp_path / "wrong", create=True)
    code, said = run("rotate", root, "--key-file", wrong.path, "--to", new, "--new-key")
    assert (code, "wrong key" in said, new.exists()) == (2, True, False), said
    assert run("rotate", root, "--key-file", key.path, "--to", new, "--new-key")[0] == 0
    assert run("info", root, "--key-file", new)[0] == 0


def test_convert_makes_an_encrypted_store(made: Path, tmp_path: Path) -> None:
    """With `--key-file`; a key file that others can read ends it before a byte is written."""
    key = FileKey(tmp_path / "key", create=True)
    words = ("convert", made / "recordings", "--no-progress", "--key-file", key.path, "--to")
    assert run(*words, tmp_path / "vault")[0] == 0
    assert rl.open_store(tmp_path / "vault", kms=key).encrypted
    assert clear_in(tmp_path / "vault") == []
    Path(key.path).chmod(0o644)
    code, said = run(*words, tmp_path / "new")
    assert (code, "others can read this key file" in said) == (2, True)
    assert not (tmp_path / "new").exists()


def test_rotation_of_many_segments_touches_one_file(store: tuple[Path, FileKey], tmp_path: Path) -> None:
    """Killed at any call it leaves a store that one of the two keys opens."""
    root, key = store
    encrypt(root, key, progress=False)
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file() and path.name != "keys.json"}
    for point in range(1, 40):
        new = FileKey(tmp_path / f"{point}.key", create=True)
        child = os.fork()
        if child == 0:
            with Killer(point).watching():
                rl.rotate(root, key, new)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        opens = []
        for one in (key, new):
            try:
                rl.open_store(root, kms=one)
            except KeyWrong:
                continue
            opens.append(one)
        assert len(opens) == 1, point
        key = opens[0]
        if not status:
            break
    assert key == new
    after = {path: path.read_bytes() for path in before}
    assert after == before
