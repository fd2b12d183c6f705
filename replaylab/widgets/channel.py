"""Channel: the messages between a player and its pages. The page that was used last leads; the others only watch."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from replaylab.widgets.bundle import script
from replaylab.widgets.messages import (
    Advance,
    Blind,
    Limits,
    MarkGone,
    MarkMade,
    Message,
    Pick,
    Ready,
    RowRange,
    Script,
    Shown,
    State,
    Want,
    check_limits,
    read_message,
)
from replaylab.widgets.row_delivery import RowDelivery

_log: Final = logging.getLogger("replaylab.widgets")


class Player(Protocol):
    """What a channel needs of the player."""

    feed: dict[str, Any] | None  # how the feed of a live game is, in words

    def opening(self) -> tuple[dict[str, Any], list[memoryview]] | None:
        """Return the message that opens the game in a page, and its bytes; None while there is no game."""

    def limits(self, gen: int) -> Limits:
        """Return what messages of pages have to stay within now."""

    def chunk(self, name: str, number: int) -> list[memoryview]:
        """Return the bytes of one chunk of the rows called `name`; none when another game is shown now."""

    def arrive(self, row: int, reason: str) -> bool:
        """Move the engine to a row that a page showed; False leaves out the rest of the range."""

    def take_state(self, state: State) -> None:
        """Take over what a user changed in a page."""

    def pick(self, number: int) -> bool:
        """Show another game; False when it cannot be played."""

    def play_next(self, number: int) -> bool:
        """Play a game, or the first after it that can be played; False when there is none."""

    def advance(self, rows: int) -> None:
        """Show some more rows of a game whose future is hidden."""

    def set_blind(self, *, on: bool) -> None:
        """Hide what lies ahead from the pages, or show it."""

    def add_mark(self, mark: MarkMade) -> None:
        """Put a mark on the chart."""

    def remove_marks(self, row: int) -> None:
        """Remove the marks at a row."""

    def notify(self, *, now: bool) -> None:
        """Update the traits that observers listen to; without `now`, at most every tenth of a second."""


class Channel:
    """Sends to the pages of one player, and acts on what they send.

    Parameters
    ----------
    send : callable
        Sends content and buffers to every page.
    player : Player
        Whose pages they are.

    Attributes
    ----------
    dropped : int
        Messages that were not acted on because they were malformed, or named rows, speeds or games that do not exist.
    """

    def __init__(self, send: Callable[[Any, Sequence[Any]], Any], player: Player) -> None:
        self._send = send
        self._player = player
        self._leader: str | None = None
        self._gen = 0  # of the kernel's last jump
        self._greatest = 0  # of any page; the kernel's next jump is beyond it
        self.dropped = 0
        self.delivery = RowDelivery(self._arrive, lambda over: player.notify(now=over))

    def post(self, kind: str, buffers: Sequence[memoryview] = (), **content: Any) -> None:
        """Send a message to every page."""
        self._send({"kind": kind, **content}, list(buffers))

    def open(self, client: str | None = None) -> None:
        """Show the game, from where the player is: in one page that asked, else in all of them."""
        if client is None:
            self._jump()
        opening = self._player.opening()
        if opening is None:
            self.post("trouble", text="nothing to play yet", feed=self._player.feed)
            return
        content, buffers = opening
        content["state"] |= {"gen": self._gen}
        self.post("open", buffers, **content, to=client)

    def seek(self, row: int) -> None:
        """Send the pages to a row; what they showed before that is late, and left out."""
        self._jump()
        self.post("seek", row=row, gen=self._gen)

    def _jump(self) -> None:
        self._gen = self._greatest = max(self._gen, self._greatest) + 1

    def receive(self, content: object) -> None:
        """Act on a message of a page, from any thread; one that is malformed or out of bounds is counted and dropped.

        The report of an honest page is acknowledged even then, so that the page sends the next one.
        """
        try:
            message = read_message(content)
        except ValueError as error:
            self._drop(error)
            return
        try:
            check_limits(message, self._player.limits(self._gen))
        except ValueError as error:
            self._drop(error)
            if isinstance(message, Shown):
                self._deliver(message, ())
            return
        self._act(message)

    def _act(self, message: Message) -> None:
        if isinstance(message, Shown):
            self._deliver(message, message.items if message.client == self._leader else ())
        elif isinstance(message, Want):
            self.delivery.soon(lambda: self._send_chunk(message))
        elif isinstance(message, Script):
            self.delivery.soon(lambda: self.post("script", [memoryview(script())]))
        else:
            self._leader = message.client
            if isinstance(message, State):
                self._greatest = max(self._greatest, message.gen)
            self.delivery.soon(lambda: self._obey(message))

    def _obey(self, message: Ready | Pick | Advance | Blind | MarkMade | MarkGone | State) -> None:
        if isinstance(message, Ready):
            self.open(message.client)
        elif isinstance(message, Pick):
            self._player.play_next(message.number) if message.play else self._player.pick(message.number)
        elif isinstance(message, Advance):
            self._player.advance(message.rows)
        elif isinstance(message, Blind):
            self._player.set_blind(on=message.on)
        elif isinstance(message, MarkMade):
            self._player.add_mark(message)
        elif isinstance(message, MarkGone):
            self._player.remove_marks(message.row)
        elif message.gen >= self._gen:
            self._player.take_state(message)

    def _send_chunk(self, want: Want) -> None:
        buffers = self._player.chunk(want.id, want.number)
        if buffers:
            self.post("chunk", buffers, id=want.id, number=want.number)

    def _deliver(self, message: Shown, items: Sequence[RowRange]) -> None:
        self._greatest = max(self._greatest, *(item.gen for item in items), 0)
        self.delivery.put(items, lambda: self.post("ack", number=message.number, to=message.client))

    def _arrive(self, row: int, item: RowRange) -> bool:
        return item.gen >= self._gen and self._player.arrive(row, item.reason)

    def _drop(self, error: ValueError) -> None:
        """Count a message that is not acted on; the log says so for the 1st, 10th, 100th ..."""
        self.dropped += 1
        if self.dropped == 10 ** (len(str(self.dropped)) - 1):
            _log.warning("a message of a page was dropped (%d so far): %s", self.dropped, error)

    def close(self) -> None:
        """Act on nothing more."""
        self.delivery.close()


def from_page(speed: float | None) -> float:
    """Return a speed as the kernel writes it: a page says null for as fast as possible."""
    return math.inf if speed is None else float(speed)


def to_page(speed: float) -> float | None:
    """Return a speed as JSON can write it."""
    return None if speed == math.inf else speed
