"""Encoder: ticks as lines of a journal, each with its sequence number and its checksum. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar

import google_crc32c

from replaylab.mark import Mark
from replaylab.tick import Tick, checked_price, price_text

_TWO: Final = tuple(f"{number:02d}" for number in range(60))
_THREE: Final = tuple(f"{number:03d}" for number in range(1000))
_FLAGS: Final = {
    (active, rugged): f'"active": {json.dumps(active)}, "rugged": {json.dumps(rugged)}, "cooldown_timer": '
    for active in (False, True)
    for rugged in (False, True)
}
_KNOWN_TEXTS: Final = 4096
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)
_Key = TypeVar("_Key")

checksum: Final[Callable[[int, bytes], int]] = google_crc32c.extend


def seed_of(run: str) -> int:
    """Return the initial checksum of a run's lines: a line of another run never matches."""
    return checksum(0, run.encode())


def closed(body: bytes, seed: int) -> bytes:
    """Return a JSON object without its closing brace, completed by its checksum, the brace and a newline."""
    return body + b', "crc": "%08x"}\n' % checksum(seed, body)


def origin_text(lane: str, name: str) -> str:
    """Return the members of a line that say by which lane a tick came, and after which id its feed is resumed.

    Examples
    --------
    >>> origin_text("ws://127.0.0.1/feed", "9f2c-7")
    ', "lane": "ws://127.0.0.1/feed", "id": "9f2c-7"'
    """
    return f', "lane": {json.dumps(lane, ensure_ascii=False)}, "id": {json.dumps(name, ensure_ascii=False)}'


class Encoder:
    """Encode ticks as lines of a journal: the bytes of `Tick.to_line`; text that repeats from tick to tick is cached.

    `seed` is the initial checksum of its lines.

    Examples
    --------
    >>> tick = Tick("g", 3, "2031-01-02T03:04:20.75", "1.02")
    >>> Encoder("run").line(tick, 17).startswith(tick.to_line()[:-1] + b', "seq": 17, "crc": "')
    True
    """

    def __init__(self, run: str) -> None:
        self.seed = seed_of(run)
        self._games: dict[str, str] = {}
        self._phases: dict[tuple[str, bool, bool], str] = {}
        self._phase = self._flags = ""
        self._active = self._rugged = False
        self._from = self._until = _NEVER
        self._minute = ""

    def mark_line(self, mark: Mark, next_seq: int) -> bytes:
        """Return the line of a mark that stands before the tick of a sequence number, with its newline."""
        return closed(mark.to_line()[:-1] + b', "next_seq": %d' % next_seq, self.seed)

    def line(self, tick: Tick, seq: int, origin: str = "") -> bytes:
        """Return the line of a tick with its newline; `origin` is what `origin_text` returns."""
        at = tick.timestamp
        if not self._from <= at < self._until:
            self._turn(at)
        price = str(tick.price)
        if price[-1] == "0" or "E" in price or type(tick.price) is not Decimal:
            price = price_text(checked_price(tick.price))
        game = self._games.get(tick.game_id) or self._game(tick.game_id)
        if tick.phase != self._phase or tick.active is not self._active or tick.rugged is not self._rugged:
            self._turn_phase(tick)
        us = at.microsecond
        body = (
            f'{self._minute}{_TWO[at.second]}.{_THREE[us // 1000]}{_THREE[us % 1000]}{game}{tick.tick}, "price": '
            f'{price}{self._flags}{tick.cooldown_timer}, "trade_count": {tick.trade_count}{origin}, "seq": {seq}'
        ).encode()
        return body + b', "crc": "%08x"}\n' % checksum(self.seed, body)

    def _turn(self, at: datetime) -> None:
        """Cache the text of a new minute."""
        begin = at.replace(second=0, microsecond=0, fold=0)
        self._until = _NEVER  # whatever interrupts this: text of another minute is not taken for that of this one
        self._minute = f'{{"type": "tick", "timestamp": "{begin.isoformat()[:17]}'
        self._from = begin
        self._until = begin + timedelta(minutes=1)

    def _turn_phase(self, tick: Tick) -> None:
        """Cache the text of another phase, or of other flags: with many feeds they take turns."""
        key = tick.phase, tick.active, tick.rugged
        text = self._phases.get(key)
        if text is None:
            text = f', "phase": {json.dumps(tick.phase, ensure_ascii=False)}, {_FLAGS[tick.active, tick.rugged]}'
            _keep(self._phases, key, text)
        self._phase = ""  # no tick has that: an interrupt leaves no text that is taken for another one
        self._active, self._rugged, self._flags = tick.active, tick.rugged, text
        self._phase = tick.phase

    def _game(self, game_id: str) -> str:
        """Return what stands between the time and the number of a tick, and cache it."""
        text = f'+00:00", "game_id": {json.dumps(game_id, ensure_ascii=False)}, "tick": '
        _keep(self._games, game_id, text)
        return text


def _keep(texts: dict[_Key, str], key: _Key, text: str) -> None:
    """Keep a text, unless it is long; all others are forgotten when there are many."""
    if len(texts) >= _KNOWN_TEXTS:
        texts.clear()
    if len(text) <= _KNOWN_TEXTS:
        texts[key] = text
