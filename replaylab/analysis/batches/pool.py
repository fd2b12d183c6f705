"""Pool of forked worker processes, one part at a time each, so that the part of a dead worker is known.

They are forked, not started anew: a function of a notebook, a lambda or a closure is there already and is never
pickled, and a script needs no ``if __name__ == "__main__"``; Arrow and Python make their locks anew in a fork (but for
those of cached properties, see `_without_locks`), and the child uses no thread of its parent.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Self

import pyarrow as pa

from replaylab.analysis.batches.parts import Part
from replaylab.analysis.batches.task import Outcome, Task, reason_of
from replaylab.worker import Worker


class Forked:
    """Worker processes of this machine; used as a context, at the end of which they are gone.

    Parameters
    ----------
    task : Task
        What to do with each part.
    workers : int
        How many processes at most.
    """

    def __init__(self, task: Task, workers: int) -> None:
        self._task = task
        self._workers = workers
        self._waiting: deque[Part] = deque()
        self._idle: list[Worker] = []
        self._busy: dict[Connection, tuple[Worker, Part]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for worker in [*self._idle, *(worker for worker, _ in self._busy.values())]:
            worker.kill()
            worker.end()

    @property
    def pending(self) -> bool:
        """Whether there is a part whose outcome has not been given."""
        return bool(self._waiting or self._busy)

    def put(self, part: Part) -> None:
        """Add a part."""
        self._waiting.append(part)

    def next(self) -> tuple[Part, Outcome | None, str]:
        """Wait for a part; its outcome is None when its worker died, and the text says how."""
        while self._waiting and len(self._busy) < self._workers:
            self._start(self._waiting.popleft())
        connection = next(one for one in wait(list(self._busy)) if isinstance(one, Connection))
        worker, part = self._busy.pop(connection)
        try:
            outcome: Outcome = connection.recv()
        except (EOFError, ConnectionError):
            return part, None, worker.end()
        self._idle.append(worker)
        return part, outcome, ""

    def _start(self, part: Part) -> None:
        worker = self._idle.pop() if self._idle else Worker.forked(partial(_serve, self._task), name="replaylab-batch")
        self._busy[worker.connection] = worker, part
        with suppress(ConnectionError):  # it died in between: `next` finds the end of its pipe
            worker.connection.send(part)


def _serve(task: Task, leader: Connection) -> None:
    """Work on the parts that a leader sends, until it closes the pipe."""
    _without_locks()
    pa.set_cpu_count(1)  # the processes share out the cores
    while True:
        try:
            part: Part = leader.recv()
        except EOFError:
            return
        try:
            outcome = task(part)
        except Exception as error:  # noqa: BLE001 the parent must learn of it
            outcome = Outcome.failed(part, reason_of(error))
        _flush()
        leader.send(outcome)


def _without_locks() -> None:
    """Replace cached properties of Python 3.11 by lock-free ones: a lock held at the fork is never released."""
    if sys.version_info < (3, 12):
        functools.cached_property.__get__ = _kept  # type: ignore[method-assign, assignment]


def _kept(prop: Any, instance: Any, owner: type | None = None) -> Any:
    del owner
    if instance is None:
        return prop
    values = instance.__dict__
    if prop.attrname not in values:
        values[prop.attrname] = prop.func(instance)
    return values[prop.attrname]


def _flush() -> None:
    """Flush what a function printed: the process is killed at the end, and its buffers are lost."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # none, closed, or without a reader
            stream.flush()


class Inline:
    """The process itself, which does one part after another."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._waiting: deque[Part] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._waiting.clear()

    @property
    def pending(self) -> bool:
        """Whether there is a part whose outcome has not been given."""
        return bool(self._waiting)

    def put(self, part: Part) -> None:
        """Add a part."""
        self._waiting.append(part)

    def next(self) -> tuple[Part, Outcome | None, str]:
        """Do the next part."""
        part = self._waiting.popleft()
        return part, self._task(part), ""
