"""Tokens of an OpenID provider: its configuration, keys that turn, a key server that is down, hangs or is elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from unittest import mock

import pytest

from replaylab.errors import ServiceError, TokenRefused
from replaylab.service import public_keys
from replaylab.service.public_keys import LIFETIME_SECONDS, PublicKeys
from replaylab.service.tokens import Tokens
from tests.service.provider import CONFIGURATION, Provider, provider


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.at


@pytest.fixture
def issuer() -> Iterator[Provider]:
    """A provider that is up."""
    with provider() as found:
        yield found


@pytest.fixture
def clock() -> Clock:
    """A clock at 0."""
    return Clock()


@pytest.fixture
def tokens(issuer: Provider, clock: Clock) -> Tokens:
    """What checks tokens of the provider, found by its configuration."""
    return Tokens(keys=PublicKeys(issuer.url + CONFIGURATION, now=clock), now=lambda: 2_000_000_000.0)


def good(tokens: Tokens, token: str) -> bool:
    """Whether a token is valid."""
    try:
        asyncio.run(tokens.checked(token))
    except TokenRefused:
        return False
    return True


def test_the_configuration_leads_to_keys_and_issuer(issuer: Provider, tokens: Tokens) -> None:
    """A token of the provider is good; one for others, of another issuer, without one, or expired is not."""
    assert good(tokens, issuer.token())
    for claims in ({"aud": "other"}, {"iss": "https://other.example"}, {"iss": None}, {"exp": 1_000}, {"exp": None}):
        assert not good(tokens, issuer.token(**claims)), claims
    assert not good(tokens, issuer.token("second"))
    assert issuer.asked == [CONFIGURATION, "/keys"]


def test_keys_that_turn(issuer: Provider, tokens: Tokens, clock: Clock) -> None:
    """A new key is good within a minute, the old one until it is served no more: five minutes after, it is refused."""
    issuer.keys = ["first", "second"]
    assert not good(tokens, issuer.token("second"))  # read a moment ago
    clock.at = 61.0
    assert good(tokens, issuer.token("second"))
    assert good(tokens, issuer.token("first"))
    issuer.keys = ["second"]
    clock.at += 301.0

    async def renewed() -> bool:
        await tokens.checked(issuer.token("first"))  # nobody waits for the address: the key is known yet
        assert tokens._keys is not None
        assert tokens._keys._renewal is not None
        await tokens._keys._renewal
        return await tokens.checked(issuer.token("second")) > 0

    assert asyncio.run(renewed())
    assert not good(tokens, issuer.token("first"))


def test_a_key_server_that_is_down(issuer: Provider, tokens: Tokens, clock: Clock) -> None:
    """Known keys go on for an hour and unknown ones are refused; when it is back, all is as before."""
    issuer.paths = {CONFIGURATION: (503, b"down", ""), "/keys": (503, b"down", "")}
    clock.at = 61.0
    assert not good(tokens, issuer.token("second"))
    for clock.at in (400.0, 1_800.0, LIFETIME_SECONDS):
        assert good(tokens, issuer.token("first"))
    clock.at = LIFETIME_SECONDS + 120
    assert not good(tokens, issuer.token("first"))
    issuer.paths = {}
    clock.at += 61.0
    assert good(tokens, issuer.token("first"))


def test_a_key_server_that_hangs_holds_up_nobody(
    issuer: Provider, tokens: Tokens, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request for an unknown key waits a bounded time, one for a known key not at all; others go on meanwhile."""
    assert public_keys.FETCH_SECONDS <= 5
    monkeypatch.setattr(public_keys, "FETCH_SECONDS", 0.2)
    issuer.hangs.clear()
    clock.at = 301.0

    async def asked() -> float:
        begun = time.monotonic()
        await tokens.checked(issuer.token("first"))
        waited = time.monotonic() - begun
        clock.at = 400.0
        with pytest.raises(TokenRefused):
            await tokens.checked(issuer.token("second"))
        issuer.hangs.set()
        return waited

    with mock.patch.object(asyncio, "wait_for", wraps=asyncio.wait_for) as waits:
        asyncio.run(asked())
    assert {call.args[1] for call in waits.call_args_list} == {0.2}


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        (CONFIGURATION, (302, b"", "http://elsewhere.example/keys"), "https alone"),
        ("/keys", (302, b"", "http://elsewhere.example/keys"), "https alone"),
        ("/keys", (302, b"", "file:///etc/passwd"), "cannot be fetched"),
        (CONFIGURATION, (200, b'{"issuer": "x", "jwks_uri": "http://elsewhere.example/keys"}', ""), "https alone"),
        (CONFIGURATION, (200, b'{"issuer": "x", "jwks_uri": "/etc/passwd"}', ""), "no address"),
        (CONFIGURATION, (200, b'{"issuer": "x", "jwks_uri": "file:///etc/passwd"}', ""), "https alone"),
        (CONFIGURATION, (200, b'{"jwks_uri": "https://id.example/keys"}', ""), "no issuer"),
        (CONFIGURATION, (200, b'{"issuer": 1, "jwks_uri": 2}', ""), "no issuer"),
        (CONFIGURATION, (200, b"<html>", ""), "neither PEM nor JSON"),
        ("/keys", (200, b'{"keys": []}', ""), "no public key"),
        ("/keys", (404, b"", ""), "cannot be fetched"),
    ],
)
def test_a_provider_that_leads_astray(issuer: Provider, path: str, answer: tuple[int, bytes, str], said: str) -> None:
    """Keys come by https, or from this machine, wherever an answer leads; what is wrong is said at the start."""
    issuer.paths = {path: answer}
    with pytest.raises(ServiceError, match=said):
        PublicKeys(issuer.url + CONFIGURATION)
