"""Mapping: how to read ticks from objects that name their fields otherwise; declared by the user, never guessed."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from collections.abc import Mapping as Names
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

import xxhash

from replaylab.errors import SettingsError, TickError
from replaylab.parsing.json_line import DECODER, Kind, Line, Times, optional_int, read_price, read_time
from replaylab.tick import INT32_MAX, Row, checked_bool, checked_int, checked_price, checked_text

UNITS: Final = ("", "s", "ms", "us", "ns")
FIELDS: Final = (
    "game_id",
    "tick",
    "timestamp",
    "price",
    "phase",
    "active",
    "rugged",
    "cooldown_timer",
    "trade_count",
)
NUMBERED: Final = -1  # stands for a tick number that is its place in the game
_GAME: Final = re.compile(r"|day|file|gap:[1-9][0-9]{0,8}")
_STEP: Final = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]|(\[\])")
DAY_US: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Mapping:
    """How to read ticks from objects that name their fields otherwise.

    Parameters
    ----------
    path : str
        Where in a line's object the tick is: names with dots between, ``[1]`` for a place in an array, ``[]`` for each
        element of one. Empty when the object is the tick. Text on the way is read as JSON.
    fields : dict
        By the name of a tick's field, its path within the tick; one that begins with ``/`` starts at the line's object.
        A field that is not given is looked for under its own name.
    constants : dict
        Values of fields that the source does not have, such as ``{"active": True, "rugged": False}``.
    where : dict
        By path in the line's object, the value that ticks have there; other lines are kept as control lines.
    time_unit : {"", "s", "ms", "us", "ns"}
        Unit of times that are numbers: since 1970-01-01 UTC.
    truncate_times : bool
        Cut what is finer than a microsecond, and count it; such times are refused otherwise.
    game : str
        What makes a game when no field does: ``day`` (UTC), ``file``, or ``gap:300``, a silence of so many seconds.
    prices : str
        Path of an array of prices within the object at `path`: each of them is a tick.
    first_tick, rug : str
        With `prices`: paths of the number of the first tick (0 without it) and of the tick at which the game ended.
    step_ms : int
        With `prices`: milliseconds from one tick to the next.

    Examples
    --------
    >>> trades = Mapping(fields={"timestamp": "ts", "price": "px"}, constants={"active": True, "rugged": False},
    ...                  time_unit="ms", game="day")
    >>> line = trades.read({"ts": 1925089445250, "px": "64000.1", "qty": 2})
    >>> line.rows[0].game_id, line.rows[0].price
    ('2031-01-02', Decimal('64000.1'))
    """

    path: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    where: dict[str, Any] = field(default_factory=dict)
    time_unit: str = ""
    truncate_times: bool = False
    game: str = ""
    prices: str = ""
    first_tick: str = ""
    rug: str = ""
    step_ms: int = 250

    def __post_init__(self) -> None:
        problems = [
            f"{group}: {name!r} is no field of a tick; there are {', '.join(FIELDS)}"
            for group in ("fields", "constants")
            for name in getattr(self, group)
            if name not in FIELDS
        ]
        checks: dict[str, tuple[bool, str]] = {
            "time_unit": (self.time_unit in UNITS, "must be one of s, ms, us, ns"),
            "game": (bool(_GAME.fullmatch(str(self.game))), "must be day, file or gap:SECONDS"),
            "step_ms": (type(self.step_ms) is int and 0 <= self.step_ms <= INT32_MAX, "must be milliseconds"),
            "truncate_times": (type(self.truncate_times) is bool, "must be true or false"),
        }
        problems += [f"{name}={getattr(self, name)!r}: {rule}" for name, (good, rule) in checks.items() if not good]
        both = set(self.fields) & set(self.constants)
        problems += [f"{name} is both a field and a constant" for name in sorted(both)]
        problems += [
            f"{where!r} is no path: names with dots between, [1] or []"
            for where in self._paths()
            if not _is_path(where)
        ]
        if problems:
            raise SettingsError("\n- ".join(["a mapping that cannot be used", *problems]))

    def _paths(self) -> list[Any]:
        return [self.path, self.prices, self.first_tick, self.rug, *self.fields.values(), *self.where]

    @classmethod
    def load(cls, given: str | Path | Mapping) -> Mapping:
        """Return the mapping of a TOML file, or one of the `READY` ones by its name.

        Raises `SettingsError` for a file that is not there, is no TOML, or says what no mapping says.
        """
        if isinstance(given, Mapping):
            return given
        if str(given) in READY:
            return READY[str(given)]
        try:
            found = tomllib.loads(Path(given).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise SettingsError(f"no mapping {str(given)!r}: neither a file nor one of {', '.join(READY)}") from None
        except (OSError, ValueError) as error:
            raise SettingsError(f"{given}: not a mapping in TOML ({error})") from error
        return cls.of(found, str(given))

    @classmethod
    def of(cls, found: dict[str, Any], place: str = "mapping") -> Self:
        """Return the mapping of a dictionary, as TOML gives it."""
        known = {one.name: one.type for one in fields(cls)}
        unknown = sorted(set(found) - set(known))
        if unknown:
            raise SettingsError(f"{place}: {', '.join(unknown)}: a mapping has {', '.join(known)}")
        tables = [name for name in ("fields", "constants", "where") if not isinstance(found.get(name, {}), dict)]
        if tables:
            raise SettingsError(f"{place}: {', '.join(tables)} must be tables")
        return cls(**found)

    def to_json(self) -> str:
        """Return the mapping as JSON, those members that say something; as it is kept beside the ticks."""
        said = {name: value for name, value in asdict(self).items() if value not in ("", {}, False)}
        return json.dumps(said, sort_keys=True, default=str)

    @property
    def digest(self) -> str:
        """Eight hexadecimal digits that change with the mapping: part of the identity of what was read by it."""
        return xxhash.xxh3_64_hexdigest(self.to_json().encode())[:8]

    @property
    def native(self) -> bool:
        """Whether lines are read as always, but for their times."""
        return not (self.path or self.fields or self.constants or self.where or self.prices or self.game)

    @property
    def numbered(self) -> bool:
        """Whether ticks are numbered by their place in their game."""
        return not self.native and not self.prices and "tick" not in {*self.fields, *self.constants}

    @property
    def gap_seconds(self) -> int:
        """Seconds of silence that end a game; 0 when it is something else that does."""
        return int(self.game.partition(":")[2] or 0)

    def times(self) -> Times:
        """Return how times are read, and a fresh count of those that were cut."""
        return Times(self.time_unit, truncate=self.truncate_times)

    def read(self, found: Any, times: Times | None = None) -> Line:
        """Read a decoded object: its ticks, a control line, or damage that names field and value."""
        times = times or self.times()
        try:
            for where, wanted in self.where.items():
                value = _at(found, where)
                if value != wanted:
                    return Line(Kind.CONTROL, label=f"{where}:{value}"[:60], private=True)
            rows = [row for item in _each(found, self.path) for row in self._rows(item, found, times)]
        except TickError as error:
            return Line(Kind.DAMAGED, label=error.reason, detail=str(error))
        return Line(Kind.TICK, tuple(rows))

    def _rows(self, item: Any, root: Any, times: Times) -> Iterator[Row]:
        if self.prices:
            yield from self._price_rows(item, root, times)
            return
        active = checked_bool("active", self._value(item, root, "active"))
        price, filled = read_price(self._value(item, root, "price"), active=active)
        wall_us, zoned = read_time(
            self._value(item, root, "timestamp"), times, self.fields.get("timestamp", "timestamp")
        )
        phase = self._value(item, root, "phase", None)
        yield Row(
            game_id=self._game(item, root, wall_us),
            tick=NUMBERED if self.numbered else checked_int("tick", self._value(item, root, "tick"), 0),
            wall_us=wall_us,
            zoned=zoned,
            price=price,
            price_filled=filled,
            recorded_phase=None if phase is None else checked_text("phase", phase),
            active=active,
            rugged=checked_bool("rugged", self._value(item, root, "rugged")),
            cooldown_timer=optional_int("cooldown_timer", self._value(item, root, "cooldown_timer", None), -INT32_MAX),
            trade_count=optional_int("trade_count", self._value(item, root, "trade_count", None), 0),
        )

    def _price_rows(self, item: Any, root: Any, times: Times) -> Iterator[Row]:
        """Yield the ticks of an array of prices; null is a gap."""
        prices = _required(item, self.prices)
        if not isinstance(prices, list):
            raise TickError(self.prices, prices, "wrong_type", "must be an array of prices")
        start, zoned = read_time(self._value(item, root, "timestamp"), times, self.fields.get("timestamp", "timestamp"))
        game = self._game(item, root, start)
        first = checked_int(self.first_tick, _required(item, self.first_tick), 0) if self.first_tick else 0
        rug = _at(item, self.rug) if self.rug else None
        last = None if rug is None else checked_int(self.rug, rug, 0)
        for tick, price in enumerate(prices, first):
            if price is not None:
                at = None if start is None else start + (tick - first) * self.step_ms * 1000
                checked = checked_price(price, f"{self.prices}[{tick - first}]")
                yield Row(
                    game, checked_int("tick", tick, 0), at, zoned, checked, False, None, True, tick == last, None, None
                )

    def _value(self, item: Any, root: Any, name: str, *default: Any) -> Any:
        if name in self.constants:
            return self.constants[name]
        where = self.fields.get(name, name)
        found = _at(root if where.startswith("/") else item, where.removeprefix("/"), _MISSING)
        if found is _MISSING:
            if default:
                return default[0]
            raise TickError(name, None, "missing_field", f"nothing at {where!r}")
        return found

    def _game(self, item: Any, root: Any, wall_us: int | None) -> str:
        if self.game == "day":
            if wall_us is None:
                raise TickError("timestamp", None, "no_time", "the day of a tick makes its game, and it has no time")
            return day(wall_us // DAY_US)
        if self.game:
            return self.game  # replaced when the source and the ticks before this one are known
        return checked_text("game_id", self._value(item, root, "game_id"))


_MISSING: Final = object()


def _is_path(where: object) -> bool:
    if not isinstance(where, str):
        return False
    inner = where.removeprefix("/")
    return not inner or "".join(match[0] for match in _STEP.finditer(inner)) == inner.replace(".", "")


@lru_cache(maxsize=1024)
def steps(where: str) -> tuple[str | int | None, ...]:
    """Return the steps of a path: names, numbers in arrays, None for each element of one."""
    return tuple(int(match[2]) if match[2] else match[1] for match in _STEP.finditer(where))


@lru_cache(maxsize=1024)
def day(number: int) -> str:
    """Return the date of a day, counted from 1970-01-01."""
    return (_EPOCH + timedelta(days=number)).date().isoformat()


def _step(value: Any, step: str | int | None) -> Any:
    if isinstance(value, str) and value[:1] in {"{", "["}:  # JSON in a text, as log collectors write it
        try:
            value = DECODER.decode(value.strip())
        except (ValueError, ArithmeticError, RecursionError):
            return _MISSING
    if isinstance(step, str) and isinstance(value, dict):
        return value.get(step, _MISSING)
    if isinstance(step, int) and isinstance(value, list) and step < len(value):
        return value[step]
    return _MISSING


def _at(value: Any, where: str, default: Any = None) -> Any:
    if type(value) is dict and where in value and where.isidentifier():  # the usual case, and the fast one
        return value[where]
    for step in steps(where):
        value = _step(value, step)
        if value is _MISSING:
            return default
    return value


def _required(value: Any, where: str) -> Any:
    found = _at(value, where, _MISSING)
    if found is _MISSING:
        raise TickError(where, None, "missing_field", "not there")
    return found


def _each(value: Any, where: str) -> Iterator[Any]:
    """Yield the objects at a path: one, or each element of an array on the way."""
    found = [value]
    for step in steps(where):
        if step is None:
            if not all(isinstance(one, list) for one in found):
                raise TickError(where, None, "wrong_type", "must be an array")
            found = [inner for one in found for inner in one]
        else:
            found = [_step(one, step) for one in found]
        if any(one is _MISSING for one in found):
            raise TickError(where, None, "missing_field", "not there")
    for one in found:
        if isinstance(one, str) and one[:1] == "{":
            try:
                yield DECODER.decode(one.strip())
            except (ValueError, ArithmeticError, RecursionError):
                raise TickError(where, one, "wrong_type", "must be an object") from None
        elif isinstance(one, dict):
            yield one
        else:
            raise TickError(where, one, "wrong_type", "must be an object")


READY: Final[Names[str, Mapping]] = {
    "vectra": Mapping(time_unit="ms"),
    "pandas": Mapping(time_unit="ms"),
    "trades": Mapping(
        fields={"timestamp": "ts", "price": "px"},
        constants={"active": True, "rugged": False},
        time_unit="ms",
        game="day",
    ),
    "games": Mapping(
        path="games[]",
        fields={"game_id": "startTime", "timestamp": "startTime"},
        prices="priceHistory",
        first_tick="startTick",
        rug="ruggedAt",
        time_unit="ms",
    ),
}
"""Mappings that are there: captures with epoch times, `DataFrame.to_json(lines=True)`, trades, documents of games."""
