"""Access: who may see the dashboard and who may act, by tokens that are traded for a cookie."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Collection
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from replaylab.errors import TokenRefused

COOKIE: Final = "replaylab_session"
MAX_SESSIONS: Final = 1_000
TRIES: Final = 10  # wrong tokens that one address may bring in `TRIES_SECONDS`
TRIES_SECONDS: Final = 60.0
HERE: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_log = logging.getLogger("replaylab.dashboard")


class Role(IntEnum):
    """What a token allows; each role may do what those before it may."""

    NONE = 0
    VIEW = 1
    RECORD = 2
    ADMIN = 3

    @classmethod
    def of(cls, word: object) -> Role:
        """Return the role of a claim; one that is not known allows nothing.

        Examples
        --------
        >>> Role.of("admin"), Role.of("Admin"), Role.of(None)
        (<Role.ADMIN: 3>, <Role.NONE: 0>, <Role.NONE: 0>)
        """
        return next((one for one in cls if one.name.lower() == word), cls.NONE)


class Denied(Exception):
    """A request that is answered with a status and why; the answer never says which part of a token is wrong."""

    def __init__(self, status: int, problem: str) -> None:
        self.status = status
        self.problem = problem
        super().__init__(problem)


class Checker(Protocol):
    """What checks tokens: `service.tokens.Tokens`."""

    async def claims(self, token: str | None) -> dict[str, Any]:
        """Return what a valid token says; raise `TokenRefused` for any other."""
        ...


class Session(NamedTuple):
    """A cookie that was given for a token: its role, its owner, and when it ends, in seconds since 1970."""

    role: Role
    subject: str
    ends: float


class Access:
    """Decides what a request may do.

    Without tokens, everybody who reaches the address is an admin: that is why it is this machine alone then.

    Parameters
    ----------
    tokens : Checker, optional
        What checks tokens.
    hosts : collection of str
        Names under which the page may be asked for; another one means that a page elsewhere uses this browser.
        None allows every name, for a socket that only this machine's users reach.
    role_claim : str
        The claim that holds the role.
    now : callable
        Seconds since 1970, for tests.
    """

    def __init__(
        self,
        tokens: Checker | None,
        hosts: Collection[str] | None = HERE,
        role_claim: str = "role",
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tokens = tokens
        self._hosts = hosts
        self._role_claim = role_claim
        self.now = now
        self._sessions: dict[str, Session] = {}
        self._tries: dict[str, list[float]] = {}

    @property
    def needs_token(self) -> bool:
        """Whether a token is asked for."""
        return self._tokens is not None

    def check_place(self, request: HTTPConnection) -> None:
        """Raise `Denied` for a request under a foreign name, or from a page of another origin."""
        host = request.headers.get("host", "")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if self._hosts is not None and name.lower() not in self._hosts:
            raise Denied(421, f"this address does not answer to the name {name[:100]!r}; allow it with --allow-host")
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Denied(403, "pages of another origin may not use the dashboard")
        if request.headers.get("sec-fetch-site") == "cross-site" and request.scope.get("method") != "GET":
            raise Denied(403, "pages of another site may not use the dashboard")

    async def allowed(self, request: HTTPConnection, least: Role) -> Session:
        """Return the session of a request that may do what a role may; raise `Denied` for any other."""
        self.check_place(request)
        session = await self._session(request)
        if session.role < least:
            _log.warning(
                "dashboard: %s was denied what needs the role %s",
                session.subject,
                least.name.lower(),
                extra={"event": "denied", "subject": session.subject, "role": session.role.name.lower()},
            )
            raise Denied(403, f"this needs the role {least.name.lower()}")
        return session

    async def _session(self, request: HTTPConnection) -> Session:
        if self._tokens is None:
            return Session(Role.ADMIN, "this machine", float("inf"))
        found = self._sessions.get(request.cookies.get(COOKIE, ""))
        if found is not None and found.ends > self.now():
            return found
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and token:
            return await self._of_token(request, token)
        raise Denied(401, "no valid session; bring a token")

    async def _of_token(self, request: HTTPConnection, token: str) -> Session:
        place = request.client.host if request.client else "socket"
        tries = [at for at in self._tries.get(place, ()) if self.now() - at < TRIES_SECONDS]
        if len(tries) >= TRIES:
            raise Denied(429, f"too many wrong tokens from this address; wait {TRIES_SECONDS:.0f} s")
        assert self._tokens is not None  # noqa: S101 asked by both callers
        try:
            claims = await self._tokens.claims(token)
        except TokenRefused:
            self._tries = {one: kept for one, kept in self._tries.items() if kept and one != place} | {
                place: [*tries, self.now()]
            }
            _log.warning(
                "dashboard: a token from %s was refused", place, extra={"event": "token_refused", "from": place}
            )
            raise Denied(401, "no valid token") from None
        subject = str(claims.get("sub", "a token"))[:100]
        return Session(Role.of(claims.get(self._role_claim)), subject, float(claims["exp"]))

    async def open_session(self, request: HTTPConnection, token: str) -> tuple[str, Session]:
        """Trade a token for a session; return the value of its cookie, and the session.

        Raises
        ------
        Denied
            When the token is not valid, or allows nothing.
        """
        self.check_place(request)
        if self._tokens is None:
            raise Denied(400, "no token is asked for here")
        session = await self._of_token(request, token)
        if session.role is Role.NONE:
            raise Denied(403, "the token has no role here")
        self._sessions = {name: one for name, one in self._sessions.items() if one.ends > self.now()}
        if len(self._sessions) >= MAX_SESSIONS:
            raise Denied(503, f"{MAX_SESSIONS} sessions are open")
        name = secrets.token_urlsafe(32)
        self._sessions[name] = session
        _log.info(
            "dashboard: %s began a session as %s",
            session.subject,
            session.role.name.lower(),
            extra={"event": "session_begun", "subject": session.subject, "role": session.role.name.lower()},
        )
        return name, session

    def close_session(self, request: HTTPConnection) -> None:
        """Forget the session of a request."""
        self._sessions.pop(request.cookies.get(COOKIE, ""), None)
