"""What a process does until it is killed: record, seal, recover, compact, each telling what it has acknowledged."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from unittest import mock

import replaylab as rl
from tests.crash.recordings import Said, games, made, small

COUNTED: Final = (
    "write",
    "fsync",
    "fdatasync",
    "replace",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "ftruncate",
    "posix_fallocate",
    "open",
)
TICKS: Final = 36


def record(store: Path, said: Said) -> None:
    """Record two games, sync in between, seal and close."""
    recorder = rl.Recorder(store, settings=small())
    accepted, durable = 0, 0
    for offered, tick in enumerate(games(2, TICKS // 2), 1):
        said.put(offered, accepted, durable)
        receipt = recorder.record(tick)
        accepted, durable = receipt.seq + 1, receipt.durable_seq + 1
        said.put(offered, accepted, durable)
        if offered == TICKS // 4:
            durable = recorder.flush().durable_seq + 1
            said.put(offered, accepted, durable)
    recorder.stop()
    said.put(offered, accepted, accepted)


def record_many(store: Path, said: Said) -> None:
    """Record in batches, leaving the recorder as a program that ends does."""
    recorder = rl.Recorder(store, settings=small())
    for first in range(0, TICKS, 12):
        said.put(first + 12, *said.get()[1:])
        receipt = recorder.record_many(made(12, first=first))
        said.put(first + 12, receipt.seq + 1, receipt.durable_seq + 1)
    recorder.stop()
    said.put(TICKS, TICKS, TICKS)


def abandon(store: Path) -> None:
    """Leave a store as a kill does: two recordings that are sealed, and two without an end, one of them torn."""
    each = TICKS // 4
    for number in range(4):
        child = os.fork()
        if child == 0:
            recorder = rl.Recorder(store, settings=small())
            for tick in made(each, first=number * each):
                recorder.record(tick)
            if number < 2:
                recorder.stop()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
    torn = max(path for path in (store / "journals").glob("*.journal") if path.stat().st_size)
    with torn.open("ab") as file:
        file.write(b'{"type": "tick", "timest')


def recover(store: Path, _: Said) -> None:
    """Open a store that needs recovery."""
    rl.open_store(store)


def compact(store: Path, _: Said) -> None:
    """Compact a store, which may need recovery first."""
    rl.compact(store, progress=False)


def prune(store: Path, _: Said) -> None:
    """Remove all games but the newest."""
    rl.prune(store, keep_games=1, yes=True)


def renew(store: Path, _: Said) -> None:
    """Give an encrypted store a new key, encrypt its files anew, and drop the key before."""
    rl.rotate(store, rl.EnvironmentKey(), new_store_key=True)
    rl.compact(store, progress=False)


WORKS: Final[dict[str, Callable[[Path, Said], None]]] = {
    "record": record,
    "record_many": record_many,
    "recover": recover,
    "compact": compact,
    "prune": prune,
    "renew": renew,
}


class Killer:
    """Kills the process at its n-th call that changes a disk: before it, or in the middle when it is a write."""

    def __init__(self, point: int) -> None:
        self._left = point
        self._lock = threading.Lock()
        self._half = point % 2 == 1

    def watching(self) -> ExitStack:
        """Count calls from now on."""
        stack = ExitStack()
        for name in COUNTED:
            stack.enter_context(mock.patch.object(os, name, self._counted(getattr(os, name), name)))
        return stack

    def _counted(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if name == "open" and not arguments[1] & os.O_CREAT:
                return call(*arguments, **options)
            with self._lock:
                self._left -= 1
                if self._left == 0:
                    if name == "write" and self._half:
                        call(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return counted


def killed_at_every_point(work: str, store_of: Callable[[int], Path], first: int = 1) -> list[tuple[int, int, int]]:
    """Do the work in forked children, the n-th killed at its n-th point, until one ends; give what each has said."""
    answers: list[tuple[int, int, int]] = []
    status, point = 1, first
    while status != 0:
        said, store = Said(), store_of(point)
        child = os.fork()
        if child == 0:
            try:
                with Killer(point).watching():
                    WORKS[work](store, said)
            except BaseException:  # noqa: BLE001 a child must not go on as its parent does
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status not in {0, signal.SIGKILL}:
            raise RuntimeError(f"{work} failed by itself at point {point}")
        answers.append(said.get())
        point += 1
    return answers
