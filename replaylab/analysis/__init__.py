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

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replaylab.analysis import charts as charts
    from replaylab.analysis.backtests.account import Rules
    from replaylab.analysis.backtests.backtest import Backtest, backtest
    from replaylab.analysis.backtests.orders import Bet, Buy, Cancel, Sell, When, limit, stop, trailing
    from replaylab.analysis.backtests.ruin import ruin
    from replaylab.analysis.backtests.tape import Tape
    from replaylab.analysis.backtests.trader import Trader
    from replaylab.analysis.backtests.vectorised import Vectorised
    from replaylab.analysis.batches.batch import map_games, summarise
    from replaylab.analysis.batches.results import Interrupted, Results
    from replaylab.analysis.comparisons.lives import Drift, LogRank, drift, log_rank
    from replaylab.analysis.comparisons.paired import adjusted, compare
    from replaylab.analysis.comparisons.power import games_needed, smallest_edge
    from replaylab.analysis.models.folds import GameFolds, GamesInTime
    from replaylab.analysis.models.similar import similar_games
    from replaylab.analysis.models.training import TrainingSet, training_set
    from replaylab.analysis.price_paths.games import bootstrap, games, games_of, split
    from replaylab.analysis.price_paths.paths import Paths, paths
    from replaylab.analysis.price_paths.selection import Selection
    from replaylab.analysis.questions.durations import duration_hist
    from replaylab.analysis.questions.entries import EntryStudy, entry_study, entry_trades, touch_table
    from replaylab.analysis.questions.features import features, features_at
    from replaylab.analysis.questions.gap_mask import gap_mask
    from replaylab.analysis.questions.hazard import hazard, p_rug_within
    from replaylab.analysis.questions.horizons import excursion_table, horizon_table
    from replaylab.analysis.questions.neighbours import SequenceStudy, sequence_study
    from replaylab.analysis.questions.peaks import peak_quantiles, peak_table
    from replaylab.analysis.questions.sequences import BetSequence, bet_sequence, martingale
    from replaylab.analysis.questions.sidebets import sidebet_heatmap, sidebet_pooled, sidebet_table
    from replaylab.analysis.questions.survival import Survival, survival
    from replaylab.analysis.questions.trade_flow import trade_flow
    from replaylab.analysis.questions.trades import EntryPlan
    from replaylab.analysis.questions.volatility import spike_table, volatility_by_price
    from replaylab.analysis.sweeps.luck import Luck, best_of_many
    from replaylab.analysis.sweeps.sweep import Sweep, sweep

__all__ = [
    "Backtest",
    "Bet",
    "BetSequence",
    "Buy",
    "Cancel",
    "Drift",
    "EntryPlan",
    "EntryStudy",
    "GameFolds",
    "GamesInTime",
    "Interrupted",
    "LogRank",
    "Luck",
    "Paths",
    "Results",
    "Rules",
    "Selection",
    "Sell",
    "SequenceStudy",
    "Survival",
    "Sweep",
    "Tape",
    "Trader",
    "TrainingSet",
    "Vectorised",
    "When",
    "adjusted",
    "backtest",
    "best_of_many",
    "bet_sequence",
    "bootstrap",
    "compare",
    "drift",
    "duration_hist",
    "entry_study",
    "entry_trades",
    "excursion_table",
    "features",
    "features_at",
    "games",
    "games_needed",
    "games_of",
    "gap_mask",
    "hazard",
    "horizon_table",
    "limit",
    "log_rank",
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
    "similar_games",
    "smallest_edge",
    "spike_table",
    "split",
    "stop",
    "summarise",
    "survival",
    "sweep",
    "touch_table",
    "trade_flow",
    "trailing",
    "training_set",
    "volatility_by_price",
]

_HOME = {
    "Backtest": "backtests.backtest",
    "Bet": "backtests.orders",
    "BetSequence": "questions.sequences",
    "Buy": "backtests.orders",
    "Cancel": "backtests.orders",
    "Drift": "comparisons.lives",
    "EntryPlan": "questions.trades",
    "EntryStudy": "questions.entries",
    "GameFolds": "models.folds",
    "GamesInTime": "models.folds",
    "Interrupted": "batches.results",
    "LogRank": "comparisons.lives",
    "Luck": "sweeps.luck",
    "Paths": "price_paths.paths",
    "Results": "batches.results",
    "Rules": "backtests.account",
    "Selection": "price_paths.selection",
    "Sell": "backtests.orders",
    "SequenceStudy": "questions.neighbours",
    "Survival": "questions.survival",
    "Sweep": "sweeps.sweep",
    "Tape": "backtests.tape",
    "Trader": "backtests.trader",
    "TrainingSet": "models.training",
    "Vectorised": "backtests.vectorised",
    "When": "backtests.orders",
    "adjusted": "comparisons.paired",
    "backtest": "backtests.backtest",
    "best_of_many": "sweeps.luck",
    "bet_sequence": "questions.sequences",
    "bootstrap": "price_paths.games",
    "compare": "comparisons.paired",
    "drift": "comparisons.lives",
    "duration_hist": "questions.durations",
    "entry_study": "questions.entries",
    "entry_trades": "questions.entries",
    "excursion_table": "questions.horizons",
    "features": "questions.features",
    "features_at": "questions.features",
    "games": "price_paths.games",
    "games_needed": "comparisons.power",
    "games_of": "price_paths.games",
    "gap_mask": "questions.gap_mask",
    "hazard": "questions.hazard",
    "horizon_table": "questions.horizons",
    "limit": "backtests.orders",
    "log_rank": "comparisons.lives",
    "map_games": "batches.batch",
    "martingale": "questions.sequences",
    "p_rug_within": "questions.hazard",
    "paths": "price_paths.paths",
    "peak_quantiles": "questions.peaks",
    "peak_table": "questions.peaks",
    "ruin": "backtests.ruin",
    "sequence_study": "questions.neighbours",
    "sidebet_heatmap": "questions.sidebets",
    "sidebet_pooled": "questions.sidebets",
    "sidebet_table": "questions.sidebets",
    "similar_games": "models.similar",
    "smallest_edge": "comparisons.power",
    "spike_table": "questions.volatility",
    "split": "price_paths.games",
    "stop": "backtests.orders",
    "summarise": "batches.batch",
    "survival": "questions.survival",
    "sweep": "sweeps.sweep",
    "touch_table": "questions.entries",
    "trade_flow": "questions.trade_flow",
    "trailing": "backtests.orders",
    "training_set": "models.training",
    "volatility_by_price": "questions.volatility",
}


def __getattr__(name: str) -> Any:
    """Return a public name, loaded from its module at its first use; `charts` brings matplotlib with it."""
    if name == "charts":
        return importlib.import_module("replaylab.analysis.charts")
    if name not in _HOME:
        raise AttributeError(f"module 'replaylab.analysis' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"replaylab.analysis.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "charts"])
