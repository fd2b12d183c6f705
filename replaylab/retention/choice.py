"""Which games are removed: by their age, by how many are to stay, or by the room that they may take. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from replaylab.errors import SettingsError

_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])\Z", re.ASCII)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(|k|M|G|T)B?\Z", re.ASCII)
_FACTORS: Final = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@dataclass(frozen=True, slots=True)
class Held:
    """A game of a store: its id, when its last row is from (None: not known), its rows, and about how many bytes."""

    game_id: str
    end: datetime | None
    rows: int
    bytes: float


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to stay; games that one of the three lets go are removed.

    Attributes
    ----------
    older_than : timedelta, optional
        Games whose last row is older go; one whose time is not known stays.
    keep_games : int, optional
        So many stay, the newest.
    max_bytes : int, optional
        The oldest go until the others take no more.
    """

    older_than: timedelta | None = None
    keep_games: int | None = None
    max_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.older_than is None and self.keep_games is None and self.max_bytes is None:
            raise SettingsError(
                "say what is to be removed: older_than, keep_games or max_bytes (--older-than, --keep-games, "
                "--max-bytes)"
            )
        if self.older_than is not None and self.older_than <= timedelta(0):
            raise SettingsError(f"older_than={self.older_than}: must be above 0")
        for name in ("keep_games", "max_bytes"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise SettingsError(f"{name}={value!r}: must be a whole number, 0 or more")


def chosen(games: Sequence[Held], rule: Rule, now: datetime, size: float, open_games: Collection[str]) -> list[Held]:
    """Return the games that a rule removes, oldest first; never one that is open.

    Parameters
    ----------
    games : sequence of Held
        All of a store.
    rule, now : Rule, datetime
        What is to stay, and when ages are counted from.
    size : float
        Bytes of the store.
    open_games : collection of str
        Games that a recorder may still add rows to.
    """
    known = [one for one in games if one.end is not None]
    ordered = [one for one in games if one.end is None]  # the oldest, as far as an order is needed
    ordered += sorted(known, key=lambda one: (one.end, one.game_id))
    gone: dict[str, Held] = {}
    if rule.older_than is not None:
        gone |= {one.game_id: one for one in known if one.end is not None and now - one.end > rule.older_than}
    if rule.keep_games is not None:
        gone |= {one.game_id: one for one in ordered[: max(0, len(ordered) - rule.keep_games)]}
    gone = {game: one for game, one in gone.items() if game not in open_games}
    if rule.max_bytes is not None:
        left = size - sum(one.bytes for one in gone.values())
        for one in ordered:
            if left <= rule.max_bytes:
                break
            if one.game_id not in gone and one.game_id not in open_games:
                gone[one.game_id] = one
                left -= one.bytes
    return [one for one in ordered if one.game_id in gone]


def age_of(text: str) -> timedelta:
    """Return a span of time in words: ``90d``, ``12h``, ``2w``; raises `SettingsError`.

    Examples
    --------
    >>> age_of("36h") == age_of("1.5d")
    True
    """
    found = _AGE.match(text.strip())
    try:
        if found:
            return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError:
        found = None
    raise SettingsError(f"older_than={text!r}: write a number and one of s, m, h, d, w, such as 90d")


def size_of(text: str) -> int:
    """Return a number of bytes in words: ``500MB``, ``2G``, ``1000000``; raises `SettingsError`.

    Examples
    --------
    >>> size_of("1.5GB")
    1500000000
    """
    found = _SIZE.match(text.strip())
    if not found:
        raise SettingsError(f"max_bytes={text!r}: write a number of bytes, with k, M, G or T behind it if you like")
    return int(float(found[1]) * _FACTORS[found[2]])
