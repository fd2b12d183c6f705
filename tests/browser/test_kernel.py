"""The player and its kernel: busy, restarted, far away, slow to answer; and several players on one kernel."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.cells import LISTEN
from tests.browser.distance import far_away
from tests.browser.lab import Lab
from tests.browser.playing import Playing, Start

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

ROWS_OF_BOTH = "() => [0, 2].map((number) => Number(document.querySelectorAll('.rlab')[number].dataset.row))"
SEEN_AT_ONCE = """async (row) => {
    const input = document.querySelector('.rlab-range');
    input.value = String(row);
    input.dispatchEvent(new Event('input'));
    await new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)));
    return Number(document.querySelector('.rlab').dataset.row);
}"""


def test_two_players_and_two_displays(start: Start) -> None:
    """Two players play apart; one player shown twice shows the same."""
    cells = ("one = play(game(3_000, ms=20, name='one'))\none", "two = play(game(500, ms=20, name='two'))\ntwo", "one")
    playing = start(*cells, players=3)
    one, two, again = playing.players
    one.button("Play").click()
    one.wait(lambda: one.row > 30)
    assert two.row == 0
    first, second = playing.page.evaluate(ROWS_OF_BOTH)
    assert first == second > 30
    two.button("Step forward").click()
    two.wait(lambda: two.row == 1)
    again.button("Pause").click()
    one.wait(lambda: not one.playing)
    one.wait(lambda: again.row == one.row and not again.playing)
    playing.until("[one.index, two.index]", [one.row, 1])


def test_plays_on_while_the_kernel_is_busy(start: Start) -> None:
    """A kernel that computes for seconds does not stop the player; afterwards Python has missed no tick."""
    playing = start("player = play(game(3_000, ms=20))", LISTEN)
    player = playing.players[0]
    player.button("Play").click()
    player.wait(lambda: player.row > 10)
    playing.send("import os, time\nopen('busy', 'w').close()\nwhile not os.path.exists('enough'): time.sleep(0.05)")
    player.wait((playing.path.parent / "busy").exists)
    before = player.row
    player.wait(lambda: player.row >= before + 90)
    (playing.path.parent / "enough").touch()
    player.button("Pause").click()
    player.wait(lambda: not player.playing)
    row = player.row
    playing.until("player.index", row)
    assert playing.ask("seen == list(range(player.index + 1))") is True


def test_outlives_a_restart_of_the_kernel(browser: Browser, lab: Lab) -> None:
    """With the kernel gone everything that is in the page still plays, seeks, and shows exact prices."""
    page = browser.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    playing = Playing(page, lab, "restart", ["player = play(game(1_000, ms=20))", LISTEN])
    player = playing.players[0]
    assert playing.ask("player.index") == 0
    playing.page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart().then(() => true)"
    )
    player.slider.fill("700")
    player.wait(lambda: player.row == 700)
    player.wait(lambda: "1.300123456789" in player.root.locator(".rlab-readout").inner_text())
    player.stage.focus()
    playing.page.keyboard.press(" ")
    player.wait(lambda: player.row > 720)
    player.stage.hover(position={"x": 300, "y": 100})
    expect(player.root.locator(".rlab-stage .rlab-tip")).to_have_text(re.compile(r"tick .*\n1\.\d{3}123456789\n"))
    playing.notebook.close()
    page.close()
    # JupyterLab's own: what it had asked of the kernel when that went away.
    assert not [error for error in errors if "Canceled future" not in error]


def test_lockstep_waits_for_slow_callbacks(start: Start) -> None:
    """With `lockstep` the page never runs far ahead of callbacks that are too slow for it."""
    slow = "import time\n_ = player.on_tick(lambda step: time.sleep(0.02))"
    playing = start("player = play(game(2_000, ms=10), lockstep=True)", slow, LISTEN)
    player = playing.players[0]
    begun = time.monotonic()
    player.button("Play").click()
    player.wait(lambda: player.row > 100)
    player.button("Pause").click()
    player.wait(lambda: not player.playing)
    assert player.row < (time.monotonic() - begun) / 0.02 + 50  # 50 a second is what the callbacks can do, 100 were due
    playing.until("player.index", player.row)
    assert playing.ask("seen == list(range(player.index + 1))") is True


def test_a_round_trip_of_80_ms(page: Page, lab: Lab) -> None:
    """With the kernel 80 ms away nothing in the page waits for it, and Python still gets every tick once, in order."""
    with far_away(lab, 0.08) as (distant, wire):
        playing = Playing(page, distant, "distance", ["player = play(game(3_000, ms=25))", LISTEN])
        player = playing.players[0]
        player.button("Play").click()
        player.wait(lambda: player.row > 60)
        player.button("Pause").click()
        player.wait(lambda: not player.playing)
        row = player.row
        playing.until("[player.index, player.playing, seen == list(range(player.index + 1))]", [row, False, True])
        for target in (2_000, 70, 1_234):
            assert page.evaluate(SEEN_AT_ONCE, target) == target
        playing.until("[player.index, seen[-3:]]", [1_234, [2_000, 70, 1_234]])
        playing.tell("seen.clear()")
        player.button("Play").click()
        player.wait(lambda: player.row > 1_260)
        playing.tell("_ = player.seek(500)")
        player.wait(lambda: 500 <= player.row < 1_200)
        playing.tell("player.pause()")
        player.wait(lambda: not player.playing)
        playing.until("player.index", player.row)
        turn = playing.ask("seen.index(500)")
        assert playing.ask(f"seen[:{turn}] == list(range(1_235, 1_235 + {turn}))") is True
        assert playing.ask(f"seen[{turn}:] == list(range(500, player.index + 1))") is True
        assert wire.connections > 0
        assert wire.held > 100
        playing.notebook.close()
        page.goto("about:blank")
