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
    from replaylab.analysis import charts as charts
    from replaylab.analysis.backtest import Backtest, backtest
    from replaylab.analysis.batch import map_games, summarise
    from replaylab.analysis.batches.results import Interrupted, Results
    from replaylab.analysis.durations import duration_hist
    from replaylab.analysis.entries import EntryStudy, entry_study, entry_trades, touch_table
    from replaylab.analysis.features import features, features_at
    from replaylab.analysis.games import bootstrap, games, games_of, split
    from replaylab.analysis.hazard import hazard, p_rug_within
    from replaylab.analysis.horizons import excursion_table, horizon_table
    from replaylab.analysis.neighbours import SequenceStudy, sequence_study
    from replaylab.analysis.paths import Paths, paths
    from replaylab.analysis.peaks import peak_quantiles, peak_table
    from replaylab.analysis.selection import Selection
    from replaylab.analysis.sequences import BetSequence, bet_sequence, martingale
    from replaylab.analysis.sidebets import sidebet_heatmap, sidebet_pooled, sidebet_table
    from replaylab.analysis.survival import Survival, survival
    from replaylab.analysis.trades import EntryPlan
    from replaylab.analysis.trading.account import Rules
    from replaylab.analysis.trading.order import Bet, Buy, Sell
    from replaylab.analysis.trading.ruin import ruin
    from replaylab.analysis.trading.tape import Tape
    from replaylab.analysis.trading.trader import Trader
    from replaylab.analysis.trading.vectorised import Vectorised
    from replaylab.analysis.volatility import spike_table, volatility_by_price

__all__ = [
    "Backtest",
    "Bet",
    "BetSequence",
    "Buy",
    "EntryPlan",
    "EntryStudy",
    "Interrupted",
    "Paths",
    "Results",
    "Rules",
    "Selection",
    "Sell",
    "SequenceStudy",
    "Survival",
    "Tape",
    "Trader",
    "Vectorised",
    "backtest",
    "bet_sequence",
    "bootstrap",
    "duration_hist",
    "entry_study",
    "entry_trades",
    "excursion_table",
    "features",
    "features_at",
    "games",
    "games_of",
    "hazard",
    "horizon_table",
    "map_games",
    "martingale",
    "p_rug_within",
    "paths",
    "peak_quantiles",
    "peak_table",
    "ruin",
    "sequence_study",
    "sidebet_heatmap",
    "sidebet_pooled",
    "sidebet_table",
    "spike_table",
    "split",
    "summarise",
    "survival",
    "touch_table",
    "volatility_by_price",
]

_HOME = {
    "Backtest": "backtest",
    "Bet": "trading.order",
    "BetSequence": "sequences",
    "Buy": "trading.order",
    "EntryPlan": "trades",
    "EntryStudy": "entries",
    "Interrupted": "batches.results",
    "Paths": "paths",
    "Results": "batches.results",
    "Rules": "trading.account",
    "Selection": "selection",
    "Sell": "trading.order",
    "SequenceStudy": "neighbours",
    "Survival": "survival",
    "Tape": "trading.tape",
    "Trader": "trading.trader",
    "Vectorised": "trading.vectorised",
    "backtest": "backtest",
    "bet_sequence": "sequences",
    "bootstrap": "games",
    "duration_hist": "durations",
    "entry_study": "entries",
    "entry_trades": "entries",
    "excursion_table": "horizons",
    "features": "features",
    "features_at": "features",
    "games": "games",
    "games_of": "games",
    "hazard": "hazard",
    "horizon_table": "horizons",
    "map_games": "batch",
    "martingale": "sequences",
    "p_rug_within": "hazard",
    "paths": "paths",
    "peak_quantiles": "peaks",
    "peak_table": "peaks",
    "ruin": "trading.ruin",
    "sequence_study": "neighbours",
    "sidebet_heatmap": "sidebets",
    "sidebet_pooled": "sidebets",
    "sidebet_table": "sidebets",
    "spike_table": "volatility",
    "split": "games",
    "summarise": "batch",
    "survival": "survival",
    "touch_table": "entries",
    "volatility_by_price": "volatility",
}


class _FrontDoor(ModuleType):
    """Loads each name from its module when it is first asked for; a function keeps its name's place from its module."""

    def __getattribute__(self, name: str) -> Any:
        if name == "charts":  # a folder, and matplotlib with it, loaded when something is to be drawn
            return importlib.import_module("replaylab.analysis.charts")
        home = _HOME.get(name)
        if home is None:
            return super().__getattribute__(name)
        return getattr(importlib.import_module(f"replaylab.analysis.{home}"), name)

    def __dir__(self) -> list[str]:
        return sorted([*__all__, "charts"])


sys.modules[__name__].__class__ = _FrontDoor
