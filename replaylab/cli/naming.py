"""Naming: a message of the library names its arguments as Python does; here they are the options of the command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

_ARGUMENT: Final = re.compile(r"(?<![\w./\\?&=:'\"-])([a-z][a-z_]*)=(\S*)")
_ENVIRONMENT: Final = {  # what a command reads there as well, or alone
    "record": {"token": "REPLAYLAB_TOKEN"},
    "serve": {"secret": "--secret-file or REPLAYLAB_TOKEN_SECRET"},
}
_said: ContextVar[tuple[Mapping[str, str], tuple[str, ...]]] = ContextVar("_said", default=({}, ()))


def note_command(name: str, parameters: Sequence[Any], words: Sequence[str]) -> None:
    """Note which command is run, what its parameters are called, and the words that were typed behind it."""
    names = {one.name: _shown(one) for one in parameters if one.name}
    _said.set((names | _ENVIRONMENT.get(name, {}), tuple(words)))


def in_options(text: str) -> str:
    """Return a message with options in place of arguments; what was typed stays as it was.

    Examples
    --------
    >>> class Port:
    ...     name, opts, metavar = "port", ["--port"], None
    >>> note_command("serve", [Port], [])
    >>> in_options("port=70000: must lie between 0 and 65535; see port="), in_options("host=7")
    ('--port 70000: must lie between 0 and 65535; see --port', 'host=7')
    """
    names, words = _said.get()

    def option(found: re.Match[str]) -> str:
        shown, value = names.get(found[1]), found[2]
        has_value = bool(value) and (value[0].isalnum() or value[0] in "'\"[-")
        if shown is None or (has_value and any(found[0].rstrip(":,;.)") in word for word in words)):
            return found[0]
        return f"{shown} {value}" if has_value else f"{shown}{value}"

    return _ARGUMENT.sub(option, text)


def _shown(parameter: Any) -> str:
    """Return what a parameter is called: the long option, or the word in capitals of an argument."""
    options = [one for one in parameter.opts if one.startswith("-")]
    long = [one for one in options if one.startswith("--")]
    return str((long or options or [parameter.metavar or parameter.name.upper()])[0])
