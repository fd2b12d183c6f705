"""Laws of reading: exact, the same by every road, every byte accounted for, wherever the file is cut."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final, NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from replaylab.parsing.fields import PADDING
from replaylab.parsing.json_line import Kind, Line, parse_line
from replaylab.parsing.kernel_layout import Known
from replaylab.parsing.resync import resynchronise
from replaylab.parsing.scan import BYTE_KINDS, Remark, Scan, scan, scan_block, seen_tick
from replaylab.tick import Tick
from tests.crash.scale import SCALE
from tests.strategies import (
    CAPTURED,
    CONTROL,
    GAME_STATE,
    JOURNAL_KEYS,
    ODD,
    OTHER,
    PLAIN,
    TICK_KEYS,
    recordings,
    tick_line,
    ticks,
)

BOM: Final = b"\xef\xbb\xbf"
LEAST: Final = -(2**63)  # null in a whole column of a batch
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TIME: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?"
    r"(?:(Z)|([+-])([0-9]{2})(?::?([0-9]{2}))?)?"
)
NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


class Told(NamedTuple):
    """A row in plain values, in the order of `replaylab.parsing.json_line.Row`."""

    game_id: str
    tick: int
    wall_us: int | None
    zoned: bool
    price: Decimal | None
    price_filled: bool
    recorded_phase: str | None
    active: bool
    rugged: bool
    cooldown_timer: int | None
    trade_count: int | None
    repaired: bool = False
    further: tuple[object, ...] = ()


class Number(str):
    """The text of a JSON number."""

    __slots__ = ()


def fraction(text: str) -> Number:
    """Give the text of a number; an exponent of more digits than a machine word is refused."""
    require(abs(int(text.lower().partition("e")[2] or 0)) < 10**18)
    return Number(text)


class RefusedError(ValueError):
    """The slow reader will not take a line."""


def require(truth: object) -> None:
    """Refuse the line unless something holds."""
    if not truth:
        raise RefusedError


def read_slowly(line: bytes) -> tuple[str, list[Told]]:
    """Read one line with `json` and fractions alone: its kind and its rows; raises `RefusedError` for damage."""
    stripped = line.strip(b" \t\r\n")
    if not stripped or stripped[:1] == b"#":
        return ("annotation" if stripped else "blank"), []
    try:
        value = decoded(stripped)
    except json.JSONDecodeError:
        return array_line(stripped)
    except (ValueError, RecursionError):
        raise RefusedError from None
    if isinstance(value, list):
        return "tick", objects(value)
    return read_object(value)


def decoded(text: bytes) -> Any:
    """Decode JSON, numbers as their texts."""
    return json.loads(
        text.decode(), parse_float=fraction, parse_int=Number, parse_constant=Number, object_pairs_hook=pairs
    )


def array_line(line: bytes) -> tuple[str, list[Told]]:
    """Read objects with commas between them, a bracket or comma before them, a bracket and a comma behind them."""
    inner = line[1:] if line[:1] in {b"[", b","} else line
    inner = inner.rstrip(b" \t\r\n")
    inner = (inner[:-1] if inner[-1:] == b"," else inner).rstrip(b" \t\r\n")
    inner = (inner[:-1] if inner[-1:] == b"]" else inner).strip(b" \t\r\n")
    if not inner:
        return "blank", []
    require(inner[:1] == b"{" and inner[-1:] == b"}")
    try:
        found = decoded(b"[" + inner + b"]")
    except (ValueError, RecursionError):
        raise RefusedError from None
    return read_object(found[0]) if len(found) == 1 else ("tick", objects(found))


def objects(found: list[Any]) -> list[Told]:
    """Return the rows of objects that are ticks, all of them."""
    require(found and isinstance(found[0], dict))
    read = [read_object(one) for one in found]
    require(all(kind == "tick" for kind, _ in read))
    return [row for _, rows in read for row in rows]


def read_object(value: Any) -> tuple[str, list[Told]]:
    """Read a decoded object."""
    require(isinstance(value, dict))
    event = value["event"] if "event" in value else value.get("event_type")
    if text(event) is not None and "data" in value:
        valid(event)
        return captured(value, event)
    kind = value.get("type")
    if (text(kind) and kind == "tick") or (kind is None and "tick" in value and "price" in value):
        return "tick", [flat(value)]
    if text(kind):
        valid(kind)
        require(not {"game_id", "tick", "price"} <= set(value))
        return "control", []
    if "meta" in value and isinstance(value.get("prices"), list):
        return "tick", game_state(value)
    known = {"_metadata", "_header", "_footer", "server_seed"}
    require(("meta" in value and "actions" in value) or known & set(value))
    return "control", []


def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
    """Give an object; one that names a key twice is refused."""
    require(len({key for key, _ in found}) == len(found))
    return dict(found)


def text(value: object) -> str | None:
    """Give a JSON text; None for anything else, numbers included."""
    return value if isinstance(value, str) and not isinstance(value, Number) else None


def valid(value: object) -> str:
    """Give a text that is not empty and valid Unicode."""
    found = text(value)
    require(found and not any(0xD800 <= ord(char) < 0xE000 for char in found))
    return str(found)


def whole(value: object, least: int) -> int:
    """Give a whole number within bounds."""
    require(isinstance(value, Number) and re.fullmatch("-?[0-9]{1,4300}", value))
    require(least <= int(str(value)) < 2**31)
    return int(str(value))


def maybe(value: object, least: int) -> int | None:
    """Give a whole number, or None for null."""
    return None if value is None else whole(value, least)


def flag(value: object) -> bool:
    """Give true or false."""
    require(value is True or value is False)
    return value is True


def amount(value: object) -> Decimal:
    """Give a price, judged by exact fractions."""
    require(isinstance(value, str) and NUMBER.fullmatch(value))
    mantissa, _, exponent = str(value).lower().partition("e")
    if not mantissa.strip("+-.0"):
        return Decimal(0)
    require(len(exponent) < 9)
    require(abs(int(exponent or 0)) < 10_000)
    exact = Fraction(mantissa.rstrip(".")) * Fraction(10) ** int(exponent or 0)
    scaled = exact * 10**24
    require(abs(exact) < 10**14 and scaled.denominator == 1)
    return Decimal(f"{scaled.numerator}E-24")


def moment(value: object) -> tuple[int | None, bool]:
    """Give microseconds as written, or in UTC when there is a zone, and whether there is one."""
    if value is None:
        return None, True
    found = TIME.fullmatch(text(value) or "")
    require(found)
    assert found is not None
    year, month, day, hour, minute = (int(part) for part in found.groups()[:5])
    fraction = (found[7] or "").ljust(9, "0")
    require(fraction[6:] == "000" and hour < 24 and 1 < year < 9999)
    try:
        at = datetime(year, month, day, hour, minute, int(found[6] or 0), int(fraction[:6]), UTC)
    except ValueError:
        raise RefusedError from None
    hours, minutes = int(found[10] or 0), int(found[11] or 0)
    require(hours < 24 and minutes < 60)
    ahead = timedelta(hours=hours, minutes=minutes) * (-1 if found[9] == "-" else 1)
    return (at - EPOCH - ahead) // timedelta(microseconds=1), bool(found[8] or found[9])


def flat(value: dict[str, Any]) -> Told:
    """Give the row of a tick object."""
    require({"game_id", "tick", "timestamp", "price", "active", "rugged"} <= set(value))
    active = flag(value["active"])
    filled = not active and value["price"] == "1.0"
    return Told(
        valid(value["game_id"]),
        whole(value["tick"], 0),
        *moment(value["timestamp"]),
        None if filled else amount(value["price"]),
        filled,
        None if value.get("phase") is None else valid(value["phase"]),
        active,
        flag(value["rugged"]),
        maybe(value.get("cooldown_timer"), 1 - 2**31),
        maybe(value.get("trade_count"), 0),
    )


def captured(value: dict[str, Any], event: str) -> tuple[str, list[Told]]:
    """Give the row of a captured broadcast, or a control line for any other event."""
    data = value["data"]
    if event != "gameStateUpdate" or not isinstance(data, dict) or "gameId" not in data:
        return "control", []
    time = moment(value["timestamp"] if "timestamp" in value else value.get("ts"))
    timer, trades = maybe(data.get("cooldownTimer"), 1 - 2**31), maybe(data.get("tradeCount"), 0)
    if "price" not in data:
        return "tick", [Told(valid(data["gameId"]), 0, *time, None, True, None, False, False, timer, trades)]
    flags = flag(data.get("active")), flag(data.get("rugged"))
    tick = whole(data.get("tickCount"), 0)
    return "tick", [Told(valid(data["gameId"]), tick, *time, amount(data["price"]), False, None, *flags, timer, trades)]


def game_state(value: dict[str, Any]) -> list[Told]:
    """Give the rows of a game state file."""
    game = valid(value["meta"].get("game_id"))
    found = [(tick, amount(one)) for tick, one in enumerate(value["prices"]) if one is not None]
    rows = [Told(game, tick, None, True, price, False, None, True, False, None, None) for tick, price in found]
    if len(rows) > 1 and found[-1][1] <= min(Decimal(1), found[-2][1]) / 50 + Decimal("1E-15"):
        rows[-1] = rows[-1]._replace(rugged=True)
    return rows


def told(found: Scan) -> list[tuple[int, Told]]:
    """Give (line, row) of every tick of a scan, in plain values."""
    batch = found.batch

    def known(values: Any) -> list[int | None]:
        return [None if value == LEAST else value for value in values.tolist()]

    def named(names: Any) -> list[Any]:
        return [None if code < 0 else names.texts[code] for code in names.codes.tolist()]

    columns = zip(
        named(batch.game),
        batch.tick.tolist(),
        known(batch.wall_us),
        batch.zoned.tolist(),
        batch.price.to_pylist(),
        batch.price_filled.tolist(),
        named(batch.recorded_phase),
        batch.active.tolist(),
        batch.rugged.tolist(),
        known(batch.cooldown_timer),
        known(batch.trade_count),
        batch.repaired.tolist(),
        strict=True,
    )
    return list(zip(batch.line.tolist(), (Told(*row) for row in columns), strict=True))


class Alone:
    """What reading every line alone gives: rows, remarks and account."""

    def __init__(self, data: bytes) -> None:
        self.rows: list[tuple[int, Told]] = []
        self.remarks: list[Remark] = []
        self.bytes: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()
        self.ticks: Counter[str] = Counter()
        at = 0
        for number, line in enumerate(re.findall(rb"[^\n]*\n|[^\n]+\Z", data)):
            self._line(number, at, line)
            at += len(line)

    def _line(self, number: int, at: int, raw: bytes) -> None:
        if raw.startswith(BOM):
            self.bytes["blank"] += 3
            at, raw = at + 3, raw[3:]
        line = parse_line(raw)
        self.lines[line.kind] += 1
        try:
            kind, rows = read_slowly(raw)
        except RefusedError:
            assert line.kind is Kind.DAMAGED
            self._damaged(number, at, raw, line)
            return
        assert (line.kind, len(line.rows)) == (kind, len(rows))
        self.bytes["blank" if kind == "blank" else "kept"] += len(raw)
        self.ticks["clean"] += len(rows)
        self.rows += [(number, row) for row in rows]
        if kind in {"control", "annotation"}:
            self.remarks.append(Remark(kind, line.label, number, at, at + len(raw), None if line.private else raw))

    def _damaged(self, number: int, at: int, raw: bytes, line: Line) -> None:
        spans = resynchronise(raw.rstrip(b"\r\n")) if line.broken else []
        if not any(span.line for span in spans) and (len(spans) < 2 or line.label == "not_utf8"):
            reason = spans[0].reason if spans and line.label == "not_json" else line.label
            self.bytes["quarantined"] += len(raw)
            self.remarks.append(Remark("quarantine", reason, number, at, at + len(raw), raw))
            return
        assert [span.start for span in spans[1:]] == [span.end for span in spans[:-1]]
        for span in spans:
            end = len(raw) if span is spans[-1] else span.end
            piece = raw[span.start : end]
            place = (number, at + span.start, at + end)
            if span.line is None:
                self.bytes["quarantined"] += len(piece)
                self.remarks.append(Remark("quarantine", span.reason, *place, piece))
                continue
            self.bytes["repaired"] += len(piece)
            self.remarks.append(Remark("repair", span.reason, *place, None))
            self.ticks["merged" if span.reason == "merged_line" else "torn"] += len(span.line.rows)
            self.rows += [(number, Told(*row)) for row in span.line.rows]
            if span.line.kind is Kind.CONTROL:
                self.remarks.append(Remark("control", span.line.label, *place, None if span.line.private else piece))


def nonzero(found: Counter[str]) -> dict[str, int]:
    """Give the counts that are not 0, under plain names."""
    return {str(name): count for name, count in found.items() if count}


def check(data: bytes) -> None:
    """Hold a scan of all lines together against reading each alone."""
    found, alone = scan(data), Alone(data)
    assert told(found) == alone.rows
    assert [one._replace(detail="") for one in found.remarks] == alone.remarks
    account = found.account
    filled = sum(row.price_filled for _, row in alone.rows)
    assert nonzero(account.bytes) == nonzero(alone.bytes)
    assert nonzero(account.lines) == nonzero(alone.lines)
    lost = sum(seen_tick(one.raw or b"") for one in alone.remarks if one.kind == "quarantine")
    assert nonzero(account.ticks) == nonzero(alone.ticks + Counter(filled=filled, lost=lost))
    assert account.reasons == Counter(one.reason for one in found.remarks if one.kind in {"repair", "quarantine"})


def check_account(data: bytes) -> None:
    """Hold the account and the remarks of a scan against the bytes."""
    found = scan(data)
    account = found.account
    starts = [0, *(match.end() for match in re.finditer(b"\n", data))]
    lines = len(starts) - (data.endswith(b"\n") or not data)
    assert set(nonzero(account.bytes)) <= set(BYTE_KINDS)
    assert sum(account.bytes.values()) == len(data)
    assert sum(account.lines.values()) == lines == len(found.part_of_line)
    assert account.ticks["clean"] + account.ticks["merged"] + account.ticks["torn"] == len(found.batch)
    for remark in found.remarks:
        end = starts[remark.line + 1] if remark.line + 1 < len(starts) else len(data)
        assert starts[remark.line] <= remark.start < remark.end <= end
        assert remark.raw is None or remark.raw == data[remark.start : remark.end]
    sizes = Counter[str]()
    for remark in found.remarks:
        sizes[remark.kind] += remark.end - remark.start
    assert (sizes["repair"], sizes["quarantine"]) == (account.bytes["repaired"], account.bytes["quarantined"])


@given(st.lists(ticks(), max_size=8), st.booleans())
def test_a_tick_written_and_scanned_is_the_same_tick(given_ticks: list[Tick], crlf: bool) -> None:  # noqa: FBT001
    """Any ticks, written one a line, come back equal in every field, among others as well as alone."""
    ending = b"\r\n" if crlf else b"\n"
    data = b"".join(tick.to_line() + ending for tick in given_ticks)
    found = told(scan(data))
    assert found == [
        (
            line,
            Told(
                tick.game_id,
                tick.tick,
                tick.at_us,
                True,
                tick.price,
                False,
                tick.phase,
                tick.active,
                tick.rugged,
                tick.cooldown_timer,
                tick.trade_count,
            ),
        )
        for line, tick in enumerate(given_ticks)
    ]
    assert scan(data).account.bytes["kept"] == len(data)


@settings(max_examples=100 * SCALE)
@given(recordings())
@example(b"")
@example(b"\n")
@example(b"\r\n")
@example(BOM)
@example(BOM + b"\n" + BOM)
def test_lines_together_give_what_each_gives_alone(data: bytes) -> None:
    """Rows, remarks and account of a block are those of its lines, read one by one from `json` and fractions."""
    check(data)


def test_every_odd_value_is_read_the_same_beside_plain_lines() -> None:
    """No value of any field is read differently because the lines around it are plain."""
    for key, values in ODD.items():
        keys = TICK_KEYS if key in TICK_KEYS else JOURNAL_KEYS
        plain = tick_line(keys).encode()
        for value in values:
            odd = tick_line(keys, {key: value}).encode("utf-8", "surrogateescape")
            inactive = tick_line(keys, {"active": "false"} | {key: value}).encode("utf-8", "surrogateescape")
            check(b"\n".join([plain, odd, plain, inactive, odd[:-1], odd + b"\r", plain]))


def test_every_odd_line_is_read_the_same_beside_plain_lines() -> None:
    """Control lines, other dialects and scraps stay what they are among ticks."""
    plain = tick_line(TICK_KEYS).encode()
    for line in [*CONTROL, *CAPTURED, *GAME_STATE, *OTHER]:
        check(b"\n".join([plain, line.encode(), plain, line.encode() + plain, plain + line.encode()]))


@settings(max_examples=80 * SCALE)
@given(st.one_of(st.binary(max_size=200), recordings()))
@example(b"\x00" * 50)
@example(BOM + b"\x00\n\xff\xfe\n" + BOM + b" ")
def test_every_byte_and_line_is_accounted_for(data: bytes) -> None:
    """Whatever the bytes: kept + repaired + quarantined + blank, lines by kind, remarks that point at their bytes."""
    check_account(data)


@settings(max_examples=50 * SCALE)
@given(recordings(), st.data())
def test_a_file_may_be_cut_at_any_line(data: bytes, draw: st.DataObject) -> None:
    """Parts scanned one by one, or together as parts of one block, give what the whole file gives."""
    ends = [match.end() for match in re.finditer(b"\n", data)]
    cuts = sorted(draw.draw(st.sets(st.sampled_from(ends)))) if ends else []
    parts = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    at, line = 0, 0
    rows: list[tuple[int, Told]] = []
    remarks: list[Remark] = []
    account = scan(b"").account
    for part in parts:
        found = scan(part)
        rows += [(line + number, row) for number, row in told(found)]
        remarks += [one._replace(line=one.line + line, start=one.start + at, end=one.end + at) for one in found.remarks]
        account.add(found.account)
        at, line = at + len(part), line + len(found.part_of_line)
    entire = scan(data)
    assert (rows, remarks) == (told(entire), entire.remarks)
    assert [nonzero(one) for one in (account.bytes, account.lines, account.ticks, account.reasons)] == [
        nonzero(one)
        for one in (entire.account.bytes, entire.account.lines, entire.account.ticks, entire.account.reasons)
    ]


@settings(max_examples=40 * SCALE)
@given(st.lists(recordings(), min_size=1, max_size=4), st.lists(recordings(), max_size=2))
def test_files_in_one_block_keep_their_own_accounts(files: list[bytes], before: list[bytes]) -> None:
    """Small files read as one block, with shapes known from earlier blocks, give each the account it has alone."""
    shapes: list[Known] = []
    for data in before:
        whole_lines = data + b"\n"
        scan_block(bytearray(whole_lines + bytes(PADDING)), [(len(whole_lines), False)], shapes)
    block, parts = bytearray(), []
    for data in files:
        unended = bool(data) and not data.endswith(b"\n")
        block += data + b"\n" * unended
        parts.append((len(block), unended))
    found = scan_block(block + bytes(PADDING), parts, shapes)
    alone = [scan(data) for data in files]
    assert [row for _, row in told(found)] == [row for one in alone for _, row in told(one)]
    assert [(one.kind, one.reason, one.raw) for one in found.remarks] == [
        (one.kind, one.reason, one.raw) for each in alone for one in each.remarks
    ]
    for account, one in zip(found.accounts, alone, strict=True):
        for kind in ("bytes", "lines", "ticks", "reasons"):
            assert nonzero(getattr(account, kind)) == nonzero(getattr(one.account, kind))
    assert found.part_of_line.tolist() == [part for part, one in enumerate(alone) for _ in range(len(one.part_of_line))]


def test_plain_lines_are_plain() -> None:
    """The line that stands for a healthy one in these laws is read as such."""
    (row,) = told(scan(tick_line(TICK_KEYS).encode()))
    assert row[1].price == Decimal(PLAIN["price"])
    assert read_slowly(tick_line(TICK_KEYS).encode()) == ("tick", [row[1]])
