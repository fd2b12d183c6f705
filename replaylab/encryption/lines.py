"""SealedLines: the lines of one growing file, each encrypted by itself: a damaged one costs no other.

A line is ``~``, then base64 of its counter (8 bytes), its ciphertext and its tag (16 bytes): AES-256-GCM under the key
of the file, with the counter as nonce and the salt of the file as additional data. The counter counts *attempts*: a
line that was cut off half-way and written again has another one, so no nonce is used twice.
"""

from __future__ import annotations

import itertools
import struct
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import Final, NamedTuple

from replaylab.encryption.document import FIRST
from replaylab.encryption.keys import Purpose, StoreKeys, new_salt
from replaylab.encryption.kms import cipher

MARK: Final = b"~"
_NONCE: Final = struct.Struct(">4xQ")
_COUNTER: Final = struct.Struct(">Q")
_HEADER_NONCE: Final = b"\0\0\0\1" + bytes(8)  # no line has it
_ADDED: Final = _COUNTER.size + 16


class OpenedLine(NamedTuple):
    """A line that was opened: its counter and its text, without a newline."""

    counter: int
    text: bytes


class SealedLines:
    """Encrypts lines for a file, or opens them, by the key that its salt gives.

    Parameters
    ----------
    keys : StoreKeys
        Of the store.
    purpose : str
        ``journal`` or ``refused``.
    salt : bytes, optional
        Of a file that is there; a new one unless given, and then lines may be written.
    key_id : str
        Which key of the store such a file needs.

    Attributes
    ----------
    seal : callable
        Returns lines, each with its newline, encrypted; each call takes new counters, whatever became of the last.
    """

    def __init__(self, keys: StoreKeys, purpose: Purpose, salt: bytes | None = None, key_id: str = FIRST) -> None:
        from cryptography.exceptions import InvalidTag

        self.key_id = keys.newest() if salt is None else key_id
        self.salt = new_salt() if salt is None else salt
        found = cipher(keys.derive(self.salt, purpose, self.key_id))
        self._encrypt, self._decrypt = found.encrypt, found.decrypt
        self.seal = _sealing(found.encrypt, self.salt) if salt is None else _refuse
        self._refusals = (NotBase64, InvalidTag, ValueError, struct.error)

    def open(self, raw: bytes) -> OpenedLine | None:
        """Return what a line without its newline holds; None when this file's key did not write it."""
        if raw[:1] != MARK:
            return None
        try:
            found = a2b_base64(raw[1:], strict_mode=True)
            odd = len(found) % 3
            if odd and b2a_base64(found[-odd:], newline=False) != raw[-4:]:
                return None  # bits of the last character that base64 passes over
            counter = found[: _COUNTER.size]
            text = self._decrypt(b"\0\0\0\0" + counter, found[_COUNTER.size :], self.salt)
            return OpenedLine(_COUNTER.unpack(counter)[0], text)
        except self._refusals:
            return None

    def tag(self, header: bytes) -> str:
        """Return what authenticates the one header of a file, which is not encrypted."""
        return bytes(self._encrypt(_HEADER_NONCE, b"", header)).hex()

    def is_tag(self, tag: str, header: bytes) -> bool:
        """Return whether a tag is that of a header."""
        try:
            self._decrypt(_HEADER_NONCE, bytes.fromhex(tag), header)
        except self._refusals:
            return False
        return True


def _sealing(encrypt: Callable[[bytes, bytes, bytes], bytes], salt: bytes) -> Callable[[bytes], bytes]:
    """Return what encrypts lines, each with its newline; a call takes new counters, whatever became of the last."""
    take, pack = itertools.count().__next__, _NONCE.pack

    def seal(data: bytes) -> bytes:
        if data.find(b"\n") == len(data) - 1:  # one line, as a recorder writes them
            if not data:
                return b""
            nonce = pack(take())
            return b"~" + b2a_base64(nonce[4:] + encrypt(nonce, data[:-1], salt))
        sealed = []
        for line in data[:-1].split(b"\n"):
            nonce = pack(take())
            sealed.append(b2a_base64(nonce[4:] + encrypt(nonce, line, salt)))  # ends in a newline
        return MARK + MARK.join(sealed)

    return seal


def _refuse(_: bytes) -> bytes:
    """Raise: only a new file is written to."""
    raise RuntimeError("a salt that was read is never written with again: its counters are not known")


def sealed_size(data: bytes) -> int:
    r"""Return how many bytes lines take when they are sealed.

    Examples
    --------
    >>> sealed_size(b"one\ntwo\n")
    76
    """
    lines = data[:-1].split(b"\n") if data else []
    return sum(2 + 4 * ((len(line) + _ADDED + 2) // 3) for line in lines)
