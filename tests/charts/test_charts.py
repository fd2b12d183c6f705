"""Charts say what is there: exact labels, gaps not drawn over, complete games only, and a word for nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from numpy.typing import NDArray

import replaylab as rl
from replaylab.charts.game_chart import STEPS, draw_game, phase_runs
from replaylab.charts.store_chart import draw_store, geometric, rug_bins
from replaylab.charts.style import BLUE, GREEN, INK, PAPER, TINTS, VERMILION, Picture
from replaylab.conversion.convert import convert
from replaylab.storage.game import Game
from replaylab.storage.store import Store
from replaylab.tick import price_text
from replaylab.widgets import bundle
from tests.stores import line as stored_line
from tests.stores import quiet, simulated

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
GAME = "20310102-0123456789ab4cde"
HEALTHY, HOLED, REPAIRED = "20310102-ffe42279f3bd466a", "20310102-f46334b882744799", "20310102-f8c2becf931a4f5d"
LATE, CAME_BACK, WAITING = "20310102-9829cbc62d87440c", "20310102-8b4ae5f1a9414956", "20310102-38cfd99c1c084a89"
TWICE, TIMELESS = "20310102-fe82ee7191234df1", "20310102-01af64ee1da14797"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The samples, converted."""
    folder = tmp_path_factory.mktemp("chart") / "store"
    convert(SAMPLES, folder, progress=False)
    return Store(folder)


def drawn(game: Game, *, log: bool = False) -> Axes:
    """Draw a game and let matplotlib lay it out, where most of its complaints come from."""
    ax = draw_game(game.ticks(), game.prices(), game.summary, log=log)
    ax.figure.canvas.draw()
    return ax


def texts(ax: Axes) -> list[str]:
    """Every text on axes: title, facts and labels."""
    return [ax.get_title(loc="left"), *(text.get_text() for text in ax.texts)]


def xs(line: Line2D) -> NDArray[np.float64]:
    """Where a line goes, along the ticks."""
    return np.asarray(line.get_xdata(), np.float64)


def ys(line: Line2D) -> NDArray[np.float64]:
    """Where a line goes, along the prices."""
    return np.asarray(line.get_ydata(), np.float64)


def game_of(folder: Path, rows: Iterable[tuple[int, str, bool]]) -> Game:
    """Give a game of live and rugged rows: tick, price and whether it is rugged."""
    lines = [
        f'{{"type": "tick", "timestamp": "2031-01-02T03:04:{5 + number:02}", "game_id": "{GAME}", "tick": {tick}, '
        f'"price": {price}, "phase": "ACTIVE_GAMEPLAY", "active": true, "rugged": {str(rugged).lower()}, '
        f'"cooldown_timer": 0, "trade_count": 0}}\n'
        for number, (tick, price, rugged) in enumerate(rows)
    ]
    (folder / "game.jsonl").write_text("".join(lines))
    convert(folder / "game.jsonl", folder / "store", progress=False)
    return Store(folder / "store").game(GAME)


def test_every_sample_can_be_drawn(store: Store) -> None:
    """Whatever a recording lacks, it is drawn on both scales without a warning, under its id."""
    for game in store:
        for log in (False, True):
            assert drawn(game, log=log).get_title(loc="left") == game.id


def test_labels_are_exact(store: Store) -> None:
    """Peak and rug are written with every digit that was recorded, beside their ticks."""
    game = store.game(HEALTHY)
    written = texts(drawn(game))
    assert f"peak {price_text(game.summary['peak'])} at tick 34" in written
    assert "rug 0.013872456694058316 at tick 41" in written
    assert "peak 3.0901189602066452 at tick 34" in written


@pytest.mark.parametrize("log", [False, True])
def test_labels_cover_no_price(store: Store, *, log: bool) -> None:
    """The label of the rug stands below every live price and that of the peak above, so neither hides the path."""
    for game_id in (HEALTHY, REPAIRED, HOLED):
        ax = drawn(store.game(game_id), log=log)
        heights = ax.transData.transform([(0, price) for price in ys(ax.lines[0]) if np.isfinite(price)])[:, 1]
        extents = {text.get_text()[:4]: text.get_window_extent() for text in ax.texts}
        assert extents["rug "].y1 < heights.min()
        assert extents["peak"].y0 > heights.max()


def test_path_is_the_prices(store: Store) -> None:
    """The line goes through the live prices and through nothing else; the rug stands apart."""
    prices = store.game(HEALTHY).prices()
    line = drawn(store.game(HEALTHY)).lines[0]
    assert xs(line).tolist() == prices["tick"].to_pylist()[:-1]
    assert ys(line) == pytest.approx([float(price) for price in prices["price"].to_pylist()[:-1]])


def test_missing_ticks_are_hatched_not_drawn_over(store: Store) -> None:
    """Missing ticks are counted in a hatched stretch, and the line breaks there."""
    ax = drawn(store.game(HOLED))
    spans = [patch for patch in ax.patches if patch.get_hatch()]
    assert [(span.get_x(), span.get_width()) for span in spans if isinstance(span, Rectangle)] == [(32.5, 3.0)]
    assert "3 missing" in texts(ax)
    line = ax.lines[0]
    assert np.isnan(xs(line)).tolist() == np.isnan(ys(line)).tolist()
    (broken,) = np.flatnonzero(np.isnan(xs(line)))
    assert xs(line)[[broken - 1, broken + 1]].tolist() == [32, 36]


@pytest.mark.parametrize(
    ("numbers", "rug", "hatched"),
    [([0, 1, 5, 2, 9], 12, [(3, 2), (6, 3), (10, 2)]), ([2, 4, 9], 6, [(0, 2), (3, 1), (5, 1)])],
)
def test_hatched_is_what_the_summary_counts(
    tmp_path: Path, numbers: list[int], rug: int, hatched: list[tuple[int, int]]
) -> None:
    """Late ticks, those before the rug and those behind it: the chart hatches the missing ticks that `games` counts."""
    lines = [stored_line("g", number) for number in numbers] + [stored_line("g", rug, "0.01", rugged=True)]
    (tmp_path / "x.jsonl").write_bytes(b"".join(lines))
    convert(tmp_path / "x.jsonl", tmp_path / "store", progress=False)
    game = Store(tmp_path / "store").game("g")
    spans = [patch for patch in drawn(game).patches if patch.get_hatch() and isinstance(patch, Rectangle)]
    found = sorted((round(span.get_x() + 0.5), round(span.get_width())) for span in spans)
    assert found == hatched
    unseen = min(numbers)
    assert sum(width for start, width in found if start or not unseen) == game.summary["missing_ticks"]


def test_facts_tell_what_a_game_lacks(store: Store) -> None:
    """The line below the title tells complete games from those that lack something, and what."""
    assert "41 live ticks · complete · 2031-01-02 04:04:05 UTC" in texts(drawn(store.game(HEALTHY)))
    assert any("3 ticks missing in 1 gap" in text for text in texts(drawn(store.game(HOLED))))
    assert any("89 rows repaired" in text for text in texts(drawn(store.game(REPAIRED))))
    assert any("times not recorded" in text for text in texts(drawn(store.game(TIMELESS))))


def test_late_start_and_unseen_end_are_said(store: Store) -> None:
    """A game that was joined late and left early shows what was not recorded, and marks no rug."""
    ax = drawn(store.game(LATE))
    assert "ticks 0 to 65\nnot recorded" in texts(ax)
    assert any("late start at tick 66" in text and "end not seen" in text for text in texts(ax))
    assert not any(text.startswith("rug ") for text in texts(ax))
    assert ax.get_xlim()[0] > 55  # most of the width belongs to what was recorded


def test_second_life_is_drawn_apart(store: Store) -> None:
    """What came after the rug is shown in another colour, and said not to count."""
    ax = drawn(store.game(CAME_BACK))
    assert "came back at tick 63, rugged again at 75\nkept, but not counted" in texts(ax)
    assert max(xs(ax.lines[0])) == 34


def test_second_life_far_below_a_log_axis(tmp_path: Path) -> None:
    """Marks far outside a log axis are out of sight and take no room: the chart keeps its height."""
    rows = [(0, "1", False), (1, "1.1", False), (2, "1e-9", True), (5, "1e-9", False), (9, "1e-12", True)]
    ax = drawn(game_of(tmp_path, rows), log=True)
    assert ax.get_position().height > 0.6
    assert "came back at tick 5, rugged again at 9\nkept, but not counted" in texts(ax)


@pytest.mark.parametrize("log", [False, True])
def test_no_live_tick_says_so(store: Store, *, log: bool) -> None:
    """A recording of the waiting alone has no price axis; it says that there is nothing to draw."""
    ax = drawn(store.game(WAITING), log=log)
    assert "No live tick was recorded: there is no price to draw" in texts(ax)
    assert not ax.lines


@pytest.mark.parametrize("log", [False, True])
def test_one_tick_and_only_a_rug(tmp_path: Path, *, log: bool) -> None:
    """One live tick is seen as a point, and a rug without any live tick as its mark."""
    (tmp_path / "one").mkdir()
    (tmp_path / "rug").mkdir()
    one = drawn(game_of(tmp_path / "one", [(0, "1", False)]), log=log)
    assert "peak 1 at tick 0" in texts(one)
    assert [xs(line).tolist() for line in one.lines if line.get_marker() == "."] == [[0.0]]
    rug = drawn(game_of(tmp_path / "rug", [(7, "0.0125", True)]), log=log)
    assert "rug 0.0125 at tick 7" in texts(rug)
    assert any(text.startswith("0 live ticks") for text in texts(rug))


@pytest.mark.parametrize("price", ["0.01", "1", "0.000000000000000000000001", "10000000000000"])
@pytest.mark.parametrize("log", [False, True])
def test_one_price_throughout(tmp_path: Path, *, log: bool, price: str) -> None:
    """A game whose price never changes is drawn with room around it, and matplotlib has nothing to say."""
    ax = drawn(game_of(tmp_path, [(n, price, False) for n in range(3)]), log=log)
    low, high = ax.get_ylim()
    assert low < float(price) < high


@pytest.mark.parametrize("log", [False, True])
def test_prices_of_zero(tmp_path: Path, *, log: bool) -> None:
    """A price of zero is drawn on a linear axis, and does not break a log one."""
    ax = drawn(game_of(tmp_path, [(0, "1", False), (1, "0", False), (2, "0", True)]), log=log)
    assert "rug 0 at tick 2" in texts(ax)
    assert np.isfinite(ax.get_ylim()).all()


def test_no_price_at_all(tmp_path: Path) -> None:
    """A game whose prices were all filled in by the recorder has ticks but no price, and the chart says so."""
    game = game_of(tmp_path, [(0, "1", False)])
    prices = game.prices()
    unknown = prices.set_column(2, "price", [pa.nulls(len(prices), prices["price"].type)])
    ax = draw_game(game.ticks(), unknown, game.summary | {"peak": None, "peak_tick": None})
    assert "No price was recorded" in texts(ax)


def test_log_axis_shows_the_live_prices(store: Store) -> None:
    """On a log axis the live prices fill the height; a rug far below them is marked at the foot with its price."""
    ax = drawn(store.game(HEALTHY), log=True)
    assert ax.get_yscale() == "log"
    assert 0.5 < ax.get_ylim()[0] < 1
    assert "rug 0.013872456694058316 at tick 41" in texts(ax)
    assert [ys(line)[0] for line in ax.lines if line.get_marker() == "v"] == [ax.get_ylim()[0]]


def test_phases_take_their_time(store: Store) -> None:
    """The strip shows the phases in order with their real length; a second recorder's jitter is no phase."""
    names = [(TINTS[phase][0], round(end - start, 1)) for phase, start, end in phase_runs(store.game(HEALTHY).ticks())]
    assert names == [("cooldown", 4.9), ("presale", 10.0), ("live", 10.3), ("rugged", 0.8)]
    assert [TINTS[phase][0] for phase, _, _ in phase_runs(store.game(TWICE).ticks())] == ["presale", "live"]
    assert phase_runs(store.game(TIMELESS).ticks()) == []


def test_picture_shows_itself(store: Store) -> None:
    """In a cell a plot is a PNG of a stated size on white paper, and the same bytes each time."""
    figure = store.game(HEALTHY).plot()
    assert isinstance(figure, Figure)
    data, size = Picture._repr_png_(figure)  # type: ignore[arg-type]  # a Picture, told to users as a Figure
    assert data.startswith(b"\x89PNG")
    assert size == {"width": 900, "height": 430}
    assert store.game(HEALTHY).plot()._repr_png_()[0] == data  # type: ignore[attr-defined]
    assert same_color(figure.get_facecolor(), PAPER)


def test_plots_need_no_pyplot(tmp_path: Path) -> None:
    """Drawing and saving loads no pyplot, so that no window opens and no figure stays in its global list."""
    code = (
        "import sys, warnings, replaylab as rl\n"
        "warnings.filterwarnings('ignore', '.* deprecated - use ')\n"  # an older matplotlib with a newer pyparsing
        f"rl.simulate({str(tmp_path / 'r')!r}, games=1, seed=7)\n"
        f"rl.convert({str(tmp_path / 'r')!r}, {str(tmp_path / 's')!r}, progress=False)\n"
        f"store = rl.open_store({str(tmp_path / 's')!r})\n"
        "store.plot()._repr_png_(); next(iter(store)).plot()._repr_png_()\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=240)


def test_own_axes_are_drawn_on_and_keep_their_style(store: Store) -> None:
    """With `ax` the chart goes there and `ax` comes back; text takes the colour that its owner chose."""
    figure = Figure(facecolor="black")
    ax = figure.subplots()
    ax.xaxis.label.set_color("white")
    assert store.game(HEALTHY).plot(ax=ax) is ax
    titled = ax.findobj(lambda artist: isinstance(artist, Text) and artist.get_text() == HEALTHY)
    assert [text.get_color() for text in titled if isinstance(text, Text)] == ["white"]
    assert {text.get_color() for text in ax.texts} == {"white"}
    panels = figure.subplots(1, 2)
    assert store.plot(axes=panels) == list(panels)
    assert store.plot(axes=panels[0]) == [panels[0]]


def test_only_complete_games_are_counted(store: Store) -> None:
    """The bars of both distributions add up to the complete games, and the title says of how many."""
    ends, peaks, states = draw_store(store.games_table())
    for ax in (ends, peaks):
        assert sum(bar.get_height() for bar in ax.containers[0]) == 10
        assert "10 complete of 18 games" in texts(ax)
    assert [text for text in texts(states) if text.isdigit()] == ["10", "3", "2", "2", "1", "1"]


def test_empty_store_says_so(store: Store) -> None:
    """No games, or none complete, is written where the bars would be."""
    nothing = draw_store(store.games_table().slice(0, 0))
    assert [texts(ax)[-1] for ax in nothing] == ["No complete game", "No complete game", "No game"]
    waiting = store.games_table().slice(13, 1)
    assert [texts(ax)[-1] for ax in draw_store(waiting)][:2] == ["No complete game"] * 2


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=300))
def test_every_game_is_in_one_bin(ends: list[int]) -> None:
    """Whatever the rug ticks, each game falls into one bin, and the bins grow."""
    edges = rug_bins(np.array(ends))
    assert np.histogram(ends, edges)[0].sum() == len(ends)
    assert (np.diff(edges) > 0).all()


def test_hazard_curve_is_the_geometric_law() -> None:
    """The curve beside the rug ticks is what a chance of 0.005 at every tick gives, summed over each bin."""
    chances = [Decimal("0.995") ** (tick - 1) * Decimal("0.005") for tick in range(1, 140)]
    exact = [float(sum(chances[:40])), float(sum(chances[40:]))]
    assert geometric(np.array([0.5, 40.5, 139.5])) == pytest.approx(exact)


@pytest.mark.parametrize("color", [BLUE, VERMILION, GREEN, INK])
def test_colours_are_seen_on_paper(color: str) -> None:
    """Lines and marks reach a contrast of 3 against the paper (WCAG, graphics)."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(color)]
    assert 1.05 / (float(np.dot(linear, [0.2126, 0.7152, 0.0722])) + 0.05) >= 3


def test_axes_have_the_steps_of_the_player(tmp_path: Path) -> None:
    """Marks of both axes are 1, 2 or 5 times a power of ten apart, as the page has them."""
    quiet(simulated(tmp_path / "recordings", games=3, seed=3), tmp_path / "store")
    for game in rl.open_store(tmp_path / "store"):
        (ax,) = game.plot().axes[:1]
        ax.figure.canvas.draw()
        for axis in (ax.xaxis, ax.yaxis):
            apart = float(np.diff(axis.get_majorticklocs())[0])
            assert round(apart / 10 ** np.floor(np.log10(apart) + 1e-9), 6) in STEPS
    front = Path(bundle.__file__).parent / "front"
    for name in ("theme.js", "paint.js"):
        assert str(list(STEPS)) in (front / name).read_text(encoding="ascii")
