"""LineReader: a line of a stream as a tick, for recording; what `convert` reads, with every number from its text.

The first good lines show in which order a writer names the fields; lines in that order are then read by one pattern.
A line that the pattern does not fit is left to the general parser, so the pattern never decides what damage means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final
from zoneinfo import ZoneInfo

from replaylab.errors import TickError
from replaylab.parsing.json_line import DECODER, FILLED_TEXT, Kind, Line, parse_line
from replaylab.tick import Row, Tick

_FORMS: Final = 4  # writers whose lines are recognised by a pattern
_LONGEST: Final = 4096  # bytes of a line that a pattern reads; a longer one may be more than a tick can hold
_LEARN_LINES: Final = 64  # slow lines that are looked at for a pattern
_WHOLE: Final = r"(?:0|[1-9][0-9]{0,8})"
_TEXT: Final = r'"([^"\\\x00-\x1f]{1,1000})"'
_FLAG: Final = "(true|false)"
_TIME: Final = (
    r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
)
_VALUES: Final = {  # what may stand for each field; anything else is left to the general parser
    "game_id": _TEXT,
    "tick": f"({_WHOLE})",
    "timestamp": f'"({_TIME})"',
    "price": r"((?:0|[1-9][0-9]{0,13})(?:\.[0-9]{1,24})?)",
    "phase": _TEXT,
    "active": _FLAG,
    "rugged": _FLAG,
    "cooldown_timer": f"(-?{_WHOLE})",
    "trade_count": f"({_WHOLE})",
}
_OTHER: Final = r'(?:"[^"\\\x00-\x1f]{0,1000}"|-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?|true|false|null)'
_TELLING: Final = frozenset({"event", "event_type", "data", "meta", "price_filled"})  # more than a field of a tick
_BLANK: Final = r"[ \t]*"
_USUAL: Final = ((": ", ", ", ""), (":", ",", ""))  # blanks as a writer sets them: quicker to match than any blanks
_new: Final = object.__new__
_SETTERS: Final = tuple(vars(Tick)[name].__set__ for name in _VALUES)
(
    _put_game_id,
    _put_tick,
    _put_timestamp,
    _put_price,
    _put_phase,
    _put_active,
    _put_rugged,
    _put_cooldown_timer,
    _put_trade_count,
) = _SETTERS
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Form:
    """The fields of a writer's lines in their order, and a pattern for such a line."""

    pattern: re.Pattern[str]
    pick: itemgetter[Any]

    @classmethod
    def of(cls, line: bytes) -> Form | None:
        """Return the form of a good tick's line; None when it lacks a field, or says more than fields.

        Examples
        --------
        >>> line = Tick("g", 1, "2031-01-02T03:04:05", "1.02").to_line()
        >>> Form.of(line).pick(Form.of(line).pattern.match(line.decode()).groups())[:2]
        ('g', '1')
        """
        keys = list(DECODER.decode(line.decode()))
        if not _VALUES.keys() <= set(keys) or _TELLING & set(keys):
            return None
        fields = [key for key in keys if key in _VALUES]
        values = [r'"tick"' if key == "type" else _VALUES.get(key, _OTHER) for key in keys]
        text = line.decode()
        for colon, comma, edge in (*_USUAL, (f"{_BLANK}:{_BLANK}", f"{_BLANK},{_BLANK}", _BLANK)):
            pairs = [f'"{re.escape(key)}"{colon}{value}' for key, value in zip(keys, values, strict=True)]
            pattern = re.compile(rf"{edge}\{{{edge}{comma.join(pairs)}{edge}\}}[ \t\r]*\Z", re.ASCII)
            if pattern.match(text):
                break
        return cls(pattern, itemgetter(*(fields.index(name) for name in _VALUES)))


class LineReader:
    """Reads the lines of one stream.

    Parameters
    ----------
    zone : str
        Zone of times that carry none.

    Attributes
    ----------
    zoneless_times : int
        Ticks whose time carried no zone.

    Examples
    --------
    >>> reader = LineReader()
    >>> reader.read(Tick("g", 1, "2031-01-02T03:04:05", "1.02").to_line()).price
    Decimal('1.02')
    >>> reader.read(b'{"type": "game_start"}').kind, reader.read(b'{"tick": 1').label
    (<Kind.CONTROL: 'control'>, 'not_json')
    """

    def __init__(self, zone: str = "UTC") -> None:
        self.zoneless_times = 0
        self._zone = UTC if zone == "UTC" else ZoneInfo(zone)
        self._forms: list[Form] = []
        self._to_learn = _LEARN_LINES

    def read(self, raw: bytes) -> Tick | Line:
        """Return the tick of a line without its newline, or what else the line is: control, blank or damaged."""
        tick = self.read_fast(raw)
        return self._read_slowly(raw) if tick is None else tick

    def read_fast(self, raw: bytes) -> Tick | None:
        """Return the tick of a line that fits a form learnt before, None for any other: `read` reads it."""
        if len(raw) <= _LONGEST:
            for form in self._forms:
                tick = self._read_form(form, raw)
                if tick is not None:
                    return tick
        return None

    def _read_form(self, form: Form, raw: bytes) -> Tick | None:
        """Read a line that fits a pattern, which has checked all that a `Tick` checks."""
        try:
            found = form.pattern.match(raw.decode())
            if found is None:
                return None
            game_id, tick, time, price, phase, active, rugged, timer, trades = form.pick(found.groups())
            at = datetime.fromisoformat(time)
        except ValueError:
            return None
        made = _new(Tick)
        _put_game_id(made, game_id)
        _put_tick(made, int(tick))
        _put_timestamp(made, at if at.tzinfo is UTC else self._utc(at))
        _put_price(made, Decimal(price))
        _put_phase(made, phase)
        _put_active(made, active == "true")
        _put_rugged(made, rugged == "true")
        _put_cooldown_timer(made, int(timer))
        _put_trade_count(made, int(trades))
        return made

    def count_zoneless(self, ticks: int) -> None:
        """Count ticks of the stream that were read elsewhere, and whose times carried no zone."""
        self.zoneless_times += ticks

    def _utc(self, at: datetime) -> datetime:
        if at.tzinfo is None:
            self.zoneless_times += 1
            return at.replace(tzinfo=self._zone).astimezone(UTC)
        return at.astimezone(UTC)

    def _read_slowly(self, raw: bytes) -> Tick | Line:
        line = parse_line(raw)
        if line.kind is not Kind.TICK:
            return line
        if len(line.rows) != 1:
            return Line(Kind.DAMAGED, label="document")
        try:
            tick = self._tick(line.rows[0], raw)
        except TickError as error:
            return Line(Kind.DAMAGED, label=error.reason, detail=str(error))
        if raw.lstrip()[:1] == b"{" and raw.rstrip()[-1:] == b"}" and self._to_learn and len(self._forms) < _FORMS:
            self._to_learn -= 1
            form = Form.of(raw)
            if form is not None and form.pattern.match(raw.decode()):
                self._forms.append(form)
        return tick

    def _tick(self, row: Row, raw: bytes) -> Tick:
        """Return the tick of a row; a price is what the line says, also where an old recorder may have filled it in."""
        price = row.price
        if price is None and _says_price(raw):
            price = Decimal(FILLED_TEXT)
        if price is None:
            raise TickError("price", None, "no_price", "the line has none")
        if row.wall_us is None:
            raise TickError("timestamp", None, "no_time", "the line has none")
        at = _EPOCH + timedelta(microseconds=row.wall_us)
        optional: dict[str, Any] = {
            "phase": row.recorded_phase,
            "cooldown_timer": row.cooldown_timer,
            "trade_count": row.trade_count,
        }
        return Tick(
            row.game_id,
            row.tick,
            at if row.zoned else self._utc(at.replace(tzinfo=None)),
            price,
            active=row.active,
            rugged=row.rugged,
            **{name: value for name, value in optional.items() if value is not None},
        )


def _says_price(raw: bytes) -> bool:
    """Whether the one tick of a line has a price that may have been filled in, rather than none."""
    try:
        return DECODER.decode(raw.strip(b"[], \t\r").decode()).get("price") is not None
    except (ValueError, AttributeError):  # a frame, which has no field of that name
        return False
