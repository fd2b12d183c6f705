"""Public keys that tokens are checked with: PEM, JSON Web Keys, or an address that serves such keys."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit

from replaylab.errors import MissingExtra, ServiceError

_AGAIN_SECONDS: Final = 60.0  # between two looks for a key that is not known
_FETCH_SECONDS: Final = 10.0
_MAX_BYTES: Final = 1 << 20
_LEAST_RSA_BITS: Final = 2048
_ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("EC", "P-384"): "ES384"}
_EDWARDS: Final = ("OKP", "Ed25519")
_HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
Key = tuple[Any, str]  # what a library verifies with, and the one algorithm that it is good for


class PublicKeys:
    """Public keys by their `kid`; the kind of a key decides on the algorithm, never the token.

    Parameters
    ----------
    source : str or path
        A file (PEM, or JSON Web Keys), or ``https://``: read at once, and again for a `kid` that is not known, once a
        minute at most.
    now : callable
        Seconds of a clock that does not jump.
    read : callable, optional
        Reads the source, for tests.

    Raises
    ------
    ServiceError
        When it cannot be read, or holds no public key that is known: RSA (from 2048 bits), P-256, P-384, Ed25519.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        now: Callable[[], float] = time.monotonic,
        read: Callable[[str], bytes] | None = None,
    ) -> None:
        self._source = str(source)
        self._is_address = "://" in self._source
        self._now = now
        self._read = read or (_fetched if self._is_address else _of_file)
        self._read_at = now()
        self._keys = keys_of(self._read(self._source), self._name)

    @property
    def _name(self) -> str:
        parts = urlsplit(self._source)
        return f"{parts.scheme}://{parts.hostname}{parts.path}" if self._is_address else self._source

    def __repr__(self) -> str:
        return f"PublicKeys({self._name!r}, {len(self._keys)} keys)"

    def of(self, key_id: str | None) -> Key | None:
        """Return the key of a `kid`; without one, the only key there is."""
        if key_id is not None and key_id in self._keys:
            return self._keys[key_id]
        only = next(iter(self._keys.items())) if len(self._keys) == 1 else None
        return only[1] if only is not None and (key_id is None or only[0] is None) else None

    async def refresh_for(self, key_id: str | None) -> None:
        """Read an address again when it may have a key that is not known; what fails leaves the keys as they are."""
        unknown = self._is_address and self.of(key_id) is None
        if not unknown or self._now() - self._read_at < _AGAIN_SECONDS:
            return
        self._read_at = self._now()
        try:
            self._keys = keys_of(await asyncio.to_thread(self._read, self._source), self._name)
        except ServiceError:
            return


def keys_of(data: bytes, name: str) -> Mapping[str | None, Key]:
    """Return the public keys of a PEM or of JSON Web Keys; raises `ServiceError`."""
    try:
        import jwt
        from jwt import PyJWK
    except ImportError:
        raise MissingExtra("tokens need PyJWT: pip install 'replaylab[serve]'") from None
    if data.lstrip().startswith(b"-----BEGIN"):
        return {None: _of_pem(data, name)}
    try:
        document = json.loads(data)
        listed = document.get("keys", [document])
        found: dict[str | None, Key] = {}
        for one in listed:
            algorithm = _algorithm(one.get("kty"), one.get("crv"))
            if algorithm is None or one.get("use", "sig") != "sig":
                continue
            key = PyJWK(one, algorithm).key
            _hold_strong(key, name)
            _hold_public(key, name)
            found[one.get("kid")] = key, algorithm
    except (ValueError, TypeError, KeyError, AttributeError, jwt.PyJWTError) as error:
        raise ServiceError(f"{name}: neither PEM nor JSON Web Keys ({type(error).__name__})") from None
    if not found:
        raise ServiceError(f"{name}: holds no public key of a known kind: RSA, P-256, P-384, Ed25519")
    return found


def _of_pem(data: bytes, name: str) -> Key:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ServiceError(f"{name}: not the PEM of a public key; a private key stays where it is") from None
    _hold_strong(key, name)
    algorithm = None
    if isinstance(key, rsa.RSAPublicKey):
        algorithm = _algorithm("RSA", None)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        algorithm = _algorithm("EC", {"secp256r1": "P-256", "secp384r1": "P-384"}.get(key.curve.name))
    elif isinstance(key, ed25519.Ed25519PublicKey):
        algorithm = _algorithm(*_EDWARDS)
    if algorithm is None:
        raise ServiceError(f"{name}: a public key of another kind than RSA, P-256, P-384, Ed25519")
    return key, algorithm


def _algorithm(kind: str | None, curve: str | None) -> str | None:
    if (kind, curve) == _EDWARDS:
        return "EdDSA"
    return _ALGORITHMS.get((kind, None if kind == "RSA" else curve))  # type: ignore[arg-type] # what is not there is None


def _hold_strong(key: Any, name: str) -> None:
    """Refuse a key that is too short to trust."""
    if getattr(key, "key_size", None) is not None and "RSA" in type(key).__name__ and key.key_size < _LEAST_RSA_BITS:
        raise ServiceError(f"{name}: an RSA key of {key.key_size} bits; it needs {_LEAST_RSA_BITS} or more")


def _hold_public(key: Any, name: str) -> None:
    """Refuse a private key: it belongs to who issues tokens alone."""
    if hasattr(key, "private_bytes"):
        raise ServiceError(f"{name}: holds a private key; give the public one")


def _of_file(source: str) -> bytes:
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise ServiceError(f"{source}: cannot be read ({error.strerror})") from None


def _fetched(source: str) -> bytes:
    parts = urlsplit(source)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE):
        raise ServiceError(f"{parts.scheme}://{parts.hostname}: keys are fetched by https alone")
    try:
        with urllib.request.urlopen(source, timeout=_FETCH_SECONDS) as answer:  # noqa: S310 the scheme is checked above
            found: bytes = answer.read(_MAX_BYTES)
    except (URLError, OSError) as error:
        why = getattr(error, "reason", error)
        raise ServiceError(f"{parts.hostname}: the keys cannot be fetched ({why})") from None
    return found
