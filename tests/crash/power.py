"""Power cuts: every state that a disk may be in when the power goes, rebuilt from the log of what was done to it.

What a disk may do: data of a file that was not synced is there, missing, torn at any byte, full of zeros, or there in
some sectors and not in others; what a failed sync left unwritten stays so, whatever a later sync says. A name whose
folder was not synced since is there or not, each for itself but after what was done to the same name before; a rename
is there or not as one. What was synced, file or folder, is there.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.crash.trace import ROOT, Event, Names, Note, Resize, Sync, Trace, Write

SECTOR_BYTES: Final = 4_096
Choose = Callable[[int], int]  # of so many possibilities, the number of one; 0 is what a lucky disk does
Tree = dict[str, bytes | None]  # path below the folder -> content; None is a folder


@dataclass(frozen=True)
class PowerCut:
    """One state of the disk after a power cut, and what the program had said until then."""

    cut: int
    tree: Tree
    notes: tuple[object, ...]

    def key(self) -> bytes:
        """Tell states apart."""
        return hashlib.blake2b(repr((sorted(self.tree.items()), self.notes[-1:])).encode()).digest()

    def put(self, folder: Path) -> Path:
        """Make a folder as the disk shows it when the power is back."""
        folder.mkdir()
        for name, content in sorted(self.tree.items()):
            if content is None:
                (folder / name).mkdir()
            else:
                (folder / name).write_bytes(content)
        return folder


def power_cut(trace: Trace, cut: int, choose: Choose) -> PowerCut:
    """Cut the power after so many events; what is not certain is chosen."""
    log = trace.log[:cut]
    names: dict[int, dict[str, int]] = {folder: {} for folder in trace.folders}
    for event in _names_kept(log, choose):
        for folder, name, node in event.changes:
            if node is None:
                names[folder].pop(name, None)
            else:
                names[folder][name] = node
    tree: Tree = {}
    _grow(log, names, ROOT, "", tree, choose, {})
    return PowerCut(cut, tree, tuple(event.value for event in log if isinstance(event, Note)))


def _grow(
    log: list[Event],
    names: dict[int, dict[str, int]],
    folder: int,
    path: str,
    tree: Tree,
    choose: Choose,
    known: dict[int, bytes],
) -> None:
    for name, node in sorted(names[folder].items()):
        if node in names:
            tree[path + name] = None
            _grow(log, names, node, f"{path}{name}/", tree, choose, known)
        else:
            if node not in known:  # two names may lead to one file
                known[node] = _content(log, node, choose)
            tree[path + name] = known[node]


def _names_kept(log: list[Event], choose: Choose) -> Iterator[Names]:
    """Give the changes of names that the disk has, in their order."""
    changes = [(at, event) for at, event in enumerate(log) if isinstance(event, Names)]
    certain = _certain_names(log, changes)
    open_ones = [at for at, _ in changes if at not in certain]
    mood = choose(4) if len(open_ones) > 1 else 3  # all of them, none, those up to some moment, each for itself
    until = [len(log), 0, open_ones[choose(len(open_ones))] if mood == 2 else 0, len(log)][mood]
    lost: set[tuple[int, str]] = set()
    for at, event in changes:
        touched = {(folder, name) for folder, name, _ in event.changes}
        if at in certain or (not touched & lost and at < until and (mood != 3 or choose(2) == 0)):
            yield event
        else:
            lost |= touched


def _certain_names(log: list[Event], changes: list[tuple[int, Names]]) -> set[int]:
    synced: dict[int, int] = {}
    for event in log:
        if isinstance(event, Sync) and not event.failed:
            synced[event.node] = max(event.begun, synced.get(event.node, 0))
    certain: set[int] = set()
    needed: set[tuple[int, str]] = set()
    for at, event in reversed(changes):
        touched = {(folder, name) for folder, name, _ in event.changes}
        if touched & needed or any(at < synced.get(folder, 0) for folder, _ in touched):
            certain.add(at)
            needed |= touched
    return certain


def _content(log: list[Event], file: int, choose: Choose) -> bytes:
    """Give what a file may hold."""
    done = [(at, event) for at, event in enumerate(log) if isinstance(event, Write | Resize) and event.file == file]
    certain = _certain_data(log, file, [at for at, _ in done])
    steps = [(at in certain, event) for at, event in done]
    sizes = [len(event.data) if isinstance(event, Write) else 1 for sure, event in steps if not sure]
    total = sum(sizes)
    found = _applied(steps, total)
    match choose(6) if sizes else 0:
        case 1:  # nothing of it
            found = _applied(steps, 0)
        case 2:
            found = _applied(steps, total, zeros=True)
        case 3:  # torn between two writes
            found = _applied(steps, sum(sizes[: choose(len(sizes))]))
        case 4:  # torn anywhere
            found = _applied(steps, choose(total))
        case 5:
            found = _some_sectors(_applied(steps, 0), found, choose)
    return found


def _certain_data(log: list[Event], file: int, changes: list[int]) -> set[int]:
    pending: list[int] = []
    certain: set[int] = set()
    next_one = 0
    for at, event in enumerate(log):
        if isinstance(event, Sync) and event.node == file:
            while next_one < len(changes) and changes[next_one] < at:
                pending.append(changes[next_one])
                next_one += 1
            if not event.failed:
                certain.update(change for change in pending if change < event.begun)
            pending = [change for change in pending if change >= event.begun]  # after a failure they are lost for good
    return certain


def _applied(steps: list[tuple[bool, Write | Resize]], budget: int, *, zeros: bool = False) -> bytes:
    """Do the certain steps, and of the others the first `budget` bytes."""
    content = bytearray()
    for sure, event in steps:
        if isinstance(event, Resize):
            if sure or budget > 0:
                content[event.size :] = bytes(max(0, event.size - len(content)))
            budget -= not sure
            continue
        data = event.data if sure else event.data[: max(budget, 0)]
        budget -= 0 if sure else len(event.data)
        if data:
            content.extend(bytes(max(0, event.at - len(content))))
            content[event.at : event.at + len(data)] = bytes(len(data)) if zeros and not sure else data
    return bytes(content)


def _some_sectors(before: bytes, after: bytes, choose: Choose) -> bytes:
    """Give a file of which some sectors are as they were before, or full of zeros, and others as they are after."""
    size = max(len(before), len(after))
    parts = []
    for start in range(0, size, SECTOR_BYTES):
        old, new = before[start : start + SECTOR_BYTES], after[start : start + SECTOR_BYTES]
        parts.append(new if old == new or choose(2) == 0 else old.ljust(len(new), b"\0"))
    return b"".join(parts)


def states(build: Callable[[Choose], PowerCut], limit: int, rng: random.Random) -> Iterator[PowerCut]:
    """Give every state, or, when there are more than `limit`, that many at random."""
    found: list[PowerCut] = []
    path = [0]
    while path and len(found) <= limit:
        widths: list[int] = []
        found.append(build(_following(path, widths)))
        path = path[: len(widths)] + [0] * (len(widths) - len(path))
        while path and path[-1] + 1 == widths[len(path) - 1]:
            path.pop()
        if path:
            path[-1] += 1
    yield from found if len(found) <= limit else (build(rng.randrange) for _ in range(limit))


def _following(path: list[int], widths: list[int]) -> Choose:
    def choose(possibilities: int) -> int:
        widths.append(possibilities)
        return path[len(widths) - 1] if len(widths) <= len(path) else 0

    return choose
