"""Tape: the live ticks of a game seen so far, and no later one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from typing import Any, Final, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from replaylab.errors import LookAhead
from replaylab.plural import count_of
from replaylab.tick import PRICE_SCALE, trimmed

_ROOM: Final = 256  # ticks at first, whatever the length of the game: not even that can be seen
_EXACT: Final = Context(prec=60)

# Exact form of a price: the number of its 24th decimals, the Decimal itself, or None when the double is all there is.
Word = int | Decimal | None


class Quote(NamedTuple):
    """One live tick that was seen."""

    tick: int
    price: Decimal


class Tape(Sequence[Quote]):
    """What a strategy sees: the live ticks of one game up to now, each once and in order, with exact prices.

    It is a sequence of `Quote`, as `replaylab.playback.view.View` is one of steps, and far quicker: it holds only what
    was printed on it, so nothing later can be found in it, whichever way one looks.

    Parameters
    ----------
    game_id : str
        The game.

    Attributes
    ----------
    now : int
        Number of the newest tick; -1 before the first.
    value : float
        Its price as a double; NaN before the first.

    Raises
    ------
    LookAhead
        When a tick beyond the newest is asked for (it is an `IndexError`).

    Examples
    --------
    >>> tape = Tape("g")
    >>> for tick, price in enumerate((1.0, 1.02, 0.98)):
    ...     tape.push(tick, price)
    >>> tape.now, tape.price, tape[-2].price, tape.floats.max()
    (2, Decimal('0.98'), Decimal('1.02'), np.float64(1.02))
    >>> tape[3]
    Traceback (most recent call last):
    ...
    replaylab.errors.LookAhead: tick 3 of the tape is not printed yet: 3 were seen
    """

    __slots__ = ("_floats", "_floats_at", "_seen", "_tick", "_tick_at", "_words", "game_id", "now", "value")

    def __init__(self, game_id: str) -> None:
        self.game_id = game_id
        self.now = -1
        self.value = float("nan")
        self._seen = 0
        self._words: list[Word] = []
        self._tick = np.full(_ROOM, -1, np.int64)
        self._floats = np.full(_ROOM, np.nan)
        self._tick_at: Any = memoryview(self._tick)  # type: ignore[arg-type]  # plain numbers go in and out quicker
        self._floats_at: Any = memoryview(self._floats)  # type: ignore[arg-type]

    def push(self, tick: int, value: float, word: Word = None) -> None:
        """Print a tick: its number, its price as a double, and its exact form; called by the runner of the strategy."""
        seen = self._seen
        if seen == len(self._tick):
            self._make_room(2 * seen)
        self._tick_at[seen] = self.now = tick
        self._floats_at[seen] = self.value = value
        self._words.append(word)
        self._seen = seen + 1

    def _make_room(self, ticks: int) -> None:
        """Continue in larger arrays; arrays handed out before stay unchanged."""
        more = ticks - len(self._tick)
        self._tick = np.concatenate([self._tick, np.full(more, -1)])
        self._floats = np.concatenate([self._floats, np.full(more, np.nan)])
        self._tick_at, self._floats_at = memoryview(self._tick), memoryview(self._floats)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return self._seen

    def __repr__(self) -> str:
        return f"Tape({self.game_id!r}, {count_of(self._seen, 'tick')})"

    @property
    def price(self) -> Decimal:
        """Price of the newest tick, exactly as recorded."""
        return self._price(self._seen - 1)

    def _price(self, place: int) -> Decimal:
        return exact_price(self._floats_at[place], self._words[place])

    @overload
    def __getitem__(self, index: int) -> Quote: ...
    @overload
    def __getitem__(self, index: slice) -> list[Quote]: ...
    def __getitem__(self, index: int | slice) -> Quote | list[Quote]:
        if isinstance(index, slice):
            for edge in (index.start, index.stop):
                if edge is not None and edge > self._seen:
                    raise LookAhead(f"tick {edge - 1} of the tape is not printed yet: {self._seen} were seen")
            return [self._quote(place) for place in range(*index.indices(self._seen))]
        place = index + self._seen if index < 0 else index
        if place >= self._seen:
            raise LookAhead(f"tick {index} of the tape is not printed yet: {self._seen} were seen")
        if place < 0:
            raise IndexError(f"tick {index} lies before the tape: {self._seen} were seen")
        return self._quote(place)

    def _quote(self, place: int) -> Quote:
        return Quote(self._tick_at[place], self._price(place))

    def __iter__(self) -> Iterator[Quote]:
        return (self._quote(place) for place in range(self._seen))

    @property
    def tick(self) -> NDArray[np.int64]:
        """Tick numbers seen so far; read-only, and it stays what it was when more are printed."""
        return _frozen(self._tick[: self._seen])

    @property
    def floats(self) -> NDArray[np.float64]:
        """Prices seen so far as doubles; read-only, and it stays what it was when more are printed."""
        return _frozen(self._floats[: self._seen])


def exact_price(value: float, word: Word) -> Decimal:
    """Return the exact price from its double and its exact form.

    Examples
    --------
    >>> exact_price(1.1, None), exact_price(1.1, 11 * 10**23)
    (Decimal('1.1'), Decimal('1.1'))
    """
    if word is None:
        return Decimal(repr(float(value)))
    return trimmed(_EXACT.scaleb(word, -PRICE_SCALE)) if isinstance(word, int) else word


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    values.flags.writeable = False
    return values
