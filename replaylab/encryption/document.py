"""KeysDocument: what ``keys.json`` holds: the keys of a store, wrapped, and a seal over all of it.

A store whose key was never renewed has format 1 and the one key ``k1``. After that it is format 2, which releases that
know one key alone refuse by name: ``keys`` still holds one entry, the newest, beside ``older`` ones that files need,
and ``dropped`` names those that no file may use any more.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Self

from replaylab.encryption.kms import KEY_BYTES, crypto
from replaylab.errors import StoreTooNew, Tampered

KEYS_FILE: Final = "keys.json"
ENCRYPTED: Final = "encrypted"
ENCRYPTING: Final = "encrypting"  # `encrypt` has begun and not ended: files in plain are still there
FIRST: Final = "k1"  # the key of a store that was never renewed; files that name no key have it
FORMAT: Final = 1
RENEWED_FORMAT: Final = 2
_TYPE: Final = "replaylab_keys"


class Entry(NamedTuple):
    """One key of a store: its name, when it was made, the key wrapped (base64), and a value to check it by."""

    id: str
    created: str
    wrapped: str
    check: str


class Dropped(NamedTuple):
    """A key that was dropped: its name, which no other gets, and what it was checked by."""

    id: str
    check: str


@dataclass(frozen=True, slots=True)
class KeysDocument:
    """The keys of a store as ``keys.json`` holds them, the newest first.

    Attributes
    ----------
    state : str
        ``encrypted``, or ``encrypting`` while files in plain are still to be encrypted.
    entries : tuple of Entry
        At least one; new files use the first.
    dropped : tuple of Dropped
        Keys that no file needed any more.
    seal : str
        Authentication by the newest key, as it was read.
    """

    state: str
    entries: tuple[Entry, ...]
    dropped: tuple[Dropped, ...] = ()
    seal: str = ""

    @classmethod
    def read(cls, data: bytes, place: str) -> Self:
        """Return what a file holds; raises `Tampered` or `StoreTooNew`. Its seal is not checked here."""
        try:
            found = json.loads(data)
            if found["type"] != _TYPE or found["state"] not in {ENCRYPTED, ENCRYPTING}:
                raise ValueError  # noqa: TRY301 like any other member that is not what it was
            version = _version(found["format"], place)
            (newest,) = found["keys"]
            entries = [_entry(newest)]
            dropped: tuple[Dropped, ...] = ()
            if version == RENEWED_FORMAT:
                entries += [_entry(one) for one in found["older"]]
                dropped = tuple(Dropped(str(one["id"]), str(one["check"])) for one in found["dropped"])
            names = [*(one.id for one in entries), *(one.id for one in dropped)]
            if len(set(names)) != len(names):
                raise ValueError  # noqa: TRY301
            seal = str(found.get("seal"))
        except StoreTooNew:
            raise
        except (ValueError, KeyError, TypeError, IndexError, RecursionError, AttributeError) as error:
            raise Tampered(f"{place}: {KEYS_FILE} is damaged; restore it from a backup") from error
        return cls(found["state"], tuple(entries), dropped, seal)

    @property
    def newest(self) -> Entry:
        """The key of new files."""
        return self.entries[0]

    @property
    def checks(self) -> set[str]:
        """What the keys that it has, or had, are checked by."""
        return {*(one.check for one in self.entries), *(one.check for one in self.dropped)}

    def sealed_by(self, key: bytes) -> bool:
        """Whether its newest key, given here, has written all of it."""
        return hmac.compare_digest(_seal(self._members(), key), self.seal)

    def to_bytes(self, key: bytes) -> bytes:
        """Return the file, sealed by its newest key."""
        found = self._members()
        return (json.dumps({**found, "seal": _seal(found, key)}, indent=1) + "\n").encode()

    def with_newest(self, wrapped: str, check: str) -> KeysDocument:
        """Return it with one more key, under a name that none ever had."""
        names = [*(one.id for one in self.entries), *(one.id for one in self.dropped)]
        taken = [int(name[1:]) for name in names if name[1:].isdecimal()]
        return replace(self, entries=(new_entry(f"k{max(taken, default=0) + 1}", wrapped, check), *self.entries))

    def without(self, ids: set[str]) -> KeysDocument:
        """Return it without some keys, which it names as dropped; never without the newest."""
        gone = [one for one in self.entries[1:] if one.id in ids]
        entries = tuple(one for one in self.entries if one not in gone)
        return replace(self, entries=entries, dropped=(*self.dropped, *(Dropped(one.id, one.check) for one in gone)))

    def _members(self) -> dict[str, Any]:
        first = len(self.entries) == 1 and self.newest.id == FIRST and not self.dropped
        found: dict[str, Any] = {"type": _TYPE, "format": FORMAT if first else RENEWED_FORMAT, "state": self.state}
        found["keys"] = [self.newest._asdict()]
        if not first:
            found["older"] = [one._asdict() for one in self.entries[1:]]
            found["dropped"] = [one._asdict() for one in self.dropped]
        return found


def new_entry(name: str, wrapped: str, check: str) -> Entry:
    """Return a key that is made now."""
    return Entry(name, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", wrapped, check)


def check_of(key: bytes) -> str:
    """Return a value by which a key can be checked, and that reveals nothing of it."""
    return hmac.new(key, b"replaylab check 1", hashlib.sha256).hexdigest()[:32]


def derived(key: bytes, salt: bytes, purpose: str) -> bytes:
    """Return HKDF-SHA256 of a key with a salt and a purpose, 32 bytes."""
    made = crypto("kdf.hkdf").HKDF(
        crypto("hashes").SHA256(), length=KEY_BYTES, salt=salt, info=b"replaylab %s 1" % purpose.encode()
    )
    return bytes(made.derive(key))


def _version(version: object, place: str) -> object:
    """Return the format of a document; raise `StoreTooNew` for one that is not known."""
    if version not in {FORMAT, RENEWED_FORMAT} or isinstance(version, bool):
        raise StoreTooNew(f"{place}: {KEYS_FILE} of format {version!r}; upgrade replaylab to read it")
    return version


def _entry(found: dict[str, Any]) -> Entry:
    return Entry(*(str(found[name]) for name in Entry._fields))


def _seal(members: dict[str, Any], key: bytes) -> str:
    """Return the authentication of a document: its state says whether files in plain are accepted."""
    sealed = json.dumps(members, sort_keys=True).encode()
    return hmac.new(derived(key, b"", "keys"), sealed, hashlib.sha256).hexdigest()
