"""Mark: what is known beside the ticks of a feed: a gap, what healed it, a phase, a change of the feed, a trade. Pure.

A mark is one line of JSON of the dialect that `convert` and `record` read: an object whose `type` is no tick, so every
reader keeps it or skips it, and none takes it for a price.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from math import isfinite
from types import MappingProxyType
from typing import Any, Final

from replaylab.errors import TickError
from replaylab.tick import checked_text, parse_time, price_text

MAX_MARK_BYTES: Final = 1 << 16
_OWN: Final = frozenset({"type", "timestamp", "game_id", "lane", "id", "seq", "next_seq", "crc"})
_DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=Decimal)
_NO_DETAIL: Final[Mapping[str, Any]] = MappingProxyType({})


class MarkKind(StrEnum):
    """Kind of a mark.

    `gap`: ticks are missing. `heal`: missing ticks came after all. `phase`: a game has gone on to another phase.
    `feed`: a feed was opened, lost or closed. `history`: what the server says of a finished game, compared with what
    was received. `trade`: a player bought or sold. `cursor`: where a feed is resumed.
    """

    GAP = "gap"
    HEAL = "heal"
    PHASE = "phase"
    FEED = "feed"
    HISTORY = "history"
    TRADE = "trade"
    CURSOR = "cursor"


KINDS: Final = frozenset(MarkKind)


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing known beside the ticks, with its time and, where it concerns one, its game.

    Parameters
    ----------
    kind : MarkKind
        Or its name.
    timestamp : datetime or str
        When it was noticed; without a zone it is UTC.
    game_id, lane : str, optional
        The game that it concerns, and the lane of the recorder that it came by.
    detail : mapping
        Plain values: a gap has `cause`, `after`, `before`, `missing`, `start`, `end`, `healed`.

    Raises
    ------
    TickError
        Names the field and the value.

    Examples
    --------
    >>> mark = Mark("gap", "2031-01-02T03:04:05", "g", detail={"cause": "disconnect", "after": 3, "before": 5})
    >>> mark.to_line()[:64]
    b'{"type": "gap", "timestamp": "2031-01-02T03:04:05.000000+00:00",'
    >>> Mark.of_line(mark.to_line()) == mark
    True
    """

    kind: MarkKind
    timestamp: datetime
    game_id: str | None = None
    lane: str | None = None
    detail: Mapping[str, Any] = field(default_factory=lambda: _NO_DETAIL)

    def __post_init__(self) -> None:
        put = object.__setattr__
        try:
            put(self, "kind", MarkKind(self.kind))
        except ValueError:
            raise TickError("type", self.kind, "wrong_type", f"must be one of {', '.join(MarkKind)}") from None
        put(self, "timestamp", parse_time(self.timestamp))
        for name in ("game_id", "lane"):
            value = getattr(self, name)
            put(self, name, None if value is None else checked_text(name, value))
        if not isinstance(self.detail, Mapping):
            raise TickError("detail", self.detail, "wrong_type", "must be a mapping of plain values")
        put(self, "detail", MappingProxyType(dict(self.detail)))
        if len(self.to_line()) > MAX_MARK_BYTES:
            raise TickError("detail", None, "mark_too_large", f"the line of the mark exceeds {MAX_MARK_BYTES} bytes")

    def __reduce__(self) -> tuple[type[Mark], tuple[Any, ...]]:
        return type(self), (str(self.kind), self.timestamp, self.game_id, self.lane, dict(self.detail))

    def to_line(self) -> bytes:
        """Return the mark as one line of exact JSON, without the newline; a Decimal is a number with all its digits."""
        found: dict[str, Any] = {"type": str(self.kind), "timestamp": self.timestamp.isoformat(timespec="microseconds")}
        if self.game_id is not None:
            found["game_id"] = self.game_id
        if self.lane is not None:
            found["lane"] = self.lane
        clash = _OWN & set(self.detail)
        if clash:
            raise TickError("detail", sorted(clash), "wrong_type", "names a field that every mark has")
        try:
            return _text({**found, **self.detail}).encode()
        except (TypeError, ValueError, RecursionError, UnicodeEncodeError) as error:
            raise TickError("detail", type(error).__name__, "wrong_type", f"no plain values: {error}") from None

    @classmethod
    def of_line(cls, raw: bytes | str) -> Mark:
        """Return the mark of a line; raises `TickError` when it is none."""
        try:
            found = _DECODER.decode(raw.decode() if isinstance(raw, bytes) else raw)
        except (ValueError, RecursionError, ArithmeticError):
            raise TickError("mark", None, "not_json", "the line is not JSON") from None
        if not isinstance(found, dict):
            raise TickError("mark", type(found).__name__, "not_object", "the line is no JSON object")
        return cls.of_fields(found)

    @classmethod
    def of_fields(cls, found: Mapping[str, Any]) -> Mark:
        """Return the mark of a decoded object; the place and the checksum of a journal line are left away."""
        detail = {name: value for name, value in found.items() if name not in _OWN}
        kind: Any = found.get("type")
        time: Any = found.get("timestamp", found.get("start"))
        return cls(kind, time, found.get("game_id"), found.get("lane"), detail)


def traded_quantity(detail: Mapping[str, Any]) -> float | None:
    """Return how much a trade moved: its quantity, or its amount by its price where the server says no quantity.

    The game's server writes quantity 0 for every short and says the amount of money instead. None where neither is
    known.

    Examples
    --------
    >>> traded_quantity({"side": "short_open", "quantity": 0, "amount": Decimal("0.5"), "price": Decimal(2)})
    0.25
    """
    quantity, amount, price = (_double(detail.get(name)) for name in ("quantity", "amount", "price"))
    return amount / price if not quantity and amount and price else quantity


def _double(value: object) -> float | None:
    """Return a number as a double; None where it is no finite number."""
    try:
        found = float(value)  # type: ignore[arg-type] # what is no number is none
    except (TypeError, ValueError, OverflowError):
        return None
    return found if isfinite(found) else None


def _text(value: object) -> str:
    """Return a plain value as JSON, Decimals with all their digits; the json module would make floats of them."""
    match value:
        case Decimal():
            if not value.is_finite():
                raise ValueError(f"{value} is no finite number")
            return price_text(value)
        case Mapping():
            inside = (f"{json.dumps(str(name), ensure_ascii=False)}: {_text(one)}" for name, one in value.items())
            return "{" + ", ".join(inside) + "}"
        case list() | tuple():
            return "[" + ", ".join(_text(one) for one in value) + "]"
        case datetime():
            return json.dumps(value.isoformat(timespec="microseconds"))
        case _:
            return json.dumps(value, ensure_ascii=False, allow_nan=False)
