"""Inspect: what a file is, how its first lines would be read, and the mapping that it would take. Stores nothing."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np

from replaylab.conversion.packing import members
from replaylab.conversion.proposal import proposal
from replaylab.conversion.source import Source, reading
from replaylab.conversion.unpack import HEAD_BYTES, Dress, Text, dress_of
from replaylab.durable import of_user
from replaylab.errors import NotARecording, SourceNotFound
from replaylab.parsing.json_line import PLAIN, Kind, Reading, parse_line
from replaylab.parsing.mapping import READY, UNITS, Mapping
from replaylab.parsing.scan import Scan, scan, scan_document
from replaylab.storage.zones import zone_fit
from replaylab.table import Batch

LOOKED_AT_BYTES: Final = 1 << 20
_SHOWN: Final = 3
_CENTURY_US: Final = (946_684_800_000_000, 4_102_444_800_000_000)  # 2000 to 2100


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file is, as far as its first megabyte says.

    Attributes
    ----------
    path, bytes : str, int
        The file.
    dress : str
        How it is packed, encoded and laid out; empty for plain lines of UTF-8.
    form : str
        The form in which most of it can be read, or why it cannot be.
    lines, ticks, reasons : int, int, dict
        Of what was looked at: lines, ticks read in that form, damage by reason.
    first : list of str
        The first ticks, as they would be read.
    detail : str
        Field and value of the first damage.
    advice : str
        The command that reads it.
    mapping : str
        A mapping in TOML to begin with, where no known form fits, or one that fits leaves symbols together.
    zone : str
        What ids that begin with a date say against reading its times as UTC, and which zones fit them.
    """

    path: str
    bytes: int
    dress: str
    form: str
    lines: int = 0
    ticks: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)
    detail: str = ""
    advice: str = ""
    mapping: str = ""
    zone: str = ""


def inspect(path: str | os.PathLike[str], mapping: Mapping | str | None = None) -> Inspection:
    """Return what a file is; with a mapping, how it would be read by it.

    Raises `SourceNotFound` or `SourceUnreadable` for a file that is not there or may not be read.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> first = sorted(rl.simulate(folder, games=1, seed=1))[0]
    >>> inspect(first).form
    'recording'
    """
    place = of_user(path)
    if not place.exists():
        raise SourceNotFound(f"no recording at {path}")
    source = Source(place, place.name, place.stat().st_size)
    shown = os.fspath(path)
    try:
        data, dress = _beginning(source, None)
    except NotARecording as error:
        return Inspection(shown, source.size, "", str(error))
    if dress.other:
        return Inspection(shown, source.size, "", f"{dress.other}, not a recording")
    forms = _forms() if mapping is None else {"the mapping given": (Mapping.load(mapping), "--map FILE")}
    looked = {name: _look(source, by) for name, (by, _) in forms.items()}
    name = max(forms, key=lambda one: _fit(looked[one].scan))
    option = forms[name][1]
    best = looked[name]
    found, dress = best.scan, best.dress
    ticks = len(found.batch)
    account = found.account
    if mapping is None and not ticks:
        name, option = "no known form", "--map mapping.toml"
    proposed = "" if mapping is not None else proposal(data)
    by_symbol = name == "trades" and "game_id = " in proposed  # else all symbols of a day would be one game
    detail = next(iter(account.examples.values()), "")
    return Inspection(
        path=shown,
        bytes=source.size,
        dress=dress.text,
        form=name,
        lines=sum(account.lines.values()),
        ticks=ticks,
        reasons=dict(account.reasons) | {f"type {label}": count for label, count in account.labels.items()},
        first=_first_ticks(best),
        detail=detail,
        advice=f"replaylab convert {shown} --to STORE {option}".rstrip(),
        mapping="" if ticks and not by_symbol else proposed,
        zone=_zone(found.batch),
    )


def _zone(batch: Batch) -> str:
    """Return what the ids of ticks say of their zone."""
    known = ~batch.zoned
    firsts = np.full(len(batch.game.texts), np.iinfo(np.int64).max)
    np.minimum.at(firsts, batch.game.codes[known], batch.wall_us[known])
    there = zip(batch.game.texts, firsts.tolist(), strict=True)
    return str(zone_fit({game: (wall, "UTC") for game, wall in there if wall != np.iinfo(np.int64).max}))


def _forms() -> dict[str, tuple[Mapping | None, str]]:
    """Return the forms that are tried, the plain one first, and the option that asks for each."""
    forms: dict[str, tuple[Mapping | None, str]] = {"recording": (None, "")}
    for unit in UNITS[1:]:
        forms[f"recording with times in {unit}"] = (Mapping(time_unit=unit), f"--time-unit {unit}")
    forms["recording with times finer than microseconds"] = (Mapping(truncate_times=True), "--truncate-times")
    forms |= {name: (READY[name], f"--map {name}") for name in ("trades", "games")}
    for unit in UNITS[1:]:
        forms[f"games with times in {unit}"] = (
            replace(READY["games"], time_unit=unit),
            f"--map games --time-unit {unit}",
        )
    return forms


def _fit(found: Scan) -> tuple[int, int]:
    """Return how many ticks a form reads, and how many of their times are of this century."""
    walls = found.batch.wall_us
    return len(walls), int(((walls > _CENTURY_US[0]) & (walls < _CENTURY_US[1])).sum())


class _Looked(NamedTuple):
    """The beginning of a file, read by a mapping."""

    data: bytes
    dress: Dress
    document: bool
    mapping: Mapping | None
    scan: Scan


def _look(source: Source, mapping: Mapping | None) -> _Looked:
    """Read the beginning of a file by a mapping, laid out as that asks."""
    data, dress = _beginning(source, mapping)
    document = source.is_document and not dress.layout and len(data) < LOOKED_AT_BYTES
    by = dict(mapping.elements).get(dress.elements, mapping) if mapping is not None else None
    return _Looked(data, dress, document, by, scan_document(data, by) if document else scan(data, by))


def _beginning(source: Source, mapping: Mapping | None) -> tuple[bytes, Dress]:
    """Return the first megabyte of the text of a file, up to the end of a line, and what the file is."""
    with reading(source.path) as file:
        dress = dress_of(file.read(HEAD_BYTES), document=source.is_document)
        if dress.other:
            return b"", dress
        file.seek(0)
        text, out = _first_text(source, dress.packing, file, mapping)
    data = out.getvalue()
    if len(data) >= LOOKED_AT_BYTES and b"\n" in data[:LOOKED_AT_BYTES]:
        data = data[: data.rindex(b"\n", 0, LOOKED_AT_BYTES) + 1]
    return data, text.dress._replace(packing=dress.packing)


def _first_text(source: Source, packing: str, file: BinaryIO, mapping: Mapping | None) -> tuple[Text, io.BytesIO]:
    """Return the beginning of a file, or of the first recording in an archive."""
    refused: NotARecording | None = None
    for _, stream in members(file, packing, source.name):
        text, out = Text(source.name, document=source.is_document, mapping=mapping), io.BytesIO()
        try:
            for piece in stream:
                text.feed(piece, out)
                if out.tell() >= LOOKED_AT_BYTES:
                    break
            else:
                text.finish(out)
        except NotARecording as error:
            refused = refused or error
        else:
            return text, out
    raise refused or NotARecording(f"{source.name}: nothing is in it")


def _first_ticks(looked: _Looked) -> list[str]:
    """Return the first ticks in words."""
    reading_by = PLAIN if looked.mapping is None else Reading(looked.mapping, looked.mapping.times())
    shown: list[str] = []
    for line in [looked.data] if looked.document else looked.data.split(b"\n"):
        found = parse_line(line, reading_by)
        if found.kind is Kind.TICK:
            shown += [_in_words(row) for row in found.rows[:_SHOWN]]
        if len(shown) >= _SHOWN:
            break
    return shown[:_SHOWN]


def _in_words(row: Any) -> str:
    from replaylab.conversion.games import wall_text

    state = "rugged" if row.rugged else "active" if row.active else "idle"
    number = "numbered by place" if row.tick < 0 else f"tick {row.tick}"
    return f"{row.game_id}, {number}, {wall_text(row.wall_us)}, price {row.price}, {state}"
