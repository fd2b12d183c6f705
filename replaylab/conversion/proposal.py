"""Proposal: a mapping in TOML to begin with, from names and values at the beginning of a file. Never used unasked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from replaylab.parsing.json_line import DECODER

_EPOCH_UNITS: Final = {10: "s", 13: "ms", 16: "us", 19: "ns"}
_FIELD_NAMES: Final = {  # by a tick's field, names that feeds give it
    "timestamp": ("timestamp", "ts", "time", "t", "T", "E", "date", "created_at", "trade_time", "timestamp_ms"),
    "price": ("price", "px", "p", "last", "close", "value", "rate", "multiplier"),
    "game_id": ("game_id", "gameId", "symbol", "sym", "s", "product_id", "pair", "instrument", "market", "id"),
    "tick": ("tick", "tickCount", "seq", "sequence", "trade_id", "n"),
    "active": ("active",),
    "rugged": ("rugged",),
}
_TICK_NAMES: Final = ("tick", "tickCount", "n", "index", "i", "seq", "number")
_GAME_NAMES: Final = ("gameId", "game_id", "id", "game", "uuid", "_id", "key", "name")
_FIRST_TICKS: Final = ("startTick", "start_tick", "first_tick", "firstTick")
_RUGS: Final = ("ruggedAt", "rugged_at", "rug_tick", "rugTick", "endTick", "end_tick", "rugged", "isRugged")
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_LEAST_PRICES: Final = 2
_DEPTH: Final = 3  # of objects that are searched for games


class _Games(NamedTuple):
    """Where games are: the path, the first of them, and the name of its array of prices."""

    path: str
    game: dict[str, Any]
    prices: str


def proposal(data: bytes) -> str:
    """Return a mapping in TOML for the text at the beginning of a file; empty when nothing in it looks like ticks."""
    document = _document(data)
    games = next(_games_in(document, "", 0), None) if document is not None else None
    if games is not None:
        return _of_games(games)
    found = _first_object(data)
    return "" if found is None else _of_ticks(found)


def _of_ticks(found: dict[str, Any]) -> str:
    inner = next((name for name in ("data", "payload", "value", "_source", "log", "message") if name in found), "")
    tick = found[inner] if isinstance(found.get(inner), dict) else found
    path = inner if tick is not found else ""
    names = {name: next((one for one in candidates if one in tick), None) for name, candidates in _FIELD_NAMES.items()}
    names["timestamp"] = next((one for one, value in tick.items() if _is_time(value)), names["timestamp"])
    lines = [f"path = {_quoted(path)}"] if path else []
    lines += _unit(tick.get(names["timestamp"] or ""))
    if not names["game_id"]:
        lines.append('game = "day"  # or "file", or "gap:300"')
    constants = [
        f"{name} = {'true' if name == 'active' else 'false'}" for name in ("active", "rugged") if not names[name]
    ]
    fields = [f"{name} = {_quoted(one)}" for name, one in names.items() if one and one != name]
    lines += ["[fields]", *fields] if fields else []
    lines += ["[constants]", *constants] if constants else []
    return "\n".join(lines)


def _of_games(found: _Games) -> str:
    game, prices = found.game, found.game[found.prices]
    keyed = isinstance(prices, dict)
    one = next((price for price in (prices.values() if keyed else prices) if price is not None), None)
    start = next((name for name, value in sorted(game.items(), key=_start_first) if _is_time(value)), None)
    lines = [f"path = {_quoted(found.path)}"] if found.path else []
    lines += [f"prices = {_quoted(found.prices + '{}' * keyed)}", *_within(one, prices, keyed=keyed)]
    lines += [
        f"{ours} = {_quoted(name)}"
        for ours, names in (("first_tick", _FIRST_TICKS), ("rug", _RUGS))
        if (name := next((name for name in names if name in game), None))
    ]
    parts = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
    lines += _unit(game[start] if start is not None else next(filter(_is_time, parts), None))
    identity = next((name for name in _GAME_NAMES if isinstance(game.get(name), (str, int))), None)
    fields = [f"timestamp = {_quoted(start)}"] if start is not None else []
    if found.path.endswith("{}"):
        fields.append('game_id = "{}"  # the name of the member')
    elif identity is not None or start is not None:
        fields.append(f"game_id = {_quoted(identity or start or '')}")
    else:
        lines.append('game = "file"')
    if start is None:
        lines.append('optional = ["timestamp"]')
    return "\n".join(
        [*lines, "step_ms = 250  # from one price to the next", "[fields]" * bool(fields), *fields]
    ).strip()


def _within(one: Any, prices: Any, *, keyed: bool) -> list[str]:
    """Return where the price, the number and the time are within each price."""
    at: dict[str, str] = {}
    if keyed:
        at["tick_at"] = "{}"
    if isinstance(one, dict):
        names = {"price_at": _FIELD_NAMES["price"], "tick_at": _TICK_NAMES}
        at |= {ours: name for ours, theirs in names.items() if (name := _named(one, theirs))}
        time = next((name for name, value in one.items() if _is_time(value)), None)
        at |= {"time_at": time} if time is not None else {}
    elif isinstance(one, list):
        rows = [row for row in prices if isinstance(row, list)]
        times = [place for place, value in enumerate(one) if _is_time(value)]
        whole = [place for place in range(len(one)) if all(type(row[place]) is int for row in rows if len(row) > place)]
        ticks = [place for place in whole if place not in times]
        rest = [place for place in range(len(one)) if place not in times and place not in ticks[:1]]
        chosen = {"price_at": rest or ticks, "tick_at": ticks if rest else [], "time_at": times}
        at |= {ours: f"[{places[0]}]" for ours, places in chosen.items() if places}
    return [f"{name} = {_quoted(where)}" for name, where in at.items()]


def _games_in(value: Any, path: str, depth: int) -> Iterator[_Games]:
    """Yield objects that hold an array of prices, the outermost first."""
    if depth > _DEPTH:
        return
    if isinstance(value, list):
        first = next((one for one in value if isinstance(one, dict)), None)
        if first is not None:
            yield from _games_in(first, f"{path}[]" if path else "", depth + 1)
        return
    if not isinstance(value, dict):
        return
    prices = next((name for name, one in value.items() if _is_prices(one)), None)
    if prices is not None:
        yield _Games(path, value, prices)
        return
    members = [one for one in value.values() if isinstance(one, dict)]
    if members and len(members) == len(value) and any(_is_prices(one) for one in members[0].values()):
        yield from _games_in(members[0], f"{path}{{}}", depth + 1)
    for name, one in value.items():
        if isinstance(one, (dict, list)) and re.fullmatch(r"[^.\[\]{}]+", name):
            yield from _games_in(one, f"{path}.{name}" if path else name, depth + 1)


def _is_prices(value: Any) -> bool:
    """Whether a value looks like the prices of a game: several numbers, or as many pairs or objects with a number."""
    if isinstance(value, dict):
        return len(value) >= _LEAST_PRICES and all(name.isdecimal() for name in value) and _is_prices([*value.values()])
    if not isinstance(value, list) or len(value) < _LEAST_PRICES:
        return False
    there = [one for one in value if one is not None]
    plain = all(_is_number(one) for one in there)
    pairs = all(isinstance(one, list) and len(one) > 1 and all(map(_is_number, one)) for one in there)
    objects = all(isinstance(one, dict) and _named(one, _FIELD_NAMES["price"]) for one in there)
    flat = objects and not any("game_id" in one or "gameId" in one for one in there)
    return bool(there) and (plain or pairs or flat)


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return bool(_NUMBER.fullmatch(value))
    return not isinstance(value, (bool, list, dict, type(None)))


def _named(found: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((name for name in names if name in found), "")


def _start_first(member: tuple[str, Any]) -> int:
    """Sort what is called a start before other times, and ends behind them."""
    name = member[0].lower()
    return -1 if name.startswith(("start", "begin", "open")) else 1 if name.startswith(("end", "close")) else 0


def _is_time(value: Any) -> bool:
    """Whether a value looks like a time: in ISO 8601, or as many digits as a time of this century has."""
    whole = str(value).partition(".")[0]
    if not isinstance(value, (bool, list, dict, type(None))) and whole.isdecimal() and len(whole) in _EPOCH_UNITS:
        return True
    return isinstance(value, str) and value[:4].isdecimal() and value[4:5] == "-" and value[10:11] in {"T", " "}


def _unit(time: Any) -> list[str]:
    whole = str(time).partition(".")[0]
    return [f'time_unit = "{_EPOCH_UNITS.get(len(whole), "ms")}"'] if time is not None and whole.isdecimal() else []


def _quoted(text: str) -> str:
    """Return a text as TOML has it."""
    return json.dumps(text, ensure_ascii=False)


def _first_object(data: bytes) -> dict[str, Any] | None:
    for line in [*data.split(b"\n")[:20], data]:
        found = _decoded(line.strip(b"[], \t\r\n"))
        if isinstance(found, dict):
            return found
    return None


def _document(data: bytes) -> Any:
    """Return what a text holds, or its beginning: a document that goes on is closed behind its last whole object."""
    found = _decoded(data)
    if found is not None:
        return found
    first = _first_object(data)
    if first is not None:
        return first
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    stack: list[str] = []
    cut, closing = 0, ""
    for token in _TOKEN.finditer(text):
        if token[0] in {"{", "["}:
            stack.append("}" if token[0] == "{" else "]")
        elif token[0] in {"}", "]"} and stack:
            stack.pop()
            if len(stack) <= _DEPTH:
                cut, closing = token.end(), "".join(reversed(stack))
    return _decoded((text[:cut] + closing).encode()) if cut else None


def _decoded(data: bytes) -> Any:
    try:
        return DECODER.decode(data.removeprefix(b"\xef\xbb\xbf").strip().decode())
    except (ValueError, ArithmeticError, RecursionError):
        return None
