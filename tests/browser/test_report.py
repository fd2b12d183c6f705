"""The report of a backtest in a browser: from a file with no network, by keyboard, light, dark and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from replaylab import analysis as a
from tests.browser.lab import REPOSITORY
from tests.browser.playing import Player
from tests.stores import quiet, simulated

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

AXE = REPOSITORY / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
FINDINGS = "async () => (await axe.run()).violations.map((one) => [one.id, one.nodes.length, one.nodes[0].html])"
FITS = "() => document.documentElement.scrollWidth <= document.documentElement.clientWidth"


def bought_and_sold(tape: a.Tape, account: a.Account) -> a.Buy | a.Sell | None:
    """Buy at tick 3, sell at a half more."""
    if account.entry_price is None:
        return a.Buy("0.01") if tape.now == 3 else None
    return a.Sell() if tape.price * 2 >= account.entry_price * 3 else None


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a strategy on a store of twenty games."""
    folder = tmp_path_factory.mktemp("report")
    quiet(simulated(folder / "recordings", games=20, seed=4), folder / "store")
    found = a.backtest(folder / "store", bought_and_sold, progress=False)
    found.report(folder / "report.html")
    return folder / "report.html"


def test_games_are_played_with_their_trades(page: Page, written: Path, screenshots: Path) -> None:
    """A thumbnail shows its game by keyboard; how a game is shown is kept from game to game; nothing is asked for."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(offline=True)
    page.goto(written.as_uri())
    player = Player(page)
    player.wait(lambda: player.row > 0)
    title = player.root.locator(".rlab-title")
    first = title.inner_text()
    games = player.root.get_by_role("combobox", name="Game")
    assert games.locator("option").first.inner_text().startswith("best")
    expect(player.root.locator(".rlab-profit")).to_contain_text("profit")
    player.button("Log price").click()
    worst = page.get_by_role("button", name="worst").first
    worst.focus()
    page.keyboard.press("Enter")
    expect(title).not_to_have_text(first)
    expect(player.button("Log price")).to_have_attribute("aria-pressed", "true")
    expect(games).to_have_value("1")
    page.keyboard.press("n")  # the chart has the keys
    expect(games).to_have_value("2")
    player.button("Go to the next trade").click()
    player.button("Go to the trade before").click()
    player.wait(lambda: int(player.root.get_attribute("data-tick") or -1) == 3)
    player.button("Play on with the next game").click()
    player.choose("Speed", "null")
    player.button("Play").click()
    expect(games).not_to_have_value("2", timeout=60_000)
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
    page.screenshot(path=screenshots / "report.png", full_page=True)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1000), ("dark", 1000), ("dark", 390)])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    browser: Browser, written: Path, screenshots: Path, scheme: str, width: int
) -> None:
    """In both themes, and on a phone."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(written.as_uri())
    player = Player(page)
    player.wait(lambda: player.row > 0)
    page.add_script_tag(path=AXE)
    assert page.evaluate(FINDINGS) == []
    assert page.evaluate(FITS)
    page.screenshot(path=screenshots / f"report_{scheme}_{width}.png", full_page=True)
    context.close()
