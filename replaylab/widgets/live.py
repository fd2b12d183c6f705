"""Live: a feed in a notebook cell; it is kept alive and recorded in the background, and shown in the player."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from replaylab.feeds.base import Token
from replaylab.keywords import options_of
from replaylab.playback.engine import ReplayEngine
from replaylab.recording.recorder import Recorder
from replaylab.sessions.opening import LiveSessions, open_session, open_sessions
from replaylab.sessions.session import LiveSession
from replaylab.storage.store import Store

if TYPE_CHECKING:
    from replaylab.recording.receipt import RecordingReport
    from replaylab.widgets.live_view import LiveView
    from replaylab.widgets.player import ReplayPlayer


class Live(LiveSession):
    """A live feed in a notebook: a session whose cell shows the player of the game as it happens.

    Attributes
    ----------
    engine : ReplayEngine
        Follows the feed from when it is first asked for, with what was kept before.
    player : ReplayPlayer
        Shows the engine, how the feed is, and every gap with its cause; made when it is first asked for.
    """

    _shown: LiveView | None = None

    @property
    def engine(self) -> ReplayEngine:
        """What the player shows: the live game."""
        return self._view.engine

    @property
    def player(self) -> ReplayPlayer:
        """What a cell shows; there may be no tick yet."""
        return self._view.player

    @property
    def _view(self) -> LiveView:
        if self._shown is None:
            from replaylab.widgets.live_view import LiveView

            self._shown = LiveView(self)
        return self._shown

    def stop(self, timeout: float | None = 30.0) -> RecordingReport | None:
        """Close the feed, as `LiveSession.stop` does; the player stays, and says that it has ended."""
        report = super().stop(timeout)
        if self._shown is not None:
            self._shown.look_soon()
        return report

    def _ipython_display_(self, **options: Any) -> None:
        self.player._ipython_display_(**options)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.player._repr_mimebundle_(**kwargs)


@overload
def live(  # type: ignore[overload-overlap] # a str is a sequence of str, too
    url: str,
    to: str | os.PathLike[str] | Store | Recorder | None = None,
    *,
    token: Token = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    ca: str | Path | None = None,
    trades: bool = False,
    speed: float = 1.0,
) -> Live: ...
@overload
def live(
    url: Sequence[str],
    to: str | os.PathLike[str] | Store | Recorder | None = None,
    *,
    token: Token = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    ca: str | Path | None = None,
    trades: bool = False,
    speed: float = 1.0,
) -> LiveSessions: ...
@options_of("rl.live")
def live(
    url: str | Sequence[str],
    to: str | os.PathLike[str] | Store | Recorder | None = None,
    *,
    token: Token = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    ca: str | Path | None = None,
    trades: bool = False,
    speed: float = 1.0,
) -> Live | LiveSessions:
    """Show a live feed as it happens, and record it; returns at once, and goes on between cells until it is stopped.

    Parameters
    ----------
    url : str or sequence of str
        Where ticks come from, as in `open_feed`; of several, all share one thread, one recorder and one table.
    to : path, Store or Recorder, optional
        Where to record. Without it the newest ticks are kept in memory: `save` writes them, `record` goes on from them.
    token, headers, query, ca, trades, speed
        As in `open_feed`; a token function is called at each connection.

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
    options: dict[str, Any] = {
        "token": token, "headers": headers, "query": query, "ca": ca, "trades": trades, "speed": speed,
    }  # fmt: skip
    if isinstance(url, str):
        return open_session(Live, url, to, **options).start()
    return open_sessions(Live, url, to, **options).start()
