"""Estimators: against theory, on simulated games that are watched whole, and watched as recorders do.

The claims: every estimator's own 99 % interval holds what the process gives, also when half of the games are joined
late, half are cut off alive and some have gaps. The peers are the usual ways: the mean of the rugs that were seen, that
of the complete games, the share of complete games that rug by a tick, and the share of them that reach a height. One
interval in a hundred may miss by chance.

Then the coverages: how many of the 95 % intervals of every public estimator hold the truth, over many draws of few and
of many games, whole, and each watched for a geometric number of ticks of mean 300 (`--draws` of 30 and 100 games, fewer
of more).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from benchmarks.measure import arguments, print_ratio, print_table
from replaylab.analysis.price_paths.games import bootstrap
from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.questions.durations import duration_hist
from replaylab.analysis.questions.entries import entry_study, touch_table
from replaylab.analysis.questions.hazard import hazard, p_rug_within
from replaylab.analysis.questions.horizons import horizon_table
from replaylab.analysis.questions.peaks import peak_quantiles, peak_table
from replaylab.analysis.questions.sequences import bet_sequence, martingale
from replaylab.analysis.questions.sidebets import sidebet_pooled, sidebet_table
from replaylab.analysis.questions.survival import survival
from replaylab.analysis.questions.trades import EntryPlan
from replaylab.analysis.questions.volatility import spike_table, volatility_by_price
from replaylab.analysis.simulated.watching import watched
from replaylab.columns import as_numpy
from replaylab.errors import AnalysisError
from replaylab.simulation.bulk import price_arrays

CONFIDENCE = 0.99
SIZES = (30, 100, 800, 2_000)
RESAMPLES = 400
Asked = Iterator[tuple[str, pd.DataFrame, str, str, str]]  # name, rows, columns of the estimate and of its interval
LIMIT = 600  # ticks, beyond which a life is not counted: the record of badly watched games reaches as far


def intervals(paths: Paths, beside: Paths) -> pd.DataFrame:
    """Everything that is estimated, with its interval and the truth."""
    lives = survival(paths, confidence=CONFIDENCE)
    peaks = peak_table(paths, at=(1.5, 2, 3, 5, 10, 20), confidence=CONFIDENCE, beside=beside)
    parts = {
        "survival: rugged by a tick": lives.rugged_by([50, 100, 200, 300, 500]),
        "survival: ticks by share": lives.quantiles(),
        "survival: mean up to 600": lives.mean_up_to(LIMIT),
        "hazard by age": hazard(paths, confidence=CONFIDENCE),
        "rug within 40 ticks, by age": p_rug_within(paths, 40, confidence=CONFIDENCE),
        "durations by stretch": duration_hist(paths, confidence=CONFIDENCE),
        "peaks": peaks.assign(theory=peaks["beside"]),
    }
    frames = [frame.assign(estimator=name)[["estimator", "low", "high", "theory"]] for name, frame in parts.items()]
    return pd.concat(frames, ignore_index=True)


def held(paths: Paths, beside: Paths, title: str) -> float:
    """Print how many intervals hold the truth; give their share."""
    found = intervals(paths, beside)
    found["held"] = (found["low"] <= found["theory"]) & (found["theory"] <= found["high"])
    counts = found.groupby("estimator", sort=False)["held"].agg(["sum", "size"])
    rows = [(str(name), int(row["sum"]), int(row["size"])) for name, row in counts.iterrows()]
    rows.append(("all", int(found["held"].sum()), len(found)))
    print_table(f"{title}: {paths!r}, intervals of 99 %", ["", "hold the truth", "of"], rows)
    return float(found["held"].mean())


def against_the_usual(cut: Paths, whole: Paths) -> dict[str, tuple[float, float, float]]:
    """The truth, the usual estimate and ours, of what everybody asks."""
    complete = cut.select(as_numpy(cut.games.column("complete")))
    seen = cut.rug_tick[cut.rug_tick >= 0]
    lives = survival(cut)
    mean = lives.mean_up_to(LIMIT).iloc[0]
    by_100, by_300 = lives.rugged_by([100, 300]).itertuples()
    peak = peak_table(cut, at=[10], beside=whole).iloc[0]
    return {
        "mean life up to 600, of complete games": (
            mean["theory"],
            float(np.minimum(complete.rug_tick, LIMIT).mean()),
            mean["mean"],
        ),
        "mean life up to 600, of rugs seen": (mean["theory"], float(np.minimum(seen, LIMIT).mean()), mean["mean"]),
        "rugged by 100": (by_100.theory, float((complete.rug_tick <= 100).mean()), by_100.rugged),
        "rugged by 300": (by_300.theory, float((complete.rug_tick <= 300).mean()), by_300.rugged),
        "peak of 10x": (peak["beside"], peak["complete_reached"] / peak["complete_games"], peak["reached"]),
    }


def asked(paths: Paths, resamples: int = RESAMPLES) -> Asked:
    """Every public estimator with the columns of its value and of its interval."""
    lives = survival(paths)
    yield "survival().rugged_by", lives.rugged_by([50, 139, 300]), "rugged", "low", "high"
    yield "survival().quantiles", lives.quantiles([0.25, 0.5, 0.75]), "tick", "low", "high"
    yield "survival().mean_up_to", lives.mean_up_to(300), "mean", "low", "high"
    yield "hazard", hazard(paths, bins=[0, 100, 300]), "hazard", "low", "high"
    yield "p_rug_within", p_rug_within(paths, 40, by=[0, 100]), "p", "low", "high"
    yield "duration_hist", duration_hist(paths, bins=[1, 50, 139, 300]), "share", "low", "high"
    yield "peak_table", peak_table(paths, at=[1.5, 2, 5]), "reached", "low", "high"
    yield "peak_quantiles", peak_quantiles(paths, shares=[0.25, 0.5, 0.9]), "peak", "low", "high"
    yield "sidebet_table", sidebet_table(paths, ticks=[0, 100], window=[20, 40]), "win_rate", "low", "high"
    yield "sidebet_pooled", sidebet_pooled(paths, edges=[0, 100]), "win_rate", "low", "high"
    bets = bet_sequence(paths, stakes=martingale("0.01", bets=4), resamples=resamples).summary
    yield "bet_sequence: win rate", bets, "win_rate", "low", "high"
    yield "bet_sequence: mean result", bets, "mean_result", "mean_low", "mean_high"
    yield "bet_sequence: return on stake", bets, "return_on_stake", "return_low", "return_high"
    held = horizon_table(paths, holds=[5, 40], resamples=resamples)
    yield "horizon_table: survived", held, "survived", "survived_low", "survived_high"
    yield "horizon_table: mean result", held, "mean_result", "low", "high"
    for name, plan in (("+50 %", EntryPlan(at_price=1, target=0.5)), ("40 ticks", EntryPlan(at_tick=0, hold=40))):
        study = entry_study(paths, plan, resamples=resamples)
        if plan.target:
            yield f"entry_study {name}: success", study.summary, "success", "success_low", "success_high"
        yield f"entry_study {name}: mean", study.summary, "mean_result", "mean_low", "mean_high"
        yield f"entry_study {name}: outcomes", study.outcomes, "share", "low", "high"
    touched = touch_table(paths, prices=[1], targets=[1], resamples=resamples)
    yield "touch_table: target first", touched, "target_first", "low", "high"
    yield "touch_table: mean", touched, "mean_result", "mean_low", "mean_high"
    moves = volatility_by_price(paths, edges=[0, 1], resamples=resamples)
    yield "volatility_by_price", moves, "mean", "low", "high"
    yield "spike_table", spike_table(paths), "share", "low", "high"
    share = bootstrap(paths, lambda some: float((some.lengths > 40).mean()), resamples=100 if resamples else 2)
    yield "bootstrap: share of records above 40 ticks", share, "estimate", "low", "high"


def drawn_as(games: int, seed: int, *, cut: bool) -> Paths:
    """Games, watched whole or each from tick 0 for a geometric number of ticks."""
    whole = Paths.of_arrays(*price_arrays(games, seed))
    if not cut:
        return whole
    lengths = np.random.default_rng([seed, 1]).geometric(1 / 300, games)  # not the stream that drew the games
    return watched(whole, entries=np.zeros(games, np.int64), lengths=lengths)


def coverage(games: int, draws: int, truth: dict[str, np.ndarray], *, cut: bool) -> dict[str, tuple[float, int]]:
    """Share of the intervals that hold the truth, and how many there were; an end that is not known bounds nothing."""
    held: dict[str, list[bool]] = {}
    for draw in range(draws):
        try:
            answers = list(asked(drawn_as(games, 1_000_000 + draw, cut=cut)))
        except AnalysisError:  # a draw in which nothing is known of one of them
            continue
        for name, frame, _, low, high in answers:
            if len(frame) != len(truth[name]):
                continue  # an outcome that did not occur
            ends = frame[[low, high]].to_numpy(np.float64)
            known = ~np.isnan(ends).all(axis=1)
            inside = (np.nan_to_num(ends[:, 0], nan=-np.inf) <= truth[name] + 1e-12) & (
                truth[name] - 1e-12 <= np.nan_to_num(ends[:, 1], nan=np.inf)
            )
            held.setdefault(name, []).extend(inside[known].tolist())
    return {name: (float(np.mean(one)), len(one)) for name, one in held.items()}


def coverages(draws: int, big: int, sizes: tuple[int, ...]) -> None:
    """Print the coverages of all estimators, and the share of them that lie between 93 and 97 %."""
    truths = {}
    for cut in (False, True):
        measured = {
            name: frame[value].to_numpy(np.float64) for name, frame, value, *_ in asked(drawn_as(big, 77, cut=False), 0)
        }
        if cut:
            seen = asked(drawn_as(big, 77, cut=True), 0)
            measured |= {
                name: frame[value].to_numpy(np.float64) for name, frame, value, *_ in seen if "records" in name
            }
        truths[cut] = measured
    columns: dict[str, dict[str, tuple[float, int]]] = {}
    for games in sizes:
        for cut in (False, True):
            many = draws if games <= 100 else draws // 4
            label = f"{games} {'cut' if cut else 'whole'}"
            columns[label] = coverage(games, many, truths[cut], cut=cut)
    names = list(truths[False])
    rows = [
        (name, *(f"{column[name][0]:.3f}" if name in column else "-" for column in columns.values())) for name in names
    ]
    print_table("Coverage of 95 % intervals", ["estimator", *columns], rows)
    found = [value for column in columns.values() for value, count in column.values() if count >= 100]
    good = float(np.mean([0.93 <= value <= 0.97 for value in found]))
    print_ratio("estimators coverage", good, "share of the cells that cover 93 to 97 %")


def main() -> None:
    """Draw games, watch them badly, estimate, and print."""
    options = arguments(__doc__, games=100_000, seed=1, draws=400)
    games = 3_000 if options.quick else options.games
    whole = Paths.of_arrays(*price_arrays(games, options.seed))
    other = Paths.of_arrays(*price_arrays(2 * games, options.seed + 1))  # their peaks stand for the process
    cut = watched(whole, seed=options.seed)
    shares = [held(whole, other, "Watched whole"), held(cut, other, "Joined late, cut off, with gaps")]
    found = against_the_usual(cut, other)
    rows = [(name, *values) for name, values in found.items()]
    print_table("Joined late, cut off, with gaps", ["", "truth", "the usual way", "replaylab"], rows)
    print_ratio("estimators intervals", min(shares) / CONFIDENCE, "share of 99 % intervals that hold, over 0.99")
    for name, (truth, usual, ours) in found.items():
        ratio = abs(usual - truth) / max(abs(ours - truth), 1e-12)
        print_ratio(f"estimators {name}", ratio, "error of the usual way over that of replaylab")
    # the truth from 400,000 games: the error of 40,000 shows beside intervals from 2,000
    draws, big, sizes = (20, 5_000, (30, 100)) if options.quick else (options.draws, 400_000, SIZES)
    coverages(draws, big, sizes)


if __name__ == "__main__":
    main()
