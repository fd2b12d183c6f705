"""Arrays of prices: lines read in columns are those that the general parser reads, clean, odd and mutated."""

from __future__ import annotations

import random
from unittest import mock

import pytest

from replaylab.parsing.mapping import READY, Mapping
from replaylab.parsing.scan import Scan, scan
from tests.kernel.roads import mutated, rows_of

NAMED = Mapping(
    path="{}", fields={"game_id": "{}", "timestamp": "at"}, prices="prices", rug="end", first_tick="from", time_unit="s"
)
FINE = Mapping(
    fields={"game_id": "id", "timestamp": "at"}, prices="p", time_unit="ns", truncate_times=True, step_ms=100
)
FORMS = {
    "games": ('{{"gameId": "{id}", "startTime": {at}250, "prices": [{prices}], "ruggedAt": {end}}},', READY["games"]),
    "flag": (
        '{{"id": "{id}", "startTime": "2031-01-02T03:04:05", "history": [{texts}], "rugged": true}}',
        READY["games"],
    ),
    "named": ('"{id}": {{"at": {at}, "from": {first}, "prices": [ {prices} ], "end": {end}}},', NAMED),
    "fine": ('{{"id": "{id}", "at": {at}123456{first}, "p": [{prices}]}}', FINE),
}
_ODD = ("null", '"x"', "-1", "01", "1e3", "[1, 2]", "1." + "3" * 25, "9" * 15, "NaN", "", '"2.50"')


def _line(chance: random.Random, text: str) -> bytes:
    prices = [f"{chance.randrange(99)}.{chance.randrange(10**6)}" for _ in range(chance.randint(1, 8))]
    texts = ", ".join(f'"{price}"' for price in prices)
    if chance.random() < 0.2:
        prices[chance.randrange(len(prices))] = chance.choice(_ODD)
    return text.format(
        id=chance.choice(["a", "b", "é", "", "g\\u0041"]) if chance.random() < 0.2 else f"g{chance.randrange(50)}",
        at=1_925_089_445 + chance.randrange(1000),
        first=chance.choice(["000", "1", "0", "-1", "2147483640"]) if chance.random() < 0.2 else "100",
        prices=chance.choice([", ", ",", " , "]).join(prices),
        texts=texts,
        end=chance.choice(["0", "1", "null", "true", "false", "99", '"1"']),
    ).encode()


def _same(data: bytes, mapping: Mapping) -> Scan:
    fast = scan(data, mapping)
    with mock.patch("replaylab.parsing.price_arrays.can_read", return_value=False):
        careful = scan(data, mapping)
    assert rows_of(fast) == rows_of(careful), data
    assert fast.remarks == careful.remarks, data
    assert fast.accounts == careful.accounts, data
    return fast


@pytest.mark.parametrize("form", sorted(FORMS))
def test_mutated_games(form: str) -> None:
    """In lines of games of which a third were mutated, both roads find the same rows, remarks and accounts."""
    text, mapping = FORMS[form]
    chance = random.Random(form)
    rows = 0
    for _ in range(300):
        lines = [_line(chance, text) for _ in range(chance.randint(1, 8))]
        lines = [mutated(chance, raw) if chance.random() < 0.3 else raw for raw in lines]
        rows += len(_same(b"\n".join(lines) + chance.choice([b"\n", b""]), mapping).batch)
    assert rows > 1000


@pytest.mark.parametrize("form", sorted(FORMS))
def test_plain_games_are_read_in_columns(form: str) -> None:
    """Lines in their plainest form do not go to the general parser, one by one."""
    text, mapping = FORMS[form]
    first = "000" if form == "fine" else "7"
    plain = {"id": "g", "at": "1925089445", "first": first, "prices": "1, 1.5", "texts": '"1", "1.5"', "end": "1"}
    with mock.patch("replaylab.parsing.scan.parse_line", side_effect=AssertionError("read one by one")):
        assert len(scan(text.format(**plain).encode() + b"\n", mapping).batch) == 2
