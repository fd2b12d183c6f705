"""Worker processes: each is joined to this one by a pipe, dies with it, and its own death is noticed at once.

Why not `concurrent.futures` or loky: measured with both, one killed worker fails every part that is pending and does
not say which part it had, and workers are still there 16 s after their parent was killed. Nor can a running job ask its
parent a question, as the parts of one recording must. The two pools that use this, of conversions and of analyses,
differ in what they hand out and in what order, not in how a process starts and ends.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Final, Protocol

_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of prctl(2)


class _Process(Protocol):
    def kill(self) -> None: ...


class Worker:
    """A child process and the pipe to it; made by `forked` or `spawned`.

    Attributes
    ----------
    connection : Connection
        This process's end of the pipe; `send` and `recv` on it raise `EOFError` or `ConnectionError` when the worker
        has died.

    Examples
    --------
    >>> def double(parent):
    ...     parent.send(2 * parent.recv())
    >>> worker = Worker.forked(double, name="doubler")
    >>> worker.connection.send(21)
    >>> worker.connection.recv(), worker.end()
    (42, 'exit code 0')
    """

    def __init__(self, connection: Connection, process: _Process, wait: Callable[[], int]) -> None:
        self.connection = connection
        self._process = process
        self._wait = wait

    @classmethod
    def forked(cls, serve: Callable[[Connection], None], *, name: str) -> Worker:
        """Fork a worker that calls `serve` with its end of the pipe; it has the memory of this process."""
        ours, theirs = Pipe()
        context = multiprocessing.get_context("fork")
        process = context.Process(target=_serve, args=(serve, ours, theirs, os.getpid()), name=name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads; callers see to them
            process.start()
        theirs.close()

        def wait() -> int:
            process.join()
            code = process.exitcode or 0
            process.close()
            return code

        return cls(ours, process, wait)

    @classmethod
    def spawned(cls, module: str, *, keep: Sequence[int] = (), env: Mapping[str, str] = {}) -> Worker:
        """Start a worker as ``python -m module``, which calls `connection_to_parent`.

        Parameters
        ----------
        module : str
            A module of this package.
        keep : sequence of int
            Descriptors that the worker inherits.
        env : mapping
            Variables for the worker where the environment does not set them.
        """
        ours, theirs = Pipe()
        path = os.pathsep.join([str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.Popen(  # noqa: S603 this package, by this interpreter
            [sys.executable, "-P", "-m", module, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno(), *keep],
            env={**env, **os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        return cls(ours, process, process.wait)

    def kill(self) -> None:
        """Kill the worker now; `end` waits for it."""
        self._process.kill()

    def end(self) -> str:
        """Close the pipe, wait until the worker is gone, and return how it ended: ``signal 9`` or ``exit code 1``."""
        self.connection.close()
        code = self._wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def connection_to_parent(arguments: Sequence[str]) -> Connection | None:
    """Return the pipe of a spawned worker from its arguments; None when the parent has died already."""
    descriptor, parent = map(int, arguments)
    return Connection(descriptor) if _die_with(parent) else None


def _die_with(parent: int) -> bool:
    """Have this process killed when its parent dies; return False when that has happened already."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    if sys.platform == "linux":  # elsewhere the pipe's end is what a worker notices
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    return os.getppid() == parent


def _serve(serve: Callable[[Connection], None], parents: Connection, connection: Connection, parent: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    alive = _die_with(parent)
    parents.close()
    if alive:
        serve(connection)
