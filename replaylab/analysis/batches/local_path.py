"""Local path: where a cache, results or a report are written; a URL is refused before a folder `s3:` is made."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from replaylab.durable import of_user
from replaylab.errors import AnalysisError

# A scheme of two letters or more, so no drive; one slash is what `Path` leaves of two.
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):(?://|/(?!/))(?P<rest>.*)", re.DOTALL)


def local_path(path: str | os.PathLike[str], name: str, instead: str) -> Path:
    """Return a path of this machine, also of a ``file://`` URL; raise `AnalysisError` for every other URL.

    Parameters
    ----------
    path : path
        What the caller gave, also a `Path` that was made of a URL.
    name : str
        The argument that it was given as, for the error.
    instead : str
        What to do, for the error.

    Examples
    --------
    >>> local_path("file:///var/cache/my%20games", "cache", "pass a path").as_posix()
    '/var/cache/my games'
    >>> local_path("s3://KEY:SECRET@bucket/games", "cache", "pass a path")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    replaylab.errors.AnalysisError: cache='s3://bucket/games': a folder of this machine is needed, no object store; ...
    """
    text = os.fsdecode(path)
    found = _URL.fullmatch(text)
    if found is None:
        return of_user(text)
    rest = found["rest"] if "://" in text else f"/{found['rest']}"
    if found["scheme"].lower() == "file" and rest.startswith("/"):
        return Path(unquote(rest))
    bare = rest.lstrip("/").partition("?")[0].rpartition("@")[2]  # without a key and a secret
    shown = f"{found['scheme']}://{bare}"
    raise AnalysisError(f"{name}={shown!r}: a folder of this machine is needed, no object store; {instead}")
