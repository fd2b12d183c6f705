"""Lines that each are a game with an array of plain prices, read in columns. Pure.

What stands around the array is read by the general parser, the prices by Arrow, all of a block at once. A line that
differs in anything from the plainest form is left to the general parser, which alone decides what damage means.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from replaylab.parsing.field_path import choices
from replaylab.parsing.json_line import DECODER, JSON_BLANKS, Reading
from replaylab.parsing.mapping import Mapping
from replaylab.table import MISSING, PRICE_TYPE, Batch, Names, Whole
from replaylab.tick import INT32_MAX

_NUMBER: Final = rb"(?:0|[1-9][0-9]{0,13})(?:\.[0-9]{1,24})?"
_PLAIN: Final = re.compile(rb"[ \t]*" + _NUMBER + rb"(?:[ \t]*,[ \t]*" + _NUMBER + rb")*[ \t]*")
_QUOTED: Final = re.compile(rb'[ \t]*"' + _NUMBER + rb'"(?:[ \t]*,[ \t]*"' + _NUMBER + rb'")*[ \t]*')
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class _Game(NamedTuple):
    """A game of a line: its prices as text, and what its ticks are made of."""

    line: int
    prices: list[str]
    game: str
    first: int
    start_us: int | None
    zoned: bool
    last: int | None


def can_read(mapping: Mapping) -> bool:
    """Whether a mapping may be of lines of this kind."""
    names = choices(mapping.prices)
    return bool(names) and not mapping.where and mapping.tick_at != "{}" and all(map(_NAME.fullmatch, names))


def read(block: bytearray, starts: Whole, ends: Whole, done: np.ndarray[Any, Any], reading: Reading) -> list[Batch]:
    """Return the ticks of the lines that are not done and can be read; those lines are done then."""
    mapping = reading.mapping
    if not isinstance(mapping, Mapping):
        return []
    games = []
    for number in np.flatnonzero(~done).tolist():
        game = _game(bytes(block[starts[number] : ends[number]]), number, mapping, reading)
        if game is not None:
            games.append(game)
            done[number] = True
    return [_batch(games, mapping.step_ms)] if games else []


@lru_cache(maxsize=64)
def _array(name: str) -> re.Pattern[bytes]:
    return re.compile(rb'"' + name.encode() + rb'"[ \t]*:[ \t]*\[([0-9., \t"]*)\]')


def _game(raw: bytes, number: int, mapping: Mapping, reading: Reading) -> _Game | None:
    """Return the game of a line; None when the general parser has to look at it."""
    if b"\\" in raw:
        return None
    name = next((one for one in choices(mapping.prices) if b'"%b"' % one.encode() in raw), "")
    found = _array(name).search(raw) if name and raw.count(b'"%b"' % name.encode()) == 1 else None
    if found is None or not (_PLAIN.fullmatch(found[1]) or _QUOTED.fullmatch(found[1])):
        return None
    rest = (raw[: found.start(1)] + raw[found.end(1) :]).strip(JSON_BLANKS).removesuffix(b",").rstrip(JSON_BLANKS)
    rest = b"{%b}" % rest if mapping.members and rest.startswith(b'"') else rest
    cut = reading.times.cut
    try:
        around = DECODER.decode(rest.decode())
        members = mapping.items(around) if isinstance(around, dict) else []
        if len(members) != 1 or members[0][1].get(name) != []:
            return None
        key, item = members[0]
        game, first, start, zoned = mapping.head(item, around, reading.times, key)
        prices = found[1].translate(None, b' \t"').decode().split(",")
        last = mapping.rug_tick(item, first + len(prices) - 1)
    except (ValueError, ArithmeticError, RecursionError):  # TickError is a ValueError
        reading.times.cut = cut
        return None
    if reading.times.cut > cut or first + len(prices) > INT32_MAX:
        reading.times.cut = cut
        return None
    return _Game(number, prices, game, first, start, zoned, last)


def _batch(games: list[_Game], step_ms: int) -> Batch:
    sizes = np.array([len(one.prices) for one in games], np.int64)
    total = int(sizes.sum())
    place = np.arange(total) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    tick = place + np.repeat(np.array([one.first for one in games], np.int64), sizes)
    start = np.repeat(np.array([MISSING if one.start_us is None else one.start_us for one in games], np.int64), sizes)
    last = np.repeat(np.array([-1 if one.last is None else one.last for one in games], np.int64), sizes)
    names = Names.of(one.game for one in games)
    prices = pa.array([price for one in games for price in one.prices], pa.string()).cast(PRICE_TYPE)
    none = np.full(total, MISSING)
    return Batch(
        line=np.repeat(np.array([one.line for one in games], np.int64), sizes),
        game=Names(np.repeat(names.codes, sizes), names.texts),
        tick=tick.astype(np.int32),
        wall_us=np.where(start == MISSING, MISSING, start + place * (step_ms * 1000)),
        zoned=np.repeat(np.array([one.zoned for one in games], np.bool_), sizes),
        price=prices,
        price_filled=np.zeros(total, np.bool_),
        recorded_phase=Names(np.full(total, -1, np.int32), ()),
        active=np.ones(total, np.bool_),
        rugged=tick == last,
        cooldown_timer=none,
        trade_count=none.copy(),
        repaired=np.zeros(total, np.bool_),
    )
