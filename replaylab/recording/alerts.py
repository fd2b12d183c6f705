"""Alerts: looks at a recorder four times a second, apart from its other threads, and reports each change of state."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from replaylab.recording.state import State
from replaylab.recording.status import status_of
from replaylab.watching.alert import Alert, Delivery, Target

LOOK_SECONDS: Final = 0.25
END_SECONDS: Final = 3.0  # that the end of a recording waits for its last alert
RECORDER: Final = "recorder"


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
        self._seen: dict[str, tuple[str, str]] = {RECORDER: ("recording", "healthy")}
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        if targets:
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

    def _look(self) -> None:
        """Report what has changed since the last look."""
        status = status_of(self.state, None)
        self._compare(RECORDER, status.state, status.verdict, status.reasons)
        for feed in self.state.feed_states():
            self._compare(str(feed["feed"]), str(feed["state"]), str(feed["verdict"]), tuple(feed.get("reasons", ())))

    def _compare(self, subject: str, state: str, verdict: str, reasons: tuple[str, ...]) -> None:
        before = self._seen.get(subject)
        self._seen[subject] = (state, verdict)
        if before is None or before == (state, verdict):
            return
        now, run, store = self.state.environment.now(), self.state.run, str(self.state.root)
        alert = Alert(subject, before[0], state, verdict, reasons, now, run, store)
        for delivery in self.deliveries:
            delivery.add(alert)
