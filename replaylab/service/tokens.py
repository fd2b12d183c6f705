"""Tokens: who may read a served feed; JSON Web Tokens with pinned algorithms, an end, and an audience."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from replaylab.errors import MissingExtra, TokenRefused
from replaylab.service.public_keys import PublicKeys

AUDIENCE: Final = "replaylab"
_LEAST_BYTES: Final = 32
_ALGORITHM: Final = "HS256"
ROLES: Final = ("view", "record", "admin")


class Tokens:
    """Checks tokens that are signed with one secret, or with a private key.

    Parameters
    ----------
    secret : str or bytes, optional
        At least 32 bytes; shorter ones can be guessed from a single token. Tokens are HS256 then, and no other.
    audience : str
        What a token must be made for.
    keys : PublicKeys, optional
        In place of a secret: tokens are signed with a private key, each by the algorithm of its key and no other, and
        name the issuer where the keys do.
    now : callable
        Seconds since 1970, for tests.

    Raises
    ------
    TokenRefused
        When the secret is too short, or there is neither a secret nor keys, or both.
    MissingExtra
        When the packages of the server are not installed.

    Examples
    --------
    >>> tokens = Tokens("0123456789abcdef" * 2)
    >>> tokens.check(tokens.issue(60)) > 0
    True
    """

    def __init__(
        self,
        secret: str | bytes | None = None,
        audience: str = AUDIENCE,
        *,
        keys: PublicKeys | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        if (secret is None) == (keys is None):
            raise TokenRefused("tokens are checked with a secret or with public keys: give one of the two")
        self._secret = secret.encode() if isinstance(secret, str) else secret
        if self._secret is not None and len(self._secret) < _LEAST_BYTES:
            raise TokenRefused(f"the secret has {len(self._secret)} bytes; it needs {_LEAST_BYTES} or more")
        try:
            import jwt
        except ImportError:
            raise MissingExtra("tokens need PyJWT: pip install 'replaylab[serve]'") from None
        self._jwt = jwt
        self._audience = audience
        self._keys = keys
        self._now = now

    def __repr__(self) -> str:
        return f"Tokens(audience={self._audience!r})"

    def issue(self, seconds: float, audience: str | None = None, *, more: Mapping[str, str] | None = None) -> str:
        """Return a token that is good for so many seconds; raises `TokenRefused` where only public keys are known.

        `more` are further claims, such as `sub`, whom it is for, and `role`, what it allows.
        """
        if self._secret is None:
            raise TokenRefused("tokens are issued by the holder of the private key")
        claims = dict(more or {}) | {"exp": int(self._now() + seconds), "aud": audience or self._audience}
        return self._jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def check(self, token: str | None) -> float:
        """Return when a token ends, in seconds since 1970; raise `TokenRefused`, with one answer for every reason."""
        return float(self._claims(token)["exp"])

    async def checked(self, token: str | None) -> float:
        """Do what `check` does; keys that may have changed are read again first, without blocking the event loop."""
        return float((await self.claims(token))["exp"])

    async def claims(self, token: str | None) -> dict[str, Any]:
        """Return what a valid token says; raise `TokenRefused` as `check` does."""
        if self._keys is not None and token is not None:
            await self._keys.refresh_for(self._key_id(token))
        return self._claims(token)

    def _key_id(self, token: str) -> str | None:
        try:
            found = self._jwt.get_unverified_header(token).get("kid")
        except (self._jwt.PyJWTError, ValueError, TypeError):
            return None
        return found if isinstance(found, str) else None

    def _claims(self, token: str | None) -> dict[str, Any]:
        claims = self._decoded(token)
        if claims is None or claims["exp"] <= self._now():
            raise TokenRefused("no valid token")
        return claims

    def _decoded(self, token: str | None) -> dict[str, Any] | None:
        """Return what a token says, its end as a float; None when it is not valid, whatever the reason."""
        try:
            key: Any = self._secret
            algorithm = _ALGORITHM
            issuer = None if self._keys is None else self._keys.issuer
            if self._keys is not None:
                found = self._keys.of(self._key_id(token or ""))
                if found is None:
                    return None
                key, algorithm = found
            claims: dict[str, Any] = self._jwt.decode(
                token or "",
                key,
                algorithms=[algorithm],
                audience=self._audience,
                issuer=issuer,
                options={"require": ["exp", "aud"] + ["iss"] * (issuer is not None), "verify_exp": False},
            )
            return claims | {"exp": float(claims["exp"])}
        except (self._jwt.PyJWTError, ValueError, TypeError):
            return None
