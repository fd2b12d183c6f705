"""The lines that recorders refused, in a folder of their own: one JSON object a line, closed by a checksum."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from replaylab.journals.format import is_whole

REFUSED: Final = "refused"
ENDING: Final = ".jsonl"
_KEYS: Final = {"line", "start", "reason"}
_TEXTS: Final = ("raw", "raw_base64")
_READINGS: Final = 3  # of a file whose last line has no end yet: its recorder may be writing it


def refused_files(store: Path) -> dict[str, int]:
    """Return the sizes in bytes of the files of refused lines, by their names within the store."""
    found = sorted((store / REFUSED).glob(f"*{ENDING}"))
    return {f"{REFUSED}/{path.name}": path.stat().st_size for path in found if path.is_file()}


def refused_problems(store: Path) -> list[str]:
    """Return what is wrong with the files of refused lines, the first line of each file that is."""
    problems = []
    for path in sorted((store / REFUSED).glob(f"*{ENDING}")):
        name, problem = f"{REFUSED}/{path.name}", None
        if not path.is_file():
            problems.append(f"{name}: is a folder or leads to no file; refused lines cannot be read from it")
            continue
        for _ in range(_READINGS):
            try:
                problem = _problem(path)
            except OSError as error:
                problem = f": cannot be read ({error.strerror})"
            if problem is None:
                break
        if problem:
            problems.append(f"{name}{problem}")
    return problems


def _problem(path: Path) -> str | None:
    at = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f", line {number}, byte {at}: "
            if not line.endswith(b"\n"):
                return f"{where}the line is cut off"
            if not is_whole(line[:-1], 0) and not _is_of_first_format(line):
                return f"{where}its bytes are not those that were written"
            at += len(line)
    return None


def _is_of_first_format(line: bytes) -> bool:
    """Whether a line is one of an earlier release, which wrote no checksum."""
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and any(set(found) - {"detail"} == {*_KEYS, one} for one in _TEXTS)
