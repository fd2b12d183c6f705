"""Commands on the keys of a store: encrypt it, and wrap its key by another master key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from replaylab.cli.options import AsJson, NoProgress, StorePath
from replaylab.errors import KeyMissing
from replaylab.urls import without_secrets

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
    from replaylab.encryption.kms import FileKey, NewFileKey, kms_of_environment
    from replaylab.storage.encrypt import encrypt as library_encrypt

    kms = kms_of_environment()
    if kms is None:
        raise KeyMissing(
            f"{without_secrets(store)}: no key to encrypt it with; pass --key-file FILE, with --new-key to make one"
        )
    if new_key and isinstance(kms, FileKey):
        kms = NewFileKey(kms.path)
    report = library_encrypt(store, kms, progress=not no_progress)
    show_json(report) if json else show_pairs({"encrypted": str(report)})


def rotate(
    store: StorePath,
    *,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Key file that opens the store from now on.")
    ] = None,
    new_key: NewKey = False,
    new_store_key: Annotated[
        bool, typer.Option("--new-store-key", help="Give the store a new key of its own, for every new file.")
    ] = False,
) -> None:
    """Wrap the keys of a store by another master key (--to), or give the store a new key (--new-store-key).

    One small file is rewritten, no segment is touched. With --to, the key of --key-file opens the store no more, but
    copies that were made before. With --new-store-key, `replaylab compact` encrypts older files anew.
    """
    from replaylab.cli.tables import show_pairs
    from replaylab.encryption.keys import rotate as library_rotate
    from replaylab.encryption.kms import FileKey, NewFileKey, kms_of_environment

    kms = kms_of_environment()
    if kms is None:
        raise KeyMissing(f"{without_secrets(store)}: no key that opens it now; pass --key-file FILE")
    if to is None and not new_store_key:
        raise typer.BadParameter("nothing to do: pass --to FILE for another master key, or --new-store-key")
    if to is None and new_key:
        raise typer.BadParameter("--new-key makes the file of --to FILE; for a new key of the store: --new-store-key")
    new = None if to is None else NewFileKey(to) if new_key else FileKey(to)
    keys = library_rotate(store, kms, new, new_store_key=new_store_key)
    if to is not None:
        show_pairs({"opened by": f"{to} from now on; keep a copy of it elsewhere"})
    if new_store_key:
        older = ", ".join(keys.ids[:-1])
        show_pairs({"new files": keys.id, "older files": f"{older}, until `replaylab compact` encrypts them anew"})
