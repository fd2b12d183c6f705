"""Charts of answers draw the numbers they were given, and say how many games stand behind them, or that none does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure

import replaylab as rl
from replaylab import errors
from replaylab.analysis import charts
from replaylab.analysis.backtests.strategies import Aggressive
from replaylab.analysis.charts.heatmap import draw_cells
from replaylab.charts.style import BLUE, FAINT, VERMILION, Picture
from tests.analysis.made import Made, drawn, made, whole
from tests.stores import ROOT

a = rl.analysis
PLAN = a.EntryPlan(at_price=1, target=0.5, stop=0.3)


def small() -> rl.analysis.Paths:
    """Three hundred games, the same for all tests."""
    return drawn(300, seed=5)


def backtested(found: rl.analysis.Paths) -> rl.analysis.Backtest:
    """A backtest of them."""
    return a.backtest(found, Aggressive, progress=False)


CHARTS: dict[str, Callable[[rl.analysis.Paths, Any], Any]] = {
    "survival": lambda found, ax: charts.survival(a.survival(found), ax=ax),
    "hazard": lambda found, ax: charts.hazard(a.hazard(found), ax),
    "duration_hist": lambda found, ax: charts.duration_hist(a.duration_hist(found), ax),
    "sidebet_table": lambda found, ax: charts.sidebet_table(a.sidebet_table(found), ax),
    "sidebet_dense": lambda found, ax: charts.sidebet_table(a.sidebet_table(found, ticks=range(0, 300, 5)), ax),
    "sidebet_pooled": lambda found, ax: charts.sidebet_pooled(a.sidebet_pooled(found), ax=ax),
    "p_rug_within": lambda found, ax: charts.p_rug_within(a.p_rug_within(found), ax),
    "sidebet_heatmap": lambda found, ax: charts.sidebet_heatmap(a.sidebet_heatmap(found), ax),
    "horizon_table": lambda found, ax: charts.horizon_table(a.horizon_table(found, resamples=20), ax),
    "backtest": lambda found, ax: charts.backtest(backtested(found), ax=ax),
}
PAIRS: dict[str, Callable[[rl.analysis.Paths, Any], Any]] = {
    "survival": lambda found, ax: charts.survival(a.survival(found), a.hazard(found), ax=ax),
    "peak_table": lambda found, ax: charts.peak_table(a.peak_table(found, beside=drawn(2000)), ax),
    "paths": lambda found, ax: charts.paths(found, a.entry_trades(found, PLAN), ax=ax),
}


def words(figure: Any) -> str:
    """Every text of a picture, its legends included."""
    found = [figure.get_suptitle()]
    for ax in figure.axes:
        legend = ax.get_legend()
        found += [ax.get_title(loc="left"), ax.get_xlabel(), ax.get_ylabel(), *(one.get_text() for one in ax.texts)]
        found += [one.get_text() for one in ax.get_xticklabels()]
        found += [one.get_text() for one in legend.get_texts()] if legend else []
    return "\n".join(found)


def points(ax: Axes, label: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The x and y of the line of a label."""
    (line,) = [line for line in ax.lines if line.get_label() == label]
    return np.asarray(line.get_xdata()), np.asarray(line.get_ydata())


def bars(ax: Axes, label: str) -> list[tuple[float, float]]:
    """Lower and upper ends of the vertical or horizontal strokes of a label."""
    (found,) = [one for one in ax.collections if one.get_label() == label]
    ends = [np.asarray(path.vertices, np.float64) for path in found.get_paths()]
    return [(float(one[0, 1]), float(one[1, 1])) for one in ends]


def boxes(ax: Axes) -> list[Any]:
    """Where the labels under the axes are drawn."""
    return [one.get_window_extent() for one in ax.get_xticklabels() if one.get_text().strip()]


@pytest.mark.parametrize("name", [*CHARTS, *(f"{name} pair" for name in PAIRS)])
@pytest.mark.parametrize("games", [2, 12, 300])
def test_chart_says_what_stands_behind_it(name: str, games: int) -> None:
    """Each gives a picture whose axes are labelled, which tells games and ticks, and whose labels do not overlap."""
    found = drawn(games, seed=5)
    draw = PAIRS[name.removesuffix(" pair")] if name.endswith(" pair") else CHARTS[name]
    picture = draw(found, None)
    assert isinstance(picture, Picture)
    picture.draw_without_rendering()
    text = words(picture)
    assert f"{games} games, {found.n_ticks:,} ticks" in text
    for ax in picture.axes:
        if not name.startswith("paths"):
            assert ax.get_ylabel()
            assert ax.get_xlabel() or ax.get_label() == "<colorbar>"
        labels = boxes(ax)
        assert not [one for one, other in pairwise(labels) if one.x1 > other.x0]


@pytest.mark.parametrize("name", list(CHARTS))
def test_own_axes_are_drawn_on_and_keep_their_style(name: str) -> None:
    """With axes a chart gives them back, and its texts take the colour of their labels, so dark axes stay readable."""
    ax = Figure(figsize=(9, 4), facecolor="black").subplots()
    ax.set_facecolor("black")
    ax.xaxis.label.set_color("white")
    assert CHARTS[name](small(), ax) is ax
    ax.figure.draw_without_rendering()
    assert {one.get_color() for one in ax.texts if one.get_fontsize() > 8} == {"white"}
    legend = ax.get_legend()
    assert not legend or all(same_color(one.get_color(), "white") for one in legend.get_texts())


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_want_as_many_axes_as_they_have(name: str) -> None:
    """Two charts take two axes and give them back; small paths take what there is."""
    two = list(Figure(figsize=(9, 4)).subplots(1, 2))
    assert PAIRS[name](small(), two) == two
    if name != "paths":
        with pytest.raises(errors.AnalysisError, match="two"):
            PAIRS[name](small(), two[:1])


def test_survival_is_the_curve() -> None:
    """The steps are those of the curve, the dashes the published process, and the median is written out."""
    found = a.survival(small())
    ax = charts.survival(found).axes[0]
    tick, alive = points(ax, "Kaplan-Meier")
    assert tick.tolist() == found.curve["tick"].tolist()
    assert alive.tolist() == found.curve["survival"].tolist()
    assert points(ax, "published process")[1].tolist() == found.curve["theory"].tolist()
    assert f"half are over by tick {found.median:.0f}" in words(ax.figure)
    assert f"{found.n_rugs} rugs seen" in words(ax.figure)


def test_hazard_is_the_frame() -> None:
    """Points, intervals and strokes are the columns; a stretch nobody was watched in has no point."""
    frame = a.hazard(small(), bins=[0, 50, 100, 5000], confidence=0.9)
    ax = charts.hazard(frame).axes[0]
    known = frame.iloc[:3]
    assert points(ax, "rugs per watched tick")[1].tolist() == known["hazard"].tolist()
    assert bars(ax, "90 % interval") == list(zip(known["low"], known["high"], strict=True))
    assert "50-99" in words(ax.figure)
    assert "5,000+" in words(ax.figure)


def test_durations_are_the_frame() -> None:
    """The bars are the shares, and the rugs seen stand under them."""
    frame = a.duration_hist(small(), bins=[1, 100, 200])
    ax = charts.duration_hist(frame).axes[0]
    assert [bar.get_height() for bar in ax.patches] == frame["share"].tolist()
    assert f"1-99\n{frame['games'][0]}" in words(ax.figure)


def test_peaks_that_no_game_reached() -> None:
    """A share of zero stands on a linear axis, and neither panel is pressed together by the labels of a log axis."""
    frame = a.peak_table(small(), at=[1e6, 1e7])
    found = charts.peak_table(frame)
    found.canvas.draw()
    left, right = found.axes
    assert min(one.get_window_extent().width for one in (left, right)) > 200
    assert (right.get_yscale(), right.get_ylim()[0]) == ("linear", 0)


def test_peaks_add_up() -> None:
    """The bars of the histogram are all games once; the points are the shares, and those of zero are left out."""
    frame = a.peak_table(small(), at=[1, 2, 4, 10_000], beside=drawn(2000))
    left, right = charts.peak_table(frame).axes
    heights = [bar.get_height() for bar in left.patches]
    assert sum(heights) == pytest.approx(1)
    assert heights[1] == pytest.approx(frame["reached"][0] - frame["reached"][1])
    at, reached = points(right, "reached before the rug")
    assert at.tolist() == [1, 2, 4]
    assert reached.tolist() == frame["reached"].tolist()[:3]


def test_win_rates_stand_beside_their_break_even() -> None:
    """The line lies at 20 % for 5 times the stake and at 25 % for 4 times, and says so."""
    for pays, even in ((5, 0.2), (4, 0.25)):
        frame = a.sidebet_table(small(), pays=pays)
        ax = charts.sidebet_table(frame).axes[0]
        assert points(ax, f"break-even {even * 100:g} %, as a win returns {pays} times the stake")[1][0] == even
        assert points(ax, "win rate")[1].tolist() == frame["win_rate"].tolist()
        assert points(ax, "published process, 18.17 % at any tick")[1][0] == pytest.approx(1 - 0.995**40)


def test_several_windows_are_refused() -> None:
    """A line can show one window; the message names the chart that shows several."""
    with pytest.raises(errors.AnalysisError, match="sidebet_heatmap"):
        charts.sidebet_table(a.sidebet_table(small(), window=[20, 40]))


@pytest.mark.parametrize("value", ["expected_value", "win_rate", "n_games", "kelly"])
def test_heat_map_is_the_frame(value: str) -> None:
    """Windows go up, ticks go right, the cell's number is written in it, and a cell without a game stays empty."""
    scale = 1 if value == "n_games" else 100  # counts stand as they are, shares as percents
    frame = a.sidebet_heatmap(small(), ticks=[0, 100, 3000], windows=[20, 40], value=value)
    ax = charts.sidebet_heatmap(frame).axes[0]
    (mesh,) = [one for one in ax.collections if isinstance(one, QuadMesh)]
    shown: Any = mesh.get_array()
    wanted = frame.to_numpy(np.float64).T * scale
    np.testing.assert_array_equal(shown.filled(np.nan), wanted)
    written = {one.get_position(): one.get_text() for one in ax.texts}
    assert written[1, 0] == f"{wanted[0, 1]:.0f}"
    assert (2, 0) not in written


@pytest.mark.parametrize(("value", "middle"), [("expected_value", 0.0), ("win_rate", 20.0)])
def test_heat_map_is_white_where_nothing_is_won(value: str, middle: float) -> None:
    """The middle of the colours is the break-even, and a gain is as strong as a loss of that size."""
    ax = charts.sidebet_heatmap(a.sidebet_heatmap(small(), value=value)).axes[0]
    (mesh,) = [one for one in ax.collections if isinstance(one, QuadMesh)]
    norm: Any = mesh.norm
    assert norm(middle) == pytest.approx(0.5)
    assert norm(middle + 5) - 0.5 == pytest.approx(0.5 - norm(middle - 5))
    assert to_rgb(mesh.cmap(0.5)) == pytest.approx((1, 1, 1), abs=0.02)


def test_equity_is_the_balance_in_its_fan() -> None:
    """The line is the balance after each game, the fan that of the resampling, and both are counted on the chart."""
    found = backtested(small())
    ruin = found.ruin(resamples=50)
    ax = charts.backtest(found, ruin).axes[0]
    assert points(ax, "as recorded")[1].tolist() == [float(one) for one in found.equity["balance"]]
    assert points(ax, "half of them")[1].tolist() == ruin.fan["p50"].tolist()
    text = words(ax.figure)
    assert f"{len(found.trades):,} trades" in text
    assert "50 bankrolls" in text


def test_equity_tells_what_is_missing() -> None:
    """Games without a rug, left out or cut off, and games in which the strategy raised, are counted on the chart."""

    def raises(tape: Any, account: Any) -> None:
        del tape, account
        raise ValueError("no")

    found = a.backtest(made([whole(5), Made(range(9))]), raises, unfinished="skip", progress=False)
    text = words(charts.backtest(found))
    assert "1 games without a rug left out" not in text
    assert "1 game without a rug left out" in text
    assert "the strategy raised in 1" in text
    weighted = words(charts.backtest(a.backtest(made([whole(5), Made(range(9))]), raises, progress=False)))
    assert "1 game cut off, 0 trades open there, weighted" in weighted


def test_small_paths_are_coloured_by_their_results() -> None:
    """Blue won, orange lost, grey is not known; the result stands above, and gaps are not drawn over."""
    games = made(
        [whole(4, ["1", "1.2", "1.6", "2"]), whole(3, ["1", "0.9", "0.6"]), Made([0, 1, 4, 5], None, ["1"] * 4)]
    )
    found = charts.paths(games, a.entry_trades(games, PLAN))
    assert [ax.lines[1].get_color() for ax in found.axes] == [BLUE, VERMILION, FAINT]
    assert [ax.get_title(loc="left").split("  ")[1] for ax in found.axes] == ["+60 %", "-40 %", "not known"]
    assert np.isnan(np.asarray(found.axes[2].lines[1].get_ydata())).sum() == 1
    assert found.axes[0].get_ylim() == found.axes[1].get_ylim()


def test_small_paths_say_that_they_are_some_of_many() -> None:
    """The first games are shown, and the chart says of how many."""
    assert "7 of 300 games" in words(charts.paths(small(), most=7))
    assert len(charts.paths(small(), most=7).axes) == 7


def test_small_paths_take_money_too() -> None:
    """The equity of a backtest and the games of a bet sequence colour paths by money."""
    bets = a.bet_sequence(small(), stakes=["0.01"], resamples=0).games
    assert [ax.get_title(loc="left").split("  ")[1] for ax in charts.paths(small(), bets, most=2).axes] == [
        f"{float(one):+.4g}" for one in bets["result"][:2]
    ]
    assert len(charts.paths(small(), backtested(small()).equity).axes) == 20


def test_small_paths_want_one_result_a_game() -> None:
    """Several entries of a game have no one colour; results of other games, or without a result, are refused."""
    every = a.entry_trades(small(), a.EntryPlan(per="tick", hold=5))
    with pytest.raises(errors.AnalysisError, match="several results"):
        charts.paths(small(), every)
    with pytest.raises(errors.AnalysisError, match="none of them"):
        charts.paths(small(), pd.DataFrame({"game_id": ["x"], "result": [1.0]}))
    with pytest.raises(errors.AnalysisError, match="result, profit"):
        charts.paths(small(), pd.DataFrame({"game_id": ["x"]}))


FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "hazard": lambda: a.hazard(small()),
    "duration_hist": lambda: a.duration_hist(small()),
    "sidebet_table": lambda: a.sidebet_table(small()),
    "sidebet_pooled": lambda: a.sidebet_pooled(small()),
    "p_rug_within": lambda: a.p_rug_within(small()),
    "sidebet_heatmap": lambda: a.sidebet_heatmap(small()),
    "horizon_table": lambda: a.horizon_table(small(), resamples=0),
    "peak_table": lambda: a.peak_table(small()),
}


@pytest.mark.parametrize("name", FRAMES)
def test_nothing_says_so(name: str) -> None:
    """A result without a row says on the chart that there is nothing, and why."""
    whole_frame = FRAMES[name]()
    frame = whole_frame.iloc[:0]
    frame.attrs = whole_frame.attrs
    picture = getattr(charts, name)(frame)
    picture.draw_without_rendering()
    assert "No game" in words(picture) or "No window" in words(picture)


def test_no_transition_no_game_says_so() -> None:
    """Games of which no tick into the next was seen, a backtest of no game, and no path at all say so."""
    alone = made([Made([7])])
    assert "No game was watched" in words(charts.survival(a.survival(alone), a.hazard(alone)))
    assert "No game was played" in words(
        charts.backtest(a.backtest(made([Made(range(5))]), a.Vectorised(lambda _: {}), unfinished="skip"))
    )
    assert "No game" in words(charts.paths(a.Paths.join([])))


@pytest.mark.parametrize("name", FRAMES)
def test_something_else_is_refused(name: str) -> None:
    """A frame of another function is refused with the name of the right one, not drawn wrong."""
    with pytest.raises(errors.AnalysisError, match=f"result of analysis.{name}"):
        getattr(charts, name)(pd.DataFrame({"x": [1]}))


@pytest.mark.parametrize("name", ["survival", "backtest"])
def test_no_result_is_refused(name: str) -> None:
    """What is no result at all is refused too."""
    with pytest.raises(errors.AnalysisError, match=f"result of analysis.{name}"):
        getattr(charts, name)(3)


def test_a_frame_that_forgot_its_games_says_so() -> None:
    """Frames lose their attributes on some ways through pandas; the chart then does not make numbers up."""
    frame = a.hazard(small())
    frame.attrs = {}
    assert "not known" in words(charts.hazard(frame))


def test_charts_need_no_pyplot() -> None:
    """Pictures are made without pyplot, and asking for analysis alone loads no matplotlib."""
    code = (
        "import sys, replaylab as rl; a = rl.analysis; a.Paths\n"
        "print('matplotlib' in sys.modules)\n"
        "from replaylab.simulation.bulk import price_arrays\n"
        "a.charts.hazard(a.hazard(a.Paths.of_arrays(*price_arrays(9, seed=1)))).savefig(sys.argv[1])\n"
        "print('matplotlib.pyplot' in sys.modules, 'charts' in dir(a))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "/dev/stdout"], capture_output=True, check=False, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"False\n")
    assert done.stdout.endswith(b"False True\n")


@pytest.mark.parametrize("name", charts.__all__)
def test_chart_has_a_function_of_its_name(name: str) -> None:
    """Each chart is called as the function whose result it takes."""
    assert hasattr(a, name)


def test_windows_that_are_not_sold_are_marked() -> None:
    """The heat map marks every window but the one of 40 ticks that the game sells, and says what the mark means."""
    picture = charts.sidebet_heatmap(a.sidebet_heatmap(small(), ticks=[0], windows=[20, 40, 60]))
    assert [label.get_text() for label in picture.axes[0].get_yticklabels()] == ["20*", "40", "60*"]
    assert "* window is not sold" in words(picture)
    sold = charts.sidebet_heatmap(a.sidebet_heatmap(small(), ticks=[0], windows=[40]))
    assert "not sold" not in words(sold)


@pytest.mark.parametrize("digits", [None, 2])
def test_a_cell_that_is_nothing_has_no_sign(digits: int | None) -> None:
    """What is rounded to nothing is written as 0, whichever side it comes from."""
    ax = Figure().subplots()
    draw_cells(ax, np.array([[-0.0, -1.0], [0.0, 1.0]]) * (0.4 if digits is None else 1), 0.0, "profit", digits=digits)
    written = [text.get_text() for text in ax.texts]
    assert written == (["0"] * 4 if digits is None else ["0", "-1", "0", "1"])
