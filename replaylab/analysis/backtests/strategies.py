"""Three example strategies that are often tried; all lose, as the house has an edge."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from replaylab.analysis.backtests.account import Account
from replaylab.analysis.backtests.orders import Bet, Buy, Order, Sell
from replaylab.analysis.backtests.tape import Tape


@dataclass
class Conservative:
    """Buys below 1.5x, sells at +20 % or -15 % or above 10x; from tick 101 on it also keeps a side bet running.

    One order a tick, in that order of precedence. At most one position at a time.

    Examples
    --------
    >>> from replaylab.analysis.backtests.backtest import backtest
    >>> from replaylab.analysis.price_paths.paths import Paths
    >>> from replaylab.fair import simulate
    >>> backtest(Paths.of_arrays(*simulate(50, seed=1)), Conservative, progress=False).n_games
    50
    """

    buy_below: float = 1.5
    take_profit: float = 0.20
    stop_loss: float = 0.15
    exit_above: float = 10.0
    bet_after: int = 100
    stake: Decimal = Decimal("0.005")
    bet: Decimal = Decimal("0.002")

    def decide(self, tape: Tape, account: Account) -> Order | None:
        """Return the order of this tick."""
        price = tape.value
        entry = account.entry_price
        if entry is None:
            if price < self.buy_below and account.balance >= self.stake:
                return Buy(self.stake)
        else:
            gain = price / float(entry) - 1
            if gain > self.take_profit or gain < -self.stop_loss or price > self.exit_above:
                return Sell()
        return _bet(tape, account, self.bet) if tape.now > self.bet_after else None


@dataclass
class Aggressive:
    """Buys below 3x, sells at +50 % or -30 %, and keeps a side bet running from the first tick.

    Examples
    --------
    >>> Aggressive().take_profit
    0.5
    """

    buy_below: float = 3.0
    take_profit: float = 0.50
    stop_loss: float = 0.30
    stake: Decimal = Decimal("0.010")
    bet: Decimal = Decimal("0.003")

    def decide(self, tape: Tape, account: Account) -> Order | None:
        """Return the order of this tick."""
        entry = account.entry_price
        if entry is None:
            if tape.value < self.buy_below and account.balance >= self.stake:
                return Buy(self.stake)
        else:
            gain = tape.value / float(entry) - 1
            if gain > self.take_profit or gain < -self.stop_loss:
                return Sell()
        return _bet(tape, account, self.bet)


@dataclass
class SideBets:
    """Places a side bet whenever it may; besides buys below 2x and sells at +30 %, without a stop.

    Examples
    --------
    >>> SideBets(bet=Decimal("0.001")).bet
    Decimal('0.001')
    """

    buy_below: float = 2.0
    take_profit: float = 0.30
    stake: Decimal = Decimal("0.005")
    bet: Decimal = Decimal("0.003")

    def decide(self, tape: Tape, account: Account) -> Order | None:
        """Return the order of this tick."""
        placed = _bet(tape, account, self.bet)
        if placed is not None:
            return placed
        entry = account.entry_price
        if entry is None:
            return Buy(self.stake) if tape.value < self.buy_below and account.balance >= self.stake else None
        return Sell() if tape.value / float(entry) - 1 > self.take_profit else None


def _bet(tape: Tape, account: Account, amount: Decimal) -> Bet | None:
    return Bet(amount) if account.may_bet(tape.now) and account.balance >= amount else None
