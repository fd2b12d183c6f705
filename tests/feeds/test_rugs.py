"""The game's own events: carried forward, healed, compared with their history, and nobody's data in them."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replaylab.fair import commitment, prices
from replaylab.feeds.rugs import RugsReader
from replaylab.feeds.rugs_wire import TRADE, UPDATE, captured_of
from replaylab.tick import Tick
from tests.crash.scale import SCALE
from tests.feeds.frames import (
    AT,
    GAME,
    encoded,
    marks_of,
    price,
    real_frames,
    replayed,
    snapshot_frame,
    taken,
    tick_frame,
    ticks_of,
    time_of,
)

QUARTER = timedelta(milliseconds=250)


def history_of_real() -> list[Decimal]:
    """Prices of the finished game in the real frames, exactly as its history tells them."""
    for line in real_frames():
        found = json.loads(line, parse_float=Decimal, parse_int=Decimal)["data"]
        for entry in found.get("gameHistory", []):
            if entry["id"] == "20251207-e8186dbf38e046d1":
                return list(entry["prices"])
    raise AssertionError("the finished game stands in no history")


def missing_of(ticks: list[Tick], of: int) -> list[int]:
    """Tick numbers below `of` that did not come."""
    return sorted(set(range(of)) - {tick.tick for tick in ticks})


def test_the_real_game_is_its_history() -> None:
    """All 267 ticks of the real frames come in order and equal their `gameHistory`, 129 of them healed."""
    lines = real_frames()
    reader = RugsReader()
    reader.connected(time_of(lines[0]))
    found = replayed(reader, lines)
    ticks = ticks_of(found)
    assert [tick.tick for tick in ticks] == list(range(267))
    assert [tick.price for tick in ticks] == history_of_real()
    assert sum(mark.detail["count"] for mark in marks_of(found, "heal")) == 129
    assert [tick.tick for tick in ticks if tick.rugged] == [266]
    assert [(mark.detail["compared"], mark.detail["equal"]) for mark in marks_of(found, "history")] == [(267, True)]
    phases = [mark.detail["phase"] for mark in marks_of(found, "phase")]
    assert phases == ["active", "rugged", "rug_event_1", "cooldown"]


@pytest.mark.parametrize(("cut", "missing"), [(3, 0), (4, 0), (5, 1), (20, 16), (100, 96)], ids=str)
def test_real_frames_cut(cut: int, missing: int) -> None:
    """Up to four lost frames are healed by the next one, more by a snapshot, and what is left by the history."""
    lines = real_frames()
    kept = lines[:20] + lines[20 + cut :]
    reader = RugsReader(from_history=False)
    reader.connected(time_of(lines[0]))
    assert len(missing_of(ticks_of(replayed(reader, kept)), 267)) == missing

    reader = RugsReader(from_history=False)
    reader.connected(time_of(lines[0]))
    found = replayed(reader, lines[:20])
    reader.connected(time_of(lines[20 + cut]))
    found += replayed(reader, lines[20 + cut : 21 + cut])
    told = json.loads(lines[20 + cut], parse_float=Decimal)["data"]
    snapshot = {**told, "prices": history_of_real()[: told["tickCount"] + 1]}
    del snapshot["partialPrices"]
    found += reader.take("gameStateUpdate", encoded(snapshot), time_of(lines[20 + cut]))
    found += replayed(reader, lines[21 + cut :])
    assert [tick.tick for tick in ticks_of(found)] == list(range(267))

    reader = RugsReader()
    reader.connected(time_of(lines[0]))
    found = replayed(reader, kept)
    assert missing_of(ticks_of(found), 267) == []
    assert {tick.tick: tick.price for tick in ticks_of(found)} == dict(enumerate(history_of_real()))
    healed = [mark for mark in marks_of(found, "heal") if mark.detail["by"] == "history"]
    assert sum(mark.detail["count"] for mark in healed) == missing


def test_frames_of_2026() -> None:
    """The protocol of February 2026: a second rug broadcast on the same tick, no prices in a history."""
    lines = real_frames("frames-2026-02.jsonl")
    reader = RugsReader(trades=True)
    found: list[Any] = []
    for line in lines:
        captured = captured_of(line)
        found += reader.take(captured.event or "", captured.data, time_of(line))
    ticks = ticks_of(found)
    assert [tick.tick for tick in ticks] == [0, *range(99, 104), *range(251, 256)]
    assert [tick.tick for tick in ticks if tick.rugged] == [255]
    assert [mark.detail["phase"] for mark in marks_of(found, "phase")] == [
        "cooldown",
        "presale",
        "active",
        "rugged",
        "rug_event_1",
    ]
    sides = [(mark.detail["side"], mark.detail.get("leverage")) for mark in marks_of(found, "trade")]
    assert sides == [("short_open", None), ("sell", None), ("buy", 4), ("short_close", None)]


def test_flags_are_carried_forward() -> None:
    """What a frame does not tell stays what it was; a price before the game, and a countdown, are no tick."""
    reader = RugsReader()
    found = taken(
        reader,
        [
            encoded({"gameId": GAME, "cooldownTimer": 14_900}),
            encoded({"gameId": GAME, "cooldownTimer": 9_900, "allowPreRoundBuys": True}),
            encoded({"gameId": GAME, "tickCount": 0, "price": 1, "active": False, "cooldownTimer": 9_000}),
            encoded({"gameId": GAME, "cooldownTimer": 8_000, "cooldownPaused": True}),
            encoded({"gameId": GAME, "tickCount": 0, "price": 1, "active": True, "cooldownTimer": 0, "tradeCount": 7}),
            encoded({"gameId": GAME, "tickCount": 1, "price": Decimal("1.5"), "active": True}),
        ],
    )
    assert [(tick.tick, tick.price, tick.trade_count) for tick in ticks_of(found)] == [
        (0, 1, 7),
        (1, Decimal("1.5"), 7),
    ]
    phases = [mark.detail["phase"] for mark in marks_of(found, "phase")]
    assert phases == ["cooldown", "presale", "paused", "active"]


@given(st.lists(st.integers(0, 60), max_size=40), st.integers(0, 2**32))
def test_lost_doubled_and_swapped_frames(lost: list[int], seed: int) -> None:
    """Whatever frames are lost, doubled or swapped: each tick comes once, with its own price."""
    chance = random.Random(seed)
    numbers = [n for n in range(61) if n not in lost] or [60]
    numbers += chance.choices(numbers, k=5)
    frames = [tick_frame(n, rugged=n == 60) for n in sorted(numbers, key=lambda n: n + chance.random() * 2)]
    history = [{"id": GAME, "prices": [price(n) for n in range(61)], "rugged": True}]
    after = encoded({"gameId": "next", "cooldownTimer": 14_900, "gameHistory": history})
    found = ticks_of(taken(RugsReader(), [*frames, after]))
    assert {tick.tick: tick.price for tick in found} == {n: price(n) for n in range(61)}
    assert len(found) == 61


def test_a_second_rug_broadcast_alone() -> None:
    """When the first rugged frame is lost, the second one, which counts on, still brings the rug at its own tick."""
    second = tick_frame(10, rugged=True, tickCount=12, gameHistory=[])
    found = taken(RugsReader(), [tick_frame(8), second])
    assert [(tick.tick, tick.rugged) for tick in ticks_of(found)][-1] == (10, True)
    assert len(ticks_of(found)) == 7


def test_a_game_missed_whole() -> None:
    """A game that began and ended during an outage is taken from the history; games before the first one are not."""
    reader = RugsReader()
    found = taken(reader, [tick_frame(0), tick_frame(1)])
    entries = [
        {"id": "missed", "prices": [1, 2, Decimal("0.01")]},
        {"id": GAME, "prices": [price(n) for n in range(4)]},
    ]
    snapshot = encoded({"gameId": "now", "cooldownTimer": 900, "gameHistory": [*entries, {"id": "old", "prices": [1]}]})
    later = ticks_of(taken(reader, [snapshot, snapshot]))
    assert len(ticks_of(found)) == 2
    assert [(tick.game_id, tick.tick) for tick in later] == [
        (GAME, 2),
        (GAME, 3),
        ("missed", 0),
        ("missed", 1),
        ("missed", 2),
    ]
    assert [tick.rugged for tick in later] == [False, True, False, False, True]


def test_a_history_that_differs_is_told() -> None:
    """A price that the history tells otherwise is named in the mark; what was received stays."""
    history = [{"id": GAME, "prices": [price(0), price(1) + 1, price(2)]}]
    frames = [tick_frame(n, rugged=n == 2) for n in range(3)]
    found = taken(RugsReader(), [*frames, encoded({"gameId": "next", "cooldownTimer": 1, "gameHistory": history})])
    mark = marks_of(found, "history")[0]
    assert (mark.detail["equal"], list(mark.detail["differ"])) == (False, [1])
    assert {tick.tick: tick.price for tick in ticks_of(found)} == {n: price(n) for n in range(3)}


def test_the_seed_is_checked() -> None:
    """A seed enters the store only when it is the one promised; then the prices are compared with those it makes."""
    seed = "0" * 64
    made = [Decimal(repr(float(one))) for one in prices(seed, GAME)]
    fair = {"serverSeedHash": commitment(seed), "version": "v3"}
    frames = [
        encoded({"gameId": GAME, "tickCount": n, "price": one, "active": True, "rugged": False, "provablyFair": fair})
        for n, one in enumerate(made)
    ]
    end = encoded({"gameId": GAME, "tickCount": len(made), "price": Decimal("0.012"), "active": True, "rugged": True})

    def told(**revealed: str) -> Any:
        entry = {"id": GAME, "prices": [*made, Decimal("0.012")], "provablyFair": revealed, "gameVersion": "v3"}
        after = encoded({"gameId": "next", "cooldownTimer": 14_900, "gameHistory": [entry]})
        return marks_of(taken(RugsReader(), [*frames, end, after]), "history")[0].detail

    good = told(serverSeed=seed, serverSeedHash=commitment(seed))
    assert (good["fair"], good["seed"], good["equal"]) == (True, seed, True)
    other = told(serverSeed="1" * 64, serverSeedHash=commitment("1" * 64))
    assert other["fair"] is False
    assert "seed" not in other
    assert told(serverSeed="short")["fair"] is None


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"no json", "not_json"),
        (b'{"gameId": "g"', "not_json"),
        (b"\xff\xfe", "not_json"),
        (b"[1, 2]", "wrong_type"),
        (b"null", "wrong_type"),
        (b"{}", "no_game_id"),
        (b'{"gameId": ""}', "wrong_type"),
        (b'{"gameId": 7}', "wrong_type"),
        (b'{"gameId": "g", "price": NaN, "tickCount": 1, "active": true}', "not_json"),
        (b'{"gameId": "g", "price": "NaN", "tickCount": 1, "active": true}', "not_finite"),
        (b'{"gameId": "g", "price": "dear", "tickCount": 1, "active": true}', "wrong_type"),
        (b'{"gameId": "g", "price": 1e400, "tickCount": 1, "active": true}', "price_too_large"),
        (b'{"gameId": "g", "price": 1e-30, "tickCount": 1, "active": true}', "price_too_fine"),
        (b'{"gameId": "g", "price": 1, "tickCount": -1, "active": true}', "out_of_range"),
        (b'{"gameId": "g", "price": 1, "tickCount": 1.5, "active": true}', "wrong_type"),
        (b'{"gameId": "g", "price": 1, "tickCount": 99999999999, "active": true}', "out_of_range"),
        (b'{"gameId": "g", "price": 1, "tickCount": 1, "active": "yes"}', "wrong_type"),
        (b'{"gameId": "g", "x": ' + b"[" * 100_000, "too_deep"),
        (b'{"gameId": "g", "x": ' + b"[" * 501, "too_deep"),
        (b'{"gameId": "g", "cooldownTimer": 1, "gameHistory": [{"prices": 7}]}', "wrong_type"),
    ],
)
def test_bad_frames_are_counted(raw: bytes, reason: str) -> None:
    """A frame that cannot be used is counted by reason, and the next good tick comes."""
    reader = RugsReader()
    found = reader.take("gameStateUpdate", raw, AT)
    assert ticks_of(found) == []
    assert reader.refused[reason] == 1
    assert [tick.tick for tick in ticks_of(reader.take("gameStateUpdate", tick_frame(0), AT))] == [0]


def test_a_price_as_text_is_exact() -> None:
    """A price that comes as text keeps all its digits."""
    frame = b'{"gameId": "g", "price": "1.12345678901234567890", "tickCount": 1, "active": true}'
    assert [tick.price for tick in ticks_of(RugsReader().take("gameStateUpdate", frame, AT))] == [
        Decimal("1.12345678901234567890")
    ]


def test_a_bad_history_costs_no_tick() -> None:
    """What is wrong in a history is counted; the tick of the same frame is kept."""
    reader = RugsReader()
    found = reader.take("gameStateUpdate", tick_frame(3, gameHistory=[{"id": 7}]), AT)
    assert [tick.tick for tick in ticks_of(found)] == [0, 1, 2, 3]


def test_a_number_that_jumps_back() -> None:
    """A tick that comes again with another price is kept as received; with the same price it is counted once."""
    reader = RugsReader()
    found = taken(reader, [tick_frame(5), tick_frame(6), tick_frame(5), tick_frame(5, price=Decimal(9))])
    numbers = [(tick.tick, tick.price) for tick in ticks_of(found)]
    assert numbers[-2:] == [(6, price(6)), (5, Decimal(9))]
    assert reader.refused == {"duplicate": 1}


def test_events_are_counted_by_name() -> None:
    """Other events are counted, and a name that might be anything is not kept."""
    reader = RugsReader()
    for name in ("newChatMessage", "newChatMessage", "hello anna@example.org"):
        reader.take(name, b'{"username": "anna"}', AT)
    assert reader.refused == {"event:newChatMessage": 2, "event:other": 1}


def test_unknown_sides_and_bad_trades() -> None:
    """A trade that cannot be read is counted, and without `trades` none is kept."""
    good = b'{"gameId": "g", "type": "buy", "price": 1.5, "qty": 2, "tickIndex": 3, "username": "anna"}'
    reader = RugsReader(trades=True)
    assert marks_of(reader.take("standard/newTrade", good, AT), "trade")[0].detail == {
        "side": "buy",
        "quantity": 2,
        "price": Decimal("1.5"),
        "tick": 3,
    }
    for raw in (good.replace(b"buy", b"give"), good.replace(b"1.5", b'"NaN"'), good.replace(b": 3", b": -3"), b"{}"):
        assert reader.take("standard/newTrade", raw, AT) == []
    assert sum(reader.refused.values()) == 4
    assert RugsReader().take("standard/newTrade", good, AT) == []


def test_nobody_is_named() -> None:
    """Names, ids and messages planted in every place of a frame are in no tick, mark, count or repr."""
    planted = ["anna-5551", "did:player:5552", "message-5553", "wallet5554"]
    people = [{"username": planted[0], "playerId": planted[1], "text": planted[2], "wallet": planted[3]}]
    more: dict[str, Any] = {
        "leaderboard": people,
        "rugRoyale": {"players": people},
        "globalTrades": people,
        "pauseMessage": planted[2],
    }
    entry = {"id": GAME, "prices": [price(0)], "globalSidebets": people, "globalTrades": people}
    reader = RugsReader(trades=True)
    found = taken(reader, [tick_frame(0, **more), tick_frame(1, rugged=True, gameHistory=[entry], **more)])
    trade = {"gameId": GAME, "type": "buy", "price": 1, "qty": 1, "id": planted[3], **people[0]}
    found += reader.take("standard/newTrade", encoded(trade), AT)
    found += reader.take("newChatMessage", encoded(people[0]), AT)
    text = repr(found) + repr(reader.refused) + "".join(one.to_line().decode() for one in found)
    assert len(found) > 4
    assert not [name for name in planted if name in text]


@settings(max_examples=100 * SCALE)
@given(st.data())
def test_mutated_frames_never_raise(data: st.DataObject) -> None:
    """However a frame is mutated, nothing is raised, and a good tick after it comes."""
    frame = bytearray(
        data.draw(st.sampled_from([tick_frame(7), snapshot_frame(9), tick_frame(9, rugged=True, gameHistory=[])]))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(frame) - 1))
        end = at + data.draw(st.integers(0, 12))
        frame[at:end] = data.draw(st.binary(max_size=6) | st.sampled_from([b"null", b"-1", b"1e999", b'"', b"{", b"]"]))
        if not frame:
            frame = bytearray(b"{")
    reader = RugsReader(trades=True)
    reader.connected(AT)
    reader.take("gameStateUpdate", bytes(frame), AT)
    later = AT + timedelta(seconds=5)
    found = [one for n in (30, 31) for one in reader.take("gameStateUpdate", tick_frame(n, game="good"), later)]
    assert [tick.tick for tick in ticks_of(found) if tick.game_id == "good"][-1] == 31


REAL = ("gameStateUpdate.jsonl", "frames-2026-02.jsonl")


def test_ten_thousand_mutations_of_real_frames() -> None:
    """Ten thousand random mutations of the real frames, large and small, of both protocols, raise nothing."""
    captured = [captured_of(line) for name in REAL for line in real_frames(name)]
    events = [(one.event or UPDATE, bytes(one.data)) for one in captured]
    assert {name for name, _ in events} == {UPDATE, TRADE}
    assert max(len(data) for _, data in events) > 40_000
    chance = random.Random(7)
    reader = RugsReader(trades=True)
    for number in range(10_000):
        event, data = events[number % len(events)]
        frame = bytearray(data)
        for _ in range(chance.randint(1, 5)):
            at = chance.randrange(len(frame))
            frame[at : at + chance.randint(0, 9)] = chance.randbytes(chance.randint(0, 5))
        reader.take(event, bytes(frame), AT + number * QUARTER)
    good = ticks_of(reader.take("gameStateUpdate", tick_frame(0, game="good"), AT + timedelta(days=1)))
    assert [tick.tick for tick in good] == [0]
    assert sum(reader.refused.values()) > 5_000


def test_ticks_are_held_until_the_snapshot() -> None:
    """After connecting, ticks wait for the snapshot that stands before them, one second at most."""
    reader = RugsReader()
    reader.connected(AT)
    assert ticks_of(reader.take("gameStateUpdate", tick_frame(9), AT)) == []
    found = reader.take("gameStateUpdate", snapshot_frame(8), AT + QUARTER)
    assert [tick.tick for tick in ticks_of(found)] == list(range(10))

    reader = RugsReader()
    reader.connected(AT)
    assert ticks_of(reader.take("gameStateUpdate", tick_frame(9), AT)) == []
    assert reader.settled(AT + QUARTER) == []
    assert [tick.tick for tick in ticks_of(reader.settled(AT + 4 * QUARTER))] == [5, 6, 7, 8, 9]
    assert reader.holds_until is None
