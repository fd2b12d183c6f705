"""A live feed in a real notebook: connecting, live, reconnecting, ended; gaps with their cause; bounded memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.playing import KERNELS, Player, Start

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

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
DAMAGED = """
import asyncio, datetime, tempfile
from decimal import Decimal
from pathlib import Path
from replaylab.mark import Mark
from replaylab.testing import FaultProxy
folder = Path(tempfile.mkdtemp())
at = datetime.datetime(2031, 1, 2, tzinfo=datetime.timezone.utc)
trades = {
    1: ('buy', '0.762', '0.79'), 4: ('short_open', '0', '0.2'),
    60: ('sell', '1.5', '1.6'), 90: ('short_close', '0', '0.3'),
}
with rl.Recorder(folder / "store") as recorder:
    for number in range(2_000):
        if not 320 <= number < 325:
            price = Decimal(100 + number * 7919 % 37) / 100
            recorder.record(Tick("g", number, at + datetime.timedelta(milliseconds=250 * number), price, active=True))
        if number in trades:
            side, quantity, amount = trades[number]
            detail = {"tick": number, "side": side, "quantity": Decimal(quantity), "amount": Decimal(amount)}
            detail["price"] = price
            recorder.mark(Mark("trade", at + datetime.timedelta(milliseconds=250 * number), "g", detail=detail))
server = rl.serve(folder / "store", pacing="nominal", speed=4)
proxy = FaultProxy(server.port).__enter__()
proxy.stalled = True
feed = rl.live(f"ws://127.0.0.1:{proxy.port}/feed?from=start", to=folder / "copy", trades=True)
"""
EDGE = """() => {
    const canvas = document.querySelector('.rlab-strip');
    const { data } = canvas.getContext('2d').getImageData(0, 0, 2, canvas.height);
    return new Set(Array.from({ length: data.length / 4 }, (_, at) => data.slice(4 * at, 4 * at + 3).join())).size;
}"""  # colours at the left edge of the panel: one, unless its axis is cut off
GAPS = "[gap for gap in feed.gaps()['cause']]"


def test_a_live_feed_with_two_gaps(start: Start, screenshots: Path) -> None:
    """The player follows between cells, says how the feed is, marks both outages with their cause, and goes on."""
    playing = start(SERVED, "feed")
    page, player = playing.page, playing.players[0]
    state = player.root.locator(".rlab-state")
    expect(state).to_have_text("live", timeout=60_000)
    player.wait(lambda: player.row > 20)
    expect(player.root.locator(".rlab-recorder")).to_contain_text("recorded")
    expect(player.button("Go to the newest tick")).to_have_attribute("aria-pressed", "true")
    player.root.screenshot(path=screenshots / "live_live.png")
    for outage in (1, 2):
        playing.tell("await asyncio.to_thread(server.stop)")
        expect(state).to_have_text("reconnecting", timeout=60_000)
        player.root.screenshot(path=screenshots / "live_reconnecting.png")
        playing.tell("server = rl.serve(folder / 'store', speed=5, pacing='nominal', port=port)")
        expect(state).to_have_text("live", timeout=60_000)
        expect(player.root.locator(".rlab-gaps")).to_contain_text(f"{outage} gap", timeout=60_000)
        player.wait(lambda row=player.row: player.row > row + 10 or player.row < row)  # type: ignore[misc]
    assert playing.ask(GAPS) == ["server_restart", "server_restart"]
    player.root.screenshot(path=screenshots / "live_gaps.png")
    player.slider.focus()
    page.keyboard.press("ArrowLeft")  # back: the newest rows go on coming, and a button returns to them
    expect(player.button("Go to the newest tick")).to_have_attribute("aria-pressed", "false")
    expect(player.root.locator(".rlab-pace")).to_contain_text("behind", timeout=60_000)
    player.button("Go to the newest tick").click()
    expect(player.button("Go to the newest tick")).to_have_attribute("aria-pressed", "true")
    playing.tell("_ = await feed.close()")
    expect(state).to_have_text("ended", timeout=60_000)
    expect(player.root.locator(".rlab-recorder")).to_contain_text("all durable", timeout=60_000)
    player.root.screenshot(path=screenshots / "live_ended.png")
    playing.tell("await asyncio.to_thread(server.stop)")


def test_every_state_is_said(start: Start, screenshots: Path) -> None:
    """Connecting, live, a gap, stale, reconnecting and healed: each is seen, and no two parts contradict each other."""
    playing = start(DAMAGED, "feed", players=0)
    player = Player(playing.page, of=KERNELS)
    state, gaps, why = (player.root.locator(f".rlab-{name}") for name in ("state", "gaps", "why"))
    expect(state).to_have_text("connecting", timeout=60_000)
    expect(player.root.locator(".rlab-blank")).to_have_text("no tick yet")
    player.root.screenshot(path=screenshots / "state_connecting.png")
    playing.tell("proxy.stalled = False")
    expect(state).to_have_text("live", timeout=60_000)
    player.wait(lambda: player.row >= 5)
    expect(gaps).to_have_text("nothing missing")
    player.root.screenshot(path=screenshots / "state_live.png")
    expect(gaps).to_have_text("1 gap: 5 ticks missing", timeout=60_000)
    player.wait(lambda: player.row >= 330, 120)
    player.wait(lambda: playing.page.evaluate(EDGE) == 1)
    player.root.screenshot(path=screenshots / "state_gap.png")
    playing.tell("proxy.stalled = True")
    expect(state).to_have_text("stale", timeout=60_000)
    expect(why).to_contain_text("nothing has come since")
    expect(player.root.locator(".rlab-readout")).to_contain_text("in play")
    player.root.screenshot(path=screenshots / "state_stale.png")
    playing.tell("proxy.down = True\nproxy.cut()")
    expect(state).to_have_text("reconnecting", timeout=60_000)
    player.root.screenshot(path=screenshots / "state_reconnecting.png")
    playing.tell("proxy.down = proxy.stalled = False")
    expect(state).to_have_text("live", timeout=60_000)
    expect(gaps).to_have_text("2 gaps, 1 healed: 5 ticks missing", timeout=60_000)
    player.wait(lambda row=player.row: player.row > row + 10)  # type: ignore[misc]
    player.root.screenshot(path=screenshots / "state_healed.png")
    causes = [["skipped", False], ["disconnect", True]]
    assert playing.ask("[[gap['cause'], bool(gap['healed'])] for _, gap in feed.gaps().iterrows()]") == causes
    playing.tell("_ = await feed.close()\nawait asyncio.to_thread(server.stop)\nproxy.__exit__()")


def test_connecting_is_seen_before_the_first_tick(start: Start, screenshots: Path) -> None:
    """Where nothing answers the cell shows the player, what it connects to and that it has no tick yet."""
    nobody = "feed = rl.live('ws://127.0.0.1:9/feed')\nfeed"
    playing = start(nobody, players=0)
    root = playing.page.locator(KERNELS)
    expect(root.locator(".rlab-state")).to_have_text("reconnecting", timeout=60_000)
    expect(root.locator(".rlab-title")).to_contain_text("127.0.0.1:9")
    expect(root.locator(".rlab-why")).to_have_text("cannot connect (Connection refused)")
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
    playing.until("feed.status().ticks > 5_000", seconds=120)
    before = playing.memory()
    playing.until(f"feed.status().ticks > {playing.ask('feed.status().ticks') + 15_000}", seconds=120)
    playing.keep_to(before, heap=3_000_000, kernel=30_000_000)
    assert playing.ask("feed.engine.status.ring_ticks") <= playing.ask("feed.engine.status.ring_size")
    assert player.row >= 0
    playing.tell("_ = await feed.close()")
