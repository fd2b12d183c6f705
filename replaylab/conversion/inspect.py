"""Inspect: what a file is, how its first lines would be read, and the mapping that it would take. Stores nothing."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from replaylab.conversion.source import Source, reading
from replaylab.conversion.unpack import HEAD_BYTES, Dress, Text, dress_of, pieces
from replaylab.errors import NotARecording, SourceNotFound
from replaylab.parsing.json_line import DECODER, Kind, Reading, parse_line
from replaylab.parsing.mapping import READY, UNITS, Mapping
from replaylab.parsing.scan import scan, scan_document
from replaylab.storage.zones import zone_fit
from replaylab.table import Batch

LOOKED_AT_BYTES: Final = 1 << 20
_SHOWN: Final = 3
_EPOCH_DIGITS: Final = frozenset({10, 13, 16, 19})
_FIELD_NAMES: Final = {  # by a tick's field, names that feeds give it; a proposal to be checked, never used unasked
    "timestamp": ("timestamp", "ts", "time", "t", "T", "E", "date", "created_at", "trade_time", "timestamp_ms"),
    "price": ("price", "px", "p", "last", "close", "value", "rate"),
    "game_id": ("game_id", "gameId", "symbol", "sym", "s", "product_id", "pair", "instrument", "market", "id"),
    "tick": ("tick", "tickCount", "seq", "sequence", "trade_id", "n"),
    "active": ("active",),
    "rugged": ("rugged",),
}


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
        A mapping in TOML to begin with, where no known form fits.
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
    place = Path(path)
    if not place.exists():
        raise SourceNotFound(f"no recording at {path}")
    source = Source(place, place.name, place.stat().st_size)
    shown = os.fspath(path)
    try:
        data, dress = _beginning(source)
    except NotARecording as error:
        return Inspection(shown, source.size, "", str(error))
    if dress.other:
        return Inspection(shown, source.size, "", f"{dress.other}, not a recording")
    document = source.is_document and not dress.layout and len(data) < LOOKED_AT_BYTES
    forms = _forms() if mapping is None else {"the mapping given": (Mapping.load(mapping), "--map FILE")}
    name, (chosen, option) = max(forms.items(), key=lambda form: _ticks(data, form[1][0], document=document))
    found = scan_document(data, chosen) if document else scan(data, chosen)
    ticks = len(found.batch)
    account = found.account
    if mapping is None and not ticks:
        name, option = "no known form", "--map mapping.toml"
    detail = next(iter(account.examples.values()), "")
    return Inspection(
        path=shown,
        bytes=source.size,
        dress=dress.text,
        form=name,
        lines=sum(account.lines.values()),
        ticks=ticks,
        reasons=dict(account.reasons) | {f"type {label}": count for label, count in account.labels.items()},
        first=_first_ticks(data, chosen, document=document),
        detail=detail,
        advice=f"replaylab convert {shown} --to STORE {option}".rstrip(),
        mapping="" if ticks or mapping is not None else _proposal(data),
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
    return forms | {name: (READY[name], f"--map {name}") for name in ("trades", "games")}


def _beginning(source: Source) -> tuple[bytes, Dress]:
    """Return the first megabyte of the text of a file, up to the end of a line, and what the file is."""
    with reading(source.path) as file:
        dress = dress_of(file.read(HEAD_BYTES), document=source.is_document)
        if dress.other:
            return b"", dress
        file.seek(0)
        text = Text(source.name, document=source.is_document)
        out = io.BytesIO()
        for piece in pieces(file, dress.packing, source.name):
            text.feed(piece, out)
            if out.tell() >= LOOKED_AT_BYTES:
                break
        else:
            text.finish(out)
    data = out.getvalue()
    if len(data) >= LOOKED_AT_BYTES and b"\n" in data[:LOOKED_AT_BYTES]:
        data = data[: data.rindex(b"\n", 0, LOOKED_AT_BYTES) + 1]
    return data, text.dress._replace(packing=dress.packing)


def _ticks(data: bytes, mapping: Mapping | None, *, document: bool) -> int:
    return len((scan_document(data, mapping) if document else scan(data, mapping)).batch)


def _first_ticks(data: bytes, mapping: Mapping | None, *, document: bool) -> list[str]:
    """Return the first ticks in words."""
    reading_by = Reading() if mapping is None else Reading(mapping, mapping.times())
    shown: list[str] = []
    for line in [data] if document else data.split(b"\n"):
        found = parse_line(line, reading_by)
        if found.kind is Kind.TICK:
            shown += [_in_words(row) for row in found.rows]
        if len(shown) >= _SHOWN:
            break
    return shown[:_SHOWN]


def _in_words(row: Any) -> str:
    from replaylab.conversion.games import wall_text

    state = "rugged" if row.rugged else "active" if row.active else "idle"
    number = "numbered by place" if row.tick < 0 else f"tick {row.tick}"
    return f"{row.game_id}, {number}, {wall_text(row.wall_us)}, price {row.price}, {state}"


def _proposal(data: bytes) -> str:
    """Return a mapping in TOML to begin with, from the names in the first object; to be checked before it is used."""
    found = _first_object(data)
    if found is None:
        return ""
    inner = next((name for name in ("data", "payload", "value", "_source", "log", "message") if name in found), "")
    tick = found[inner] if isinstance(found.get(inner), dict) else found
    path = inner if tick is not found else ""
    names = {name: next((one for one in candidates if one in tick), None) for name, candidates in _FIELD_NAMES.items()}
    names["timestamp"] = next((one for one, value in tick.items() if _is_time(value)), names["timestamp"])
    lines = [f'path = "{path}"'] if path else []
    time = tick.get(names["timestamp"] or "")
    if time is not None and str(time).partition(".")[0].isdecimal():
        unit = {10: "s", 13: "ms", 16: "us", 19: "ns"}.get(len(str(time).partition(".")[0]), "ms")
        lines.append(f'time_unit = "{unit}"')
    if not names["game_id"]:
        lines.append('game = "day"  # or "file", or "gap:300"')
    constants = [
        f"{name} = {'true' if name == 'active' else 'false'}" for name in ("active", "rugged") if not names[name]
    ]
    fields = [f'{name} = "{one}"' for name, one in names.items() if one and one != name]
    lines += ["[fields]", *fields] if fields else []
    lines += ["[constants]", *constants] if constants else []
    return "\n".join(lines)


def _is_time(value: Any) -> bool:
    """Whether a value looks like a time: in ISO 8601, or as many digits as a time of this century has."""
    text = str(value)
    return (text.partition(".")[0].isdecimal() and len(text.partition(".")[0]) in _EPOCH_DIGITS) or (
        isinstance(value, str) and text[:4].isdecimal() and text[4:5] == "-" and text[10:11] in {"T", " "}
    )


def _first_object(data: bytes) -> dict[str, Any] | None:
    for line in [*data.split(b"\n")[:20], data]:
        try:
            found = DECODER.decode(line.strip(b"[], \t\r\n").decode())
        except (ValueError, ArithmeticError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return None
