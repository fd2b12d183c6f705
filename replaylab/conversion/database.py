"""A database as the source of a conversion: what was exported to it comes back, with its account."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from replaylab.conversion.plan import Known, Plan
from replaylab.conversion.report import ConversionReport, report
from replaylab.conversion.source import Piece, Source
from replaylab.encryption.kms import Kms
from replaylab.errors import SettingsError
from replaylab.postgres.address import is_address

_log = logging.getLogger("replaylab.conversion")


def database_in(sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> str | None:
    """Return the address of the database that is to be converted, if it is one; raise when there is more beside it."""
    given = [sources] if isinstance(sources, (str, os.PathLike)) else sources
    if not isinstance(given, (list, tuple)):
        return None  # of an iterator nothing may be taken here
    found = [str(one) for one in given if is_address(one)]
    if found and len(given) > 1:
        raise SettingsError("a database is converted alone: leave out the other sources")
    return found[0] if found else None


def fetched(address: str, store: Path, *, zone: str, progress: bool, kms: Kms | None = None) -> ConversionReport:
    """Bring a database into a store, and return the report of the sources that it holds."""
    from replaylab.postgres.fetch import fetch

    found = fetch(address, store, kms=kms, progress=progress)
    made = Plan()
    made.known = [Known(one.source, one.source, one.end - one.start, one.tick_count, one.zone) for one in found.known]
    made.held = list(found.known)
    made.jobs = [
        [Piece(Source(Path(one.source), one.source, one.end), one.start, one.end, 0, 0)] for one in found.extents
    ]
    done = replace(report(str(store), zone, made, found.extents), segments=found.segments)
    fields = {"event": "fetched", "store": str(store), "database": found.database, "ticks": done.ticks_stored}
    _log.info("%s brought into %s: %d ticks", found.database, store, done.ticks_stored, extra=fields)
    return done
