"""URLs: which paths are one, and what of one may be shown. Pure."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

# A scheme of two letters or more, so no drive; one slash is what `Path` leaves of two.
URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?://|/(?!/))(?P<rest>.*)", re.DOTALL)


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
    shown = "..." if "@" in options else place.rpartition("@")[2]  # a secret may hold any sign that was not quoted
    return f"{found['scheme']}://{shown}"


def file_path(text: str) -> str | None:
    """Return the path that a ``file://`` URL of this machine names; None for every other text.

    Examples
    --------
    >>> file_path("file:///var/my%20games"), file_path("file://host/games"), file_path("games")
    ('/var/my games', None, None)
    """
    found = re.match(r"file:(?://(?=/))?(/(?!/).*)", text, re.IGNORECASE | re.DOTALL)
    return unquote(found[1]) if found else None
