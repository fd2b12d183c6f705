"""Mapping: other field names, envelopes and documents, as they were declared and never otherwise."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.errors import SettingsError
from replaylab.parsing.json_line import Kind, Reading, interpret
from replaylab.parsing.mapping import READY, Mapping
from replaylab.parsing.scan import scan
from replaylab.storage.open import open_store
from tests.stores import line, quiet
from tests.strategies import recordings

TICK = {"gameId": "g", "tickCount": 3, "price": "1.50", "active": True, "rugged": False, "at": 1925089445250}
NAMES = {"game_id": "gameId", "tick": "tickCount", "timestamp": "at"}
TRADES = b"".join(b'{"ts": %d, "px": "64000.%d", "qty": 1}\n' % (1925089445000 + 250 * n, n % 10) for n in range(20))


@pytest.mark.parametrize(
    ("envelope", "options"),
    [
        (lambda tick: tick, {}),
        (lambda tick: {"event": "x", "data": tick}, {"path": "data"}),
        (lambda tick: {"topic": "t", "value": json.dumps(tick)}, {"path": "value"}),
        (lambda tick: {"log": json.dumps(tick) + "\n", "stream": "stdout"}, {"path": "log"}),
        (lambda tick: {"_source": {"body": tick}}, {"path": "_source.body"}),
        (lambda tick: ["event", tick], {"path": "[1]"}),
        (lambda tick: {"batch": [tick, tick]}, {"path": "batch[]"}),
        (lambda tick: {"a": [{"b": [tick]}]}, {"path": "a[].b[0]"}),
    ],
)
def test_ticks_in_an_envelope(envelope: Any, options: dict[str, Any]) -> None:
    """A path leads through objects, arrays and JSON in a text to the tick."""
    mapping = Mapping(fields=NAMES, time_unit="ms", **options)
    data = json.dumps(envelope(TICK)).encode() + b"\n"
    found = scan(data if data.startswith(b"{") else b'{"x": 1}\n' + data, mapping)
    assert set(found.batch.price.to_pylist()) <= {Decimal("1.5")}
    if data.startswith(b"{"):
        assert found.batch.tick.tolist() == [3] * (2 if options.get("path") == "batch[]" else 1)
        assert found.batch.wall_us[0] == 1925089445250_000


def test_only_lines_of_a_kind_are_ticks() -> None:
    """`where` sorts out what is no tick: control lines, kept by their value."""
    mapping = Mapping(path="data", fields=NAMES, time_unit="ms", where={"event": "tick"})
    lines = [json.dumps({"event": event, "data": TICK}).encode() for event in ("tick", "chat", "tick")]
    found = scan(b"\n".join(lines), mapping)
    assert len(found.batch) == 2
    assert [one.reason for one in found.remarks] == ["event:chat"]


@pytest.mark.parametrize(
    ("tick", "reason", "said"),
    [
        ({"price": None}, "wrong_type", "price=None"),
        ({"price": 1.5, "at": "yesterday"}, "bad_time", "yesterday"),
        ({"at": 1925089445250.5}, "time_too_fine", "--truncate-times"),
        ({"active": 1}, "wrong_type", "active=1"),
        ({"gameId": ""}, "wrong_type", "game_id=''"),
        ({"tickCount": -1}, "out_of_range", "tick=-1"),
    ],
)
def test_damage_of_a_mapped_field_is_named(tick: dict[str, Any], reason: str, said: str) -> None:
    """A value that cannot be stored damages its line, by field and value, as in every dialect."""
    mapping = Mapping(fields=NAMES, time_unit="us" if "at" in tick and tick["at"] != "yesterday" else "ms")
    found = mapping.read(json.loads(json.dumps(TICK | tick), parse_float=Decimal))
    assert (found.kind, found.label) == (Kind.DAMAGED, reason)
    assert said in found.detail
    missing = Mapping(fields=NAMES | {"price": "px"}).read(TICK)
    assert (missing.label, "nothing at 'px'" in missing.detail) == ("missing_field", True)


@pytest.mark.parametrize(
    ("unit", "number"),
    [("s", "1925089445.25"), ("ms", "1925089445250"), ("us", "1925089445250000"), ("ns", "1925089445250000000")],
)
def test_units_of_time_are_exact(unit: str, number: str) -> None:
    """Numbers of any unit, and their texts, are read without a float; what is too fine is cut only when asked."""
    for text in (number, f'"{number}"'):
        data = line(timestamp=None).replace(b'"timestamp": null', b'"timestamp": ' + text.encode())
        found = scan(data, Mapping(time_unit=unit))
        assert found.batch.wall_us.tolist() == [1925089445250_000]
    fine = line(timestamp="2031-01-02T03:04:05.123456789Z")
    assert scan(fine, Mapping(time_unit=unit)).account.reasons == {"time_too_fine": 1}
    cut = scan(fine, Mapping(truncate_times=True))
    assert (cut.batch.wall_us[0] % 1_000_000, cut.account.ticks["truncated"]) == (123456, 1)


@pytest.mark.parametrize(
    ("number", "reason", "us"),
    [
        ("1e999999", "bad_time", None),
        ("-1e999999", "bad_time", None),
        ("1e-999999", "time_too_fine", 0),
        ("-1e-999999", "time_too_fine", -1),
        ("1925089445.250000000000000000000000000000000001", "time_too_fine", 1925089445250_000),
        ("1925089445.250000000000000000000000000000000000", "", 1925089445250_000),
        ("19250894452500000e-7", "", 1925089445250_000),
        ("1925089445" + "0" * 4000 + "e-4000", "", 1925089445000_000),
        ("-0.5", "", -500_000),
    ],
)
def test_numbers_of_any_length_are_exact_times(number: str, reason: str, us: int | None) -> None:
    """Digits beyond any precision count: a time is never rounded, and a number that is none is damage."""
    data = line(timestamp=None).replace(b'"timestamp": null', b'"timestamp": ' + number.encode())
    found = scan(data, Mapping(time_unit="s"))
    assert dict(found.account.reasons) == ({reason: 1} if reason else {})
    cut = scan(data, Mapping(time_unit="s", truncate_times=True))
    assert cut.batch.wall_us.tolist() == ([] if us is None else [us])
    assert cut.account.ticks["truncated"] == (reason == "time_too_fine")


def test_trades_are_a_game_a_day(tmp_path: Path) -> None:
    """Trades without a game are numbered by their place in the day, also when the file grows."""
    path = tmp_path / "trades.jsonl"
    later = b"".join(b'{"ts": %d, "px": "1.%d"}\n' % (1925089445000 + 86_400_000 + n, n) for n in range(5))
    for data in (TRADES[:400], TRADES, TRADES + later):
        path.write_bytes(data)
        report = quiet(path, tmp_path / "store", mapping="trades")
        assert report.balanced
    store = open_store(tmp_path / "store")
    assert store.game_ids() == ["2031-01-02", "2031-01-03"]
    assert [store[game].ticks().column("tick").to_pylist() for game in store.game_ids()] == [[*range(20)], [*range(5)]]
    assert store.verify().ok
    quiet(path, tmp_path / "once", mapping="trades")
    assert open_store(tmp_path / "once").verify().rows_digest == store.verify().rows_digest


def test_games_by_file_and_by_silence(tmp_path: Path) -> None:
    """A game may be a file, or end where nothing comes for some seconds."""
    path = tmp_path / "btc.jsonl"
    times = [0, 1, 2, 500, 501, 1_200]
    path.write_bytes(b"".join(b'{"ts": %d, "px": 1}\n' % (1925089445 + at) for at in times))
    base = {"fields": {"timestamp": "ts", "price": "px"}, "constants": {"active": True, "rugged": False}}
    quiet(path, tmp_path / "file", mapping=Mapping.of(base | {"time_unit": "s", "game": "file"}))
    quiet(path, tmp_path / "gap", mapping=Mapping.of(base | {"time_unit": "s", "game": "gap:300"}))
    assert open_store(tmp_path / "file").game_ids() == ["btc"]
    assert [len(game) for game in open_store(tmp_path / "gap")] == [3, 2, 1]
    assert open_store(tmp_path / "gap").game_ids()[0] == "btc-20310102T030405.000000"


START = 1925089445250
GAME = {"id": "g7", "start": START, "prices": ["1", Decimal("1.25"), None, "0.0056"]}
ROWS = [("g7", 0, "1", 0, False), ("g7", 1, "1.25", 250, False), ("g7", 3, "0.0056", 750, True)]
WITHIN = {"prices": "prices", "time_unit": "ms", "fields": {"game_id": "id", "timestamp": "start"}, "rug": "rug"}


@pytest.mark.parametrize(
    ("found", "options"),
    [
        ({"rug": 3}, {}),
        ({"rug": True}, {}),
        ({"rug": 3, "start": "2031-01-02T03:04:05.250Z"}, {}),
        ({"rug": 3, "start": Decimal("1925089445.25")}, {"time_unit": "s"}),
        ({"rug": 3, "prices": [[0, 1], [1, "1.25"], [3, Decimal("0.0056")]]}, {"tick_at": "[0]", "price_at": "[1]"}),
        ({"rug": 3, "prices": [{"p": 1}, {"p": "1.25"}, {"p": None}, {"p": "0.0056"}]}, {"price_at": ["price", "p"]}),
        ({"rug": 3, "prices": {"0": 1, "1": "1.25", "3": "0.0056"}}, {"prices": "prices{}", "tick_at": "{}"}),
        (
            {
                "rug": 3,
                "prices": [{"t": START + 250 * n, "n": n, "p": p} for n, p in [(0, 1), (1, "1.25"), (3, "0.0056")]],
            },
            {"price_at": "p", "tick_at": "n", "time_at": "t"},
        ),
    ],
)
def test_games_that_hold_prices(found: dict[str, Any], options: dict[str, Any]) -> None:
    """Prices as numbers, texts, pairs, objects or an object; times of any unit; the end by number or by a flag."""
    game = GAME | found
    wanted = [(g, tick, Decimal(price), (START + ms) * 1000, end) for g, tick, price, ms, end in ROWS]
    member = {name: value for name, value in game.items() if name != "id"}
    within = WITHIN | options
    forms = [
        (game, ""),
        ({"games": [game]}, "games[]"),
        ({"all": {"games": {"x": game}}}, "all.games{}"),
        ([game], ""),
        ({"games": [game]}, ["games[]", "games{}", ""]),
        (game, ["games[]", "games{}", ""]),
    ]
    for document, path in forms:
        mapping = Mapping.of(within | {"path": path})
        line = interpret(document, 0, Reading(mapping, mapping.times()))
        assert line.kind is Kind.TICK, line
        assert [(row.game_id, row.tick, row.price, row.wall_us, row.rugged) for row in line.rows] == wanted
    by_name = Mapping.of(within | {"path": "{}", "fields": {"game_id": "{}", "timestamp": "start"}})
    assert {row.game_id for row in by_name.read({"g7": member}).rows} == {"g7"}


@pytest.mark.parametrize(
    ("found", "options", "reason", "said"),
    [
        ({"prices": [1, [2, 3]]}, {}, "missing_field", "prices[1]=[2, 3]: is no plain price: say where"),
        ({"prices": [{"n": 1}]}, {"price_at": "p"}, "missing_field", "prices[0].p"),
        ({"prices": ["x"]}, {}, "wrong_type", "prices[0]='x'"),
        ({"prices": 1}, {}, "wrong_type", "must be an array of prices"),
        ({"rug": "soon"}, {}, "wrong_type", "rug='soon'"),
        ({"rug": [1]}, {}, "wrong_type", "rug=[1]"),
        ({}, {"fields": {"game_id": "id", "timestamp": "at"}}, "missing_field", "nothing at 'at'"),
        ({"prices": {"a": 1}}, {"prices": "prices{}", "tick_at": "{}"}, "wrong_type", "prices[a]='a'"),
        ({}, {"first_tick": "from"}, "missing_field", "from"),
    ],
)
def test_damage_in_games_is_named(found: dict[str, Any], options: dict[str, Any], reason: str, said: str) -> None:
    """What a game lacks, or has otherwise than was declared, is named by field, place and value."""
    line = Mapping.of(WITHIN | options).read(GAME | found)
    assert (line.kind, line.label) == (Kind.DAMAGED, reason)
    assert said in line.detail


def test_a_field_that_may_be_missing_is_unknown() -> None:
    """Only what the mapping says may be missing is: the time is then not known."""
    mapping = Mapping.of(WITHIN | {"optional": ["timestamp"], "fields": {"game_id": "id", "timestamp": "at"}})
    assert {row.wall_us for row in mapping.read(GAME).rows} == {None}


def test_the_mapping_is_kept_and_part_of_the_identity(tmp_path: Path) -> None:
    """What was read by it is known by it; by another mapping the same file is another source."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(TRADES)
    quiet(path, tmp_path / "store", mapping="trades")
    assert quiet(path, tmp_path / "store", mapping=READY["trades"]).ticks_known == 20
    remarks = open_store(tmp_path / "store").remarks("annotation").to_pylist()
    assert [json.loads(one["raw"])["game"] for one in remarks if one["reason"] == "mapping"] == ["day"]
    other = Mapping(
        fields={"timestamp": "ts", "price": "px"},
        constants={"active": False, "rugged": False},
        time_unit="ms",
        game="file",
    )
    assert quiet(path, tmp_path / "store", mapping=other).ticks_stored == 20
    assert open_store(tmp_path / "store").verify().ok


@given(recordings(), st.sampled_from([*READY]))
def test_any_bytes_by_any_mapping_have_an_exact_account(data: bytes, name: str) -> None:
    """Fuzz: every byte and line is accounted for, and remarks point at their bytes."""
    found = scan(data, READY[name])
    account = found.account
    assert sum(account.bytes.values()) == len(data)
    assert sum(account.lines.values()) == len(found.part_of_line)
    assert sum(account.ticks[kind] for kind in ("clean", "merged", "torn")) == len(found.batch)
    assert all(one.raw in {None, data[one.start : one.end]} for one in found.remarks)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time_unit = 'days'", "time_unit='days': must be one of s, ms, us, ns"),
        ("fields = {prize = 'px'}", "'prize' is no field of a tick"),
        ("game = 'week'", "must be day, file or gap:SECONDS"),
        ("paths = 'x'", "paths: a mapping has path"),
        ("path = 'a[x]'", "is no path"),
        ("fields = 'x'", "must be tables"),
        ("fields = {price = 'p'}\nconstants = {price = 1}", "price is both a field and a constant"),
        ("step_ms = -1", "must be milliseconds"),
        ("=", "not a mapping in TOML"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """Every mistake is named when the mapping is made, before anything is read."""
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        Mapping.load(tmp_path / "m.toml")
    assert said in str(caught.value)
    with pytest.raises(SettingsError, match="neither a file nor one of vectra, pandas, trades, games"):
        Mapping.load("nothing")


def test_times_at_the_beginning_of_the_epoch_are_flagged(tmp_path: Path) -> None:
    """A number that is no time, or one of another unit, shows as times in 1970."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"ts": 17, "px": 1}\n{"ts": 1925089445000, "px": 1}\n')
    report = quiet(path, tmp_path / "store", mapping="trades")
    assert report.times_at_epoch == 1
    assert "times in 1970: 1" in str(report)
