"""Hold the two roads against each other in many mutated lines, the kernel under AddressSanitizer and UBSan.

`make fuzz-kernel LINES=1000000` runs this: it builds the kernel anew with both sanitizers, starts itself with their
runtime loaded first, and ends with 1 at the first difference or the first report of a sanitizer.
"""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final
from unittest import mock

from replaylab.kernel import library as loader
from replaylab.kernel.build import build, compiler
from tests.kernel.journals import damaged, journal, what_is_read
from tests.kernel.mapped import FORMS, mapped_blocks
from tests.kernel.pipes import assert_same_pipe
from tests.kernel.roads import assert_same, blocks

FLAGS: Final = ("-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
EACH: Final = 20_000  # lines of one seed


def runtime() -> str:
    """Return where the compiler keeps the runtime of AddressSanitizer."""
    command = compiler() or ["cc"]
    found = subprocess.run([*command, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def main() -> None:
    """Start a child with the sanitizers' runtime, or be that child."""
    lines = int(sys.argv[1])
    if len(sys.argv) > 2:
        compare(Path(sys.argv[2]), lines)
        return
    with tempfile.TemporaryDirectory() as folder:
        made = build(Path(folder) / loader.FILE_NAME, FLAGS)
        settings = {"LD_PRELOAD": runtime(), "ASAN_OPTIONS": "detect_leaks=0", "PYTHONMALLOC": "malloc"}
        command = [sys.executable, "-m", "tests.kernel.fuzz", str(lines), str(made)]
        sys.exit(subprocess.run(command, env={**os.environ, **settings}, check=False).returncode)


def compare(made: Path, lines: int) -> None:
    """Read `lines` mutated lines, half of them of other recorders, by the sanitized kernel and by numpy.

    Some are piped as well, and so many journals read, by the kernel and by Python.
    """
    with mock.patch.object(loader, "__file__", str(made)):
        library: ctypes.CDLL | None = loader.load.__wrapped__()
    if library is None:
        sys.exit(f"{made} does not load")
    read, rows, folder = 0, 0, made.parent
    for seed in range(1000, 1000 + -(-lines // EACH)):
        size = min(EACH, lines - read)
        for number, block in enumerate(blocks(seed, size // 2)):
            rows += len(assert_same(block, library).batch)
            if number % 4 == 0:
                assert_same_pipe(block, library, folder)
        chance = random.Random(seed)
        for _ in range(20):
            data = damaged(chance, journal(chance, chance.randint(1, 120)))
            assert what_is_read(data, library, []) == what_is_read(data, None, []), data
        for name, form in FORMS.items():
            for block in mapped_blocks(name, seed, size // 2 // len(FORMS)):
                rows += len(assert_same(block, library, form.mapping).batch)
        read += size
        sys.stdout.write(f"{read:,} lines, {rows:,} ticks, no difference\n")


if __name__ == "__main__":
    main()
