"""Opening: what recorders have left behind is sealed first, as far as this process may; then the store is read."""

from __future__ import annotations

import logging
import os
from typing import Any

from replaylab.encryption.kms import Kms
from replaylab.keywords import options_of
from replaylab.storage.objectstore import is_uri, opened
from replaylab.storage.recovery import LATER, LIVE, recover
from replaylab.storage.store import Store

_log = logging.getLogger("replaylab.store")


@options_of("rl.open_store")
def open_store(path: str | os.PathLike[str], *, filesystem: Any = None, kms: Kms | None = None) -> Store:
    """Open a store, and seal what recorders that have died left in its journals.

    What cannot be sealed now, because the store may only be read, the disk is full or another process is at it, is read
    from the journals as it is. `Store(path)` opens without changing anything.

    Parameters
    ----------
    path : path or URI
        A folder, or a place in an object store such as ``s3://bucket/prefix``, which is read and never written to.
    filesystem : pyarrow or fsspec file system, optional
        With one, `path` is a place in it.
    kms : Kms, optional
        The master key of an encrypted store, such as ``rl.FileKey("master.key")``; that of the environment
        (``REPLAYLAB_KEY_FILE``, ``REPLAYLAB_KEY``) unless given. A store in plain is refused with one.

    Raises
    ------
    StoreNotFound
        When there is no store at the path.
    StoreUnreachable
        When an object store does not answer.
    KeyMissing, KeyWrong, Tampered
        When an encrypted store has no key at hand, another one, or a ``keys.json`` that was altered.
    StoreTooNew
        When a newer release wrote it in a schema that this one does not know.

    Examples
    --------
    >>> import replaylab as rl
    >>> rl.open_store("no/such/folder")
    Traceback (most recent call last):
    ...
    replaylab.errors.StoreNotFound: no store at no/such/folder; make one with `replaylab convert SOURCE --to ...`
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"{path!r} is no path of a store; type rl.open_store('store')")
    if filesystem is not None or is_uri(path):
        return opened(path, filesystem, kms)
    store = Store(path, kms=kms)
    for one in recover(store).journals:
        if one.problem not in {None, LIVE, LATER}:
            _log.info("%s is read as it is: %s", one.journal, one.problem, extra={"event": "unsealed"})
    _log.info(
        "%s opened: %d segments", store.path, len(store.sealed()), extra={"event": "opened", "store": str(store.path)}
    )
    return store
