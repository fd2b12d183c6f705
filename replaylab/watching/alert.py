"""Alert: a change of state of a recorder, or of a feed that it records, and its delivery to a callable or a webhook.

Each target has a thread and a queue of its own, so one that hangs delays neither the recorder nor the other targets.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from replaylab.watching.webhook import Refused, Webhook

QUEUED: Final = 100  # alerts that wait for a target; the oldest gives way to the newest
_log = logging.getLogger("replaylab.alerts")


@dataclass(frozen=True, slots=True)
class Alert:
    """A change of state.

    Attributes
    ----------
    subject : str
        ``recorder``, or the name of a feed.
    before, state : str
        The states, such as ``recording``, ``paused``, ``failed``, ``closed``.
    verdict, reasons : str, tuple of str
        The whole in a word, and why.
    at : datetime
        When it was noticed (UTC).
    run, store : str
        The run, and the folder of the store.

    Examples
    --------
    >>> from datetime import UTC
    >>> at = datetime(2031, 1, 2, tzinfo=UTC)
    >>> print(Alert("recorder", "recording", "paused", "degraded", ("refusing ticks: disk_full",), at, "run", "store"))
    recorder: recording -> paused (degraded): refusing ticks: disk_full
    """

    subject: str
    before: str
    state: str
    verdict: str
    reasons: tuple[str, ...]
    at: datetime
    run: str
    store: str

    def __str__(self) -> str:
        why = f": {'; '.join(self.reasons)}" if self.reasons else ""
        return f"{self.subject}: {self.before} -> {self.state} ({self.verdict}){why}"

    def to_json(self) -> bytes:
        """Return it as JSON, which a webhook sends."""
        found = {"type": "replaylab_alert", "format": 1, **asdict(self), "at": self.at.isoformat()}
        return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace")


Target: TypeAlias = Callable[[Alert], object] | Webhook


class Delivery:
    """Brings alerts to one target, in their order, on a thread of its own; never blocks the one that adds them."""

    def __init__(self, target: Target, name: str) -> None:
        self.target = target
        self.sent = self.failed = self.dropped = 0
        self._waiting: deque[Alert] = deque()
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._busy = False
        self._thread = threading.Thread(target=self._run, name=f"replaylab-alert-{name}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Alerts that are not delivered yet."""
        return len(self._waiting) + self._busy

    def add(self, alert: Alert) -> None:
        """Queue an alert."""
        with self._changed:
            if len(self._waiting) >= QUEUED:
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(alert)
            self._changed.notify()

    def end(self, seconds: float) -> None:
        """Deliver what waits, for so long at most; then nothing more is tried."""
        with self._changed:
            self._changed.wait_for(lambda: not self.waiting, seconds)
            self._ending.set()
            self._changed.notify_all()
        self._thread.join(timeout=0.1)  # one that hangs in a target is left behind, a daemon

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ending.is_set())
                if self._ending.is_set():
                    return
                alert, self._busy = self._waiting.popleft(), True
            done = self._deliver(alert)
            with self._changed:
                self._busy = False
                self.sent += done
                self.failed += not done
                self._changed.notify_all()

    def _deliver(self, alert: Alert) -> bool:
        try:
            if isinstance(self.target, Webhook):
                self.target.send(alert.to_json(), self._ending)
            else:
                self.target(alert)
        except Refused as error:
            _log.error("alert not delivered to %r: %s", self.target, error, extra=_fields("alert_refused", alert))
            return False
        except Exception:  # noqa: BLE001 whatever a target does, the recording and the next alert go on
            _log.exception("alert not delivered", extra=_fields("alert_failed", alert))
            return False
        _log.info("alert delivered: %s", alert, extra=_fields("alerted", alert))
        return True


def _fields(event: str, alert: Alert) -> dict[str, Any]:
    return {"event": event, "recorder_run": alert.run, "subject": alert.subject, "state": alert.state}
