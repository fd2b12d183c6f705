"""Selection: whole games by what is known of them; what is not asked for does not matter."""

from __future__ import annotations

import pytest

import replaylab as rl
from replaylab.analysis.price_paths.selection import Selection
from replaylab.errors import AnalysisError
from tests.stores import game_lines, line, quiet

DOUBLE = [
    *game_lines("double", 5),
    *(line("double", tick, "0.01") for tick in (8, 9)),
    line("double", 10, "0.001", rugged=True),
]
GAMES = {
    "complete": game_lines("complete", 50),
    "late": game_lines("late", 50, first=10),
    "alive": game_lines("alive", 30)[:-1],
    "gap": [one for number, one in enumerate(game_lines("gap", 50)) if number not in {20, 21}],
    "double": DOUBLE,
    "cooldown": [line("cooldown", 0, "1.0", active=False, cooldown_timer=5000)],
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """Return a store with one game of each kind, each on a day of its own."""
    folder = tmp_path_factory.mktemp("selection")
    for day, (name, lines) in enumerate(GAMES.items(), 1):
        (folder / f"{name}.jsonl").write_bytes(b"".join(lines).replace(b"2031-01-02", f"2031-01-{day:02}".encode()))
    quiet(folder, folder / "store")
    return rl.open_store(folder / "store")


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Selection(), {"complete", "late", "alive", "gap"}),
        (Selection(min_ticks=0, double_rug=None), set(GAMES)),
        (Selection(rug_seen=True), {"complete", "late", "gap"}),
        (Selection(rug_seen=False), {"alive"}),
        (Selection(censored=True), {"alive"}),
        (Selection(censored=False), {"complete", "late", "gap"}),
        (Selection(complete=True), {"complete"}),
        (Selection(complete=False), {"late", "alive", "gap"}),
        (Selection(late_start=True), {"late"}),
        (Selection(double_rug=True), {"double"}),
        (Selection(min_ticks=48), {"complete", "gap"}),
        (Selection(max_missing=0), {"complete", "late", "alive"}),
        (Selection(max_missing=2), {"complete", "late", "alive", "gap"}),
        (Selection(repaired=True), set()),
        (Selection(repaired=False), {"complete", "late", "alive", "gap"}),
        (Selection(start="2031-01-02", end="2031-01-04"), {"late", "alive"}),
        (Selection(end="2031-01-02T00:00:00+00:00"), {"complete"}),
        (Selection(ids=["late", "double", "nobody"]), {"late"}),
        (Selection(ids="late"), {"late"}),
        (Selection(ids=[]), set()),
    ],
)
def test_selects(store: rl.Store, where: Selection, expected: set[str]) -> None:
    """Each condition keeps exactly the games it names, and the games that are none are out by default."""
    assert set(where.of(store.games_table()).column("game_id").to_pylist()) == expected


@pytest.mark.parametrize(
    ("arguments", "said"), [({"start": "yesterday"}, "pass a date"), ({"min_ticks": -1}, "min_ticks=-1")]
)
def test_nonsense_is_refused(arguments: dict[str, object], said: str) -> None:
    """A bound that is no time and a number below zero are errors that name them."""
    with pytest.raises(AnalysisError, match=said):
        Selection(**arguments)  # type: ignore[arg-type]
