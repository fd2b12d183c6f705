"""Cluster: one function of the user's over every game, by one Dask worker, by two, by this machine's own processes.

The claims: two Dask workers do at least 1.7 times as much as one, and a rerun from the cache takes at most 5 % of the
first run. The function is plain Python over exact prices, as users write it. Every way must give the identical table.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import dask
import pyarrow as pa
from distributed import Client, LocalCluster

import replaylab as rl
from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table, workshop
from benchmarks.storage.query import built
from replaylab.analysis import map_games


def shape(game: rl.Game) -> dict[str, Any]:
    """The greatest fall of a game from its peak, exact, and how many ticks rose."""
    peak = fall = Decimal(0)
    rises = 0
    before = None
    for price in game.prices()["price"].to_pylist():
        if price is None:
            continue
        peak = max(peak, price)
        fall = max(fall, peak - price)
        rises += before is not None and price > before
        before = price
    return {"peak": game.summary["peak"], "fall": fall, "rises": rises, "rug_tick": game.summary["rug_tick"]}


def plain_loop(store: Path) -> list[dict[str, Any]]:
    """The same without any of this: game after game, in one process."""
    opened = rl.Store(store)
    return [{"game_id": game, **shape(opened.game(game))} for game in opened.games_table()["game_id"].to_pylist()]


def cluster(workers: int) -> LocalCluster:
    """So many worker processes with a thread each, on this machine alone."""
    return LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
    )


def workers(store: Path, rounds: int) -> None:
    """Measure one Dask worker, two, and the local pool."""
    found: dict[str, pa.Table] = {}
    with cluster(1) as one, cluster(2) as two, Client(one) as first, Client(two) as second:

        def by(name: str, **options: Any) -> None:
            found[name] = map_games(store, shape, progress=False, **options).table

        names = ["one Dask worker", "two Dask workers", "this process", "two forked processes"]
        seconds = alternate(
            {
                names[0]: lambda: by(names[0], executor=first),
                names[1]: lambda: by(names[1], executor=second),
                names[2]: lambda: by(names[2], workers=1),
                names[3]: lambda: by(names[3], workers=2),
            },
            rounds,
        )
    assert all(table.equals(found[names[0]]) for table in found.values())
    few = plain_loop(store)[:20]
    assert found[names[0]].drop_columns(["error"]).slice(0, len(few)).to_pylist() == few
    games = found[names[0]].num_rows
    rows = [(name, games / median(taken), median(taken)) for name, taken in seconds.items()]
    print_table(f"A function over {games:,} games", ["", "games/s", "seconds"], rows)
    print_ratio("cluster two workers", Ratio.of(seconds[names[0]], seconds[names[1]]), "seconds of one Dask worker")
    print_ratio("cluster two processes", Ratio.of(seconds[names[2]], seconds[names[3]]), "seconds of one process")


def reruns(store: Path, folder: Path, rounds: int) -> None:
    """Measure a first run with an empty cache, and the same once more."""
    caches = itertools.count()
    last = [folder]

    def first() -> None:
        last[0] = folder / f"cache-{next(caches)}"
        found = map_games(store, shape, workers=2, cache=last[0], progress=False)
        assert found.manifest.cached == 0

    def again() -> None:
        found = map_games(store, shape, workers=2, cache=last[0], progress=False)
        assert found.manifest.computed == 0

    seconds = alternate({"first run": first, "rerun": again}, rounds)
    rows = [(name, median(taken), min(taken), max(taken)) for name, taken in seconds.items()]
    print_table("The same again, from the cache", ["", "seconds, median", "least", "greatest"], rows)
    print_ratio("cluster rerun", Ratio.of(seconds["first run"], seconds["rerun"]), "seconds of the first run")


def main() -> None:
    """Build a store, work on it, and print."""
    options = arguments(__doc__, games=3_000)
    with workshop() as folder, dask.config.set(temporary_directory=str(folder)):
        store = built(folder, 30 if options.quick else options.games)
        workers(store, options.rounds)
        reruns(store, folder, options.rounds)


if __name__ == "__main__":
    main()
