"""Convert JSONL recordings into a store: exact, every byte accounted for, and safe to kill and to run again."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from replaylab.conversion.database import database_in, fetched
from replaylab.conversion.games import Numbering
from replaylab.conversion.job import Folders, How
from replaylab.conversion.mending import carried_on, mending
from replaylab.conversion.plan import Plan, plan
from replaylab.conversion.pool import Pool
from replaylab.conversion.report import ConversionReport, report
from replaylab.conversion.source import Paths, Piece, Search, Source, reading, search_sources
from replaylab.conversion.unpack import HEAD_BYTES, Dress, Unpacked, dress_of, too_long_document, unpack
from replaylab.durable import make_folders, of_user, sole_writer, usable_cores
from replaylab.encryption.keys import keys_for_writing
from replaylab.encryption.kms import Kms
from replaylab.errors import (
    NotARecording,
    SettingsError,
    SourceDamaged,
    SourceNotFound,
    SourceUnreadable,
    StoreError,
)
from replaylab.kernel.library import load
from replaylab.keywords import options_of
from replaylab.parsing.elements import HEADER_BYTES
from replaylab.parsing.mapping import Mapping
from replaylab.plural import count_of
from replaylab.progress import bar
from replaylab.storage.compact import remove_leftovers
from replaylab.storage.exchange import holders, stand_in, take_out
from replaylab.storage.new_store import made_for_something
from replaylab.storage.objectstore import refuse_uri
from replaylab.storage.store import REMARKS, SEGMENTS, Store
from replaylab.storage.zones import stored_fit

if TYPE_CHECKING:
    from replaylab.segments.extent import Extent
    from replaylab.segments.segment import Segment
    from replaylab.settings import Settings

_log = logging.getLogger("replaylab.conversion")
STANDARD_INPUT: Final = "-"
BATCH_BYTES: Final = 64 << 20  # packed bytes that are unpacked at once
HELPED_BYTES: Final = 96 << 20  # below this a helper process costs more than it brings


@options_of("rl.convert")
def convert(  # noqa: PLR0913 every one but the first two has a default
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    store: str | os.PathLike[str],
    *,
    source_tz: str | None = None,
    strict: bool = False,
    mapping: Mapping | str | os.PathLike[str] | None = None,
    time_unit: str = "",
    truncate_times: bool = False,
    progress: bool | None = None,
    workers: int | None = None,
    kms: Kms | None = None,
) -> ConversionReport:
    """Convert recordings into a store, which is made when it is not there.

    What is already in the store, recognised by its content, is skipped; a recording that has grown is converted from
    where it ended. Sources are only read. Damage is repaired where that is certain and quarantined where it is not.

    Parameters
    ----------
    sources : path or paths
        Files, folders (searched in depth for ``*.jsonl``, ``*.ndjson``, ``*.game.json``, also packed, with a
        mapping ``*.json`` too) and patterns; ``-`` is standard input. gzip, zstd, bzip2, xz and zip are unpacked,
        UTF-16 and arrays are read. Or, alone, ``postgresql://...``: what was exported to a database.
    store : path
        Folder of the store.
    source_tz : str, optional
        Zone of times that carry none, such as ``America/New_York``; UTC unless given here or set.
    strict : bool
        Stop at the first damage with `SourceDamaged`.
    mapping : Mapping or path, optional
        How to read objects that name their fields otherwise: a `Mapping`, a TOML file, or the name of a ready one
        (``vectra``, ``pandas``, ``trades``, ``games``).
    time_unit : {"s", "ms", "us", "ns"}, optional
        Unit of times that are numbers since 1970; without it they are refused.
    truncate_times : bool
        Cut times that are finer than a microsecond, and count them; without it they are refused.
    progress : bool, optional
        Show a progress bar, in a terminal or notebook.
    workers : int, optional
        Processes that convert at once; one a core unless given here or set. Small inputs never need a second one.
    kms : Kms, optional
        The master key of an encrypted store; a store that is made is encrypted with it. That of the environment
        unless given.

    Raises
    ------
    SourceNotFound, SourceEmpty, SourceUnreadable, NotARecording, SourceDamaged
        About the recordings; one of several that cannot be read is named in the report instead.
    SettingsError
        For a zone that is not known, or a number of workers below one.
    KeyMissing, KeyWrong, Tampered
        About the key of an encrypted store.
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
    if (address := database_in(sources)) is not None:
        if mapping is not None or time_unit or truncate_times:
            raise SettingsError("a database holds ticks as a store does: leave out mapping, time_unit, truncate_times")
        refuse_uri(store)
        return fetched(address, of_user(store), zone=settings.source_tz, progress=settings.progress, kms=kms)
    how_read = _mapping(mapping, time_unit, truncate_times=truncate_times)
    how = How(settings.source_tz, strict=strict, mapping=how_read, numbering=Numbering.needed(how_read))
    refuse_uri(store)
    root = of_user(store)
    made = Plan()
    extents: list[Extent] = []
    with (
        TemporaryDirectory(prefix="replaylab-") as place,
        made_for_something(root, NotARecording, SourceUnreadable, SourceDamaged),
    ):
        paths, piped = _without_input(sources, Path(place))
        search = (
            Search([], {}) if piped and not paths else search_sources(paths, store=root, documents=how_read is not None)
        )
        found = [*search.sources, *piped]
        keys = keys_for_writing(root, kms, SEGMENTS)
        folders = Folders(root / SEGMENTS, root / REMARKS, keys)
        make_folders(root, folders.segments, folders.remarks, private=keys is not None)
        with sole_writer(root) as lock:
            held = Store(root, kms=None if keys is None else keys.kms)
            remove_leftovers(held)
            run = _Run(held, folders, how, lock, settings, Path(place), made, extents)
            run.convert(found)
            doubt = _zone_doubt(held, run.segments, extents, root)
            if found and len(made.unreadable) == len(found):
                problem = "; ".join(made.unreadable.values())
                raise NotARecording(problem) if made.refused else SourceUnreadable(problem)
    done = report(str(root), how.zone, made, extents, search.left_alone, doubt)
    fields = done.to_dict(without={"sources", "reasons", "examples", "left_alone"}) | {
        "sources": len(found),
        "event": "converted",
    }
    _log.log(logging.INFO if done.ok else logging.WARNING, "converted into %s: %s", root, _in_short(done), extra=fields)
    return done


def _zone_doubt(held: Store, written: Sequence[Segment], extents: Sequence[Extent], root: Path) -> str:
    """Return what the ids of the store say against the zone of the times that were just read, and what fits them."""
    if not any(one.zoneless_times for one in extents):
        return ""
    held.take_up(written)
    fit = stored_fit(held.sealed())
    return f"{fit}; rl.rezone({str(root)!r}, {fit.fitting[0]!r}) changes what is stored" if fit else ""


def _mapping(given: Mapping | str | os.PathLike[str] | None, unit: str, *, truncate_times: bool) -> Mapping | None:
    """Return the mapping that is to be read by; None when lines are read as always."""
    mapping = None if given is None else Mapping.load(given if isinstance(given, Mapping) else Path(given))
    if unit or truncate_times:
        mapping = mapping or Mapping()
        mapping = replace(
            mapping, time_unit=unit or mapping.time_unit, truncate_times=truncate_times or mapping.truncate_times
        )
    return None if mapping == Mapping() else mapping


def _without_input(given: Paths | Iterable[Paths], place: Path) -> tuple[list[Paths], list[Source]]:
    """Return the paths without ``-``, and what standard input holds as a source."""
    paths = [given] if isinstance(given, (str, os.PathLike)) else list(given)
    rest = [path for path in paths if os.fspath(path) != STANDARD_INPUT]
    if len(rest) == len(paths):
        return rest, []
    if sys.stdin is None:
        raise SourceNotFound("standard input is closed; pipe a recording into it, or name a file")
    target = place / "stdin"
    with target.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    return rest, [Source(target, "stdin", target.stat().st_size)]


class _Run:
    """One conversion: sources that can be read as they are together, others unpacked a few at a time."""

    def __init__(
        self,
        held: Store,
        folders: Folders,
        how: How,
        lock: int,
        settings: Settings | _Plain,
        place: Path,
        made: Plan,
        extents: list[Extent],
    ) -> None:
        self.held, self.folders, self.how, self.lock, self.settings = held, folders, how, lock, settings
        self.place, self.made, self.extents = place, made, extents
        self.segments: list[Segment] = []  # written, with times whose zone is to be judged

    def convert(self, sources: list[Source]) -> None:
        """Convert sources, adding to the plan and the extents."""
        plain, dressed = self._looked_at(sources)
        made = self._plan(plain)
        total = made.bytes + sum(source.size for source, _ in dressed)
        with bar(total, "convert", "B", show=self.settings.progress) as shown:
            self._work(made, shown.update)
            for batch in _batches(dressed):
                unpacked = [one for source, dress in batch if (one := self._unpack(source, dress, shown.update))]
                for elements in sorted({one.dress.elements for one in unpacked}):
                    self._work_unpacked([one for one in unpacked if one.dress.elements == elements], elements)

    def _work_unpacked(self, unpacked: list[Unpacked], elements: str) -> None:
        """Convert what was unpacked, of which all documents have their elements at one path."""
        part = self._plan([one.source for one in unpacked])
        part.problems |= {one.source.name: one.problem for one in unpacked if one.problem}
        part.dresses |= {one.source.name: one.dress.text for one in unpacked}
        within = dict(self.how.mapping.elements) if self.how.mapping is not None else {}
        self._work(part, lambda _size: None, replace(self.how, element=within.get(elements)))
        for one in unpacked:
            one.source.path.unlink()

    def _looked_at(self, sources: list[Source]) -> tuple[list[Source], list[tuple[Source, Dress]]]:
        """Return the sources that can be read as they are, and those that have to be unpacked."""
        plain: list[Source] = []
        dressed: list[tuple[Source, Dress]] = []
        for source in sources:
            try:
                with reading(source.path) as file:
                    size = HEADER_BYTES if self.how.mapping is not None and self.how.mapping.elements else HEAD_BYTES
                    head = file.read(size)
                    dress = dress_of(head, document=source.is_document, mapping=self.how.mapping)
            except SourceUnreadable:
                plain.append(source)  # the plan says why
                continue
            if dress.other:
                self._refuse(source, f"{source.name}: {dress.other}, not a recording; nothing of it was stored")
            elif dress.plain and (problem := too_long_document(source, head, self.how.mapping)):
                self._refuse(source, f"{source.name}: {problem}; nothing of it was stored")
            elif dress.plain:
                plain.append(source)
            else:
                dressed.append((source, dress))
        return plain, dressed

    def _refuse(self, source: Source, problem: str) -> None:
        if self.how.strict:
            raise NotARecording(problem)
        self.made.unreadable[source.name] = problem
        self.made.refused += 1

    def _unpack(self, source: Source, dress: Dress, done: Callable[[int], object]) -> Unpacked | None:
        try:
            target = self.place / f"{len(list(self.place.iterdir()))}-{id(source):x}"
            return unpack(source, dress, target, done, self.how.mapping)
        except NotARecording as error:
            self._refuse(source, str(error))
        except SourceUnreadable as error:
            if self.how.strict:
                raise
            self.made.unreadable[source.name] = str(error)
        return None

    def _plan(self, sources: list[Source]) -> Plan:
        digest = "" if self.how.mapping is None else self.how.mapping.digest
        return plan(sources, self.held.extents(), zone=self.how.zone, strict=self.how.strict, mapping=digest)

    def _work(self, made: Plan, done: Callable[[int], object], how: How | None = None) -> None:
        """Do what a plan says."""
        if not any((made.jobs, made.mended, made.retaken, made.emptied, made.known, made.twins)):
            self.made.add(made)
            return
        in_order = self.how.strict or self.how.numbering is not None
        if self.how.numbering is not None:
            self.how.numbering.take_up(self.held.sealed(), made.grown, made.retaken)
        try:
            mended = mending(made, holders(self.held, made.retaken))
            for held in mended.exchanged:
                stand_in(self.held, held)
            first = self._run(mended.jobs, done, how, strict=True)
            made.jobs = carried_on(made.jobs, mended.jobs, first)
            self._run(made.jobs, done, how, strict=in_order)
            made.jobs = [*mended.jobs, *made.jobs]
            if made.retaken or made.emptied:
                take_out(self.held, [*made.retaken, *made.emptied])
        except BaseException:
            with suppress(StoreError):  # what cannot be removed now is removed by the next run
                remove_leftovers(self.held)
            raise
        self.made.add(made)

    def _run(
        self, jobs: list[list[Piece]], done: Callable[[int], object], how: How | None, *, strict: bool
    ) -> list[Extent]:
        """Do jobs, in order when `strict`; return the extents that are in the store now."""
        size = sum(piece.end - piece.start for job in jobs for piece in job)
        pool = Pool(jobs, self.folders, how=how or self.how, lock=self.lock)
        found = pool.run(*_hands(size, self.settings.workers, strict=strict), done) if jobs else []
        self.extents += found
        self.segments += pool.segments
        return found


def _batches(dressed: list[tuple[Source, Dress]]) -> Iterator[list[tuple[Source, Dress]]]:
    """Yield sources to unpack at once: at most `BATCH_BYTES` packed bytes, or one."""
    batch: list[tuple[Source, Dress]] = []
    for one in dressed:
        if batch and sum(source.size for source, _ in batch) + one[0].size > BATCH_BYTES:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _in_short(done: ConversionReport) -> str:
    stored = count_of(done.ticks_stored, "tick")
    return f"{stored} stored, {done.ticks_known:,} known, {done.ticks_quarantined:,} quarantined"


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
    more = (usable_cores() if workers is None else workers) - 1
    if strict or not more:
        return 0, 0
    if load() is not None:  # the kernel reads without the interpreter's lock, so threads bring what processes would
        return 0, more
    return (more, 0) if size >= HELPED_BYTES and sys.executable and os.name == "posix" else (0, 1)
