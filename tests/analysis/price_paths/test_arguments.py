"""Whatever is asked is answered, or refused with an error of the package that names the field and says what to give."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from replaylab import analysis
from replaylab.analysis import EntryPlan, Paths, Selection, map_games
from replaylab.errors import AnalysisError
from tests.analysis.made import Made, made, rows_of, table_of, whole

HUGE = 10**30
FEW = made([whole(5), whole(9), Made([0, 1, 2])])
QUESTIONS: dict[str, Callable[..., Any]] = {
    "survival": analysis.survival,
    "hazard": analysis.hazard,
    "p_rug_within": analysis.p_rug_within,
    "duration_hist": analysis.duration_hist,
    "peak_table": analysis.peak_table,
    "peak_quantiles": analysis.peak_quantiles,
    "sequence_study": analysis.sequence_study,
    "sidebet_table": lambda source, **rest: analysis.sidebet_table(source, window=3, **rest),
    "sidebet_heatmap": lambda source, **rest: analysis.sidebet_heatmap(source, windows=[1, 2], **rest),
    "sidebet_pooled": lambda source, **rest: analysis.sidebet_pooled(source, window=2, **rest),
    "bet_sequence": lambda source, **rest: analysis.bet_sequence(source, stakes=1, window=1, resamples=0, **rest),
    "entry_study": lambda source, **rest: analysis.entry_study(
        source, EntryPlan(at_tick=0, hold=1), resamples=0, **rest
    ),
    "horizon_table": lambda source, **rest: analysis.horizon_table(source, holds=[1], resamples=0, **rest),
    "excursion_table": lambda source, **rest: analysis.excursion_table(source, holds=[1], **rest),
    "features": analysis.features,
    "volatility_by_price": lambda source, **rest: analysis.volatility_by_price(source, resamples=0, **rest),
    "spike_table": lambda source, **rest: analysis.spike_table(source, last=1, first=1, **rest),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_rug_alone_is_no_game(name: str) -> None:
    """A record that holds the rug and no live tick is refused alone, and moves nothing beside others."""
    alone = made([Made([], 9)])
    with pytest.raises(AnalysisError, match="no game with a live tick"):
        QUESTIONS[name](alone)
    rows = [
        row for place, game in enumerate([Made([], 9), whole(5), Made([], 3)]) for row in rows_of(f"g{place}", game)
    ]
    mixed = Paths.of_table(table_of(rows))
    lone = mixed.select(np.array([False, True, False]))
    assert answer(QUESTIONS[name], mixed) == answer(QUESTIONS[name], lone)


def answer(ask: Callable[..., Any], source: Paths) -> str:
    """What is answered, or why it is refused."""
    try:
        return repr(ask(source))
    except AnalysisError as error:
        return str(error)


@pytest.mark.parametrize("name", QUESTIONS)
def test_where_is_a_selection(name: str) -> None:
    """A mapping or a mask in place of a `Selection` is refused, and the message shows one."""
    for where in ({"complete": True}, np.array([True]), "complete"):
        with pytest.raises(AnalysisError, match=r"where=.*Selection\(complete=True\)"):
            QUESTIONS[name](FEW, where=where)


def test_where_of_a_batch_is_a_selection(tmp_path: Any) -> None:
    """A batch refuses it before it does anything."""
    import replaylab as rl

    (tmp_path / "store" / "segments").mkdir(parents=True)
    where: Any = {"complete": True}
    for ask in (lambda: map_games(tmp_path / "store", len, where=where), lambda: rl.analysis.games(FEW, where=where)):
        with pytest.raises(AnalysisError, match="where="):
            ask()


@pytest.mark.parametrize(
    ("ask", "field"),
    [
        (lambda: analysis.sidebet_table(FEW, window=HUGE), "window"),
        (lambda: analysis.sidebet_table(FEW, ticks=[HUGE], window=2), "ticks"),
        (lambda: analysis.p_rug_within(FEW, 10**400), "window"),
        (lambda: analysis.hazard(FEW, bins=[0, HUGE]), "bins"),
        (lambda: analysis.duration_hist(FEW, bins=[1, HUGE]), "bins"),
        (lambda: analysis.horizon_table(FEW, holds=[HUGE]), "holds"),
        (lambda: analysis.horizon_table(FEW, holds=[2**63 - 1]), "holds"),
        (lambda: EntryPlan(at_tick=0, hold=2**63 - 1), "hold"),
        (lambda: analysis.bet_sequence(FEW, stakes=1, window=HUGE), "window"),
        (lambda: analysis.bet_sequence(FEW, stakes=1, cooldown=HUGE), "cooldown"),
        (lambda: analysis.sequence_study(FEW, short_tick=HUGE), "short_tick"),
        (lambda: analysis.survival(FEW).rugged_by([HUGE]), "ticks"),
        (lambda: analysis.survival(FEW).mean_up_to(HUGE), "tick"),
        (lambda: analysis.horizon_table(FEW, between=(1,)), "between"),  # type: ignore[arg-type]
        (lambda: analysis.peak_table(FEW, at=[]), "at"),
        (lambda: analysis.split(FEW, ["train", "test"]), "parts"),  # type: ignore[arg-type]
        (lambda: analysis.bootstrap(FEW, None), "statistic"),  # type: ignore[arg-type]
        (lambda: analysis.entry_trades(FEW, {"hold": 1}), "plan"),  # type: ignore[arg-type]
        (lambda: Selection(min_ticks="5"), "min_ticks"),  # type: ignore[arg-type]
        (lambda: Selection(min_ticks=2.5), "min_ticks"),  # type: ignore[arg-type]
        (lambda: Selection(max_missing=True), "max_missing"),
        (lambda: Selection(min_ticks=None), "min_ticks"),  # type: ignore[arg-type]
        (lambda: Selection(complete="yes"), "complete"),  # type: ignore[arg-type]
        (lambda: Selection(ids=[5]), "ids"),  # type: ignore[list-item]
        (lambda: Selection(ids=5), "ids"),  # type: ignore[arg-type]
        (lambda: Selection(start="2031-01-02", end="2031-01-02"), "start"),
    ],
)
def test_what_means_nothing_is_refused_by_name(ask: Callable[[], Any], field: str) -> None:
    """The message begins with the field, whatever is wrong with it."""
    with pytest.raises(AnalysisError, match=f"^{field}"):
        ask()


def test_the_greatest_tick_there_can_be_costs_nothing() -> None:
    """A tick, a window or a limit far beyond every game is answered without memory for all the ticks between."""
    last = 2**31 - 1
    assert analysis.sidebet_table(FEW, ticks=[0, last], window=2)["n_games"].tolist() == [3, 0]
    assert analysis.p_rug_within(FEW, last, by=[0])["p"].tolist() == [1.0]
    assert analysis.survival(FEW).rugged_by(last)["rugged"].tolist() == [1.0]
    limited, unlimited = (analysis.survival(FEW).mean_up_to(tick)[["mean", "low"]] for tick in (9, last))
    assert limited.equals(unlimited)


def test_a_lone_value_is_a_list_of_one() -> None:
    """Where several values may be given, one may be given by itself, as text, Decimal or a number of numpy's."""
    assert analysis.peak_table(FEW, at=2).equals(analysis.peak_table(FEW, at=[2.0]))
    assert analysis.peak_quantiles(FEW, shares=0.5).equals(analysis.peak_quantiles(FEW, shares=[0.5]))
    assert analysis.survival(FEW).quantiles(0.5)["tick"].tolist() == [analysis.survival(FEW).median]
    assert analysis.bet_sequence(FEW, stakes="0.01", window=1, resamples=0).stakes == (Decimal("0.01"),)
    plans = [EntryPlan(at_tick=np.int64(0), target=target) for target in (0.5, "0.5", Decimal("0.5"), np.float32(0.5))]  # type: ignore[arg-type]
    results = [analysis.entry_study(FEW, plan, resamples=0).summary for plan in plans]
    assert all(one.equals(results[0]) for one in results)


def test_nothing_is_bought_for_nothing() -> None:
    """A tick at a price of 0 or less is no entry: its result would be no number, and with it every mean."""
    game = made([Made(range(5), 5, ["1", "0", "-1", "0.5", "0.25"]), whole(5)])
    plan = EntryPlan(per="tick", hold=1)
    assert analysis.entry_trades(game, plan)["price"].gt(0).all()
    assert np.isfinite(analysis.entry_study(game, plan, resamples=0).summary["mean_result"][0])
    assert np.isfinite(analysis.excursion_table(game, holds=[1, 2])["mae_mean"]).all()
