"""LiveView: the screen of a session: an engine that follows its feed, a player, and how the feed is, in words."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from replaylab.mark import Mark, MarkKind
from replaylab.playback.engine import ReplayEngine
from replaylab.sessions.event import OVER, LiveEvent
from replaylab.sessions.loop import FEEDS
from replaylab.sessions.session import LiveSession
from replaylab.tick import Tick
from replaylab.widgets.inbox import Inbox
from replaylab.widgets.live_notes import status_words
from replaylab.widgets.panels import TRADES, signed
from replaylab.widgets.player import ReplayPlayer

STATUS_SECONDS: Final = 0.5  # between two looks at the recorder
_SEEN_AT_ONCE: Final = frozenset({"state", "gap", "heal"})


class LiveView:
    """Shows a session: ticks in its engine, gaps with their causes, state and recorder.

    Recording does not wait for it: what comes is taken over on the event loop of the notebook, at most twenty times a
    second, and what a busy kernel cannot take is left out of the picture, not of the record.

    Parameters
    ----------
    session : LiveSession
        What is shown.

    Attributes
    ----------
    engine : ReplayEngine
        The live game.
    player : ReplayPlayer
        Shows it.
    """

    def __init__(self, session: LiveSession) -> None:
        self.engine = ReplayEngine()
        self._session = session
        self.player = ReplayPlayer(self.engine)
        self._notes = self.player.notes  # also when the player was closed and the feed goes on
        self._inbox = Inbox(self._take, max(session.capacity, 1_000))
        self._loop = _running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._has_traded = False
        self._follow()
        self.look()

    def _follow(self) -> None:
        """Take what was kept, then what comes: nothing between the two is lost or doubled."""

        async def begin() -> None:
            self._begin()

        if FEEDS.is_here:
            self._begin()
            return
        try:
            FEEDS.submit(begin()).result()
        except RuntimeError:  # no feed runs: nothing can come meanwhile
            self._begin()

    def _begin(self) -> None:
        for message in self._session.kept:
            self._inbox.put(message)
        for kind in ("tick", "gap", "heal", "trade", "state"):
            self._session.on(kind, self._inbox.put)

    def look_soon(self) -> None:
        """Show how the feed is, from any thread."""
        self._inbox.put(None)

    def look(self) -> None:
        """Show how the feed and the recorder are now, and again in a while for as long as it goes on."""
        status = self._session.status()
        self.player.show_feed(status_words(status, self._session.capacity))
        self.player.renew_still(over=status.state in OVER)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._loop is not None and not self._loop.is_closed() and status.state not in OVER:
            self._timer = self._loop.call_later(STATUS_SECONDS, self.look)

    def _take(self, messages: list[Any]) -> None:
        kinds: set[str] = set()
        for message in messages:
            if isinstance(message, Tick):
                self.engine.push(message)
            elif isinstance(message, (Mark, LiveEvent)):
                kind = str(message.kind)
                if self._note(kind, message.game_id, message.detail):
                    kinds.add(kind)
            elif message is None:
                kinds.add("state")
        if MarkKind.TRADE in kinds:
            self._show_trades()
        elif MarkKind.HEAL in kinds:
            self.player.show_notes()
        if kinds & _SEEN_AT_ONCE:
            self.look()

    def _show_trades(self) -> None:
        """Open the panel of trades at the first of them, unless there are panels; then bring it up to date."""
        if not self._has_traded:
            self._has_traded = True
            if not self.player.panels:
                self.player.panels = [TRADES]
        self.player.show_notes()

    def _note(self, kind: str, game_id: str | None, detail: Mapping[str, Any]) -> bool:
        """Note a gap, what healed it, or a trade; return whether that changes what is shown."""
        if kind == MarkKind.TRADE:
            tick, amount = detail.get("tick"), signed(detail)
            if isinstance(tick, int) and amount is not None and game_id:
                self._notes.trade(game_id, tick, amount)
                return True
            return False
        if kind == MarkKind.HEAL:
            return bool(game_id) and self._notes.heal(game_id or "", detail)
        if kind == MarkKind.GAP:
            stream = self.engine.stream
            game = detail.get("next_game_id") or game_id or ""
            self._notes.gap(game, stream.stop if stream is not None and stream.game_id == game else 0, detail)
        return kind in _SEEN_AT_ONCE


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
