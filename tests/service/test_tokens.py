"""Tokens: one answer for every token that is not valid, and no secret that can be guessed."""

from __future__ import annotations

import jwt
import pytest

from replaylab.errors import TokenRefused
from replaylab.service.tokens import Tokens

SECRET = "0123456789abcdef" * 2
NOW = 2_000_000_000.0


def tokens() -> Tokens:
    """Tokens at a fixed time."""
    return Tokens(SECRET, now=lambda: NOW)


def test_a_good_token_says_when_it_ends() -> None:
    """A token that was issued is good until its end, and not after it."""
    token = tokens().issue(60)
    assert tokens().check(token) == NOW + 60
    with pytest.raises(TokenRefused):
        Tokens(SECRET, now=lambda: NOW + 60).check(token)


CLAIMS = {"exp": int(NOW) + 60, "aud": "replaylab"}


@pytest.mark.parametrize(
    "token",
    [
        None,
        "",
        "nonsense",
        "a.b.c",
        jwt.encode(CLAIMS, SECRET[::-1], algorithm="HS256"),
        jwt.encode(CLAIMS, "", algorithm="none"),
        jwt.encode(CLAIMS, SECRET * 2, algorithm="HS512"),
        jwt.encode(CLAIMS | {"aud": "others"}, SECRET, algorithm="HS256"),
        jwt.encode({"exp": CLAIMS["exp"]}, SECRET, algorithm="HS256"),
        jwt.encode({"aud": "replaylab"}, SECRET, algorithm="HS256"),
        jwt.encode(CLAIMS | {"exp": int(NOW) - 1}, SECRET, algorithm="HS256"),
    ],
    ids=["none", "empty", "text", "parts", "wrong", "unsigned", "algorithm", "audience", "no-aud", "no-exp", "expired"],
)
def test_every_other_token_has_the_same_answer(token: str | None) -> None:
    """No reason is told, and neither the token nor the secret stands in the error."""
    with pytest.raises(TokenRefused) as refused:
        tokens().check(token)
    assert str(refused.value) == "no valid token"
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


@pytest.mark.parametrize("secret", ["", "x" * 31, b"x" * 31])
def test_a_short_secret_is_refused(secret: str | bytes) -> None:
    """A secret under 32 bytes is refused, and not shown."""
    with pytest.raises(TokenRefused, match="32 or more"):
        Tokens(secret)
    assert SECRET not in repr(tokens())


def test_either_a_secret_or_keys() -> None:
    """Without a secret and without keys nothing can be checked."""
    with pytest.raises(TokenRefused, match="one of the two"):
        Tokens()
