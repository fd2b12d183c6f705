"""Convert JSONL recordings into a store: exact, every byte accounted for, and safe to kill and to run again."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from replaylab.conversion.job import Folders
from replaylab.conversion.plan import plan
from replaylab.conversion.pool import Pool
from replaylab.conversion.source import search_sources
from replaylab.durable import make_folders, sole_writer
from replaylab.errors import SourceUnreadable, StoreError
from replaylab.kernel.library import load
from replaylab.progress import bar
from replaylab.storage.compact import remove_leftovers, take_out
from replaylab.storage.objectstore import refuse_uri
from replaylab.storage.store import REMARKS, SEGMENTS, Store

if TYPE_CHECKING:
    from replaylab.conversion.report import ConversionReport
    from replaylab.settings import Settings

_log = logging.getLogger("replaylab.conversion")
HELPED_BYTES: Final = 96 << 20  # below this a helper process costs more than it brings


def convert(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    store: str | os.PathLike[str],
    *,
    source_tz: str | None = None,
    strict: bool = False,
    progress: bool | None = None,
    workers: int | None = None,
) -> ConversionReport:
    """Convert recordings into a store, which is made when it is not there.

    What is already in the store, recognised by its content, is skipped; a recording that has grown is converted from
    where it ended. Sources are only read. Damage is repaired where that is certain and quarantined where it is not.

    Parameters
    ----------
    sources : path or paths
        Files, folders (searched in depth for ``*.jsonl`` and ``*.game.json``) and patterns.
    store : path
        Folder of the store.
    source_tz : str, optional
        Zone of times that carry none, such as ``America/New_York``; UTC unless given here or set.
    strict : bool
        Stop at the first damage with `SourceDamaged`.
    progress : bool, optional
        Show a progress bar, in a terminal or notebook.
    workers : int, optional
        Processes that convert at once; one a core unless given here or set. Small inputs never need a second one.

    Raises
    ------
    SourceNotFound, SourceEmpty, SourceUnreadable, SourceDamaged
        About the recordings; one of several that may not be read is named in the report instead.
    SettingsError
        For a zone that is not known, or a number of workers below one.
    StoreBusy, StoreFull, StoreUnwritable, StoreTooNew
        About the store; what was stored before is intact, and running again carries on.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
    >>> first = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> again = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> first.ticks_stored == again.ticks_known, again.ticks_stored
    (True, 0)
    """
    settings = _settings(source_tz=source_tz, workers=workers, progress=progress)
    zone = settings.source_tz
    refuse_uri(store)
    root = Path(store)
    search = search_sources(sources, store=root)
    found = search.sources
    folders = Folders(root / SEGMENTS, root / REMARKS)
    make_folders(root, folders.segments, folders.remarks)
    with sole_writer(root) as lock:
        held = Store(root)
        remove_leftovers(held)
        made = plan(found, held.extents(), zone=zone, strict=strict)
        if len(made.unreadable) == len(found):
            raise SourceUnreadable("; ".join(made.unreadable.values()))
        take_out(held, made.retaken)
        pool = Pool(made.jobs, folders, zone=zone, strict=strict, lock=lock)
        with bar(made.bytes, "convert", "B", show=settings.progress) as shown:
            try:
                extents = pool.run(*_hands(made.bytes, settings.workers, strict=strict), shown.update)
            except BaseException:
                with suppress(StoreError):  # what cannot be removed now is removed by the next run
                    remove_leftovers(held)
                raise
    from replaylab.conversion.report import report  # brings pydantic, so it loads while nothing waits for it

    done = report(str(root), zone, made, extents, search.left_alone)
    counts_only = {"sources", "reasons", "examples", "left_alone"}
    fields = done.model_dump(mode="json", exclude=counts_only) | {
        "sources": len(found),
        "event": "converted",
    }
    _log.log(logging.INFO if done.ok else logging.WARNING, "converted into %s: %s", root, _in_short(done), extra=fields)
    return done


def _in_short(done: ConversionReport) -> str:
    return f"{done.ticks_stored:,} ticks stored, {done.ticks_known:,} known, {done.ticks_quarantined:,} quarantined"


@dataclass(frozen=True, slots=True)
class _Plain:
    """The settings of a conversion where none is set: the defaults of `Settings`, without pydantic's start."""

    source_tz: str = "UTC"
    workers: int | None = None
    progress: bool = True


def _settings(*, source_tz: str | None, workers: int | None, progress: bool | None) -> Settings | _Plain:
    """Return the settings of this conversion, those in the environment included."""
    in_environment = any(name.upper().startswith("REPLAYLAB_") for name in os.environ)
    plain = source_tz is None and workers is None and not in_environment
    if plain and type(progress) in {type(None), bool}:
        return _Plain(progress=progress is not False)
    from replaylab.settings import current  # pydantic loads only where there is something to check

    given = {"source_tz": source_tz, "workers": workers, "progress": progress}
    return current().changed(**{name: value for name, value in given.items() if value is not None})


def _hands(size: int, workers: int | None, *, strict: bool) -> tuple[int, int]:
    """How many helpers and mates to work with; strict reads in order, so that the first damage is the first."""
    more = (len(os.sched_getaffinity(0)) if workers is None else workers) - 1
    if strict or not more:
        return 0, 0
    if load() is not None:  # the kernel reads without the interpreter's lock, so threads bring what processes would
        return 0, more
    return (more, 0) if size >= HELPED_BYTES and sys.executable else (0, 1)
