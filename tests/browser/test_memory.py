"""What a player holds: as much after many loops as after few, and nothing once it was closed."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.playing import Start

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

MB = 1_000_000


def test_looping_holds_no_more_and_no_more(start: Start) -> None:
    """Over many passes of a loop neither the heap of the page nor the memory of the kernel grows."""
    playing = start(
        "player = play(game(400, ms=20), speed=20)\nplayer.loop = (0, 19)",
        "told = [0]\ndef count(step): told[0] += 1\nplayer.on_tick(count)\nplayer",
    )
    player = playing.players[0]
    player.button("Play").click()
    playing.until("told[0] > 3_000", seconds=60)
    playing.memory()
    before = playing.memory()
    playing.until("told[0] > 15_000", seconds=60)
    playing.keep_to(before, heap=3 * MB, kernel=4 * MB, nodes=200, listeners=200)  # after 600 passes


# What the kernel has in use, by name and number; garbage in cycles is thrown away first. JupyterLab opens and ends
# a subshell (a thread of the kernel with sockets) for the messages of widgets when it sees fit, so none is counted.
IN_USE = """
import asyncio, collections, gc, os, threading
import comm
from IPython.display import clear_output, display
def opened(number):
    try:
        return os.readlink(f"/proc/self/fd/{number}").split(":")[0]
    except FileNotFoundError:
        return "the listing itself"
def in_use():
    gc.collect()
    tasks = [task.get_coro().__qualname__ for task in asyncio.all_tasks()]
    threads = [thread.name for thread in threading.enumerate() if not thread.name.startswith("subshell-")]
    files = [name for name in map(opened, os.listdir("/proc/self/fd")) if name not in ("socket", "anon_inode")]
    comms = [one.target_name for one in comm.get_comm_manager().comms.values()]
    return {name: collections.Counter(sorted(names)) for name, names in
            {"tasks": tasks, "threads": threads, "files": files, "comms": comms}.items()}
"""

GONE_MS = 6_000  # what stands in for a player stops looking for it 5 s after it began, when its cell is gone


def test_closing_frees_page_and_kernel(start: Start) -> None:
    """Twenty players shown and closed leave no element, no comm, no task, no thread and no file in use."""
    playing = start(
        IN_USE,
        "player = play(game(2_000))\ndisplay(player)",
    )
    rounds = (
        "for again in range(20):\n    player.close()\n    clear_output(wait=True)\n"
        "    player = play(game(2_000))\n    display(player)\n"
    )
    shown = playing.players[0]
    playing.run_in(2, rounds)
    shown.wait(lambda: playing.page.locator(".rlab:visible").count() == 1 and shown.row == 0)
    playing.page.wait_for_timeout(GONE_MS)
    before, held = playing.ask("in_use()"), playing.memory()
    playing.run_in(2, rounds)
    shown.wait(lambda: playing.page.locator(".rlab:visible").count() == 1 and shown.row == 0)
    playing.until("in_use()", before)
    playing.page.wait_for_timeout(GONE_MS)
    playing.keep_to(held, heap=3 * MB, nodes=500)
    assert playing.page.locator(".rlab:visible").count() == 1
    playing.tell("player.close()")


DRAWN = """
from IPython.display import HTML
from replaylab.playback.timeline import Timeline
from replaylab.widgets.fallback import fragment, picture
from replaylab.widgets.payload import StoredPayload
payload = StoredPayload(Timeline.of(game(2_000)))
drawn = picture(payload)
def stand_in(number):
    display(HTML(fragment(payload, drawn, player=f"of-no-kernel-{number}")))
"""


def test_a_player_without_a_kernel_goes_with_its_cell(start: Start) -> None:
    """Six players that need no kernel, and that a cell no longer shows, leave nothing in the page, playing or not."""
    playing = start(IN_USE, DRAWN, "stand_in(0)", players=0)
    page = playing.page
    shown = page.locator(".rlab:visible[data-row]")
    play = shown.get_by_role("button", name="Play", exact=True)

    def show(number: int, *, plays: bool) -> None:
        playing.run_in(3, f"clear_output(wait=True)\nstand_in({number})")
        expect(page.locator(f"[data-rlab='of-no-kernel-{number}'] .rlab[data-row]")).to_be_visible()
        expect(shown).to_have_count(1)
        if plays:
            play.click()
            expect(shown).to_have_attribute("data-playing", "true")

    show(1, plays=True)
    show(2, plays=False)
    page.wait_for_timeout(GONE_MS)
    held = playing.memory()
    for number in range(3, 8):
        show(number, plays=number % 2 == 0)
    show(8, plays=False)
    page.wait_for_timeout(GONE_MS)
    playing.keep_to(held, heap=3 * MB, nodes=400)  # one player has some 200
