"""Game: every row as received, and the path as it truly was, merged over sources and exact."""

from __future__ import annotations

import itertools
import shutil
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

import replaylab as rl
from replaylab.table import PRICE_TYPE, SCHEMA, TIME_TYPE
from tests.stores import game_lines, line, quiet, simulated


def stored(tmp_path: Path, *recordings: list[bytes]) -> rl.Game:
    """Store lines, a file for each list; give the game `g`."""
    folder = tmp_path / "r"
    folder.mkdir()
    for number, lines in enumerate(recordings):
        (folder / f"{number}.jsonl").write_bytes(b"".join(lines))
    quiet(folder, tmp_path / "store")
    return rl.open_store(tmp_path / "store")["g"]


def test_a_game_whose_store_is_gone_still_says_what_it_is(tmp_path: Path) -> None:
    """Looking at a game in a notebook or a debugger never raises, whatever became of its store."""
    quiet(simulated(tmp_path), tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    read, unread = (store.game(game_id) for game_id in store.game_ids()[:2])
    rows = len(read)
    shutil.rmtree(tmp_path / "store")
    assert repr(read) == f"Game({read.id!r}, {rows} rows)"
    assert repr(unread) == f"Game({unread.id!r}, cannot be read: is its store still there?)"
    assert (str(unread), unread._repr_html_()) == (repr(unread), None)


def test_ticks_are_every_row_as_received(tmp_path: Path) -> None:
    """Doubles, steps back, gaps and rows after the rug stay, in the order of the file, texts as plain strings."""
    order = [0, 1, 2, 2, 5, 4, 3, 9, 1]
    game = stored(tmp_path, [line("g", tick, str(place)) for place, tick in enumerate(order)])
    ticks = game.ticks()
    assert ticks.column("tick").to_pylist() == order
    assert ticks.column("seq").to_pylist() == list(range(len(order)))
    assert ticks.column("line").to_pylist() == list(range(1, len(order) + 1))
    assert ticks.column_names == SCHEMA.names
    assert {ticks.schema.field(name).type for name in ("game_id", "phase", "source")} == {pa.string()}
    assert len(game) == len(order)


def test_sources_one_after_the_other(tmp_path: Path) -> None:
    """Rows of several sources come source by source, by their first time, each in its own order."""
    early, late = game_lines("g", 6), game_lines("g", 9, first=4)
    game = stored(tmp_path, late, early)
    assert game.ticks().column("source").to_pylist() == ["1.jsonl"] * len(early) + ["0.jsonl"] * len(late)
    assert game.ticks().column("tick").to_pylist() == [*range(7), *range(4, 10)]


def test_live_has_each_tick_once_in_order(tmp_path: Path) -> None:
    """Live ticks are active and not rugged, ordered by number, the first received of each."""
    lines = [line("g", 0, "1", active=False, cooldown_timer=5_000), *(line("g", n, f"1.{n}") for n in (2, 1, 3, 2))]
    game = stored(tmp_path, [*lines, line("g", 4, "0.5", rugged=True)])
    assert game.live().column("tick").to_pylist() == [1, 2, 3]
    assert game.live().column("line").to_pylist() == [3, 2, 4]


def test_prices_end_with_the_rug(tmp_path: Path) -> None:
    """The path is live ticks before R, then the rug price once at R; nothing after it is in it."""
    lines = [*game_lines("g", 3, price="1.50"), line("g", 4, "0.01", rugged=True, phase="RUG_EVENT_1"), line("g", 7)]
    prices = stored(tmp_path, lines).prices()
    assert prices.schema.types == [pa.int32(), TIME_TYPE, PRICE_TYPE]
    assert prices.schema.names == ["tick", "timestamp", "price"]
    assert prices.column("tick").to_pylist() == [0, 1, 2, 3]
    assert prices.column("price").to_pylist() == [Decimal("1.5")] * 3 + [Decimal("0.01")]


def test_a_tick_known_to_one_source_is_known(tmp_path: Path) -> None:
    """A tick that one recording lost, the rug too, is given as another one has it."""
    torn = game_lines("g", 5)
    torn[2] = line("g", 2, "null")
    torn[5] = line("g", 5, "null", rugged=True)
    game = stored(tmp_path, torn, [line("h", 1), *game_lines("g", 5)])
    prices = game.prices()
    assert prices.column("tick").to_pylist() == list(range(6))
    assert None not in prices.column("price").to_pylist()


def test_a_game_that_never_began(tmp_path: Path) -> None:
    """Cooldown alone has ticks, no path, and a summary without rug and peak."""
    game = stored(tmp_path, [line("g", 0, "1.0", active=False, cooldown_timer=n) for n in (3_000, 2_000)])
    assert (len(game), len(game.live()), len(game.prices())) == (2, 0, 0)
    assert (game.summary["rug_tick"], game.summary["peak"], game.summary["complete"]) == (None, None, False)


def test_a_game_that_never_ended(tmp_path: Path) -> None:
    """Without a rug the path ends with the last live tick, and the game is censored."""
    game = stored(tmp_path, game_lines("g", 9)[:-1])
    assert game.prices().column("tick").to_pylist() == list(range(9))
    assert game.summary["censored"]


def test_summary_is_the_row_of_games(tmp_path: Path) -> None:
    """A game's summary and its row in the table of games say the same."""
    quiet(simulated(tmp_path / "r", games=6, damage=("double_rug", "missing_ticks", "late_start")), tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    rows = {row["game_id"]: row for row in store.games_table().to_pylist()}
    for game in store:
        assert game.summary == rows[game.id]
        assert f"{len(game)} rows" in repr(game)
        assert len(game) == rows[game.id]["rows"]
        ticks = game.prices().column("tick").to_pylist()
        assert all(before < after for before, after in itertools.pairwise(ticks))
