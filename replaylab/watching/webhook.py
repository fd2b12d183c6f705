"""Webhook: alerts as signed HTTP requests, tried again with growing waits."""

from __future__ import annotations

import hashlib
import hmac
import random
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final

from replaylab.errors import SettingsError
from replaylab.urls import parts_of

LEAST_SECRET_BYTES: Final = 32
ATTEMPTS: Final = 8
FIRST_WAIT_SECONDS: Final = 0.5  # doubled with each attempt, and varied by a quarter
LONGEST_WAIT_SECONDS: Final = 60.0
_SPREAD: Final = random.Random()  # noqa: S311 to spread attempts; of its own: users seed the common one
_AGAIN: Final = frozenset({408, 425, 429})  # and all from 500 on
TIMESTAMP: Final = "X-Replaylab-Timestamp"
SIGNATURE: Final = "X-Replaylab-Signature"
DELIVERY: Final = "X-Replaylab-Delivery"


class Refused(Exception):
    """Raised when a server refuses a request for good, or every attempt has failed."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a signed request is for the server that was named."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return nothing, so that the answer is an error."""


class Webhook:
    """A URL to which alerts are sent as JSON, signed with a secret.

    Parameters
    ----------
    url : str
        ``https://`` or ``http://``, without a user or password.
    secret : str or bytes
        At least 32 bytes, which the receiver knows as well.
    timeout_seconds : float
        How long to wait for the server at each step.
    attempts : int
        How often to try.

    Raises
    ------
    SettingsError
        About the arguments; neither the secret nor what follows the host of the URL is shown.

    Examples
    --------
    >>> Webhook("https://alerts.example/hook/token", "0123456789abcdef" * 2)
    Webhook('https://alerts.example/...')
    """

    def __init__(
        self, url: str, secret: str | bytes, *, timeout_seconds: float = 5.0, attempts: int = ATTEMPTS
    ) -> None:
        parts = parts_of(url)
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise SettingsError("url: write https://HOST/PATH, without a user or password")
        self._secret = secret.encode() if isinstance(secret, str) else bytes(secret)
        if len(self._secret) < LEAST_SECRET_BYTES:
            raise SettingsError(f"secret: has {len(self._secret)} bytes; it needs {LEAST_SECRET_BYTES} or more")
        if timeout_seconds <= 0 or attempts < 1:
            raise SettingsError("timeout_seconds and attempts: must be above 0")
        self._url = url
        self.shown = f"{parts.scheme}://{parts.netloc}/..."
        self.timeout_seconds = timeout_seconds
        self.attempts = attempts
        self._opener = urllib.request.build_opener(_NoRedirect())

    def __repr__(self) -> str:
        return f"Webhook({self.shown!r})"

    def send(self, body: bytes, ending: threading.Event) -> None:
        """Send a body until the server takes it.

        Parameters
        ----------
        body : bytes
            JSON.
        ending : Event
            Set when no further attempt is to be made.

        Raises
        ------
        Refused
            When the server refuses it for good, or all attempts have failed.
        """
        name = uuid.uuid4().hex  # the same for each attempt, so that a receiver can tell repeats
        wait = FIRST_WAIT_SECONDS
        for attempt in range(1, self.attempts + 1):
            problem, again = self._try(body, name)
            if not problem:
                return
            if not again or attempt == self.attempts or ending.is_set():
                raise Refused(f"{problem}, attempt {attempt} of {self.attempts}")
            ending.wait(min(LONGEST_WAIT_SECONDS, wait) * _SPREAD.uniform(0.75, 1.25))
            wait *= 2

    def _try(self, body: bytes, name: str) -> tuple[str, bool]:
        """Make one attempt; return what went wrong, and whether another one may help."""
        headers = {"Content-Type": "application/json", DELIVERY: name, **signed(self._secret, body, int(time.time()))}
        request = urllib.request.Request(self._url, body, headers, method="POST")  # noqa: S310 checked when it was made
        try:
            with self._opener.open(request, timeout=self.timeout_seconds) as answer:
                answer.read(1)
        except urllib.error.HTTPError as error:
            error.close()
            return f"{self.shown} answered {error.code}", error.code >= 500 or error.code in _AGAIN
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            return f"{self.shown}: {type(reason).__name__}", True
        return "", False


def signed(secret: bytes, body: bytes, at: int) -> dict[str, str]:
    """Return the headers that prove who sent a body, and when (seconds since 1970).

    Examples
    --------
    >>> sorted(signed(b"secret", b"{}", 7))
    ['X-Replaylab-Signature', 'X-Replaylab-Timestamp']
    """
    digest = hmac.new(secret, b"%d." % at + body, hashlib.sha256).hexdigest()
    return {TIMESTAMP: str(at), SIGNATURE: f"v1={digest}"}


def is_signed(
    secret: bytes, body: bytes, headers: Mapping[str, str], *, now: float | None = None, max_seconds: float = 300.0
) -> bool:
    """Return whether a body was signed with a secret, and not longer ago than `max_seconds`.

    Examples
    --------
    >>> is_signed(b"secret", b"{}", signed(b"secret", b"{}", 7), now=8)
    True
    >>> is_signed(b"secret", b"[]", signed(b"secret", b"{}", 7), now=8)
    False
    """
    at = headers.get(TIMESTAMP, "")
    if not (at.isascii() and at.isdigit()) or abs((time.time() if now is None else now) - int(at)) > max_seconds:
        return False
    return hmac.compare_digest(signed(secret, body, int(at))[SIGNATURE].encode(), headers.get(SIGNATURE, "").encode())
