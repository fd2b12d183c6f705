"""ConversionReport: what a conversion did with every byte."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, computed_field

from replaylab.conversion.plan import Known, Plan
from replaylab.parsing.scan import BYTE_KINDS
from replaylab.segments.extent import Extent

REPAIRS: Final = {
    "merged_line": "repaired: whole ticks taken out",
    "torn_object": "repaired: what was cut off is null",
}


class SourceReport(BaseModel):
    """What became of one source; bytes and ticks of this conversion only."""

    model_config = ConfigDict(frozen=True)

    source: str
    status: str = Field(description="converted, grown, known or unreadable")
    bytes: int = 0
    lines: int = 0
    ticks: int = 0
    repaired: int = 0
    quarantined: int = 0
    problem: str = ""


class ConversionReport(BaseModel):
    """What a conversion did with every byte: ``bytes_in = kept + repaired + quarantined + blank + known``.

    `known` bytes and ticks were in the store before, and were not stored twice. `ticks_seen = ticks_stored +
    ticks_known + ticks_quarantined`, where a quarantined span counts as one tick that could not be saved.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
    >>> report = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> report.balanced, report.bytes_in == report.bytes_kept + report.bytes_blank
    (True, True)
    """

    model_config = ConfigDict(frozen=True)

    store: str
    source_tz: str
    sources: list[SourceReport] = Field(default_factory=list)
    bytes_in: int = 0
    bytes_kept: int = 0
    bytes_repaired: int = 0
    bytes_quarantined: int = 0
    bytes_blank: int = 0
    bytes_known: int = 0
    lines: dict[str, int] = Field(default_factory=dict, description="lines by kind")
    ticks_stored: int = 0
    ticks_merged: int = Field(0, description="whole ticks taken from damaged lines")
    ticks_torn: int = Field(0, description="ticks of which the end was cut off; what is missing is null")
    ticks_known: int = 0
    ticks_quarantined: int = 0
    price_filled: int = 0
    reasons: dict[str, int] = Field(default_factory=dict, description="repairs and quarantines by reason")
    zoneless_times: int = Field(0, description="times without a zone, read in source_tz")
    doubtful_times: int = Field(0, description="times that the clock of source_tz showed twice or never")
    segments: int = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ticks_seen(self) -> int:
        """Ticks met: stored now, known before, and lost to damage."""
        return self.ticks_stored + self.ticks_known + self.ticks_quarantined

    @computed_field  # type: ignore[prop-decorator]
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
    def ok(self) -> bool:
        """Whether everything could be read and every byte is accounted for; repaired damage is no failure."""
        return self.balanced and not self.unreadable

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
            "recordings": f"{_count(len(self.sources), 'source')} ({states}) -> {_count(self.ticks_stored, 'tick')} "
            f"in {_count(self.segments, 'new segment')}",
            "bytes": f"{self.bytes_in:,} in = "
            + " + ".join(f"{getattr(self, f'bytes_{kind}'):,} {kind}" for kind in (*BYTE_KINDS, "known")),
            "ticks": f"{self.ticks_seen:,} seen = {self.ticks_stored:,} stored + {self.ticks_known:,} known"
            f" + {self.ticks_quarantined:,} quarantined",
            "repaired": repaired if self.ticks_merged + self.ticks_torn else "",
            "prices": f"{self.price_filled:,} filled in by the recorder, stored as null" if self.price_filled else "",
            "times": f"{_count(self.zoneless_times, 'time')} without a zone, read as {self.source_tz}{doubt}"
            if self.zoneless_times
            else "",
        }
        return {name: text for name, text in words.items() if text}

    def damage(self) -> list[tuple[str, int, str]]:
        """Return (reason, count, what was done) of all damage: repairs first, then the most frequent."""
        order = sorted(self.reasons.items(), key=lambda item: (item[0] not in REPAIRS, -item[1], item[0]))
        return [(reason, count, REPAIRS.get(reason, "quarantined")) for reason, count in order]

    def __str__(self) -> str:
        lines = [f"{name}: {text}" for name, text in self.described().items()]
        lines += [f"  {reason}: {count:,}, {done}" for reason, count, done in self.damage()]
        return "\n".join([*lines, *self.unreadable])

    def _repr_html_(self) -> str:
        from replaylab.charts.html import report_card

        return report_card(self)


def report(store: str, zone: str, made: Plan, extents: Iterable[Extent]) -> ConversionReport:
    """Return the report of a conversion from its plan and from the extents that it stored."""
    stored = list(extents)
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("bytes", "lines", "ticks", "reasons")}
    for extent in stored:
        for name, counter in counts.items():
            counter.update(getattr(extent, name))
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
        ticks_quarantined=quarantined,
        price_filled=counts["ticks"]["filled"],
        reasons=dict(counts["reasons"]),
        zoneless_times=sum(extent.zoneless_times for extent in stored),
        doubtful_times=sum(extent.doubtful_times for extent in stored),
        segments=len(made.jobs),
    )


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def _known(made: Plan, stored: list[Extent]) -> list[Known]:
    """Return what was known before and, with the ticks that are known by now, the twins of what was converted."""
    ticks = Counter[str]()
    for extent in [*made.held, *stored]:
        ticks[extent.source] += extent.tick_count
    return [*made.known, *(one._replace(ticks=ticks[one.stored_as]) for one in made.twins)]


def _sources(made: Plan, stored: list[Extent], known_ones: list[Known]) -> list[SourceReport]:
    found: dict[str, SourceReport] = {}
    for extent in stored:
        name = made.grown.get(extent.source, extent.source)
        before = found.get(name) or SourceReport(
            source=name, status="grown" if extent.source in made.grown else "converted"
        )
        found[name] = before.model_copy(
            update={
                "bytes": before.bytes + extent.end - extent.start,
                "lines": before.lines + extent.line_count,
                "ticks": before.ticks + extent.tick_count,
                "repaired": before.repaired + extent.ticks.get("merged", 0) + extent.ticks.get("torn", 0),
                "quarantined": before.quarantined
                + sum(count for reason, count in extent.reasons.items() if reason not in REPAIRS),
            }
        )
    for known in known_ones:
        if known.name not in found:
            alias = f" as {known.stored_as}" if known.stored_as != known.name else ""
            problem = f"its content is already in the store{alias}, read with zone {known.zone}"
            found[known.name] = SourceReport(
                source=known.name, status="known", bytes=known.bytes, ticks=known.ticks, problem=problem
            )
    for name, problem in made.unreadable.items():
        found[name] = SourceReport(source=name, status="unreadable", problem=problem)
    return sorted(found.values(), key=lambda one: one.source)
