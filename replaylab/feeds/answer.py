"""Answer: the words of a server that refuses, fit to be shown: one short line, without secrets that were sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from replaylab.urls import hidden_within

ASKED: Final = frozenset({"after", "from", "games", "loop", "pacing", "session", "speed", "to"})  # of a served store
_LONGEST: Final = 240
_READ_BYTES: Final = 4_096
_HIDDEN: Final = "***"
_SHOWN: Final = 8  # signs of a secret that are enough to know it by: the words may have been cut behind them
_SHORT: Final = 4
_MEMBERS: Final = ("error", "message", "detail", "reason")


def secrets_of(url: str, headers: Mapping[str, str] | None = None, token: str | None = None) -> tuple[str, ...]:
    """Return what was sent and may be secret: token, headers, user and password, and what the query holds.

    Examples
    --------
    >>> secrets_of("wss://me:hidden@game.example/feed?key=planted&speed=2", {"X-Key": "other"}, "token")
    ('token', 'other', 'me', 'hidden', 'planted')
    """
    parts = urlsplit(url)
    values = [token or ""]
    for value in (headers or {}).values():
        values += [value, *value.split()] if " " in value else [value]
    values += [parts.username or "", parts.password or ""]
    values += [value for name, value in parse_qsl(parts.query) if name not in ASKED]
    return tuple(dict.fromkeys(filter(None, values)))


def words_of(said: str | bytes, secrets: Iterable[str] = ()) -> str:
    r"""Return what a server said, as one line that may be shown; empty for a page, or when it said nothing.

    Examples
    --------
    >>> words_of(b'{"error": "speed must be a\\nnumber"}'), words_of("no Bearer planted-77", ["planted-77"])
    ('speed must be a number', 'no Bearer ***')
    >>> words_of("<html>not here</html>")
    ''
    """
    text = said[:_READ_BYTES].decode("utf-8", "replace") if isinstance(said, bytes) else said[:_READ_BYTES]
    text = _member(text.strip())
    if text.startswith("<"):
        return ""
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHOWN:
            text = re.sub(re.escape(secret[:_SHOWN]) + r"\S*", _HIDDEN, text)
        elif len(secret) >= _SHORT:
            text = text.replace(secret, _HIDDEN)
    return hidden_within(" ".join(text.split()))[:_LONGEST]


def _member(text: str) -> str:
    """Return the words in an object of JSON; a text that is none as it is."""
    if not text.startswith("{"):
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return next((found[name] for name in _MEMBERS if isinstance(found.get(name), str)), "")
