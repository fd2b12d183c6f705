"""Programme: games one after another, each item with its place, time and line; resuming is exact."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab.errors import FeedLost, GameNotFound, SpeedError, StoreNotFound
from replaylab.feeds.paced import PacedFeed
from replaylab.feeds.programme import Item, Place, Programme
from replaylab.feeds.simulated import SimulatedGames, simulated_feed
from replaylab.feeds.stored import StoredGames, stored_feed
from replaylab.parsing.line_reader import LineReader
from replaylab.tick import Tick
from tests.stores import game_lines, quiet

GAMES = SimulatedGames(3, 4)


def all_items(programme: Programme, place: Place = Place(0, 0)) -> list[Item]:  # noqa: B008 a value
    """Every item from a place on, of a programme that ends."""
    found: list[Item] = []
    while True:
        items, place = programme.next_items(place, None, 50, 1 << 20)
        if not items:
            return found
        found += items


@given(st.data())
def test_after_an_id_comes_the_rest(data: st.DataObject) -> None:
    """After the id of any item come exactly the items that followed it."""
    programme = Programme(GAMES, "none")
    items = all_items(programme)
    number = data.draw(st.integers(0, len(items) - 1))
    place = programme.after(items[number].id)
    assert place is not None
    assert [one.id for one in all_items(Programme(GAMES, "none"), place)] == [one.id for one in items[number + 1 :]]


def test_lines_are_what_convert_reads() -> None:
    """Each line of a tick is read as that very tick, and carries its id."""
    reader = LineReader()
    for item in all_items(Programme(GAMES, "recorded")):
        assert json.loads(item.line)["id"] == item.id
        if isinstance(item.message, Tick):
            assert reader.read(item.line) == item.message


@pytest.mark.parametrize(
    "name", ["", "x", "0123456789ab-0.0", "{epoch}-0.999999", "{epoch}-9.0", "{epoch}-0.-1", "{epoch}-0"]
)
def test_ids_of_other_content_are_unknown(name: str) -> None:
    """An id of another selection, or of no item, leads nowhere."""
    programme = Programme(GAMES, "none")
    assert programme.after(name.format(epoch=programme.epoch)) is None


def test_the_epoch_is_the_content() -> None:
    """The same content has the same epoch in every process; another selection or another seed has not."""
    assert Programme(GAMES, "none").epoch == Programme(SimulatedGames(3, 4), "none").epoch
    others = {Programme(SimulatedGames(*one), "none").epoch for one in ((3, 5), (2, 4))}
    assert Programme(GAMES, "none").epoch not in others
    assert Programme(GAMES, "recorded").epoch != Programme(GAMES, "none").epoch


@pytest.mark.parametrize("pacing", ["recorded", "nominal", "none"])
@pytest.mark.parametrize("loop", [True, False])
def test_time_never_goes_back(pacing: str, *, loop: bool) -> None:
    """Items come in order of their time, over games and rounds; the place of a time is the first item of it."""
    programme = Programme(GAMES, pacing, loop=loop)  # type: ignore[arg-type] # one of the three
    items = [one for number in range(6 if loop else 3) for one in programme.items(number)]
    dues = [one.due_us for one in items]
    assert dues == sorted(dues)
    if pacing != "none":
        for due in (dues[0], dues[len(dues) // 2], dues[-1]):
            place = programme.of_clock(due)
            assert programme.due_us(place) == due


def test_a_loop_makes_games_of_its_own() -> None:
    """In a loop ids and times go on, so that no tick of a later round is one of an earlier."""
    programme = Programme(GAMES, "recorded", loop=True)
    first, second = programme.items(0), programme.items(3)
    one, two = first[1].message, second[1].message
    assert isinstance(one, Tick)
    assert isinstance(two, Tick)
    assert two.game_id == f"{one.game_id}~2"
    last = programme.items(2)[-1].message
    assert isinstance(last, Tick)
    assert two.timestamp > last.timestamp
    assert len({one.id for one in (*first, *second)}) == len(first) + len(second)


def test_places_of_games_and_times() -> None:
    """A game and a time lead to where they begin."""
    programme = Programme(GAMES, "recorded")
    listed = programme.source.games
    assert programme.of_game(listed[1].game_id) == Place(1, 0)
    assert programme.of_game("none") is None
    assert programme.of_time(listed[1].start_us) == Place(1, 0)
    place = programme.of_time(listed[1].start_us + 10_000_000)
    found = programme.items(place.game)[place.item].message
    assert found is not None
    assert found.timestamp.timestamp() * 1e6 >= listed[1].start_us + 10_000_000 - 1
    assert programme.of_time(listed[-1].end_us + 1) == Place(3, 0)


def test_games_without_a_time_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An answer over fewer games than the store has says so: in the log, and in `left_out`."""
    lines = [*game_lines("timed", 4), *(without_time(line) for line in game_lines("untimed", 3))]
    (tmp_path / "x.jsonl").write_bytes(b"".join(lines))
    quiet(tmp_path / "x.jsonl", tmp_path / "store")
    with caplog.at_level("WARNING", "replaylab"):
        source = StoredGames(rl.open_store(tmp_path / "store"))
    assert [listed.game_id for listed in source.games] == ["timed"]
    assert source.left_out == ("untimed",)
    assert "1 game is not served, as none of its rows has a time: untimed" in caplog.text


def without_time(line: bytes) -> bytes:
    """Return a line of which the time cannot be read."""
    return json.dumps({**json.loads(line), "timestamp": None}).encode() + b"\n"


def test_a_stored_game_is_served_as_received(tmp_path: Path) -> None:
    """Every priced row of a store is served in its order and in all its values."""
    rl.simulate(tmp_path / "recordings", games=2, seed=3, damage=["two_writers", "double_tick"])
    rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    store = rl.open_store(tmp_path / "store")
    source = StoredGames(store)
    assert (source.untimed, source.left_out) == (0, ())
    for number, listed in enumerate(source.games):
        rows = [row for row in store.game(listed.game_id).ticks().to_pylist() if row["price"] is not None]
        ticks = [one for one in source.read(number) if isinstance(one, Tick)]
        assert [(one.tick, one.timestamp, one.price, one.active, one.rugged) for one in ticks] == [
            (row["tick"], row["timestamp"], row["price"], row["active"], row["rugged"]) for row in rows
        ]
        phases = [one.detail["phase"] for one in source.read(number) if not isinstance(one, Tick)]
        assert phases == ["cooldown", "presale"]


def test_what_cannot_be_served_is_refused(tmp_path: Path) -> None:
    """No store, no game of that id, no game at all, no such speed: each is named."""
    with pytest.raises(StoreNotFound):
        stored_feed(tmp_path)
    rl.simulate(tmp_path / "recordings", games=1, seed=3)
    rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    with pytest.raises(GameNotFound):
        stored_feed(tmp_path / "store", games=["none"])
    with pytest.raises(StoreNotFound, match="no game"):
        stored_feed(tmp_path / "store", games=[])
    with pytest.raises(SpeedError):
        stored_feed(tmp_path / "store", speed=0)


def test_other_content_is_a_restart() -> None:
    """A paced feed that resumes after an id of other content is lost, as if its server had another store."""

    async def run() -> None:
        feed = simulated_feed(games=1, seed=1)
        with pytest.raises(FeedLost) as raised:
            await feed.connect(Programme(GAMES, "none").id_of(Place(0, 1)))
        assert raised.value.cause == "server_restart"

    asyncio.run(run())


def test_a_paced_feed_keeps_its_pace() -> None:
    """Nothing comes before it is due, and a long silence is filled with heartbeats."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        feed = PacedFeed(Programme(GAMES, "nominal"), "test", speed=10.0)
        since, ticks = loop.time(), 0
        await feed.connect()
        while ticks < 12:
            frame = await feed.receive()
            assert frame is not None
            ticks += len(frame.messages)
            assert ticks <= 2 + (loop.time() - since) / 0.025
        slow = PacedFeed(Programme(GAMES, "nominal"), "test", speed=0.01)
        await slow.connect()
        await slow.receive()
        frame = await slow.receive()
        assert frame is not None
        assert frame.messages == ()

    asyncio.run(run())
