"""Prune: games are removed whole, in steps of which each is there or not, and stay in the account of their sources.

All segments that share a removed game are written anew as one, which replaces them: a prune that is killed leaves each
game whole or gone. The extents stay, and say how many rows were removed and the digest of those, so that verification
tells them from lost ones, and a conversion knows the recordings that they came from.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import as_numpy, column, distinct
from replaylab.durable import sole_writer
from replaylab.encryption.kms import Kms
from replaylab.errors import StoreError
from replaylab.journals.reader import OPEN
from replaylab.keywords import options_of
from replaylab.plural import count_of
from replaylab.progress import bar
from replaylab.retention.choice import Held, Rule, age_of, chosen
from replaylab.segments.digest import rows_digest, sum_digests
from replaylab.segments.extent import Extent
from replaylab.segments.segment import ROW_GROUP_ROWS, Segment, write_segment
from replaylab.storage.compact import disk_bytes, merged_remarks, merged_rows, refuse_damaged, remove_leftovers
from replaylab.storage.objectstore import refuse_uri
from replaylab.storage.recovery import recover
from replaylab.storage.store import SEGMENTS, Store

OPEN_SECONDS: Final = 3_600.0  # a game whose last row is as new as that may be open, while something records
_ROUNDS: Final = 5  # for max_bytes, as the bytes of a game are an estimate
_log = logging.getLogger("replaylab.retention")


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What a prune removed, or would remove.

    Attributes
    ----------
    store : str
        The folder.
    done : bool
        Whether it was removed; False for a dry run.
    games : tuple of str
        Ids of the games, oldest first.
    rows : int
        Their rows.
    games_left, rows_left : int
        What stays.
    bytes_before, bytes_after : int
        Bytes of the store; of a dry run an estimate.

    Examples
    --------
    >>> print(PruneReport("store", done=False, games=("a",), rows=7, games_left=1, rows_left=9))
    1 game with 7 rows would be removed, 1 with 9 rows would stay: 0 bytes -> about 0
    """

    store: str
    done: bool
    games: tuple[str, ...] = ()
    rows: int = 0
    games_left: int = 0
    rows_left: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    def __str__(self) -> str:
        count = f"{count_of(len(self.games), 'game')} with {count_of(self.rows, 'row')}"
        left = f"{self.games_left:,} with {count_of(self.rows_left, 'row')}"
        if self.done:
            return f"{count} removed, {left} left: {self.bytes_before:,} bytes -> {self.bytes_after:,}"
        return f"{count} would be removed, {left} would stay: {self.bytes_before:,} bytes -> about {self.bytes_after:,}"


@options_of("rl.prune")
def prune(
    store: str | os.PathLike[str] | Store,
    *,
    older_than: timedelta | str | None = None,
    keep_games: int | None = None,
    max_bytes: int | None = None,
    yes: bool = False,
    now: datetime | None = None,
    progress: bool = False,
    kms: Kms | None = None,
) -> PruneReport:
    """Remove old games from a store, whole; without ``yes=True`` only say which.

    Games that a recorder may still add to stay: those in journals, and while something records, those of the last hour.
    Remarks stay: they are the account of bytes that never were rows. What was removed stays in the account, so `verify`
    tells it from loss, and a recording that it came from is not converted again.

    Parameters
    ----------
    store : path or Store
        A folder.
    older_than : timedelta or str, optional
        Remove games whose last row is older: ``"90d"``, ``"12h"``. One whose time is not known stays.
    keep_games : int, optional
        Remove all but the newest.
    max_bytes : int, optional
        Remove the oldest until segments and remarks take no more.
    yes : bool
        Do it.
    now : datetime, optional
        When ages are counted from; the time of this machine unless given.
    kms : Kms, optional
        The master key of an encrypted store that is named by its path.

    Raises
    ------
    SettingsError
        About the arguments.
    StoreNotFound, StoreBusy, StoreFull, StoreUnwritable, SegmentDamaged
        About the store; each game is whole or gone in all these cases, and running again does the rest.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> report = rl.prune(folder + "/store", keep_games=1, yes=True)
    >>> len(report.games), len(rl.open_store(folder + "/store")), rl.open_store(folder + "/store").verify().ok
    (2, 1, True)
    """
    age = age_of(older_than) if isinstance(older_than, str) else older_than
    rule = Rule(age, keep_games, max_bytes)
    refuse_uri(store)
    opened = store if isinstance(store, Store) else Store(store, kms=kms)
    at = now or datetime.now(UTC)
    if not yes:
        size = disk_bytes(opened.path)
        games, gone = _plan(opened, rule, at, size)
        return _report(opened, games, gone, (size, round(size - sum(one.bytes for one in gone))), done=False)
    recover(opened)  # a game in the journal of a dead recorder is one like the others
    with sole_writer(opened.path):
        remove_leftovers(opened)
        opened.sealed()
        refuse_damaged(opened)
        before = disk_bytes(opened.path)
        removed: list[Held] = []
        for _ in range(_ROUNDS):
            games, gone = _plan(opened, rule, at, disk_bytes(opened.path))
            if not gone:
                break
            _remove(opened, {one.game_id for one in gone}, progress=progress)
            removed += gone
        games, _ = _plan(opened, rule, at, 0)
        report = _report(opened, [*games, *removed], removed, (before, disk_bytes(opened.path)), done=True)
    fields = asdict(report) | {"event": "pruned", "games": len(report.games)}
    _log.info("%s pruned: %s", opened.path, report, extra=fields)
    return report


def _plan(store: Store, rule: Rule, now: datetime, size: int) -> tuple[list[Held], list[Held]]:
    """Return the games of a store, and those that a rule removes."""
    sealed = {segment.name for segment in store.sealed()}
    segments = store.segments()
    bytes_of: dict[str, float] = {}
    open_games: set[str] = set()
    for segment in segments:
        if segment.name not in sealed:
            open_games |= segment.rows_of.keys()
            continue
        a_row = segment.path.stat().st_size / max(1, segment.footer.rows)
        for one in segment.footer.games:
            bytes_of[one.game] = bytes_of.get(one.game, 0.0) + a_row * one.rows
    table = store.games_table()
    games = [
        Held(row["game_id"], row["end"], row["rows"], bytes_of.get(row["game_id"], 0.0))
        for row in table.select(["game_id", "end", "rows"]).to_pylist()
    ]
    if any(one.state == OPEN for one in store.recordings()):
        newest = max((one.end for one in games if one.end is not None), default=now)
        least = newest - timedelta(seconds=OPEN_SECONDS)
        open_games |= {one.game_id for one in games if one.end is not None and one.end >= least}
    return games, chosen(games, rule, now, size, open_games)


def _report(
    store: Store, games: Sequence[Held], gone: Sequence[Held], sizes: tuple[int, int], *, done: bool
) -> PruneReport:
    ids = {one.game_id for one in gone}
    left = [one for one in games if one.game_id not in ids]
    rows = sum(one.rows for one in gone)
    names = tuple(one.game_id for one in gone)
    return PruneReport(str(store.path), done, names, rows, len(left), sum(one.rows for one in left), *sizes)


def _remove(store: Store, games: AbstractSet[str], *, progress: bool) -> None:
    """Remove games, one group of segments after the other."""
    groups = _groups(store.sealed(), games)
    with bar(len(groups), "prune", "step", show=progress) as shown:
        try:
            for group in groups:
                _rewrite(store, group, games)
                remove_leftovers(store)
                shown.update()
        except BaseException:
            with suppress(StoreError):  # what cannot be removed now is removed by the next run
                remove_leftovers(store)
            raise


def _groups(segments: Sequence[Segment], games: AbstractSet[str]) -> list[list[Segment]]:
    """Return groups of segments: those that share a removed game are in one, those that have nothing left too."""
    emptied = [one for one in segments if one.rows_of.keys() <= games and not one.footer.rows]
    group_of: dict[str, list[Segment]] = {}
    groups: list[list[Segment]] = []
    rest: list[Segment] = []
    shared = Counter(game for segment in segments for game in segment.rows_of.keys() & games)
    for segment in segments:
        mine = segment.rows_of.keys() & games
        if not mine:
            continue
        if segment.rows_of.keys() <= games and all(shared[game] == 1 for game in mine):
            rest.append(segment)
            continue
        group = [segment]
        for other in {id(group_of[game]): group_of[game] for game in mine if game in group_of}.values():
            group += other
            groups.remove(other)
        groups.append(group)
        for one in group:
            group_of |= dict.fromkeys(one.rows_of.keys() & games, group)
    if rest:
        groups.append(rest + emptied)
    return groups


def _rewrite(store: Store, group: Sequence[Segment], games: AbstractSet[str]) -> None:
    """Write a group of segments anew without some games; the account of their sources stays."""
    extents: list[Extent] = []
    removed: list[str] = []
    for segment in group:
        pruned = _pruned(segment, games)
        removed += [one["digest"] for one in pruned.values()]
        for number, extent in enumerate(segment.footer.extents):
            more = pruned.get(number)
            extents.append(replace(extent, pruned=_added(extent.pruned, more)) if more else extent)
    before = sum_digests([segment.footer.rows_digest for segment in group])
    left = (int(before, 16) - int(sum_digests(removed), 16)) & (2**64 - 1)
    segments = list(group)
    write_segment(
        store.path / SEGMENTS,
        merged_rows(segments, games),
        origin="prune",
        extents=extents,
        remarks=merged_remarks(store, segments),
        replaces=sorted({name for one in group for name in (*one.footer.replaces, one.name)}),
        lasting=True,
        expected_digest=f"{left:016x}",
        keys=store.files.keys,
    ).publish()


def _pruned(segment: Segment, games: AbstractSet[str]) -> dict[int, dict[str, Any]]:
    """Return, by the number of each extent, the rows and games that are removed, and the digest of those rows."""
    found: dict[int, dict[str, Any]] = {}
    for table in _removed_rows(segment, games):
        owner = _owners(table, segment.footer.extents)
        for number in distinct(owner):
            part = table.take(column(np.flatnonzero(owner == number)))
            count = len(part.column("game_id").unique())
            one = {"rows": part.num_rows, "games": count, "digest": rows_digest(part)}
            found[int(number)] = _added(found.get(int(number), {}), one)
    return found


def _removed_rows(segment: Segment, games: AbstractSet[str]) -> Iterator[pa.Table]:
    """Yield the rows that are removed, whole games together, about a row group at a time."""
    parts: list[pa.Table] = []
    rows = 0
    for game in sorted(segment.rows_of.keys() & games, key=lambda name: segment.rows_of[name]):
        parts.append(segment.read_game(game))
        rows += parts[-1].num_rows
        if rows >= ROW_GROUP_ROWS:
            yield pa.concat_tables(parts)
            parts, rows = [], 0
    if parts:
        yield pa.concat_tables(parts)


def _added(before: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    if not before:
        return more
    counts = {name: before[name] + more[name] for name in ("rows", "games")}
    return {**counts, "digest": sum_digests([before["digest"], more["digest"]])}


def _owners(table: pa.Table, extents: Sequence[Extent]) -> NDArray[np.int64]:
    """Return for each row the number of its extent: the last of its source that begins at it or before."""
    names = table.column("source").unify_dictionaries().combine_chunks()
    codes = as_numpy(names.indices).astype(np.int64)
    seq = as_numpy(table.column("seq"))
    owner = np.full(table.num_rows, -1, np.int64)
    numbers_of: dict[str, list[int]] = {}
    for number, one in enumerate(extents):
        if one.tick_count:
            numbers_of.setdefault(one.source, []).append(number)
    for code, name in enumerate(names.dictionary.to_pylist()):
        rows = np.flatnonzero(codes == code)
        numbers = sorted(numbers_of.get(name, []), key=lambda number: extents[number].first_seq)
        if numbers and len(rows):
            starts = np.array([extents[number].first_seq for number in numbers], np.int64)
            at = np.searchsorted(starts, seq[rows], side="right") - 1
            owner[rows] = np.array(numbers, np.int64)[np.maximum(at, 0)]
    return owner
