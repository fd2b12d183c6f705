"""Tick, Phase, and the limits of what can be stored: whatever passes here fits every later stage without rounding."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import MAXYEAR, MINYEAR, UTC, datetime
from decimal import Context, Decimal
from enum import StrEnum
from typing import Any, Final, NamedTuple, overload

from replaylab.errors import TickError

PRICE_PRECISION: Final = 38
PRICE_SCALE: Final = 24
PRICE_WHOLE_DIGITS: Final = PRICE_PRECISION - PRICE_SCALE
MAX_TICK_BYTES: Final = 1 << 20
LONGEST_SHOWN: Final = 64  # characters of an id in a table or a repr; data hold it whole
INT32_MAX: Final = 2**31 - 1
TOO_FINE: Final = "finer than microseconds; convert with --truncate-times (truncate_times=True) to cut it"
_LONG_TEXT: Final = 100_000  # below this no escaping can make a tick exceed MAX_TICK_BYTES
_EXACT: Final = Context(prec=60)  # more digits than a price can have: nothing is rounded
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ISO_TIME: Final = re.compile(
    r"((\d{4}-\d\d-\d\d|\d{4}-W\d\d-\d)[Tt ](?!24)\d\d:\d\d(:\d\d([.,]\d{1,9})?)?"  # the extended form
    r"|(\d{8}|\d{4}W\d{3})[Tt ](?!24)\d{4}(\d\d([.,]\d{1,9})?)?)"  # the basic form
    r"\s?(Z|z|UTC|[+-]\d\d(:?[0-5]\d)?)?\Z",
    re.ASCII,
)
_EPOCH_UNITS: Final = {10: "s", 13: "ms", 16: "us", 19: "ns"}  # by the digits of a time of this century
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z", re.ASCII)


class Phase(StrEnum):
    """What a game is doing at a tick.

    The first six are what `Phase.of` derives from the flags; the last three occur only as names that recorders wrote.

    Examples
    --------
    >>> Phase.of(active=True, rugged=False, tick=12, cooldown_timer=0)
    <Phase.ACTIVE_GAMEPLAY: 'ACTIVE_GAMEPLAY'>
    >>> Phase.PRESALE == "PRESALE"
    True
    """

    UNKNOWN = "UNKNOWN"
    COOLDOWN = "COOLDOWN"
    PRESALE = "PRESALE"
    GAME_ACTIVATION = "GAME_ACTIVATION"
    ACTIVE_GAMEPLAY = "ACTIVE_GAMEPLAY"
    RUGGED = "RUGGED"
    RUG_EVENT = "RUG_EVENT"
    RUG_EVENT_1 = "RUG_EVENT_1"
    RUG_EVENT_2 = "RUG_EVENT_2"

    @classmethod
    def of(cls, *, active: bool, rugged: bool, tick: int, cooldown_timer: int | None) -> Phase:
        """Derive the phase from the flags; the recorded name is never trusted.

        Rugged wins over active; a running clock of up to 10,000 ms is presale, above that cooldown.
        """
        if rugged:
            return cls.RUGGED
        if active:
            return cls.ACTIVE_GAMEPLAY if tick > 0 else cls.GAME_ACTIVATION
        if cooldown_timer is None or cooldown_timer <= 0:
            return cls.UNKNOWN
        return cls.PRESALE if cooldown_timer <= PRESALE_MS else cls.COOLDOWN


PRESALE_MS: Final = 10_000
_CLOSED: Final = frozenset({"COOLDOWN", "RUG_EVENT", "RUG_EVENT_1", "RUG_EVENT_2", "RUGGED", "UNKNOWN"})


@dataclass(frozen=True, slots=True)
class Tick:
    """One tick of one game: nine fields, checked when made, so that a tick that exists can be stored.

    Parameters
    ----------
    game_id : str
        Name of the game; any text that is valid Unicode and not empty.
    tick : int
        Number of the tick, from 0; neither unique nor monotone within a game.
    timestamp : datetime or str
        When it was received. ISO text is parsed; without a zone it is UTC. Kept as UTC with microseconds; a finer
        time is refused.
    price : Decimal, int, str or None
        Exact; must fit decimal128(38, 24) without rounding. A float is refused, as its text is not its value. None
        where it is not known, as in rows of a store that an old recorder filled in; such a tick can be shown, and a
        `Recorder` refuses it.
    phase : str
        The name that the recorder gave the phase, or a `Phase`.
    active, rugged : bool
        The game's flags.
    cooldown_timer : int
        Milliseconds to the start of the game.
    trade_count : int
        Trades so far.

    Raises
    ------
    TickError
        Names the field and the value.

    Examples
    --------
    >>> tick = Tick(game_id="20310102-0123456789ab4cde", tick=3, timestamp="2031-01-02T03:04:20.75", price="1.02",
    ...             phase="ACTIVE_GAMEPLAY", active=True, rugged=False, cooldown_timer=0, trade_count=4)
    >>> tick.price
    Decimal('1.02')
    >>> tick.timestamp.isoformat()
    '2031-01-02T03:04:20.750000+00:00'
    """

    game_id: str
    tick: int
    timestamp: datetime
    price: Decimal | None
    phase: str = Phase.UNKNOWN
    active: bool = False
    rugged: bool = False
    cooldown_timer: int = 0
    trade_count: int = 0

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "game_id", checked_text("game_id", self.game_id))
        put(self, "tick", checked_int("tick", self.tick, 0))
        put(self, "timestamp", parse_time(self.timestamp))
        if self.price is not None:
            put(self, "price", checked_price(self.price))
        put(self, "phase", checked_text("phase", self.phase))
        put(self, "active", checked_bool("active", self.active))
        put(self, "rugged", checked_bool("rugged", self.rugged))
        put(self, "cooldown_timer", checked_int("cooldown_timer", self.cooldown_timer, -INT32_MAX))
        put(self, "trade_count", checked_int("trade_count", self.trade_count, 0))
        if len(self.game_id) + len(self.phase) > _LONG_TEXT and len(self.to_line()) > MAX_TICK_BYTES:
            raise TickError(
                "game_id", self.game_id, "tick_too_large", f"the serialised tick exceeds {MAX_TICK_BYTES} bytes"
            )

    @property
    def state(self) -> Phase:
        """The phase derived from the flags."""
        return Phase.of(active=self.active, rugged=self.rugged, tick=self.tick, cooldown_timer=self.cooldown_timer)

    @property
    def tradeable(self) -> bool:
        """True in presale, and in play while the recorded phase does not say otherwise."""
        return self.phase == Phase.PRESALE or (self.active and not self.rugged and self.phase not in _CLOSED)

    @property
    def at_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        return microseconds(self.timestamp)

    def to_line(self) -> bytes:
        """Return the tick as one line of exact JSON, without the newline.

        The price is a number with all its digits; null where it is not known, which no reader takes for a tick.
        """
        price = "null" if self.price is None else price_text(self.price)
        return (
            f'{{"type": "tick", "timestamp": "{self.timestamp.isoformat(timespec="microseconds")}", '
            f'"game_id": {json.dumps(self.game_id, ensure_ascii=False)}, "tick": {self.tick}, '
            f'"price": {price}, "phase": {json.dumps(self.phase, ensure_ascii=False)}, '
            f'"active": {"true" if self.active else "false"}, "rugged": {"true" if self.rugged else "false"}, '
            f'"cooldown_timer": {self.cooldown_timer}, "trade_count": {self.trade_count}}}'
        ).encode()


@overload
def short_id(game_id: str) -> str: ...


@overload
def short_id(game_id: str | None) -> str | None: ...


def short_id(game_id: str | None) -> str | None:
    """Return an id as people read it: one that is longer than `LONGEST_SHOWN` with its middle left out.

    Examples
    --------
    >>> short_id("20310102-0123456789ab4cde"), len(short_id("x" * 3_000))
    ('20310102-0123456789ab4cde', 64)
    """
    if game_id is None or len(game_id) <= LONGEST_SHOWN:
        return game_id
    return f"{game_id[:40]}...{game_id[-21:]}"


def tick_of(row: Mapping[str, Any]) -> Tick:
    """Return the tick of a mapping of its fields, such as a row of a store; other fields are dropped.

    The phase is the recorded one where the row has it. A row without a price makes a tick whose price is None.

    Raises
    ------
    TickError
        When a value is none of its field's, names the field.
    TypeError
        When a field that every tick has is missing.

    Examples
    --------
    >>> row = {"game_id": "g", "tick": 0, "timestamp": "2031-01-02T03:04:05", "price": None, "price_filled": True}
    >>> tick_of(row).price is None
    True
    """
    given = {name: row[name] for name in _FIELDS if name in row}
    if row.get("recorded_phase") is not None:
        given["phase"] = row["recorded_phase"]
    for name in ("phase", "cooldown_timer", "trade_count"):  # null where a recorder did not write them
        if given.get(name, 0) is None:
            del given[name]
    return Tick(**given)


_FIELDS: Final = tuple(one.name for one in fields(Tick))


class Row(NamedTuple):
    """One tick as a line has it; `wall_us` is UTC when `zoned`, else the source's own clock; None is not known."""

    game_id: str
    tick: int
    wall_us: int | None
    zoned: bool
    price: Decimal | None
    price_filled: bool
    recorded_phase: str | None
    active: bool
    rugged: bool
    cooldown_timer: int | None
    trade_count: int | None
    repaired: bool = False
    further: tuple[Any, ...] = ()  # what it states of the columns of `table.FURTHER`


def checked_price(value: object, field: str = "price") -> Decimal:
    """Return `value` as a Decimal that fits decimal128(38, 24) without rounding, or raise `TickError`."""
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, (Decimal, int, str)):
        raise TickError(
            field, value, "wrong_type", "a price is a Decimal, an int or text; pass a float as text, such as '1.25'"
        )
    try:
        price = value if isinstance(value, Decimal) else Decimal(value)
    except ArithmeticError:
        raise TickError(field, value, "wrong_type", "not a number") from None
    if not price.is_finite():
        raise TickError(field, value, "not_finite", "a price is a finite number")
    if isinstance(value, str) and not _NUMBER.match(value):  # Decimal takes 1_0, spaces and the digits of any script
        raise TickError(field, value, "wrong_type", "not a number")
    sign, digits, exponent = price.as_tuple()
    exponent = int(exponent)  # a finite Decimal has a number there
    if not price:
        return price if -PRICE_SCALE <= exponent <= 0 else Decimal(0)
    if len(digits) + exponent > PRICE_WHOLE_DIGITS:
        raise TickError(field, value, "price_too_large", f"more than {PRICE_WHOLE_DIGITS} digits before the point")
    excess = -PRICE_SCALE - exponent
    if excess > 0 and any(digits[-excess:]):
        raise TickError(
            field, value, "price_too_fine", f"more than {PRICE_SCALE} decimals; it would have to be rounded"
        )
    return Decimal((sign, digits[:-excess], -PRICE_SCALE)) if excess > 0 else price  # Arrow refuses more, even zeros


def _plain(value: object) -> object:
    """Return a whole number, flag or time of numpy as the one of Python; a float stays a float, which is refused."""
    kind = type(value)
    if kind.__module__ != "numpy" or not hasattr(value, "dtype"):
        return value
    sort = value.dtype.kind
    if sort == "M":
        exact = value.astype("datetime64[us]")  # type: ignore[attr-defined]
        return exact.item() if exact == value else str(value)
    return value.item() if sort in "iub" else value  # type: ignore[attr-defined]


def price_text(price: Decimal) -> str:
    """Return the shortest plain decimal text of a price: no exponent, no trailing zeros.

    Examples
    --------
    >>> price_text(Decimal("1.10")), price_text(Decimal("1E+2")), price_text(Decimal("6.2E-5"))
    ('1.1', '100', '0.000062')
    """
    if not price:
        return "0"
    text = format(price, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def trimmed(price: Decimal) -> Decimal:
    """Return a price without trailing zeros and without a positive exponent; its value is the same.

    Examples
    --------
    >>> trimmed(Decimal("1.020000000000000000000000")), trimmed(Decimal("100.00"))
    (Decimal('1.02'), Decimal('100'))
    """
    short = price.normalize(_EXACT)
    exponent = short.as_tuple().exponent
    return short.quantize(Decimal(1), context=_EXACT) if isinstance(exponent, int) and exponent > 0 else short


def checked_int(field: str, value: object, least: int) -> int:
    """Return `value` when it is a whole number from `least` to 2**31 - 1, or raise `TickError`."""
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TickError(field, value, "wrong_type", "must be a whole number")
    if not least <= value <= INT32_MAX:
        raise TickError(field, value, "out_of_range", f"must lie between {least} and {INT32_MAX}")
    return value


def checked_bool(field: str, value: object) -> bool:
    """Return `value` when it is true or false, or raise `TickError`; text such as 'false' is neither."""
    value = _plain(value)
    if not isinstance(value, bool):
        raise TickError(field, value, "wrong_type", "must be true or false")
    return value


def checked_text(field: str, value: object) -> str:
    """Return `value` when it is non-empty text of valid Unicode, or raise `TickError`."""
    if not isinstance(value, str) or not value:
        raise TickError(field, value, "wrong_type", "must be text, and not empty")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise TickError(field, value, "lone_surrogate", "not valid Unicode (a lone surrogate)") from None
    return str(value)


def parse_time(value: object, field: str = "timestamp") -> datetime:
    """Return a time as aware UTC; a time without a zone is read as UTC. Raise `TickError` when it is not a time."""
    moment = parse_wall_time(value, field)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def parse_wall_time(value: object, field: str = "timestamp") -> datetime:
    """Return a time as written, aware or naive.

    Raises `TickError` when it is not ISO 8601, finer than microseconds, or so early or late that its zone might move it
    out of the years that a datetime can hold.
    """
    moment = _as_written(value, field)
    if not MINYEAR < moment.year < MAXYEAR:
        raise TickError(field, value, "bad_time", f"outside the years {MINYEAR + 1} to {MAXYEAR - 1}")
    return moment


def _as_written(value: object, field: str) -> datetime:
    value = _plain(value)
    if isinstance(value, datetime):
        return value if type(value) is datetime else _plain_time(value, field)
    if not isinstance(value, str):
        problem = _epoch_hint(value) or "must be ISO 8601 text or a datetime"
        raise TickError(field, value, "wrong_type", problem)
    if not _ISO_TIME.match(value):
        raise TickError(field, value, "bad_time", _epoch_hint(value) or "not a time in ISO 8601")
    fraction = re.search(r"[.,]\d{6}(\d+)", value)
    if fraction and fraction[1].strip("0"):
        raise TickError(field, value, "time_too_fine", TOO_FINE)
    try:
        return datetime.fromisoformat(value.removesuffix("UTC").rstrip() + "Z" if value.endswith("UTC") else value)
    except ValueError as error:
        raise TickError(field, value, "bad_time", str(error)) from None


def _epoch_hint(value: object) -> str:
    """Return what to do about a number that looks like a count of units since 1970; empty for anything else."""
    digits = str(value).partition(".")[0] if isinstance(value, (int, float, Decimal, str)) else ""
    unit = _EPOCH_UNITS.get(len(digits)) if digits.isdecimal() and digits.isascii() else None
    names = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
    return f"looks like epoch {names[unit]}: --time-unit {unit}" if unit else ""


def _plain_time(value: datetime, field: str) -> datetime:
    """Return a child of datetime, such as the one of pandas, as a plain one."""
    if value != value:  # noqa: PLR0124 a time that is none differs from itself
        raise TickError(field, value, "bad_time", "not a time")
    if getattr(value, "nanosecond", 0):
        raise TickError(field, value, "time_too_fine", TOO_FINE)
    return datetime.combine(value.date(), value.time(), value.tzinfo).replace(fold=value.fold)


def microseconds(moment: datetime) -> int:
    """Return microseconds since 1970-01-01; a naive moment counts as written."""
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
