"""Encrypt a store that exists: one file after the other, so that it can be read at any moment of it, with the key.

``keys.json`` comes first and says that files in plain are still expected; each segment is written anew, encrypted, and
replaces the one before as a compaction does; ``keys.json`` says last that none is expected any more. A run that is
killed leaves a store that opens with the key, and running again does the rest.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from replaylab.durable import make_private, of_user, sole_writer, sweep
from replaylab.encryption.document import ENCRYPTED, ENCRYPTING
from replaylab.encryption.envelope import is_closed, write_file
from replaylab.encryption.keys import StoreKeys, keys_of, make_keys, read_document, replace_document
from replaylab.encryption.kms import Kms
from replaylab.encryption.lines import MARK
from replaylab.encryption.parquet import is_sealed_name
from replaylab.errors import SegmentDamaged, StoreBusy
from replaylab.journals.unsealed import first_header, journal_names
from replaylab.keywords import options_of
from replaylab.plural import count_of
from replaylab.progress import bar
from replaylab.segments.segment import is_segment_name
from replaylab.storage.compact import remove_leftovers, write_anew
from replaylab.storage.kept_summaries import forget
from replaylab.storage.objectstore import refuse_uri
from replaylab.storage.recovery import recover
from replaylab.storage.refused import ENDING as REFUSED_ENDING
from replaylab.storage.refused import REFUSED, refused_problems, write_refused
from replaylab.storage.renewal import STATUS
from replaylab.storage.store import JOURNALS, Store

_log = logging.getLogger("replaylab.encryption")


@dataclass(frozen=True, slots=True)
class EncryptionReport:
    """What an encryption did.

    Examples
    --------
    >>> print(EncryptionReport("store", segments=3, rows=10, refused=1))
    3 segments of 10 rows and 1 file of refused lines encrypted
    """

    store: str
    segments: int = 0
    rows: int = 0
    refused: int = 0

    def __str__(self) -> str:
        files = f"{count_of(self.refused, 'file')} of refused lines"
        return f"{count_of(self.segments, 'segment')} of {count_of(self.rows, 'row')} and {files} encrypted"


@options_of("rl.encrypt")
def encrypt(store: str | os.PathLike[str], kms: Kms, *, progress: bool = True) -> EncryptionReport:
    """Encrypt a store in place; a run that was killed is finished by the next one.

    Every reader and recorder needs the key from the first moment on. Needs room for a copy of the largest segment. What
    the disk keeps of the files that were removed, and copies elsewhere, stay in plain.

    Parameters
    ----------
    store : path
        The store.
    kms : Kms
        The master key.
    progress : bool
        Show a progress bar.

    Raises
    ------
    StoreBusy
        When a recorder without the key is still writing, or a conversion or compaction is running.
    SegmentDamaged
        When a file is not what was written; what is encrypted by then stays so.
    KeyMissing, KeyWrong
        When the key cannot be had, or is not that of a store that is encrypted already.
    StoreNotFound, StoreFull, StoreUnwritable
        Nothing is lost in any of these cases.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> key = rl.FileKey(folder + "/master.key", create=True)
    >>> rl.encrypt(folder + "/store", key, progress=False).segments
    1
    >>> rl.open_store(folder + "/store", kms=key).encrypted
    True
    """
    refuse_uri(store)
    root = of_user(store)
    if read_document(root) is None:
        _refuse_plain(root)
        with sole_writer(root):
            make_keys(root, kms, ENCRYPTING)
    keys = keys_of(root, kms)
    if keys is None or keys.state == ENCRYPTED:
        return EncryptionReport(str(root))
    recover(root, kms=kms)
    _refuse_recorders(root, keys)
    with sole_writer(root):
        _make_private(root)
        report = _encrypt_files(Store(root, kms=kms), keys, progress=progress)
        _refuse_recorders(root, keys)
        replace_document(root, keys.with_state(ENCRYPTED))
    _log.info("%s encrypted: %s", root, report, extra={"event": "encrypted", **asdict(report)})
    return report


def _refuse_plain(root: Path) -> None:
    """Raise when a store in plain cannot be encrypted, before anything is changed."""
    recover(root)
    opened = Store(root)
    _refuse_damage(opened, None)
    if journal_names(root / JOURNALS):
        raise StoreBusy(f"{root}: a recorder is writing, or a journal cannot be sealed; stop it, and encrypt then")


def _refuse_damage(store: Store, keys: StoreKeys | None) -> None:
    store.sealed()
    damaged = [reason for name, reason in store.damaged.items() if is_segment_name(name)]
    for reason in [*damaged, *refused_problems(store.path, keys)]:
        raise SegmentDamaged(f"{reason}; restore it from a backup or remove it, then encrypt again")


def _refuse_recorders(root: Path, keys: StoreKeys) -> None:
    """Raise `StoreBusy` when a journal in plain is left: its recorder began before the store had a key."""
    for name in journal_names(root / JOURNALS):
        header = first_header(root / JOURNALS / name, keys=keys)
        if header is None or not header.salt:
            raise StoreBusy(
                f"{root}: {name} is in plain, its recorder began without the key; stop it, and encrypt again"
            )


def _encrypt_files(store: Store, keys: StoreKeys, *, progress: bool) -> EncryptionReport:
    remove_leftovers(store)
    plain = [segment for segment in store.sealed() if not is_sealed_name(segment.name)]
    _refuse_damage(store, keys)
    rows = 0
    with bar(len(plain), "encrypt", "segment", show=progress) as shown:
        for segment in plain:
            write_anew(store, segment)
            rows += segment.footer.rows
            remove_leftovers(store)
            shown.update(1)
    files = [path for path in sorted((store.path / REFUSED).glob(f"*{REFUSED_ENDING}")) if not _is_sealed(path)]
    for path in files:
        _encrypt_refused(path, keys)
    for path in sorted((store.path / STATUS).glob("*.json")):
        content = path.read_bytes()
        if not is_closed(content):
            write_file(path, keys, "status", content)
    forget(store.path)
    for folder, _, _ in os.walk(store.path):
        sweep(Path(folder))  # what writers that were killed have left half-written is in plain too
    return EncryptionReport(str(store.path), len(plain), rows, len(files))


def _is_sealed(path: Path) -> bool:
    """Whether the lines of a file of refused lines are encrypted."""
    lines = path.read_bytes().split(b"\n", 3)
    return b'"salt"' in lines[0] and (len(lines) < 3 or not lines[2] or lines[2].startswith(MARK))


def _encrypt_refused(path: Path, keys: StoreKeys) -> None:
    write_refused(path, keys, (json.loads(line) for line in path.read_bytes().splitlines()))


def _make_private(root: Path) -> None:
    """Close every folder and file of a store to all but its owner."""
    for folder, _, names in os.walk(root):
        make_private(Path(folder))
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o600)
