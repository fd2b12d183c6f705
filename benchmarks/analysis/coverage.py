"""Coverage: how many of the 95 % intervals of every public estimator hold the truth, over many draws of games.

Games are drawn from the published process, and seen whole or each watched from tick 0 for a geometric number of ticks
of mean 300. An end that is not known (NaN) bounds nothing; an interval without either end, or refused by name, neither
holds nor misses: it is counted as not given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from replaylab import analysis as a
from replaylab.analysis.price_paths.moves import Moves
from replaylab.analysis.simulated.watching import watched
from replaylab.errors import AnalysisError
from replaylab.simulation.bulk import price_arrays

CHUNK = 20_000  # games at once, of those that stand for the truth
CHUNKS = 15  # of them for the moves up to a tick
ZONES = (0, 1)  # prices from which moves are counted apart
LAST_TICK = 6_000  # no game lives so long


class Answer(NamedTuple):
    """Estimates with their ends: one row each of a frame, named by a column or numbered."""

    name: str
    frame: pd.DataFrame
    value: str
    low: str = "low"
    high: str = "high"
    key: str | None = None

    def rows(self) -> Iterator[tuple[str, float, float, float]]:
        """Yield name, estimate and ends of each row."""
        names = range(len(self.frame)) if self.key is None else self.frame[self.key]
        numbers = self.frame[[self.value, self.low, self.high]].astype(np.float64).to_numpy()
        for row, (value, low, high) in zip(names, numbers.tolist(), strict=True):
            yield f"{self.name} {row}", value, low, high


Answers = Iterator[Answer]


def lives(some: a.Paths, draws: int) -> Answers:
    """How long games live."""
    del draws
    found = a.survival(some)
    yield Answer("survival().rugged_by", found.rugged_by([50, 139, 300]), "rugged")
    yield Answer("survival().quantiles", found.quantiles([0.25, 0.5, 0.75]), "tick")
    yield Answer("survival().mean_up_to", found.mean_up_to(300), "mean")
    band = found.bands()
    outside = max((band["low"] - band["theory"]).max(), (band["theory"] - band["high"]).max())
    yield tested("survival().bands, whole curve", 0.0 if outside > 1e-12 else 1.0)


def rugs(some: a.Paths, draws: int) -> Answers:
    """When games rug."""
    del draws
    yield Answer("hazard", a.hazard(some, bins=[0, 100, 300]), "hazard")
    yield Answer("p_rug_within", a.p_rug_within(some, 40, by=[0, 100]), "p")
    yield Answer("duration_hist", a.duration_hist(some, bins=[1, 50, 139, 300]), "share")


def peaks(some: a.Paths, draws: int) -> Answers:
    """How high games go."""
    del draws
    yield Answer("peak_table", a.peak_table(some, at=[1.5, 2, 5]), "reached")
    yield Answer("peak_quantiles", a.peak_quantiles(some, shares=[0.25, 0.5, 0.9]), "peak", key="share")


def bets(some: a.Paths, draws: int) -> Answers:
    """What side bets are worth."""
    del draws
    yield Answer("sidebet_table", a.sidebet_table(some, ticks=[0, 100], window=[20, 40]), "win_rate")
    yield Answer("sidebet_pooled", a.sidebet_pooled(some, edges=[0, 100]), "win_rate")


def sequences(some: a.Paths, draws: int) -> Answers:
    """What bets in a row are worth."""
    found = a.bet_sequence(some, stakes=a.martingale("0.01", bets=4), resamples=draws).summary
    yield Answer("bet_sequence: win rate", found, "win_rate")
    yield Answer("bet_sequence: mean result", found, "mean_result", "mean_low", "mean_high")
    yield Answer("bet_sequence: return on stake", found, "return_on_stake", "return_low", "return_high")


def horizons(some: a.Paths, draws: int) -> Answers:
    """What holding for some ticks is worth."""
    found = a.horizon_table(some, holds=[5, 40], resamples=draws)
    yield Answer("horizon_table: survived", found, "survived", "survived_low", "survived_high")
    yield Answer("horizon_table: mean result", found, "mean_result")


def aimed(some: a.Paths, draws: int) -> Answers:
    """What an entry with a target is worth."""
    found = a.entry_study(some, a.EntryPlan(at_price=1, target=0.5), resamples=draws)
    yield Answer("entry_study +50 %: success", found.summary, "success", "success_low", "success_high")
    yield Answer("entry_study +50 %: mean", found.summary, "mean_result", "mean_low", "mean_high")
    yield Answer("entry_study +50 %: outcomes", found.outcomes, "share", key="outcome")


def held(some: a.Paths, draws: int) -> Answers:
    """What an entry with a holding time is worth."""
    found = a.entry_study(some, a.EntryPlan(at_tick=0, hold=40), resamples=draws)
    yield Answer("entry_study 40 ticks: mean", found.summary, "mean_result", "mean_low", "mean_high")
    yield Answer("entry_study 40 ticks: outcomes", found.outcomes, "share", key="outcome")


def touched(some: a.Paths, draws: int) -> Answers:
    """What is touched first."""
    found = a.touch_table(some, prices=[1], targets=[1], resamples=draws)
    yield Answer("touch_table: target first", found, "target_first")
    yield Answer("touch_table: mean", found, "mean_result", "mean_low", "mean_high")


def moves(some: a.Paths, draws: int) -> Answers:
    """How far prices move."""
    found = a.volatility_by_price(some, edges=list(ZONES), resamples=draws)
    by_tick = means_by_last_tick()
    last = by_tick[np.arange(len(ZONES)), np.clip(found["to_tick"], 0, by_tick.shape[1] - 1)]
    ends = found[["mean", "low", "high"]].sub(last - by_tick[:, -1], axis=0)  # of cut games it is of moves up to there
    yield Answer("volatility_by_price", ends, "mean")


@cache
def means_by_last_tick() -> NDArray[np.float64]:
    """Return the mean size of the moves of whole games up to each tick, a row for each zone of prices."""
    above, below = np.zeros((len(ZONES), LAST_TICK)), np.zeros((len(ZONES), LAST_TICK))
    for place in range(CHUNKS):
        known = drawn_as(CHUNK, 900_000 + place, cut=False)
        found = Moves.of(known)
        zone = np.searchsorted(ZONES, found.before, side="right") - 1
        for row in range(len(ZONES)):
            tick, size = found.tick[zone == row], found.size[zone == row]
            above[row] += np.bincount(tick, size, LAST_TICK)[:LAST_TICK]
            below[row] += np.bincount(tick, minlength=LAST_TICK)[:LAST_TICK]
    means: NDArray[np.float64] = np.cumsum(above, axis=1) / np.maximum(np.cumsum(below, axis=1), 1)
    return means


def spikes(some: a.Paths, draws: int) -> Answers:
    """How far prices move before a rug."""
    del draws
    yield Answer("spike_table", a.spike_table(some, last=5, first=20), "share", key="window")


def hold(ticks: int) -> a.Vectorised:
    """Buy at tick 0 and sell after so many ticks."""
    return a.Vectorised(
        lambda paths: {
            a.Buy("0.1"): np.flatnonzero(paths.tick == 0),
            a.Sell(): np.flatnonzero(paths.tick == ticks),
        }
    )


def swept(some: a.Paths, draws: int) -> Answers:
    """What strategies earn a game, and by how much two of them differ."""
    rules = a.Rules(balance="1000")
    options = {"check": False, "workers": 1, "progress": False}
    found = a.sweep(some, hold, {"ticks": [5, 40]}, resamples=max(draws, 2), rules=rules, **options)
    yield Answer("sweep: mean profit", found.table, "mean_profit")
    runs = {str(ticks): a.backtest(some, hold(ticks), rules=rules, check=False, progress=False) for ticks in (5, 40)}
    yield Answer("compare: mean difference", a.compare(runs, resamples=max(draws, 2)), "mean_difference")


def groups(some: a.Paths, draws: int) -> Answers:
    """Whether groups of games live alike: two of one process."""
    del draws
    found = a.log_rank(some, by=np.arange(len(some)) % 2)
    yield tested("log_rank: does not reject", found.p_value)
    yield tested("drift: no change point", found.p_value if len(some) < 20 else changed(some))


def changed(some: a.Paths) -> float:
    """The p-value of the greatest change over time; 1 where there is none."""
    found = a.drift(in_a_row(some), "h", permutations=39).changes
    return 0.0 if len(found) else 1.0


def neighbours(some: a.Paths, draws: int) -> Answers:
    """Whether a game says something of the next: it does not, where both were seen."""
    del draws
    found = a.sequence_study(in_a_row(some), heights=[2])
    yield Answer("sequence_study: correlation", found.correlation, "correlation", key="of")
    if (some.rug_tick >= 0).all():  # pairs of rugs that were seen lean to short games, as documented
        yield Answer("sequence_study: after", found.after, "share", key="after")


def resampled(some: a.Paths, draws: int) -> Answers:
    """A statistic of the user's."""
    found = a.bootstrap(some, lambda one: float((one.lengths > 40).mean()), resamples=min(max(draws, 2), 300))
    yield Answer("bootstrap: records above 40 ticks", found, "estimate")


QUESTIONS: tuple[Callable[[a.Paths, int], Answers], ...] = (
    lives, rugs, peaks, bets, sequences, horizons, aimed, held, touched, moves, spikes, swept, groups, neighbours,
    resampled,
)  # fmt: skip


def tested(name: str, p_value: float) -> Answer:
    """A test as an interval: it holds 0 where the test does not reject at 5 %."""
    high = np.nan if np.isnan(p_value) else 0.0 if p_value > 0.05 else -1.0
    low = np.nan if np.isnan(p_value) else -2.0
    return Answer(name, pd.DataFrame({"value": [0.0], "low": [low], "high": [high]}), "value")


def in_a_row(some: a.Paths) -> a.Paths:
    """The games one after another in time, 5 s between two."""
    begin = np.arange(len(some)) * 65_000_000
    table = some.games
    for name, at in (("start", begin), ("end", begin + 60_000_000)):
        kind = table.schema.field(name).type
        table = table.set_column(table.column_names.index(name), name, pa.array(at).cast(kind))
    return a.Paths(table, some.start, some.tick, some.price, some.rug_tick, some.rug_price)


def drawn_as(games: int, seed: int, *, cut: bool) -> a.Paths:
    """Games, watched whole or each from tick 0 for a geometric number of ticks."""
    whole = a.Paths.of_arrays(*price_arrays(games, seed))
    if not cut:
        return whole
    lengths = np.random.default_rng([seed, 1]).geometric(1 / 300, games)  # not the stream that drew the games
    return watched(whole, entries=np.zeros(games, np.int64), lengths=lengths)


def truth(games: int) -> dict[bool, dict[str, float]]:
    """What the process gives, from many whole games; of records rather than games also from cut ones."""
    chunks = max(1, games // CHUNK)
    found = {}
    for cut in (False, True):
        asked = QUESTIONS if not cut else (resampled,)
        frames = []
        for place in range(chunks):
            some = drawn_as(games // chunks, 77_000 + place, cut=cut)
            frames.append({row: value for ask in asked for one in ask(some, 0) for row, value, *_ in one.rows()})
        found[cut] = pd.DataFrame(frames).mean().to_dict()
    return {False: found[False], True: found[False] | found[True]}


@dataclass(slots=True)
class Count:
    """Intervals that held the truth, that were given, that had one end, and that were asked for."""

    held: int = 0
    given: int = 0
    one_end: int = 0
    asked: int = 0

    def text(self) -> str:
        """The share held, and in brackets that of those not given."""
        missing = 1 - self.given / self.asked
        held = f"{self.held / self.given:.3f}" if self.given else "-"
        return f"{held} ({missing:.0%})" if missing else held


def coverage(games: int, seeds: range, known: dict[str, float], *, cut: bool, draws: int) -> dict[str, Count]:
    """Count, for each row of each answer, the intervals that hold the truth."""
    found: dict[str, Count] = {name: Count() for name in known}
    for seed in seeds:
        some = drawn_as(games, 1_000_000 + seed, cut=cut)
        for ask in QUESTIONS:
            try:
                answered = [row for one in ask(some, draws) for row in one.rows()]
            except AnalysisError:  # refused by name: asked, and not given
                answered = []
            for name, _, low, high in answered:
                if name in found and not (np.isnan(low) and np.isnan(high)):
                    count = found[name]
                    count.given += 1
                    count.one_end += bool(np.isnan(low) or np.isnan(high))
                    count.held += not (low > known[name] + 1e-12) and not (high < known[name] - 1e-12)
        for count in found.values():
            count.asked += 1
    return found
