"""URLs: which paths are one, and what of one may be shown. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

# A scheme of two letters or more, so no drive; one slash is what `Path` leaves of two.
URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?://|/(?!/))(?P<rest>.*)", re.DOTALL)
_HOSTS: Final = re.compile(r"(?:\[[^\]]*\]|[^:/\[\]])*(?::\d*)?(?:,(?:\[[^\]]*\]|[^:/\[\]])*(?::\d*)?)*(?:/|\Z)")
_WITHIN: Final = re.compile(r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]+://?[^\s'\"<>|]+")


def without_secrets(text: str) -> str:
    """Return a URL without its user, password, key, options and fragment; a text that is none comes back as it is.

    Examples
    --------
    >>> without_secrets("s3://KEY:SECRET@bucket/games?session_token=T")
    's3://bucket/games'
    >>> without_secrets("s3://KEY:SEC?RET@bucket/games")
    's3://...'
    """
    found = URL.fullmatch(text)
    if found is None:
        return text
    place, _, options = found["rest"].lstrip("/").replace("#", "?").partition("?")
    shown = place.rpartition("@")[2]
    if "@" in options or not _HOSTS.match(shown):  # a secret may hold any sign that was not quoted
        shown = "..."
    return f"{found['scheme']}://{shown}"


def hidden_within(text: str) -> str:
    """Return a text in which every URL stands without its secrets.

    Examples
    --------
    >>> hidden_within("no answer from 'https://me:secret@host:1/place?key=secret' in 5 s")
    "no answer from 'https://host:1/place' in 5 s"
    """
    if URL.fullmatch(text):  # whatever signs it holds
        return without_secrets(text)
    return _WITHIN.sub(lambda found: without_secrets(found[0]), text)


def parts_of(url: str) -> SplitResult | None:
    """Return the parts of a URL; None for one that cannot be split, as the error of Python would show all of it.

    Examples
    --------
    >>> parts_of("ws://host:7/feed").port, parts_of("ws://[host/feed"), parts_of("ws://me:secret@host:port/")
    (7, None, None)
    """
    try:
        found = urlsplit(url)
        _ = found.port, found.hostname
    except ValueError:
        return None
    return found


def file_path(text: str) -> str | None:
    """Return the path that a ``file://`` URL of this machine names; None for every other text.

    Examples
    --------
    >>> file_path("file:///var/my%20games"), file_path("file://host/games"), file_path("games")
    ('/var/my games', None, None)
    """
    found = re.match(r"file:(?://(?=/))?(/(?!/).*)", text, re.IGNORECASE | re.DOTALL)
    return unquote(found[1]) if found else None
