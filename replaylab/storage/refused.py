"""The lines that recorders refused, in a folder of their own: one JSON object a line, closed by a checksum.

In an encrypted store each line is encrypted by itself, behind two lines that name the salt of the file.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from replaylab.durable import publish, written_aside
from replaylab.encryption.keys import StoreKeys
from replaylab.encryption.lines import SealedLines
from replaylab.errors import Tampered
from replaylab.journals.encoder import closed
from replaylab.journals.format import is_whole

REFUSED: Final = "refused"
ENDING: Final = ".jsonl"
_KEYS: Final = {"line", "start", "reason"}
_TEXTS: Final = ("raw", "raw_base64")
_START: Final = "refused_start"
_SHOWN: Final = ("line", "start", "reason", "detail")
_READINGS: Final = 250  # of a file that changes meanwhile: its recorder is writing it
_CUT_OFF: Final = "the line is cut off"
_NO_KEY: Final = (
    ": is not encrypted as this store is, or its first two lines were altered, or keys.json does not hold its key"
)
_AGAIN_SECONDS: Final = 0.02  # longer than a line is being written


def refused_files(store: Path) -> dict[str, int]:
    """Return the sizes in bytes of the files of refused lines, by their names within the store."""
    found = sorted((store / REFUSED).glob(f"*{ENDING}"))
    return {f"{REFUSED}/{path.name}": path.stat().st_size for path in found if path.is_file()}


def sealed_start(key: str, salt: str) -> bytes:
    """Return the line, with its newline, that a file of encrypted refused lines begins with, twice."""
    return closed(json.dumps({"type": _START, "format": 2, "key": key, "salt": salt})[:-1].encode(), 0)


def write_refused(path: Path, keys: StoreKeys, rows: Iterable[dict[str, Any]]) -> None:
    """Write a file of refused lines anew, encrypted by the newest key of the store, renamed into place."""
    sealed = SealedLines(keys, "refused")
    with written_aside(path.parent, path.name) as aside:
        with aside.open("wb") as file:
            file.write(sealed_start(sealed.key_id, sealed.salt.hex()) * 2)
            for number, found in enumerate(rows):
                row = {name: value for name, value in found.items() if name != "crc"} | {"kept": number}
                file.write(sealed.seal(closed(json.dumps(row, ensure_ascii=False)[:-1].encode(), 0)))
        publish(aside, path, private=True)


def renew_refused(path: Path, keys: StoreKeys) -> None:
    """Encrypt a file of refused lines anew by the newest key of the store.

    Raises
    ------
    Tampered
        When a line of it cannot be opened: what it held would be lost.
    """
    problem = _problem(path, keys)
    if problem:
        raise Tampered(f"{REFUSED}/{path.name}{problem}; restore it from a backup or remove it")
    with path.open("rb") as file:
        raws = [line[:-1] for line in file]
    opened = _opener(raws, keys)
    if opened is None:
        return
    texts = (_text(opened, raw) for raw in raws[2:])
    write_refused(path, keys, [json.loads(text) for text in texts if text is not None])


def key_of_refused(path: Path) -> str | None:
    """Return which key of the store a file of refused lines names; None for one in plain."""
    with path.open("rb") as file:
        for raw in (file.readline(), file.readline()):
            with suppress(ValueError, KeyError, TypeError):
                found = json.loads(raw)
                if found["type"] == _START:
                    return str(found["key"])
    return None


def refused_problems(store: Path, keys: StoreKeys | None = None) -> list[str]:
    """Return what is wrong with the files of refused lines, the first line of each file that is."""
    problems = []
    for path in sorted((store / REFUSED).glob(f"*{ENDING}")):
        name = f"{REFUSED}/{path.name}"
        if not path.is_file():
            problems.append(f"{name}: is a folder or leads to no file; refused lines cannot be read from it")
            continue
        try:
            problem = _lasting_problem(path, keys)
        except OSError as error:
            problem = f": cannot be read ({error.strerror})"
        if problem:
            problems.append(f"{name}{problem}")
    return problems


def refused_rows(store: Path, keys: StoreKeys | None = None) -> list[dict[str, Any]]:
    """Return the refused lines of a store that can be read, with the name of their run: see `Store.refused`."""
    found = []
    for path in sorted((store / REFUSED).glob(f"*{ENDING}")):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            raws = [line[:-1] for line in file if line.endswith(b"\n")]
        opened = _opener(raws, keys)
        for raw in raws:
            text = raw if opened is None else _text(opened, raw)
            if text is None or not is_whole(text, 0):
                continue
            row = json.loads(text)
            raw_bytes = base64.b64decode(row["raw_base64"]) if "raw_base64" in row else row["raw"].encode()
            found.append({"run": path.stem, **{name: row.get(name) for name in _SHOWN}, "raw": raw_bytes})
    return found


def _opener(raws: list[bytes], keys: StoreKeys | None) -> SealedLines | None:
    """Return what opens the lines of a file; None when they are in plain."""
    if keys is None:
        return None
    for raw in raws[:2]:
        with suppress(ValueError, KeyError, TypeError):
            found = json.loads(raw)
            if found["type"] == _START:
                return SealedLines(keys, "refused", bytes.fromhex(found["salt"]), str(found["key"]))
    return None


def _text(opened: SealedLines, raw: bytes) -> bytes | None:
    line = opened.open(raw)
    return None if line is None else line.text


def _lasting_problem(path: Path, keys: StoreKeys | None) -> str | None:
    """Return what is wrong with a file; a line that its recorder is writing just now has no end yet, and is not."""
    before = None
    for _ in range(_READINGS):
        found = _problem(path, keys), path.stat().st_size
        if found[0] is None or found == before or not found[0].endswith((_CUT_OFF, _NO_KEY)):
            return found[0]
        before = found
        time.sleep(_AGAIN_SECONDS)
    return None  # it was another line each time


def _problem(path: Path, keys: StoreKeys | None) -> str | None:
    at = kept = 0
    with path.open("rb") as file:
        lines = list(file)
    opened = _opener([line[:-1] for line in lines[:2]], keys)
    if keys is not None and opened is None and lines and not keys.allows_plain:
        return _NO_KEY
    for number, line in enumerate(lines, 1):
        where = f", line {number}, byte {at}: "
        at += len(line)
        if not line.endswith(b"\n"):
            return f"{where}{_CUT_OFF}"
        if opened is not None and number > 2:
            text = _text(opened, line[:-1])
            if text is None:
                return f"{where}the key of this store did not write it"
            if json.loads(text).get("kept") != kept:
                return f"{where}lines before it were taken out, moved or repeated"
            kept += 1
        elif not is_whole(line[:-1], 0) and (opened is not None or not _is_of_first_format(line)):
            return f"{where}its bytes are not those that were written"
    return None


def _is_of_first_format(line: bytes) -> bool:
    """Whether a line is one of an earlier release, which wrote no checksum."""
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, dict) and any(set(found) - {"detail"} == {*_KEYS, one} for one in _TEXTS)
