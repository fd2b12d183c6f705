"""Doors: work of a higher room that a lower one offers; imports point one way, so the front door connects the two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final


class Doors:
    """What is offered below and done above; the package fills it when it is imported.

    Attributes
    ----------
    backtest_report : callable
        What `Backtest.report` offers; its page holds the player, which the analysis does not know.
    """

    backtest_report: Callable[..., Any]


DOORS: Final = Doors()
