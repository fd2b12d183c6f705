"""Tokens: who may read a served feed; JSON Web Tokens with pinned algorithms, an end, and an audience."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from replaylab.errors import MissingExtra, TokenRefused

AUDIENCE: Final = "replaylab"
_LEAST_BYTES: Final = 32
_ALGORITHM: Final = "HS256"


class Tokens:
    """Checks tokens that are signed with one secret.

    Parameters
    ----------
    secret : str or bytes
        At least 32 bytes; shorter ones can be guessed from a single token.
    audience : str
        What a token must be made for.
    now : callable
        Seconds since 1970, for tests.

    Raises
    ------
    TokenRefused
        When the secret is too short.
    MissingExtra
        When the packages of the server are not installed.

    Examples
    --------
    >>> tokens = Tokens("0123456789abcdef" * 2)
    >>> tokens.check(tokens.issue(60)) > 0
    True
    """

    def __init__(self, secret: str | bytes, audience: str = AUDIENCE, *, now: Callable[[], float] = time.time) -> None:
        self._secret = secret.encode() if isinstance(secret, str) else secret
        if len(self._secret) < _LEAST_BYTES:
            raise TokenRefused(f"the secret has {len(self._secret)} bytes; it needs {_LEAST_BYTES} or more")
        try:
            import jwt
        except ImportError:
            raise MissingExtra("tokens need PyJWT: pip install 'replaylab[serve]'") from None
        self._jwt = jwt
        self._audience = audience
        self._now = now

    def __repr__(self) -> str:
        return f"Tokens(audience={self._audience!r})"

    def issue(self, seconds: float, audience: str | None = None) -> str:
        """Return a token that is good for so many seconds."""
        claims = {"exp": int(self._now() + seconds), "aud": audience or self._audience}
        return self._jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    def check(self, token: str | None) -> float:
        """Return when a token ends, in seconds since 1970; raise `TokenRefused`, with one answer for every reason."""
        end = self._end(token)
        if end is None or end <= self._now():
            raise TokenRefused("no valid token")
        return end

    def _end(self, token: str | None) -> float | None:
        """Return when a token says that it ends; None when it is not valid, whatever the reason."""
        try:
            claims = self._jwt.decode(
                token or "",
                self._secret,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                options={"require": ["exp", "aud"], "verify_exp": False},
            )
            return float(claims["exp"])
        except (self._jwt.PyJWTError, ValueError, TypeError):
            return None
