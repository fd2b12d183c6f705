"""Journal: the crash-safe tail of a recording; one tick is one line of exact JSON that carries its checksum.

A line is `Tick.to_line()` with two more members: ``seq``, the number of the tick in its run, and ``crc``, the CRC-32C
of the run's name and of every byte of the line before it. The first line (`journal_start`) names the run, the last one
(`journal_end`) says that the journal was closed normally. `scan` separates whole lines from damage; damage never
costs the good lines around it.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from replaylab.journals.encoder import checksum, closed, seed_of

FORMAT: Final = 1
SEALED_FORMAT: Final = 2  # of a journal whose lines are encrypted
ENDING: Final = ".journal"
NAME: Final = re.compile(r"(?P<run>\d{8}T\d{12}Z-[0-9a-f]{12}-\d+)-(?P<number>\d{6,})(\.journal)?\Z", re.ASCII)
_OPENING: Final = b'{"type": "'
_TICK: Final = b'{"type": "tick"'
START: Final = b'{"type": "journal_start"'
SEQ: Final = b', "seq": '
_CLOSING_BYTES: Final = 20  # `, "crc": "89abcdef"}`
_CLOSING: Final = re.compile(rb', "crc": "[0-9a-f]{8}"\}')
_LONGEST_SEQ: Final = 9 + 18  # `, "seq": ` and its digits; more would not fit 64 bits
_HEADER_TYPES: Final = {"run": str, "number": int, "first_seq": int, "durability": dict, "cuts": dict}


def run_name(at: datetime, process: int, chance: bytes) -> str:
    """Return the name of a run: its start, a digest of the machine and of `chance`, the process id.

    Examples
    --------
    >>> name = run_name(datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC), 7, b"chance")
    >>> name[:23], name[-2:], bool(NAME.match(journal_name(name, 0)))
    ('20310102T030405000000Z-', '-7', True)
    """
    origin = f"{platform.node()} {process} ".encode() + chance
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S%fZ}-{hashlib.blake2b(origin, digest_size=6).hexdigest()}-{process}"


def journal_name(run: str, number: int) -> str:
    """Return the file name of a journal of a run."""
    return f"{run}-{number:06d}{ENDING}"


def place_of(name: str) -> tuple[str, int]:
    """Return the run and the number in the name of a journal; a name without them is a run of its own.

    Examples
    --------
    >>> place_of("20310102T030405000000Z-0123456789ab-7-000002.journal")
    ('20310102T030405000000Z-0123456789ab-7', 2)
    """
    found = NAME.match(name)
    return (found["run"], int(found["number"])) if found else (name.removesuffix(ENDING), 0)


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a journal.

    Attributes
    ----------
    run, number : str, int
        The run that it belongs to, and its number among the journals of the run.
    first_seq : int
        The sequence number of its first tick.
    durability : dict
        The bound in force: `mode`, and for ``group`` the `ticks` and `seconds` between two syncs.
    durable : dict
        By the number of an earlier journal, how many of its bytes were permanent: one that is shorter was truncated.
    cuts : dict
        By the number of an earlier journal, how many of its bytes count: those after them were never acknowledged.
    salt : str
        Of a journal whose lines are encrypted, in hex; empty in one in plain.
    key : str
        Which key of the store they need; empty in one in plain.
    """

    run: str
    number: int
    first_seq: int
    durability: dict[str, Any] = field(default_factory=dict)
    cuts: dict[str, int] = field(default_factory=dict)
    durable: dict[str, int] = field(default_factory=dict)
    salt: str = ""
    key: str = ""

    def to_line(self, key: str = "", salt: str = "", tag: Callable[[bytes], str] | None = None) -> bytes:
        """Return the line with its newline; in an encrypted store with key, salt and what `tag` makes of the line."""
        version = SEALED_FORMAT if tag else FORMAT
        found: dict[str, Any] = {"type": "journal_start", "format": version, "run": self.run, "number": self.number}
        found |= {"first_seq": self.first_seq, "durability": self.durability, "cuts": self.cuts}
        found |= {"durable": self.durable} if self.durable else {}
        found |= {"key": key, "salt": salt} if tag else {}
        body = json.dumps(found)[:-1].encode()
        return closed(body + b', "seal": "%s"' % tag(body).encode() if tag else body, 0)


def end_line(run: str, next_seq: int) -> bytes:
    """Return the line that says that a journal was closed normally."""
    return closed(f'{{"type": "journal_end", "run": {json.dumps(run)}, "next_seq": {next_seq}'.encode(), seed_of(run))


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a journal that are not a line of it: `reason`, the line from 0, and `start` to `end` in bytes.

    The reasons: `torn_tail`, `torn_line` (cut off in the middle of the file), `zero_filled`, `checksum_mismatch` (a
    flipped bit), `foreign_bytes`, `sequence_gap` (no bytes: lines before it are missing), `never_acknowledged` (after
    the limit that a later journal sets), `not_a_tick` (a valid checksum, but not a tick), `truncated` (no
    bytes: a later journal says that more were permanent); of an encrypted journal `not_authentic` (its key did not
    write the line), `sequence_conflict` (no bytes: an authentic line that stood elsewhere before), `header_lost`
    (a line that cannot be opened, as a power cut left no header) and `overwritten` (no bytes: a later journal says
    that bytes were permanent where zeros are).
    """

    reason: str
    line: int
    start: int
    end: int
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Control:
    """A line of a type that is not known, with a valid checksum: `label` is its type; `start` to `end` in bytes."""

    label: str
    line: int
    start: int
    end: int
    raw: bytes


@dataclass(slots=True)
class Lines:
    """The lines of a block of a journal.

    Attributes
    ----------
    ticks : list of bytes
        Lines of good ticks as `Tick.to_line` returns them, in order, with newlines.
    seqs, lines, starts, sizes : list of int
        Sequence number, line of the file (from 0), first byte in the file and size in bytes of each of them.
    newer_format : str, optional
        Format that the first line names, when this release does not know it.
    others : list of Control
        Lines of a type that is not known, with valid checksums.
    headers : list of Header
        Of the lines that start a journal.
    control_bytes, control_lines, blank_bytes, blank_lines : int
        Of lines that are neither ticks nor damage.
    duplicate_bytes, duplicate_lines : int
        Of lines whose tick has been read already.
    damage : list of Damage
    line_count, end : int
        Lines that ended, and where the next block begins.
    closed : bool
        Whether the last of its lines that hold no tick says that the journal was closed normally.
    closed_at : int
        First byte of the last line that says so; -1 when none does.
    counter : int
        Greatest counter of a line of an encrypted journal; -1 before the first.
    """

    ticks: list[bytes] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    newer_format: str | None = None
    others: list[Control] = field(default_factory=list)
    control_bytes: int = 0
    control_lines: int = 0
    blank_bytes: int = 0
    blank_lines: int = 0
    duplicate_bytes: int = 0
    duplicate_lines: int = 0
    damage: list[Damage] = field(default_factory=list)
    line_count: int = 0
    end: int = 0
    closed: bool = False
    closed_at: int = -1
    seed: int = 0
    counter: int = -1


def scan(data: bytes, run: str = "", *, start: int = 0, first_line: int = 0, final: bool = True) -> Lines:
    r"""Return the lines of a journal, or of a block of one.

    Parameters
    ----------
    data : bytes
        From byte `start`, line `first_line` of the journal on.
    run : str
        The run that its lines belong to; those of any other count as damage.
    final : bool
        Whether the journal ends here: a last line without its newline is then a torn tail, else it is left for later.

    Examples
    --------
    >>> from replaylab.journals.encoder import Encoder
    >>> from replaylab.tick import Tick
    >>> line = Encoder("run").line(Tick("g", 3, "2031-01-02T03:04:20.75", "1.02"), 17)
    >>> found = scan(line + line.replace(b"1.02", b"9.02") + line[:50], run="run")
    >>> found.seqs, [one.reason for one in found.damage]
    ([17], ['checksum_mismatch', 'torn_tail'])
    """
    found = Lines(seed=seed_of(run))
    raws = data.split(b"\n")
    tail = raws.pop()
    found.end = read_lines(found, raws, start, first_line)
    found.line_count = len(raws)
    if final and tail:
        resynchronise(found, tail, first_line + len(raws), found.end, newline=b"")
        found.line_count += 1
        found.end += len(tail)
    return found


def read_lines(found: Lines, raws: list[bytes], at: int, number: int) -> int:
    """Read lines without their newlines from byte `at`, line `number` on; return where they end."""
    seed, ticks, seqs, lines = found.seed, found.ticks, found.seqs, found.lines
    starts, sizes = found.starts, found.sizes
    opening = _TICK + b", "
    for raw in raws:
        size = len(raw) + 1
        body = raw[:-_CLOSING_BYTES]
        if raw[-_CLOSING_BYTES:] == b', "crc": "%08x"}' % checksum(seed, body) and raw.startswith(opening):
            cut = body.rfind(SEQ, -_LONGEST_SEQ)
            place = body[cut + 9 :]
            if cut < 0 or not place.isdigit():
                _add_damage(found, "foreign_bytes", number, at, raw + b"\n")
            else:
                ticks.append(body[:cut] + b"}\n")
                seqs.append(int(place))
                lines.append(number)
                starts.append(at)
                sizes.append(size)
        else:
            _read_other(found, raw, number, at)
        at += size
        number += 1
    return at


def is_whole(raw: bytes, seed: int) -> bool:
    """Whether the checksum of a line without its newline is right; that of the first line is independent of the run."""
    seed = 0 if raw.startswith(START) else seed
    return raw[-_CLOSING_BYTES:] == b', "crc": "%08x"}' % checksum(seed, raw[:-_CLOSING_BYTES])


def _read_other(found: Lines, raw: bytes, number: int, at: int) -> None:
    """Read a line that is not a good tick: control, blank, or damage, perhaps with good lines inside."""
    if not raw:
        found.blank_bytes += 1
        found.blank_lines += 1
    elif raw.startswith(_OPENING) and is_whole(raw, found.seed):
        _take_control(found, raw, number, at, len(raw) + 1)
    else:
        resynchronise(found, raw, number, at, newline=b"\n")


def _take_control(found: Lines, raw: bytes, number: int, at: int, size: int) -> None:
    """Take a line that has a valid checksum and is not a tick."""
    try:
        line = json.loads(raw)
        label = line["type"]
        if label == "journal_start":
            if _is_of_another_format(line.get("format")):
                found.newer_format = repr(line.get("format"))
            found.headers.append(_header_of(line))
        elif label != "journal_end":
            found.others.append(Control(str(label), number, at, at + size, raw + b"\n" * (size - len(raw))))
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
        _add_damage(found, "foreign_bytes", number, at, raw + b"\n" * (size - len(raw)))
        return
    found.control_bytes += size
    found.control_lines += 1
    found.closed = label == "journal_end"
    found.closed_at = at if found.closed else found.closed_at


def _header_of(line: dict[str, Any]) -> Header:
    """Return the header that a line holds; raises `TypeError` for one that this package did not write."""
    fields = {name: line[name] for name in _HEADER_TYPES}
    wrong = [name for name, kind in _HEADER_TYPES.items() if type(fields[name]) is not kind]
    if wrong or not -1 <= fields["first_seq"] < 1 << 63:
        raise TypeError(wrong)
    fields["cuts"] = {number: int(size) for number, size in fields["cuts"].items()}
    return Header(**fields, durable=_sizes(line), salt=str(line.get("salt", "")), key=str(line.get("key", "")))


def _sizes(header: dict[str, Any]) -> dict[str, int]:
    """Return how many bytes of earlier journals a header calls permanent; those of earlier releases say nothing."""
    return {str(number): int(size) for number, size in header.get("durable", {}).items()}


def _is_of_another_format(version: object) -> bool:
    """Whether a header with a valid checksum names a format that this release does not know, or names none."""
    return version not in {FORMAT, SEALED_FORMAT} or isinstance(version, bool)


def resynchronise(found: Lines, raw: bytes, number: int, at: int, *, newline: bytes) -> None:
    """Take good lines from inside a damaged one; neither of their ends can occur inside a JSON string."""
    done, searched, opening = 0, 0, -1
    for closing in _CLOSING.finditer(raw):
        opening = max(opening, raw.rfind(_OPENING, searched, closing.start()))
        searched = closing.start()
        if opening >= done and is_whole(raw[opening : closing.end()], found.seed):
            _add_stretch(found, raw[done:opening], number, at + done)
            ends = bool(newline) and closing.end() == len(raw)
            inner = Lines(seed=found.seed)
            read_lines(inner, [raw[opening : closing.end()]], at + opening, number)
            _add_inner(found, inner, ends=ends)
            done = closing.end() + ends
    if done < len(raw) + len(newline):
        _add_stretch(found, raw[done:] + newline, number, at + done, last=not newline)


def _add_inner(found: Lines, inner: Lines, *, ends: bool) -> None:
    """Add the one good line found inside another; its newline counts only where it `ends` the outer one."""
    found.ticks += inner.ticks
    found.seqs += inner.seqs
    found.lines += inner.lines
    found.starts += inner.starts
    found.sizes += [size - (not ends) for size in inner.sizes]
    found.headers += inner.headers
    found.newer_format = found.newer_format or inner.newer_format
    found.others += inner.others if ends else [replace(one, end=one.end - 1, raw=one.raw[:-1]) for one in inner.others]
    found.control_bytes += inner.control_bytes - inner.control_lines * (not ends)
    found.control_lines += inner.control_lines
    found.damage += inner.damage if ends else [replace(one, end=one.end - 1, raw=one.raw[:-1]) for one in inner.damage]
    found.closed, found.closed_at = inner.closed, max(found.closed_at, inner.closed_at)


def _add_stretch(found: Lines, raw: bytes, number: int, at: int, *, last: bool = False) -> None:
    """Classify damaged bytes: zeros apart from the rest."""
    rest = raw.lstrip(b"\0")
    if len(rest) < len(raw):
        zeros = len(raw) - (len(rest) if rest.strip() else 0)
        _add_damage(found, "zero_filled", number, at, raw[:zeros])
        raw, at = raw[zeros:], at + zeros
    whole = raw.rstrip(b"\0")
    if whole:
        _add_damage(found, _reason(whole, last=last), number, at, whole)
    if len(whole) < len(raw):
        _add_damage(found, "zero_filled", number, at + len(whole), raw[len(whole) :])


def _reason(raw: bytes, *, last: bool) -> str:
    begun = raw.removesuffix(b"\n")
    if not begun.startswith(_OPENING[: len(begun)]):
        return "foreign_bytes"
    if last and not _CLOSING.search(raw):
        return "torn_tail"
    return "checksum_mismatch" if _CLOSING.search(raw) or raw.rstrip().endswith(b"}") else "torn_line"


def _add_damage(found: Lines, reason: str, number: int, at: int, raw: bytes) -> None:
    found.damage.append(Damage(reason, number, at, at + len(raw), raw))
