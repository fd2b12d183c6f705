"""Strategy: a function or class that is called at each live tick and returns orders.

It takes the `Tape` of ticks seen so far and the `Account`, and returns an order, several in the order of execution,
or None. An object may have a method `begin(game_id)`, which is called before each game.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from replaylab.analysis.backtests.account import Account
from replaylab.analysis.backtests.orders import Placed
from replaylab.analysis.backtests.tape import Tape
from replaylab.errors import AnalysisError

Answer = Placed | Iterable[Placed] | None
Decide = Callable[[Tape, Account], Answer]


class Strategy(Protocol):
    """What decides: `decide` is called once for each live tick, in order, and never sees a later one."""

    def decide(self, tape: Tape, account: Account, /) -> Answer:
        """Return an order, several in the order to carry them out, or None."""


def decider(strategy: Any) -> tuple[Any, Decide]:
    """Return the strategy object (a class is called without arguments) and its decision function.

    Raises
    ------
    AnalysisError
        When it neither can be called nor has a method `decide`, or is a class that cannot be called without arguments.

    Examples
    --------
    >>> decider(lambda tape, account: None)[1](None, None) is None
    True
    """
    try:
        made = strategy() if isinstance(strategy, type) else strategy
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise AnalysisError(f"{strategy!r} cannot be made without arguments ({reason}): pass what it makes") from error
    decide = getattr(made, "decide", made)
    if not callable(decide):
        raise AnalysisError(
            f"{strategy!r} is no strategy: pass a function of tape and account, or a class with `decide`"
        )
    return made, decide
