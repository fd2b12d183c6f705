"""Helper processes: the second core of a conversion. Each converts one job at a time and dies with its parent."""

from __future__ import annotations

import sys
import threading
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from replaylab.conversion.job import Base, Folders, How, Job
from replaylab.conversion.source import Piece
from replaylab.errors import ReplayLabError, WorkerFailed
from replaylab.segments.extent import Extent
from replaylab.segments.segment import Segment, Unpublished

if TYPE_CHECKING:  # loaded where a process is started: most conversions start none
    from multiprocessing.connection import Connection

    from replaylab.worker import Worker

_POOL: Final = "ARROW_DEFAULT_MEMORY_POOL"  # Arrow's own pool holds 45 MB more, for nothing here
_SETTLING_BYTES: Final = 31 << 20


class Bases:
    """Lines and ticks before each piece, known once the piece before it has been read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[tuple[Path, int], Future[Base]] = {}
        self._given_up = False

    def _at(self, path: Path, offset: int) -> Future[Base]:
        with self._lock:
            future = self._found.setdefault((path, offset), Future())
            self._fail(future) if self._given_up else None
            return future

    @staticmethod
    def _fail(future: Future[Base]) -> None:
        if not future.done():
            future.set_exception(WorkerFailed("the part of the source before this one was not read"))

    def ask(self, piece: Piece) -> Base:
        """Wait for the base of a piece."""
        return self._at(piece.source.path, piece.start).result()

    def tell(self, piece: Piece, base: Base) -> None:
        """Make the base of whatever follows a piece known."""
        future = self._at(piece.source.path, piece.end)
        if not future.done():
            future.set_result(base)

    def give_up(self) -> None:
        """Raise `WorkerFailed` in every waiting thread, now or later."""
        with self._lock:
            self._given_up = True
            for future in self._found.values():
                self._fail(future)


class Pool:
    """A process and its helpers, working through a queue of jobs in order."""

    def __init__(self, jobs: list[list[Piece]], folders: Folders, *, how: How, lock: int) -> None:
        self.folders = folders
        self.how = how
        self.lock = lock  # inherited by the helpers: the store stays locked until the last of them is gone
        self.bases = Bases()
        self.extents: list[Extent] = []
        self.segments: list[
            Segment
        ] = []  # written here, with times whose zone is to be judged; what they say is at hand
        self.failures: list[BaseException] = []
        self._queue = deque(enumerate(jobs))
        self._unfinished = set(range(len(jobs)))
        self._mates: list[threading.Thread] = []
        self._helpers: list[tuple[Worker, threading.Thread]] = []

    def run(self, helpers: int, mates: int, done: Any) -> list[Extent]:
        """Work until the queue is empty; `done` is called with the bytes of each job that has been stored.

        Helpers are processes: worth their start for large inputs. Mates are threads, which share one interpreter and
        bring a quarter; they cost nothing to start.
        """
        settle_allocator()
        try:
            for number in range(helpers):
                self._hire(number, done)
            for number in range(mates):
                name = f"replaylab-mate-{number}"
                self._mates.append(threading.Thread(target=self._assist, args=(done,), name=name, daemon=True))
                self._mates[-1].start()
            self._work(done)
            for thread in [*self._mates, *(thread for _, thread in self._helpers)]:
                thread.join()
        except BaseException as error:  # noqa: BLE001 raised again below, once the helpers have ended
            self.failures.insert(0, error)
        finally:
            self.bases.give_up()
            for thread in self._mates:
                thread.join()
            for worker, thread in self._helpers:
                worker.kill() if self.failures else None
                thread.join()
                worker.end()
        if self.failures:
            raise self._cause()
        if self._unfinished:
            missing = len(self._unfinished)
            raise WorkerFailed(f"{missing} parts were not converted; run the conversion again to finish it")
        return self.extents

    def _cause(self) -> BaseException:
        """The failure that is not merely the echo of another."""
        return next((one for one in self.failures if not isinstance(one, WorkerFailed)), self.failures[0])

    def _work(self, done: Any) -> None:
        """Work until the queue is empty. While one segment is synced, which waits for the disk, the next is made."""
        one: Job | None = None
        syncing: threading.Thread | None = None
        try:
            while (job := self._next()) is not None:
                number, pieces = job
                one = self._job(pieces, one)
                written = one.run()
                if syncing is None and not self._queue:
                    self._publish(number, written, done)
                    return
                if syncing is not None:
                    syncing.join()
                syncing = threading.Thread(
                    target=self._publish_beside, args=(number, written, done), name="replaylab-syncing", daemon=True
                )
                syncing.start()
        finally:
            if syncing is not None:
                syncing.join()

    def _publish(self, number: int, written: Unpublished, done: Any) -> None:
        segment = written.publish()
        if any(one.zoneless_times for one in segment.footer.extents):
            self.segments.append(segment)
        self._store(number, segment.footer.extents, done)

    def _publish_beside(self, number: int, written: Unpublished, done: Any) -> None:
        try:
            self._publish(number, written, done)
        except BaseException as error:  # noqa: BLE001 `run` raises it in the caller's thread
            self._fail(error)

    def _assist(self, done: Any) -> None:
        try:
            self._work(done)
        except BaseException as error:  # noqa: BLE001 `run` raises it in the caller's thread
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self.bases.give_up()

    def _next(self) -> tuple[int, list[Piece]] | None:
        try:
            return None if self.failures else self._queue.popleft()
        except IndexError:
            return None

    def _job(self, pieces: list[Piece], previous: Job | None) -> Job:
        return Job(
            pieces,
            self.folders,
            how=self.how,
            ask_base=self.bases.ask,
            tell_end=self.bases.tell,
            previous=previous,
        )

    def _store(self, number: int, extents: list[Extent], done: Any) -> None:
        self.extents.extend(extents)
        self._unfinished.discard(number)
        done(sum(extent.end - extent.start for extent in extents))

    def _hire(self, number: int, done: Any) -> None:
        from replaylab.worker import Worker

        worker = Worker.spawned("replaylab.conversion.pool", keep=[self.lock], env={_POOL: "system"})
        name = f"replaylab-helper-{number}"
        thread = threading.Thread(target=self._lead, args=(worker.connection, done), name=name, daemon=True)
        self._helpers.append((worker, thread))
        thread.start()

    def _lead(self, helper: Connection, done: Any) -> None:
        """Send a helper jobs and answer its questions, until there are none left."""
        try:
            with helper:
                while (job := self._next()) is not None:
                    number, pieces = job
                    helper.send((pieces, self.folders, self.how))
                    self._store(number, self._answer(helper), done)
        except (EOFError, ConnectionError):
            self._fail(WorkerFailed("a worker process died; run the conversion again to finish it"))
        except BaseException as error:  # noqa: BLE001 `run` raises it in the caller's thread
            self._fail(error)

    def _answer(self, helper: Connection) -> list[Extent]:
        while True:
            kind, content = helper.recv()
            if kind == "ask":
                helper.send(self.bases.ask(content))
            elif kind == "end":
                self.bases.tell(*content)
            elif kind == "failed":
                raise content
            else:
                extents: list[Extent] = content
                return extents


def settle_allocator() -> None:
    """Free one large block, so that the C library keeps middling ones instead of asking the system each time.

    Measured: half the time of a scan went into page faults of arrays of 100 kB to 2 MB.
    """
    block = np.empty(_SETTLING_BYTES, np.uint8)
    del block


def serve(leader: Connection) -> None:
    """Convert the jobs that a leader sends, until it hangs up."""
    settle_allocator()
    while True:
        try:
            pieces, folders, how = leader.recv()
        except EOFError:
            return

        def ask_base(piece: Piece) -> Base:
            leader.send(("ask", piece))
            base: Base = leader.recv()
            return base

        def tell_end(piece: Piece, base: Base) -> None:
            leader.send(("end", (piece, base)))

        try:
            segment = Job(pieces, folders, how=how, ask_base=ask_base, tell_end=tell_end).run().publish()
        except (ReplayLabError, OSError, MemoryError) as error:
            leader.send(("failed", error))
        else:
            leader.send(("done", segment.footer.extents))


if __name__ == "__main__":
    from replaylab.worker import connection_to_parent

    parent = connection_to_parent(sys.argv[1:])
    if parent is not None:
        serve(parent)
