"""Executors: parts run by any `concurrent.futures`-style executor or a Dask cluster."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Future, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any, Final, Protocol, Self

from replaylab.analysis.batches.parts import Part
from replaylab.analysis.batches.pool import Forked, Inline
from replaylab.analysis.batches.task import Outcome, Task, reason_of
from replaylab.durable import usable_cores
from replaylab.errors import AnalysisError, WorkerFailed

_DIED: Final = {"KilledWorker"}  # what Dask raises when a task has taken its workers with it


class Runner(Protocol):
    """Runs parts and returns their outcomes in the order they finish; `Forked` is the default."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *raised: object) -> None: ...
    @property
    def pending(self) -> bool:
        """Whether there is a part whose outcome has not been given."""

    def put(self, part: Part) -> None:
        """Add a part."""

    def next(self) -> tuple[Part, Outcome | None, str]:
        """Wait for a part; its outcome is None when its worker died, and the text says how."""


class Submitted:
    """Parts submitted to an executor of the user's, which stays open at the end.

    Parameters
    ----------
    task : Task
        What to do with each.
    executor : Executor
        Who does it.
    close : callable, optional
        What to close at the end, when it was opened for this.
    """

    def __init__(self, task: Task, executor: Any, close: Callable[[], object] | None = None) -> None:
        self._executor = executor
        self._close = close
        self._parts: dict[Future[Outcome], Part] = {}
        threads = isinstance(executor, ThreadPoolExecutor)
        self._call: Callable[..., Outcome] = task if threads else _run_pickled
        self._first: tuple[bytes, ...] = () if threads else (_pickled(task),)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        for future in self._parts:
            future.cancel()
        if self._close is not None:
            self._close()

    @property
    def pending(self) -> bool:
        """Whether there is a part whose outcome has not been given."""
        return bool(self._parts)

    def put(self, part: Part) -> None:
        """Submit a part."""
        try:
            future = self._executor.submit(self._call, *self._first, part)
        except Exception as error:  # broken, shut down, or disconnected: each kind of executor has its own error
            raise _dead(error) from error
        self._parts[future] = part

    def next(self) -> tuple[Part, Outcome | None, str]:
        """Wait for a part; its outcome is None when its worker died, and the text says how."""
        future = wait(self._parts, return_when=FIRST_COMPLETED).done.pop()
        part = self._parts.pop(future)
        try:
            return part, future.result(), ""
        except (BrokenExecutor, CancelledError) as error:
            raise _dead(error) from error
        except Exception as error:  # noqa: BLE001 an executor hands over whatever its worker or its wire raised
            if type(error).__name__ in _DIED:
                return part, None, type(error).__name__
            return part, Outcome.failed(part, reason_of(error)), ""


def runner_for(task: Task, parts: int, executor: Any, workers: int | None, *, local: bool) -> Runner:
    """Return what runs the parts: this process, forked processes, or an executor.

    Parameters
    ----------
    task : Task
        What to do with each.
    parts : int
        How many there are; one needs no second process.
    executor : object, optional
        With a method `submit`, a Dask `Client`, or a Dask cluster; none for processes of this machine.
    workers : int, optional
        Processes of this machine; one a core unless given.
    local : bool
        Whether the store is a folder; connections to an object store do not survive a fork.

    Raises
    ------
    AnalysisError
        When `executor` is nothing of the kind, or the function cannot be sent to it.
    """
    if executor is None:
        many = min(parts, workers or usable_cores())
        if many <= 1:
            return Inline(task)
        if local:
            return Forked(task, many)
        threads = ThreadPoolExecutor(many)
        return Submitted(task, threads, lambda: threads.shutdown(cancel_futures=True))
    close = None
    if hasattr(executor, "get_client"):  # a Dask cluster
        client = importlib.import_module("distributed").Client  # a new one: `get_client` may return a shared one
        executor = client(executor, set_as_default=False)
        close = executor.close
    if hasattr(executor, "get_executor"):  # a Dask client
        executor = executor.get_executor(pure=False)
    if not callable(getattr(executor, "submit", None)):
        raise AnalysisError(
            f"executor={executor!r} has no submit(); pass a concurrent.futures executor or a dask.distributed Client"
        )
    return Submitted(task, executor, close)


def _dead(error: BaseException) -> WorkerFailed:
    return WorkerFailed(f"the executor ended before the games did ({reason_of(error)}); run again with a new one")


def _pickled(task: Task) -> bytes:
    """Pickle a task; by value with cloudpickle, which comes with Dask, so that functions of a notebook travel."""
    try:
        by_value = importlib.util.find_spec("cloudpickle")
        pickler: Any = importlib.import_module("cloudpickle") if by_value else pickle
        found: bytes = pickler.dumps(task)
    except Exception as error:  # objects raise what they like when they are pickled
        raise AnalysisError(
            f"the function cannot be sent to the executor ({reason_of(error)}); leave executor= out, define it in a "
            "module, keep open files and connections out of it, or install 'replaylab[cluster]' to send it by value"
        ) from error
    return found


@lru_cache(maxsize=2)
def _unpickled(task: bytes) -> Task:
    found: Task = pickle.loads(task)  # noqa: S301 made by the process that this one works for
    return found


def _run_pickled(task: bytes, part: Part) -> Outcome:
    return _unpickled(task)(part)
