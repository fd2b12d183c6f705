"""Envelope: a small file of a store, encrypted as a whole where the store is: caches, status files.

``RLE1``, the 16 bytes of its salt, then AES-256-GCM of its content under its own key, once: the nonce is zero. Where
the store's key was renewed it is ``RLE2``, the length and the name of the key of the store, and the same.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from replaylab.durable import publish, written_aside
from replaylab.encryption.document import FIRST
from replaylab.encryption.keys import SALT_BYTES, Purpose, StoreKeys, new_salt
from replaylab.encryption.kms import cipher
from replaylab.errors import KeyMissing, Tampered

_FIRST_KEY: Final = b"RLE1"
_NAMED_KEY: Final = b"RLE2"
_NONCE: Final = bytes(12)


def closed(keys: StoreKeys | None, purpose: Purpose, name: str, content: bytes) -> bytes:
    """Return the bytes of a file: its content as it is where the store has no keys, else encrypted.

    Parameters
    ----------
    keys : StoreKeys, optional
        Of the store.
    purpose, name : str, str
        What it is for, and its name: it cannot be opened as any other.
    content : bytes
        What it holds.
    """
    if keys is None:
        return content
    salt, key = new_salt(), keys.newest()
    sealed = cipher(keys.derive(salt, purpose, key)).encrypt(_NONCE, content, name.encode())
    start = _FIRST_KEY if key == FIRST else _NAMED_KEY + bytes([len(key)]) + key.encode()
    return start + salt + bytes(sealed)


def opened(keys: StoreKeys | None, purpose: Purpose, name: str, found: bytes) -> bytes:
    """Return the content of a file that `closed` has made.

    Raises
    ------
    KeyMissing
        When it is encrypted and the store has no keys.
    Tampered
        When it is not what was written, or is in plain and the store is encrypted.
    """
    if keys is None:
        if is_closed(found):
            raise KeyMissing(f"{name}: is encrypted, and the store has no keys; restore keys.json")
        return found
    if not is_closed(found):
        if keys.allows_plain:
            return found
        raise Tampered(f"{name}: is not encrypted, and this store is; it was put in from outside")
    from cryptography.exceptions import InvalidTag

    key = key_of(found)
    rest = found[len(_FIRST_KEY) :] if found.startswith(_FIRST_KEY) else found[len(_NAMED_KEY) + 1 + len(key) :]
    salt, sealed = rest[:SALT_BYTES], rest[SALT_BYTES:]
    try:
        return bytes(cipher(keys.derive(salt, purpose, key)).decrypt(_NONCE, sealed, name.encode()))
    except Tampered as error:
        raise Tampered(f"{name}: {error}") from error
    except (InvalidTag, ValueError) as error:
        raise Tampered(f"{name}: is not what was written with the key of this store") from error


def is_closed(found: bytes) -> bool:
    """Return whether the bytes of a file are encrypted."""
    return found.startswith((_FIRST_KEY, _NAMED_KEY))


def key_of(found: bytes) -> str:
    """Return which key of the store the bytes of an encrypted file need."""
    if not found.startswith(_NAMED_KEY):
        return FIRST
    size = found[len(_NAMED_KEY)] if len(found) > len(_NAMED_KEY) else 0
    return found[len(_NAMED_KEY) + 1 :][:size].decode("ascii", "replace")


def write_file(path: Path, keys: StoreKeys | None, purpose: Purpose, content: bytes) -> None:
    """Write a small file of a store, encrypted where it is, renamed into place: whole or not at all.

    Raises
    ------
    StoreFull, StoreUnwritable
        When it cannot be written.
    """
    with written_aside(path.parent, path.name) as aside:
        aside.write_bytes(closed(keys, purpose, path.name, content))
        publish(aside, path, private=keys is not None)


def read_file(path: Path, keys: StoreKeys | None, purpose: Purpose) -> bytes:
    """Return the content of a file that `write_file` has written; raises as `opened`, and OSError."""
    return opened(keys, purpose, path.name, path.read_bytes())
