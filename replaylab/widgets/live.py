"""Live: a feed in a notebook cell; it is kept alive and recorded in the background, and shown in the player."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from typing import Any, overload

from replaylab.playback.engine import ReplayEngine
from replaylab.recording.recorder import Recorder
from replaylab.sessions.opening import LiveSessions, open_session, open_sessions
from replaylab.sessions.session import LiveSession
from replaylab.storage.store import Store
from replaylab.tick import Tick


class Live(LiveSession):
    """A live feed in a notebook: a session whose cell shows the player of the game as it happens.

    Attributes
    ----------
    engine : ReplayEngine
        Follows the feed from when it is first asked for, with what was kept before.
    """

    _engine: ReplayEngine | None = None
    _player: Any = None

    @property
    def engine(self) -> ReplayEngine:
        """What the player shows: the live game."""
        if self._engine is None:
            engine = self._engine = ReplayEngine()
            for message in self.kept:
                if isinstance(message, Tick):
                    engine.push(message)
            self._subscribers.add("tick", engine.push)
        return self._engine

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        from replaylab.widgets.player import ReplayPlayer

        engine = self.engine
        if engine.game_id is None:  # nothing has come that could be shown
            status = self.status()
            text = f"{status.feed}: {status.state}" + (f" ({'; '.join(status.reasons)})" if status.reasons else "")
            return {"text/plain": repr(self), "text/html": f"<p>{escape(text)}</p>"}
        if self._player is None:
            self._player = ReplayPlayer(engine)
        return self._player._repr_mimebundle_(**kwargs)


@overload
def live(url: str, to: str | os.PathLike[str] | Store | Recorder | None = None, **options: Any) -> Live: ...
@overload
def live(
    url: Sequence[str], to: str | os.PathLike[str] | Store | Recorder | None = None, **options: Any
) -> LiveSessions: ...
def live(
    url: str | Sequence[str], to: str | os.PathLike[str] | Store | Recorder | None = None, **options: Any
) -> Live | LiveSessions:
    """Show a live feed as it happens, and record it; returns at once, and goes on between cells until it is stopped.

    Parameters
    ----------
    url : str or sequence of str
        Where ticks come from, as in `open_feed`; of several, all share one thread, one recorder and one table.
    to : path, Store or Recorder, optional
        Where to record. Without it the newest ticks are kept in memory: `save` writes them, `record` goes on from them.
    **options
        `token`, `headers`, `query`, `ca`, `trades` and `speed`, as in `open_feed`; a token function is called at each
        connection.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> feed = rl.live("simulated:4", to=folder, speed=float("inf"))
    >>> feed.wait("closed", timeout=60)
    >>> _ = feed.stop()
    >>> len(rl.open_store(folder).gaps())
    0
    """
    if isinstance(url, str):
        return open_session(Live, url, to, **options).start()
    return open_sessions(Live, url, to, **options).start()
