"""Games compared in JupyterLab: one playhead over all of them, keys, colours, and nothing for axe to find."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.playing import Start, wait_until
from tests.browser.test_browse import AXE

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

MADE = """
_ = rl.simulate('recordings', games=8, seed=5)
_ = rl.convert('recordings', 'store', progress=False)
store = rl.open_store('store')
"""
NEVER = """
def dead(name):
    with rl.Recorder('never') as recorder:
        for tick in range(5):
            _ = recorder.record(Tick(name, tick, '2031-01-02T03:04:05', '1', active=False))
    return rl.open_store('never')[name]
"""


def test_eight_games_with_one_playhead(start: Start, screenshots: Path) -> None:
    """They play together, keys and slider move all of them, a key of the legend hides one; light, dark and 390 px."""
    playing = start(MADE, "compared = rl.compare(list(store), align='peak')\ncompared", players=0)
    page = playing.page
    root = page.locator(".rlab-compare:visible")
    expect(root.locator(".rlab-key")).to_have_count(8, timeout=60_000)

    def tick() -> int:
        return int(root.get_attribute("data-tick") or 0)

    first = tick()
    root.get_by_role("button", name="Play").click()
    wait_until(page, lambda: tick() > first + 8, 40)
    root.get_by_role("button", name="Pause").click()
    root.locator(".rlab-stage").focus()
    page.keyboard.press("Home")
    wait_until(page, lambda: tick() == first, 40)
    page.keyboard.press("Shift+ArrowRight")
    wait_until(page, lambda: tick() == first + 20, 40)
    page.keyboard.press(",")
    wait_until(page, lambda: tick() == first + 19, 40)
    page.keyboard.press("0")
    wait_until(page, lambda: tick() == first, 40)
    playing.tell("compared.align = 'tick'")
    wait_until(page, lambda: tick() == 0, 40)
    root.get_by_role("slider").fill("60")
    wait_until(page, lambda: tick() == 60, 40)
    prices = "store[store.game_ids()[0]].prices(prices='float64')['price'].to_pylist()"
    price = playing.ask(f"({prices} + [{prices}[-1]] * 60)[60]")
    expect(root.locator(".rlab-value").first).to_contain_text(f"{price:.2f}", timeout=60_000)
    root.locator(".rlab-key").nth(1).click()
    expect(root.locator(".rlab-key").nth(1)).to_have_attribute("aria-pressed", "false")
    assert AXE.exists(), "axe-core is not installed, so nobody checked: `make browser` installs it"
    page.add_script_tag(path=AXE)
    for theme in ("Dark", "Light"):
        playing.notebook.theme(f"JupyterLab {theme}")
        violations = "async () => (await axe.run('.rlab-compare')).violations.map((one) => one.id + ': ' + one.help)"
        assert page.evaluate(violations) == []
        root.screenshot(path=screenshots / f"compare_{theme.lower()}.png")
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("() => document.querySelector('.rlab-compare').clientWidth < 390")
    assert page.evaluate(violations) == []
    begin = "(keys) => new Set(keys.map((key) => getComputedStyle(key).textAlign + key.firstChild.clientWidth)).size"
    assert root.locator(".rlab-key").evaluate_all(begin) == 1  # names begin below each other, lines are as long
    assert root.locator(".rlab-key").first.evaluate("(key) => getComputedStyle(key).textAlign") == "left"
    root.screenshot(path=screenshots / "compare_phone.png")


def test_games_that_were_never_live_say_so(start: Start) -> None:
    """Where no game has a price, the chart and its legend say that, instead of an empty picture."""
    made = "compared = rl.compare([dead(name) for name in ('one', 'two')])\ncompared"
    playing = start(NEVER, made, players=0)
    root = playing.page.locator(".rlab-compare:visible")
    expect(root.locator(".rlab-value")).to_have_text(["no live tick", "no live tick"], timeout=60_000)
