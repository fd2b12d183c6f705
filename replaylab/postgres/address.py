"""Address of a database: what the driver is handed, and what may be shown of it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import unquote

from replaylab.errors import SettingsError

SCHEMES: Final = ("postgresql://", "postgres://")
CONNECT_SECONDS: Final = 10  # that libpq waits for an answer, unless the address says otherwise
_SECRET: Final = frozenset({"password", "sslpassword"})
_HOSTS: Final = re.compile(r"[\w.\-:,\[\]%]*\Z", re.ASCII)
_PORT: Final = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d*)?\Z", re.ASCII)
_PARAMETER: Final = re.compile(r"\w+=[^@#?]*\Z", re.ASCII)
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HINT: Final = (
    "the address of the database is not understood (it is not shown, as it may hold a password): write "
    "postgresql://USER@HOST:PORT/DATABASE, with the characters : / ? # @ % of a password percent-encoded, or leave the "
    "password out and put it into PGPASSWORD or ~/.pgpass"
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database is. Its password is handed to the driver alone: `repr`, `str` and `shown` are without it.

    Examples
    --------
    >>> Address.of("postgresql://me:secret@db.example/ticks?sslmode=require")
    Address(shown='postgresql://me@db.example/ticks')
    """

    uri: str = field(repr=False)
    shown: str
    secrets: tuple[str, ...] = field(repr=False, default=())

    @classmethod
    def of(cls, uri: str) -> Self:
        """Return the address in a URI; raises `SettingsError`, which shows nothing of it, when it is none."""
        scheme, _, rest = uri.partition("://")
        if f"{scheme}://" not in SCHEMES or _BAD_ESCAPE.search(rest) or "\0" in rest:
            raise SettingsError(_HINT)
        place, _, query = rest.partition("?")
        authority, _, path = place.partition("/")
        login, _, hosts = authority.rpartition("@")
        user, _, password = login.partition(":")
        parameters = query.split("&") if query else []
        wrong = "@" in path or "#" in rest or "@" in user or not _HOSTS.match(hosts)
        wrong = wrong or not all(_PORT.match(host) for host in hosts.split(","))
        if wrong or not all(_PARAMETER.match(one) for one in parameters):
            raise SettingsError(_HINT)
        given = dict(one.split("=", 1) for one in parameters)
        secrets = {password, *(value for name, value in given.items() if name in _SECRET)} - {""}
        if "connect_timeout" not in given:
            parameters.append(f"connect_timeout={CONNECT_SECONDS}")
        shown = "postgresql://" + (f"{user}@" if user else "") + f"{hosts}/{path}"
        if not hosts and "host" in given:
            shown += f"?host={given['host']}"
        known = sorted({*secrets, *(unquote(one) for one in secrets)}, key=len, reverse=True)
        return cls(f"{scheme}://{place}?{'&'.join(parameters)}", shown, tuple(known))

    def __str__(self) -> str:
        return self.shown

    def without_secrets(self, text: str) -> str:
        """Return a text in which no password stands, whatever a driver has put into its message."""
        for secret in (self.uri, *self.secrets):
            text = text.replace(secret, "***")
        return text


def is_address(place: object) -> bool:
    """Whether a place is the address of a database.

    Examples
    --------
    >>> is_address("postgresql:///ticks"), is_address("s3://bucket/store")
    (True, False)
    """
    return isinstance(place, str) and place.startswith(SCHEMES)
