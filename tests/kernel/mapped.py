"""Lines of other recorders for the two roads: forms, the mappings that read them, and odd values in them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

from replaylab.parsing.mapping import READY, Mapping
from tests.kernel.roads import mutated

_FLAGS: Final[dict[str, Any]] = {"active": True, "rugged": False}


class Form(NamedTuple):
    """A line of another recorder, with places for values, and the mapping that reads it; None: read as always."""

    text: str
    mapping: Mapping | None


FORMS: Final[dict[str, Form]] = {
    "trades": Form('{{"ts": {ms}, "px": {price}, "qty": {any}}}', READY["trades"]),
    "compact": Form(
        '{{"s":{any},"p":"{price}","T":{ms},"q":{any}}}',
        replace(READY["trades"], fields={"timestamp": "T", "price": "p"}),
    ),
    "match": Form(
        '{{"type": "match", "side": {any}, "price": "{price}", "product_id": "{game}", "time": "{iso}Z"}}',
        Mapping(fields={"timestamp": "time", "game_id": "product_id"}, constants=_FLAGS, where={"type": "match"}),
    ),
    "envelope": Form(
        '{{"topic":{any},"offset":{tick},"data":{{"g":"{game}","n":{tick},"p":{price},"t":{ns},"on":{flag},'
        '"rugged":{flag},"state":"{phase}","cooldown_timer":{timer},"trades":{tick}}}}}',
        Mapping(
            path="data",
            fields={
                "game_id": "g",
                "tick": "n",
                "price": "p",
                "timestamp": "t",
                "active": "on",
                "phase": "state",
                "trade_count": "trades",
            },
            time_unit="ns",
            truncate_times=True,
        ),
    ),
    "array": Form(
        '{{"a": [{ns}, {any}, {{"px": {price}}}], "b": {any}}}',
        Mapping(
            fields={"timestamp": "a[0]", "price": "a[2].px"},
            constants=_FLAGS | {"phase": "X", "cooldown_timer": 4},
            time_unit="ns",
            game="gap:60",
        ),
    ),
    "seconds": Form(
        '{{"at": {s}, "last": {price}, "symbol": "{game}", "state": {null}, "n": {tick}}},',
        Mapping(
            fields={"timestamp": "at", "price": "last", "game_id": "symbol", "tick": "n", "phase": "state"},
            constants=_FLAGS,
            time_unit="s",
        ),
    ),
    "texts": Form(
        '{{"at": "{s}", "price": "{price}", "active": {flag}, "more": {any}}}',
        Mapping(fields={"timestamp": "at"}, constants={"rugged": False, "game_id": "g"}, time_unit="s"),
    ),
    "pandas": Form(
        '{{"game_id":"{game}","tick":{tick},"timestamp":{ms},"price":{price},"active":{flag},"rugged":{flag},'
        '"phase":{null},"cooldown_timer":{timer},"extra":{any}}}',
        READY["pandas"],
    ),
    "vectra": Form(
        '{{"event": "gameStateUpdate", "ts": {ms}, "data": {{"gameId": "{game}", "tickCount": {tick}, "price": {price},'
        ' "active": {flag}, "rugged": {flag}, "tradeCount": {tick}, "cooldownTimer": {timer}, "other": {any}}}}}',
        READY["vectra"],
    ),
    "capture": Form(
        '{{"event": "gameStateUpdate", "timestamp": "{iso}", "data": {{"gameId": "{game}", "tickCount": {tick},'
        ' "price": {price}, "active": {flag}, "rugged": {flag}}}}}',
        None,
    ),
    "in_array": Form(
        '[{{"type": "tick", "timestamp": "{iso}", "game_id": "{game}", "tick": {tick}, "price": {price},'
        ' "active": {flag}, "rugged": {flag}}}',
        None,
    ),
    "fine": Form(
        '{{"timestamp": "{iso}+00:00", "game_id": "{game}", "tick": {tick}, "price": {price}, "active": {flag},'
        ' "rugged": {flag}, "phase": "{phase}"}}',
        Mapping(truncate_times=True),
    ),
}
_PRICES: Final = ("1.0", "1", "0", "64000.123456", "12345678901234.01234567890123456789", "01", "1.", "1e2", "-1", "+1")
_ANY: Final = (
    '"x"',
    '""',
    '"é"',
    '"a b"',
    '"{\\"a\\":1}"',
    '"[1]"',
    "1",
    "-0.5e-3",
    "1e9999",
    "1e999999999999999999999",
    "007",
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "[1,2]",
    "NaN",
    "9" * 40,
)
_SECONDS: Final = 1_925_089_445


def values(chance: random.Random) -> dict[str, str]:
    """Return a value for each place, plain ones mostly."""
    plain = chance.random() < 0.7
    at = _SECONDS + chance.randrange(400_000)
    micro, nano = chance.choice([0, 250_000, chance.randrange(10**6)]), chance.choice([0, 0, chance.randrange(1000)])
    digits = f"{micro:06}{nano:03}"[: chance.choice([1, 3, 6, 6, 9])]
    return {
        "s": chance.choice([f"{at}", f"{at}.{digits}", f"{at}.{micro:06}"])
        if plain
        else chance.choice(["0", "-1", "1e9"]),
        "ms": f"{at}{micro // 1000:03}" if plain else chance.choice([f"{at}123.{digits}", "0", "9" * 19, "1.5e12"]),
        "ns": f"{at}{micro:06}000" if plain else chance.choice([f"{at}{micro:06}{nano:03}", "0", "9" * 20, "12"]),
        "iso": f"2031-01-02{chance.choice('TT ')}03:04:{chance.randrange(61):02}" + f".{digits}" * chance.randrange(2),
        "price": f"{chance.randrange(10**6)}.{chance.randrange(10**6)}" if plain else chance.choice(_PRICES),
        "game": chance.choice(["g", "BTC-USD", "é", f"g{chance.randrange(9)}"]),
        "tick": str(chance.randrange(3000)) if plain else chance.choice(["0", "123456789", "4294967296", "1.0"]),
        "phase": chance.choice(["ACTIVE_GAMEPLAY", "X"]),
        "timer": chance.choice(["0", "15000", "-1", "-0"]),
        "flag": chance.choice(["true", "false"]),
        "null": "null" if plain else chance.choice(['"PRESALE"', "null", '""', "1"]),
        "any": chance.choice(['"x"', "1", "2.50", "true"]) if plain else chance.choice(_ANY),
    }


def mapped_blocks(name: str, seed: int, lines: int) -> Iterator[bytes]:
    """Return blocks of lines of a form, `lines` in all, four in ten of them mutated."""
    chance = random.Random(f"{name} {seed}")
    while lines > 0:
        size = min(lines, chance.randint(1, 80))
        raws = [FORMS[name].text.format(**values(chance)).encode() for _ in range(size)]
        raws = [mutated(chance, raw) if chance.random() < 0.4 else raw for raw in raws]
        yield chance.choice([b"\n", b"\r\n"]).join(raws) + chance.choice([b"\n", b""])
        lines -= size
