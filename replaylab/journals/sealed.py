"""Sealed journals: those of an encrypted store, each line encrypted by itself; `scan_sealed` is `scan` for them. Pure.

The header stays readable and is authenticated; it stands there twice, as a flipped bit in the only one would cost the
whole journal: without its salt no line can be opened.
"""

from __future__ import annotations

import json
import re
from typing import Final

from replaylab.encryption.keys import StoreKeys
from replaylab.encryption.lines import MARK, OpenedLine, SealedLines
from replaylab.errors import KeyMissing, Tampered
from replaylab.journals.format import SEQ, START, Control, Damage, Header, Lines, scan

SUSPICIOUS: Final = frozenset({"not_authentic", "sequence_conflict", "sequence_gap", "foreign_bytes", "overwritten"})
"""Damage of a sealed journal that no crash leaves: `Store.verify` calls it a problem, also when it is set aside."""
HOLES: Final = frozenset({"zero_filled", "torn_line", "header_lost"})
"""Damage of a sealed journal that a power cut leaves where nothing was permanent yet, and what it tore beside it."""
LEAST_SEALED_BYTES: Final = 286  # of a tick's line
_SEALED: Final = re.compile(rb"~[A-Za-z0-9+/]+={0,2}")
_TAG: Final = b', "seal": "'
_TICK: Final = b'{"type": "tick", '
_CLOSING_BYTES: Final = 20  # of the checksum that every line ends in
_CUTS_FROM: Final = 9  # bytes of `, "seq": `
_ZEROS: Final = re.compile(rb"\0+")
_SECTOR_BYTES: Final = 512  # where data had not arrived, a disk has zeros up to a multiple of it or to the end
_REST: Final = re.compile(rb"[A-Za-z0-9+/]*={0,2}\n?")
_REST_OF_HEADER: Final = re.compile(rb"[^~\0]*\"\}\n?")


def header_lines(header: Header, lines: SealedLines) -> bytes:
    """Return the first two lines of a sealed journal: its header, twice."""
    return header.to_line(lines.key_id, lines.salt.hex(), lines.tag) * 2


def opened_header(raws: list[bytes], keys: StoreKeys | None) -> tuple[Header, SealedLines | None] | None:
    """Return the header among the first lines of a journal and what opens its lines; None when none is one.

    Parameters
    ----------
    raws : list of bytes
        Its first two lines.
    keys : StoreKeys, optional
        Of the store; only a header that they authenticate counts, one in plain while the store is being encrypted.

    Raises
    ------
    KeyMissing
        When the journal is encrypted and the store has no keys.
    Tampered
        When ``keys.json`` does not hold the key that it names.
    """
    unknown: Tampered | None = None
    for raw in raws if keys is not None or raws[:1] != [b""] else []:
        found = scan(raw, final=False).headers
        if not found:
            continue
        header = found[0]
        if keys is None:
            if header.salt:
                raise KeyMissing("is encrypted, and the store has no keys.json; restore that from a backup")
            return header, None
        if not header.salt:
            if keys.allows_plain:
                return header, None
            continue
        try:
            lines = SealedLines(keys, "journal", bytes.fromhex(header.salt), header.key)
        except Tampered as error:
            unknown = error  # the other one may be authentic
            continue
        body, _, tag = raw.rpartition(_TAG)
        if lines.is_tag(tag[:32].decode(errors="replace"), body):
            return header, lines
    if unknown is not None:
        raise unknown
    return None


def refuse_unopened(name: str, raws: list[bytes]) -> None:
    """Raise `Tampered` for a journal of an encrypted store without a header, unless a power cut left none.

    The header is the first that arrives to be permanent: only a torn one is there, or zeros in its place.
    """
    if raws[1] and not _holes(raws[0], 0, to_the_end=not raws[0].endswith(b"\n")):
        raise Tampered(
            f"{name}: neither of its first two lines is a header that the key of this store has written, so its lines "
            "cannot be opened; restore it from a backup. The file is left as it is"
        )


def scan_sealed(
    data: bytes, lines: SealedLines | None, *, start: int = 0, first_line: int = 0, final: bool = True, after: int = -1
) -> Lines:
    """Return the lines of a sealed journal, or of a block of one; as `scan` does for one in plain.

    Parameters
    ----------
    data, start, first_line, final
        As for `scan`.
    lines : SealedLines, optional
        What opens them; without it, as the header has not arrived, none is good.
    after : int
        Counter of the last line before them; counters grow, so a line that was moved or repeated is noticed.
    """
    found = Lines(counter=after)
    raws = data.split(b"\n")
    tail = raws.pop()
    at, number = start, first_line
    for raw in raws:
        size = len(raw) + 1
        opened = lines.open(raw) if lines is not None else None
        if opened is not None:
            _take(found, opened, number, at, size)
        elif not raw:
            found.blank_bytes += 1
            found.blank_lines += 1
        elif raw.startswith(START) and not _holes(raw, at, to_the_end=False):
            _take_header(found, raw, number, at)
        else:
            _take_apart(found, lines, raw, number, at, newline=b"\n")
        at += size
        number += 1
    found.line_count = len(raws)
    found.end = at
    if final and tail:
        _take_apart(found, lines, tail, number, at, newline=b"")
        found.line_count += 1
        found.end += len(tail)
    return found


def _take(found: Lines, opened: OpenedLine, number: int, at: int, size: int) -> None:
    """Take a line that the key of the journal has written."""
    if opened.counter <= found.counter:
        found.damage.append(Damage("sequence_conflict", number, at, at))  # an authentic line that stood elsewhere
    found.counter = max(found.counter, opened.counter)
    body = opened.text[:-_CLOSING_BYTES]
    if body.startswith(_TICK):
        cut = body.rfind(SEQ)
        found.ticks.append(body[:cut] + b"}\n")
        found.seqs.append(int(body[cut + _CUTS_FROM :]))
        found.lines.append(number)
        found.starts.append(at)
        found.sizes.append(size)
        return
    if not opened.text:  # earlier releases encrypted no lines as one empty line
        found.blank_bytes += size
        found.blank_lines += 1
        return
    label = str(json.loads(opened.text)["type"])
    if label != "journal_end":
        found.others.append(Control(label, number, at, at + size, opened.text + b"\n"))
    found.control_bytes += size
    found.control_lines += 1
    found.closed = label == "journal_end"
    found.closed_at = at if found.closed else found.closed_at


def _take_header(found: Lines, raw: bytes, number: int, at: int) -> None:
    """Take one of the two headers; that one of them is right has been checked."""
    inner = scan(raw + b"\n", start=at, first_line=number)
    found.headers += inner.headers
    found.control_bytes += inner.control_bytes
    found.control_lines += inner.control_lines
    found.damage += inner.damage


def _take_apart(found: Lines, lines: SealedLines | None, raw: bytes, number: int, at: int, *, newline: bytes) -> None:
    """Take good lines from inside a damaged one: `~` occurs in none of them but at its start."""
    done = 0
    for match in _SEALED.finditer(raw):
        opened = lines.open(match[0]) if lines is not None else None
        if opened is None:
            continue
        ends = bool(newline) and match.end() == len(raw)
        _add_stretch(found, raw[done : match.start()], number, at + done, last=False)
        _take(found, opened, number, at + match.start(), len(match[0]) + ends)
        done = match.end() + ends
    if lines is None and newline and _SEALED.fullmatch(raw):
        found.damage.append(Damage("header_lost", number, at, at + len(raw) + 1, raw + newline))
    elif done < len(raw) + len(newline):
        _add_stretch(found, raw[done:] + newline, number, at + done, last=not newline)


def _holes(raw: bytes, at: int, *, to_the_end: bool) -> list[tuple[int, int]]:
    """Return where zeros stand that a power cut may have left; others were written over what had been there."""
    spans = [match.span() for match in _ZEROS.finditer(raw)]
    return [(start, end) for start, end in spans if (at + end) % _SECTOR_BYTES == 0 or (to_the_end and end == len(raw))]


def _add_stretch(found: Lines, raw: bytes, number: int, at: int, *, last: bool) -> None:
    """Classify damaged bytes: holes of zeros, the parts of lines that they have torn, and the rest."""
    done = 0
    for start, end in _holes(raw, at, to_the_end=last):
        _add_piece(found, raw[done:start], number, at + done, after=done > 0, before=True, last=False)
        found.damage.append(Damage("zero_filled", number, at + start, at + end, raw[start:end]))
        done = end
    _add_piece(found, raw[done:], number, at + done, after=done > 0, before=False, last=last)


def _add_piece(found: Lines, raw: bytes, number: int, at: int, *, after: bool, before: bool, last: bool) -> None:
    """Classify damaged bytes that stand after or before a hole, or last in the file."""
    if not raw:
        return
    begins = raw.startswith((MARK, b"{"))
    rest = after and (_REST.fullmatch(raw) or (number < 2 and _REST_OF_HEADER.fullmatch(raw)))
    if last and begins:
        reason = "torn_tail"
    elif (before and begins and b"\0" not in raw) or rest:
        reason = "torn_line"
    else:
        reason = "not_authentic" if raw.startswith(MARK) else "foreign_bytes"
    found.damage.append(Damage(reason, number, at, at + len(raw), raw))
