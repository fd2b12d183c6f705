"""Public keys that tokens are checked with: PEM, JSON Web Keys, an address of such, or of an OpenID configuration."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError

from replaylab.durable import of_user
from replaylab.errors import MissingExtra, ServiceError
from replaylab.urls import hidden_within, parts_of, without_secrets

_AGAIN_SECONDS: Final = 60.0  # between two looks for a key that is not known
_RENEW_SECONDS: Final = 300.0  # after which an address is read again while the keys that it gave are used
LIFETIME_SECONDS: Final = 3_600.0  # of the keys of an address that cannot be read any more
FETCH_SECONDS: Final = 5.0  # that a request waits for an address
_MAX_BYTES: Final = 1 << 20
_LEAST_RSA_BITS: Final = 2048
_ALGORITHMS: Final = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("EC", "P-384"): "ES384"}
_EDWARDS: Final = ("OKP", "Ed25519")
_HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_log = logging.getLogger("replaylab.keys")
Key = tuple[Any, str]  # what a library verifies with, and the one algorithm that it is good for


class PublicKeys:
    """Public keys by their `kid`; the kind of a key decides on the algorithm, never the token.

    Parameters
    ----------
    source : str or path
        A file (PEM, or JSON Web Keys), or ``https://``: JSON Web Keys, or the configuration of an OpenID provider
        (``https://.../.well-known/openid-configuration``), which leads to its keys and names the issuer. It is read at
        once, again every five minutes in use, and for a `kid` that is not known, once a minute at most. While it cannot
        be read, known keys are good for an hour.
    now : callable
        Seconds of a clock that does not jump.
    read : callable, optional
        Reads the source, for tests.

    Raises
    ------
    ServiceError
        When it cannot be read, or holds no public key that is known: RSA (from 2048 bits), P-256, P-384, Ed25519.

    Attributes
    ----------
    issuer : str or None
        Who issues tokens, where a configuration names it: a token must name the same.
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
        if not self._is_address:
            self._source = str(of_user(source, ServiceError))
        self._now = now
        self._read = read or (_fetched if self._is_address else _of_file)
        self._read_at = self._good_at = now()
        self._renewal: asyncio.Task[None] | None = None
        self.issuer: str | None = None
        self._keys = self._loaded()

    @property
    def _name(self) -> str:
        return without_secrets(self._source)

    def __repr__(self) -> str:
        return f"PublicKeys({self._name!r}, {len(self._keys)} keys)"

    def of(self, key_id: str | None) -> Key | None:
        """Return the key of a `kid`; without one, the only key there is; None of an address not read for an hour."""
        if self._is_address and self._now() - self._good_at > LIFETIME_SECONDS:
            return None
        if key_id is not None and key_id in self._keys:
            return self._keys[key_id]
        only = next(iter(self._keys.items())) if len(self._keys) == 1 else None
        return only[1] if only is not None and (key_id is None or only[0] is None) else None

    async def refresh_for(self, key_id: str | None) -> None:
        """Read an address again when it may have a key that is not known; what fails leaves the keys as they are.

        Nobody waits while the key is known: an address that was read some time ago is then read in the background.
        """
        since = self._now() - self._read_at
        if not self._is_address or since < _AGAIN_SECONDS:
            return
        if self.of(key_id) is None:
            self._read_at = self._now()
            await self._renew()
        elif since >= _RENEW_SECONDS:
            self._read_at = self._now()
            self._renewal = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        try:
            self._keys = await asyncio.wait_for(asyncio.to_thread(self._loaded), FETCH_SECONDS)
            self._good_at = self._now()
        except (ServiceError, TimeoutError) as error:
            _log.warning("keys: %s: %s", self._name, str(error) or "no answer in time", extra={"event": "keys_failed"})

    def _loaded(self) -> Mapping[str | None, Key]:
        """Return the keys of the source, through the configuration of a provider where it is one."""
        data = self._read(self._source)
        found = _configuration(data) if self._is_address else None
        if found is None:
            return keys_of(data, self._name)
        issuer, address = found
        if "://" not in address:
            raise ServiceError(f"{self._name}: its jwks_uri is no address")
        self.issuer = issuer
        return keys_of(self._read(address), self._name)


def _configuration(data: bytes) -> tuple[str, str] | None:
    """Return the issuer and the address of the keys that the configuration of a provider names; None for other JSON."""
    try:
        told = json.loads(data)
    except ValueError:
        return None
    if not isinstance(told, dict) or "jwks_uri" not in told:
        return None
    if not isinstance(told["jwks_uri"], str) or not isinstance(told.get("issuer"), str):
        raise ServiceError("the configuration of the provider names no issuer, or no jwks_uri, as a text")
    return told["issuer"], told["jwks_uri"]


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


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Redirects to addresses from which keys may be fetched, and no others."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Return the next request; raises `ServiceError` where it would be unsafe."""
        _check_safe(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_safe(address: str) -> None:
    parts = parts_of(address)
    if parts is None:
        raise ServiceError(f"{without_secrets(address)}: not an address of keys")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _HERE):
        raise ServiceError(f"{without_secrets(address)}: keys are fetched by https alone")


def _fetched(source: str) -> bytes:
    _check_safe(source)
    opener = urllib.request.build_opener(_SafeRedirects)
    try:
        with opener.open(source, timeout=FETCH_SECONDS) as answer:
            found: bytes = answer.read(_MAX_BYTES)
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        why = getattr(error, "reason", error if isinstance(error, OSError) else type(error).__name__)
        raise ServiceError(
            f"{without_secrets(source)}: the keys cannot be fetched ({hidden_within(str(why))})"
        ) from None
    return found
