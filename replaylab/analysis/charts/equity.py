"""Equity curve over games, with a fan of the same games resampled."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from replaylab.analysis.backtests.backtest import Backtest
from replaylab.analysis.backtests.ruin import Ruin
from replaylab.analysis.charts.elements import legend
from replaylab.analysis.charts.frames import Drawn, column, counted, shown
from replaylab.charts.style import BLUE, FAINT, PURPLE, VERMILION, blank, head, ink, on_paper, say
from replaylab.errors import AnalysisError
from replaylab.plural import count_of


def backtest(found: Backtest, ruin: Ruin | None = None, ax: Axes | None = None) -> Drawn:
    """Chart of the balance after each game, and the Monte Carlo fan of a resampling beside it.

    The fan shows how much of a curve is the order and choice of the games; a curve inside it proves nothing, and one
    strategy found among many tried has a good curve by choice.

    Parameters
    ----------
    found : Backtest
        Result of `replaylab.analysis.backtest`.
    ruin : Ruin, optional
        Result of `Backtest.ruin`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Picture or Axes

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.analysis.backtests.strategies import Aggressive
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = rl.analysis.Paths.of_arrays(*price_arrays(50, seed=1))
    >>> found = rl.analysis.backtest(drawn, Aggressive, progress=False)
    >>> backtest(found, found.ruin(resamples=100))
    <Picture size 900x430 with 1 Axes>
    """
    if not isinstance(found, Backtest):
        raise AnalysisError(f"charts.backtest draws the result of analysis.backtest, not {type(found).__name__}")
    drawn = blank(9, 4.3)[0] if ax is None else ax
    head(drawn, "Balance after each game", " · ".join(_facts(found, ruin)))
    if not found.n_games:
        say(drawn, "No game was played")
        return shown(drawn, ax)
    drawn.set(xlabel="games played", ylabel="balance (in the unit of the bankroll)")
    drawn.xaxis.set_major_locator(MaxNLocator(integer=True))
    games = found.n_games
    if ruin is not None:
        _draw_fan(drawn, ruin)
        games = max(games, len(ruin.fan) - 1)
    balance = column(found.equity, "balance")
    drawn.plot(np.arange(len(balance)), balance, color=BLUE, linewidth=1.8, label="as recorded", zorder=3)
    drawn.axhline(float(found.start), color=FAINT, linewidth=1, linestyle=":")
    drawn.set_xlim(0, games * 1.12)
    text = drawn.annotate(
        f"{found.balance:.4g}", (found.n_games, balance[-1]), (6, 0), textcoords="offset points",
        va="center", fontsize=9, color=ink(drawn), zorder=4,
    )  # fmt: skip
    on_paper(text, drawn)
    low, high = drawn.get_ylim()
    drawn.set_ylim(low, high + 0.16 * (high - low))  # room for the legend
    legend(drawn, loc="upper left", ncols=5)
    return shown(drawn, ax)


def _facts(found: Backtest, ruin: Ruin | None) -> list[str]:
    facts = [counted(found.n_games, found.n_ticks), count_of(len(found.trades), "trade")]
    facts += found.notes
    if ruin is not None:
        facts.append(f"{ruin.resamples:,} bankrolls, {ruin.probability * 100:.3g} % of them ruined")
    return facts


def _draw_fan(ax: Axes, ruin: Ruin) -> None:
    fan = {str(name): column(ruin.fan, str(name)) for name in ruin.fan}
    game = fan["game"]
    for low, high, alpha in (("p05", "p95", 0.18), ("p25", "p75", 0.32)):
        name = f"{int(high[1:]) - int(low[1:])} % of the bankrolls"
        ax.fill_between(game, fan[low], fan[high], color=PURPLE, alpha=alpha, linewidth=0, label=name)
    ax.plot(game, fan["p50"], color=PURPLE, linewidth=1.2, linestyle="--", label="half of them")
    words = f"ruin, below {ruin.level:g}"
    ax.axhline(ruin.level, color=VERMILION, linewidth=1.2, label=words)
