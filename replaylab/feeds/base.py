"""Feed: one connection to a source of live ticks, read frame by frame; it never connects again by itself."""

from __future__ import annotations

import base64
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from inspect import isawaitable
from types import TracebackType
from typing import Final, NamedTuple, Protocol, Self, TypeAlias, runtime_checkable
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from replaylab.errors import FeedRefused
from replaylab.mark import Mark
from replaylab.tick import Tick
from replaylab.urls import without_secrets

Message: TypeAlias = Tick | Mark
Token: TypeAlias = str | Callable[[], str | Awaitable[str]] | None
HANDSHAKE_SECONDS: Final = 10.0
MAX_FRAME_BYTES: Final = 8 << 20
MAX_REASONS: Final = 64  # names under which something is counted; the rest is counted together
OTHER: Final = "other"
EVENT: Final = "event:"  # begins the reason under which an event is counted that no feed wants
_log = logging.getLogger(__name__)
_RENEWS_SECONDS: Final = 60.0  # before a token ends


class Frame(NamedTuple):
    """What one message of a server brought: ticks and marks in order, and by place the `id` after which to resume.

    A heartbeat is a frame without messages. `position` is the last id known after the frame.
    """

    messages: Sequence[Message] = ()
    ids: Sequence[str | None] = ()
    position: str | None = None


@runtime_checkable
class Feed(Protocol):
    """One connection to a source of live ticks.

    A feed makes one connection and raises when it is lost; its caller decides whether to connect again, with the
    same feed: what it knows of the games outlives a connection.

    Attributes
    ----------
    name : str
        Where it leads to, without user, password, token or query.
    resumes : bool
        Whether `connect(after)` brings all that came after that id.
    beats : float or None
        Seconds between two heartbeats that the server has promised.
    position : str or None
        The id after which to resume.
    refused : Counter
        What could not be read, by reason.
    """

    name: str
    resumes: bool
    beats: float | None
    position: str | None
    refused: Counter[str]

    async def connect(self, after: str | None = None) -> None:
        """Connect, and resume after an id; raises `FeedLost` or `FeedRefused`."""

    async def receive(self) -> Frame | None:
        """Return the next frame, None when the feed is over; raises `FeedLost`. Safe to cancel."""

    async def probe(self) -> None:
        """Ask the server whether it is still there; raises `FeedLost` when it does not answer."""

    async def close(self) -> None:
        """Close the connection; does nothing when there is none."""


class Connection:
    """What every feed shares: iteration, `async with`, and what is counted. A feed adds the five of `Feed`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.resumes = False
        self.beats: float | None = None
        self.position: str | None = None
        self.refused: Counter[str] = Counter()
        self.renews_at: float | None = None  # seconds since 1970: a fresh token is due before the old one ends

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    async def connect(self, after: str | None = None) -> None:
        """Connect, and resume after an id; raises `FeedLost` or `FeedRefused`."""
        raise NotImplementedError

    async def receive(self) -> Frame | None:
        """Return the next frame, None when the feed is over; raises `FeedLost`. Safe to cancel."""
        raise NotImplementedError

    async def probe(self) -> None:
        """Ask the server whether it is still there; a feed of this process always is."""

    async def close(self) -> None:
        """Close the connection; does nothing when there is none."""

    def count(self, reason: str) -> None:
        """Count something that could not be read; of reasons that a server makes up, only so many are kept apart."""
        known = reason in self.refused or len(self.refused) < MAX_REASONS
        reason = reason if known else OTHER
        self.refused[reason] += 1
        if self.refused[reason] == 1:
            level = logging.INFO if reason.startswith(EVENT) else logging.WARNING
            _log.log(level, "%s: a message is left out (%s): it is counted, and the feed goes on", self.name, reason)

    async def __aiter__(self) -> AsyncIterator[Message]:
        while (frame := await self.receive()) is not None:
            for message in frame.messages:
                yield message

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def utc_now() -> datetime:
    """Return the time of the machine, aware."""
    return datetime.now(UTC)


def bare_url(url: str) -> str:
    """Return an address without what may be secret: user, password, query and fragment.

    Examples
    --------
    >>> bare_url("wss://me:secret@game.example:444/feed?token=secret#x")
    'wss://game.example:444/feed'
    """
    return without_secrets(url)


async def fresh_token(token: Token) -> str | None:
    """Return the token to use now; a function is asked, at each connection. Raises `FeedRefused`."""
    found: object = token
    if callable(token):
        try:
            found = token()
            if isawaitable(found):
                found = await found
        except Exception as error:  # noqa: BLE001 whatever the function of a caller raises
            raise FeedRefused(f"the token function raised {type(error).__name__}") from None  # its text may be secret
    if found is not None and (not isinstance(found, str) or not found or not found.isascii() or " " in found):
        raise FeedRefused("the token must be text of ASCII without spaces, or a function that returns it")
    return found


def renewal_of(token: Token, now: float, used: str | None) -> float | None:
    """Return when to connect again with a fresh token, in seconds since 1970; None when that is not known.

    That is a minute before the token ends, or half of what is left of a shorter one. A token that is text alone cannot
    be renewed, and one that is not a JSON Web Token does not say when it ends.
    """
    if not callable(token) or used is None or used.count(".") != 2:
        return None
    body = used.split(".")[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        ends = float(claims["exp"])
    except (ValueError, TypeError, KeyError, IndexError):
        return None
    return max(ends - min(_RENEWS_SECONDS, (ends - now) / 2), now)


def with_query(url: str, query: Mapping[str, str]) -> str:
    """Return an address with more in its query.

    Examples
    --------
    >>> with_query("ws://127.0.0.1:8765/feed?speed=2", {"after": "9f2c-1"})
    'ws://127.0.0.1:8765/feed?speed=2&after=9f2c-1'
    """
    parts = urlsplit(url)
    told = "&".join(part for part in (parts.query, urlencode(query, quote_via=quote)) if part)
    return urlunsplit((parts.scheme, parts.netloc, parts.path or "/", told, ""))
