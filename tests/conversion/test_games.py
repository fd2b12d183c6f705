"""Numbering: games that end at silences and numbers by place are the same however the source is cut into blocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from replaylab.conversion.games import Numbering
from replaylab.parsing.mapping import NUMBERED, Mapping
from replaylab.table import Batch
from replaylab.tick import Row

_GAP = 60


def _batch(walls: list[int | None], game: str) -> Batch:
    price = Decimal(1)
    rows = [Row(game, NUMBERED, us, True, price, False, None, True, False, None, None) for us in walls]
    return Batch.of(rows, list(range(len(rows))))


def _expected(walls: list[int | None], game: str) -> list[tuple[str, int]]:
    """Games and numbers, tick by tick as the page on mappings says."""
    found: list[tuple[str, int]] = []
    counts: dict[str, int] = {}
    name, last = "", 0
    for wall in walls:
        us = -1 if wall is None else wall
        if game.startswith("gap") and (not name or us - last > _GAP * 1_000_000):
            name = "feed-" + (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=max(us, 0))).strftime(
                "%Y%m%dT%H%M%S.%f"
            )
        last = max(us, last)
        one = name if game.startswith("gap") else "feed" if game == "file" else game
        found.append((one, counts.get(one, 0)))
        counts[one] = counts.get(one, 0) + 1
    return found


@given(
    st.lists(st.one_of(st.none(), st.integers(-(10**9), 10**9), st.integers(0, 5).map(lambda n: n * 61_000_000))),
    st.lists(st.integers(0, 40), max_size=4),
    st.sampled_from(["file", f"gap:{_GAP}", "2031-01-02"]),
)
def test_blocks_change_nothing(walls: list[int | None], cuts: list[int], game: str) -> None:
    """Whatever the blocks, each tick has the game and the number that it has when ticks are taken one by one."""
    mapping = Mapping(game=game if game != "2031-01-02" else "day", fields={"timestamp": "ts"})
    numbering = Numbering(mapping)
    places = sorted({0, len(walls), *(min(cut, len(walls)) for cut in cuts)})
    found: list[tuple[str, int]] = []
    for start, end in zip(places, [*places[1:], len(walls)], strict=True):
        batch = _batch(walls[start:end], game)
        made = numbering.apply(batch, [("folder/feed.jsonl", slice(0, len(batch)))])
        games = [made.game.texts[code] for code in made.game.codes.tolist()]
        found += zip(games, made.tick.tolist(), strict=True)
    assert found == _expected(walls, game)
