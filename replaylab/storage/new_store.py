"""A store that is made for something: when nothing comes into it, nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from replaylab.durable import LOCK_FILE, remove, sole_writer
from replaylab.encryption.document import KEYS_FILE
from replaylab.errors import StoreError
from replaylab.storage.files import REMARKS, SEGMENTS


@contextmanager
def made_for_something(root: Path, *refusals: type[Exception]) -> Iterator[None]:
    """Remove the folders of a new store again when what should come in was refused and nothing is in it.

    Parameters
    ----------
    root : Path
        The store; one that is there already is left as it is.
    *refusals : type
        The errors after which it is removed.
    """
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        yield
    except refusals:
        with suppress(OSError, StoreError):
            if missing:
                with sole_writer(root, 0):
                    for folder in (root / SEGMENTS, root / REMARKS):
                        folder.rmdir()  # refused when something is in it
                    remove([root / KEYS_FILE, root / LOCK_FILE])
                for folder in missing:
                    folder.rmdir()
        raise
