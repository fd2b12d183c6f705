"""ChartMark: something written on the chart at a row, and perhaps at a price; and the file that keeps such marks."""

from __future__ import annotations

import json
import math
import operator
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, SupportsIndex, get_args

from replaylab.durable import of_user, publish, written_aside
from replaylab.errors import StoreUnwritable, TickError
from replaylab.playback.timeline import Timeline
from replaylab.tick import short_id
from replaylab.widgets.messages import Shape

SHAPES: Final = get_args(Shape)
MAX_MARKS: Final = 1_000  # of one game
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{3,8}|[a-zA-Z]{1,30}|(?:rgb|hsl)a?\([\d.,%/ ]{1,60}\)")


@dataclass(frozen=True)
class ChartMark:
    """A mark on the chart of a game.

    Parameters
    ----------
    tick : int
        Number of the tick that it stands at.
    label : str
        A word or two.
    colour : str, optional
        A CSS colour.
    shape : {"flag", "up", "down", "cross", "dot"}
        How it is drawn; a flag has a line over the whole height.
    price : float, optional
        Where it stands; at the price of its row unless given, and a flag at the top.
    row : int, optional
        Its row; of several rows with the tick the first live one unless given.

    Raises
    ------
    TickError
        When a value is none of these (it is a `ValueError`).

    Examples
    --------
    >>> ChartMark(40, "sell here", shape="down", price=1.5)
    ChartMark(tick=40, label='sell here', colour=None, shape='down', price=1.5, row=None)
    """

    tick: int
    label: str = ""
    colour: str | None = None
    shape: str = "flag"
    price: float | None = None
    row: int | None = None

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise TickError("shape", self.shape, "wrong_type", f"must be one of {', '.join(SHAPES)}")
        if self.colour is not None and not _COLOUR.fullmatch(str(self.colour)):
            raise TickError("colour", self.colour, "wrong_type", "must be a CSS colour such as '#aa00bb' or 'teal'")
        if self.price is not None:
            try:
                price = float(self.price)
            except (TypeError, ValueError):
                price = math.nan
            if not math.isfinite(price):
                raise TickError("price", self.price, "wrong_type", "must be a finite number")
            object.__setattr__(self, "price", price)
        object.__setattr__(self, "label", str(self.label)[:200])

    @classmethod
    def of(cls, value: object, line: Timeline | None) -> ChartMark:
        """Return a mark of a game, of a mark, a mapping of its fields, a tick and its label, or the number of a tick.

        Raises
        ------
        TickError
            When the game has no such tick or row.
        """
        if isinstance(value, tuple) and len(value) == 2:
            value = cls(_whole(value[0]), value[1])
        if isinstance(value, Mapping):
            unknown = sorted(set(value) - set(cls.__dataclass_fields__))
            if unknown:
                raise TickError("mark", unknown[0], "wrong_type", f"a mark has {', '.join(cls.__dataclass_fields__)}")
            mark = cls(**{"tick": 0, **value})
            mark = mark if "tick" in value or mark.row is None else cls(**{**value, "tick": _tick(line, mark.row)})
        else:
            mark = value if isinstance(value, cls) else cls(_whole(value))
        _whole(mark.tick)
        row = mark.row
        if line is not None and (row is None or not 0 <= row < line.stop or int(line.tick[row]) != mark.tick):
            row = line.index_of_tick(mark.tick)
        if line is None or row is None:
            name = "what is shown" if line is None or not line.game_id else short_id(line.game_id)
            known = (
                "" if line is None or not line.stop else f"; its ticks are {line.tick.min():,} to {line.tick.max():,}"
            )
            raise TickError("tick", mark.tick, "no_such_tick", f"{name} has no tick of that number{known}")
        return cls(mark.tick, mark.label, mark.colour, mark.shape, mark.price, row)

    def to_page(self) -> dict[str, Any]:
        """Return what a page draws."""
        found = {"row": self.row, "label": self.label, "colour": self.colour}
        return (
            found
            | ({"shape": self.shape} if self.shape != "flag" or self.price is not None else {})
            | ({} if self.price is None else {"price": self.price})
        )


def marks_of(values: object, line: Timeline | None) -> tuple[ChartMark, ...]:
    """Return the marks of a game: of a list of what `ChartMark.of` takes, or of a mapping of ticks to labels.

    Raises
    ------
    TickError
        When it is neither, or the game has no such tick.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        hint = "pass a list of numbers of ticks, of marks or of mappings of their fields, or {tick: label}"
        raise TickError("marks", values, "wrong_type", hint)
    each = values.items() if isinstance(values, Mapping) else values
    return tuple(ChartMark.of(one, line) for one in each)


def _whole(tick: object) -> int:
    if isinstance(tick, bool) or not isinstance(tick, SupportsIndex):
        raise TickError("tick", tick, "wrong_type", "must be a whole number")
    return operator.index(tick)


def _tick(line: Timeline | None, row: object) -> int:
    if line is None or isinstance(row, bool) or not isinstance(row, int) or not 0 <= row < line.stop:
        raise TickError("row", row, "no_such_row", "the game has no such row")
    return int(line.tick[row])


class MarksFile:
    """A small JSON file with the marks of games, that is written anew whenever one changes.

    Parameters
    ----------
    path : path
        Beside the notebook, say; it need not be there yet.

    Examples
    --------
    >>> import tempfile
    >>> file = MarksFile(tempfile.mkdtemp() + "/marks.json")
    >>> file.save({"g": (ChartMark(40, "here"),)})
    >>> file.load()
    {'g': (ChartMark(tick=40, label='here', colour=None, shape='flag', price=None, row=None),)}
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = of_user(path, StoreUnwritable)

    def load(self) -> dict[str, tuple[ChartMark, ...]]:
        """Return the marks by game; raise `TickError` when the file holds something else."""
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise TickError("marks", str(self.path), "not_json", f"is no file of marks: {error}") from None
        try:
            return {game: tuple(ChartMark(**one) for one in marks) for game, marks in found.items()}
        except (AttributeError, TypeError) as error:
            raise TickError("marks", str(self.path), "wrong_type", f"is no file of marks: {error}") from None

    def save(self, marks: Mapping[str, Iterable[ChartMark]]) -> None:
        """Write the marks of all games."""
        text = {game: [_fields(mark) for mark in found] for game, found in sorted(marks.items()) if found}
        with written_aside(self.path.parent, self.path.name) as aside:
            aside.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
            publish(aside, self.path)


def _fields(mark: ChartMark) -> dict[str, Any]:
    """Return the fields of a mark that say something."""
    usual = ChartMark(mark.tick)
    names = [
        name for name in mark.__dataclass_fields__ if name == "tick" or getattr(mark, name) != getattr(usual, name)
    ]
    return {name: getattr(mark, name) for name in names}
