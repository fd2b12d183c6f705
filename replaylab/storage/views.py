"""Views of a store for SQL: live ticks, their prices, gaps; in DuckDB's SQL, over `ticks` and `games`."""

from __future__ import annotations

import re
from typing import Any, Final

_RUN: Final = r"regexp_replace(source, '-[0-9]{6,}\.journal$', '')"  # the journals of one run are one source
_OF_TICK: Final = _RUN.replace("source", "t.source")
_LIVE: Final = """
    SELECT t.* FROM ticks t
    JOIN games g ON g.game_id = t.game_id
    LEFT JOIN (SELECT game_id, {run} AS run, min(timestamp) AS began FROM ticks GROUP BY ALL) s
        ON s.game_id = t.game_id AND s.run IS NOT DISTINCT FROM {of_tick}
    WHERE t.active AND NOT t.rugged AND NOT g.double_rug AND (g.rug_tick IS NULL OR t.tick < g.rug_tick)
    QUALIFY row_number() OVER (PARTITION BY t.game_id, t.tick ORDER BY s.began NULLS LAST, s.run, t.seq) = 1
"""
VIEWS: Final = {
    "live": _LIVE.format(run=_RUN, of_tick=_OF_TICK),
    "prices": """
        SELECT game_id, tick, timestamp, price, CAST(CAST(price AS VARCHAR) AS DOUBLE) AS price_double FROM live
    """,
    "gaps": """
        SELECT game_id, tick + 1 AS from_tick, later AS to_tick, later - tick - 1 AS ticks FROM (
            SELECT l.game_id, l.tick,
                coalesce(lead(l.tick) OVER (PARTITION BY l.game_id ORDER BY l.tick), g.rug_tick) AS later
            FROM live l JOIN games g ON g.game_id = l.game_id
        ) WHERE later > tick + 1
    """,
}
"""Definitions by name. `live`: every live tick before the rug once, the first received, with the columns of `ticks`,
less games that came back after their rug: the ticks of `replaylab.analysis.Paths`. `prices`: of these the price,
exact and as the nearest double. `gaps`: runs of missing live ticks, `to_tick` exclusive."""


def create_views(connection: Any, query: str, games_table: Any) -> None:
    """Create the views that a query names, and the table of games where one of them needs it.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
        One in which `ticks` is registered.
    query : str
        The query; a name in it that is no view costs time and nothing else.
    games_table : callable
        Returns the table of games.
    """
    named = set(re.findall(r"\b(games|live|prices|gaps|show)\b", query.lower()))
    if named:
        connection.register("games", games_table())
    if named - {"games"}:
        for name, text in VIEWS.items():
            connection.execute(f"CREATE TEMP VIEW {name} AS {text}")
