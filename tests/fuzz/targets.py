"""What is fuzzed: the readers of bytes from outside, each held to its laws in any input.

The laws: no exception but ours, every byte and line accounted for, and the fast road finds what the careful one finds.
"""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from replaylab.errors import FeedMalformed, ReplayLabError
from replaylab.feeds.engineio import PacketKind, packet_of
from replaylab.feeds.rugs import RugsReader
from replaylab.feeds.rugs_wire import captured_of, event_of
from replaylab.feeds.websocket import _CAPTURE, Lines
from replaylab.journals import format as journal
from replaylab.journals.encoder import Encoder, closed, seed_of
from replaylab.journals.reader import JournalReader
from replaylab.kernel.library import load
from replaylab.parsing import scan as scanning
from replaylab.parsing.json_line import PLAIN, Reading, parse_line
from replaylab.parsing.line_reader import LineReader
from replaylab.parsing.mapping import READY, Mapping
from replaylab.parsing.scan import BYTE_KINDS, Account, Scan, scan, scan_document
from replaylab.table import SCHEMA, Batch
from replaylab.tick import Tick
from tests.kernel.mapped import FORMS, values
from tests.kernel.roads import LAYOUTS, line, rows_of

AT: Final = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN: Final = "20310102T030405000000Z-0123456789ab-7"
MAPPINGS: Final = [*(form.mapping for form in FORMS.values() if form.mapping is not None), READY["games"]]
_LIBRARY: Final = load()
_SEED: Final = seed_of(RUN)
_REASON: Final = re.compile(r"[\w:/.-]{1,80}", re.ASCII)
_SIGN: Final = b"!"  # a line that begins with it is closed with the checksum that it lacks: no chance finds one


def recordings(data: bytes) -> None:
    """Read lines of recordings by all three roads: the kernel, numpy and the general parser."""
    _same_by_every_road(data, None)


def mappings(data: bytes) -> None:
    """Read lines, or a document, of other recorders; the first byte chooses the mapping."""
    if not data:
        return
    chosen = MAPPINGS[data[0] % len(MAPPINGS)]
    _same_by_every_road(data[1:], chosen)
    assert sum(scan_document(data[1:], chosen).account.bytes.values()) == len(data) - 1


def journal_lines(data: bytes) -> None:
    """Tell the lines of a journal from damage, at once and in two pieces: every byte and line, and the same ones."""
    content = _signed(data)
    whole = journal.scan(content, RUN)
    _journal_account(whole, content)
    ends = [start + size for start, size in zip(whole.starts, whole.sizes, strict=True)]
    assert all(content[:end].rstrip(b"\n").endswith(b'"}') for end in ends)
    cut = len(content) // 2
    first = journal.scan(content[:cut], RUN, final=False)
    rest = journal.scan(content[first.end :], RUN, start=first.end, first_line=first.line_count)
    for name in ("ticks", "seqs", "lines", "starts", "sizes", "headers", "others", "damage"):
        assert getattr(whole, name) == getattr(first, name) + getattr(rest, name), name
    assert (whole.end, whole.line_count) == (len(content), first.line_count + rest.line_count)


def journals(data: bytes) -> None:
    """Read a journal as it is sealed, at once and in two pieces: one account, and the rows of its good lines."""
    content = _signed(data)
    try:
        whole = _journal(content, len(content))
    except ReplayLabError:
        return
    pieces = _journal(content, len(content) // 2)
    extent = whole.extent()
    assert extent == pieces.extent()
    assert sum(extent.bytes.values()) == extent.end == len(content)
    assert set(extent.bytes) <= set(BYTE_KINDS)
    read = [pa.concat_tables([SCHEMA.empty_table(), *one.tables()]) for one in (whole, pieces)]
    assert read[0].to_pylist() == read[1].to_pylist()
    good = [parse_line(one).rows for one in journal.scan(content, RUN).ticks]
    prices = {(row.game_id, row.tick, row.price) for rows in good for row in rows}
    assert read[0].num_rows == extent.tick_count <= len(good)
    assert prices.issuperset(zip(*(read[0][name].to_pylist() for name in ("game_id", "tick", "price")), strict=True))


def packets(data: bytes) -> None:
    """Decode frames of the game: what is none is refused as malformed or counted, by a reason that names no person."""
    counted: list[str] = []
    reader = RugsReader(trades=True, count=counted.append)
    reader.connected(AT)
    for raw in data.split(b"\n"):
        try:
            packet = packet_of(raw)
            if packet.kind is PacketKind.EVENT:
                name, arguments = event_of(packet.payload)
                assert name == _by_json(packet.payload, name)
                for one in arguments[:1]:
                    reader.take(name, one, AT)
        except FeedMalformed as error:
            counted.append(error.reason)
        if raw[:1] == b"{":
            try:
                event = captured_of(raw)
                reader.take(event.event_type or event.event or "other", event.data, AT)
            except FeedMalformed as error:
                counted.append(error.reason)
    assert all(_REASON.fullmatch(one) for one in counted), counted


def stream(data: bytes) -> None:
    """Read lines of a live feed: a form that was learnt finds the tick that the general parser finds, or none."""
    counted: list[str] = []
    learnt = LineReader()
    ticks, lines = [], []
    for raw in data.split(b"\n"):
        careful = LineReader().read(raw)
        first, again = learnt.read(raw), learnt.read(raw)
        assert first == again == careful, raw
        if not _CAPTURE.match(raw):  # else it may be an event, which is read otherwise, or a tick
            ticks += [careful] if isinstance(careful, Tick) else []
            lines.append(raw)
    plain = b"\n".join(lines)
    if plain != data:
        Lines(counted.append).read([data], AT)
    messages = Lines(counted.append).read([plain], AT).messages
    assert [one for one in messages if isinstance(one, Tick)][: len(ticks)] == ticks or b'"data"' in data


class Target(NamedTuple):
    """A reader and how many of 1,000 inputs are for it: the slower it is, the fewer."""

    check: Callable[[bytes], None]
    share: int


TARGETS: Final[dict[str, Target]] = {
    "recordings": Target(recordings, 20),
    "mappings": Target(mappings, 20),
    "journal_lines": Target(journal_lines, 250),
    "journals": Target(journals, 6),
    "packets": Target(packets, 634),
    "stream": Target(stream, 70),
}


def seeds(name: str) -> list[bytes]:
    """Return inputs to begin with: what each reader is made for, two of each form."""
    chance = random.Random(name)
    ticks = [Tick("g", n, AT, Decimal(100 + n) / 100, active=True) for n in range(3)]
    if name == "recordings":
        control = b'{"type": "game_start", "timestamp": "2031-01-02T03:04:05", "game_id": "g"}\n'
        state = b'{"meta": {"game_id": "g"}, "prices": [1, null, "0.01"]}\n'
        torn = line(chance, LAYOUTS[0])[:60] + line(chance, LAYOUTS[1]) + b"\n"
        lines = [b"\n".join(line(chance, layout) for _ in range(2)) + b"\n" for layout in LAYOUTS]
        return [control, state, torn, b"# note\n\n\xef\xbb\xbf[\n", *lines]
    if name in {"journals", "journal_lines"}:
        head = journal.Header(RUN, 0, 0, {"mode": "tick"}).to_line()
        coded = [Encoder(RUN).line(one, seq) for seq, one in enumerate(ticks)]
        unsigned = [_SIGN + one[: one.rindex(b', "crc"')] for one in (*coded, journal.end_line(RUN, 3))]
        whole = head + b"".join(coded) + journal.end_line(RUN, 3)
        return [whole, whole[:-20], head + b"\n".join(unsigned) + b"\n", b"\0" * 30 + coded[0] + coded[0]]
    if name == "mappings":
        made = []
        for form in FORMS.values():
            if form.mapping is not None:
                two = [form.text.format(**values(chance)).encode() for _ in range(2)]
                made.append(bytes([MAPPINGS.index(form.mapping)]) + b"\n".join(two) + b"\n")
        games = b'{"games": [{"id": "g", "startTime": 1925089445000, "prices": [1, 1.2, null, 0.01], "rugged": true}]}'
        return [*made, bytes([len(MAPPINGS) - 1]) + games]
    plain = b"\n".join(one.to_line().strip() for one in ticks)
    hello = b'{"type": "hello", "heartbeat_seconds": 5, "next": "a"}\n{"type": "end"}'
    if name == "stream":
        return [plain, hello, *(line(chance, layout) for layout in LAYOUTS)]
    update = (
        b'{"gameId": "g", "tickCount": 7, "price": 1.02, "active": true, "rugged": false, "cooldownTimer": 0,'
        b' "partialPrices": {"values": {"6": 1.01, "7": 1.02}}}'
    )
    ended = (
        b'{"gameId": "h", "rugged": true, "tickCount": 9, "price": 0.01, "prices": [1, 1.1], "gameHistory": [{"id":'
        b' "g", "prices": [1, 1.1, 0.01], "provablyFair": {"serverSeed": "aa", "serverSeedHash": "bb"}}]}'
    )
    trade = b'{"gameId": "g", "type": "buy", "price": 1.1, "qty": 1, "tickIndex": 3}'
    event = [b'42["gameStateUpdate",' + one + b"]" for one in (update, ended)]
    captured = b'{"event": "gameStateUpdate", "ts": "2031-01-02T03:04:05Z", "data": ' + update + b"}"
    return [b"\n".join(event), b'42/game,["standard/newTrade",' + trade + b"]", captured, b"2\n3probe"]


def _same_by_every_road(data: bytes, chosen: Mapping | None) -> None:
    by_numpy = _scan(data, chosen, None)
    careful = _careful(data, chosen)
    _accounts(data, by_numpy.account)
    _same(by_numpy, careful)
    if _LIBRARY is not None:
        _same(_scan(data, chosen, _LIBRARY), careful)


def _scan(data: bytes, chosen: Mapping | None, library: Any) -> Scan:
    scanning.load = lambda: library  # type: ignore[attr-defined,assignment] # `mock.patch` takes longer than the scan
    try:
        return scan(data, chosen)
    finally:
        scanning.load = load  # type: ignore[attr-defined]


def _careful(data: bytes, chosen: Mapping | None) -> Scan:
    """Scan by the general parser alone, line by line."""
    reading = PLAIN if chosen is None else Reading(chosen, chosen.times())
    reader = scanning._SlowReader([Account()], reading)
    at = 0
    lines = [one + b"\n" for one in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]  # what follows the last newline
    for number, raw in enumerate(lines if lines[-1] else lines[:-1]):
        added = raw[-1:] != b"\n"
        reader.read(number, at, raw + b"\n" * added, 0, added=added)
        at += len(raw)
    reader.account.ticks["filled"] += sum(row.price_filled for row in reader.rows)
    return Scan(Batch.of(reader.rows, reader.row_lines), reader.remarks, reader.accounts, np.zeros(0, np.int64))


def _same(one: Scan, other: Scan) -> None:
    assert rows_of(one) == rows_of(other)
    assert one.remarks == other.remarks
    assert one.account == other.account


def _accounts(data: bytes, account: Account) -> None:
    lines = data.count(b"\n") + (data[-1:] not in {b"", b"\n"})
    assert sum(account.bytes.values()) == len(data)
    assert set(account.bytes) <= set(BYTE_KINDS)
    assert sum(account.lines.values()) == lines


def _signed(data: bytes) -> bytes:
    """Return a journal in which the lines marked for it have their checksums."""
    return b"\n".join(closed(one[1:], _SEED)[:-1] if one[:1] == _SIGN else one for one in data.split(b"\n"))


def _journal_account(found: journal.Lines, content: bytes) -> None:
    damaged = sum(one.end - one.start for one in found.damage)
    assert sum(found.sizes) + found.control_bytes + found.blank_bytes + damaged == len(content)
    assert found.line_count == content.count(b"\n") + (content[-1:] not in {b"", b"\n"})


def _journal(content: bytes, first: int) -> JournalReader:
    reader = JournalReader(journal.journal_name(RUN, 0))
    if first < len(content):
        reader.read(io.BytesIO(content[:first]), first, final=False)
    reader.read(io.BytesIO(content), len(content), final=True)
    return reader


def _by_json(payload: bytes, name: str) -> object:
    """Return the first of an array by the standard library, which takes what another decoder need not."""
    try:
        return json.loads(payload)[0]
    except (ValueError, RecursionError):
        return name
