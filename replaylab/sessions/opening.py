"""Sessions by address: one feed or many, recorded by one recorder, on one thread."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from replaylab.feeds.opening import open_feed
from replaylab.recording.recorder import Recorder
from replaylab.sessions.lanes import numbered
from replaylab.sessions.session import LiveSession
from replaylab.storage.store import Store
from replaylab.watching.alert import Target

if TYPE_CHECKING:
    import pandas as pd

    from replaylab.recording.receipt import RecordingReport

_Session = TypeVar("_Session", bound=LiveSession)


class LiveSessions(Sequence[LiveSession]):
    """Sessions that run together: one thread, one recorder, one table.

    Examples
    --------
    >>> from replaylab.feeds.simulated import simulated_feed
    >>> sessions = LiveSessions([LiveSession(simulated_feed(games=1, seed=n, pacing="none")) for n in (1, 2)])
    >>> with sessions:
    ...     sessions.wait("closed", timeout=30)
    >>> sessions.table()["gaps"].tolist()
    [0, 0]
    """

    def __init__(self, sessions: Sequence[LiveSession], recorder: Recorder | None = None) -> None:
        self._sessions = list(sessions)
        self._recorder = recorder

    def __getitem__(self, place: Any) -> Any:
        return self._sessions[place]

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[LiveSession]:
        return iter(self._sessions)

    def __repr__(self) -> str:
        return f"LiveSessions({', '.join(map(repr, self._sessions))})"

    def _repr_html_(self) -> str:
        return str(self.table().to_html(index=False))

    def table(self) -> pd.DataFrame:
        """Return one row a feed: their names and states, ticks and gaps, game and verdict."""
        import pandas as pd

        names = ("feed", "state", "ticks", "gaps", "missing", "healed", "game_id", "tick", "verdict")
        found = [session.status() for session in self._sessions]
        return pd.DataFrame([[getattr(one, name) for name in names] for one in found], columns=list(names))

    def gaps(self) -> pd.DataFrame:
        """Return the gaps of all feeds since the start; `feed` says of which."""
        import pandas as pd

        found = [session.gaps().assign(feed=session.feed.name) for session in self._sessions]
        return pd.concat(found, ignore_index=True)

    def start(self) -> Self:
        """Start every session."""
        for session in self._sessions:
            session.start()
        return self

    def wait(self, state: str = "live", timeout: float | None = None) -> None:
        """Wait until every session is in a state; see `LiveSession.wait`."""
        for session in self._sessions:
            session.wait(state, timeout)

    def stop(self) -> RecordingReport | None:
        """Stop every session, and the recorder when it is their own; return its report."""
        for session in self._sessions:
            session.stop()
        return self._recorder.stop() if self._recorder is not None else None

    def __enter__(self) -> Self:
        for session in self._sessions:
            session.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


def open_session(
    kind: type[_Session], url: str, to: str | os.PathLike[str] | Store | Recorder | None = None, **options: Any
) -> _Session:
    """Return a session of an address, not yet started; the options are those of `open_feed`."""
    return kind(open_feed(url, **options), to)


def open_sessions(
    kind: type[_Session],
    urls: Sequence[str],
    to: str | os.PathLike[str] | Store | Recorder | None = None,
    *,
    alerts: Sequence[Target] = (),
    **options: Any,
) -> LiveSessions:
    """Return sessions of addresses, not yet started, that share one recorder; `alerts` are those of a new one."""
    own = None if to is None or isinstance(to, Recorder) else Recorder(to, overflow="refuse", alerts=alerts)
    recorder = cast("Recorder | None", own or to)
    feeds, named = [open_feed(url, **options) for url in urls], Counter[str]()
    for feed in feeds:
        named[feed.name] += 1
        feed.name = numbered(feed.name, named[feed.name])
    return LiveSessions([kind(feed, recorder) for feed in feeds], own)
