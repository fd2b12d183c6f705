"""Recording: the bytes of one file together with what is known about them because they were made, not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from replaylab.simulation.process import Row

What = Literal["clean", "merged", "torn", "control", "annotation", "blank", "quarantined"]


@dataclass(frozen=True, slots=True)
class Part:
    """What a reader owes to one piece of a line: a row to store, a line to understand or to skip, or bytes to refuse.

    Parameters
    ----------
    what : str
        `clean`, `merged` or `torn` (a row to store), `control`, `annotation`, `blank` or `quarantined` (one span).
    row : Row, optional
        The row to store.
    lost : frozenset of str
        Fields of the row that become null: cut off, or unknown to the dialect.

    Examples
    --------
    >>> Part("blank").row is None
    True
    """

    what: What
    row: Row | None = None
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Line:
    r"""One physical line with its newline, and what a reader owes to it.

    Examples
    --------
    >>> Line(b"## by hand\n", (Part("annotation"),)).text
    b'## by hand\n'
    """

    text: bytes
    parts: tuple[Part, ...]

    @property
    def row(self) -> Row | None:
        """The row, when the line is one undamaged tick."""
        return self.parts[0].row if len(self.parts) == 1 and self.parts[0].what == "clean" else None


@dataclass(frozen=True, slots=True)
class Recording:
    r"""One file as made: its name, its lines, and from them its bytes and what a reader has to find in it.

    Parameters
    ----------
    name : str
        File name.
    lines : tuple of Line
        In file order.
    dialect : str
        Name of the dialect it is written in.
    number : int, optional
        Number of the game in its session, as the first line gives it.

    Examples
    --------
    >>> note, empty = Line(b"## by hand\n", (Part("annotation"),)), Line(b"\n", (Part("blank"),))
    >>> recording = Recording("note.jsonl", (note, empty))
    >>> recording.data
    b'## by hand\n\n'
    >>> recording.expected()["annotations"], recording.expected()["lines"]
    (1, 2)
    """

    name: str
    lines: tuple[Line, ...]
    dialect: str = "recording"
    number: int | None = None

    @property
    def data(self) -> bytes:
        """All bytes of the file."""
        return b"".join(line.text for line in self.lines)

    @property
    def rows(self) -> tuple[Row, ...]:
        """Rows that a reader has to store, in file order."""
        return tuple(part.row for line in self.lines for part in line.parts if part.row is not None)

    def expected(self) -> dict[str, Any]:
        """Counts that a reader has to reach, as plain values for JSON."""
        parts = [part for line in self.lines for part in line.parts]
        found = Counter(part.what for part in parts)
        lost = Counter(field for part in parts for field in part.lost)
        return {
            "dialect": self.dialect,
            "bytes": sum(len(line.text) for line in self.lines),
            "lines": sum(1 for line in self.lines if line.text),
            "ticks": {what: found[what] for what in ("clean", "merged", "torn")},
            "control": found["control"],
            "annotations": found["annotation"],
            "blank": found["blank"],
            "quarantined": found["quarantined"],
            "price_filled": sum(row.filled for row in self.rows),
            "null_cooldown_timer": lost["cooldown_timer"],
            "null_trade_count": lost["trade_count"],
            "games": expected_games([self]),
        }


def expected_games(recordings: Iterable[Recording]) -> list[dict[str, Any]]:
    """Summaries of the games in one or several recordings, merged by id and sorted by it.

    Examples
    --------
    >>> expected_games([])
    []
    """
    games: dict[str, list[Row]] = {}
    for recording in recordings:
        for row in recording.rows:
            games.setdefault(row.game_id, []).append(row)
    return [_game(game_id, games[game_id]) for game_id in sorted(games)]


def _game(game_id: str, rows: Sequence[Row]) -> dict[str, Any]:
    """Judge one game by the definitions of `data/samples/README.md`."""
    live = {row.tick for row in rows if row.live}
    rugs = sorted({row.tick for row in rows if row.rugged and row.phase != "RUG_EVENT_1"})
    rug_tick = rugs[0] if rugs else None
    first = min(live, default=0)
    end = rug_tick if rug_tick is not None else max(live, default=0)
    return {
        "game_id": game_id,
        "rows": len(rows),
        "rug_tick": rug_tick,
        "ticks": len(live),
        "complete": len(rugs) == 1 and live == set(range(rugs[0])),
        "late_start": first > 0,
        "censored": bool(live) and not rugs,
        "double_rug": len(rugs) > 1,
        "missing_ticks": len(set(range(first, end)) - live) if live else 0,
    }


def cut_part(line: Line, kept: int) -> Part:
    r"""What the first `kept` bytes of an undamaged line are worth: the whole, a torn row, or a span to quarantine.

    A torn row counts when all from game_id to the comma behind rugged is there; a number cut off at the end is lost.

    Examples
    --------
    >>> row = Row("g", 0, 0, "1.0", "PRESALE", False, False, 9900, 0)
    >>> from replaylab.simulation.process import row_text
    >>> line = Line(row_text(row).encode() + b"\n", (Part("clean", row),))
    >>> sorted(cut_part(line, line.text.index(b"9900")).lost)
    ['cooldown_timer', 'trade_count']
    >>> cut_part(line, 40).what
    'quarantined'
    """
    whole = line.parts[0]
    if kept >= len(line.text.rstrip(b"\r\n")):
        return whole
    if whole.what != "clean" or kept <= line.text.index(b', "cooldown_timer"'):
        return Part("quarantined")
    lost = {"trade_count"} if kept > line.text.index(b', "trade_count"') else {"cooldown_timer", "trade_count"}
    return Part("torn", whole.row, frozenset(lost))
