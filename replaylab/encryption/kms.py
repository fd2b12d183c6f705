"""Kms: what wraps and unwraps the key of a store; a key file, an environment variable, or a service of yours."""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib
import os
import stat
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from replaylab.durable import NO_WAITING, OPENED, create, of_user, sync, sync_folder
from replaylab.errors import KeyMissing, KeyWrong, MissingExtra, Tampered

KEY_BYTES: Final = 32
KEY_FILE: Final = "REPLAYLAB_KEY_FILE"
KEY: Final = "REPLAYLAB_KEY"
_MASTER: Final = b"replaylab master 1"
_PRINT_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_MOST_BYTES: Final = 256  # of a key file
_MAKE: Final = (
    "make one with --new-key, with rl.FileKey(path, create=True), or: (umask 077; openssl rand -base64 32 > FILE)"
)
_NAME: Final = "name the one that the store was encrypted with, or was rotated to last; a new one does not open it"


class Kms(ABC):
    """A key management service: it wraps the key of a store, and alone can unwrap it.

    Subclass it with two methods to keep the master key elsewhere. It is pickled with a store that goes to workers, so
    it holds an address or a name, not the key itself.

    Examples
    --------
    >>> import replaylab as rl
    >>> class Vault(rl.Kms):
    ...     def wrap(self, key: bytes) -> bytes:
    ...         return bytes(byte ^ 0x5A for byte in key)  # call your service here
    ...
    ...     def unwrap(self, wrapped: bytes) -> bytes:
    ...         return bytes(byte ^ 0x5A for byte in wrapped)
    >>> Vault().unwrap(Vault().wrap(b"key"))
    b'key'
    """

    @abstractmethod
    def wrap(self, key: bytes) -> bytes:
        """Return the 32 bytes of a store's key wrapped: only `unwrap` can make them out."""

    @abstractmethod
    def unwrap(self, wrapped: bytes) -> bytes:
        """Return the key that `wrap` has wrapped; raise `KeyWrong` when another master key has wrapped it."""


@dataclass(frozen=True)
class FileKey(Kms):
    """A master key in a file that only its owner can read: 32 bytes, written as base64.

    The file is read each time a store is opened, and what is pickled is its path.

    Parameters
    ----------
    path : path
        The file.
    create : bool
        Make it with a new key, mode 0600, when it is not there.

    Raises
    ------
    KeyMissing
        When `create` is set and the file cannot be made.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> key = rl.FileKey(folder + "/master.key", create=True)
    >>> key.unwrap(key.wrap(bytes(32))) == bytes(32)
    True
    """

    path: str

    def __init__(self, path: str | os.PathLike[str], *, create: bool = False) -> None:
        place = of_user(path, KeyMissing).absolute()  # the process may go elsewhere
        object.__setattr__(self, "path", os.fspath(place))
        if create and not os.path.lexists(self.path):
            _make(Path(self.path))

    def wrap(self, key: bytes) -> bytes:
        """Return a key wrapped by AES-256-GCM; raises `KeyMissing`."""
        return _wrapped(self._master(_MAKE), key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return a key that `wrap` has wrapped; raises `KeyMissing`, `KeyWrong` or `Tampered`."""
        return _unwrapped(self._master(_NAME), wrapped, self.path)

    def _master(self, advice: str) -> bytes:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | OPENED | NO_WAITING)
        except FileNotFoundError:
            raise KeyMissing(f"no key file at {self.path}; {advice}") from None
        except OSError as error:
            raise KeyMissing(f"{self.path}: the key file cannot be read ({error.strerror or error})") from error
        try:
            found = os.fstat(descriptor)
            mode = stat.S_IMODE(found.st_mode)
            if not stat.S_ISREG(found.st_mode):
                raise KeyMissing(f"{self.path}: not a file; name the file that holds the key")
            if os.name == "posix" and mode & 0o077:
                raise KeyMissing(
                    f"{self.path}: others can read this key file (mode {mode:04o}), so it is not used; "
                    "run chmod 600 on it, and rotate to a new key if it may have been read"
                )
            return _decoded(os.read(descriptor, _MOST_BYTES), self.path)
        finally:
            os.close(descriptor)


class NewFileKey(FileKey):
    """A master key whose file is made when the first key is wrapped by it: what is refused before makes none.

    Examples
    --------
    >>> import tempfile
    >>> key = NewFileKey(tempfile.mkdtemp() + "/master.key")
    >>> key.unwrap(key.wrap(bytes(32))) == bytes(32)
    True
    """

    def wrap(self, key: bytes) -> bytes:
        """Return a key wrapped by AES-256-GCM; raises `KeyMissing`, also when the file cannot be made."""
        FileKey(self.path, create=True)
        return super().wrap(key)


@dataclass(frozen=True)
class EnvironmentKey(Kms):
    """A master key in an environment variable: 32 bytes as base64; what is pickled is the name of the variable.

    Examples
    --------
    >>> import base64, os, replaylab as rl
    >>> os.environ["DOCUMENTED_KEY"] = base64.b64encode(bytes(range(32))).decode()
    >>> key = rl.EnvironmentKey("DOCUMENTED_KEY")
    >>> key.unwrap(key.wrap(bytes(32))) == bytes(32)
    True
    >>> del os.environ["DOCUMENTED_KEY"]
    """

    variable: str = KEY

    def wrap(self, key: bytes) -> bytes:
        """Return a key wrapped by AES-256-GCM; raises `KeyMissing`."""
        return _wrapped(self._master(), key)

    def unwrap(self, wrapped: bytes) -> bytes:
        """Return a key that `wrap` has wrapped; raises `KeyMissing`, `KeyWrong` or `Tampered`."""
        return _unwrapped(self._master(), wrapped, self.variable)

    def _master(self) -> bytes:
        text = os.environ.get(self.variable)
        if not text:
            raise KeyMissing(f"the environment variable {self.variable} is not set; it holds the key as base64")
        return _decoded(text.encode(), self.variable)


def kms_of_environment() -> Kms | None:
    """Return the master key that the environment names: ``REPLAYLAB_KEY_FILE`` or ``REPLAYLAB_KEY``; None without."""
    path = os.environ.get(KEY_FILE)
    if path:
        return FileKey(path)
    return EnvironmentKey() if os.environ.get(KEY) else None


def cipher(key: bytes) -> Any:
    """Return AES-GCM under a key; raises `MissingExtra` when `cryptography` is not installed."""
    return crypto("ciphers.aead").AESGCM(key)


def crypto(module: str) -> Any:
    """Return a module of ``cryptography.hazmat.primitives``; raises `MissingExtra` when it is not installed."""
    try:
        return importlib.import_module(f"cryptography.hazmat.primitives.{module}")
    except ModuleNotFoundError as error:
        raise MissingExtra("cryptography is not installed; install it with: pip install 'replaylab[crypto]'") from error


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = create(path, private=True)
        try:
            os.write(descriptor, base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            sync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)
    except OSError as error:
        raise KeyMissing(f"{path}: the key file cannot be made ({error.strerror or error})") from error


def _decoded(text: bytes, place: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise KeyMissing(f"{place}: no key in it: {KEY_BYTES} bytes as base64 are needed; {_MAKE}")
    return key


def _fingerprint(master: bytes) -> bytes:
    """Return a few bytes that tell master keys apart, and nothing about them."""
    return hashlib.blake2b(_MASTER, digest_size=_PRINT_BYTES, key=master).digest()


def _wrapped(master: bytes, key: bytes) -> bytes:
    head, nonce = _fingerprint(master), os.urandom(_NONCE_BYTES)
    return head + nonce + bytes(cipher(master).encrypt(nonce, key, _MASTER + head))


def _unwrapped(master: bytes, wrapped: bytes, place: str) -> bytes:
    from cryptography.exceptions import InvalidTag

    head, nonce, rest = wrapped[:_PRINT_BYTES], wrapped[_PRINT_BYTES:][:_NONCE_BYTES], wrapped[20:]
    if head != _fingerprint(master):
        raise KeyWrong(f"the key in {place} is not the one that wrapped the key of this store")
    try:
        return bytes(cipher(master).decrypt(nonce, rest, _MASTER + head))
    except (InvalidTag, ValueError) as error:
        raise Tampered("the wrapped key of the store is not what was written; restore keys.json") from error
