"""Dialect: how the rows of one game are written down by the recorders that are known; each returns a `Recording`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np

from replaylab.simulation.process import Row, row_text, time_text
from replaylab.simulation.recording import Line, Part, Recording

_GAP: Final = 0.02  # share of prices that a game state file lacks
_PARTIAL: Final = 5  # ticks that each frame repeats


class Dialect(Protocol):
    """A function that writes one game; `number` is its place in the session."""

    def __call__(self, rows: Sequence[Row], number: int, rng: np.random.Generator) -> Recording:
        """Write the rows."""


def stamp(at: int) -> str:
    """Second of a time as file names have it.

    Examples
    --------
    >>> stamp(0)
    '19700101_000000'
    """
    return time_text(at)[:19].replace("-", "").replace(":", "").replace("T", "_")


def tick_line(row: Row) -> Line:
    r"""One row as a line of a recording.

    Examples
    --------
    >>> tick_line(Row("g", 0, 0, "1.0", "PRESALE", False, False, 9900, 0)).text[-19:]
    b' "trade_count": 0}\n'
    """
    return Line(row_text(row).encode() + b"\n", (Part("clean", row),))


def control_line(**fields: Any) -> Line:
    r"""One line about the recording, not about a tick.

    Examples
    --------
    >>> control_line(type="game_start", game_id="g").text
    b'{"type": "game_start", "game_id": "g"}\n'
    """
    return Line(json.dumps(fields).encode() + b"\n", (Part("control"),))


def start_line(row: Row, number: int | None) -> Line:
    """The line before the first row of a game; without a number it has the older form."""
    numbered = {} if number is None else {"session_game_number": number}
    return control_line(type="game_start", timestamp=time_text(row.at - 600), game_id=row.game_id, **numbered)


def end_line(rows: Sequence[Row], **status: str) -> Line:
    """The line after the last row of a game, with the extremes of all rows, filled prices included."""
    prices = sorted((float(row.price), row.price) for row in rows)
    low, high, final = (json.loads(price) for price in (prices[0][1], prices[-1][1], rows[-1].price))
    ticks = [row.tick for row in rows]
    return control_line(
        type="game_end",
        timestamp=time_text(rows[-1].at + 300),
        game_id=rows[-1].game_id,
        total_ticks=len(rows),
        tick_range=[min(ticks), max(ticks)],
        price_range=[low, high],
        peak_price=high,
        final_price=final,
        **status,
    )


def as_recording(rows: Sequence[Row], number: int, rng: np.random.Generator) -> Recording:
    """A JSONL recording: a start, one line a row, an end.

    Examples
    --------
    >>> row = Row("20310102-0123456789ab4cde", 0, 0, "1.0", "PRESALE", False, False, 9900, 0)
    >>> recording = as_recording([row], 1, np.random.default_rng(1))
    >>> recording.name, recording.expected()["control"]
    ('game_19700101_000000_89ab4cde.jsonl', 2)
    """
    del rng  # nothing is left to chance here
    name = f"game_{stamp(rows[0].at)}_{rows[0].game_id[-8:]}.jsonl"
    lines = (start_line(rows[0], number), *map(tick_line, rows), end_line(rows))
    return Recording(name, lines, number=number)


def as_sink(rows: Sequence[Row], number: int, rng: np.random.Generator) -> Recording:
    """A recorder sink: `_metadata` first and last, ticks without a type, the price as text.

    Examples
    --------
    >>> row = Row("20310102-0123456789ab4cde", 0, 0, "1.0", "PRESALE", False, False, 9900, 0)
    >>> as_sink([row], 1, np.random.default_rng(1)).lines[1].text[:55]
    b'{"game_id": "20310102-0123456789ab4cde", "tick": 0, "ti'
    """
    del number, rng  # this dialect has neither
    first = {"game_id": rows[0].game_id, "start_time": time_text(rows[0].at - 600), "version": "1.0"}
    lines = [control_line(_metadata=first)]
    for row in rows:
        fields = {"game_id": row.game_id, "tick": row.tick, "timestamp": time_text(row.at), "price": row.price}
        fields |= {"phase": row.phase, "active": row.active, "rugged": row.rugged}
        fields |= {"cooldown_timer": row.cooldown_timer, "trade_count": row.trade_count}
        lines.append(Line(json.dumps(fields).encode() + b"\n", (Part("clean", row),)))
    size = sum(len(line.text) for line in lines)
    last = {"end_time": time_text(rows[-1].at + 300), "tick_count": len(rows), "total_bytes": size}
    return Recording(f"game_{stamp(rows[0].at)}.jsonl", (*lines, control_line(_metadata=last)), "sink")


def as_game_state(rows: Sequence[Row], number: int, rng: np.random.Generator) -> Recording:
    """A game state file: one JSON document with a price a tick as text, null where one was not received.

    Examples
    --------
    >>> rows = [Row("20310102-0123456789ab4cde", 0, 0, "1", "GAME_ACTIVATION", True, False, 0, 0)]
    >>> as_game_state(rows, 1, np.random.default_rng(1)).data[-16:]
    b'"prices": ["1"]}'
    """
    del number  # not in this dialect
    played = [row for row in rows if row.active and row.phase != "RUG_EVENT_1"]
    gaps = rng.random(len(played)) < _GAP
    sure = {0, played[-1].tick - 1, played[-1].tick}  # the rug is known by the fall between the last two
    kept = [row for row, gap in zip(played, gaps, strict=True) if not gap or row.tick in sure]
    prices: list[str | None] = [None] * (played[-1].tick + 1)
    for row in kept:
        prices[row.tick] = row.price
    meta: dict[str, Any] = {"game_id": played[0].game_id, "start_time": time_text(played[0].at)}
    meta |= {"end_time": time_text(played[-1].at), "duration_ticks": len(prices)}
    meta |= {"peak_multiplier": max((row.price for row in kept), key=float)}
    meta |= {"server_seed_hash": None, "server_seed": None, "has_player_input": False, "action_count": 0}
    text = json.dumps({"meta": meta, "prices": prices}).encode()
    absent = frozenset({"cooldown_timer", "trade_count"})
    name = f"{stamp(played[0].at)}_{played[0].game_id[-8:]}.game.json"
    return Recording(name, (Line(text, tuple(Part("clean", row, absent) for row in kept)),), "game_state")


def as_capture(rows: Sequence[Row], number: int, rng: np.random.Generator, joined: int = 0) -> Recording:
    r"""A raw capture of the socket: one event a line, numbered, with full snapshots, tick frames and countdown frames.

    With `joined`, that many rows had gone by at the connection; the first snapshot then holds the prices so far.

    Examples
    --------
    >>> rows = [Row("20310102-0123456789ab4cde", 0, 0, "1.0", "PRESALE", False, False, 9900, 0)]
    >>> capture = as_capture(rows, 1, np.random.default_rng(1))
    >>> capture.lines[0].text
    b'{"seq": 1, "ts": "1969-12-31T23:59:59.980000", "event": "connect", "data": null}\n'
    """
    del number  # the capture counts events, not games
    played = {row.tick: json.loads(row.price) for row in rows if row.active and row.phase != "RUG_EVENT_1"}
    fair = {"serverSeedHash": rng.bytes(32).hex(), "version": "v3"}
    lines = [_event(1, rows[joined].at - 20_000, "connect", None, Part("control"))]
    for row in rows[joined:]:
        if row.filled:
            frame = _countdown(row)
        elif row.active and row.phase != "RUG_EVENT_1" and len(lines) > 1:
            frame = _state(row) | {"tradeCount": row.trade_count, "partialPrices": _partial(row.tick, played)}
        else:
            frame = _state(row) | {"gameVersion": "v3", "gameHistory": []}
            if len(lines) == 1 and row.active:
                frame["prices"] = [played[tick] for tick in range(row.tick + 1) if tick in played]
        frame |= {"connectedPlayers": 200, "provablyFair": fair}
        part = Part("clean", row, frozenset() if "tradeCount" in frame else frozenset({"trade_count"}))
        lines.append(_event(len(lines) + 1, row.at, "gameStateUpdate", frame, part))
    return Recording(f"capture_{stamp(rows[joined].at)}.jsonl", tuple(lines), "capture")


def _event(seq: int, at: int, event: str, data: dict[str, Any] | None, part: Part) -> Line:
    """One line of a capture."""
    text = json.dumps({"seq": seq, "ts": time_text(at), "event": event, "data": data})
    return Line(text.encode() + b"\n", (part,))


def _countdown(row: Row) -> dict[str, Any]:
    """What the server sends between games: no price, no tick, no flags."""
    clock = {"cooldownTimer": row.cooldown_timer, "cooldownPaused": False}
    return {"gameId": row.game_id} | clock | {"allowPreRoundBuys": row.phase == "PRESALE"}


def _state(row: Row) -> dict[str, Any]:
    """What tick frames and snapshots have in common."""
    state = {"active": row.active, "price": json.loads(row.price), "rugged": row.rugged, "tickCount": row.tick}
    return state | _countdown(row)


def _partial(tick: int, played: dict[int, Any]) -> dict[str, Any]:
    """The last ticks once more, as each frame carries them."""
    start = max(0, tick - _PARTIAL + 1)
    values = {str(at): played[at] for at in range(start, tick + 1) if at in played}
    return {"startTick": start, "endTick": tick, "values": values}


DIALECTS: Final[dict[str, Dialect]] = {
    "recording": as_recording,
    "sink": as_sink,
    "game_state": as_game_state,
    "capture": as_capture,
}
