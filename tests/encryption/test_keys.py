"""keys.json: the wrapped key of a store; wrong, missing and altered keys are told apart; rotation rewrites it alone."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from replaylab.durable import publish_new
from replaylab.encryption import keys
from replaylab.encryption.document import ENCRYPTING
from replaylab.encryption.keys import (
    StoreKeys,
    keys_for_writing,
    keys_of,
    make_keys,
    new_salt,
    replace_document,
    rotate,
    unlocked,
)
from replaylab.encryption.kms import FileKey, Kms
from replaylab.errors import KeyMissing, KeyWrong, StoreTooNew, Tampered


@pytest.fixture
def key(tmp_path: Path) -> FileKey:
    """Return a new master key."""
    return FileKey(tmp_path / "master.key", create=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return the place of a store."""
    return tmp_path / "vault"


def test_keys_of_files_differ_and_come_back(root: Path, key: FileKey) -> None:
    """Salt and purpose give a key of its own, the same each time the store is opened."""
    made, again = make_keys(root, key), keys_of(root, key)
    assert again is not None
    salts = [new_salt() for _ in range(50)]
    first = [made.derive(salt, purpose) for salt in salts for purpose in ("segment", "journal")]
    assert [again.derive(salt, purpose) for salt in salts for purpose in ("segment", "journal")] == first
    assert len(set(first)) == 100
    assert {len(one) for one in first} == {32}


def test_folder_and_file_are_private(root: Path, key: FileKey) -> None:
    """Also where the folder was open to others before."""
    root.mkdir(mode=0o755)
    make_keys(root, key)
    assert root.stat().st_mode & 0o777 == 0o700
    assert (root / "keys.json").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in root.iterdir()] == ["keys.json"]


def test_second_maker_takes_the_keys_of_the_first(root: Path, key: FileKey) -> None:
    """Two recorders that make a store at once write with one key."""
    salt = new_salt()
    assert make_keys(root, key).derive(salt, "journal") == make_keys(root, key).derive(salt, "journal")


def test_recorders_that_make_a_store_at_once_in_one_process(
    root: Path, key: FileKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one writes aside is never the file that another has made already, whose key is in use."""
    salt, found = new_salt(), list[bytes]()

    def published(aside: Path, final: Path) -> bool:
        made = publish_new(aside, final)
        if not found:
            found.append(found_keys(root, key).derive(salt, "journal"))  # another one records by now
            found.append(make_keys(root, key).derive(salt, "journal"))
        return made

    monkeypatch.setattr(keys, "publish_new", published)
    found.append(make_keys(root, key).derive(salt, "journal"))
    found.append(found_keys(root, key).derive(salt, "journal"))
    assert len(set(found)) == 1
    assert [path.name for path in root.iterdir()] == ["keys.json"]


def found_keys(root: Path, key: FileKey) -> keys.StoreKeys:
    """Return the keys of a store that is there."""
    there = keys.keys_of(root, key)
    assert there is not None
    return there


class Lying(Kms):
    """A service that unwraps what it never wrapped, and says nothing."""

    def wrap(self, key: bytes) -> bytes:
        """Return it as it is."""
        return key

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return some key."""
        return wrapped[:32]


def test_missing_and_wrong_keys(root: Path, key: FileKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, another key, and a key for a store in plain are three messages."""
    monkeypatch.delenv("REPLAYLAB_KEY_FILE", raising=False)
    monkeypatch.delenv("REPLAYLAB_KEY", raising=False)
    make_keys(root, key)
    with pytest.raises(KeyMissing, match="is encrypted and no key is given; pass kms="):
        keys_of(root)
    with pytest.raises(KeyWrong, match="vault: wrong key"):
        keys_of(root, FileKey(tmp_path / "other", create=True))
    with pytest.raises(KeyWrong, match="vault: wrong key: what Lying unwraps is not the key of this store"):
        keys_of(root, Lying())
    with pytest.raises(KeyMissing, match=r"is not encrypted: it has no keys\.json"):
        keys_of(tmp_path / "plain", key)
    assert keys_of(tmp_path / "plain") is None
    (tmp_path / "lost" / "segments").mkdir(parents=True)
    (tmp_path / "lost" / "segments" / f"sealed_{'0' * 32}_{'0' * 32}.parquet").touch()
    with pytest.raises(KeyMissing, match=r"holds encrypted segments, and its keys\.json is gone; restore"):
        keys_of(tmp_path / "lost", key)
    monkeypatch.setenv("REPLAYLAB_KEY_FILE", key.path)
    assert keys_of(root) is not None
    assert keys_of(tmp_path / "plain") is None


def test_new_store_is_encrypted_where_a_key_is_at_hand(
    root: Path, key: FileKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By argument or by the environment; a store in plain stays so, and refuses a key that is passed."""
    monkeypatch.delenv("REPLAYLAB_KEY", raising=False)
    monkeypatch.delenv("REPLAYLAB_KEY_FILE", raising=False)
    assert keys_for_writing(root, None, "segments") is None
    assert not root.exists()
    assert keys_for_writing(root, key, "segments") is not None
    monkeypatch.setenv("REPLAYLAB_KEY_FILE", key.path)
    assert keys_for_writing(tmp_path / "second", None, "segments") is not None
    (tmp_path / "plain" / "segments").mkdir(parents=True)
    assert keys_for_writing(tmp_path / "plain", None, "segments") is None
    with pytest.raises(KeyMissing, match="is not encrypted"):
        keys_for_writing(tmp_path / "plain", key, "segments")


def test_every_flip_of_the_document_is_refused(root: Path, key: FileKey) -> None:
    """Whatever byte is changed, it is `Tampered`, `KeyWrong` or `StoreTooNew`, or says the same as before."""
    make_keys(root, key)
    document = (root / "keys.json").read_bytes()
    for at in range(len(document)):
        for bit in (1, 4, 32):
            flipped = bytearray(document)
            flipped[at] ^= bit
            try:
                unlocked(bytes(flipped), "vault", key)
            except (Tampered, KeyWrong, StoreTooNew):
                continue
            assert json.loads(flipped) == json.loads(document)


def test_cut_documents_are_refused(root: Path, key: FileKey) -> None:
    """A file of which a part is there opens nothing."""
    make_keys(root, key)
    document = (root / "keys.json").read_bytes()
    for size in range(len(document) - 2):
        with pytest.raises(Tampered, match=r"keys\.json is damaged; restore it"):
            unlocked(document[:size], "vault", key)


def test_state_cannot_be_changed_without_the_key(root: Path, key: FileKey) -> None:
    """An attacker cannot say that the store is still being encrypted, so that files in plain would be taken."""
    make_keys(root, key)
    found = json.loads((root / "keys.json").read_bytes())
    (root / "keys.json").write_text(json.dumps({**found, "state": ENCRYPTING}))
    with pytest.raises(Tampered, match="is not what was written"):
        keys_of(root, key)


def test_newer_format_is_named(root: Path, key: FileKey) -> None:
    """A newer release's file is not called damaged."""
    make_keys(root, key)
    found = json.loads((root / "keys.json").read_bytes())
    (root / "keys.json").write_text(json.dumps({**found, "format": 3}))
    with pytest.raises(StoreTooNew, match="format 3; upgrade replaylab"):
        keys_of(root, key)


def test_rotation_rewrites_the_wrapped_key_alone(root: Path, key: FileKey, tmp_path: Path) -> None:
    """Keys of files stay; the old master key is refused afterwards, and so is a third one."""
    salt, new = new_salt(), FileKey(tmp_path / "new.key", create=True)
    before = make_keys(root, key).derive(salt, "segment")
    rotate(root, key, new)
    after = keys_of(root, new)
    assert after is not None
    assert after.derive(salt, "segment") == before
    assert (root / "keys.json").stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyWrong):
        keys_of(root, key)
    with pytest.raises(KeyWrong):
        rotate(root, key, FileKey(tmp_path / "third", create=True))
    with pytest.raises(KeyMissing, match="is not encrypted"):
        rotate(tmp_path, key, new)


class Broken(Kms):
    """A service that wraps and cannot unwrap."""

    def wrap(self, key: bytes) -> bytes:
        """Return what is no secret here."""
        return key[:31] + b"x"

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return, or raise, what the test needs."""
        return wrapped


class Away(Broken):
    """A service that does not answer."""

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return, or raise, what the test needs."""
        raise ConnectionError(f"no answer to {len(wrapped)} bytes")


class Reversed(Kms):
    """A service of a user's own."""

    def wrap(self, key: bytes) -> bytes:
        """Return what is no secret here."""
        return key[::-1]

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return, or raise, what the test needs."""
        return wrapped[::-1]


def test_services_of_ones_own(root: Path, key: FileKey) -> None:
    """Two methods are enough; one that cannot unwrap what it wraps encrypts nothing, and rotates nothing."""
    with pytest.raises(KeyWrong, match="Broken does not unwrap what it wraps"):
        make_keys(root, Broken())
    assert not (root / "keys.json").exists()
    service = Reversed()
    made = make_keys(root, service)
    assert keys_of(root, service) == made
    with pytest.raises(KeyWrong, match="is not the key of this store"):
        keys_of(root, Broken())
    with pytest.raises(KeyMissing, match=r"Away does not give the key .ConnectionError: no answer"):
        keys_of(root, Away())
    with pytest.raises(KeyWrong):
        keys_of(root, key)
    with pytest.raises(KeyWrong):
        rotate(root, service, Broken())
    assert keys_of(root, service) == made


def test_neither_text_nor_pickle_holds_the_key(root: Path, key: FileKey) -> None:
    """A pickle holds `keys.json` and the service, which is asked where it arrives."""
    keys = make_keys(root, key)
    secrets = [*keys._now().keys.values(), keys.derive(bytes(16), "segment")]
    pickled = pickle.dumps(keys)
    assert all(
        secret not in pickled and secret.hex() not in repr(keys) and repr(secret) not in repr(keys)
        for secret in secrets
    )
    again = pickle.loads(pickled)
    assert isinstance(again, StoreKeys)
    assert again == keys
    Path(key.path).unlink()
    arrived = pickle.loads(pickled)
    assert isinstance(arrived, StoreKeys)
    with pytest.raises(KeyMissing, match=r"vault: no key file at .*; name the one"):
        arrived.derive(bytes(16), "segment")


def test_keys_that_were_replaced_are_noticed(root: Path, key: FileKey) -> None:
    """What would be written by the keys of a store that was made anew could not be read."""
    keys = make_keys(root, key)
    keys.restore_file(root)
    (root / "keys.json").unlink()
    keys.restore_file(root)
    assert (root / "keys.json").read_bytes() == keys.document
    (root / "keys.json").unlink()
    make_keys(root, key)
    with pytest.raises(KeyWrong, match="was replaced by that of another store"):
        keys.restore_file(root)


def test_state_ends_with_the_encryption(root: Path, key: FileKey) -> None:
    """Files in plain are taken only while a store is being encrypted."""
    keys = make_keys(root, key, ENCRYPTING)
    assert keys.allows_plain
    replace_document(root, keys.with_state("encrypted"))
    done = keys_of(root, key)
    assert done is not None
    assert not done.allows_plain
    assert done.derive(bytes(16), "segment") == keys.derive(bytes(16), "segment")
