"""JournalReader: a journal read from its start, block by block, as a table of ticks with an account of every byte."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import xxhash

from replaylab.encryption.keys import StoreKeys
from replaylab.encryption.lines import SealedLines
from replaylab.errors import KeyMissing, StoreTooNew
from replaylab.journals.cursor import Cursor, cursors_in
from replaylab.journals.format import FORMAT, Control, Damage, Header, Lines, place_of, scan
from replaylab.journals.good_ticks import GoodTicks, scan_good
from replaylab.journals.sealed import HOLES, LEAST_SEALED_BYTES, opened_header, refuse_unopened, scan_sealed
from replaylab.journals.seq_ranges import SeqRanges
from replaylab.parsing.fields import PADDING
from replaylab.parsing.kernel_layout import Known
from replaylab.parsing.scan import Account, scan_block
from replaylab.segments.digest import rows_digest, sum_digests
from replaylab.segments.extent import HEAD_BYTES, Extent, head_digest
from replaylab.segments.order import sorted_by_game
from replaylab.segments.remarks import Placed
from replaylab.table import SCHEMA, Batch, Names, Whole, to_table

OPEN: Final = "open"
CLEAN: Final = "clean"
RECOVERED: Final = "recovered"
QUARANTINED: Final = "quarantined"
BLOCK_BYTES: Final = 4 << 20
_LONGEST_HEADER: Final = 1 << 16
_WAITING_BYTES: Final = 256 << 10  # of lines that wait to be read as columns
EXPECTED: Final = frozenset({"torn_tail", "never_acknowledged"})  # what a killed process leaves, and never a tick


@dataclass(frozen=True, slots=True)
class Recording:
    """A journal of a store, sealed or not: how it ended and what it holds.

    Attributes
    ----------
    journal, run, number : str, str, int
        Its name, the run of the recorder that wrote it, and its place among the journals of the run.
    state : str
        ``clean`` when it was closed in order, ``recovered`` when it was not, ``quarantined`` when bytes are damaged,
        ``open`` while it is not sealed.
    ticks, first_seq, last_seq : int
        How many ticks it holds, and the first and last sequence number in the run (-1 when there are none).
    durability : dict
        The bound in force when it was written: `mode`, and for ``group`` the `ticks` and `seconds` between two syncs.
    quarantined_bytes : int
        Bytes of it that are not a line of a journal.
    """

    journal: str
    run: str
    number: int
    state: str
    ticks: int
    first_seq: int
    last_seq: int
    durability: dict[str, Any]
    quarantined_bytes: int

    @classmethod
    def of(cls, extent: Extent, *, live: bool) -> Recording:
        """Return what an extent says of its journal."""
        recording = extent.recording
        seqs = recording["seqs"]
        return cls(
            journal=extent.source,
            run=recording["run"],
            number=recording["number"],
            state=OPEN if live else recording["state"],
            ticks=extent.tick_count,
            first_seq=seqs[0][0] if seqs else -1,
            last_seq=seqs[-1][1] if seqs else -1,
            durability=recording["durability"],
            quarantined_bytes=extent.bytes.get("quarantined", 0),
        )


class JournalReader:
    """Read a journal from its start, block by block; return its ticks as a table with their account.

    Parameters
    ----------
    name : str
        File name of the journal: the source of its rows.
    held : SeqRanges
        Sequence numbers of the run that another journal or a segment holds; their lines are counted and left out.
    layouts : list of Shape, optional
        Layouts of lines, shared by readers of many journals: those learnt are added.
    limit : int, optional
        How many of its bytes count; those after them were never acknowledged.
    keys : StoreKeys, optional
        Of an encrypted store, whose journals are encrypted.
    """

    def __init__(
        self,
        name: str,
        held: SeqRanges | None = None,
        limit: int | None = None,
        layouts: list[Known] | None = None,
        keys: StoreKeys | None = None,
    ) -> None:
        self.name = name
        self.run, self.number = place_of(name)
        self.limit = limit
        self.header: Header | None = None
        self.closed = False
        self.end = 0
        self.damage: list[Damage] = []
        self.others: list[Control] = []
        self._keys = keys
        self._sealed: SealedLines | None = None
        self._plain = keys is None
        self._counter = -1
        self._held = held or SeqRanges()
        self._seqs = SeqRanges()  # of the rows
        self._numbers = SeqRanges()  # of all lines with a right checksum
        self._first: int | None = None  # sequence number that its header names
        self._highest: int | None = None  # of those read
        self._line = 0
        self._last_line = 0
        self._head = b""
        self._digest = xxhash.xxh3_128()
        self._digest_of_rows = sum_digests([])
        self._digested = 0  # of the tables
        self._account = Account()
        self._cursors: dict[str, Cursor] = {}
        self._tables: list[pa.Table] = []
        self.waiting: list[GoodTicks] = []  # not read as columns yet
        self._waiting_bytes = 0
        self._shapes: list[Known] = [] if layouts is None else layouts

    def read(self, file: BinaryIO, size: int, *, final: bool) -> None:
        """Read on up to byte `size`; unless it is `final`, a line that has not ended is left for later.

        Raises
        ------
        StoreTooNew
            When a newer release wrote it in a format that this one does not know.
        KeyMissing, Tampered
            When it is encrypted and the store has no keys, or neither of its headers is authentic.
        """
        limit = size if self.limit is None else min(size, self.limit)
        if not self.end:
            file.seek(0)
            self._name_run([file.readline(_LONGEST_HEADER), file.readline(_LONGEST_HEADER)])
        file.seek(self.end)
        carried = b""
        while (left := limit - self.end - len(carried)) > 0:
            block = carried + file.read(min(left, BLOCK_BYTES))
            if len(block) == len(carried):
                break
            at = self.end + len(block)
            before = self.end
            self._take(block, final=final and at >= limit)
            carried = block[self.end - before :]
        if final and limit < size:
            self._leave_rest(file.read(size - limit))

    def lacks(self, size: int) -> bool:
        """Whether bytes are gone of the first `size`, which were permanent, as a later journal says."""
        return self.end < size or self._overwritten(size) is not None

    def report_lacking(self, size: int) -> None:
        """Report that `size` bytes were permanent, and fewer are there, or zeros in place of encrypted ones."""
        text = f"{size} bytes were permanent".encode()
        if self.end < size:
            self._quarantine(Damage("truncated", self._line, self.end, self.end, text))
        if (damage := self._overwritten(size)) is not None:
            self._quarantine(Damage("overwritten", damage.line, damage.start, damage.start, text))

    def _overwritten(self, size: int) -> Damage | None:
        """Return the first hole in permanent bytes of an encrypted journal: no power cut leaves one there."""
        holes = () if self._plain else self.damage
        return next((one for one in holes if one.reason in HOLES and one.start < size), None)

    def _name_run(self, first: list[bytes]) -> None:
        """Take the run from the first line; from the file name where that line is damaged."""
        found = scan(first[0], final=False)
        if found.newer_format is not None:
            raise StoreTooNew(
                f"{self.name}: a journal of format {found.newer_format}, this release knows {FORMAT}; install a newer "
                "replaylab to read it. The file is left as it is"
            )
        try:
            opened = opened_header(first if self._keys else first[:1], self._keys)
        except KeyMissing as error:
            raise KeyMissing(f"{self.name}: {error}") from error
        if opened is not None:
            self.header, self._sealed = opened
            self._plain = self._sealed is None
            self.run, self.number, self._first = self.header.run, self.header.number, self.header.first_seq
        elif self._keys is not None:
            refuse_unopened(self.name, first)

    def _take(self, block: bytes, *, final: bool) -> None:
        place: dict[str, Any] = {"start": self.end, "first_line": self._line, "final": final}
        if self._plain:
            good, found = scan_good(block, self.run, **place)
        else:
            found = scan_sealed(block, self._sealed, after=self._counter, **place)
            good, self._counter = GoodTicks.of(found), found.counter
        used = block[: found.end - self.end]
        self._digest.update(used)
        self._head += used[: HEAD_BYTES - len(self._head)]
        if found.closed:
            self.closed = not len(good) or int(good.starts[-1]) < found.closed_at
        elif len(good) or found.control_lines:
            self.closed = False
        self._keep(found, good)
        self._count(found, good)
        self.end, self._line = found.end, self._line + found.line_count

    def _leave_rest(self, rest: bytes) -> None:
        """Account for bytes that were never acknowledged."""
        self._digest.update(rest)
        lines = rest.count(b"\n") + (not rest.endswith(b"\n"))
        self._quarantine(Damage("never_acknowledged", self._line, self.end, self.end + len(rest), rest))
        self._account.lines["damaged"] += lines
        self.end, self._line = self.end + len(rest), self._line + lines

    def _quarantine(self, damage: Damage) -> None:
        self.damage.append(damage)
        self._account.reasons[damage.reason] += 1
        self._account.bytes["quarantined"] += damage.end - damage.start

    def _count(self, found: Lines, good: GoodTicks) -> None:
        account = self._account
        self.others += found.others
        account.bytes["kept"] += found.control_bytes
        account.bytes["blank"] += found.blank_bytes
        account.lines["control"] += found.control_lines
        account.lines["blank"] += found.blank_lines
        if found.damage:
            account.lines["damaged"] += len({one.line for one in found.damage} - set(good.lines.tolist()))
        for one in found.damage:
            self._quarantine(one)

    def _keep(self, found: Lines, good: GoodTicks) -> None:
        """Keep the ticks of a block, each sequence number of the run once."""
        if not len(good):
            return
        seqs, last_line = good.seqs, int(good.lines[-1])
        highest = np.maximum.accumulate(seqs)
        if self._highest is not None:
            highest = np.maximum(highest, self._highest)
        else:
            self._highest = int(seqs[0] if self._first is None else self._first) - 1
        steps = seqs - np.concatenate([[self._highest], highest[:-1]])  # 1: a number that is new, and follows the last
        if (steps != 1).any() or self._held.holds(seqs).any():
            self._name_gaps(found, seqs, good.lines, steps)
            good = self._once(good)
        self._numbers |= SeqRanges.of(good.seqs)
        self._highest, self._last_line = int(highest[-1]), last_line
        self._tabulate(good)

    def _name_gaps(self, found: Lines, seqs: Whole, lines: Whole, steps: Whole) -> None:
        """Report sequence numbers that are missing before a line, unless damaged lines there account for them."""
        between = np.maximum(np.diff(lines, prepend=self._last_line) - 1, 0)  # two ticks may stand on one line
        starts = {one.line: one.end for one in found.damage}
        holes = [] if self._plain else [one for one in found.damage if one.reason == "zero_filled"]
        before = np.concatenate([[self._last_line], lines[:-1]])
        for at in np.flatnonzero(steps - 1 > between).tolist():
            missing = range(int(seqs[at] - steps[at]) + 1, int(seqs[at]))
            torn = [one.end - one.start for one in holes if before[at] <= one.line <= lines[at]]
            if torn and len(missing) <= int(between[at]) + 2 * len(torn) + sum(torn) // LEAST_SEALED_BYTES:
                continue  # a hole that a power cut left swallowed them
            if all(self._held.holds(np.array([missing[0], missing[-1]]))):
                continue  # another journal of the run holds them
            where = starts.get(int(lines[at]) - 1, self.end)
            found.damage.append(Damage("sequence_gap", int(lines[at]), where, where))

    def _once(self, good: GoodTicks) -> GoodTicks:
        """Leave out lines whose tick has been read already; one that holds no tick repeats none, and is told apart."""
        whole = _good_lines(_batch_of(good.content, self._shapes), len(good))
        _, firsts = np.unique(good.seqs[whole], return_index=True)
        fresh = np.ones(len(good), np.bool_)
        fresh[whole] = False
        fresh[whole[firsts]] = True
        fresh[whole] &= ~(self._held | self.seqs).holds(good.seqs[whole])
        self._account.ticks["duplicate"] += int((~fresh).sum())
        self._account.lines["duplicate"] += int((~fresh).sum())
        self._account.bytes["kept"] += int(good.sizes[~fresh].sum())
        return good.chosen(np.flatnonzero(fresh))

    def _tabulate(self, good: GoodTicks) -> None:
        """Hold good lines until there are many, or what they hold is asked for."""
        self.waiting.append(good)
        self._waiting_bytes += int(good.sizes.sum())
        if self._waiting_bytes >= _WAITING_BYTES:
            self._settle()

    def _settle(self) -> None:
        """Read the lines held as columns, and account for them."""
        waiting, self.waiting, self._waiting_bytes = self.waiting, [], 0
        for ticks in waiting:
            self._cursors |= cursors_in(ticks.content)
            batch = _batch_of(ticks.content, self._shapes)
            whole = _good_lines(batch, len(ticks))
            good = ticks.chosen(whole)
            if len(good) < len(ticks):  # a valid checksum, but not a tick: not written by this release
                self._leave_out(ticks, whole)
                batch = _batch_of(good.content, self._shapes)
            names = Names(np.zeros(len(batch), np.int32), (self.name,))
            table = to_table(batch, source=names, seq=good.seqs, line=good.lines + 1, zone="UTC")
            self._add(table, good)

    def _add(self, table: pa.Table, *read: GoodTicks) -> None:
        """Take the rows of lines that were read."""
        for ticks in read:
            self._seqs |= SeqRanges.of(ticks.seqs)
            self._account.bytes["kept"] += int(ticks.sizes.sum())
        self._account.lines["tick"] += table.num_rows
        self._account.ticks["clean"] += table.num_rows
        self._tables.append(table)

    def _leave_out(self, ticks: GoodTicks, whole: Whole) -> None:
        """Set aside lines that hold no tick that can be stored."""
        texts = ticks.texts()
        for at in sorted(set(range(len(ticks))) - set(whole.tolist())):
            start = int(ticks.starts[at])
            damage = Damage("not_a_tick", int(ticks.lines[at]), start, start + int(ticks.sizes[at]), texts[at])
            self._quarantine(damage)
            self._account.lines["damaged"] += 1

    def take_waiting(self, table: pa.Table) -> None:
        """Take the rows of all lines that wait, read elsewhere."""
        waiting, self.waiting, self._waiting_bytes = self.waiting, [], 0
        for ticks in waiting:
            self._cursors |= cursors_in(ticks.content)
        self._add(table, *waiting)

    @property
    def seqs(self) -> SeqRanges:
        """Sequence numbers of the ticks in `table`."""
        self._settle()
        return self._seqs

    @property
    def numbers(self) -> SeqRanges:
        """Sequence numbers of all lines with a right checksum; it is not known yet whether each holds a tick."""
        return self._numbers

    @property
    def state(self) -> str:
        """`clean` when it was closed in order, `recovered` when it was not, `quarantined` when bytes are damaged."""
        self._settle()
        if any(one.reason not in EXPECTED for one in self.damage):
            return QUARANTINED
        return CLEAN if self.closed and not self.damage else RECOVERED

    def table(self) -> pa.Table:
        """Return all rows, game after game."""
        return sorted_by_game(pa.concat_tables([pa.Table.from_batches([], SCHEMA), *self.tables()]))

    def tables(self) -> list[pa.Table]:
        """Return all rows in the order read, a table for each stretch."""
        self._settle()
        return self._tables

    def take_tables(self) -> list[pa.Table]:
        """Return the rows read since the last call in their order; the reader holds them no longer."""
        self.rows_digest()
        taken, self._tables, self._digested = self._tables, [], 0
        return taken

    def rows_digest(self) -> str:
        """Return the digest of all rows, taken ones too."""
        self._settle()
        new = [rows_digest(table) for table in self._tables[self._digested :]]
        self._digest_of_rows = sum_digests([self._digest_of_rows, *new])
        self._digested = len(self._tables)
        return self._digest_of_rows

    def extent(self) -> Extent:
        """Return the account of every byte read."""
        self._settle()
        account = self._account
        return Extent(
            source=self.name,
            start=0,
            end=self.end,
            digest=self._digest.hexdigest(),
            first_line=0,
            first_seq=self._seqs.runs[0][0] if self._seqs else 0,
            zone="UTC",
            bytes=dict(+account.bytes),
            lines=dict(+account.lines),
            ticks=dict(+account.ticks),
            reasons=dict(+account.reasons),
            head=head_digest(self._head),
            recording={
                "run": self.run,
                "number": self.number,
                "state": self.state,
                "seqs": [list(run) for run in self._seqs.runs],
                "durability": {} if self.header is None else self.header.durability,
                "cuts": {} if self.header is None else self.header.cuts,
                "header_seq": 0 if self.header is None else self.header.first_seq,
            }
            | ({} if self._plain else {"sealed": True}),
        )

    def remarks(self) -> list[Placed]:
        """Return damage and lines of other types as remarks in their order, then where each lane is resumed."""
        self._settle()
        damage = [
            Placed(self.name, one.line + 1, one.start, one.end, "quarantine", one.reason, one.raw)
            for one in self.damage
        ]
        others = [
            Placed(self.name, one.line + 1, one.start, one.end, "control", one.label, one.raw) for one in self.others
        ]
        cursors = [
            Placed(self.name, self._line, self.end, self.end, "control", "cursor", cursor.to_mark(lane).to_line())
            for lane, cursor in self._cursors.items()
        ]
        found = sorted(damage + others, key=lambda one: (one.start, one.end)) if others else damage
        return found + cursors


def _batch_of(content: bytes, layouts: list[Known]) -> Batch:
    """Return the ticks of lines, read as columns."""
    block = bytearray(len(content) + PADDING)
    block[: len(content)] = content  # one copy: the interpreter's lock is held for it
    return scan_block(block, [(len(content), False)], layouts).batch


def _good_lines(batch: Batch, count: int) -> Whole:
    """Return which of `count` lines hold one whole tick and no more."""
    whole = np.bincount(batch.line, minlength=count) == 1
    whole[batch.line[batch.repaired]] = False
    return np.flatnonzero(whole)


def read_waiting(readers: Iterable[JournalReader], layouts: list[Known]) -> None:
    """Read as columns what waits in several readers, at once: for few lines each that takes a fraction of the time."""
    some = [reader for reader in readers if reader.waiting]
    waiting = [one for reader in some for one in reader.waiting]
    counts = [sum(map(len, reader.waiting)) for reader in some]
    content = b"".join(one.content for one in waiting)
    if len(some) < 2:
        return
    batch = _batch_of(content, layouts)
    if len(_good_lines(batch, sum(counts))) < sum(counts):
        return  # each reader says which of its lines hold no tick
    table = to_table(
        batch,
        source=Names(np.repeat(np.arange(len(some), dtype=np.int32), counts), tuple(reader.name for reader in some)),
        seq=np.concatenate([one.seqs for one in waiting]),
        line=np.concatenate([one.lines for one in waiting]) + 1,
        zone="UTC",
    )
    for reader, end, count in zip(some, accumulate(counts), counts, strict=True):
        reader.take_waiting(table.slice(end - count, count))
