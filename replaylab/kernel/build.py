"""Build the kernel with the machine's C compiler: `python -m replaylab.kernel.build`; the build hook calls `build`."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

FILE_NAME: Final = "replaylab_kernel.so"
SOURCES: Final = ("lines.c", "digest.c", "journal.c", "sync.c")
FLAGS: Final = ("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=default")
SECONDS: Final = 120


class KernelNotBuilt(RuntimeError):
    """No compiler was found, or it refused the sources; the message says which and what it said."""


def compiler() -> list[str] | None:
    """Return the command of the C compiler: that of $CC, else the first of cc, gcc and clang; None without one."""
    named = shlex.split(os.environ.get("CC", ""))
    if named:
        return named if shutil.which(named[0]) else None
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    return None


def build(target: Path | None = None, flags: Sequence[str] = ()) -> Path:
    """Compile the kernel and return the path of the library.

    Parameters
    ----------
    target : Path, optional
        Where the library goes; beside the sources by default.
    flags : sequence of str
        More flags for the compiler, such as ``-fsanitize=address``.

    Raises
    ------
    KernelNotBuilt
        When there is no compiler, or it fails.
    """
    folder = Path(__file__).parent
    made = folder / FILE_NAME if target is None else target
    command = compiler()
    if command is None:
        raise KernelNotBuilt("no C compiler was found (cc, gcc or clang); install one, or name it in $CC")
    aside = made.with_name(f"{made.name}.{os.getpid()}")
    arguments = [*command, *FLAGS, *flags, "-o", str(aside), *(str(folder / name) for name in SOURCES)]
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=SECONDS)  # noqa: S603 the compiler of this machine
        if done.returncode:
            raise KernelNotBuilt(f"{shlex.join(arguments)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
        shutil.move(aside, made)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelNotBuilt(f"{shlex.join(arguments)} did not run: {error}") from error
    finally:
        aside.unlink(missing_ok=True)
    return made


if __name__ == "__main__":
    try:
        print(build())  # noqa: T201 this is a command
    except KernelNotBuilt as error:
        sys.exit(f"replaylab.kernel.build: {error}")
