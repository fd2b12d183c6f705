"""Journals with and without damage, and all that a reader finds in one, by either road."""

from __future__ import annotations

import ctypes
import io
import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest import mock

from replaylab.journals.encoder import Encoder, origin_text
from replaylab.journals.format import Header, end_line
from replaylab.journals.reader import JournalReader
from replaylab.mark import Mark, MarkKind
from replaylab.tick import Tick
from tests.kernel.pipes import RUN
from tests.kernel.roads import mutated


def journal(chance: random.Random, ticks: int) -> bytes:
    """Return a journal of one run with marks, ticks of lanes, blank lines and an end, as a recorder may leave it."""
    encoder = Encoder(RUN)
    raws = [Header(RUN, 0, 0).to_line()]
    price, at = Decimal("1.5"), datetime(2031, 1, 2, tzinfo=UTC)
    for seq in range(ticks):
        origin = origin_text("lane", f"id-{seq}") if chance.random() < 0.1 else ""
        raws.append(encoder.line(Tick(f"g{seq // 50}", seq, at, price + seq, "X"), seq, origin))
        if chance.random() < 0.02:
            raws.append(encoder.mark_line(Mark(MarkKind.PHASE, at, f"g{seq // 50}", "lane", {"to": "X"}), seq + 1))
        if chance.random() < 0.02:
            raws.append(b"\n")
    return b"".join([*raws, end_line(RUN, ticks)] if chance.random() < 0.5 else raws)


def damaged(chance: random.Random, data: bytes) -> bytes:
    """Return a journal of which a few lines were mutated, moved, repeated, joined, zeroed or cut off."""
    raws = data.splitlines(keepends=True)
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(raws))
        match chance.randrange(6):
            case 0 | 1:
                raws[at] = mutated(chance, raws[at][:-1]) + b"\n"
            case 2:
                raws[at] = raws[at][:-1]
            case 3:
                raws.insert(at, raws[chance.randrange(len(raws))])
            case 4:
                raws[at] = bytes(len(raws[at]))
            case _:
                raws[at] = raws[at][: chance.randrange(len(raws[at]))] + raws[chance.randrange(len(raws))]
    joined = b"".join(raws)
    return joined[: len(joined) - chance.randrange(300)] if chance.random() < 0.3 else joined


def what_is_read(data: bytes, library: ctypes.CDLL | None, pieces: list[int]) -> dict[str, Any]:
    """Return all that a reader of a journal finds, read in so many pieces."""
    with (
        mock.patch("replaylab.journals.good_ticks.load", return_value=library),
        mock.patch("replaylab.journals.good_ticks.LEAST_BYTES", 0),
    ):
        reader = JournalReader(f"{RUN}-000000.journal")
        file = io.BytesIO(data)
        for size in [*pieces, len(data)]:
            reader.read(file, size, final=size == len(data))
        return {
            "rows": reader.table().to_pylist(),
            "digest": reader.rows_digest(),
            "state": reader.state,
            "extent": reader.extent(),
            "remarks": reader.remarks(),
            "damage": reader.damage,
            "seqs": reader.seqs.runs,
            "closed": reader.closed,
        }
