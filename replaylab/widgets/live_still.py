"""LiveStill: what a saved notebook keeps of a live game: a picture of what was last there, and a line of text."""

from __future__ import annotations

import base64
import html
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from replaylab.playback.stream import Stream
from replaylab.playback.timeline import Timeline
from replaylab.widgets.cell_output import plain, renew, show
from replaylab.widgets.fallback import load_pictures, picture
from replaylab.widgets.payload import StoredPayload

if TYPE_CHECKING:
    from replaylab.playback.engine import ReplayEngine

EVERY_SECONDS: Final = 30.0  # between two pictures of a feed that goes on
DRAWN_ROWS: Final = 20_000  # at most, the newest: a ring may be of any size


def still(stream: Stream | None, words: str, player: str, *, log: bool = False) -> str:
    """Return HTML that stands in for the player of a live game: a picture of the rows that are kept, and `words`.

    Parameters
    ----------
    stream : Stream, optional
        The live game; without a row of it the words stand alone. At most `DRAWN_ROWS` are drawn, the newest.
    words : str
        A line of text.
    player : str
        Id of the player in the same cell: the HTML is hidden as long as that one shows.
    log : bool
        Logarithmic price axis.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> stream = Stream("g", 100)
    >>> _ = stream.push(Tick(game_id="g", tick=0, timestamp="2031-01-02T03:04:05", price="1", active=True))
    >>> "g: 1 row, 0.0 s, peak 1 at tick 0, no rug" in still(stream, "no kernel", "")
    True
    """
    table = None if stream is None else stream.ring.to_table(DRAWN_ROWS)
    if stream is None or table is None or not table.num_rows:
        return plain(html.escape(words, quote=False), player)
    payload = StoredPayload(Timeline(table))
    summary = payload.summary if len(payload) == stream.stop else f"{payload.summary}; the newest of {stream.stop:,}"
    drawn = base64.b64encode(picture(payload, log=log)).decode()
    return plain(
        f'<div class="rlab-live-still"><img alt="{html.escape(f"Price chart of {summary}")}" '
        f'style="max-width:100%;background:#fff" src="data:image/png;base64,{drawn}">'
        f"<div>{html.escape(summary, quote=False)}</div></div>{html.escape(words, quote=False)}",
        player,
    )


class LiveStill:
    """What stands in the cell of a player for a live game, and is brought up to date as the game goes on.

    Parameters
    ----------
    engine : ReplayEngine
        Holds the live game.
    text : str
        Of the player.
    make : callable
        Returns what stands in for the player now, by media type.
    """

    def __init__(self, engine: ReplayEngine, text: str, make: Callable[[], Mapping[str, str]]) -> None:
        self._engine = engine
        self._text = text
        self._make = make
        self._id = uuid4().hex
        self._shown: tuple[str, int] | None = None  # game and rows of the picture
        self._next_seconds = 0.0
        self._loads: threading.Thread | None = None

    def show(self, bundle: object) -> None:
        """Show the player, and in the same cell what stands in for it."""
        if self._loads is None:  # a second or two, in which the event loop would show no tick
            self._loads = threading.Thread(target=load_pictures, name="replaylab-pictures", daemon=True)
            self._loads.start()
        self._note()
        show(bundle, self._make(), self._text, self._id)

    def renew(self, *, over: bool) -> None:
        """Draw what is there now, unless it is what was drawn last, or was drawn a moment ago and the feed goes on."""
        if self._rows() in {None, self._shown} or (not over and time.monotonic() < self._next_seconds):
            return
        if self._loads is not None and self._loads.is_alive() and not over:
            return
        self._note()
        renew(self._make(), self._text, self._id)

    def _note(self) -> None:
        self._shown = self._rows()
        if self._shown is not None:
            self._next_seconds = time.monotonic() + EVERY_SECONDS

    def _rows(self) -> tuple[str, int] | None:
        stream = self._engine.stream
        return None if stream is None or not stream.stop else (stream.game_id, stream.stop)
