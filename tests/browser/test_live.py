"""A live feed in a real notebook: connecting, live, reconnecting, ended; gaps with their cause; bounded memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.playing import Start

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(180)]

SERVED = """
import asyncio, tempfile
from pathlib import Path
folder = Path(tempfile.mkdtemp())
rl.simulate(folder / "recordings", games=3, seed=7)
rl.convert(folder / "recordings", folder / "store", progress=False)
server = rl.serve(folder / "store", speed=5, pacing="nominal")
port = server.port
feed = rl.live(server.url + "?from=start", to=folder / "copy")
"""
GAPS = "[gap for gap in feed.gaps()['cause']]"


def test_a_live_feed_with_two_gaps(start: Start, screenshots: Path) -> None:
    """The player follows between cells, says how the feed is, marks both outages with their cause, and goes on."""
    playing = start(SERVED, "feed")
    page, player = playing.page, playing.players[0]
    state = player.root.locator(".rlab-state")
    expect(state).to_have_text("live", timeout=30_000)
    player.wait(lambda: player.row > 20, 30)
    expect(player.root.locator(".rlab-recorder")).to_contain_text("recorded")
    expect(player.button("Go to the newest tick")).to_have_attribute("aria-pressed", "true")
    player.root.screenshot(path=screenshots / "live_live.png")
    for outage in (1, 2):
        playing.tell("await asyncio.to_thread(server.stop)")
        expect(state).to_have_text("reconnecting", timeout=30_000)
        player.root.screenshot(path=screenshots / "live_reconnecting.png")
        playing.tell("server = rl.serve(folder / 'store', speed=5, pacing='nominal', port=port)")
        expect(state).to_have_text("live", timeout=60_000)
        expect(player.root.locator(".rlab-gaps")).to_contain_text(f"{outage} gap", timeout=30_000)
        player.wait(lambda row=player.row: player.row > row + 10 or player.row < row, 30)  # type: ignore[misc]
    assert playing.ask(GAPS) == ["server_restart", "server_restart"]
    player.root.screenshot(path=screenshots / "live_gaps.png")
    player.slider.focus()
    page.keyboard.press("ArrowLeft")  # back: the newest rows go on coming, and a button returns to them
    expect(player.button("Go to the newest tick")).to_have_attribute("aria-pressed", "false")
    expect(player.root.locator(".rlab-pace")).to_contain_text("behind", timeout=30_000)
    player.button("Go to the newest tick").click()
    expect(player.button("Go to the newest tick")).to_have_attribute("aria-pressed", "true")
    playing.tell("_ = await feed.close()")
    expect(state).to_have_text("ended", timeout=30_000)
    expect(player.root.locator(".rlab-recorder")).to_contain_text("all durable", timeout=30_000)
    player.root.screenshot(path=screenshots / "live_ended.png")
    playing.tell("await asyncio.to_thread(server.stop)")


def test_connecting_is_seen_before_the_first_tick(start: Start, screenshots: Path) -> None:
    """Where nothing answers the cell shows the player, what it connects to and that it has no tick yet."""
    nobody = "feed = rl.live('ws://127.0.0.1:9/feed')\nfeed"
    playing = start(nobody, players=0)
    root = playing.page.locator(".rlab")
    expect(root.locator(".rlab-state")).to_have_text("reconnecting", timeout=30_000)
    expect(root.locator(".rlab-title")).to_contain_text("127.0.0.1:9")
    expect(root.locator(".rlab-why")).to_contain_text("cannot connect")
    root.first.screenshot(path=screenshots / "live_connecting.png")
    playing.tell("_ = await feed.close()")


def test_a_fast_feed_takes_no_memory(start: Start) -> None:
    """Thousands of ticks a second for a while: twenty deliveries a second, a bounded ring, no growing heap."""
    source = (
        "from replaylab.feeds.simulated import simulated_feed\nfrom replaylab.settings import Settings\n"
        "from replaylab.widgets.live import Live\n"
        "feed = Live(simulated_feed(games=500, seed=3, pacing='nominal', speed=500),"
        " settings=Settings(ring_ticks=500)).start()\nfeed"
    )
    playing = start(source)
    player = playing.players[0]
    playing.until("feed.status().ticks > 5_000", seconds=30)
    before = playing.memory()
    playing.until(f"feed.status().ticks > {playing.ask('feed.status().ticks') + 15_000}", seconds=60)
    after = playing.memory()
    assert after.heap - before.heap < 3_000_000
    assert after.kernel - before.kernel < 30_000_000
    assert playing.ask("feed.engine.status.ring_ticks") <= playing.ask("feed.engine.status.ring_size")
    assert player.row >= 0
    playing.tell("_ = await feed.close()")
