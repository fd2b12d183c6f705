"""What a player holds: as much after many loops as after few, and nothing once it was closed."""

from __future__ import annotations

import pytest

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


GONE_MS = 6_000  # what stands in for a player stops looking for it 5 s after it began, when its cell is gone


def test_closing_frees_page_and_kernel(start: Start) -> None:
    """Twenty players shown and closed leave no element, no comm, no task, no thread and no file in use."""
    count = "[len(asyncio.all_tasks()), threading.active_count(), len(os.listdir('/proc/self/fd')), len(comms())]"
    playing = start(
        "import asyncio, os, threading, comm\n"
        "def comms():\n    return comm.get_comm_manager().comms\n"
        "from IPython.display import clear_output, display",
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
    before, held = playing.ask(count), playing.memory()
    playing.run_in(2, rounds)
    shown.wait(lambda: playing.page.locator(".rlab:visible").count() == 1 and shown.row == 0)
    playing.until(f"{count} == {before}")
    playing.page.wait_for_timeout(GONE_MS)
    playing.keep_to(held, heap=3 * MB, nodes=500)
    assert playing.page.locator(".rlab:visible").count() == 1
    playing.tell("player.close()")
