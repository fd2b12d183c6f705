"""Acts: what an operator may do from the dashboard, one job at a time, each of them logged with its owner."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, cast

from replaylab.dashboards.view import Verified
from replaylab.errors import ReplayLabError
from replaylab.storage.compact import compact
from replaylab.storage.store import Store
from replaylab.watching.request import ACTS, Act, ask
from replaylab.watching.status import status

JOBS: Final = ("compact", "verify")
_log = logging.getLogger("replaylab.dashboard")


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked for last: its name, who asked, whether it runs, and how it ended."""

    act: str
    subject: str
    running: bool
    ok: bool = True
    said: str = ""
    seconds: float = 0.0

    def shown(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {name: getattr(self, name) for name in ("act", "running", "ok", "said", "seconds")}


class Acts:
    """The acts of one store.

    Parameters
    ----------
    store : Store
        A store of this machine.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.last: Job | None = None
        self.verified: Verified | None = None
        self._lock = threading.Lock()

    def do(self, act: str, run: str | None, subject: str) -> str:
        """Begin an act; return what was begun, in one sentence.

        Raises
        ------
        ValueError
            When there is no such act or run, or a job runs already.
        """
        if act in ACTS:
            return self._ask(cast("Act", act), run, subject)
        jobs: dict[str, Callable[[], tuple[bool, str]]] = {"compact": self._compact, "verify": self._verify}
        if act not in jobs:
            raise ValueError(f"act={act!r}: must be one of {', '.join((*ACTS, *JOBS))}")
        with self._lock:
            if self.last is not None and self.last.running:
                raise ValueError(f"{self.last.act} is still running; wait until it has ended")
            self.last = Job(act, subject, running=True)
        self._logged(act, None, subject)
        threading.Thread(target=self._run, args=(act, subject, jobs[act]), name=f"replaylab-{act}", daemon=True).start()
        return f"{act} has begun"

    def _ask(self, act: Act, run: str | None, subject: str) -> str:
        if run not in {one.run for one in status(self.store).live}:
            raise ValueError(f"run={run!r}: no recorder of that name lives")
        assert run is not None  # noqa: S101 it is one of the names
        ask(self.store.path, run, act)
        self._logged(act, run, subject)
        return f"the recorder was asked to {act}; its next status shows it"

    def _run(self, act: str, subject: str, job: Callable[[], tuple[bool, str]]) -> None:
        begun = time.monotonic()
        try:
            ok, said = job()
        except (ReplayLabError, OSError) as error:
            ok, said = False, str(error)
        seconds = round(time.monotonic() - begun, 1)
        self.last = Job(act, subject, running=False, ok=ok, said=said, seconds=seconds)
        _log.info(
            "dashboard: %s of %s ended after %.1f s: %s",
            act,
            self.store.path,
            seconds,
            said,
            extra={"event": "act_ended", "act": act, "ok": ok},
        )

    def _compact(self) -> tuple[bool, str]:
        return True, str(compact(self.store, progress=False)).splitlines()[0]

    def _verify(self) -> tuple[bool, str]:
        found = self.store.verify()
        self.verified = Verified(datetime.now(UTC), (*found.problems, *found.missing))
        return found.ok, str(found).splitlines()[0]

    def _logged(self, act: str, run: str | None, subject: str) -> None:
        _log.warning(
            "dashboard: %s asked for %s of %s",
            subject,
            act,
            run or self.store.path,
            extra={"event": "act", "act": act, "subject": subject, "run": run},
        )
