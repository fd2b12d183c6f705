"""Small files: encrypted as a whole where their store is, as they are where it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from replaylab.encryption.document import ENCRYPTING
from replaylab.encryption.envelope import closed, opened, read_file, write_file
from replaylab.encryption.keys import StoreKeys, make_keys
from replaylab.encryption.kms import FileKey
from replaylab.errors import KeyMissing, Tampered

CONTENT = b"MARKER of a cache" * 20


@pytest.fixture
def keys(tmp_path: Path) -> StoreKeys:
    """Return the keys of a new store."""
    return make_keys(tmp_path / "vault", FileKey(tmp_path / "key", create=True))


def test_plain_store_keeps_plain_files(tmp_path: Path) -> None:
    """Without keys the bytes are the content, and the mode is that of any file."""
    write_file(tmp_path / "run.json", None, "status", CONTENT)
    assert (tmp_path / "run.json").read_bytes() == CONTENT
    assert read_file(tmp_path / "run.json", None, "status") == CONTENT
    assert (tmp_path / "run.json").stat().st_mode & 0o777 != 0o600


def test_encrypted_file_comes_back(tmp_path: Path, keys: StoreKeys) -> None:
    """Its bytes hold nothing of the content, differ each time, and only its owner can read them."""
    path = tmp_path / "run.json"
    write_file(path, keys, "status", CONTENT)
    first = path.read_bytes()
    assert b"MARKER" not in first
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_file(path, keys, "status") == CONTENT
    write_file(path, keys, "status", CONTENT)
    assert path.read_bytes() != first
    assert [one.name for one in tmp_path.iterdir() if "aside" in one.name] == []


def test_what_was_not_written_is_refused(keys: StoreKeys) -> None:
    """A flip, a cut, another name, another purpose and a file in plain."""
    found = closed(keys, "cache", "name", CONTENT)
    assert opened(keys, "cache", "name", found) == CONTENT
    for at in range(len(found)):
        flipped = bytearray(found)
        flipped[at] ^= 1
        with pytest.raises(Tampered):
            opened(keys, "cache", "name", bytes(flipped))
        with pytest.raises(Tampered):
            opened(keys, "cache", "name", found[:at])
    with pytest.raises(Tampered, match="other: is not what was written"):
        opened(keys, "cache", "other", found)
    with pytest.raises(Tampered):
        opened(keys, "status", "name", found)
    with pytest.raises(Tampered, match="is not encrypted, and this store is"):
        opened(keys, "cache", "name", CONTENT)


def test_encrypted_file_without_keys_is_named() -> None:
    """It is not taken for content."""
    with pytest.raises(KeyMissing, match="is encrypted, and the store has no keys"):
        opened(None, "cache", "name", b"RLE1" + bytes(40))


def test_plain_file_is_taken_while_a_store_is_being_encrypted(tmp_path: Path) -> None:
    """So that a store can be read at any moment of it."""
    keys = make_keys(tmp_path / "vault", FileKey(tmp_path / "key", create=True), ENCRYPTING)
    assert opened(keys, "cache", "name", CONTENT) == CONTENT
