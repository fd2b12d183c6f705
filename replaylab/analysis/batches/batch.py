"""Batch: one function over every game of a store, on the cores of this machine or of a cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from replaylab.analysis.batches.cache import Cache
from replaylab.analysis.batches.fingerprint import fingerprint, source_of, versions
from replaylab.analysis.batches.results import Interrupted, Manifest, Results
from replaylab.analysis.batches.rows import GAME, REASON, in_order, joined
from replaylab.analysis.batches.run import Run
from replaylab.analysis.batches.task import EachGame, Summary
from replaylab.analysis.price_paths.arguments import number
from replaylab.analysis.price_paths.selection import Selection, checked
from replaylab.errors import AnalysisError
from replaylab.segments.segment import ROW_GROUP_ROWS
from replaylab.storage.game_summary import SCHEMA as GAMES_SCHEMA
from replaylab.storage.interchange import pandas_frame
from replaylab.storage.objectstore import opened
from replaylab.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

Source = Store | str | os.PathLike[str]
_log = logging.getLogger("replaylab.batch")


def map_games(  # noqa: PLR0913 each is a choice of the caller
    source: Source,
    fn: Callable[..., object],
    *,
    parameters: Mapping[str, Any] | None = None,
    where: Selection | None = None,
    executor: Any = None,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    max_seconds: float | None = 600.0,
    progress: bool | None = None,
) -> Results:
    """Call a function for every game of a store and collect what it returns, each game exactly once.

    Parameters
    ----------
    source : Store or path
        The games; one that lies in several segments is read whole.
    fn : callable
        Called as ``fn(game, **parameters)`` with a `Game`. It returns a mapping (one row), a plain value (one row,
        column `value`), a pandas Series (one row), a list of mappings, an Arrow table or a frame (several rows), or
        None (no row). One that raises makes its game a row with the reason in `error`; the others go on.
    parameters : mapping, optional
        What `fn` is called with besides the game.
    where : Selection, optional
        Which games; all of them unless given.
    executor : object, optional
        A `concurrent.futures` executor, a `dask.distributed.Client` or cluster, whose workers see the store under the
        same path. Without one, processes of this machine: they are forked, so `fn` may be a lambda or live in a
        notebook. Functions travel to other processes by value where cloudpickle is installed (it comes with Dask).
    workers : int, optional
        How many processes of this machine; one a core unless given, none beside this one for 1.
    cache : path, optional
        Folder that keeps the rows of each game under the digests of its segments, of `fn` (its code, that of the
        helpers, globals and modules of yours that it names), of its parameters and of the versions of installed
        packages: a rerun computes only what changed, and goes on where an interrupted one was. Nothing is kept unless
        it is given. What `fn` reads by itself from files or the network, or looks up by text, is not seen.
    max_seconds : float, optional
        Time that `fn` may take for a game; None waits for ever. A game that takes longer is a row with the reason in
        `error`, and the third one ends the run.
    progress : bool, optional
        Show a progress bar, in a terminal or notebook.

    Returns
    -------
    Results
        The rows in order of the start of their games, the same for every executor.

    Raises
    ------
    StoreNotFound
        When there is no store.
    AnalysisError
        When `fn` cannot be called, cannot be sent to the executor, or has no digest for the cache.
    WorkerFailed
        When the executor ended before the games did, or `fn` did not return in three games; the cache keeps what was
        finished.
    Interrupted
        On Ctrl-C, a `KeyboardInterrupt` whose `results` hold what was finished.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> def lasting(game, least):
    ...     return {"rug_tick": game.summary["rug_tick"], "long": game.summary["rug_tick"] >= least}
    >>> found = map_games(folder + "/store", lasting, parameters={"least": 100})
    >>> found.table.column_names, found.n_games
    (['game_id', 'rug_tick', 'long', 'error'], 3)
    """
    if not callable(fn):
        raise AnalysisError(f"fn={fn!r} cannot be called; pass a function of a game")
    limit = None if max_seconds is None else number("max_seconds", max_seconds, above=0)
    store, given = _opened(source), dict(parameters or {})
    digest, named = fingerprint(fn, given) if cache is not None else ("", {})
    run = Run(
        store,
        EachGame(fn, given, limit),
        _wanted(store, where),
        executor,
        _workers(workers),
        _cache(cache, digest, named, store),
        _shows(progress),
    )
    origin = _Origin(fn, given, digest, versions(named), datetime.now(UTC))
    try:
        run.go()
    except KeyboardInterrupt:
        kept = f"are kept in {cache}: run again to go on" if cache is not None else "are in .results; cache= keeps them"
        finished = f"{run.cached + run.computed:,} of {len(run.order):,} games were finished and {kept}"
        raise Interrupted(finished, _results(run, origin, complete=False)) from None
    return _results(run, origin, complete=True)


def summarise(
    source: Source,
    *,
    where: Selection | None = None,
    executor: Any = None,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Sum up every game of a store, one row a game: the table of `Store.games`, made by many workers.

    Parameters
    ----------
    source, where, executor, workers, cache, progress
        As for `map_games`.

    Returns
    -------
    DataFrame
        As `Store.games`, prices as the nearest doubles; `attrs` hold `n_games`, `n_ticks` (distinct live ones) and
        `left_out`: what could not be read (segments, or single games of them), with the reason.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> summarise(folder + "/store").equals(rl.open_store(folder + "/store").games())
    True
    """
    table, left_out = summary_table(
        source, where=where, executor=executor, workers=workers, cache=cache, progress=progress
    )
    frame = pandas_frame(table)
    frame.attrs |= {"n_games": len(frame), "n_ticks": int(frame["ticks"].sum()), "left_out": left_out}
    return frame


def summary_table(
    source: Source,
    *,
    where: Selection | None = None,
    executor: Any = None,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> tuple[pa.Table, dict[str, str]]:
    """Return the table of `summarise` in Arrow, and what could not be read with the reason."""
    where = checked(where)
    store = _opened(source)
    kept = _cache(cache, *fingerprint(Summary), store) if cache is not None else None
    run = Run(store, Summary(), None, executor, _workers(workers), kept, _shows(progress), ROW_GROUP_ROWS)
    run.go()
    for game, reason in run.failures.items():
        _log.warning("game left out: %s: %s", game, reason)
    tables = [table for outcome in run.outcomes for table in outcome.tables]
    found = pa.concat_tables([*tables, GAMES_SCHEMA.empty_table()])
    found = found.sort_by([("start", "ascending"), ("game_id", "ascending")])
    return found if where is None else where.of(found), {**store.damaged, **run.failures}


def _opened(source: Source) -> Store:
    if isinstance(source, Store | str | os.PathLike):
        return opened(source)
    raise AnalysisError(f"{source!r} is no store; pass a Store, its path or its URI")


def _cache(folder: str | os.PathLike[str] | None, digest: str, named: Mapping[str, str], store: Store) -> Cache | None:
    """Return the cache of a task; its name is a digest of the task and of the versions."""
    if folder is None:
        return None
    return Cache(folder, fingerprint(digest, versions(named))[0], store.files.keys)


def _shows(progress: bool | None) -> bool:  # noqa: FBT001 three-valued
    from replaylab.settings import current  # pydantic loads late, as importing the package must stay cheap

    return current().progress if progress is None else progress


def _workers(workers: int | None) -> int | None:
    """Return the number of processes asked for, here or in the settings; raises `SettingsError` out of bounds."""
    from replaylab.settings import current

    return current().workers if workers is None else current().changed(workers=workers).workers


def _wanted(store: Store, where: Selection | None) -> frozenset[str] | None:
    where = checked(where)
    if where is None:
        return None
    return frozenset(where.of(store.games_table()).column("game_id").to_pylist())


@dataclass(frozen=True)
class _Origin:
    """What a manifest records of a function."""

    fn: Callable[..., object]
    parameters: dict[str, Any]
    digest: str
    versions: dict[str, str]
    started: datetime


def _results(run: Run, origin: _Origin, *, complete: bool) -> Results:
    """Put the rows of a run in order, the reasons among them, and write down how they were made."""
    table, misfits = joined((table for one in run.outcomes for table in one.tables), run.order)
    failures = run.failures | misfits
    reasons = pa.table([[*failures], [*failures.values()]], pa.schema([(GAME, pa.string()), (REASON, pa.string())]))
    table = table.append_column(REASON, pa.nulls(table.num_rows, pa.string()))
    manifest = Manifest(
        store=str(run.store.path),
        segments=run.segments,
        function=getattr(origin.fn, "__qualname__", repr(origin.fn)),
        function_digest=origin.digest,
        source=source_of(origin.fn),
        parameters=origin.parameters,
        versions=origin.versions,
        started=origin.started,
        ended=datetime.now(UTC),
        games=len(run.order),
        rows=run.rows,
        computed=run.computed - len(misfits),
        cached=run.cached,
        failed=len(failures),
        complete=complete,
        left_out=dict(run.store.damaged),
    )
    return Results(in_order(pa.concat_tables([table, reasons], promote_options="default"), run.order), manifest)
