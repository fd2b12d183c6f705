"""Simulate: whole games, folders of recordings, tables of prices and streams of lines, all from a seed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from replaylab.durable import of_user
from replaylab.errors import SimulationError, StoreUnwritable
from replaylab.keywords import options_of
from replaylab.simulation.bulk import simulate_table, tick_lines
from replaylab.simulation.corruption import CORRUPTIONS
from replaylab.simulation.damage import KINDS
from replaylab.simulation.dialect import DIALECTS
from replaylab.simulation.process import START, Row, game_rows, generator, microseconds, new_id, price_path
from replaylab.simulation.recording import Recording, expected_games

__all__ = ["SimulatedGame", "expectation", "samples", "simulate", "simulate_game", "simulate_table", "tick_lines"]

_PAUSE_US: Final = 250_000  # from the last row of a game to the first of the next


@dataclass(frozen=True, slots=True)
class SimulatedGame:
    """One made-up game: its prices from tick 0 to the rug tick R, and the rows in which a recorder would see it.

    Parameters
    ----------
    game_id : str
        UTC date and half a UUID.
    prices : tuple of float
        Ticks 0 to R; the last is the rug price.
    rows : tuple of Row
        Cooldown, presale, play and both rug broadcasts, in the order of arrival.

    Examples
    --------
    >>> game = simulate_game(seed=1, rug_tick=30)
    >>> game.rug_tick, len(game.prices), game.recording().expected()["games"][0]["complete"]
    (30, 31, True)
    """

    game_id: str
    prices: tuple[float, ...]
    rows: tuple[Row, ...]

    @property
    def rug_tick(self) -> int:
        """R, the first tick that is not live any more."""
        return len(self.prices) - 1

    @property
    def rug_price(self) -> float:
        """The price at the rug tick."""
        return self.prices[-1]

    @property
    def peak(self) -> float:
        """The largest price, the 1 at tick 0 included."""
        return max(self.prices)

    def recording(self, dialect: str = "recording", number: int = 1, seed: int = 0) -> Recording:
        """The game as one file of a dialect; `number` is its place in the session.

        Raises
        ------
        SimulationError
            When there is no such dialect.
        """
        return DIALECTS[_known("dialect", dialect, DIALECTS)](self.rows, number, generator(seed))


def simulate_game(
    seed: int, *, rug_tick: int | None = None, idle: int | None = None, start: datetime | str = START
) -> SimulatedGame:
    """One game from a seed; the same arguments give the same game.

    Parameters
    ----------
    seed : int
        From 0.
    rug_tick : int, optional
        Fix the rug tick (1 to 5,000) instead of drawing it with probability 0.005 a tick.
    idle : int, optional
        Keep only the last so many rows before the game (of about 151), as if the recording had begun later.
    start : datetime or str
        Receive time of the first row; without a zone it is UTC.

    Raises
    ------
    SimulationError
        When an argument is out of range.

    Examples
    --------
    >>> simulate_game(seed=4).rug_tick == simulate_game(seed=4).rug_tick
    True
    >>> simulate_game(seed=4, rug_tick=5, idle=3).rows[0].cooldown_timer
    300
    """
    return _game(generator(seed), microseconds(start), rug_tick, idle)


def _game(rng: np.random.Generator, at: int, rug_tick: int | None = None, idle: int | None = None) -> SimulatedGame:
    """One game from the numbers that come next."""
    if idle is not None and idle < 0:
        raise SimulationError(f"idle={idle}: the number of rows kept before the game is 0 or more")
    game_id = new_id(rng, at)
    prices = price_path(rng, rug_tick)
    rows = game_rows(rng, game_id, at, prices)
    before = sum(not row.active for row in rows)
    kept = rows if idle is None else rows[max(0, before - idle) :]
    return SimulatedGame(game_id, tuple(prices), tuple(kept))


def _known(what: str, name: str, names: Iterable[str]) -> str:
    """The name, when it is one of those known."""
    known = sorted(names)
    if name not in known:
        raise SimulationError(f"{what}={name!r} is not known; take one of: {', '.join(known)}")
    return name


@options_of("rl.simulate")
def simulate(
    path: str | Path,
    games: int = 10,
    seed: int = 1,
    damage: str | Sequence[str] = (),
    dialect: str = "recording",
    *,
    start: datetime | str = START,
) -> list[Path]:
    """A folder of simulated recordings, with `expected.json`: what a reader has to find in each of them.

    Parameters
    ----------
    path : str or Path
        Folder; made when it is not there. Files of the same name are overwritten, others are left alone.
    games : int
        How many games, one after the other; one file each, unless damage makes it more.
    seed : int
        The same seed gives the same bytes.
    damage : str or sequence of str
        Names from `KINDS` in `replaylab.simulation.damage`, or "all". They are dealt out over the games, so a kind
        strikes one game, and a game gets several kinds when there are more kinds than games.
    dialect : str
        `recording`, `sink`, `game_state` or `capture`; damage is known for `recording` only.
    start : datetime or str
        Receive time of the first row of the first game; without a zone it is UTC.

    Returns
    -------
    list of Path
        The recordings, in the order of the games.

    Raises
    ------
    SimulationError
        When an argument is out of range, or no game is long enough for the damage.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [file.name for file in simulate(folder, games=2, seed=7)]
    ['game_20310102_030405_...jsonl', 'game_20310102_...jsonl']
    """
    if games < 1:
        raise SimulationError(f"games={games}: at least one game is needed")
    kinds = list(KINDS) if damage == "all" else [damage] if isinstance(damage, str) else list(damage)
    kinds = sorted({_known("damage", kind, KINDS) for kind in kinds}, key=list(KINDS).index)
    if kinds and dialect != "recording":
        raise SimulationError(f"damage is known for the dialect 'recording' only, not for {dialect!r}")
    write = DIALECTS[_known("dialect", dialect, DIALECTS)]
    rng = generator(seed)
    at = microseconds(start)
    made: list[Recording] = []
    for number in range(1, games + 1):
        game = _game(rng, at)
        at = game.rows[-1].at + _PAUSE_US
        made.append(write(game.rows, number, rng))
    return write_recordings(path, _dealt(made, kinds, rng))


def _dealt(made: list[Recording], kinds: list[str], rng: np.random.Generator) -> list[Recording]:
    """The recordings after each kind of damage has struck one that is long enough for it."""
    groups = [[recording] for recording in made]
    for turn, kind in enumerate(kinds):
        order = groups[turn % len(groups) :] + groups[: turn % len(groups)]
        if not any(_struck(group, kind, rng) for group in order):
            raise SimulationError(
                f"damage={kind!r}: none of the {len(made)} games is long or whole enough for it: "
                "ask for more games, fewer kinds of damage, or another seed"
            )
    return [recording for group in groups for recording in group]


def _struck(group: list[Recording], kind: str, rng: np.random.Generator) -> bool:
    """Whether the first recording of a game could be damaged; it is replaced by what came of it."""
    try:
        group[:1] = KINDS[kind](group[0], rng)
    except SimulationError:
        return False
    return True


def write_recordings(folder: str | Path, recordings: Sequence[Recording]) -> list[Path]:
    """The files of some recordings, written into a folder together with their `expected.json`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_recordings(folder, [simulate_game(1, rug_tick=3).recording("sink")])
    ...     json.loads(Path(folder, "expected.json").read_text())["totals"]["control"]
    2
    """
    names = [recording.name for recording in recordings]
    if len(set(names)) < len(names):
        raise SimulationError("two recordings have the same file name; let them start at least a second apart")
    target = of_user(folder, StoreUnwritable)
    target.mkdir(parents=True, exist_ok=True)
    for recording in recordings:
        (target / recording.name).write_bytes(recording.data)
    (target / "expected.json").write_text(json.dumps(expectation(recordings), indent=1) + "\n", encoding="utf-8")
    return [target / name for name in names]


def expectation(recordings: Sequence[Recording]) -> dict[str, Any]:
    """What a reader has to find: in each file, in all files together, and in each game once its files are merged.

    Examples
    --------
    >>> expectation([simulate_game(1, rug_tick=3, idle=0).recording()])["totals"]["ticks"]
    {'clean': 5, 'merged': 0, 'torn': 0}
    """
    files = {recording.name: recording.expected() for recording in recordings}
    totals: dict[str, Any] = {"files": len(files), "ticks": {"clean": 0, "merged": 0, "torn": 0}}
    for counts in files.values():
        for name, count in counts.items():
            if isinstance(count, int):
                totals[name] = totals.get(name, 0) + count
        for what, count in counts["ticks"].items():
            totals["ticks"][what] += count
    return {"totals": totals, "games": expected_games(recordings), "files": files}


def samples(folder: str | Path) -> list[Path]:
    """The sample recordings of `data/samples`: healthy, damaged in every way but the too long line, other dialects.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     len(samples(folder))
    19
    """
    made = [_sample(*sample) for sample in enumerate(_SAMPLES)]
    return write_recordings(folder, [recording for recordings in made for recording in recordings])


def _sample(number: int, sample: tuple[int, int | None, str, str]) -> list[Recording]:
    """The files of one sample game, a minute of an hour of its own."""
    rug_tick, idle, dialect, damage = sample
    start = f"2031-01-02T{3 + number:02}:04:05"
    group = [simulate_game(number, rug_tick=rug_tick, idle=idle, start=start).recording(dialect, number + 1, number)]
    rng = generator(_SAMPLE_SEED + number)
    for kind in sorted(damage.split(), key=list(KINDS).index):
        group[:1] = KINDS[kind](group[0], rng)
    return group


_SAMPLE_SEED: Final = 1610  # with it, the damage by two writers and by a torn end shows all its faces
_SAMPLES: Final[list[tuple[int, int | None, str, str]]] = [  # rug tick, rows before the game, dialect, damage
    (96, None, "recording", ""),
    (41, None, "recording", ""),
    (1, 30, "recording", ""),
    (90, 60, "recording", "two_writers"),
    (60, 40, "recording", "two_writers doubled_control crlf"),
    (40, 20, "recording", "several_files comments"),
    (30, 20, "recording", "recorded_twice double_tick never_rugged"),
    (35, 20, "recording", "double_rug time_backwards"),
    (60, 101, "recording", "missing_ticks paused_clock repeated_cooldown filled_values wrong_total whole_second"),
    (24, 20, "recording", "two_games cut_seed"),
    (90, 20, "recording", "swapped_rows torn_end"),
    (40, 20, "recording", "late_start no_end byte_order_mark"),
    (20, 60, "recording", "cooldown_only"),
    (60, 20, "recording", " ".join(sorted(set(CORRUPTIONS) - {"long_line", "crlf", "byte_order_mark"}))),
    (70, 40, "sink", ""),
    (80, 0, "game_state", ""),
    (45, 30, "capture", ""),
]
