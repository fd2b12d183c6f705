"""Local path: where a cache, results or a report are written; a URL is refused before a folder `s3:` is made."""

from __future__ import annotations

import os
from pathlib import Path

from replaylab.durable import of_user
from replaylab.errors import AnalysisError
from replaylab.urls import URL, file_path, without_secrets


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
    if file_path(text) is not None or not URL.fullmatch(text):
        return of_user(text)
    raise AnalysisError(
        f"{name}={without_secrets(text)!r}: a folder of this machine is needed, no object store; {instead}"
    )
