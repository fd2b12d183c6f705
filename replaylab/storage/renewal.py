"""Renewal: what is left to do after a store got a new key: small files encrypted anew, keys that nothing needs dropped.

Segments and remarks are encrypted anew by the compaction itself, of which this is the end. A key is dropped only while
no recorder is there: one may hold a key that it has not used yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from replaylab.durable import sweep
from replaylab.encryption.envelope import is_closed, key_of, opened, write_file
from replaylab.encryption.keys import StoreKeys, replace_document
from replaylab.encryption.parquet import key_named
from replaylab.journals.unsealed import journal_names
from replaylab.segments.digest import ENDING
from replaylab.storage.files import JOURNALS, REMARKS, SEGMENTS
from replaylab.storage.refused import ENDING as REFUSED_ENDING
from replaylab.storage.refused import REFUSED, key_of_refused, renew_refused

STATUS: Final = "status"


def renew_small_files(root: Path, keys: StoreKeys) -> int:
    """Encrypt refused lines and status files by the newest key, but those of runs that have a journal; return how many.

    Raises
    ------
    Tampered
        When one of them is not what was written; nothing is lost.
    """
    newest, count = keys.newest(certain=True), 0
    if keys.ids == [newest]:
        return 0
    running = journal_names(root / JOURNALS)
    for folder in (root / REFUSED, root / STATUS):
        sweep(folder)
    for path in _files(root / REFUSED, REFUSED_ENDING, running):
        if key_of_refused(path) not in {None, newest}:
            renew_refused(path, keys)
            count += 1
    for path in _files(root / STATUS, ".json", running):
        content = path.read_bytes()
        if is_closed(content) and key_of(content) != newest:
            write_file(path, keys, "status", opened(keys, "status", path.name, content))
            count += 1
    return count


def drop_unused(root: Path, keys: StoreKeys) -> list[str]:
    """Drop the older keys that no file of a store needs, and return their names; none while a recorder is there.

    The order matters: a journal that is gone by now has become a segment before.
    """
    newest = keys.newest(certain=True)
    if keys.ids == [newest] or journal_names(root / JOURNALS):
        return []
    needed = {newest}
    for path in (root / REFUSED).glob(f"*{REFUSED_ENDING}"):
        needed.add(key_of_refused(path) or newest)
    for path in (root / STATUS).glob("*.json"):
        content = path.read_bytes()
        needed.add(key_of(content) if is_closed(content) else newest)
    for folder in (REMARKS, SEGMENTS):
        needed |= {key_named(path.name) or newest for path in (root / folder).glob(f"*{ENDING}")}
    unused = [name for name in keys.ids if name not in needed]
    if unused:
        replace_document(root, keys.without(set(unused)))
        keys.newest(certain=True)  # takes up what was written
    return unused


def _files(folder: Path, ending: str, running: list[str]) -> list[Path]:
    """Return the files of a folder whose run has no journal: that run may be writing them."""
    found = sorted(folder.glob(f"*{ending}"))
    return [path for path in found if not any(name.startswith(path.name.removesuffix(ending)) for name in running)]
