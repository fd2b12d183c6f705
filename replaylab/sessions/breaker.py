"""Breaker: leaves an endpoint in peace that answers but is ill. Pure: the caller passes the time.

Only answers count: HTTP 429 or 5xx, a handshake that is none, a connection closed before any data. A network that is
down does no harm to anybody and is only backed off from, so that a feed is back soon after the network is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

FAILURES: Final = 5
OPEN_SECONDS: Final = 30.0


class Circuit(StrEnum):
    """Whether connecting is allowed: closed means yes, open no, half open once."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """The circuit of one endpoint, shared by all sessions that lead to it.

    Parameters
    ----------
    failures : int
        Ill answers in a row that open it.
    open_seconds : float
        How long it stays open; then one trial is allowed, which closes it or opens it again.

    Examples
    --------
    >>> breaker = Breaker(failures=2)
    >>> breaker.ill(now=0.0), breaker.ill(now=1.0), breaker.allow(now=2.0)
    (False, True, False)
    >>> breaker.allow(now=31.0), breaker.allow(now=31.0), breaker.state
    (True, False, <Circuit.HALF_OPEN: 'half_open'>)
    >>> breaker.well()
    >>> breaker.allow(now=31.0)
    True
    """

    def __init__(self, failures: int = FAILURES, open_seconds: float = OPEN_SECONDS) -> None:
        self.state = Circuit.CLOSED
        self.failures = 0
        self.until = 0.0
        self._most = failures
        self._open_seconds = open_seconds

    def allow(self, now: float) -> bool:
        """Whether connecting is allowed now; after the pause, the first to ask makes the trial."""
        if self.state is Circuit.CLOSED:
            return True
        if now < self.until:
            return False
        self.state = Circuit.HALF_OPEN
        self.until = now + self._open_seconds  # for a trial whose end is never reported
        return True

    def ill(self, now: float) -> bool:
        """Count an ill answer; return whether the circuit is open now."""
        self.failures += 1
        if self.state is Circuit.HALF_OPEN or self.failures >= self._most:
            self.state = Circuit.OPEN
            self.until = now + self._open_seconds
        return self.state is Circuit.OPEN

    def well(self) -> None:
        """Note that data came: the endpoint is well."""
        self.state = Circuit.CLOSED
        self.failures = 0
