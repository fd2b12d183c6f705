"""The chart of one game: its price path over ticks, and above it how long each phase took."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib import transforms
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from replaylab.charts.lacks import lacks
from replaylab.charts.style import (
    BLUE,
    GREEN,
    INK,
    PURPLE,
    TINTS,
    VERMILION,
    Floats,
    Whole,
    blank,
    floats,
    head,
    ink,
    on_paper,
    say,
)  # fmt: skip
from replaylab.continuity import missing_runs
from replaylab.plural import count_of
from replaylab.tick import Phase, price_text

TICK_MS: Final = 250
STEPS: Final = (1, 2, 5, 10)  # between the marks of an axis; the player has the same
_STRIP: Final = 19  # points above the axes that the phases take
_HATCH: Final[dict[str, Any]] = {
    "facecolor": "#f1f1f1",
    "edgecolor": "#b5b5b5",
    "hatch": "////",
    "linewidth": 0.0,
    "zorder": 0.5,
}


def draw_game(
    ticks: pa.Table, prices: pa.Table, summary: Mapping[str, Any], ax: Axes | None = None, *, log: bool = False
) -> Axes:
    """Draw a game: price path with peak, rug and missing ticks, and a strip that shows how long each phase took.

    Parameters
    ----------
    ticks, prices : Table
        What `Game.ticks` and `Game.prices` give.
    summary : mapping
        What `Game.summary` gives.
    ax : Axes, optional
        Where to draw; axes of a new `Picture` unless given.
    log : bool
        Logarithmic price axis; it shows the live prices, and a rug below them is marked at its foot.

    Examples
    --------
    >>> from replaylab import table
    >>> from replaylab.storage import game_summary as summary
    >>> nothing = dict.fromkeys(summary.SCHEMA.names) | {"game_id": "20310102-0000000000004000"}
    >>> draw_game(table.SCHEMA.empty_table(), table.SCHEMA.empty_table(), nothing).figure
    <Picture size 900x430 with 1 Axes>
    """
    ax = blank(9, 4.3)[0] if ax is None else ax
    head(ax, str(summary["game_id"]), " · ".join(_facts(summary)), lift=_STRIP)
    _draw_phases(ax, ticks)
    tick = prices.column("tick").to_numpy().astype(np.int64)
    price = floats(prices.column("price"))
    if not np.isfinite(price).any():
        say(ax, "No price was recorded" if len(tick) else "No live tick was recorded: there is no price to draw")
        return ax
    ax.set_xlabel(f"tick (one is {TICK_MS} ms)")
    ax.set_ylabel(f"price (multiple of tick 0{', log' if log else ''})")
    rug = summary["rug_tick"]
    live = np.full(len(tick), fill_value=True) if rug is None else tick < rug
    _draw_path(ax, tick[live], price[live])
    last = int(tick[-1]) if rug is None else _draw_afterlife(ax, ticks, rug)
    _set_limits(ax, int(tick[0]), last, price[live] if log and live.any() else price, log=log)
    _draw_missing(ax, tick)
    _mark(ax, summary["peak_tick"], summary["peak"], "peak", GREEN)
    _mark(ax, rug, summary["rug_price"], "rug", VERMILION)
    return ax


def draw_line(
    prices: pa.Table,
    rug_tick: int | None,
    ax: Axes | None = None,
    *,
    log: bool = False,
    color: str | None = None,
    label: str | None = None,
) -> Axes:
    """Draw a price path as one line of the colour and label given, broken where ticks are missing, a cross at its rug.

    Examples
    --------
    >>> prices = pa.table({"tick": [0, 1, 4], "price": [1.0, 1.5, 0.1]})
    >>> ax = draw_line(prices, 4, color="tab:red", label="a game")
    >>> [line.get_label() for line in ax.get_lines()]
    ['a game', '_rug']
    """
    new = ax is None
    ax = blank(9, 4.3)[0] if ax is None else ax
    tick = prices.column("tick").to_numpy().astype(np.float64)
    price = floats(prices.column("price"))
    breaks = np.flatnonzero(np.diff(tick) > 1) + 1
    path = np.insert(tick, breaks, np.nan), np.insert(price, breaks, np.nan)
    (line,) = ax.plot(*path, color=color, label=label, linewidth=1.5)
    at = tick == rug_tick if rug_tick is not None else np.zeros(len(tick), np.bool_)
    if at.any():
        ax.plot(tick[at][:1], price[at][:1], "X", color=line.get_color(), markersize=7, label="_rug")
    if log:
        ax.set_yscale("log")
    if new:
        ax.set(xlabel=f"tick (one is {TICK_MS} ms)", ylabel="price (multiple of tick 0)")
        if label is not None:
            ax.legend(loc="upper left", frameon=False)
    return ax


def _facts(summary: Mapping[str, Any]) -> list[str]:
    """Return facts about a game, in few words each."""
    facts = [count_of(summary["ticks"] or 0, "live tick")]
    if summary["complete"]:
        facts.append("complete")
    facts += lacks(summary)
    if summary["repaired"]:
        facts.append(f"{count_of(summary['repaired'], 'row')} repaired")
    start = summary["start"]
    return [*facts, f"{start:%Y-%m-%d %H:%M:%S} UTC" if start else "times not recorded"]


def phase_runs(ticks: pa.Table) -> list[tuple[Phase, float, float]]:
    """Return the phases in order of time: phase, its first second, and the first second of the next one.

    A few rows of another phase in between are the jitter of a second recording or a paused clock, and left out.
    """
    timed = ticks.select(["timestamp", "phase"]).filter(pc.is_valid(ticks.column("timestamp")))
    if not timed.num_rows:
        return []
    timed = timed.take(pc.sort_indices(timed, sort_keys=[("timestamp", "ascending")]))
    seconds = timed.column("timestamp").cast(pa.int64()).to_numpy() / 1e6
    phases = [Phase(name) for name in timed.column("phase").to_pylist()]
    runs: list[tuple[Phase, float]] = []
    for phase, second in zip(phases, (seconds - seconds[0]).tolist(), strict=True):
        if runs and TINTS[runs[-1][0]] == TINTS[phase]:
            continue
        runs.append((phase, second))
        if len(runs) > 2 and TINTS[runs[-3][0]] == TINTS[phase] and second - runs[-2][1] < 0.4:
            del runs[-2:]
    ends = [*(second for _, second in runs[1:]), float(seconds[-1] - seconds[0])]
    return [(phase, start, end) for (phase, start), end in zip(runs, ends, strict=True)]


def _draw_phases(ax: Axes, ticks: pa.Table) -> None:
    """Draw the strip of phases over real time, the waiting before the first tick included."""
    runs = phase_runs(ticks)
    whole = runs[-1][2] if runs else 0.0
    if not whole:
        return
    above = transforms.ScaledTranslation(
        0, 1, transforms.BboxTransformTo(ax.bbox)
    )  # the strip is as high as its text, whatever the axes
    points = transforms.Affine2D().scale(1 / 72) + ax.figure.dpi_scale_trans + above
    place = transforms.blended_transform_factory(ax.transAxes, points)
    strip = ax.inset_axes((0, 5, 1, _STRIP - 5), transform=place)
    strip.set(xlim=(0, whole), ylim=(0, 1), xticks=[], yticks=[])
    strip.spines[:].set_visible(False)
    for phase, start, end in runs:
        name, tint = TINTS[phase]
        strip.axvspan(start, end, color=tint, linewidth=0)
        if end - start > 0.12 * whole:
            words = f"{name} {end - start:.1f} s"
            strip.text((start + end) / 2, 0.5, words, color=INK, fontsize=8, ha="center", va="center_baseline")


def _draw_path(ax: Axes, tick: Whole, price: Floats) -> None:
    """Draw the prices before the rug, the line broken where ticks are missing."""
    breaks = np.flatnonzero(np.diff(tick) > 1) + 1
    x, y = np.insert(tick.astype(np.float64), breaks, np.nan), np.insert(price, breaks, np.nan)
    ax.plot(x, y, color=BLUE, linewidth=1.5, solid_joinstyle="round", label="price")
    edged = np.concatenate([[np.nan], y, [np.nan]])
    alone = np.isnan(edged[:-2]) & np.isnan(edged[2:])  # a line needs two neighbours
    ax.plot(x[alone], y[alone], ".", color=BLUE, markersize=5)


def _draw_afterlife(ax: Axes, ticks: pa.Table, rug: int) -> int:
    """Draw what came after the rug of a game that came back; return its last tick."""
    later = ticks.filter(pc.greater(ticks.column("tick"), rug)).sort_by("tick")
    back = later.filter(pc.and_(later.column("active"), pc.invert(later.column("rugged"))))
    if not back.num_rows:
        return rug
    first = pc.fill_null(pc.not_equal(later.column("recorded_phase"), Phase.RUG_EVENT_1.value), True)
    again = later.filter(pc.and_(later.column("rugged"), first))
    last: int = max(back.column("tick")[-1].as_py(), *again.column("tick").to_pylist(), rug)
    ax.axvspan(rug, last, color=TINTS[Phase.RUGGED][1], alpha=0.45, linewidth=0, zorder=0.4)
    ax.plot(back.column("tick").to_numpy(), floats(back.column("price")), color=PURPLE, linewidth=2)
    marks = (again.column("tick").to_numpy(), floats(again.column("price")), "X")
    (mark,) = ax.plot(*marks, color=PURPLE, markersize=8, markeredgecolor="white", zorder=4)
    mark.set_in_layout(False)  # far below a log axis it would claim all the room
    words = f"came back at tick {back.column('tick')[0].as_py():,}"
    if again.num_rows:
        words += f", rugged again at {again.column('tick')[0].as_py():,}"
    ax.text(
        (rug + last) / 2, 0.5, f"{words}\nkept, but not counted", transform=ax.get_xaxis_transform(),
        ha="center", va="center", fontsize=8.5, color=ink(ax),
    )  # fmt: skip
    return last


def _set_limits(ax: Axes, first: int, last: int, price: Floats, *, log: bool) -> None:
    """Leave room above for the labels; show tick 0, unless the recording began long after it."""
    left = max(0, first - max(4, (last - first) // 3))
    room = max(last - left, 1)
    ax.set_xlim(left - 0.02 * room, last + 0.04 * room)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, steps=STEPS))
    seen = price[np.isfinite(price) & (price > 0)]
    high = float(seen.max()) if len(seen) else 1.0
    if not log:
        ax.yaxis.set_major_locator(MaxNLocator(steps=STEPS))
        ax.set_ylim(-0.12 * high, high * 1.24)  # no price is below zero: room for the label of the rug
        return
    low = float(seen.min()) if len(seen) else 0.1
    spread = max(high / low, 1.2)
    ax.set_ylim(low / spread**0.25, low * spread**1.25)  # first, as a scale finds no room around some single prices
    ax.set_yscale("log", nonpositive="mask")
    named = "123456789" if spread < 4 else "125" if spread < 60 else "1"
    plain = FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in named else "")
    ax.yaxis.set_major_formatter(plain)
    ax.yaxis.set_minor_formatter(plain)


def _draw_missing(ax: Axes, tick: Whole) -> None:
    """Hatch where ticks are missing and say how many: the longest runs first, and only where there is room."""
    runs = missing_runs(tick)
    texts = {
        (first, last + 1): f"{last + 1 - first:,} missing"
        for first, last in zip(runs.first.tolist(), runs.last.tolist(), strict=True)
    }
    if tick[0] > 0:
        unseen = "tick 0" if tick[0] == 1 else f"ticks 0 to {tick[0] - 1:,}"
        texts[0, int(tick[0])] = f"{unseen}\nnot recorded"
    low, high = ax.get_xlim()
    taken: list[float] = []
    for start, end in sorted(texts, key=lambda gap: gap[0] - gap[1]):
        left, right = max(start - 0.5, low), end - 0.5
        ax.axvspan(left, right, **_HATCH)
        middle = (left + right) / 2
        if all(abs(middle - other) > 0.1 * (high - low) for other in taken):
            taken.append(middle)
            text = ax.text(
                middle, 0.985, texts[start, end], transform=ax.get_xaxis_transform(),
                ha="center", va="top", fontsize=8, color=ink(ax),
            )  # fmt: skip
            on_paper(text, ax)


def _mark(ax: Axes, tick: int | None, price: Any, name: str, color: str) -> None:
    """Mark a point and write its exact price on the side where there is room."""
    if tick is None:
        return
    if name == "rug":
        ax.axvline(tick, color=color, linewidth=1, linestyle=":", zorder=1)
    if price is None:
        return
    (low, high), foot = ax.get_xlim(), ax.get_ylim()[0]
    side = (tick - low) / (high - low)
    align, shift = ("left", -4) if side < 0.3 else ("right", 4) if side > 0.7 else ("center", 0)
    height = max(float(price), foot)
    marker = "^" if name == "peak" else "X" if height > foot else "v"  # v: it lies below what is shown
    ax.plot([tick], [height], marker, color=color, markersize=8, markeredgecolor="white", clip_on=False, zorder=4)
    below = name == "rug" and height > foot
    text = ax.annotate(
        f"{name} {price_text(price)} at tick {tick:,}",
        (tick, height),
        (shift, -6 if below else 7),
        textcoords="offset points",
        ha=align,
        va="top" if below else "bottom",
        fontsize=9,
        color=ink(ax),
        zorder=5,
    )
    on_paper(text, ax)
