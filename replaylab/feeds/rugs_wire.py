"""The shapes of the game's events, with only the fields that are wanted: what is not named here is never built.

Decoding into these types is also the filter of personal data: names, ids, chat and leaderboards stay bytes that are
dropped with the frame. Numbers become Decimals from their text.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, TypeVar

import msgspec

from replaylab.errors import FeedMalformed
from replaylab.nesting import too_deep

UPDATE: Final = "gameStateUpdate"
TRADE: Final = "standard/newTrade"


class Fair(msgspec.Struct):
    """What a game commits itself to: the hash before, the seed afterwards."""

    serverSeed: str | None = None  # noqa: N815 the name on the wire
    serverSeedHash: str | None = None  # noqa: N815
    version: str | None = None


class Partial(msgspec.Struct):
    """The newest prices, by their tick as text."""

    values: dict[str, Decimal] = {}  # msgspec makes a new one for each


class Update(msgspec.Struct):
    """One `gameStateUpdate`: a tick, a countdown or a snapshot; what a frame does not tell is None."""

    gameId: str | None = None  # noqa: N815
    tickCount: int | None = None  # noqa: N815
    price: Decimal | None = None
    active: bool | None = None
    rugged: bool | None = None
    cooldownTimer: int | None = None  # noqa: N815
    cooldownPaused: bool | None = None  # noqa: N815
    allowPreRoundBuys: bool | None = None  # noqa: N815
    tradeCount: int | None = None  # noqa: N815
    partialPrices: Partial | None = None  # noqa: N815
    prices: list[Decimal | None] | None = None
    provablyFair: Fair | None = None  # noqa: N815
    gameHistory: msgspec.Raw = msgspec.Raw()  # noqa: N815 read apart: what is wrong in it costs no tick


class Finished(msgspec.Struct):
    """One entry of `gameHistory`: a game that is over, joined by its id."""

    id: str
    prices: list[Decimal | None] | None = None
    provablyFair: Fair | None = None  # noqa: N815
    gameVersion: str | None = None  # noqa: N815


class Trade(msgspec.Struct):
    """One `standard/newTrade`, without who made it."""

    gameId: str  # noqa: N815
    type: str
    price: Decimal
    qty: Decimal | None = None
    amount: Decimal | None = None
    leverage: Decimal | None = None
    tickIndex: int | None = None  # noqa: N815


class Captured(msgspec.Struct):
    """An event as a relay writes it down: `raw_event` lines and raw captures."""

    data: msgspec.Raw
    event_type: str | None = None
    event: str | None = None


_Shape = TypeVar("_Shape")
_UPDATES: Final = msgspec.json.Decoder(Update)
_HISTORIES: Final = msgspec.json.Decoder(list[Finished])
_TRADES: Final = msgspec.json.Decoder(Trade)
_CAPTURES: Final = msgspec.json.Decoder(Captured)
_EVENTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_NAMES: Final = msgspec.json.Decoder(str)
_TOO_DEEP: Final = ("too_deep", "a frame nested too deeply")


def update_of(raw: bytes | msgspec.Raw) -> Update:
    """Return a `gameStateUpdate`; raises `FeedMalformed`."""
    return _decoded(_UPDATES, raw)


def history_of(raw: bytes | msgspec.Raw) -> list[Finished]:
    """Return the finished games of a snapshot; raises `FeedMalformed`."""
    return _decoded(_HISTORIES, raw)


def trade_of(raw: bytes | msgspec.Raw) -> Trade:
    """Return a trade; raises `FeedMalformed`."""
    return _decoded(_TRADES, raw)


def captured_of(raw: bytes) -> Captured:
    """Return an event written down by a relay; raises `FeedMalformed`."""
    return _decoded(_CAPTURES, raw)


def event_of(raw: bytes) -> tuple[str, list[msgspec.Raw]]:
    """Return the name of a Socket.IO event and its arguments, undecoded; raises `FeedMalformed`.

    Examples
    --------
    >>> event_of(b'["tick", {"n": 1}]')[0]
    'tick'
    """
    found = _decoded(_EVENTS, raw)
    if not found:
        raise FeedMalformed("no_event", "an event without a name")
    return _decoded(_NAMES, found[0]), found[1:]


def _decoded(decoder: msgspec.json.Decoder[_Shape], raw: bytes | msgspec.Raw) -> _Shape:
    problem: tuple[str, str]
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        problem = "wrong_type", str(error)  # names the path, never the value
    except RecursionError:
        problem = _TOO_DEEP
    except (msgspec.MsgspecError, UnicodeDecodeError, ArithmeticError, ValueError):
        deep = too_deep(bytes(raw).decode(errors="replace"))
        problem = _TOO_DEEP if deep else ("not_json", "a frame that is not JSON")
    raise FeedMalformed(*problem)


def plain(number: Decimal | None) -> Any:
    """Return a finite number, None for none; raises `FeedMalformed`."""
    if number is not None and not number.is_finite():
        raise FeedMalformed("not_finite", "a number that is not finite")
    return number
