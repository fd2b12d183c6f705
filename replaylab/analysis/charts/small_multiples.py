"""Small multiples: many price paths on one scale, coloured by their results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from replaylab.analysis.charts.frames import Drawn, checked, column, counted
from replaylab.analysis.price_paths.arguments import whole
from replaylab.analysis.price_paths.paths import Paths
from replaylab.charts.style import BLUE, FAINT, VERMILION, Floats, blank, ink, say
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

_RESULTS: Final = ("result", "profit")
_HIGH: Final = 1.55  # inches that a small chart is high


def paths(
    found: Paths,
    results: pd.DataFrame | None = None,
    *,
    columns: int = 5,
    most: int = 20,
    ax: Iterable[Axes] | None = None,
) -> Drawn:
    """Small charts of price paths, one a game, all of one scale; coloured by their results.

    Blue won, orange lost, grey is not known; the result stands above each path. The first games are shown, not chosen
    ones, and the chart says how many there are.

    Parameters
    ----------
    found : Paths
        The games.
    results : DataFrame, optional
        A row a game with `game_id` and `result` or `profit`: `entry_trades`, `BetSequence.games`, or
        `Backtest.equity`. Only its games are drawn; entries and exits are marked where it has them.
    columns, most : int
        Charts in a row, and in all.
    ax : iterable of Axes, optional
        Where to draw, one game each; fewer axes, fewer games.

    Returns
    -------
    Picture or list of Axes

    Raises
    ------
    AnalysisError
        When a game has several results, or none of the games is among the paths.

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = rl.analysis.Paths.of_arrays(*price_arrays(50, seed=1))
    >>> entered = rl.analysis.entry_trades(drawn, rl.analysis.EntryPlan(at_tick=0, target=0.5, stop=0.3))
    >>> paths(drawn, entered, most=10)
    <Picture size 1150x400 with 10 Axes>
    """
    outcomes = {} if results is None else _by_game(results)
    ids = found.game_ids
    asked = [place for place, name in enumerate(ids) if results is None or name in outcomes]
    if results is not None and outcomes and not asked:
        raise AnalysisError(f"results of {len(outcomes)} games, none of them among the {len(ids)} paths")
    places = asked[: whole("most", most, least=1)]
    wide = max(min(whole("columns", columns, least=1), len(places)), 1)
    panels = _panels(wide, -(-max(len(places), 1) // wide), len(places)) if ax is None else list(ax)
    title = f"{min(len(places), len(panels)):,} of {counted(len(ids), found.n_ticks)}, in their order"
    if ax is None:
        panels[0].figure.suptitle(_headed(title, outcomes), x=0.01, ha="left", fontsize=10, color=ink(panels[0]))
    if not places:
        say(panels[0], "No game")
        return panels[0].figure if ax is None else panels
    scale = _scale(found, places)
    for panel, place in zip(panels, places, strict=False):
        _draw_path(panel, found, place, outcomes.get(ids[place], {}), scale)
    return panels[0].figure if ax is None else panels


def _headed(title: str, outcomes: dict[str, Any]) -> str:
    named = "blue won, orange lost, grey not known" if outcomes else "x is the rug; no x: its end was not seen"
    return f"Price paths: {title} · {named}\nacross: tick (one is 250 ms) · up: price (multiple of tick 0, log)"


def _by_game(results: pd.DataFrame) -> dict[str, dict[str, Any]]:
    checked("paths", results, ("game_id",))
    name = next((name for name in _RESULTS if name in results), None)
    if name is None:
        raise AnalysisError(f"charts.paths: the results have neither of {', '.join(_RESULTS)}")
    kept = results[results["game_id"].notna()]
    if kept["game_id"].duplicated().any():
        raise AnalysisError("charts.paths: a game has several results; pass one row a game (per='game')")
    marks = [mark for mark in ("tick", "exit_tick") if mark in kept]
    values = zip(kept["game_id"], column(kept, name), kept[marks].to_numpy(), strict=True)
    share = name == "result" and "price" in kept  # of a position; that of a bet is money
    return {
        game: {"result": result, "is_share": share} | dict(zip(marks, at, strict=True)) for game, result, at in values
    }


def _panels(wide: int, rows: int, games: int) -> list[Axes]:
    panels = blank(11.5, 0.9 + _HIGH * rows, (1,) * wide, rows)
    for panel in panels[max(games, 1) :]:
        panel.remove()
    return panels[: max(games, 1)]


def _scale(found: Paths, places: list[int]) -> tuple[int, float, float]:
    """Return the last tick, and the lowest and highest price, of all games shown."""
    shown = found.take(np.array(places))
    price = shown.price[shown.price > 0]
    last = int(max(shown.tick.max(initial=1), shown.rug_tick.max(initial=1)))
    return last, float(price.min(initial=0.5)), float(price.max(initial=2.0))


def _draw_path(ax: Axes, found: Paths, place: int, outcomes: dict[str, Any], scale: tuple[int, float, float]) -> None:
    last, low, high = scale
    tick, price = found.of(place)
    result = outcomes.get("result", np.nan)
    color = (FAINT if np.isnan(result) else BLUE if result > 0 else VERMILION) if outcomes else BLUE
    x, y = _broken(tick.astype(np.float64), price)
    ax.axhline(1, color=FAINT, linewidth=0.7, linestyle=":")
    ax.plot(x, y, color=color, linewidth=1.1)
    ax.set(yscale="log", xlim=(-0.02 * last, 1.03 * last), ylim=(low / 1.2, high * 1.2))
    if found.rug_tick[place] >= 0 and len(price):
        ax.plot([found.rug_tick[place]], [price[-1]], "x", color=color, markersize=5, clip_on=False)
    for name, marker in (("tick", "o"), ("exit_tick", "D")):
        at = np.flatnonzero(tick == outcomes.get(name, -1))
        if len(at) and not np.isnan(result):
            ax.plot(
                [tick[at[0]]], [price[at[0]]], marker, color=color, markersize=4.5, markeredgecolor="white", zorder=4
            )
    named = found.game_ids[place][-6:]
    ax.set_title(f"{named}{_result_text(outcomes)}", loc="left", fontsize=8.5, color=ink(ax), pad=3)
    ax.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.tick_params(labelsize=7.5)


def _result_text(outcomes: dict[str, Any]) -> str:
    if not outcomes:
        return ""
    result = outcomes["result"]
    if np.isnan(result):
        return "  not known"
    return f"  {result * 100:+.0f} %" if outcomes["is_share"] else f"  {result:+.4g}"


def _broken(tick: Floats, price: Floats) -> tuple[Floats, Floats]:
    """Break a line where ticks are missing."""
    breaks = np.flatnonzero(np.diff(tick) > 1) + 1
    return np.insert(tick, breaks, np.nan), np.insert(price, breaks, np.nan)
