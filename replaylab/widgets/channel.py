"""Link: the messages between a player and its pages. Whoever spoke last as a user leads; the others only watch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from replaylab.widgets.row_delivery import Courier, Span


class Player(Protocol):
    """What a link needs of the player."""

    def opening(self) -> tuple[dict[str, Any], list[memoryview]] | None:
        """Give the message that opens the game in a page, and its bytes; None while there is no game."""

    def piece(self, name: str, number: int) -> list[memoryview]:
        """Give the bytes of one chunk of the rows called `name`; none when that game is shown no more."""

    def arrive(self, row: int, reason: str) -> bool:
        """Follow a page to a row; False leaves out the rest."""

    def follow(self, state: Mapping[str, Any]) -> None:
        """Take over what a page says of its state."""

    def pick(self, number: int) -> bool:
        """Show another game; False when it cannot be played."""

    def tell(self, *, now: bool) -> None:
        """Let observers know; without `now` when it is time again."""


class Link:
    """Speaks with the pages of one player.

    Parameters
    ----------
    send : callable
        Sends content and buffers to every page.
    player : Player
        Whose pages they are.
    """

    def __init__(self, send: Callable[[Any, Sequence[Any]], Any], player: Player) -> None:
        self._send = send
        self._player = player
        self._leader: str | None = None
        self._gen = 0
        self.courier = Courier(self._arrive, lambda over: player.tell(now=over))

    def post(self, kind: str, buffers: Sequence[memoryview] = (), **content: Any) -> None:
        """Send a message to every page."""
        self._send({"kind": kind, **content}, list(buffers))

    @property
    def watched(self) -> bool:
        """Whether a page has ever asked."""
        return self._leader is not None

    def open(self, client: str | None = None) -> None:
        """Show the game, from where the player is: in one page that asked, else in all of them."""
        self._gen += client is None
        opening = self._player.opening()
        if opening is None:
            self.post("trouble", text="nothing to play yet")
            return
        content, buffers = opening
        content["state"] |= {"gen": self._gen}
        self.post("open", buffers, **content, to=client)

    def seek(self, row: int) -> None:
        """Send the pages to a row; what they played before is late, and left out."""
        self._gen += 1
        self.post("seek", row=row, gen=self._gen)

    def hear(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """Take a message; from any thread, at any time."""
        del buffers
        kind, client = content.get("kind"), str(content.get("client"))
        if kind == "pos":
            self._played(content, client)
        elif kind in {"ready", "state", "pick"}:
            self._leader = client
            self.courier.soon(lambda: self._act(str(kind), content))
        elif kind == "want":
            self.courier.soon(lambda: self._chunk(content))

    def _act(self, kind: str, content: Mapping[str, Any]) -> None:
        if kind == "ready":
            self.open(str(content["client"]))
        elif kind == "pick":
            self._player.pick(int(content["number"]))
        elif int(content["gen"]) >= self._gen:
            self._player.follow(content)

    def _chunk(self, content: Mapping[str, Any]) -> None:
        name, number = str(content["id"]), int(content["number"])
        buffers = self._player.piece(name, number)
        if buffers:
            self.post("chunk", buffers, id=name, number=number)

    def _played(self, content: Mapping[str, Any], client: str) -> None:
        number = content["number"]
        leads = client == self._leader
        spans = [Span.read(item) for item in content["items"]] if leads else []
        self.courier.put(spans, lambda: self.post("ack", number=number, to=client))

    def _arrive(self, row: int, span: Span) -> bool:
        if span.gen < self._gen:
            return False
        self._gen = span.gen
        return self._player.arrive(row, span.reason)

    def close(self) -> None:
        """Speak no more."""
        self.courier.close()


def from_page(speed: float | None) -> float:
    """Give a speed as the kernel writes it: a page says null for as fast as possible."""
    return math.inf if speed is None else float(speed)


def to_page(speed: float) -> float | None:
    """Give a speed as JSON can write it."""
    return None if speed == math.inf else speed
