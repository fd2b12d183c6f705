"""Alerts: each change of state of a recorder and of the feeds that it records is queued by the one who makes it.

So a state that lasts a moment is reported as well. A thread apart from all others takes the queue four times a second,
and looks by itself at what changes with time alone.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from replaylab.recording.state import State
from replaylab.recording.status import status_of
from replaylab.watching.alert import Alert, Delivery, Target

LOOK_SECONDS: Final = 0.25
END_SECONDS: Final = 3.0  # that the end of a recording waits for its last alert
RECORDER: Final = "recorder"
QUEUED: Final = 1_000  # changes between two looks; the oldest give way


class _Change(NamedTuple):
    """What a recorder or a feed says of itself, and when."""

    subject: str
    state: str
    verdict: str
    reasons: tuple[str, ...]
    at: datetime


class Alerts:
    """The alerts of one recorder. With no target there is no thread.

    Parameters
    ----------
    state : State
        Shared with the writer.
    game_id : callable
        Returns the game that is being recorded.
    targets : sequence of callable or Webhook
        What is called.
    """

    def __init__(self, state: State, targets: Sequence[Target]) -> None:
        self.state = state
        run = state.run[-12:]
        self.deliveries = [Delivery(target, f"{run}-{number}") for number, target in enumerate(targets)]
        self._seen: dict[str, tuple[str, str]] = {RECORDER: ("recording", "healthy")}  # by the thread that delivers
        self._noted = dict(self._seen)  # by those who queue
        self._changes: deque[_Change] = deque(maxlen=QUEUED)
        self._noting = threading.Lock()  # held while a state is read and queued, so that none is queued late
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        if targets:
            state.report_changes(self.note_recorder, self.note_feed)
            self._thread = threading.Thread(target=self._run, name=f"replaylab-alerts-{run}", daemon=True)
            self._thread.start()

    def counts(self) -> dict[str, int]:
        """Return how many alerts were sent, wait, have failed, and gave way to newer ones; empty without a target."""
        names = ("sent", "waiting", "failed", "dropped")
        return {name: sum(getattr(one, name) for one in self.deliveries) for name in names} if self.deliveries else {}

    def end(self) -> None:
        """Report the last state, and wait a little for it to arrive."""
        if self._thread is None:
            return
        self._ending.set()
        self._thread.join()
        self._look()
        for delivery in self.deliveries:
            delivery.end(END_SECONDS)

    def _run(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            self._look()

    def note_recorder(self) -> None:
        """Queue the state of the recorder when it is another one; called by the one who has changed it."""
        with self._noting:
            status = status_of(self.state, None)
            self._note(RECORDER, status.state, status.verdict, status.reasons)

    def note_feed(self, feed: Callable[[], Mapping[str, Any] | None]) -> None:
        """Queue the state of a feed when it is another one; called by the one who has changed it."""
        with self._noting:
            said = feed()
            if said is not None:
                self._note(str(said["feed"]), str(said["state"]), str(said["verdict"]), tuple(said.get("reasons", ())))

    def _note(self, subject: str, state: str, verdict: str, reasons: tuple[str, ...]) -> None:
        if self._noted.get(subject) != (state, verdict):
            self._noted[subject] = (state, verdict)
            self._changes.append(_Change(subject, state, verdict, reasons, self.state.environment.now()))

    def _look(self) -> None:
        """Report what has changed since the last look."""
        self.note_recorder()
        for feed in self.state.feeds:
            self.note_feed(feed)
        while self._changes:
            self._report(self._changes.popleft())

    def _report(self, change: _Change) -> None:
        before = self._seen.get(change.subject)
        self._seen[change.subject] = (change.state, change.verdict)
        if before is None or before == (change.state, change.verdict):
            return
        place = self.state.run, str(self.state.root)
        alert = Alert(change.subject, before[0], change.state, change.verdict, change.reasons, change.at, *place)
        for delivery in self.deliveries:
            delivery.add(alert)
