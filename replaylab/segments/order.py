"""The orders of rows: as they were received, and game after game. Pure."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pyarrow as pa

from replaylab.columns import as_numpy, column, distinct, take
from replaylab.table import Whole

_NUMBER: Final = re.compile(r"-\d{6,}\.journal\Z")  # behind the run, in the name of a journal


def in_order_received(table: pa.Table) -> pa.Table:
    """Put rows in the order received: by game as they stand, then sources by their first time, then place in them.

    The journals of one run of a recorder are one source here, as places in a run go on from journal to journal.
    """
    table = table.unify_dictionaries()
    if not table.num_rows:
        return table
    codes = as_numpy(table.column("game_id").combine_chunks().indices)
    names = table.column("source").combine_chunks()
    runs = [_NUMBER.sub("", name) for name in names.dictionary.to_pylist()]
    once = list(dict.fromkeys(runs))
    code_of = {run: code for code, run in enumerate(once)}
    run_of = np.array([code_of[run] for run in runs], np.int64)
    written = as_numpy(names.indices)
    seq = as_numpy(table.column("seq"))
    game_changes = np.flatnonzero(codes[1:] != codes[:-1])
    source_changes = np.flatnonzero(written[1:] != written[:-1])
    source_changes = source_changes[run_of[written[source_changes]] != run_of[written[source_changes + 1]]]
    one_each = len(distinct(codes[np.append(game_changes, len(codes) - 1)])) == len(game_changes) + 1
    breaks = np.concatenate([source_changes, np.flatnonzero(seq[1:] < seq[:-1])])
    if one_each and np.isin(breaks, game_changes).all():
        return table
    game, source = codes.astype(np.int64), run_of[written]
    pairs, of_row = np.unique(game << 32 | source, return_inverse=True)
    first = np.full(len(pairs), np.iinfo(np.int64).max)
    times = as_numpy(table.column("timestamp"), np.iinfo(np.int64).max)
    np.minimum.at(first, of_row, times)
    rank = _ranks(once)
    _, stands_at, number = np.unique(game, return_index=True, return_inverse=True)  # codes say nothing of the order
    return table.take(column(np.lexsort([seq, rank[source], first[of_row], stands_at[number]])))


def _ranks(texts: list[str]) -> Whole:
    """Return the place of each text when sorted; numpy's own order would drop NULs at the end of a text."""
    ranks = np.empty(len(texts), np.int64)
    ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return ranks


def sorted_by_game(table: pa.Table) -> pa.Table:
    """Return rows game after game, games by their first time and then id, rows in the order given within each.

    In order of time the steps between neighbouring times stay small: 0.7 bytes a tick less than in order of ids,
    measured on 582 real games.
    """
    table = table.unify_dictionaries()
    if not table.num_rows:
        return table
    table = table.combine_chunks()
    games = table.column("game_id").chunk(0)
    codes = as_numpy(games.indices)
    starts = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])
    codes = _by_time(games.dictionary.to_pylist(), codes[starts], first_times(table, starts))[codes]
    if (np.diff(codes[starts]) > 0).all():
        return table
    counts = np.diff(starts, append=len(codes))
    order = np.argsort(codes[starts], kind="stable")
    shift = starts[order] - np.concatenate([[0], np.cumsum(counts[order])[:-1]])
    return take(table, np.repeat(shift, counts[order]) + np.arange(len(codes)))


def first_times(table: pa.Table, starts: Whole) -> Whole:
    """Return the earliest time of each run of rows, microseconds since 1970; the greatest number when none is known."""
    times = as_numpy(table.column("timestamp"), null=np.iinfo(np.int64).max)
    return np.asarray(np.minimum.reduceat(times, starts))


def _by_time(games: list[str], game_of_run: Whole, first_of_run: Whole) -> Whole:
    """Return the rank of every game: by its first time, then by its id."""
    first = np.full(len(games), np.iinfo(np.int64).max)
    np.minimum.at(first, game_of_run, first_of_run)
    rank = np.empty(len(games), np.int64)
    rank[np.lexsort([_ranks(games), first])] = np.arange(len(games))
    return rank
