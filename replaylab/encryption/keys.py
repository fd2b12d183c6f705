"""StoreKeys: the keys of a store, wrapped in ``keys.json``, and the keys of its files, which are derived from them.

Each file has 16 random bytes of its own, its salt; its key is HKDF-SHA256 of a key of the store with that salt and
what the file is for. ``keys.json`` holds no secret: the store's keys are in it only wrapped by the master key.
Rotating the master key rewrites this one file. A new key of the store is one more entry: new files use the newest,
files name the one that they need, and an older one is dropped once no file needs it.
"""

from __future__ import annotations

import base64
import hmac
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from replaylab.durable import make_folders, make_private, of_user, publish, publish_new, sole_writer, written_aside
from replaylab.encryption.document import (
    ENCRYPTED,
    ENCRYPTING,
    FIRST,
    KEYS_FILE,
    KeysDocument,
    check_of,
    derived,
    new_entry,
)
from replaylab.encryption.kms import KEY_BYTES, Kms, kms_of_environment
from replaylab.errors import KeyMissing, KeyWrong, ReplayLabError, StoreError, StoreNotFound, Tampered
from replaylab.keywords import options_of

SALT_BYTES: Final = 16
Purpose = Literal["segment", "journal", "remarks", "refused", "cache", "status"]


def new_salt() -> bytes:
    """Return a salt for a new file: no two files have the same."""
    return os.urandom(SALT_BYTES)


class _Unlocked(NamedTuple):
    """A ``keys.json`` whose keys have been unwrapped and whose seal is right."""

    data: bytes
    document: KeysDocument
    keys: dict[str, bytes]


class StoreKeys:
    """The keys of a store and what derives those of its files; neither its text nor its pickle holds a key.

    What is pickled is ``keys.json`` and the `Kms`, which is asked where it arrives, when the first key is needed.

    Parameters
    ----------
    place : str
        The store, for messages.
    kms : Kms
        What unwraps the keys.
    data : bytes
        What ``keys.json`` holds.
    ask : bool
        Whether the `Kms` is asked at once.

    Raises
    ------
    KeyMissing, KeyWrong, Tampered, StoreTooNew
        As `unlocked`.
    """

    __slots__ = ("_data", "_unlocked", "kms", "place")

    def __init__(self, place: str, kms: Kms, data: bytes, *, ask: bool = True) -> None:
        self.place = place
        self.kms = kms
        self._data = data
        self._unlocked: _Unlocked | None = None
        if ask:
            self._now()

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrived, (self.place, self.kms, self.document)

    def __repr__(self) -> str:
        return f"StoreKeys({self.place!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StoreKeys):
            return NotImplemented
        return (self.place, self.kms, self.document) == (other.place, other.kms, other.document)

    def __hash__(self) -> int:
        return hash((self.place, self.document))

    def _now(self) -> _Unlocked:
        """Return what is known, once the `Kms` has been asked."""
        if self._unlocked is None:
            self._unlocked = _unwrapped(self._data, self.place, self.kms)
        return self._unlocked

    @property
    def document(self) -> bytes:
        """What ``keys.json`` held when it was read last."""
        return self._data if self._unlocked is None else self._unlocked.data

    @property
    def id(self) -> str:
        """Name of the newest key."""
        return self._now().document.newest.id

    @property
    def ids(self) -> list[str]:
        """Names of all its keys, the newest last."""
        return [one.id for one in reversed(self._now().document.entries)]

    @property
    def state(self) -> str:
        """``encrypted``, or ``encrypting`` while files in plain are still to be encrypted."""
        return self._now().document.state

    @property
    def allows_plain(self) -> bool:
        """Whether files in plain are expected, because the store is just being encrypted."""
        return self.state == ENCRYPTING

    def derive(self, salt: bytes, purpose: Purpose, name: str = "") -> bytes:
        """Return the key of a file, 32 bytes.

        Parameters
        ----------
        salt, purpose : bytes, str
            Of the file.
        name : str
            The key of the store that it needs; the newest unless given. One that is not known is looked for in
            ``keys.json`` again.

        Raises
        ------
        Tampered
            When ``keys.json`` does not hold that key.
        """
        known = self._now()
        name = name or known.document.newest.id
        if name not in known.keys:
            known = self._reread()
        if name not in known.keys:
            raise Tampered(_unknown(self.place, name, known.document))
        return derived(known.keys[name], salt, purpose)

    def newest(self, *, certain: bool = False) -> str:
        """Return the name of the key for a new file, as ``keys.json`` says now.

        A recorder goes on with the key that it has when the `Kms` does not answer or ``keys.json`` cannot be read.

        Parameters
        ----------
        certain : bool
            Raise instead, unless ``keys.json`` still holds that key.

        Raises
        ------
        KeyMissing, KeyWrong, Tampered, StoreTooNew
            When it is `certain` that what is written now could not be read.
        """
        known = self._now().document.newest
        try:
            return self._reread().document.newest.id
        except (StoreError, OSError):
            if certain and known.check not in _checks_in(Path(self.place)):
                raise
            return known.id

    def _reread(self) -> _Unlocked:
        """Return what ``keys.json`` holds now, and keep it; what was known where it is gone."""
        known = self._now()
        data = read_document(Path(self.place))
        if data is None or data == known.data:
            return known
        self._refuse_other(KeysDocument.read(data, self.place))
        self._unlocked = _unwrapped(data, self.place, self.kms)
        return self._unlocked

    def _refuse_other(self, found: KeysDocument) -> None:
        """Raise `KeyWrong` for the document of another store, or an older one of this: the newest key is not in it."""
        if self._now().document.newest.check not in found.checks:
            raise KeyWrong(
                f"{Path(self.place) / KEYS_FILE} was replaced by that of another store, or by an older one; restore "
                "the newest one from a backup"
            )

    def restore_file(self, root: Path) -> None:
        """Write ``keys.json`` again when it is gone; raise `KeyWrong` when another store's, or an older one, is there.

        What is written by these keys could not be read without it.
        """
        found = read_document(root)
        if found is None:
            replace_document(root, self.document)
        else:
            self._refuse_other(KeysDocument.read(found, str(root)))

    def with_state(self, state: str) -> bytes:
        """Return ``keys.json`` with another state."""
        return self._sealed(replace(self._now().document, state=state))

    def wrapped_by(self, kms: Kms) -> bytes:
        """Return ``keys.json`` with the same keys wrapped by another master key."""
        known = self._now()
        entries = tuple(one._replace(wrapped=_wrap(kms, known.keys[one.id])) for one in known.document.entries)
        return self._sealed(replace(known.document, entries=entries))

    def with_new_key(self) -> bytes:
        """Return ``keys.json`` with one more key, which new files will use."""
        key = os.urandom(KEY_BYTES)
        return self._now().document.with_newest(_wrap(self.kms, key), check_of(key)).to_bytes(key)

    def without(self, ids: set[str]) -> bytes:
        """Return ``keys.json`` without some of its older keys, which are dropped for good."""
        return self._sealed(self._now().document.without(ids))

    def _sealed(self, document: KeysDocument) -> bytes:
        return document.to_bytes(self._now().keys[document.newest.id])


def _arrived(place: str, kms: Kms, data: bytes) -> StoreKeys:
    """Return keys that were pickled: the `Kms` is asked when the first is needed, so that its error can be shown."""
    return StoreKeys(place, kms, data, ask=False)


def _checks_in(root: Path) -> set[str]:
    """Return what the keys in a ``keys.json`` are checked by; nothing when it is no such file."""
    try:
        found = read_document(root)
        return set() if found is None else {one.check for one in KeysDocument.read(found, str(root)).entries}
    except (StoreError, OSError):
        return set()


def _unknown(place: str, name: str, document: KeysDocument) -> str:
    if any(one.id == name for one in document.dropped):
        return (
            f"{place}: a file names the key {name}, which was dropped when no file needed it any more; it was put in "
            f"from outside. If it is from a backup, open that backup, with the {KEYS_FILE} of its time, as a store"
        )
    return (
        f"{place}: a file names the key {name}, which {KEYS_FILE} does not hold; restore the newest {KEYS_FILE} from "
        "a backup, or remove the file if it was put in from outside"
    )


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
    if any(Path(place).glob("segments/sealed_*")):
        return KeyMissing(f"{place} holds encrypted segments, and its {KEYS_FILE} is gone; restore that from a backup")
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
    document = KeysDocument(state, (new_entry(FIRST, _wrap(kms, key), check_of(key)),))
    make_folders(root)
    make_private(root)
    with written_aside(root, KEYS_FILE) as aside:
        aside.write_bytes(document.to_bytes(key))
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


@options_of("rl.rotate")
def rotate(
    store: str | os.PathLike[str], kms: Kms, new: Kms | None = None, *, new_store_key: bool = False
) -> StoreKeys:
    """Wrap the keys of a store by a new master key, or give it a new key of its own, or both; return its keys.

    No other file is touched. Once a master key is replaced it opens the store no more; copies of the store that were
    made before are still opened by it. A new key of the store is used by every new file, also those of recorders that
    run, from their next one on; `compact` encrypts the files anew that use an older key, and drops that. Killed at any
    moment it leaves a store that one of the two master keys opens, with all of its keys.

    Parameters
    ----------
    store : path
        The store.
    kms : Kms
        The master key that opens it now.
    new : Kms, optional
        The master key that opens it from now on; the same unless given.
    new_store_key : bool
        Whether the store gets a new key of its own.

    Raises
    ------
    KeyMissing, KeyWrong, Tampered
        When the store is not encrypted, or `kms` does not open it.
    StoreBusy
        When a conversion, compaction or another rotation is running.
    ValueError
        When neither is asked for.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> old, new = (rl.FileKey(f"{folder}/{name}.key", create=True) for name in ("old", "new"))
    >>> _ = make_keys(Path(folder, "vault"), old)
    >>> rl.rotate(folder + "/vault", old, new).ids
    ['k1']
    >>> rl.rotate(folder + "/vault", new, new_store_key=True).ids
    ['k1', 'k2']
    """
    if new is None and not new_store_key:
        raise ValueError("nothing to rotate: pass the new master key, new_store_key=True, or both")
    root = of_user(store, StoreNotFound)
    keys_of(root, kms)  # a wrong key waits for no lock
    if read_document(root) is None:
        raise not_encrypted(str(root))
    with sole_writer(root):
        keys = keys_of(root, kms)
        if keys is None:
            raise not_encrypted(str(root))
        data = keys.with_new_key() if new_store_key else keys.document
        if new is not None:
            data = unlocked(data, str(root), kms).wrapped_by(new)
        replace_document(root, data)
    return unlocked(data, str(root), new or kms)


def unlocked(document: bytes, place: str, kms: Kms | None = None) -> StoreKeys:
    """Return the keys in the bytes of a ``keys.json``.

    Raises
    ------
    KeyMissing
        When there is no master key, or it cannot be asked.
    KeyWrong
        When it is not the one that wrapped the keys.
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
    return StoreKeys(place, kms, document)


def _unwrapped(data: bytes, place: str, kms: Kms) -> _Unlocked:
    """Return the keys in the bytes of a ``keys.json``, each checked, and all of it authenticated by the newest."""
    document = KeysDocument.read(data, place)
    keys = {one.id: _unwrap(kms, one.wrapped, one.check, place) for one in document.entries}
    if not document.sealed_by(keys[document.newest.id]):
        raise Tampered(f"{place}: {KEYS_FILE} is not what was written; restore it from a backup")
    return _Unlocked(data, document, keys)


def _unwrap(kms: Kms, wrapped: str, check: str, place: str) -> bytes:
    try:
        key = kms.unwrap(base64.b64decode(wrapped, validate=True))
    except KeyWrong as error:
        raise KeyWrong(f"{place}: wrong key: {error}") from error
    except Tampered as error:
        raise Tampered(f"{place}: {error}") from error
    except ReplayLabError as error:
        if isinstance(error, KeyMissing):
            raise KeyMissing(f"{place}: {error}") from error
        raise
    except ValueError as error:
        raise KeyWrong(
            f"{place}: wrong key: {type(kms).__name__} cannot unwrap the key of the store ({error})"
        ) from error
    except Exception as error:
        raise KeyMissing(
            f"{place}: {type(kms).__name__} does not give the key ({type(error).__name__}: {error})"
        ) from error
    if len(key) != KEY_BYTES or not hmac.compare_digest(check_of(key), check):
        raise KeyWrong(f"{place}: wrong key: what {type(kms).__name__} unwraps is not the key of this store")
    return key


def _wrap(kms: Kms, key: bytes) -> str:
    """Return a key wrapped, as base64, once it is certain that it can be unwrapped."""
    wrapped = kms.wrap(key)
    if kms.unwrap(wrapped) != key:
        raise KeyWrong(f"{type(kms).__name__} does not unwrap what it wraps: nothing was encrypted with it")
    return base64.b64encode(wrapped).decode()
