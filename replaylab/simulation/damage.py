"""Damage: every way in which recordings were found broken, made again from a seed, with what a reader owes to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from replaylab.errors import SimulationError
from replaylab.simulation.corruption import CORRUPTIONS
from replaylab.simulation.dialect import control_line, end_line, stamp, start_line, tick_line
from replaylab.simulation.overwrite import two_writers
from replaylab.simulation.process import Row, drift, game_rows, new_id, price_path, rug_prices, time_text
from replaylab.simulation.recording import Line, Part, Recording, cut_part

Damage = Callable[[Recording, np.random.Generator], tuple[Recording, ...]]
RowDamage = Callable[[list[Row], np.random.Generator], list[Row]]

LEAST_TICKS: Final = 12  # a game shorter than this has no room for every kind of damage


def _by_rows(change: RowDamage, **status: str) -> Damage:
    """Damage that happened before the file was written: the rows change, and start and end tell of the changed rows."""

    def damage(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
        rows = change(list(recording.rows), rng)
        lines = (start_line(rows[0], recording.number), *map(tick_line, rows), end_line(rows, **status))
        return (replace(recording, lines=lines),)

    damage.__doc__ = change.__doc__
    return damage


def _played(rows: Sequence[Row]) -> list[int]:
    """Places of the live rows; raises `SimulationError` when they are too few to be damaged."""
    places = [place for place, row in enumerate(rows) if row.live]
    if len(places) < LEAST_TICKS:
        raise SimulationError(
            f"game {rows[0].game_id} has {len(places)} live ticks, and this damage needs {LEAST_TICKS}: "
            "take another seed, more games, or a later rug_tick"
        )
    return places


def _counting(rows: Sequence[Row], phase: str = "") -> list[int]:
    """Places of the rows in which the clock runs down; raises `SimulationError` when there are none."""
    places = [place for place, row in enumerate(rows) if row.filled and row.phase.startswith(phase)]
    if not places:
        raise SimulationError(
            f"game {rows[0].game_id} has no rows {phase or 'before the game'} to damage; keep more idle rows"
        )
    return places


def _pick(places: Sequence[int], rng: np.random.Generator) -> int:
    """One of the places, not the first and not the last two."""
    return places[int(rng.integers(1, len(places) - 2))]


def _late_start(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """The recording starts in mid-game."""
    return rows[_pick(_played(rows), rng) :]


def _cooldown_only(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """The recording ends before the game starts."""
    last = _counting(rows)[-1]
    return rows[: int(rng.integers(1, last + 2))]


def _never_rugged(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """The connection was lost in mid-game."""
    return rows[: _pick(_played(rows), rng) + 1]


def _swapped_rows(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """The recording starts in mid-game, and the snapshot comes one tick late."""
    rows = rows[_pick(_played(rows)[:-1], rng) :]
    late = rows[0]._replace(at=rows[1].at + 10_000, trade_count=0)
    return [rows[1], late, *rows[2:]]


def _double_tick(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """One live tick was recorded twice."""
    place = _pick(_played(rows), rng)
    return [*rows[: place + 1], rows[place]._replace(at=rows[place].at + 700), *rows[place + 1 :]]


def _missing_ticks(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """Up to three ticks in a row were never received."""
    place = _pick(_played(rows)[:-3], rng)
    return rows[:place] + rows[place + int(rng.integers(1, 4)) :]


def _double_rug(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """The game comes back after the rug, at the rug price, and rugs again."""
    last = rows[-1]
    tick = last.tick + int(rng.integers(20, 80))
    again = [last._replace(tick=tick, at=last.at + 20_000_000, phase="ACTIVE_GAMEPLAY", rugged=False)]
    for _ in range(int(rng.integers(3, 20))):
        before = again[-1]
        price = repr(drift(float(before.price), rng.random))
        again.append(before._replace(tick=before.tick + 1, at=before.at + 250_000, price=price))
    price = repr(float(rug_prices(np.array([float(again[-1].price)]), rng)[0]))
    rug = again[-1]._replace(tick=again[-1].tick + 1, at=again[-1].at + 290_000, price=price, rugged=True)
    second = rug._replace(tick=rug.tick + 1, at=rug.at + 500_000, phase="RUG_EVENT_1", trade_count=0)
    return [*rows, *again, rug, second]


def _time_backwards(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """One of the first rows is stamped up to 0.35 s before the row in front of it."""
    place = int(rng.integers(1, min(6, len(rows))))
    back = rows[place - 1].at - int(rng.integers(1, 350_000))
    return [*rows[:place], rows[place]._replace(at=back), *rows[place + 1 :]]


def _repeated_cooldown(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """The clock before the game repeats a value, and then rises."""
    counting = _counting(rows)
    place = counting[int(rng.integers(len(counting)))]
    same = rows[place]._replace(at=rows[place].at + 20)
    return [
        *rows[: place + 1],
        same,
        same._replace(at=same.at + 20, cooldown_timer=same.cooldown_timer + 100),
        *rows[place + 1 :],
    ]


def _paused_clock(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """The clock is paused in presale: odd values, and the tick number of an earlier game."""
    counting = _counting(rows, "PRESALE")
    place = counting[int(rng.integers(len(counting)))]
    held = [
        rows[place]._replace(tick=95, cooldown_timer=39_600 - 100 * step, at=rows[place].at + step) for step in range(8)
    ]
    return rows[:place] + held + rows[place + 1 :]


def _filled_values(rows: list[Row], rng: np.random.Generator) -> list[Row]:
    """The snapshots before the game were missed, so the recorder filled in every price there."""
    del rng  # all of them
    return [row if row.active else row._replace(price="1.0", trade_count=0) for row in rows]


def _insert(recording: Recording, places: Sequence[int], lines: Sequence[Line]) -> tuple[Recording, ...]:
    """The recording with a line put in before each of the places given in rising order."""
    text = list(recording.lines)
    for place, line in sorted(zip(places, lines, strict=True), key=lambda pair: -pair[0]):
        text.insert(place, line)
    return (replace(recording, lines=tuple(text)),)


def _comments(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """Three lines written by hand and an empty one."""
    places = sorted(int(place) for place in rng.integers(1, len(recording.lines), 3))
    notes = [Line(f"## note {number}: look here\n".encode(), (Part("annotation"),)) for number in (1, 2, 3)]
    return _insert(recording, [*places, places[-1]], [*notes, Line(b"\n", (Part("blank"),))])


def _torn_end(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """The process was killed in the middle of a line."""
    places = [place for place, line in enumerate(recording.lines) if line.row and line.row.active]
    if not places:
        raise SimulationError(f"{recording.name} holds no row in play that could be torn; take another seed")
    place = places[int(rng.integers(len(places) // 2, len(places)))]
    line = recording.lines[place]
    rugged = line.text.index(b', "cooldown_timer"')
    # Two times in three the row can be saved.
    kept = int(rng.integers(rugged, len(line.text))) if rng.random() < 2 / 3 else int(rng.integers(1, rugged))
    cut = Line(line.text[:kept], (cut_part(line, kept),))
    return (replace(recording, lines=(*recording.lines[:place], cut)),)


def _no_end(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """There is no game_end."""
    del rng  # nothing to choose
    return (replace(recording, lines=tuple(line for line in recording.lines if b'"game_end"' not in line.text)),)


def _doubled_control(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """The start, the end, or both are written twice."""
    kinds = [{b'"game_start"'}, {b'"game_end"'}, {b'"game_start"', b'"game_end"'}][int(rng.integers(3))]
    doubled = [2 if any(kind in line.text for kind in kinds) else 1 for line in recording.lines]
    lines = [line for line, times in zip(recording.lines, doubled, strict=True) for _ in range(times)]
    return (replace(recording, lines=tuple(lines)),)


def _wrong_total(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """The game_end counts one to four rows less than there are."""
    lines = list(recording.lines)
    for place, line in enumerate(lines):
        if b'"game_end"' in line.text:
            end = json.loads(line.text)
            lines[place] = control_line(**(end | {"total_ticks": end["total_ticks"] - int(rng.integers(1, 5))}))
    return (replace(recording, lines=tuple(lines)),)


def _whole_second(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """One row came in on the full second, so its time has no fraction."""
    whole_rows = [(place, line, line.row) for place, line in enumerate(recording.lines) if line.row]
    place, line, row = whole_rows[int(rng.integers(len(whole_rows)))]
    text = line.text.replace(time_text(row.at).encode(), time_text(row.at)[:19].encode())
    whole = Line(text, (Part("clean", row._replace(at=row.at - row.at % 1_000_000)),))
    return (replace(recording, lines=(*recording.lines[:place], whole, *recording.lines[place + 1 :])),)


def _several_files(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """A reconnection in mid-game opens a second file, which repeats some ticks of the first."""
    rows = list(recording.rows)
    place = _pick(_played(rows)[2:], rng)
    first, second = rows[: place + 1], [row._replace(at=row.at + 900) for row in rows[place - 2 :]]
    status = {"status": "incomplete", "incomplete_reason": "disconnect"}
    name = f"game_{stamp(second[0].at)}_{second[0].game_id[-8:]}.jsonl"
    start = start_line(first[0], recording.number)
    again = (start_line(second[0], recording.number), *map(tick_line, second), end_line(second))
    return (
        replace(recording, lines=(start, *map(tick_line, first), end_line(first, **status))),
        replace(recording, name=_other(recording.name, name), lines=again),
    )


def _recorded_twice(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """Two recorders wrote the same game at the same time, each into its own file."""
    rows = [row._replace(at=row.at + int(rng.integers(100, 900)) + 1_000_000) for row in recording.rows]
    name = f"game_{stamp(rows[0].at)}_{rows[0].game_id[-8:]}.jsonl"
    lines = (start_line(rows[0], recording.number), *map(tick_line, rows), end_line(rows))
    return recording, replace(recording, name=_other(recording.name, name), lines=lines)


def _other(first: str, second: str) -> str:
    """The second name, changed when it is the first, as for two files begun within the same second."""
    return second if second != first else second.replace(".jsonl", "_2.jsonl")


def _two_games(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """A whole session in one file: the next game's first row comes before the former game's second rug row."""
    rows = list(recording.rows)
    other = rows[0].game_id
    while other == rows[0].game_id:  # the generator may be the one that named the first game
        other = new_id(rng, rows[-1].at)
    following = game_rows(rng, other, rows[-1].at - 500, price_path(rng, int(rng.integers(3, 30))))[-45:]
    early = following[0]._replace(at=rows[-1].at - 500)
    shift = early.at + 100_000 - following[1].at
    mixed = [*rows[:-1], early, rows[-1], *(row._replace(at=row.at + shift) for row in following[1:])]
    begun = {"timestamp": time_text(rows[0].at - 600), "session_id": stamp(rows[0].at)}
    ended = {"timestamp": time_text(mixed[-1].at + 300), "total_games": 2, "total_ticks": len(mixed)}
    lines = (
        control_line(type="session_start", **begun, starting_balance=0.05, max_games=2),
        *map(tick_line, mixed),
        control_line(type="session_end", **ended, ending_balance=None),
    )
    return (replace(recording, name=f"session_{stamp(rows[0].at)}.jsonl", lines=lines),)


def _cut_seed(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """A line gives a server seed cut to 20 digits, and it is the seed of the game before."""
    rows = recording.rows
    seed = rng.bytes(32).hex()[:20]
    claim = {"timestamp": time_text(rows[-1].at), "game_id": rows[-1].game_id, "game_number": 1}
    past = {"final_tick": int(rng.integers(1, 900)), "peak_multiplier": round(1 + 9 * rng.random(), 4)}
    line = control_line(type="game_complete", **claim, **past, server_seed=seed)
    return _insert(recording, [len(recording.lines)], [line])


KINDS: Final[dict[str, Damage]] = {
    "missing_ticks": _by_rows(_missing_ticks),
    "double_tick": _by_rows(_double_tick),
    "double_rug": _by_rows(_double_rug),
    "time_backwards": _by_rows(_time_backwards),
    "repeated_cooldown": _by_rows(_repeated_cooldown),
    "paused_clock": _by_rows(_paused_clock),
    "filled_values": _by_rows(_filled_values),
    "late_start": _by_rows(_late_start),
    "swapped_rows": _by_rows(_swapped_rows),
    "never_rugged": _by_rows(_never_rugged, status="incomplete", incomplete_reason="disconnect"),
    "cooldown_only": _by_rows(_cooldown_only, status="incomplete", incomplete_reason="shutdown"),
    "several_files": _several_files,
    "recorded_twice": _recorded_twice,
    "two_games": _two_games,
    "no_end": _no_end,
    "doubled_control": _doubled_control,
    "wrong_total": _wrong_total,
    "cut_seed": _cut_seed,
    "whole_second": _whole_second,
    "two_writers": two_writers,
    "comments": _comments,
    **CORRUPTIONS,
    "torn_end": _torn_end,
}
"""Every kind by name, in an order in which several of them can be done to one recording."""
