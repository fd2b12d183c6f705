"""Cards: how a game, a store and a report look in a notebook. Plain HTML without scripts, readable in light and dark.

Colours come from the theme of JupyterLab, with a fallback for viewers that have none; where styles are taken away, as
on GitHub, a card is still text and a table. The same input gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from replaylab.charts.lacks import lacks
from replaylab.plural import count_of
from replaylab.tick import price_text, short_id

_BORDER: Final = "1px solid var(--jp-border-color2,#bdbdbd)"
_DIM: Final = "opacity:.75"
_CARD: Final = (
    f"border:{_BORDER};border-left:4px solid {{}};border-radius:3px;padding:.6em .9em .5em;margin:.2em 0;"
    "max-width:68em;font-family:var(--jp-ui-font-family,sans-serif);font-size:13px;line-height:1.5;"
    "color:var(--jp-ui-font-color1,inherit)"
)
_FACT: Final = "display:inline-block;margin:0 1.5em .15em 0"
_BADGE: Final = f"display:inline-block;border:{_BORDER};border-radius:9px;padding:0 .6em;margin:.25em .4em .1em 0"
_CELL: Final = "text-align:left;padding:.1em 1.2em .1em 0;vertical-align:top"
_NUMBER: Final = "text-align:right;padding:.1em 1.2em .1em 0;vertical-align:top"
_GOOD, _BAD, _PLAIN = "#009E73", "#D55E00", "#0072B2"
_ALARM: Final = "color:var(--jp-error-color1,#d32f2f)"
_BYTES: Final = {
    "kept": "#0072B2",
    "repaired": "#009E73",
    "quarantined": "#D55E00",
    "blank": "#9e9e9e",
    "known": "#CC79A7",
}
_SHOWN: Final = 20  # rows of a table; the rest is counted


def game_card(game_id: str, summary: Mapping[str, Any]) -> str:
    """Return the card of a game: its ticks, peak, rug and times, and what it lacks.

    Examples
    --------
    >>> from replaylab.storage.game_summary import SCHEMA
    >>> "never live" in game_card("20310102-0000000000004000", dict.fromkeys(SCHEMA.names))
    True
    """
    facts = [
        ("live ticks", _whole(summary["ticks"])),
        ("rows", _whole(summary["rows"])),
        ("peak", _at(summary["peak"], summary["peak_tick"])),
        ("rug", _at(summary["rug_price"], summary["rug_tick"])),
        ("time", _span(summary["start"], summary["end"])),
    ]
    shown = "".join(
        f'<span style="{_BADGE};border-color:{color}">{escape(text)}</span>' for text, color in _badges(summary)
    )
    sources = ", ".join(summary["sources"] or [])
    return _card(
        _GOOD if summary["complete"] else _BAD,
        f"Game {game_id}",
        _facts(facts)
        + f"<div>{shown}</div>"
        + (f'<div style="{_DIM}">from {escape(sources)}</div>' if sources else ""),
    )


def _badges(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what a game lacks, or that it is complete, and how many of its rows were repaired, each with a colour."""
    found = [(text, _BAD) for text in lacks(summary)] or [("complete", _GOOD)]
    return [*found, *([(f"{count_of(summary['repaired'], 'row')} repaired", _PLAIN)] if summary["repaired"] else [])]


def store_card(store: Any) -> str:
    """Return the card of a `Store`: what it holds, from when to when, how complete it is, and what is damaged.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> "2 games" in store_card(rl.open_store(folder + "/store"))
    True
    """
    games, segments = store.games_table(), store.segments()
    counts = {name: _true(games, name) for name in ("complete", "late_start", "censored", "double_rug")}
    counts["never live"] = int(pc.sum(pc.equal(games.column("ticks"), 0)).as_py() or 0)
    counts["ticks missing"] = int(pc.sum(pc.greater(games.column("gaps"), 0)).as_py() or 0)
    facts = [
        ("rows", _whole(store.rows)),
        ("segments", _whole(len(segments))),
        ("time", _span(pc.min(games.column("start")).as_py(), pc.max(games.column("end")).as_py())),
    ]
    body = _facts(facts)
    if games.num_rows:
        body += _facts((name.replace("_", " "), _whole(count)) for name, count in counts.items() if count)
    else:
        body += f'<div style="{_DIM}">Nothing is stored yet; <code>replaylab.convert</code> fills it.</div>'
    if store.damaged:
        body += _alarm(f"{len(store.damaged):,} damaged, left out", store.damaged.values())
    title = f"{count_of(games.num_rows, 'game')} in {store.path}"
    return _card(_BAD if store.damaged else _PLAIN, title, body)


def report_card(report: Any) -> str:
    """Return the card of a `ConversionReport`: the account of every byte, the reasons, and the sources to look at.

    Examples
    --------
    >>> from replaylab.conversion.report import ConversionReport
    >>> "Every byte is accounted for" in report_card(ConversionReport(store="store", source_tz="UTC"))
    True
    """
    words = "Every byte is accounted for" if report.balanced else "The bytes do not add up"
    facts = {name: text for name, text in report.described().items() if name != "bytes"}  # the bar shows them
    body = "".join(_facts([fact]) for fact in facts.items()) + _account(report, words)
    damage = [(reason, f"{count:,}", done) for reason, count, done in report.damage()]
    body += _table(("damage", "count", "what was done"), damage, numbers={1}) if damage else ""
    body += _attention(report.sources)
    return _card(_GOOD if report.ok else _BAD, f"Conversion into {report.store}", body)


def recorder_card(recorder: Any) -> str:
    """Return the card of a `Recorder`: where it records, how it is, and what it has kept, refused and made permanent.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> with rl.Recorder(tempfile.mkdtemp()) as recorder:
    ...     "ticks accepted" in recorder_card(recorder)
    True
    """
    seen = recorder.status()
    facts = [
        ("state", seen.state),
        ("game", short_id(seen.game_id) or "none"),
        ("ticks accepted", _whole(seen.accepted)),
        ("not yet durable", _whole(seen.unsynced)),
        ("refused", _whole(sum(seen.refused.values()))),
        ("games", _whole(seen.games)),
        ("segments", _whole(seen.segments)),
    ]
    body = _facts(facts)
    if seen.refused:
        body += _facts((reason.replace("_", " "), _whole(count)) for reason, count in seen.refused.items())
    if seen.reasons:
        body += _alarm(seen.verdict, seen.reasons)
    well = seen.verdict == "healthy"
    return _card((_PLAIN if seen.state == "closed" else _GOOD) if well else _BAD, f"Recorder into {seen.path}", body)


def engine_card(status: Any) -> str:
    """Return the card of a `ReplayEngine` by its status: the game, where it is, whether it plays, and what it missed.

    Examples
    --------
    >>> import replaylab as rl
    >>> "nothing is loaded" in engine_card(rl.ReplayEngine().status)
    True
    """
    if status.game_id is None:
        return _card(_PLAIN, "ReplayEngine", f'<div style="{_DIM}">nothing is loaded</div>')
    states = [name for name in ("closed", "following", "playing") if getattr(status, name)]
    facts = [
        ("holds", {"file": "a stored game", "live": "a live game"}.get(str(status.mode), str(status.mode))),
        ("row", f"{status.index:,} of {status.total:,}"),
        ("tick", "none" if status.tick is None else _whole(status.tick)),
        ("state", [*states, "paused"][0]),
        ("speed", f"{status.speed:g}x"),
    ]
    if status.loop is not None:
        facts.append(("loop", f"{status.loop[0]:,} to {status.loop[1]:,}"))
    facts += [(name, _whole(count)) for name in ("gaps", "missed", "refused") if (count := getattr(status, name))]
    return _card(_PLAIN, f"ReplayEngine: {short_id(status.game_id)}", _facts(facts))


def _account(report: Any, words: str) -> str:
    """Return the account of bytes as a bar and as a sum."""
    amounts = {kind: int(getattr(report, f"bytes_{kind}")) for kind in _BYTES}
    total = max(sum(amounts.values()), 1)
    parts = "".join(
        f'<i title="{amount:,} {kind}" style="background:{_BYTES[kind]};flex:{100 * amount / total:.4f} 0 3px"></i>'
        for kind, amount in amounts.items()
        if amount
    )
    terms = " + ".join(
        f'<span style="white-space:nowrap"><span style="color:{_BYTES[kind]}">&#9632;</span> {amount:,} {kind}</span>'
        for kind, amount in amounts.items()
    )
    verdict = f'<b style="{"" if report.balanced else _ALARM}">{words}</b>'
    bar = f'<div style="display:flex;gap:1px;height:10px;margin:.5em 0 .3em">{parts}</div>' if parts else ""
    return f"{bar}<div>{verdict}: {report.bytes_in:,} in = {terms}</div>"


def _attention(sources: Sequence[Any]) -> str:
    """Return the sources that are not simply fine as a table."""
    found = [one for one in sources if one.repaired or one.quarantined or one.status == "unreadable"]
    if not found:
        return ""
    rows = [(one.source, f"{one.repaired:,}", f"{one.quarantined:,}", one.problem) for one in found]
    width = 4 if any(one.problem for one in found) else 3
    head = ("source to look at", "repaired", "quarantined", "problem")
    return _table(head[:width], [row[:width] for row in rows], numbers={1, 2})


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[int]) -> str:
    """Return a table, cut after `_SHOWN` rows; columns of numbers stand to the right."""
    styles = [_NUMBER if place in numbers else _CELL for place in range(len(head))]
    top = "".join(
        f'<th style="{style};font-weight:600">{escape(text)}</th>' for style, text in zip(styles, head, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td style="{style}">{escape(text)}</td>' for style, text in zip(styles, row, strict=True))
        + "</tr>"
        for row in rows[:_SHOWN]
    )
    more = f'<div style="{_DIM}">and {len(rows) - _SHOWN:,} more</div>' if len(rows) > _SHOWN else ""
    table = f'<table style="border-collapse:collapse;margin:.5em 0 .2em;font-size:13px"><thead><tr>{top}</tr></thead>'
    return f"{table}<tbody>{body}</tbody></table>{more}"


def _card(color: str, title: str, body: str) -> str:
    return f'<div style="{_CARD.format(color)}"><div style="font-weight:600">{escape(title)}</div>{body}</div>'


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    shown = " ".join(
        f'<span style="{_FACT}"><span style="{_DIM}">{escape(name)}</span> <b>{escape(value)}</b></span>'
        for name, value in facts
    )
    return f"<div>{shown}</div>"


def _alarm(title: str, sentences: Iterable[str]) -> str:
    shown = "".join(f"<div>{escape(sentence)}</div>" for sentence in list(sentences)[:_SHOWN])
    return f'<div style="{_ALARM};margin-top:.3em"><b>{escape(title)}</b>{shown}</div>'


def _true(table: pa.Table, name: str) -> int:
    return int(pc.sum(table.column(name)).as_py() or 0)


def _whole(count: int | None) -> str:
    return f"{count or 0:,}"


def _at(price: Any, tick: int | None) -> str:
    if tick is None:
        return "none"
    return f"{'unknown' if price is None else price_text(price)} at tick {tick:,}"


def _span(start: datetime | None, end: datetime | None) -> str:
    """Return a span of time in UTC, the date once when it is the same."""
    if start is None or end is None:
        return "not recorded"
    same = start.date() == end.date()
    return f"{start:%Y-%m-%d %H:%M:%S} to {end:{'%H:%M:%S' if same else '%Y-%m-%d %H:%M:%S'}} UTC"
