"""Zones: in which zone times without one were recorded, as far as ids that begin with a UTC date can say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import as_numpy, column, distinct
from replaylab.errors import SegmentDamaged
from replaylab.segments.extent import Extent
from replaylab.segments.segment import Segment
from replaylab.table import to_utc, to_wall

_DAY_US: Final = 86_400_000_000
_DATED: Final = re.compile(r"(\d{4})(\d\d)(\d\d)-")
_DATE_LENGTH: Final = len("20251029-")
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 as all times here: what a clock shows
_FIRST_US: Final = (datetime(1, 1, 2) - _EPOCH) // timedelta(microseconds=1)  # noqa: DTZ001 Python has no earlier ones
_LAST_US: Final = (datetime(9999, 12, 30) - _EPOCH) // timedelta(microseconds=1)  # noqa: DTZ001 nor later ones
_UNKNOWN: Final = np.iinfo(np.int64).max
_TELLING: Final = 4  # rows of a zone that are held against the others, of each kind
_NAMED: Final = 3  # zones that are named; the others are counted
# Where many people live, one zone for each clock; they are tried before the rest of the database.
COMMON: Final = (
    "UTC",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Phoenix",
    "America/Halifax",
    "America/Sao_Paulo",
    "America/Bogota",
    "America/Mexico_City",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Athens",
    "Europe/Istanbul",
    "Europe/Moscow",
    "Africa/Lagos",
    "Africa/Johannesburg",
    "Asia/Dubai",
    "Asia/Karachi",
    "Asia/Kolkata",
    "Asia/Dhaka",
    "Asia/Bangkok",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Pacific/Auckland",
)


@dataclass(frozen=True, slots=True)
class ZoneFit:
    """What the ids of games say of the zone in which their times were read.

    Attributes
    ----------
    zone : str
        The zone, or several with commas between.
    games, contradicting : int
        Games whose id begins with a date and whose times carry no zone; those whose id has another date than their
        start in that zone.
    fitting : tuple of str
        Zones that contradict fewest, one for each clock, where one contradicts fewer.
    left : int
        Ids that those contradict.

    Examples
    --------
    >>> print(ZoneFit("UTC", 895, 83, ("America/New_York",)))
    83 of 895 ids contradict UTC; source_tz='America/New_York' fits all
    """

    zone: str
    games: int = 0
    contradicting: int = 0
    fitting: tuple[str, ...] = field(default=())
    left: int = 0

    def __bool__(self) -> bool:
        """Whether another zone fits better."""
        return bool(self.fitting)

    def __str__(self) -> str:
        if not self.fitting:
            return ""
        named = " or ".join(repr(one) for one in self.fitting[:_NAMED])
        more = f" (and {len(self.fitting) - _NAMED:,} more)" if len(self.fitting) > _NAMED else ""
        fits = "fits all" if not self.left else f"contradicts {self.left:,}"
        return f"{self.contradicting:,} of {self.games:,} ids contradict {self.zone}; source_tz={named}{more} {fits}"


def zone_fit(starts: Mapping[str, tuple[int, str]]) -> ZoneFit:
    """Return what the ids of games say, given the first time of each on the recorder's clock and its zone.

    Parameters
    ----------
    starts : mapping
        By id, microseconds since 1970 as the clock showed them, and the zone.

    Examples
    --------
    >>> noon = 12 * 3_600_000_000
    >>> zone_fit({"19700102-a": (noon, "UTC"), "19700101-b": (noon, "UTC")}).contradicting
    1
    """
    dated = {game: day for game in starts if (day := _day(game)) is not None}
    if not dated:
        return ZoneFit("")
    walls = np.array([starts[game][0] for game in dated], np.int64)
    zones = [starts[game][1] for game in dated]
    days = np.fromiter(dated.values(), np.int64, len(dated))
    read = np.empty(len(walls), np.int64)
    for zone in set(zones):
        rows = np.flatnonzero(np.array([one == zone for one in zones]))
        read[rows] = utc_of(walls[rows], zone)
    wrong = len(_contradicted(read, days))
    name = ", ".join(sorted(set(zones)))
    if not wrong:
        return ZoneFit(name, len(dated))
    left, fitting = _best(walls, days, COMMON)
    if left:
        left, fitting = min((left, fitting), _best(walls, days, _rest(), _is_readable), key=lambda found: found[0])
    return ZoneFit(name, len(dated), wrong, fitting, left) if left < wrong else ZoneFit(name, len(dated), wrong)


def _best(
    walls: NDArray[np.int64],
    days: NDArray[np.int64],
    zones: Iterable[str],
    known: Callable[[str], bool] | None = None,
) -> tuple[int, tuple[str, ...]]:
    """Return how many ids the best zones contradict, and those of them that are `known`, one for each clock."""
    least, found = len(walls) + 1, dict[bytes, str]()
    telling = np.empty(0, np.int64)  # some rows, by which alone most zones are out
    for zone in zones:
        try:
            if len(_contradicted(utc_of(walls[telling], zone), days[telling])) > least:
                continue
            read = utc_of(walls, zone)
        except ZoneInfoNotFoundError:
            continue
        wrong = _contradicted(read, days)
        telling = distinct(np.concatenate([telling, wrong[:_TELLING]]))
        if len(wrong) > least or (known is not None and not known(zone)):
            continue
        if len(wrong) < least:
            least, found = len(wrong), {}
            by_clock = np.argsort(read % _DAY_US)  # around midnight another clock has another day
            telling = distinct(np.concatenate([telling, by_clock[:_TELLING], by_clock[-_TELLING:]]))
        found.setdefault(read.tobytes(), zone)
    return least, tuple(found.values())


def _contradicted(read: NDArray[np.int64], days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of which the id has another day than its time."""
    return np.flatnonzero(read // _DAY_US != days)


def utc_of(walls: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    """Return times without a zone, read in `zone`, as `to_utc` does, by Python's clock; raises ZoneInfoNotFoundError.

    Loading pyarrow.compute takes longer than all of this. A day that begins and ends with one offset has no other.
    """
    if zone == "UTC":
        return walls
    clock = _clock(zone)
    days = walls // _DAY_US
    bounds = distinct(np.concatenate([days, days + 1]))
    offsets = np.array([_offset_us(day * _DAY_US, clock) for day in bounds.tolist()], np.int64)
    at = np.searchsorted(bounds, days)
    first, last = offsets[at], offsets[at + 1]  # the next bound is the end of the day, as it is among them
    read = walls - first
    for row in np.flatnonzero(first != last):
        read[row] = walls[row] - _offset_us(int(walls[row]), clock)
    return read


def _offset_us(wall_us: int, clock: ZoneInfo) -> int:
    """How far a clock is ahead of UTC; of a time that it showed twice the first, before a gap that from before it."""
    wall = _EPOCH + timedelta(microseconds=min(max(wall_us, _FIRST_US), _LAST_US))
    ahead = wall.replace(tzinfo=clock).utcoffset()
    return 0 if ahead is None else (ahead.days * 86_400 + ahead.seconds) * 1_000_000


@cache  # to list them all is to read the beginning of 600 files
def _rest() -> tuple[str, ...]:
    """Return the zones of the database that are not among the common ones."""
    return tuple(sorted(available_timezones() - set(COMMON)))


@cache  # ZoneInfo keeps eight, and reads the others again
def _clock(zone: str) -> ZoneInfo:
    return ZoneInfo(zone)


@cache
def _is_readable(zone: str) -> bool:
    """Whether Arrow knows the zone too, so that times can be read in it."""
    try:
        to_utc(np.zeros(1, np.int64), np.zeros(1, np.bool_), zone)
    except pa.ArrowInvalid:
        return False
    return True


def _day(game: str) -> int | None:
    """Return the day that an id begins with, counted from 1970; None when it begins with none."""
    return _day_of(game[:_DATE_LENGTH])


@lru_cache(maxsize=4096)
def _day_of(beginning: str) -> int | None:
    found = _DATED.match(beginning)
    try:
        return date(*map(int, found.groups())).toordinal() - _EPOCH.toordinal() if found else None
    except ValueError:
        return None


def rows_of_extents(table: pa.Table, extents: Sequence[Extent]) -> NDArray[np.int64]:
    """Return for each row the number of the extent it was read from; -1 for none. Needs `source` and `seq`."""
    names = table.column("source").unify_dictionaries().combine_chunks()
    codes = {name: code for code, name in enumerate(names.dictionary.to_pylist())}
    seq = as_numpy(table.column("seq"))
    span = int(seq.max(initial=0)) + 1
    held = [
        (codes[one.source] * span + one.first_seq, number)
        for number, one in enumerate(extents)
        if one.source in codes and one.tick_count and one.first_seq < span
    ]
    if not held:
        return np.full(table.num_rows, -1, np.int64)
    starts, numbers = (np.array(values, np.int64) for values in zip(*sorted(held), strict=True))
    counts = np.array([extents[number].tick_count for number in numbers], np.int64)
    places = as_numpy(names.indices).astype(np.int64) * span + seq
    at = np.searchsorted(starts, places, side="right") - 1
    inside = (at >= 0) & (places < starts[at] + counts[at])
    return np.where(inside, numbers[at], -1)


def stored_fit(segments: Sequence[Segment]) -> ZoneFit:
    """Return what the ids of the games in segments say of the zones in which their times were read.

    A game counts when none of its rows is from a source whose times carry a zone.
    """
    starts: dict[str, tuple[int, str]] = {}
    zoned: set[str] = set()
    for segment in segments:
        with_ticks = [one for one in segment.footer.extents if one.tick_count]
        zones = {one.zone if _is_zoneless(one) else "" for one in with_ticks}
        if zones == {""} or not with_ticks:
            zoned.update(segment.rows_of)
            continue
        try:
            firsts = _firsts(segment, zones)
        except SegmentDamaged:
            zoned.update(segment.rows_of)  # it is named where it is read; its games say nothing here
            continue
        for game, start_us, zone in firsts:
            if not zone:
                zoned.add(game)
            elif start_us != _UNKNOWN and (game not in starts or start_us < starts[game][0]):
                starts[game] = (start_us, zone)
    return zone_fit(_walls({game: start for game, start in starts.items() if game not in zoned}))


def _walls(starts: dict[str, tuple[int, str]]) -> dict[str, tuple[int, str]]:
    """Return what the clocks of their zones showed at the starts of games, and these zones."""
    found: dict[str, tuple[int, str]] = {}
    for zone in sorted({zone for _, zone in starts.values()}):
        games = [game for game, start in starts.items() if start[1] == zone]
        moments = column(np.array([starts[game][0] for game in games], dtype=np.int64))
        found |= {game: (wall, zone) for game, wall in zip(games, to_wall(moments, zone).to_pylist(), strict=True)}
    return found


def _is_zoneless(extent: Extent) -> bool:
    """Whether no time of an extent carries a zone; of a torn tick the time may not be known at all."""
    return 0 < extent.tick_count - extent.ticks.get("torn", 0) <= extent.zoneless_times


def _firsts(segment: Segment, zones: set[str]) -> list[tuple[str, int, str]]:
    """Return game, first time and zone of each game in a segment of these zones; "" where times carry a zone."""
    if len(zones) == 1:
        return [(one.game, one.start_us, min(zones)) for one in segment.footer.games]
    table = segment.read(["game_id", "source", "seq", "timestamp"])
    extents = segment.footer.extents
    zone_of = [one.zone if _is_zoneless(one) else "" for one in extents] + [""]
    owner = rows_of_extents(table, extents)
    times = as_numpy(table.column("timestamp"), null=_UNKNOWN)
    found = []
    for one in segment.footer.games:
        rows = slice(one.first_row, one.first_row + one.rows)
        held = {zone_of[number] for number in distinct(owner[rows])}
        found.append((one.game, int(times[rows].min()), held.pop() if len(held) == 1 else ""))
    return found
