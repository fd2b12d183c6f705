"""Threads and open files of this process: what is new since a moment, whatever else has ended in between."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

PATIENCE: Final = 60.0
_SHARED: Final = {"tqdm_monitor"}  # one a process, from its first progress bar on


@dataclass(frozen=True)
class Held:
    """Threads that are alive, and open files as descriptor and target."""

    threads: frozenset[threading.Thread]
    files: frozenset[tuple[str, str]]

    @classmethod
    def now(cls) -> Self:
        """Return what this process holds."""
        files = set()
        for path in Path("/proc/self/fd").iterdir():
            with suppress(OSError):  # the descriptor of the listing itself is closed by now
                files.add((path.name, str(path.readlink())))
        return cls(frozenset(one for one in threading.enumerate() if one.name not in _SHARED), frozenset(files))

    def new(self) -> list[str]:
        """Return what is held now and was not then; what others have given back since does not count."""
        now = Held.now()
        return sorted(
            [one.name for one in now.threads - self.threads] + [" ".join(one) for one in now.files - self.files]
        )


@contextmanager
def leaves_nothing_open(*, more: int = 0) -> Iterator[None]:
    """Assert that at most `more` of the threads and files that are new in the block are held after it."""
    gc.collect()  # what earlier tests left goes before the look, not in the middle
    before = Held.now()
    yield
    end = time.monotonic() + PATIENCE
    while len(before.new()) > more and time.monotonic() < end:
        time.sleep(0.01)
    assert len(before.new()) <= more, before.new()
