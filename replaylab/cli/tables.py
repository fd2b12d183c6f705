"""Screen: what the commands print, as tables for people or as one JSON document for programs.

rich is loaded where it has something to lay out: that takes as long as to convert a small recording.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from replaylab.charts.lacks import lacks
from replaylab.plural import count_of
from replaylab.tick import price_text, short_id

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console, RenderableType
    from rich.table import Table

    from replaylab.cli.overview import Overview, Statistics
    from replaylab.conversion.inspect import Inspection
    from replaylab.conversion.report import ConversionReport
    from replaylab.storage.compact import CompactionReport
    from replaylab.storage.rezone import RezoneReport
    from replaylab.storage.verify import Verification

PIPED_WIDTH: Final = 120  # columns, where the output is no terminal
_UNFOLDED_WIDTH: Final = PIPED_WIDTH - 4  # of a line that is not folded there for sure
_ID_WIDTH: Final = 25  # of a game's id


def screen() -> Console:
    """Return a console on standard output; text is shown as it is, never read as markup."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)


def show(what: RenderableType) -> None:
    """Print something, without blanks at the ends of its lines."""
    console = screen()
    with console.capture() as captured:
        console.print(what)
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().split("\n")))
    sys.stdout.flush()


def show_json(value: object, **more: object) -> None:
    """Print one JSON document, `more` keys behind those of the value; Decimals as text, times in ISO 8601."""
    plain = value if isinstance(value, dict) else _fields(value)
    sys.stdout.write(json.dumps({**plain, **more}, default=_fields, indent=1, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def complain(*problems: str) -> None:
    """Print problems on standard error, a line each."""
    for problem in problems:
        sys.stderr.write(f"replaylab: {_one_line(problem)}\n")


def show_conversion(report: ConversionReport) -> None:
    """Print what a conversion did."""
    show_pairs(report.described())
    damage = report.damage()
    if damage:
        table = _table("reason", ">times", "what was done")
        for reason, count, done in damage:
            table.add_row(reason, f"{count:,}", done)
        _show_under("damage", table)


def show_inspection(found: Inspection) -> None:
    """Print what a file is and how it would be read."""
    damage = ", ".join(f"{count:,} {reason}" for reason, count in found.reasons.items())
    show_pairs(
        {
            "file": f"{found.path}, {found.bytes:,} bytes",
            "dress": found.dress or "plain lines of UTF-8",
            "form": found.form,
            "looked at": f"{count_of(found.lines, 'line')}: {count_of(found.ticks, 'tick')}"
            + (f", {damage}" if damage else ""),
            **dict(zip(("first", "second", "third"), found.first, strict=False)),
            "damage": found.detail,
            "zone": found.zone,
            "to read it": found.advice,
        }
    )
    if found.mapping:
        from rich.console import Group
        from rich.text import Text

        show(Group("", Text("mapping.toml to begin with: check every name", style="bold"), Text(found.mapping)))


def show_overview(found: Overview) -> None:
    """Print what a store holds."""
    a_tick = "" if found.bytes_a_tick is None else f", {found.bytes_a_tick:.1f} a row"
    show_pairs(
        {
            "store": found.path,
            "games": f"{found.games:,}, {found.complete:,} of them complete",
            "rows": f"{found.rows:,}, {found.live_ticks:,} of them live ticks",
            "sources": f"{found.sources:,}",
            "segments": f"{found.segments:,}",
            "bytes": f"{found.bytes:,}{a_tick}",
            "time": f"{_time(found.start)} to {_time(found.end)} UTC" if found.start else "not recorded",
        }
    )


def show_games(games: pa.Table, *, limit: int, oldest: bool) -> None:
    """Print a table of games in order of their start, the newest at the end, `limit` of them (0: all)."""
    total = games.num_rows
    if not total:
        return
    count = min(limit, total) if limit else total
    shown = games.slice(0 if oldest else total - count, count)
    which = "" if count == total else f" ({'first' if oldest else 'newest'} {count:,} of {total:,}; --limit 0 for all)"
    table = _table("game", "start (UTC)", ">ticks", ">rug", ">peak", "state")
    for game in shown.to_pylist():
        table.add_row(
            shortened(game["game_id"]),
            _time(game["start"])[:16],
            f"{game['ticks']:,}",
            _whole(game["rug_tick"]),
            _price(game["peak"]),
            state(game),
        )
    _show_under(f"games{which}", table)


def state(game: Mapping[str, Any]) -> str:
    """Say what a game of `Store.games()` is: complete, or what it lacks.

    Examples
    --------
    >>> state({"complete": True, "ticks": 9, "late_start": False, "censored": False, "double_rug": False, "gaps": 0})
    'complete'
    """
    return ", ".join(lacks(game)) or "complete"


def show_game(game_id: str, summary: Mapping[str, Any]) -> None:
    """Print the summary of a game."""
    rug = (
        "not seen"
        if summary["rug_tick"] is None
        else f"tick {summary['rug_tick']:,} at {price_text(summary['rug_price'])}"
    )
    peak = "none" if summary["peak"] is None else f"{price_text(summary['peak'])} at tick {summary['peak_tick']:,}"
    span = f", from {summary['first_tick']:,} to {summary['last_tick']:,}" if summary["ticks"] else ""
    time = f"{_time(summary['start'])} to {_time(summary['end'])} UTC" if summary["start"] else "not recorded"
    show_pairs(
        {
            "game": game_id,
            "state": state(summary),
            "live ticks": f"{summary['ticks']:,}{span}",
            "rug": rug,
            "peak": peak,
            "rows": f"{summary['rows']:,}, {summary['repaired']:,} of them repaired",
            "time": time,
            "sources": ", ".join(summary["sources"]),
        }
    )


def show_verification(found: Verification) -> None:
    """Print what a check of a store found; the problems go to standard error."""
    show_pairs(
        {
            "checked": f"{count_of(found.segments, 'segment')}, {count_of(found.rows, 'row')}",
            "bytes": ", ".join(f"{count:,} {kind}" for kind, count in found.bytes.items()),
            "rows digest": found.rows_digest,
            "verdict": "everything is as it was written"
            if found.ok
            else f"not as it was written, problems: {len(found.problems) + len(found.missing):,}",
            "zone": "; ".join(found.doubts),
        }
    )
    complain(*found.problems, *found.missing)


def show_rezoning(report: RezoneReport) -> None:
    """Print what a rezoning did."""
    show_pairs(report.described())


def show_compaction(report: CompactionReport) -> None:
    """Print what a compaction did."""
    show_pairs(
        {
            "segments": f"{report.segments_before:,} -> {report.segments_after:,}",
            "bytes": f"{report.bytes_before:,} -> {report.bytes_after:,}",
            "rows": f"{report.rows:,}, the same as before",
            **({"keys": report.keys_said} if report.keys_said else {}),
        }
    )


def show_statistics(found: Statistics) -> None:
    """Print counts and quantiles."""
    show_pairs(
        {
            "games": f"{found.games:,}",
            "  complete": f"{found.complete:,}",
            "  end not seen": f"{found.censored:,}",
            "  late start": f"{found.late_start:,}",
            "  double rug": f"{found.double_rug:,}",
            "  never live": f"{found.never_live:,}",
            "ticks": f"{found.live_ticks:,} live, {count_of(found.rows, 'row')}",
        }
    )
    if found.rug_tick:
        title = (
            f"over {count_of(found.games, 'game')}, {found.complete:,} of them complete; cut-off games are made up for"
        )
        shares = sorted(found.rug_tick.keys() | found.peak.keys(), key=float)
        table = _table("", *(f">{float(share):.0%}" for share in shares))
        table.add_row("rug tick", *(_whole(found.rug_tick.get(share)) for share in shares))
        table.add_row("peak", *(_price(found.peak.get(share)) for share in shares))
        _show_under(title, table)
    show_reasons(found.reasons)


def show_reasons(reasons: Mapping[str, int]) -> None:
    """Print damage by reason, the commonest first."""
    if not reasons:
        return
    table = _table("reason", ">times")
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(reason, f"{count:,}")
    _show_under("damage", table)


def show_written(paths: Sequence[Path], folder: str) -> None:
    """Print what a simulation wrote, and what can be done with it."""
    pairs = {"recordings": f"{len(paths):,} in {folder}", "to find": str(Path(folder, "expected.json"))}
    show_pairs(pairs | {"next": f"replaylab convert {folder} --to STORE"})


def show_pairs(pairs: Mapping[str, str]) -> None:
    """Print names and what they are, one below the other; those without a text are left out."""
    shown = {name: plain(text) for name, text in pairs.items() if text}
    width = max(map(len, shown), default=0) + 2
    lines = [f"{name:{width}}{text}".rstrip() for name, text in shown.items()]
    if not sys.stdout.isatty() and all(line.isascii() and len(line) <= _UNFOLDED_WIDTH for line in lines):
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
    else:
        show(_grid(shown))


def _grid(pairs: Mapping[str, str]) -> Table:
    """Return names and what they are as rich lays them out: it folds what is too wide, and knows wide characters."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in pairs.items():
        table.add_row(name, text)
    return table


def _show_under(title: str, table: Table) -> None:
    """Print a table below a title that may be wider."""
    from rich.console import Group
    from rich.text import Text

    show(Group("", Text(title, style="bold"), table))


def _table(*columns: str) -> Table:
    """Return an empty table; the columns whose name starts with ``>`` are aligned to the right."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        right = name.startswith(">")
        width = _ID_WIDTH if name == "game" else None  # an id that is folded cannot be copied
        table.add_column(name.removeprefix(">"), justify="right" if right else "left", overflow="fold", min_width=width)
    return table


def _fields(value: object) -> Any:
    """Return a value that JSON does not know as plain values."""
    if isinstance(value, Decimal):
        return price_text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"{type(value).__name__} is not plain")


def plain(text: str) -> str:
    """Return text with control characters escaped."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def shortened(text: str) -> str:
    """Return text without control characters, a long one with its middle left out.

    Examples
    --------
    >>> shortened("20310102-0123456789ab4cde"), len(shortened("x" * 3_000))
    ('20310102-0123456789ab4cde', 64)
    """
    return short_id(plain(text))


def _one_line(text: str) -> str:
    """Return a message on one line: a list of problems after its heading, other lines behind one another."""
    first, *more = [line.strip() for line in _plain_lines(text)] or [""]
    if more and all(line.startswith("- ") for line in more):
        return f"{first}: {'; '.join(line.removeprefix('- ') for line in more)}"
    return " | ".join([first, *more])


def _plain_lines(text: str) -> list[str]:
    return [plain(line) for line in text.splitlines() if line.strip()]


def _time(value: datetime | None) -> str:
    return "not recorded" if value is None else f"{value:%Y-%m-%d %H:%M:%S}"


def _price(value: Decimal | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _whole(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
