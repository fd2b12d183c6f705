"""Analysis: honest answers over many games, each need one call.

Every function takes a `Store`, the path of one, or the `Paths` that `paths` loads once for many questions; every result
says how many games and ticks stand behind it. What counts is the same everywhere: live ticks (active, not rugged), each
once; R is the tick of the rug; a game that came back after its rug is left out unless asked for; resampling is by game.

Examples
--------
>>> import replaylab as rl
>>> "paths" in dir(rl.analysis)
True
"""

# ruff: noqa: TC004 the front door loads a name when it is asked for

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replaylab.analysis.batch import map_games, summarise
    from replaylab.analysis.entries import EntryStudy, entry_study, entry_trades, touch_table
    from replaylab.analysis.horizons import excursion_table, horizon_table
    from replaylab.analysis.paths import Paths, paths
    from replaylab.analysis.results import Interrupted, Results
    from replaylab.analysis.selection import Selection
    from replaylab.analysis.sequences import BetSequence, bet_sequence, martingale
    from replaylab.analysis.sidebets import sidebet_heatmap, sidebet_pooled, sidebet_table
    from replaylab.analysis.trades import EntryPlan

__all__ = [
    "BetSequence",
    "EntryPlan",
    "EntryStudy",
    "Interrupted",
    "Paths",
    "Results",
    "Selection",
    "bet_sequence",
    "entry_study",
    "entry_trades",
    "excursion_table",
    "horizon_table",
    "map_games",
    "martingale",
    "paths",
    "sidebet_heatmap",
    "sidebet_pooled",
    "sidebet_table",
    "summarise",
    "touch_table",
]

_HOME = {
    "BetSequence": "sequences",
    "EntryPlan": "trades",
    "EntryStudy": "entries",
    "Interrupted": "results",
    "Paths": "paths",
    "Results": "results",
    "Selection": "selection",
    "bet_sequence": "sequences",
    "entry_study": "entries",
    "entry_trades": "entries",
    "excursion_table": "horizons",
    "horizon_table": "horizons",
    "map_games": "batch",
    "martingale": "sequences",
    "paths": "paths",
    "sidebet_heatmap": "sidebets",
    "sidebet_pooled": "sidebets",
    "sidebet_table": "sidebets",
    "summarise": "batch",
    "touch_table": "entries",
}


class _FrontDoor(ModuleType):
    """Loads each name from its module when it is first asked for; a function keeps its name's place from its module."""

    def __getattribute__(self, name: str) -> Any:
        home = _HOME.get(name)
        if home is None:
            return super().__getattribute__(name)
        return getattr(importlib.import_module(f"replaylab.analysis.{home}"), name)

    def __dir__(self) -> list[str]:
        return sorted(__all__)


sys.modules[__name__].__class__ = _FrontDoor
