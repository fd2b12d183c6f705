"""Sequences: side bets one after another in a game until it rugs, with equal or growing stakes; money exact.

The first bet starts at tick `entry`; each next one `window + cooldown` ticks after the one before, as long as the game
is live. A bet that wins ends the sequence, since the rug ends the game. Stakes and results are Decimals, never rounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, localcontext
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import money, one_of, some_games, whole
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.price_paths.spells import Curve, Spells, influence, kaplan_meier
from replaylab.analysis.questions.interval import mean_by_game, share_by_game
from replaylab.analysis.questions.odds import payout
from replaylab.analysis.questions.sidebets import PAYS, WINDOW
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

COOLDOWNS: Final = {"server": 0, "simulator": 5}
_MOST_BETS: Final = 1000
_DIGITS: Final = 500
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BetSequence:
    """Results of a sequence of bets: one row a game, and all of them in one row.

    Parameters
    ----------
    games : DataFrame
        One row a game that was seen live at the first bet: `game_id`, `bets` (placed, as far as the record goes),
        `won` (number of the bet that won, from 1; 0 for none), `decided` (false where the record ends before the
        sequence does), `staked`, `result` (Decimal; None where not decided).
    summary : DataFrame
        One row. Of all games: `win_rate` (a game) with `low`, `high`, `mean_staked` and `mean_result` (a game) with
        `mean_low`, `mean_high`, `return_on_stake` (the second over the first) with `return_low`, `return_high`. They
        come from the Kaplan-Meier chances to place and to win each bet, as leaving out the games that were cut off
        would favour wins, which are decided sooner; NaN where no game was followed to the end of the last bet. Of the
        decided games alone, exact: `n_games`, `n_bets`, `wins`, `staked`, `result`, `worst`, `best`; and `cut`, the
        number of games not decided. Without a cut game both say the same.
    stakes : tuple of Decimal
        Stake of each bet.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = bet_sequence(Paths.of_arrays(*price_arrays(100, seed=1)), stakes=["0.01", "0.01"], resamples=0)
    >>> found.summary["result"][0] == found.games["result"].sum()
    True
    """

    games: pd.DataFrame
    summary: pd.DataFrame
    stakes: tuple[Decimal, ...]


def martingale(base: object, *, bets: int, factor: object = 2, max_stake: object = None) -> tuple[Decimal, ...]:
    """Stakes that grow by a factor after each loss, up to a limit; a factor of 1 gives equal stakes.

    Growing stakes move losses, they do not remove them: each bet still loses the same share of its stake on average,
    and the stake that the last loss needs is the largest.

    Raises
    ------
    AnalysisError
        When an amount is no number above zero, the factor is below 1, or no bet is asked for.

    Examples
    --------
    >>> [str(stake) for stake in martingale("0.01", bets=5, max_stake="0.1")]
    ['0.01', '0.02', '0.04', '0.08', '0.1']
    """
    stake, growth = money("base", base), money("factor", factor)
    most = None if max_stake is None else money("max_stake", max_stake)
    if growth < 1:
        raise AnalysisError(f"factor={factor!r}: stakes grow by a factor of 1 or more")
    if most is not None and most < stake:
        raise AnalysisError(f"max_stake={max_stake!r}: below the first stake of {stake}")
    found = []
    with localcontext(_exact()):
        for _ in range(whole("bets", bets, least=1, most=_MOST_BETS)):
            found.append(stake)
            if stake != most:
                stake = _counted("factor", stake, growth)
                stake = stake if most is None else min(stake, most)
    return tuple(found)


def bet_sequence(  # noqa: PLR0913 each is a choice of the caller
    source: Source,
    *,
    stakes: object,
    entry: int = 0,
    window: int = WINDOW,
    pays: object = PAYS,
    cooldown: int | str = 0,
    where: Selection | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> BetSequence:
    """Results of betting again and again in a game, from a tick on, until a bet wins or the stakes run out.

    It says what these games would have paid, each played by itself; it says nothing about a bankroll that must
    survive one game after another. With a payout below what the chance is worth every sequence of stakes loses.

    Parameters
    ----------
    source : Store, path, Paths, or sequence of Segment
    stakes : iterable of Decimal, str, int or float
        Stake of the first bet, of the second, and so on; see `martingale`. A lone one is that of a single bet.
    entry : int
        Tick of the first bet, from 0.
    window, pays
        As for `sidebets.sidebet_table`.
    cooldown : int or {"server", "simulator"}
        Ticks between the end of one window and the next bet: "server" is 0, since a player can bet again exactly
        `window` ticks after the former start; "simulator" is 5, the rule of an older simulator. A rug inside them wins
        nothing.
    where, confidence, resamples, seed
        Which games, and how the intervals are made.

    Raises
    ------
    AnalysisError
        When there is no game, none was seen live at `entry`, no sequence is decided, or an argument is out of bounds.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = Paths.of_arrays(*price_arrays(1_000, seed=1))
    >>> found = bet_sequence(drawn, stakes=martingale("0.01", bets=4), resamples=200)
    >>> found.games[["bets", "won", "staked", "result"]].head(2).to_numpy().tolist()
    [[4, 0, Decimal('0.15'), Decimal('-0.15')], [2, 2, Decimal('0.03'), Decimal('0.07')]]
    """
    known, paying = some_games(paths(source, where=where)), payout(pays)
    listed = stakes if isinstance(stakes, Iterable) and not isinstance(stakes, str) else [stakes]
    amounts = tuple(money("stakes", stake) for stake in listed)
    whole("len(stakes)", len(amounts), least=1, most=_MOST_BETS)
    begin, step = whole("entry", entry, least=0), whole("window", window, least=1)
    pause = COOLDOWNS[one_of("cooldown", cooldown, COOLDOWNS)] if isinstance(cooldown, str) else cooldown
    pause = whole("cooldown", pause, least=0)
    seen = np.flatnonzero(np.bincount(known.game_of_tick[known.tick == begin], minlength=known.n_games))
    if not len(seen):
        raise AnalysisError(f"entry={begin}: none of the {known.n_games} games was seen live at that tick")
    every, known = known, known.take(seen)
    bets, won, decided = _played(known, begin, step, pause, len(amounts))
    if not decided.any():
        raise AnalysisError(f"games={len(seen)}: each record ends before its sequence of bets does; nothing is known")
    games = _games(known.game_ids, bets, won, decided, _outcomes(amounts, paying))
    first = begin + (step + pause) * np.arange(len(amounts))
    chances = _Chances.of(every, begin, first, step, amounts, paying)
    drawing: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    return BetSequence(games, _summary(games, chances, drawing), amounts)


def _played(known: Paths, entry: int, window: int, cooldown: int, most: int) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """Bets placed, the number of the one that won (0: none), and whether that is all that can happen; one a game."""
    step = window + cooldown
    rugged = known.rug_tick >= 0
    last = np.where(rugged, known.rug_tick - 1, known.tick[known.start[1:] - 1].astype(np.int64))
    bets = np.minimum((last - entry) // step + 1, most)
    latest = entry + (bets - 1) * step
    won = np.where(rugged & (known.rug_tick - latest <= window), bets, 0)
    return bets, won, rugged | ((bets == most) & (last >= latest + window))


def _outcomes(stakes: tuple[Decimal, ...], pays: Decimal) -> dict[tuple[int, bool], tuple[Decimal, Decimal]]:
    """What was staked, and the result, after that many bets with the last one won or lost."""
    found = {}
    with localcontext(_exact()):
        staked = Decimal(0)
        for place, stake in enumerate(stakes, 1):
            staked += stake
            found[place, False] = staked, -staked
            found[place, True] = staked, pays * stake - staked
    return found


def _games(
    ids: list[str],
    bets: Ints,
    won: Ints,
    decided: NDArray[np.bool_],
    outcomes: dict[tuple[int, bool], tuple[Decimal, Decimal]],
) -> pd.DataFrame:
    import pandas as pd

    played = [outcomes[placed, win > 0] for placed, win in zip(bets.tolist(), won.tolist(), strict=True)]
    results = [result if known else None for (_, result), known in zip(played, decided.tolist(), strict=True)]
    return pd.DataFrame(
        {
            "game_id": ids,
            "bets": bets,
            "won": won,
            "decided": decided,
            "staked": pd.Series([staked for staked, _ in played], dtype=object),
            "result": pd.Series(results, dtype=object),
        }
    )


@dataclass(frozen=True, eq=False)
class _Chances:
    """Chance to win, money staked and money won of a game, one value a game: their means are the estimates.

    Where no game was cut off they are those of the game itself; else each includes what the game says of the others.
    """

    won: Floats
    staked: Floats
    result: Floats

    @classmethod
    def of(cls, known: Paths, entry: int, first: Ints, window: int, stakes: tuple[Decimal, ...], pays: Decimal) -> Self:
        """Return the chances from the survival of all games after the first bet; bets start at the ticks `first`."""
        spells = Spells.of(known)
        left = spells.since(entry)
        games, of_spell = np.unique(left.game, return_inverse=True)
        counted = Spells(left.entry, left.exit, left.rugged, of_spell)
        curve = kaplan_meier(counted, entry)
        amounts, bought = np.array(list(map(float, stakes))), float(pays)
        placed, lost = (_weights(curve, first, one) for one in (amounts, amounts * bought))
        over = _weights(curve, first + window, amounts * bought)
        begun, ended = _weights(curve, first, np.ones(len(first))), _weights(curve, first + window, np.ones(len(first)))
        sums = (begun - ended, placed, lost - over - placed)
        return cls(*(_per_game(counted, curve, weights, len(games)) for weights in sums))


def _weights(curve: Curve, ticks: Ints, amounts: Floats) -> Floats:
    """Return weights that make amounts x survival after ticks out of a curve; NaN where the curve does not reach."""
    place, last = ticks - int(curve.tick[0]), len(curve.tick) - 1
    if curve.survival[last] == 0:  # no game is left: none is later
        amounts, place = amounts[place <= last], place[place <= last]
    if (place > last).any():
        return np.full(last + 1, np.nan)
    return np.bincount(place, amounts, last + 1).astype(np.float64)


def _per_game(spells: Spells, curve: Curve, weights: Floats, games: int) -> Floats:
    used = weights != 0
    total = float((weights[used] * curve.survival[used]).sum())
    if np.isnan(total):
        return np.full(games, np.nan)
    return total + games * influence(spells, curve, weights, games)


def _summary(games: pd.DataFrame, chances: _Chances, drawing: dict[str, Any]) -> pd.DataFrame:
    import pandas as pd

    known = games[games["decided"]]
    result = known["result"].to_numpy()
    ones = np.ones((len(chances.won), 1))
    low, high = share_by_game(chances.won[:, None], ones, confidence=drawing["confidence"])
    sums, per = np.column_stack([chances.result, chances.result]), np.column_stack([ones, chances.staked])
    mean_low, mean_high = mean_by_game(sums, per, **drawing)
    mean, staked_mean = float(chances.result.mean()), float(chances.staked.mean())
    with localcontext(_exact()):
        total, staked = sum(result, Decimal(0)), sum(known["staked"], Decimal(0))
    row: dict[str, Any] = {
        "n_games": len(known),
        "cut": len(games) - len(known),
        "n_bets": int(known["bets"].sum()),
        "wins": int((known["won"] > 0).sum()),
        "win_rate": float(chances.won.mean()),
        "low": float(low[0]),
        "high": float(high[0]),
        "staked": staked,
        "result": total,
        "mean_staked": staked_mean,
        "mean_result": mean,
        "mean_low": float(mean_low[0]),
        "mean_high": float(mean_high[0]),
        "return_on_stake": mean / staked_mean,
        "return_low": float(mean_low[1]),
        "return_high": float(mean_high[1]),
        "worst": min(result),
        "best": max(result),
    }
    return pd.DataFrame([row])


def _exact() -> Context:
    return Context(prec=_DIGITS, traps=[Inexact])


def _counted(name: str, stake: Decimal, factor: Decimal) -> Decimal:
    try:
        return stake * factor
    except Inexact:
        raise AnalysisError(f"{name}={factor}: a stake would have more than {_DIGITS} digits; set max_stake") from None
