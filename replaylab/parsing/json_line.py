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
from typing import Any, Final, NamedTuple, Protocol

from replaylab.errors import TickError
from replaylab.nesting import BoundedDecoder
from replaylab.table import FURTHER
from replaylab.tick import (
    INT32_MAX,
    MAX_TICK_BYTES,
    TOO_FINE,
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
    | {"hello", "heartbeat", "phase", "feed", "gap", "heal", "trade", "end"}  # of a served recording
)
_ARRAY_LINE: Final = re.compile(rb"[\[,]?[ \t\r\n]*(\{.*\})?[ \t\r\n]*(?:\][ \t\r\n]*,?|,)?", re.DOTALL)
_MEMBER_LINE: Final = re.compile(rb'("[^"]*"[ \t\r\n]*:[ \t\r\n]*\{.*\})[ \t\r\n]*,?', re.DOTALL)
_SOCKETIO_FRAME: Final = re.compile(rb"([0-9]{1,2})(?:/[^,\"]*,)?[0-9]*([\[{].*[\]}])", re.DOTALL)
_WHOLE_UNITS: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
SHIFTS: Final = {"s": 6, "ms": 3, "us": 0, "ns": -3}  # decimals from a unit to microseconds
_DIGITS: Final = re.compile(r"-?[0-9]{1,21}(?:\.[0-9]{1,9})?", re.ASCII)
_FINE: Final = re.compile(r"([.,][0-9]{6})([0-9]+)")
_MOST_WHOLE_DIGITS: Final = 21  # of a number of units since 1970
_LEAST_US: Final = -62_104_060_800_000_000  # the year 2
_GREATEST_US: Final = 253_370_764_799_999_999  # the end of the year 9998
_HANDSHAKES: Final = frozenset({b"0", b"40"})  # open, connect
_TICK_FIELDS: Final = frozenset({"game_id", "tick", "price"})  # a line with these is a tick or damage, never control
_CAPTURED_FIELDS: Final = frozenset({"tickCount", "price"})  # the same of a captured event
_CLAIMS: Final = frozenset({"_metadata", "_header", "_footer", "server_seed"})

_WORDS: Final = 200  # signs of an error that are shown


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


DECODER: Final = BoundedDecoder(parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=_object)


class Times:
    """How times are read: the unit of those that are numbers, whether too fine ones are cut; `cut` counts those."""

    __slots__ = ("cut", "truncate", "unit")

    def __init__(self, unit: str = "", *, truncate: bool = False) -> None:
        self.unit = unit
        self.truncate = truncate
        self.cut = 0


class Reads(Protocol):
    """What a mapping does with a decoded object."""

    @property
    def native(self) -> bool:
        """Whether objects are read as always, but for their times."""

    @property
    def members(self) -> bool:
        """Whether a line may be a member of an object, its name before it."""

    def read(self, found: Any, times: Times | None = None) -> Line:
        """Read a decoded object."""


PLAIN_TIMES: Final = Times()


class Reading(NamedTuple):
    """How lines are read: by a mapping, or as always; and how their times are."""

    mapping: Reads | None = None
    times: Times = PLAIN_TIMES

    @property
    def mapped(self) -> bool:
        """Whether objects are those of a mapping, and not of a known recorder."""
        return self.mapping is not None and not self.mapping.native


PLAIN: Final = Reading()


def parse_line(raw: bytes, reading: Reading = PLAIN) -> Line:  # noqa: PLR0911 one way out for each thing a line can be
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
        found = _of_member(stripped, reading) or _of_array(stripped, reading) or _of_frame(stripped, reading)
        return found or Line(Kind.DAMAGED, label=broken_label(error, "not_json"), broken=True)
    except (ValueError, ArithmeticError):  # more digits, or a longer exponent, than Python converts
        return Line(Kind.DAMAGED, label="out_of_range")
    return interpret(found, len(stripped), reading)


def _of_array(stripped: bytes, reading: Reading) -> Line | None:
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
    return _ticks_of(found, len(stripped), reading)


def _of_member(stripped: bytes, reading: Reading) -> Line | None:
    """Read a line that is a member of an object, its name before it; None when it is none."""
    if reading.mapping is None or not reading.mapping.members:
        return None
    framed = _MEMBER_LINE.fullmatch(stripped)
    try:
        return None if framed is None else interpret(DECODER.decode(f"{{{framed[1].decode()}}}"), 0, reading)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _ticks_of(found: list[object], size: int, reading: Reading) -> Line | None:
    """Return the line of several objects when every one of them is a tick."""
    lines = [interpret(one, size, reading) for one in found]
    if not lines or any(line.kind is not Kind.TICK for line in lines):
        return lines[0] if len(lines) == 1 and isinstance(found[0], dict) else None
    return Line(Kind.TICK, tuple(row for line in lines for row in line.rows))


def _of_frame(stripped: bytes, reading: Reading) -> Line | None:  # noqa: PLR0911 one way out for each frame
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
            if reading.mapped and reading.mapping is not None:
                return reading.mapping.read(found, reading.times)
            return _captured({"data": found[1]}, found[0], reading.times)
    except TickError as error:
        return Line(Kind.DAMAGED, label=error.reason, detail=str(error))
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return None


def interpret(found: object, size: int = 0, reading: Reading = PLAIN) -> Line:
    """Say what a decoded JSON value of `size` bytes is."""
    if isinstance(found, list) and found and isinstance(found[0], dict):
        return _ticks_of(found, size, reading) or Line(Kind.DAMAGED, label="not_object", broken=True)
    if not isinstance(found, dict):
        return Line(Kind.DAMAGED, label="not_object")
    if reading.mapped and reading.mapping is not None:
        return reading.mapping.read(found, reading.times)
    try:
        return _dialect(found, size, reading.times)
    except TickError as error:
        return Line(Kind.DAMAGED, label=error.reason, detail=str(error))


def broken_label(error: json.JSONDecodeError, other: str) -> str:
    """Return the reason why text is no JSON: a raw control character in a text is named, the rest is `other`."""
    return "control_character" if error.msg.startswith("Invalid control character") else other


def _dialect(found: dict[str, Any], size: int, times: Times) -> Line:  # noqa: PLR0911 one way out for each dialect
    name = found.get("event", found.get("event_type"))
    if isinstance(name, str) and "data" in found:
        return _captured(found, name, times)
    kind = found.get("type")
    if kind == "tick" or (kind is None and "tick" in found and "price" in found):
        if size > MAX_TICK_BYTES:
            return Line(Kind.DAMAGED, label="tick_too_large")
        return Line(Kind.TICK, (tick_row(found, times),))
    if isinstance(kind, str) and kind:
        label = checked_text("type", kind)
        traded = kind == "trade" and "side" in found  # a mark that has a tick and a price of its own
        if found.keys() >= _TICK_FIELDS and not traded:
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
    """Return the first keys of an object that is neither a tick nor a known line; of an error its words."""
    if len(found) == 1 and isinstance(found.get("error"), str):  # what a server answers in place of ticks
        words = "".join(sign if sign.isprintable() else " " for sign in found["error"])
        return f"error: {words[:_WORDS]}"
    shown = ", ".join(list(found)[:8])
    hint = "; looks like a document of games: --map games" if isinstance(found.get("games"), list) else ""
    return f"keys {shown if len(shown) <= 80 else shown[:77] + '...'}{hint}" if found else "an empty object"


def tick_row(found: dict[str, Any], times: Times = PLAIN_TIMES) -> Row:
    """Return the row of a tick object; raises `TickError` for what cannot be stored."""
    for field in ("game_id", "tick", "timestamp", "price", "active", "rugged"):
        if field not in found:
            raise TickError(field, None, "missing_field", "not there")
    active = checked_bool("active", found["active"])
    price, filled = read_price(found["price"], active=active, declared=found.get("price_filled") is True)
    wall_us, zoned = read_time(found["timestamp"], times)
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
        cooldown_timer=optional_int("cooldown_timer", found.get("cooldown_timer"), -INT32_MAX),
        trade_count=optional_int("trade_count", found.get("trade_count"), 0),
        repaired=found.get("repaired") is True,
        further=tuple(_stated(found, FURTHER_FIELDS[one.name].recorded, one.name) for one in FURTHER),
    )


def _stated(found: dict[str, Any], key: str, column: str) -> object:
    """Return what a line states of a further column; None when it states nothing."""
    value = found.get(key)
    return None if value is None else FURTHER_FIELDS[column].check(key, value)


def read_price(value: object, *, active: bool, declared: bool = False) -> tuple[Decimal | None, bool]:
    """Return (price, filled): the `1.0` of an inactive tick, number or text, was put there by the recorder."""
    if value is None and declared:
        return None, True
    if isinstance(value, (Decimal, str)) and not active and str(value) == FILLED_TEXT:
        return None, True
    return checked_price(value), False


def read_time(value: object, times: Times = PLAIN_TIMES, field: str = "timestamp") -> tuple[int | None, bool]:
    """Return (microseconds, zoned) of a time as written; a null time stays unknown. `field` is named in errors."""
    if value is None:
        return None, True
    if type(value) is int and times.unit in _WHOLE_UNITS and 0 <= value * _WHOLE_UNITS[times.unit] <= _GREATEST_US:
        return value * _WHOLE_UNITS[times.unit], True
    number = _number(value) if times.unit else None
    if number is not None:
        return _epoch_us(value, number, times, field), True
    if times.truncate and isinstance(value, str) and (fine := _FINE.search(value)):
        times.cut += bool(fine[2].strip("0"))
        value = value[: fine.end(1)] + value[fine.end() :]
    moment = parse_wall_time(value, field)
    return microseconds(moment), moment.tzinfo is not None


def _number(value: object) -> Decimal | None:
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else None


def _epoch_us(value: object, number: Decimal, times: Times, field: str) -> int:
    """Return the microseconds of a number of units since 1970."""
    if not number.is_finite() or number.adjusted() >= _MOST_WHOLE_DIGITS:
        raise TickError(field, value, "bad_time", f"no time in {times.unit} since 1970")
    sign, digits, exponent = number.as_tuple()
    places = min(-int(exponent) - SHIFTS[times.unit], len(digits) + 1)  # behind the point, in microseconds
    given = int("".join(map(str, digits))) * (-1 if sign else 1) * int(10 ** max(-places, 0))
    whole, rest = divmod(given, int(10 ** max(places, 0)))  # exact, and rounded down
    if rest:
        if not times.truncate:
            raise TickError(field, value, "time_too_fine", TOO_FINE)
        times.cut += 1
    if not _LEAST_US <= whole <= _GREATEST_US:
        raise TickError(field, value, "bad_time", f"in {times.unit} since 1970 it is beyond the year 9998")
    return whole


def optional_int(field: str, value: object, least: int) -> int | None:
    """Return a whole number, or None for null; raises `TickError` for anything else."""
    return None if value is None else checked_int(field, value, least)


def _captured(found: dict[str, Any], name: str, times: Times) -> Line:
    data = found["data"]
    if isinstance(data, dict) and data.keys() >= _CAPTURED_FIELDS:
        if "gameId" not in data:
            raise TickError("gameId", None, "missing_field", "not there")
        if name != CAPTURED_TICK:
            why = f'the event has the fields of a tick; its name must be "{CAPTURED_TICK}"'
            raise TickError("event", name, "unknown_type", why)
    if name != CAPTURED_TICK or not isinstance(data, dict) or "gameId" not in data:
        return Line(Kind.CONTROL, label="event:" + checked_text("event", name), private=True)
    time_key = "timestamp" if "timestamp" in found else "ts"
    wall_us, zoned = read_time(found.get(time_key), times, time_key)
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
        cooldown_timer=optional_int("cooldownTimer", data.get("cooldownTimer"), -INT32_MAX),
        trade_count=optional_int("tradeCount", data.get("tradeCount"), 0),
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
