"""Master keys: a file of mode 0600, an environment variable, a service of one's own."""

from __future__ import annotations

import base64
import os
import pickle
from pathlib import Path

import pytest

from replaylab.encryption.kms import EnvironmentKey, FileKey, kms_of_environment
from replaylab.errors import KeyMissing, KeyWrong, Tampered

STORE_KEY = bytes(range(32))


def test_made_key_file_is_private(tmp_path: Path) -> None:
    """`create` makes 32 bytes as base64 that only their owner can read; a second time it keeps them."""
    key = FileKey(tmp_path / "new" / "key", create=True)
    content = Path(key.path).read_bytes()
    assert Path(key.path).stat().st_mode & 0o777 == 0o600
    assert len(base64.b64decode(content)) == 32
    FileKey(key.path, create=True)
    assert Path(key.path).read_bytes() == content


def test_wrapped_key_comes_back(tmp_path: Path) -> None:
    """What is wrapped is not the key, differs each time, and is unwrapped by the same master key."""
    key = FileKey(tmp_path / "key", create=True)
    first, second = key.wrap(STORE_KEY), key.wrap(STORE_KEY)
    assert first != second
    assert STORE_KEY not in first
    assert key.unwrap(first) == key.unwrap(second) == STORE_KEY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """The message names the file, its mode and the remedy."""
    key = FileKey(tmp_path / "key", create=True)
    Path(key.path).chmod(mode)
    with pytest.raises(KeyMissing, match=rf"key: others can read this key file \(mode {mode:04o}\).*chmod 600"):
        key.wrap(STORE_KEY)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"short", base64.b64encode(bytes(31)), base64.b64encode(bytes(33)), bytes(32)]
)
def test_file_without_a_key_is_named(tmp_path: Path, content: bytes) -> None:
    """Anything but 32 bytes as base64 is no key: it is never stretched to one."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyMissing, match="no key in it: 32 bytes as base64"):
        FileKey(path).wrap(STORE_KEY)


def test_places_without_a_key_are_named(tmp_path: Path) -> None:
    """No file, a folder, and a file that cannot be made."""
    with pytest.raises(KeyMissing, match="no key file at"):
        FileKey(tmp_path / "none").unwrap(b"")
    (tmp_path / "folder").mkdir(mode=0o700)
    with pytest.raises(KeyMissing, match=r"not a file|cannot be read"):
        FileKey(tmp_path / "folder").unwrap(b"")
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyMissing, match="cannot be made"):
        FileKey(tmp_path / "file" / "key", create=True)


def test_another_key_is_wrong_and_altered_bytes_are_tampered(tmp_path: Path) -> None:
    """Which of the two it is, is certain: the wrapped key names its master key."""
    key, other = FileKey(tmp_path / "a", create=True), FileKey(tmp_path / "b", create=True)
    wrapped = key.wrap(STORE_KEY)
    with pytest.raises(KeyWrong, match="is not the one that wrapped"):
        other.unwrap(wrapped)
    for at in range(8, len(wrapped)):
        flipped = bytearray(wrapped)
        flipped[at] ^= 1
        with pytest.raises(Tampered):
            key.unwrap(bytes(flipped))
    with pytest.raises(Tampered):
        key.unwrap(wrapped[:20])


def test_key_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file wins over a key in the environment; without either there is none."""
    monkeypatch.delenv("REPLAYLAB_KEY_FILE", raising=False)
    monkeypatch.delenv("REPLAYLAB_KEY", raising=False)
    assert kms_of_environment() is None
    with pytest.raises(KeyMissing, match="REPLAYLAB_KEY is not set"):
        EnvironmentKey().wrap(STORE_KEY)
    monkeypatch.setenv("REPLAYLAB_KEY", base64.b64encode(bytes(range(32))).decode())
    key = kms_of_environment()
    assert key == EnvironmentKey()
    assert key.unwrap(key.wrap(STORE_KEY)) == STORE_KEY
    monkeypatch.setenv("REPLAYLAB_KEY_FILE", str(tmp_path / "key"))
    assert kms_of_environment() == FileKey(tmp_path / "key")


def test_neither_text_nor_pickle_holds_the_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path and the name of a variable are all that leaves the process."""
    text = base64.b64encode(os.urandom(32)).decode()
    monkeypatch.setenv("SOME_KEY", text)
    path = tmp_path / "key"
    path.write_text(text)
    for key in (FileKey(path), EnvironmentKey("SOME_KEY")):
        shown = repr(key).encode() + pickle.dumps(key)
        assert text.encode() not in shown
        assert base64.b64decode(text) not in shown
        assert pickle.loads(pickle.dumps(key)) == key


def test_key_file_is_found_from_another_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative path is taken where the key was named."""
    monkeypatch.chdir(tmp_path)
    key = FileKey("key", create=True)
    monkeypatch.chdir("/")
    assert key.unwrap(key.wrap(STORE_KEY)) == STORE_KEY
