"""ConversionReport: what a conversion did with every byte."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final, Self

from replaylab.conversion.plan import Known, Plan
from replaylab.parsing.scan import BYTE_KINDS, count_label
from replaylab.plural import count_of
from replaylab.segments.extent import Extent

SAME_NAME: Final = "same name, other content"
READ_OTHERWISE: Final = "same name, read with another mapping or other times"
_LISTED: Final = 5  # files or types that are named; the others are counted
REPAIRS: Final = {
    "merged_line": "repaired: whole ticks taken out",
    "torn_object": "repaired: what was cut off is null",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReport:
    """What became of one source; bytes and ticks of this conversion only.

    `status` is converted, grown, known, shrunk or unreadable; `quarantined` counts pieces. With slots, 100,000 of them
    are 20 MB; as pydantic models they were 90.
    """

    source: str
    status: str
    bytes: int = 0
    lines: int = 0
    ticks: int = 0
    repaired: int = 0
    quarantined: int = 0
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What a conversion did with every byte: ``bytes_in = kept + repaired + quarantined + blank + known``.

    `known` bytes and ticks were in the store before, and were not stored twice. `ticks_seen = ticks_stored +
    ticks_known + ticks_quarantined`: of the `pieces_quarantined`, only those that had been a tick count as one.

    Attributes
    ----------
    lines : dict
        Lines by kind.
    ticks_merged : int
        Whole ticks taken from damaged lines.
    ticks_torn : int
        Ticks of which the end was cut off; what is missing is null.
    ticks_quarantined : int
        Ticks that could not be read.
    pieces_quarantined : int
        Stretches of bytes that were quarantined, ticks or not.
    reasons : dict
        Repairs and quarantines by reason.
    examples : dict
        By reason, field and value of the first one.
    unknown_types : dict
        Lines of types that are no tick's, by type.
    zoneless_times : int
        Times without a zone, read in source_tz.
    doubtful_times : int
        Times that the clock of source_tz showed twice or never.
    zone_doubt : str
        What ids that begin with a date say against source_tz, and what fits them.
    times_truncated : int
        Times that were cut to microseconds, as asked.
    times_at_epoch : int
        Times in 1970, the beginning of the epoch.
    cut_off : list
        Packed sources that are damaged or end too early.
    read_as : dict
        Sources by how they were packed or laid out.
    left_alone : dict
        Files of folders that were not read, and why.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
    >>> report = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> report.balanced, report.bytes_in == report.bytes_kept + report.bytes_blank
    (True, True)
    """

    store: str
    source_tz: str
    sources: list[SourceReport] = field(default_factory=list)
    bytes_in: int = 0
    bytes_kept: int = 0
    bytes_repaired: int = 0
    bytes_quarantined: int = 0
    bytes_blank: int = 0
    bytes_known: int = 0
    lines: dict[str, int] = field(default_factory=dict)
    ticks_stored: int = 0
    ticks_merged: int = 0
    ticks_torn: int = 0
    ticks_known: int = 0
    ticks_quarantined: int = 0
    pieces_quarantined: int = 0
    price_filled: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    unknown_types: dict[str, int] = field(default_factory=dict)
    zoneless_times: int = 0
    doubtful_times: int = 0
    zone_doubt: str = ""
    times_truncated: int = 0
    times_at_epoch: int = 0
    segments: int = 0
    cut_off: list[str] = field(default_factory=list)
    read_as: dict[str, str] = field(default_factory=dict)
    left_alone: dict[str, str] = field(default_factory=dict)

    @property
    def ticks_seen(self) -> int:
        """Ticks met: stored now, known before, and lost to damage."""
        return self.ticks_stored + self.ticks_known + self.ticks_quarantined

    @property
    def balanced(self) -> bool:
        """Whether every byte is accounted for."""
        kinds = (self.bytes_kept, self.bytes_repaired, self.bytes_quarantined, self.bytes_blank, self.bytes_known)
        return self.bytes_in == sum(kinds)

    @property
    def unreadable(self) -> list[str]:
        """What could not be read, and why."""
        return [one.problem for one in self.sources if one.status == "unreadable"]

    @property
    def problems(self) -> list[str]:
        """What is wrong with sources as a whole: unreadable, shrunk while they were read, or no recording."""
        shrunk = [f"{one.source}: {one.problem}" for one in self.sources if one.status == "shrunk"]
        found = [*self.unreadable, *self.cut_off, *shrunk]
        if self.reasons and not self.ticks_stored + self.ticks_known:
            reason = max(self.reasons, key=lambda one: self.reasons[one])
            example = f" ({self.examples[reason]})" if reason in self.examples else ""
            found.append(f"no tick could be read: {reason}{example}; `replaylab inspect FILE` shows what a file is")
        if self.unknown_types and not self.ticks_seen:
            types = ", ".join(f"{name} {count:,}" for name, count in self.unknown_types.items())
            lines = sum(self.lines.values()) - self.lines.get("blank", 0)
            unknown = sum(self.unknown_types.values())
            found.append(
                f"{unknown:,} of {lines:,} lines are no tick of a known form (by type: {types}); "
                "`replaylab inspect FILE` shows what they are"
            )
        return found

    @property
    def ok(self) -> bool:
        """Whether everything could be read and every byte is accounted for; repaired damage is no failure."""
        return self.balanced and not self.problems

    def described(self) -> dict[str, str]:
        """Return the report in words, by name; text, page and terminal show the same, and leave out what is empty."""
        status = Counter(one.status for one in self.sources)
        states = ", ".join(f"{count:,} {name}" for name, count in sorted(status.items()))
        repaired = (
            f"{self.ticks_merged:,} ticks whole out of damaged lines, "
            f"{self.ticks_torn:,} as far as they were intact (what was cut off is null)"
        )
        doubt = f"; {self.doubtful_times:,} shown twice or never by that clock" if self.doubtful_times else ""
        words = {
            "recordings": f"{count_of(len(self.sources), 'source')} ({states}) -> "
            f"{count_of(self.ticks_stored, 'tick')} in {count_of(self.segments, 'new segment')}",
            "bytes": f"{self.bytes_in:,} in = "
            + " + ".join(f"{getattr(self, f'bytes_{kind}'):,} {kind}" for kind in (*BYTE_KINDS, "known")),
            "ticks": f"{self.ticks_seen:,} seen = {self.ticks_stored:,} stored + {self.ticks_known:,} known"
            f" + {self.ticks_quarantined:,} quarantined",
            "repaired": repaired if self.ticks_merged + self.ticks_torn else "",
            "prices": f"{self.price_filled:,} filled in by the recorder, stored as null" if self.price_filled else "",
            "times": f"{count_of(self.zoneless_times, 'time')} without a zone, read as {self.source_tz}{doubt}"
            if self.zoneless_times
            else "",
            "zone": self.zone_doubt,
            "cut": f"{count_of(self.times_truncated, 'time')} cut to microseconds" if self.times_truncated else "",
            "times in 1970": f"{self.times_at_epoch:,}: a number of another unit, or no time at all?"
            if self.times_at_epoch
            else "",
            "read as": _read_as(self.read_as),
            "no ticks": _no_ticks(self.unknown_types),
            "other content": _changed(self.sources, SAME_NAME),
            "read otherwise": _changed(self.sources, READ_OTHERWISE),
            "left alone": _left_alone(self.left_alone),
        }
        return {name: text for name, text in words.items() if text}

    def damage(self) -> list[tuple[str, int, str]]:
        """Return (reason, count, what was done and the first field at fault): repairs first, then the most frequent."""
        order = sorted(self.reasons.items(), key=lambda item: (item[0] not in REPAIRS, -item[1], item[0]))
        first = {reason: f"; first {example}" for reason, example in self.examples.items()}
        return [(reason, count, REPAIRS.get(reason, "quarantined") + first.get(reason, "")) for reason, count in order]

    def to_dict(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """Return what the report says as plain values, ready for JSON, `ticks_seen` and `balanced` among them.

        Parameters
        ----------
        without : collection of str
            Names to leave out.

        Examples
        --------
        >>> ConversionReport(store="store", source_tz="UTC").to_dict()["balanced"]
        True
        """
        names = [*(one.name for one in fields(self)), "ticks_seen", "balanced"]
        return {name: _plain(getattr(self, name)) for name in names if name not in without}

    def to_json(self) -> str:
        """Return the report as a JSON object; `from_json` reads it."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the report that `to_json` wrote.

        Examples
        --------
        >>> report = ConversionReport(store="store", source_tz="UTC", bytes_in=1)
        >>> ConversionReport.from_json(report.to_json()) == report
        True
        """
        known = {one.name for one in fields(cls)}
        values = {name: value for name, value in json.loads(text).items() if name in known}
        return cls(**{**values, "sources": [SourceReport(**one) for one in values["sources"]]})

    def model_dump(self, *, mode: str = "python", exclude: Collection[str] | None = None) -> dict[str, Any]:
        """Return `to_dict`; deprecated."""
        del mode  # the values are the same
        _say_instead("model_dump", "to_dict()")
        return self.to_dict(without=exclude or ())

    def model_dump_json(self, *, indent: int | None = None, exclude: Collection[str] | None = None) -> str:
        """Return `to_json`; deprecated."""
        _say_instead("model_dump_json", "to_json()")
        return json.dumps(self.to_dict(without=exclude or ()), ensure_ascii=False, indent=indent)

    def __str__(self) -> str:
        lines = [f"{name}: {text}" for name, text in self.described().items()]
        lines += [f"  {reason}: {count:,}, {done}" for reason, count, done in self.damage()]
        return "\n".join([*lines, *self.problems])

    def _repr_html_(self) -> str:
        from replaylab.charts.html import report_card

        return report_card(self)


def _plain(value: Any) -> Any:
    """Return sources as mappings, and lists and mappings as copies."""
    if isinstance(value, list):
        return [asdict(one) if isinstance(one, SourceReport) else one for one in value]
    return dict(value) if isinstance(value, dict) else value


def _say_instead(name: str, now: str) -> None:
    text = f"ConversionReport.{name} goes in 0.3: write report.{now}"
    warnings.warn(text, DeprecationWarning, stacklevel=3)


def _no_ticks(types: dict[str, int]) -> str:
    if not types:
        return ""
    order = sorted(types.items(), key=lambda item: -item[1])[:_LISTED]
    listed = ", ".join(f"{name} {count:,}" for name, count in order)
    more = f" and {len(types) - _LISTED:,} more types" if len(types) > _LISTED else ""
    return f"{count_of(sum(types.values()), 'line')} of types that no known recorder writes: {listed}{more}"


def _read_as(dresses: dict[str, str]) -> str:
    return ", ".join(f"{count:,} {dress}" for dress, count in Counter(dresses.values()).most_common(_LISTED))


def _changed(sources: list[SourceReport], what: str) -> str:
    found = [f"{one.source} ({one.problem})" for one in sources if one.problem.startswith(what)]
    more = f" and {len(found) - _LISTED:,} more" if len(found) > _LISTED else ""
    return ", ".join(found[:_LISTED]) + more


def _left_alone(files: dict[str, str]) -> str:
    listed = "; ".join(f"{name}: {why}" for name, why in list(files.items())[:_LISTED])
    more = f"; and {len(files) - _LISTED:,} more" if len(files) > _LISTED else ""
    counted = "1 file or folder" if len(files) == 1 else f"{len(files):,} files or folders"
    return f"{counted} ({listed}{more})" if files else ""


def report(
    store: str,
    zone: str,
    made: Plan,
    extents: Iterable[Extent],
    left_alone: Mapping[str, str] | None = None,
    zone_doubt: str = "",
) -> ConversionReport:
    """Return the report of a conversion from its plan and from the extents that it stored."""
    stored = list(extents)
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("bytes", "lines", "ticks", "reasons")}
    labels = Counter[str]()
    examples: dict[str, str] = {}
    for extent in stored:
        for name, counter in counts.items():
            counter.update(getattr(extent, name))
        for label, count in extent.labels.items():
            count_label(labels, label, count)
        for reason, example in extent.examples.items():
            examples.setdefault(reason, f"in {extent.source}: {example}")
    quarantined = sum(count for reason, count in counts["reasons"].items() if reason not in REPAIRS)
    known = _known(made, stored)
    return ConversionReport(
        store=store,
        source_tz=zone,
        sources=_sources(made, stored, known),
        bytes_in=made.bytes + sum(one.bytes for one in known),
        bytes_known=sum(one.bytes for one in known),
        **{f"bytes_{kind}": counts["bytes"][kind] for kind in BYTE_KINDS},
        lines=dict(counts["lines"]),
        ticks_stored=sum(extent.tick_count for extent in stored),
        ticks_merged=counts["ticks"]["merged"],
        ticks_torn=counts["ticks"]["torn"],
        ticks_known=sum(one.ticks for one in known),
        ticks_quarantined=counts["ticks"]["lost"],
        pieces_quarantined=quarantined,
        price_filled=counts["ticks"]["filled"],
        reasons=dict(counts["reasons"]),
        examples=examples,
        unknown_types=dict(labels),
        zoneless_times=sum(extent.zoneless_times for extent in stored),
        doubtful_times=sum(extent.doubtful_times for extent in stored),
        times_at_epoch=counts["ticks"]["at_epoch"],
        times_truncated=counts["ticks"]["truncated"],
        zone_doubt=zone_doubt,
        segments=len(made.jobs),
        cut_off=[f"{name}: {problem}" for name, problem in made.problems.items()],
        read_as=made.dresses,
        left_alone=dict(left_alone or {}),
    )


def _known(made: Plan, stored: list[Extent]) -> list[Known]:
    """Return what was known before and, with the ticks that are known by now, the twins of what was converted."""
    ticks = Counter[str]()
    for extent in [*made.held, *stored]:
        ticks[extent.source] += extent.tick_count
    return [*made.known, *(one._replace(ticks=ticks[one.stored_as]) for one in made.twins)]


def _shrunk(made: Plan, stored: list[Extent], found: dict[str, SourceReport]) -> Iterator[SourceReport]:
    """Yield the sources of which fewer bytes were read than were there when the conversion began."""
    missing = Counter[str]()
    for piece in (piece for job in made.jobs for piece in job):
        missing[piece.source.name] += piece.end - piece.start
    for extent in stored:
        missing[extent.source] -= extent.end - extent.start
    for stored_as, size in missing.items():
        name = made.grown.get(stored_as, made.changed.get(stored_as, stored_as))
        if size and name in found:
            problem = f"became shorter while it was read: {size:,} bytes that were there are missing"
            yield replace(found[name], status="shrunk", problem=problem)


def _sources(made: Plan, stored: list[Extent], known_ones: list[Known]) -> list[SourceReport]:
    found: dict[str, SourceReport] = {}
    for extent in stored:
        name = made.grown.get(extent.source, extent.source)
        before = found.get(name) or SourceReport(
            source=name, status="grown" if extent.source in made.grown else "converted"
        )
        found[name] = replace(
            before,
            bytes=before.bytes + extent.end - extent.start,
            lines=before.lines + extent.line_count,
            ticks=before.ticks + extent.tick_count,
            repaired=before.repaired + extent.ticks.get("merged", 0) + extent.ticks.get("torn", 0),
            quarantined=before.quarantined
            + sum(count for reason, count in extent.reasons.items() if reason not in REPAIRS),
        )
    for known in known_ones:
        if known.name not in found:
            alias = f" as {known.stored_as}" if known.stored_as != known.name else ""
            problem = f"its content is already in the store{alias}, read with zone {known.zone}"
            found[known.name] = SourceReport(
                source=known.name, status="known", bytes=known.bytes, ticks=known.ticks, problem=problem
            )
    for stored_as, name in made.changed.items():
        if name in found or stored_as in found:
            one = found.pop(stored_as, None) or found.pop(name)
            what = READ_OTHERWISE if stored_as in made.otherwise else SAME_NAME
            problem = f"{what} than in the store: stored as {stored_as}"
            found[name] = replace(one, source=name, problem=problem)
    found |= {one.source: one for one in _shrunk(made, stored, found)}
    for name, problem in made.unreadable.items():
        found[name] = SourceReport(source=name, status="unreadable", problem=problem)
    return sorted(found.values(), key=lambda one: one.source)
