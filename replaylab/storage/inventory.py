"""Inventory: what a store held at a moment, kept in a file elsewhere, so that even a whole missing run is noticed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from replaylab.durable import of_user, publish, written_aside
from replaylab.errors import StoreError, StoreNotFound, StoreTooNew, StoreUnwritable
from replaylab.journals.seq_ranges import SeqRanges
from replaylab.segments.digest import sum_digests
from replaylab.segments.extent import Extent

FORMAT: Final = 1
_LATER: Final = frozenset({"pruned_rows", "pruned_digest"})  # an inventory of before there was `prune` has none
_TYPE: Final = "replaylab_inventory"


@dataclass(frozen=True, slots=True)
class Inventory:
    """What a store held: parts of sources, ticks of runs, files of refused lines, and the digest of all rows.

    Compaction, recovery and more recordings or conversions leave all of it there; `missing` says what is not.

    Attributes
    ----------
    rows, rows_digest : int, str
        How many rows, and their digest.
    sources : dict
        By the name of each source that was converted, its parts: start, end, digest, ticks.
    runs : dict
        By the name of each run that was recorded, the ranges of its ticks.
    refused : dict
        By the name of each file of refused lines, its size in bytes.
    pruned_rows, pruned_digest : int, str
        Rows that were removed on purpose, and their digest.

    Examples
    --------
    >>> before = Inventory(rows=3, rows_digest="00", runs={"run": [[0, 2]]})
    >>> Inventory(rows=2, rows_digest="01", runs={"run": [[0, 1]]}).missing(before)
    ['run run: ticks 2 to 2 were there and are missing']
    """

    rows: int
    rows_digest: str
    sources: dict[str, list[list[Any]]] = field(default_factory=dict)
    runs: dict[str, list[list[int]]] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    pruned_rows: int = 0
    pruned_digest: str = "0" * 16

    @classmethod
    def of(cls, rows: int, rows_digest: str, extents: Iterable[Extent], refused: Mapping[str, int]) -> Self:
        """Return the inventory of what extents account for."""
        sources: dict[str, list[list[Any]]] = {}
        seqs: dict[str, list[list[int]]] = {}
        pruned: list[dict[str, Any]] = []
        for one in sorted(extents, key=lambda one: (one.source, one.start, one.end)):
            pruned += [one.pruned] if one.pruned else []
            if one.recording:
                seqs.setdefault(one.recording["run"], []).extend(one.recording["seqs"])
            else:
                sources.setdefault(one.source, []).append([one.start, one.end, one.digest, one.tick_count])
        runs = {run: [list(pair) for pair in SeqRanges.of_ranges(pairs).runs] for run, pairs in sorted(seqs.items())}
        removed = sum(one["rows"] for one in pruned), sum_digests([one["digest"] for one in pruned])
        return cls(rows, rows_digest, sources, runs, dict(refused), *removed)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file as JSON, whole or not at all; raises `StoreFull` or `StoreUnwritable`."""
        target = of_user(path, StoreUnwritable)
        content = {"type": _TYPE, "format": FORMAT}
        content |= {name: getattr(self, name) for name in self.__slots__}
        with written_aside(target.parent, target.name) as aside:
            aside.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            publish(aside, target)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read it from a file.

        Raises
        ------
        StoreNotFound
            When there is none.
        StoreTooNew
            When a newer release wrote it in a format that this one does not know.
        StoreError
            When the file cannot be read, or holds no inventory.
        """
        file = of_user(path)
        try:
            found = json.loads(file.read_bytes())
        except FileNotFoundError:
            raise StoreNotFound(f"no inventory at {path}; `replaylab verify STORE --save FILE` writes one") from None
        except OSError as error:
            raise StoreError(f"{path}: the inventory cannot be read ({error.strerror or error})") from error
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("type") != _TYPE or not isinstance(found.get("format"), int):
            raise StoreError(f"{path}: no inventory of a store; write one with `replaylab verify STORE --save FILE`")
        if found["format"] > FORMAT:
            raise StoreTooNew(f"{path}: inventory of format {found['format']}; upgrade replaylab to read it")
        try:
            made = cls(**{name: found[name] for name in cls.__slots__ if name in found or name not in _LATER})
            made.missing(made)  # what is in it can be compared
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path}: the inventory is damaged ({type(error).__name__}: {error})") from error
        return made

    def _ever(self) -> tuple[int, str]:
        """Return how many rows there are or were removed on purpose, and the digest of them together."""
        return self.rows + self.pruned_rows, sum_digests([self.rows_digest, self.pruned_digest])

    def missing(self, before: Inventory) -> list[str]:
        """Return what an earlier inventory had and this one has not, one sentence each."""
        found = []
        for source, parts in before.sources.items():
            there = self.sources.get(source, [])
            covered = SeqRanges.of_ranges([one[0], one[1] - 1] for one in there if one[1] > one[0])
            gone = [pair for start, end, *_ in parts for pair in _less(start, end - 1, covered)]
            if source not in self.sources or (gone and not covered):
                found.append(f"{source}: was in the store with {sum(part[3] for part in parts):,} ticks and is not")
            else:
                found += [f"{source}: its bytes {start} to {end + 1} were there and are missing" for start, end in gone]
        for run, pairs in before.runs.items():
            held = SeqRanges.of_ranges(self.runs.get(run, []))
            gone_seqs = [pair for first, last in pairs for pair in _less(first, last, held)]
            found += [f"run {run}: ticks {first} to {last} were there and are missing" for first, last in gone_seqs]
        for name, size in before.refused.items():
            if self.refused.get(name, -1) < size:
                found.append(f"{name}: had {size:,} bytes and has {max(0, self.refused.get(name, 0)):,}")
        same = (self.sources, self.runs) == (before.sources, before.runs)
        if not found and same and self._ever() != before._ever():
            found.append(
                f"rows: {before.rows:,} with the digest {before.rows_digest} were there, {self.rows:,} with the digest "
                f"{self.rows_digest} are"
            )
        return found


def _less(first: int, last: int, held: SeqRanges) -> list[tuple[int, int]]:
    """Return the parts of a range that are not held."""
    found = []
    for start, end in held.runs:
        if end < first or start > last:
            continue
        if start > first:
            found.append((first, start - 1))
        first = max(first, end + 1)
    return [*found, (first, last)] if first <= last else found
