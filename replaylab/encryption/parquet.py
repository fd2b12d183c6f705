"""Parquet files of an encrypted store: uniformly AES-256-GCM, their footer too, under names that tell nothing.

The salt of a file stands in its name, so one that is put under another name cannot be decrypted; and before it the
key of the store that it needs, unless that is the first. Nothing but
AES_GCM_V1 with an encrypted footer is read: what a file says of its own encryption is not encrypted, and an attacker
who changed it to a mode without tags would make altered pages readable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from replaylab.encryption.document import FIRST
from replaylab.encryption.keys import Purpose, StoreKeys, new_salt
from replaylab.errors import KeyMissing, MissingExtra, Tampered

NAME: Final = re.compile(
    r"sealed_(?:(?P<key>k\d+)_)?(?P<salt>[0-9a-f]{32})_(?:[0-9a-f]{16}_)?[0-9a-f]{32}\.parquet\Z", re.ASCII
)
_ENCRYPTED: Final = b"PARE"
_PLAIN: Final = b"PAR1"
_GCM: Final = re.compile(rb"\x1c\x1c\x28\x08.{8}(?:\x12)?\x00\x00\x00", re.DOTALL)  # AES_GCM_V1, an id of 8 bytes
_ONE_PAGE: Final = {"data_page_size": 1 << 30, "max_rows_per_page": 1 << 20}  # a column chunk: DuckDB reads no others


def is_sealed_name(name: str) -> bool:
    """Whether a name is that of an encrypted Parquet file.

    Examples
    --------
    >>> is_sealed_name(f"sealed_{'0' * 32}_{'0' * 32}.parquet"), is_sealed_name("convert_a_b_3rows.parquet")
    (True, False)
    """
    return NAME.match(name) is not None


def identity(name: str) -> str:
    """Return what identifies a file: the salt of an encrypted one, which its rest of a name cannot change."""
    found = NAME.match(name)
    return found["salt"] if found else name


def key_named(name: str) -> str | None:
    """Return which key of the store an encrypted file needs; None for one in plain.

    Examples
    --------
    >>> key_named(f"sealed_k2_{'0' * 32}_{'0' * 32}.parquet"), key_named(f"sealed_{'0' * 32}_{'0' * 32}.parquet")
    ('k2', 'k1')
    """
    found = NAME.match(name)
    return (found["key"] or FIRST) if found else None


@dataclass(frozen=True, slots=True)
class FileSeal:
    """The key of the store and the salt of a new Parquet file, and what pyarrow's writer needs to encrypt it."""

    key: str
    salt: str
    options: dict[str, Any] = field(repr=False)

    def name(self, digests: str) -> str:
        """Return the name of the file, given the digests of its bytes."""
        key = "" if self.key == FIRST else f"{self.key}_"
        return f"sealed_{key}{self.salt}_{digests}.parquet"


def new_seal(keys: StoreKeys | None, purpose: Purpose) -> FileSeal | None:
    """Return the seal of a new file; None in a store that is not encrypted."""
    if keys is None:
        return None
    salt, key = new_salt(), keys.newest(certain=True)
    properties = _properties().create_encryption_properties(footer_key=keys.derive(salt, purpose, key))
    return FileSeal(key, salt.hex(), {"encryption_properties": properties, **_ONE_PAGE})


def file_key(keys: StoreKeys, name: str, purpose: Purpose) -> bytes | None:
    """Return the key of a file, 32 bytes; None for one in plain while the store is being encrypted.

    Raises
    ------
    Tampered
        When its name is that of no encrypted file, or ``keys.json`` does not hold the key that it names.
    """
    found = NAME.match(name)
    if found:
        try:
            return keys.derive(bytes.fromhex(found["salt"]), purpose, found["key"] or FIRST)
        except Tampered as error:
            raise Tampered(f"{name}: {error}") from error
    if keys.allows_plain:
        return None
    raise Tampered(f"{name}: is not encrypted, and this store is; it was put in from outside. Remove it")


def opening(keys: StoreKeys | None, name: str, purpose: Purpose) -> Any:
    """Return what pyarrow needs to read a file; None for one in plain.

    Raises
    ------
    KeyMissing
        When it is encrypted and the store has no keys.
    Tampered
        As `file_key`.
    """
    if keys is None:
        if is_sealed_name(name):
            raise KeyMissing(f"{name}: is encrypted, and the store has no keys.json; restore that from a backup")
        return None
    key = file_key(keys, name, purpose)
    return None if key is None else _properties().create_decryption_properties(footer_key=key)


def check_end(name: str, end: bytes) -> None:
    """Raise `Tampered` unless the end of a file says that it is encrypted as `new_seal` does.

    Parameters
    ----------
    name : str
        Of the file.
    end : bytes
        From the first byte of its footer on.
    """
    if end[-4:] == _PLAIN:
        raise Tampered(f"{name}: is in plain, or its footer is, under the name of an encrypted file; it was put in")
    if end[-4:] != _ENCRYPTED or not _GCM.match(end):
        raise Tampered(f"{name}: is not encrypted as this store encrypts (AES-GCM throughout); it was altered")


def not_written(name: str, error: Exception) -> Tampered:
    """Return the error for a file of which pyarrow cannot decrypt a part with the right key."""
    said = " ".join(str(error).split())
    return Tampered(f"{name}: is not what was written with the key of this store ({said})")


def footer_of(content: bytes) -> bytes:
    """Return the end of the bytes of a Parquet file, from its footer on."""
    return content[max(0, len(content) - int.from_bytes(content[-8:-4], "little") - 8) :]


def load_encryption() -> None:
    """Load what encrypts and decrypts, which is else loaded by the thread that needs it first."""
    from pyarrow.parquet import encryption  # noqa: F401


def _properties() -> Any:
    from pyarrow.parquet import encryption

    if not hasattr(encryption, "create_encryption_properties"):
        raise MissingExtra(f"pyarrow {pa.__version__} cannot encrypt: pip install 'replaylab[crypto]'")
    return encryption
