"""One line of exact JSON and what it says: ticks, a control line, an annotation, nothing, or damage. Pure.

Numbers are read as text: a price never passes through a float. Dialects understood: recordings (`type: tick`),
the recorder sink (ticks without `type`, `_metadata` lines), game state files (`meta` and `prices`), and raw captures
of `gameStateUpdate`. Unknown fields of a tick are accepted and dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple

from replaylab.errors import TickError
from replaylab.table import FURTHER
from replaylab.tick import (
    INT32_MAX,
    MAX_TICK_BYTES,
    Row,
    checked_bool,
    checked_int,
    checked_price,
    checked_text,
    microseconds,
    parse_wall_time,
)

FILLED_TEXT: Final = "1.0"  # what the old recorder wrote for a price that the server had not sent
CAPTURED_TICK: Final = "gameStateUpdate"


class FurtherField(NamedTuple):
    """How the dialects name a column of `table.FURTHER`, and the function that checks its value or raises."""

    recorded: str
    captured: str
    check: Callable[[str, Any], Any]


FURTHER_FIELDS: Final[dict[str, FurtherField]] = {}
"""By column, what a line may state beyond the fields that every tick has; one entry for each of `table.FURTHER`."""

JSON_BLANKS: Final = b" \t\r\n"  # what JSON calls white space; \x0b and \x0c are damage
MAX_KEYS: Final = 10_000  # of one object
KNOWN_TYPES: Final = frozenset(
    {"game_start", "game_end", "game_complete", "session_start", "session_end", "action"}  # of lines that are no tick
)
_ARRAY_LINE: Final = re.compile(rb"[\[,]?[ \t\r\n]*(\{.*\})?[ \t\r\n]*(?:\][ \t\r\n]*,?|,)?", re.DOTALL)
_SOCKETIO_FRAME: Final = re.compile(rb"([0-9]{1,2})(?:/[^,\"]*,)?[0-9]*([\[{].*[\]}])", re.DOTALL)
_HANDSHAKES: Final = frozenset({b"0", b"40"})  # open, connect
_TICK_FIELDS: Final = frozenset({"game_id", "tick", "price"})  # a line with these is a tick or damage, never control
_CLAIMS: Final = frozenset({"_metadata", "_header", "_footer", "server_seed"})


class Kind(StrEnum):
    """What a line is."""

    TICK = "tick"
    CONTROL = "control"
    ANNOTATION = "annotation"
    BLANK = "blank"
    DAMAGED = "damaged"


class Line(NamedTuple):
    """A line read: its kind, its rows (ticks only), a label (control name or damage reason), whether text is private.

    `broken` is true for damage that resynchronising inside the line may still mend; `detail` names field and value of
    damage; `unknown` is true for a control line of a type that no known recorder writes.
    """

    kind: Kind
    rows: tuple[Row, ...] = ()
    label: str = ""
    private: bool = False
    broken: bool = False
    detail: str = ""
    unknown: bool = False


class _DuplicateKeyError(ValueError):
    """An object that names a key twice."""


class _TooManyKeysError(ValueError):
    """An object of more than `MAX_KEYS` keys."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_KEYS:
        raise _TooManyKeysError
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKeyError
    return found


DECODER: Final = json.JSONDecoder(parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=_object)


def parse_line(raw: bytes) -> Line:  # noqa: PLR0911 one way out for each thing a line can be
    """Read one line, with or without its newline.

    Examples
    --------
    >>> parse_line(b'{"type": "game_start", "timestamp": "2031-01-02T03:04:05", "game_id": "g"}').label
    'game_start'
    >>> parse_line(b"[1, 2]").label
    'not_object'
    """
    stripped = raw.strip(JSON_BLANKS)
    if not stripped:
        return Line(Kind.BLANK)
    if stripped.startswith(b"#"):
        return Line(Kind.ANNOTATION, label="annotation")
    try:
        found = DECODER.decode(stripped.decode())
    except UnicodeDecodeError:
        return Line(Kind.DAMAGED, label="not_utf8", broken=True)
    except RecursionError:
        return Line(Kind.DAMAGED, label="too_deep")
    except _DuplicateKeyError:
        return Line(Kind.DAMAGED, label="duplicate_key")
    except _TooManyKeysError:
        return Line(Kind.DAMAGED, label="too_many_keys", detail=f"an object of more than {MAX_KEYS:,} keys")
    except json.JSONDecodeError as error:
        found = _of_array(stripped) or _of_frame(stripped)
        return found or Line(Kind.DAMAGED, label=broken_label(error, "not_json"), broken=True)
    except (ValueError, ArithmeticError):  # more digits, or a longer exponent, than Python converts
        return Line(Kind.DAMAGED, label="out_of_range")
    return interpret(found, len(stripped))


def _of_array(stripped: bytes) -> Line | None:
    """Read the ticks of a line of a JSON array: objects with commas between and behind them, brackets around them.

    None when it is no such line; anything but ticks in it is left to resynchronising.
    """
    framed = _ARRAY_LINE.fullmatch(stripped)
    if framed is None:
        return None
    if framed[1] is None:
        return Line(Kind.BLANK)
    try:
        found = DECODER.decode(f"[{framed[1].decode()}]")
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return _ticks_of(found, len(stripped))


def _ticks_of(found: list[object], size: int) -> Line | None:
    """Return the line of several objects when every one of them is a tick."""
    lines = [interpret(one, size) for one in found]
    if not lines or any(line.kind is not Kind.TICK for line in lines):
        return lines[0] if len(lines) == 1 and isinstance(found[0], dict) else None
    return Line(Kind.TICK, tuple(row for line in lines for row in line.rows))


def _of_frame(stripped: bytes) -> Line | None:
    """Read a frame of a Socket.IO log, such as ``42["gameStateUpdate", {...}]``; it has no time. None when it is none.

    The frames that open a connection are control lines; any other digit before an object is damage.
    """
    framed = _SOCKETIO_FRAME.fullmatch(stripped)
    if framed is None:
        return None
    try:
        found = DECODER.decode(framed[2].decode())
        if framed[1] in _HANDSHAKES and isinstance(found, dict) and "sid" in found:
            return Line(Kind.CONTROL, label=f"frame:{framed[1].decode()}", private=True)
        if framed[1] == b"42" and isinstance(found, list) and len(found) > 1 and found[0] and isinstance(found[0], str):
            return _captured({"data": found[1]}, found[0])
    except TickError as error:
        return Line(Kind.DAMAGED, label=error.reason, detail=str(error))
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return None


def interpret(found: object, size: int = 0) -> Line:
    """Say what a decoded JSON value of `size` bytes is."""
    if isinstance(found, list) and found and isinstance(found[0], dict):
        return _ticks_of(found, size) or Line(Kind.DAMAGED, label="not_object", broken=True)
    if not isinstance(found, dict):
        return Line(Kind.DAMAGED, label="not_object")
    try:
        return _dialect(found, size)
    except TickError as error:
        return Line(Kind.DAMAGED, label=error.reason, detail=str(error))


def broken_label(error: json.JSONDecodeError, other: str) -> str:
    """Return the reason why text is no JSON: a raw control character in a text is named, the rest is `other`."""
    return "control_character" if error.msg.startswith("Invalid control character") else other


def _dialect(found: dict[str, Any], size: int) -> Line:  # noqa: PLR0911 one way out for each dialect
    name = found.get("event", found.get("event_type"))
    if isinstance(name, str) and "data" in found:
        return _captured(found, name)
    kind = found.get("type")
    if kind == "tick" or (kind is None and "tick" in found and "price" in found):
        if size > MAX_TICK_BYTES:
            return Line(Kind.DAMAGED, label="tick_too_large")
        return Line(Kind.TICK, (tick_row(found),))
    if isinstance(kind, str) and kind:
        label = checked_text("type", kind)
        if found.keys() >= _TICK_FIELDS:
            raise TickError("type", kind, "unknown_type", 'the line has the fields of a tick; its type must be "tick"')
        return Line(Kind.CONTROL, label=label, private="username" in found, unknown=kind not in KNOWN_TYPES)
    if "meta" in found and isinstance(found.get("prices"), list):
        return Line(Kind.TICK, _game_state_rows(found))
    if "meta" in found and "actions" in found:
        return Line(Kind.CONTROL, label="demonstration", private=True)
    claim = next((key for key in found if key in _CLAIMS), None)
    if claim:
        return Line(Kind.CONTROL, label=claim.lstrip("_"))
    return Line(Kind.DAMAGED, label="unknown_object", detail=_keys(found))


def _keys(found: dict[str, Any]) -> str:
    """Return the first keys of an object that is neither a tick nor a known line."""
    shown = ", ".join(list(found)[:8])
    return f"keys {shown if len(shown) <= 80 else shown[:77] + '...'}" if found else "an empty object"


def tick_row(found: dict[str, Any]) -> Row:
    """Give the row of a tick object; raises `TickError` for what cannot be stored."""
    for field in ("game_id", "tick", "timestamp", "price", "active", "rugged"):
        if field not in found:
            raise TickError(field, None, "missing_field", "not there")
    active = checked_bool("active", found["active"])
    price, filled = read_price(found["price"], active=active, declared=found.get("price_filled") is True)
    wall_us, zoned = read_time(found["timestamp"])
    phase = found.get("phase")
    return Row(
        game_id=checked_text("game_id", found["game_id"]),
        tick=checked_int("tick", found["tick"], 0),
        wall_us=wall_us,
        zoned=zoned,
        price=price,
        price_filled=filled,
        recorded_phase=None if phase is None else checked_text("phase", phase),
        active=active,
        rugged=checked_bool("rugged", found["rugged"]),
        cooldown_timer=_optional("cooldown_timer", found.get("cooldown_timer"), -INT32_MAX),
        trade_count=_optional("trade_count", found.get("trade_count"), 0),
        repaired=found.get("repaired") is True,
        further=tuple(_stated(found, FURTHER_FIELDS[one.name].recorded, one.name) for one in FURTHER),
    )


def _stated(found: dict[str, Any], key: str, column: str) -> object:
    """Return what a line states of a further column; None when it states nothing."""
    value = found.get(key)
    return None if value is None else FURTHER_FIELDS[column].check(key, value)


def read_price(value: object, *, active: bool, declared: bool = False) -> tuple[Decimal | None, bool]:
    """Give (price, filled): the `1.0` of an inactive tick, number or text, was put there by the recorder."""
    if value is None and declared:
        return None, True
    if isinstance(value, (Decimal, str)) and not active and str(value) == FILLED_TEXT:
        return None, True
    return checked_price(value), False


def read_time(value: object) -> tuple[int | None, bool]:
    """Give (microseconds, zoned) of a time as written; a null time stays unknown."""
    if value is None:
        return None, True
    moment = parse_wall_time(value)
    return microseconds(moment), moment.tzinfo is not None


def _optional(field: str, value: object, least: int) -> int | None:
    return None if value is None else checked_int(field, value, least)


def _captured(found: dict[str, Any], name: str) -> Line:
    data = found["data"]
    if name != CAPTURED_TICK or not isinstance(data, dict) or "gameId" not in data:
        return Line(Kind.CONTROL, label="event:" + checked_text("event", name), private=True)
    wall_us, zoned = read_time(found.get("timestamp", found.get("ts")))
    counting_down = "price" not in data
    active = not counting_down and checked_bool("active", data.get("active"))
    row = Row(
        game_id=checked_text("gameId", data["gameId"]),
        tick=0 if counting_down else checked_int("tickCount", data.get("tickCount"), 0),
        wall_us=wall_us,
        zoned=zoned,
        price=None if counting_down else checked_price(data["price"]),
        price_filled=counting_down,
        recorded_phase=None,
        active=active,
        rugged=not counting_down and checked_bool("rugged", data.get("rugged")),
        cooldown_timer=_optional("cooldownTimer", data.get("cooldownTimer"), -INT32_MAX),
        trade_count=_optional("tradeCount", data.get("tradeCount"), 0),
        further=tuple(_stated(data, FURTHER_FIELDS[one.name].captured, one.name) for one in FURTHER),
    )
    return Line(Kind.TICK, (row,))


def _game_state_rows(found: dict[str, Any]) -> tuple[Row, ...]:
    """Rows of a game state file: the index is the tick, null is a gap, the times were not recorded.

    A last price of at most 2 % of both 1 and the price before it is the rug: no live return reaches that far.
    """
    meta = found["meta"]
    if not isinstance(meta, dict):
        raise TickError("meta", meta, "wrong_type", "must be an object")
    game_id = checked_text("meta.game_id", meta.get("game_id"))
    priced = [(tick, checked_price(text)) for tick, text in enumerate(found["prices"]) if text is not None]
    rug = len(priced) > 1 and priced[-1][1] <= Decimal("0.02") * min(Decimal(1), priced[-2][1]) + Decimal("1E-15")
    return tuple(
        Row(game_id, tick, None, True, price, False, None, True, rug and tick == priced[-1][0], None, None)
        for tick, price in priced
    )
