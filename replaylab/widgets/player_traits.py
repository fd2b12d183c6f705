"""Values that a player can be set to: each is checked when it is set, and what is none raises by name."""

from __future__ import annotations

from typing import Any

import traitlets

from replaylab.clock import checked_speed
from replaylab.widgets.chart_marks import ChartMark, marks_of
from replaylab.widgets.panels import Panels
from replaylab.widgets.ranges import Rows, checked_rows
from replaylab.widgets.trades import Trades


class SpeedTrait(traitlets.Float[float, float]):
    """A speed of the game; anything else raises `SpeedError`, as everywhere in the package."""

    def validate(self, obj: Any, value: Any) -> float:
        """Return the speed as a float within the bounds of the player's engine."""
        return checked_speed(value, *obj.engine.speed_bounds)


class TradesTrait(traitlets.TraitType[Any, Any]):
    """Trades of a strategy, made of whatever tells of them; None for none."""

    info_text = "trades"

    def validate(self, _obj: Any, value: Any) -> Trades | None:
        """Return the trades; raise `Unplayable` when these are none."""
        return Trades.of(value)


class PanelsTrait(traitlets.TraitType[Any, Any]):
    """Panels below the price, made of whatever tells of them."""

    info_text = "panels"

    def validate(self, _obj: Any, value: Any) -> Panels:
        """Return the panels; raise `Unplayable` when these are none."""
        return value if isinstance(value, Panels) else Panels(() if value is None else value)


class RangeTrait(traitlets.TraitType[Any, Any]):
    """Rows from one to another of the game that a player shows; None is none."""

    info_text = "(first, last), two rows of the game, or None"

    def __init__(self, kind: type[Rows], **options: Any) -> None:
        self.kind = kind
        super().__init__(**options)

    def make_dynamic_default(self, obj: Any) -> Rows:
        """Return no rows."""
        return self.kind(player=obj)

    def validate(self, obj: Any, value: Any) -> Rows:
        """Return the rows, or raise `TickError`."""
        first, last = checked_rows(str(self.name), value, obj.engine.total)
        return self.kind(first, last, obj)


class MarksTrait(traitlets.TraitType[Any, Any]):
    """Marks of the game that a player shows, as a tuple."""

    info_text = "a list of marks, mappings of their fields or numbers of ticks, or a mapping of ticks to labels"

    def validate(self, obj: Any, value: Any) -> tuple[ChartMark, ...]:
        """Return the marks, or raise `TickError`."""
        return marks_of(value, obj.engine.timeline)
