"""Mapping: how to read ticks from objects that name their fields otherwise; declared by the user, never guessed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Names
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Self

import xxhash

from replaylab.durable import of_user
from replaylab.errors import SettingsError, TickError
from replaylab.parsing.elements import split
from replaylab.parsing.field_path import (
    KEYED,
    MISSING,
    Paths,
    alternatives,
    choices,
    chosen_path,
    first_value,
    is_path,
    leads_to_elements,
    objects_at,
    steps,
    value_at,
)
from replaylab.parsing.json_line import Kind, Line, Times, optional_int, read_price, read_time
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
DAY_US: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


_LONGEST_NUMBER: Final = 11  # characters of a tick's number in a text


@dataclass(frozen=True, slots=True)
class Mapping:
    """How to read ticks from objects that name their fields otherwise.

    Parameters
    ----------
    path : str
        Where in a line's object the tick is: names with dots between, ``[1]`` for a place in an array, ``[]`` for each
        element of one, ``{}`` for each member of an object. Empty when the object is the tick. Text on the way is read
        as JSON. Of several paths in a list, here and below, the first at which something is there is taken.
    fields : dict
        By the name of a tick's field, its path within the tick; one that begins with ``/`` starts at the line's object,
        ``{}`` is the name of the member that `path` leads to. A field that is not given is looked for under its own
        name.
    constants : dict
        Values of fields that the source does not have, such as ``{"active": True, "rugged": False}``.
    where : dict
        By path in the line's object, the value that ticks have there; other lines are kept as control lines.
    time_unit : {"", "s", "ms", "us", "ns"}
        Unit of times that are numbers: since 1970-01-01 UTC.
    truncate_times : bool
        Cut what is finer than a microsecond, and count it; such times are refused otherwise.
    optional : list of str
        Fields that may be missing, such as ``timestamp``: they are unknown then.
    game : str
        What makes a game when no field does: ``day`` (UTC), ``file``, or ``gap:300``, a silence of so many seconds.
    prices : str
        Path of an array of prices within the object at `path`: each of them is a tick, null is a gap. A path that ends
        in ``{}`` leads to an object of prices.
    price_at, tick_at, time_at : str
        With `prices` that are no plain numbers or texts: paths within each of them of its price, its number and its
        time, such as ``[1]``, ``tick`` or ``{}``, the name in an object of prices.
    first_tick, rug : str
        With `prices`: paths of the number of the first tick (0 without it), and of the tick at which the game ended or
        of a flag that says whether it ended with the last price.
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

    path: Paths = ""
    fields: Names[str, Paths] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)
    where: dict[str, Any] = field(default_factory=dict)
    time_unit: str = ""
    truncate_times: bool = False
    optional: Sequence[str] = ()
    game: str = ""
    prices: Paths = ""
    price_at: Paths = ""
    tick_at: Paths = ""
    time_at: Paths = ""
    first_tick: Paths = ""
    rug: Paths = ""
    step_ms: int = 250

    def __post_init__(self) -> None:
        problems = [
            f"{group}: {name!r} is no field of a tick; there are {', '.join(FIELDS)}"
            for group in ("fields", "constants", "optional")
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
            f"{where!r} is no path: names with dots between, [1] or []" for where in self._paths() if not is_path(where)
        ]
        if problems:
            raise SettingsError("\n- ".join(["a mapping that cannot be used", *problems]))

    def _paths(self) -> list[Any]:
        own = [self.path, self.prices, self.price_at, self.tick_at, self.time_at, self.first_tick, self.rug]
        return [one for where in [*own, *self.fields.values()] for one in choices(where)] + [*self.where]

    @classmethod
    def load(cls, given: str | Path | Mapping) -> Mapping:
        """Return the mapping of a TOML file, or one of the `READY` ones by its name.

        Raises `SettingsError` for a file that is not there, is no TOML, or says what no mapping says.
        """
        if isinstance(given, Mapping):
            return given
        if str(given) in READY:
            return READY[str(given)]
        import tomllib  # loaded late: most conversions have no file of a mapping

        file = of_user(given, SettingsError)
        try:
            found = tomllib.loads(file.read_text(encoding="utf-8"))
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
        said = {name: value for name, value in asdict(self).items() if value not in ("", {}, False, ())}
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

    @property
    def several(self) -> bool:
        """Whether one object may hold more than one tick, or its fields one of several names."""
        lists = [where for where in [self.path, *self.fields.values()] if not isinstance(where, str)]
        return bool(self.prices or lists) or not {None, KEYED}.isdisjoint(steps(str(self.path)))

    @property
    def members(self) -> bool:
        """Whether a line may be a member of an object, its name before it."""
        return str(self.path).startswith(KEYED)

    @property
    def looks_around(self) -> bool:
        """Whether it reads values of the line's object that stand beside the ticks."""
        return bool(self.where) or any(where.startswith("/") for one in self.fields.values() for where in choices(one))

    @property
    def elements(self) -> list[tuple[str, Mapping]]:
        """The paths that lead to many elements of a document, and the mapping of each element by itself.

        None for a mapping that looks at the document around them too.
        """
        if self.looks_around:
            return []
        parts = [(where, split(where)) for where in choices(self.path)]
        within = [(where, part[2] if part[1] == "[]" else f"{KEYED}.{part[2]}") for where, part in parts if part]
        return [(where, replace(self, path=inner.rstrip("."))) for where, inner in within]

    def read(self, found: Any, times: Times | None = None, name: str = "") -> Line:
        """Read a decoded object: its ticks, a control line, or damage that names field and value.

        `name` is that of the member of a larger object, where it was one.
        """
        times = times or self.times()
        try:
            for where, wanted in self.where.items():
                value = value_at(found, where)
                if value != wanted:
                    return Line(Kind.CONTROL, label=f"{where}:{value}"[:60], private=True)
            rows = [row for key, item in self.items(found, name) for row in self._rows(item, found, times, key)]
        except TickError as error:
            return Line(Kind.DAMAGED, label=error.reason, detail=str(error))
        return Line(Kind.TICK, tuple(rows))

    def items(self, found: Any, name: str = "") -> list[tuple[str, Any]]:
        """Return the objects at `path` with their names; of several paths, the first at which something is there."""
        paths = choices(self.path)
        chosen = next((where for where in paths[:-1] if leads_to_elements(found, where)), paths[-1])
        return list(objects_at(found, chosen, name))

    def _rows(self, item: Any, root: Any, times: Times, key: str) -> Iterator[Row]:
        if self.prices:
            yield from self._price_rows(item, root, times, key)
            return
        active = checked_bool("active", self._value(item, root, "active"))
        price, filled = read_price(self._value(item, root, "price"), active=active)
        wall_us, zoned = self._time(item, root, times)
        phase = self._value(item, root, "phase", None)
        yield Row(
            game_id=self._game(item, root, wall_us, key),
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

    def _price_rows(self, item: Any, root: Any, times: Times, key: str) -> Iterator[Row]:
        """Yield the ticks of an array of prices; null is a gap."""
        game, first, start, zoned = self.head(item, root, times, key)
        ticks = list(self._priced(item, times, first))
        last = self.rug_tick(item, ticks[-1][0] if ticks else None)
        for tick, price, own in ticks:
            at = (start if start is None else start + (tick - first) * self.step_ms * 1000) if own is None else own[0]
            is_zoned = zoned if own is None else own[1]
            yield Row(game, tick, at, is_zoned, price, False, None, True, tick == last, None, None)

    def rug_tick(self, item: Any, end: int | None) -> int | None:
        """Return the number of the tick at which a game ended, `end` where a flag says so; None when it did not."""
        rug = first_value(item, self.rug) if self.rug else None
        if type(rug) is bool:
            return end if rug else None
        return None if rug is None or rug is MISSING else checked_int(chosen_path(item, self.rug), rug, 0)

    def head(self, item: Any, root: Any, times: Times, key: str = "") -> tuple[str, int, int | None, bool]:
        """Return the game of an array of prices, the number of its first tick, its start and whether that is zoned."""
        start, zoned = self._time(item, root, times)
        given = first_value(item, self.first_tick) if self.first_tick else 0
        if given is MISSING:
            if isinstance(self.first_tick, str):
                raise TickError(self.first_tick, None, "missing_field", "not there")
            given = 0  # none of several names is there
        return (
            self._game(item, root, start, key),
            checked_int(chosen_path(item, self.first_tick), given, 0),
            start,
            zoned,
        )

    def _priced(
        self, item: Any, times: Times, first: int
    ) -> Iterator[tuple[int, Decimal, tuple[int | None, bool] | None]]:
        """Yield number, price and time of every price of an item; the time is None where it follows from the number."""
        where, prices = chosen_path(item, self.prices), first_value(item, self.prices)
        keyed = isinstance(prices, dict) and where.endswith(KEYED)
        if prices is MISSING:
            raise TickError(where, None, "missing_field", "not there")
        if not keyed and not isinstance(prices, list):
            raise TickError(where, prices, "wrong_type", "must be an array of prices")
        for place, (name, one) in enumerate(prices.items() if keyed else (("", one) for one in prices)):
            shown = f"{where.removesuffix(KEYED)}[{name if keyed else place}]"
            price = self._within(one, self.price_at, name, shown)
            if price is None:
                continue
            number: Any = (
                self._within(one, self.tick_at, name, shown) if self._has(one, self.tick_at) else first + place
            )
            if isinstance(number, str) and number.isdecimal() and len(number) < _LONGEST_NUMBER:
                number = int(number)
            at = self._within(one, self.time_at, name, shown) if self._has(one, self.time_at) else None
            own = None if at is None else read_time(at, times, shown)
            yield checked_int(shown, number, 0), checked_price(price, shown), own

    @staticmethod
    def _has(one: Any, where: Paths) -> bool:
        """Whether a price states a value of its own: a plain number or text does not, but for its name."""
        return bool(where) and (isinstance(one, (dict, list)) or where == KEYED)

    @staticmethod
    def _within(one: Any, where: Paths, name: str, shown: str) -> Any:
        """Return a value within a price; the price itself where it is a plain number or text."""
        if where == KEYED:
            return name
        if not isinstance(one, (dict, list)):
            return one
        found = first_value(one, where) if where else MISSING
        if found is MISSING:
            problem = "is no plain price: say where in it the price is (price_at)" if not where else "not there"
            raise TickError(f"{shown}{'.' * bool(where)}{alternatives(where)}", one, "missing_field", problem)
        return found

    def _time(self, item: Any, root: Any, times: Times) -> tuple[int | None, bool]:
        """Return the time of an item, and whether it is zoned."""
        shown = chosen_path(item, self.fields.get("timestamp", "timestamp"))
        return read_time(self._value(item, root, "timestamp"), times, shown)

    def _value(self, item: Any, root: Any, name: str, *default: Any) -> Any:
        if name in self.constants:
            return self.constants[name]
        for where in choices(self.fields.get(name, name)):
            found = value_at(root if where.startswith("/") else item, where.removeprefix("/"), MISSING)
            if found is not MISSING:
                return found
        if default or name in self.optional:
            return default[0] if default else None
        raise TickError(name, None, "missing_field", f"nothing at {alternatives(self.fields.get(name, name))!r}")

    def _game(self, item: Any, root: Any, wall_us: int | None, key: str) -> str:
        if self.game == "day":
            if wall_us is None:
                raise TickError("timestamp", None, "no_time", "the day of a tick makes its game, and it has no time")
            return day(wall_us // DAY_US)
        if self.game:
            return self.game  # replaced when the source and the ticks before this one are known
        if "game_id" not in self.constants:
            for where in choices(self.fields.get("game_id", ())):
                if where == KEYED and key:
                    return checked_text("game_id", key)
                if where != KEYED and value_at(item, where.removeprefix("/"), MISSING) is not MISSING:
                    break
        found = self._value(item, root, "game_id")
        return checked_text("game_id", str(found) if type(found) is int else found)


@lru_cache(maxsize=1024)
def day(number: int) -> str:
    """Return the date of a day, counted from 1970-01-01."""
    return (_EPOCH + timedelta(days=number)).date().isoformat()


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
        path=["games[]", "games{}", ""],
        fields={
            "game_id": ["gameId", "game_id", "id", "{}", "startTime"],
            "timestamp": ["startTime", "start_time", "startedAt", "start"],
        },
        optional=["timestamp"],
        prices=["priceHistory", "prices", "history"],
        price_at=["price", "p"],
        tick_at=["tick", "t"],
        time_at=["timestamp", "time"],
        first_tick=["startTick", "first_tick"],
        rug=["ruggedAt", "rug_tick", "rugged"],
        time_unit="ms",
    ),
}
"""Mappings that are there: captures with epoch times, `DataFrame.to_json(lines=True)`, trades, documents of games."""
