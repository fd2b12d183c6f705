"""Extent: a part of a source that was converted, and the account of what became of its bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import xxhash

HEAD_BYTES: Final = 1 << 10


def head_digest(data: bytes) -> str:
    """Return the short digest of the first `HEAD_BYTES` of a source: a hint where to look, never a proof."""
    return xxhash.xxh3_64_hexdigest(data)[:8]


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes `start` to `end` of a source, what they were and what became of them; see `scan.Account` for the counts.

    `digest` is that of all of them, `head` that of the first `HEAD_BYTES`: where to look for a source that was renamed.
    `recording` is there for a journal: its `run`, the `number` in it, the `state` it ended in, the `seqs` of its ticks
    (runs of first and last) and the `durability` that was in force. `labels`, `examples` are those of `scan.Account`,
    `mapping` is the digest of the mapping by which the bytes were read. `unended` bytes are a last line without its
    newline: they are read again when the source has grown. `source_bytes` is the size of the source when it was
    converted (0 when that is not known): all of it up to there was to be stored. `skipped` are the ticks, counted from
    the first of these bytes, whose time without a zone the clock of `zone` never showed. `pruned` tells of the rows
    that were removed on purpose since: how many `rows`, of how many `games`, and the `digest` of all of them.
    """

    source: str
    start: int
    end: int
    digest: str
    first_line: int
    first_seq: int
    zone: str
    bytes: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    ticks: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    doubtful_times: int = 0
    zoneless_times: int = 0
    head: str = ""
    recording: dict[str, Any] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    unended: bool = False
    mapping: str = ""
    source_bytes: int = 0
    skipped: list[int] = field(default_factory=list)
    pruned: dict[str, Any] = field(default_factory=dict)

    @property
    def line_count(self) -> int:
        """Lines in these bytes."""
        return sum(self.lines.values())

    @property
    def tick_count(self) -> int:
        """Ticks taken from these bytes."""
        return sum(self.ticks.get(kind, 0) for kind in ("clean", "merged", "torn"))

    @property
    def row_count(self) -> int:
        """Of those ticks, the rows that are still stored."""
        return self.tick_count - int(self.pruned.get("rows", 0))
