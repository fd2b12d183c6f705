"""What the tests of stores share: lines written by hand, conversions without a bar, and what a store holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe

import replaylab as rl
from replaylab.conversion.convert import convert

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT.parent / "shared" / "recordings"
NOBODY = 65534

Rows = Counter[tuple[Any, ...]]


def line(game: str = "20310102-0123456789ab4cde", tick: int = 1, price: str = "1.25", **fields: Any) -> bytes:
    """Write one tick line; the price is put in as text, so that it can be any JSON."""
    shown = {
        "type": "tick",
        "timestamp": f"2031-01-02T03:{tick // 240 % 60:02}:{tick // 4 % 60:02}.{tick % 4 * 250_000:06}",
        "game_id": game,
        "tick": tick,
        "price": None,
        "phase": "ACTIVE_GAMEPLAY" if tick else "GAME_ACTIVATION",
        "active": True,
        "rugged": False,
        "cooldown_timer": 0,
        "trade_count": tick,
    } | fields
    return json.dumps(shown).replace('"price": null', f'"price": {price}').encode() + b"\n"


def game_lines(game: str, rug_tick: int, *, first: int = 0, price: str = "1.25") -> list[bytes]:
    """Write the lines of a game from tick `first` to its rug."""
    lines = [line(game, tick, price) for tick in range(first, rug_tick)]
    return [*lines, line(game, rug_tick, "0.01", rugged=True)]


def quiet(sources: Any, store: Path, **options: Any) -> rl.ConversionReport:
    """Convert without a progress bar."""
    return convert(sources, store, progress=False, **options)


def simulated(folder: Path, games: int = 3, seed: int = 1, damage: str | tuple[str, ...] = ()) -> Path:
    """Make a folder of recordings; give it."""
    rl.simulate(folder, games=games, seed=seed, damage=damage)
    return folder


def names(folder: Path) -> list[str]:
    """List a folder, hidden files included."""
    return sorted(path.name for path in folder.iterdir())


def leftovers(store: Path) -> list[str]:
    """List the files of a store that nothing needs."""
    opened = rl.open_store(store)
    needed = {segment.name for segment in opened.segments()}
    needed |= {str(segment.footer.remarks) for segment in opened.segments()}
    return [name for folder in ("segments", "remarks") for name in names(store / folder) if name not in needed]


def rows(store: Path) -> Rows:
    """Give every row of a store but what depends on how its sources are called, read with pyarrow alone."""
    found: Rows = Counter()
    opened = rl.open_store(store)
    keys = opened.parquet_keys()
    for segment in opened.segments():
        key = keys.get(segment.name)
        opening = None if key is None else pe.create_decryption_properties(footer_key=key)
        table = pq.read_table(segment.path, decryption_properties=opening).drop_columns(["source"])
        found.update(tuple(row.values()) for row in table.to_pylist())
    return found


def state(store: Path) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """Give all that a user can see of a store, whatever its segments: rows, games, remarks."""
    opened = rl.open_store(store)
    check = opened.verify()
    assert check.ok, str(check)
    order = [("source", "ascending"), ("start", "ascending")]
    return check.rows_digest, opened.games_table().to_pylist(), opened.remarks().sort_by(order).to_pylist()


def run_child(code: str, *arguments: object, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Run Python code in another process, with the package on its path and `arguments` in `sys.argv`."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


class Child(subprocess.Popen[str]):
    """A process that is killed when its `with` block ends by an error, a time-out too: no test waits for ever."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        super().__exit__(kind, error, trace)


def start_child(code: str, *arguments: object) -> Child:
    """Start Python code in another process."""
    return Child(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def as_nobody(do: Callable[[], object]) -> str:
    """Run something as a user without rights, in a child; give what it returned or raised, as text."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            answer = str(do())
        except BaseException as error:  # noqa: BLE001 the parent looks at it
            answer = f"{type(error).__name__}: {error}"
        os.write(write, answer.encode()[:60_000])
        os.kill(os.getpid(), signal.SIGKILL)  # no cleaning up of what belongs to the parent
    os.close(write)
    with os.fdopen(read, "rb") as answer_file:
        found = answer_file.read().decode()
    os.waitpid(child, 0)
    return found


@contextmanager
def locked_away(*paths: Path) -> Iterator[None]:
    """Take every right to some paths away for a while."""
    before = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0)
    try:
        yield
    finally:
        for path, mode in zip(paths, before, strict=True):
            path.chmod(mode)


def opened_to_all(folder: Path) -> None:
    """Let everybody pass through the folders above a temporary one, and write into it."""
    folder.chmod(0o777)
    for parent in folder.parents[:3]:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
