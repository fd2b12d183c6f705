"""Commands on the keys of a store: encrypt it, and wrap its key by another master key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from replaylab.cli.options import AsJson, NoProgress, StorePath
from replaylab.errors import KeyMissing

NewKey = Annotated[bool, typer.Option("--new-key", help="Make the key file, when it is not there.")]


def encrypt(
    store: StorePath,
    *,
    new_key: NewKey = False,
    no_progress: NoProgress = False,
    json: AsJson = False,
) -> None:
    """Encrypt a store in place, with the key of --key-file; a run that was killed is finished by the next one.

    Keep a copy of the key file elsewhere: without it nothing can be read.
    """
    from replaylab.cli.tables import show_json, show_pairs
    from replaylab.encryption.kms import FileKey, kms_of_environment
    from replaylab.storage.encrypt import encrypt as library_encrypt

    kms = kms_of_environment()
    if kms is None:
        raise KeyMissing(f"{store}: no key to encrypt it with; pass --key-file FILE, with --new-key to make one")
    if new_key and isinstance(kms, FileKey):
        FileKey(kms.path, create=True)
    report = library_encrypt(store, kms, progress=not no_progress)
    show_json(report) if json else show_pairs({"encrypted": str(report)})


def rotate(
    store: StorePath,
    *,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="Key file that opens the store from now on.")],
    new_key: NewKey = False,
) -> None:
    """Wrap the key of a store by another master key; the one of --key-file opens it no more.

    One small file is rewritten, no segment is touched. Copies that were made before are still opened by the old key.
    """
    from replaylab.encryption.keys import rotate as library_rotate
    from replaylab.encryption.kms import FileKey, kms_of_environment

    kms = kms_of_environment()
    if kms is None:
        raise KeyMissing(f"{store}: no key that opens it now; pass --key-file FILE")
    library_rotate(store, kms, FileKey(to, create=new_key))
