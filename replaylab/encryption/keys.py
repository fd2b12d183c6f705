"""StoreKeys: the key of a store, wrapped in ``keys.json``, and the keys of its files, which are derived from it.

Each file has 16 random bytes of its own, its salt; its key is HKDF-SHA256 of the store's key with that salt and what
the file is for. ``keys.json`` holds no secret: the store's key is in it only wrapped by the master key. Rotating the
master key rewrites this one file.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from replaylab.durable import make_folders, make_private, publish, publish_new, sole_writer, written_aside
from replaylab.encryption.kms import KEY_BYTES, Kms, crypto, kms_of_environment
from replaylab.errors import KeyMissing, KeyWrong, ReplayLabError, StoreNotFound, StoreTooNew, Tampered

FORMAT: Final = 1
KEYS_FILE: Final = "keys.json"
SALT_BYTES: Final = 16
ENCRYPTED: Final = "encrypted"
ENCRYPTING: Final = "encrypting"  # `encrypt` has begun and not ended: files in plain are still there
Purpose = Literal["segment", "journal", "remarks", "refused", "cache", "status"]
_TYPE: Final = "replaylab_keys"
_FIELDS: Final = ("type", "format", "state", "keys")


def new_salt() -> bytes:
    """Return a salt for a new file: no two files have the same."""
    return os.urandom(SALT_BYTES)


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """The key of a store and what derives those of its files; neither its text nor its pickle holds a key.

    What is pickled is ``keys.json`` and the `Kms`, which is asked again where it arrives.

    Attributes
    ----------
    place : str
        The store, for messages.
    kms : Kms
        What unwrapped the key.
    document : bytes
        What ``keys.json`` holds.
    id : str
        Name of the key of the store.
    state : str
        ``encrypted``, or ``encrypting`` while files in plain are still to be encrypted.
    """

    place: str
    kms: Kms = field(repr=False)
    document: bytes = field(repr=False)
    id: str
    state: str
    _key: bytes = field(repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return unlocked, (self.document, self.place, self.kms)

    @property
    def allows_plain(self) -> bool:
        """Whether files in plain are expected, because the store is just being encrypted."""
        return self.state == ENCRYPTING

    def derive(self, salt: bytes, purpose: Purpose) -> bytes:
        """Return the key of a file, 32 bytes."""
        return derived(self._key, salt, purpose)

    def restore_file(self, root: Path) -> None:
        """Write ``keys.json`` again when it is gone; raise `KeyWrong` when another store's is there.

        What is written by these keys could not be read without it.
        """
        found = read_document(root)
        if found is None:
            replace_document(root, self.document)
        elif _entry(_parsed(found, str(root)))["check"] != _check(self._key):
            raise KeyWrong(f"{root / KEYS_FILE} was replaced by that of another store")

    def with_state(self, state: str) -> bytes:
        """Return ``keys.json`` with another state."""
        found = _parsed(self.document, self.place)
        return _document(found["keys"], state, self._key)

    def wrapped_by(self, kms: Kms) -> bytes:
        """Return ``keys.json`` with the same key wrapped by another master key."""
        entry = {**_entry(_parsed(self.document, self.place)), "wrapped": _wrap(kms, self._key)}
        return _document([entry], self.state, self._key)


def derived(key: bytes, salt: bytes, purpose: str) -> bytes:
    """Return HKDF-SHA256 of a key with a salt and a purpose, 32 bytes."""
    made = crypto("kdf.hkdf").HKDF(
        crypto("hashes").SHA256(), length=KEY_BYTES, salt=salt, info=b"replaylab %s 1" % purpose.encode()
    )
    return bytes(made.derive(key))


def read_document(root: Path) -> bytes | None:
    """Return what ``keys.json`` of a store holds; None for a store that is not encrypted."""
    try:
        return (root / KEYS_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def keys_of(root: Path, kms: Kms | None = None) -> StoreKeys | None:
    """Return the keys of a store; None when it is not encrypted and none were asked for.

    Parameters
    ----------
    root : Path
        The store.
    kms : Kms, optional
        The master key; that of the environment unless given.

    Raises
    ------
    KeyMissing
        When the store is encrypted and there is no master key, or when `kms` is given and it is not encrypted.
    KeyWrong, Tampered, StoreTooNew
        When ``keys.json`` cannot be opened with it.
    """
    document = read_document(root)
    if document is not None:
        return unlocked(document, str(root), kms)
    if kms is not None:
        raise not_encrypted(str(root))
    return None


def not_encrypted(place: str) -> KeyMissing:
    """Return the error for a key that is given for a store in plain: a caller who has one expects no plain rows."""
    return KeyMissing(
        f"{place} is not encrypted: it has no {KEYS_FILE}. Encrypt it with `replaylab encrypt`, restore that file, or "
        "open the store without a key"
    )


def is_plain_store(root: Path, folder: str) -> bool:
    """Return whether there is a store, which has the folder of that name, and it is not encrypted."""
    return read_document(root) is None and (root / folder).is_dir()


def keys_for_writing(root: Path, kms: Kms | None, folder: str) -> StoreKeys | None:
    """Return the keys of a store that is to be written; a store that is not there yet is made encrypted if asked for.

    Parameters
    ----------
    root, kms : Path, Kms or None
        As for `keys_of`; a key in the environment encrypts a new store as well.
    folder : str
        Name of the folder that every store has.
    """
    if read_document(root) is None and not (root / folder).is_dir():
        kms = kms or kms_of_environment()
        return None if kms is None else make_keys(root, kms)
    return keys_of(root, kms)


def make_keys(root: Path, kms: Kms, state: str = ENCRYPTED) -> StoreKeys:
    """Make ``keys.json`` with a new key, and the folder private; return the keys of the first writer.

    Raises
    ------
    KeyMissing, KeyWrong, StoreUnwritable
        When the key cannot be wrapped, or the file cannot be written.
    """
    key = os.urandom(KEY_BYTES)
    entry = {"id": "k1", "created": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    entry |= {"wrapped": _wrap(kms, key), "check": _check(key)}
    make_folders(root)
    make_private(root)
    with written_aside(root, f"{KEYS_FILE}-{os.urandom(8).hex()}") as aside:  # of this call: threads may do it at once
        aside.write_bytes(_document([entry], state, key))
        publish_new(aside, root / KEYS_FILE)
    found = keys_of(root, kms)
    if found is None:
        raise StoreNotFound(f"{root} was removed while it was made")
    return found


def replace_document(root: Path, document: bytes) -> None:
    """Write ``keys.json`` anew, whole or not at all."""
    with written_aside(root, KEYS_FILE) as aside:
        aside.write_bytes(document)
        publish(aside, root / KEYS_FILE, private=True)


def rotate(store: str | os.PathLike[str], kms: Kms, new: Kms) -> None:
    """Wrap the key of a store by a new master key; no other file is touched, and the old master key opens it no more.

    Killed at any moment it leaves a store that one of the two opens. Copies of the store that were made before are
    still opened by the old one.

    Parameters
    ----------
    store : path
        The store.
    kms, new : Kms
        The master key that opens it now, and the one that opens it from now on.

    Raises
    ------
    KeyMissing, KeyWrong, Tampered
        When the store is not encrypted, or `kms` does not open it.
    StoreBusy
        When a conversion, compaction or another rotation is running.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> old, new = (rl.FileKey(f"{folder}/{name}.key", create=True) for name in ("old", "new"))
    >>> _ = make_keys(Path(folder, "vault"), old)
    >>> rl.rotate(folder + "/vault", old, new)
    >>> keys_of(Path(folder, "vault"), new).id
    'k1'
    """
    root = Path(store)
    keys_of(root, kms)  # a wrong key waits for no lock
    if read_document(root) is None:
        raise not_encrypted(str(root))
    with sole_writer(root):
        keys = keys_of(root, kms)
        if keys is None:
            raise not_encrypted(str(root))
        replace_document(root, keys.wrapped_by(new))


def unlocked(document: bytes, place: str, kms: Kms | None = None) -> StoreKeys:
    """Return the keys in the bytes of a ``keys.json``.

    Raises
    ------
    KeyMissing
        When there is no master key, or it cannot be asked.
    KeyWrong
        When it is not the one that wrapped the key.
    Tampered
        When the file is not what was written.
    StoreTooNew
        When a newer release wrote it.
    """
    kms = kms or kms_of_environment()
    if kms is None:
        raise KeyMissing(
            f"{place} is encrypted and no key is given; pass kms=rl.FileKey(...) or --key-file FILE, or set "
            "REPLAYLAB_KEY_FILE"
        )
    found = _parsed(document, place)
    entry = _entry(found)
    try:
        key = kms.unwrap(base64.b64decode(entry["wrapped"], validate=True))
    except KeyWrong as error:
        raise KeyWrong(f"{place}: wrong key: {error}") from error
    except Tampered as error:
        raise Tampered(f"{place}: {error}") from error
    except ReplayLabError:
        raise
    except ValueError as error:
        raise KeyWrong(
            f"{place}: wrong key: {type(kms).__name__} cannot unwrap the key of the store ({error})"
        ) from error
    except Exception as error:
        raise KeyMissing(
            f"{place}: {type(kms).__name__} does not give the key ({type(error).__name__}: {error})"
        ) from error
    if len(key) != KEY_BYTES or not hmac.compare_digest(_check(key), str(entry["check"])):
        raise KeyWrong(f"{place}: wrong key: what {type(kms).__name__} unwraps is not the key of this store")
    if not hmac.compare_digest(_seal(found, key), str(found.get("seal"))):
        raise Tampered(f"{place}: {KEYS_FILE} is not what was written; restore it from a backup")
    return StoreKeys(place, kms, document, entry["id"], found["state"], key)


def _wrap(kms: Kms, key: bytes) -> str:
    """Return a key wrapped, as base64, once it is certain that it can be unwrapped."""
    wrapped = kms.wrap(key)
    if kms.unwrap(wrapped) != key:
        raise KeyWrong(f"{type(kms).__name__} does not unwrap what it wraps: nothing was encrypted with it")
    return base64.b64encode(wrapped).decode()


def _check(key: bytes) -> str:
    """Return a value by which a key can be checked, and that reveals nothing of it."""
    return hmac.new(key, b"replaylab check 1", hashlib.sha256).hexdigest()[:32]


def _seal(found: dict[str, Any], key: bytes) -> str:
    """Return the authentication of a document: its state says whether files in plain are accepted."""
    sealed = json.dumps({name: found[name] for name in _FIELDS}, sort_keys=True).encode()
    return hmac.new(derived(key, b"", "keys"), sealed, hashlib.sha256).hexdigest()


def _document(entries: list[dict[str, Any]], state: str, key: bytes) -> bytes:
    found: dict[str, Any] = {"type": _TYPE, "format": FORMAT, "state": state, "keys": entries}
    return (json.dumps({**found, "seal": _seal(found, key)}, indent=1) + "\n").encode()


def _parsed(document: bytes, place: str) -> dict[str, Any]:
    """Return a document whose fields are there; raises `Tampered` or `StoreTooNew`."""
    try:
        found = json.loads(document)
        if found["type"] != _TYPE or found["state"] not in {ENCRYPTED, ENCRYPTING}:
            raise ValueError  # noqa: TRY301 like any other member that is not what it was
        version = found["format"]
        _entry(found)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise Tampered(f"{place}: {KEYS_FILE} is damaged; restore it from a backup") from error
    if version != FORMAT:
        raise StoreTooNew(f"{place}: {KEYS_FILE} of format {version!r}; upgrade replaylab to read it")
    return dict(found)


def _entry(found: dict[str, Any]) -> dict[str, str]:
    """Return the key of the store among the entries: there is one."""
    (entry,) = found["keys"]
    return {name: str(entry[name]) for name in ("id", "created", "wrapped", "check")}
