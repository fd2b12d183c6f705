"""Pages that `replaylab export --html` writes, in a browser with no kernel and no network."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

from replaylab.cli.main import app
from replaylab.storage.store import Store
from replaylab.tick import Tick, price_text
from replaylab.widgets import fallback as still
from tests.browser.playing import Player
from tests.stores import quiet, simulated

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of three games; reading does not change it."""
    folder = tmp_path_factory.mktemp("exported")
    quiet(simulated(folder / "recordings", games=3, seed=4), folder / "store")
    return Store(folder / "store")


PICTURE = "() => document.querySelector('.rlab-canvas').toDataURL()"


def exported(store: Store, *words: object) -> None:
    """Run the command."""
    command = ["export", str(store.path), *map(str, words)]
    assert CliRunner().invoke(app, command, prog_name="replaylab").exit_code == 0


def test_exported_game_plays_offline(page: Page, store: Store, tmp_path: Path, screenshots: Path) -> None:
    """The page of a game plays, steps and seeks, and shows each price with all its digits; it asks for nothing."""
    game = store.game(store.game_ids()[0])
    exported(store, "--to", tmp_path / "game.html", "--game", game.id)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(offline=True)
    page.goto((tmp_path / "game.html").as_uri())
    player = Player(page)
    player.wait(lambda: player.row == 0)
    rows = game.ticks().to_pylist()
    live = next(at for at, row in enumerate(rows) if row["tick"] == 25 and row["active"])
    player.slider.fill(str(live))
    player.wait(lambda: price_text(rows[live]["price"]) in player.root.locator(".rlab-readout").inner_text())
    player.choose("Speed", "100")
    player.button("Play").click()
    player.wait(lambda: player.row == len(rows) - 1)
    player.wait(lambda: not player.playing)
    assert [url for url in asked if not url.startswith(("file:", "blob:"))] == []
    page.screenshot(path=screenshots / "exported_page.png")


def test_exported_games_are_found_from_the_index(page: Page, store: Store, tmp_path: Path, screenshots: Path) -> None:
    """In a folder of pages the row of each game in the index leads to its player, with no network."""
    exported(store, "--html", "--to", tmp_path / "pages")
    page.context.set_offline(offline=True)
    page.goto((tmp_path / "pages" / "index.html").as_uri())
    page.wait_for_selector(".rlab-browse[data-row]")
    page.screenshot(path=screenshots / "exported_index.png")
    for game in store.game_ids():
        page.locator(f".rlab-name[title='{game}'], .rlab-name:text-is('{game}')").first.click()
        title = page.frame_locator(".rlab-frame").locator(".rlab-title")
        expect(title).to_have_text(game, timeout=60_000)


def rows_of(prices: list[str]) -> list[Tick]:
    """Live ticks of a game with these prices, a second apart."""
    zero = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    return [
        Tick(game_id="g", tick=at, timestamp=zero + timedelta(seconds=at), price=Decimal(price), active=True)
        for at, price in enumerate(prices)
    ]


def opened(page: Page, path: Path, prices: list[str], at: str = "") -> Player:
    """Open the page of a game with these prices."""
    path.write_text(still.page(rows_of(prices)), encoding="utf-8")
    page.goto("about:blank")
    page.goto(path.as_uri() + at)
    player = Player(page)
    player.wait(lambda: player.row >= 0)
    return player


def test_the_address_names_the_moment(page: Page, tmp_path: Path) -> None:
    """A link opens a page at its moment; seeking and pausing write it; a link that is followed later is gone to."""
    prices = ["1", "1.5", "1.25", "2"] * 10
    player = opened(page, tmp_path / "game.html", prices, "#t=12.5")
    player.wait(lambda: player.row == 12)
    player.slider.fill("20")
    player.wait(lambda: page.evaluate("location.hash") == "#t=20")
    player.stage.focus()
    page.keyboard.press("ArrowRight")
    player.wait(lambda: page.evaluate("location.hash") == "#t=21")
    page.evaluate("location.hash = '#t=3'")
    player.wait(lambda: player.row == 3)
    player.button("Play").click()
    player.wait(lambda: player.row > 3)
    player.button("Pause").click()
    player.wait(lambda: page.evaluate("location.hash") == f"#t={player.row}")
    page.reload()
    player.wait(lambda: page.evaluate("location.hash") == f"#t={player.row}")


def test_candles_tell_nothing_of_later(page: Page, tmp_path: Path, screenshots: Path) -> None:
    """Candles on request (C): with what lies ahead hidden, a candle that has begun shows what was, and no more."""
    same = [f"{1 + at * 7919 % 1000 / 1000:.3f}" for at in range(50)]
    charts = []
    for later in ("1.1", "1.9"):
        player = opened(page, tmp_path / "game.html", same + [later] * 50)
        player.stage.focus()
        page.keyboard.press("h")
        plain = page.evaluate(PICTURE)
        page.keyboard.press("c")
        expect(player.button("Candles")).to_have_attribute("aria-pressed", "true")
        player.slider.fill("49")  # in the middle of the third candle of twenty rows
        player.wait(lambda player=player: player.row == 49)  # type: ignore[misc]
        page.wait_for_function(f"(before) => ({PICTURE})() !== before", arg=plain)
        page.mouse.move(0, 0)
        page.evaluate("() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))")
        charts.append(page.evaluate(PICTURE))
    assert charts[0] == charts[1]
    page.keyboard.press("h")
    player.slider.fill("80")
    page.screenshot(path=screenshots / "candles.png")


def test_the_seek_bar_says_what_lies_at_the_pointer(page: Page, tmp_path: Path) -> None:
    """The tick, its exact price and its second since the start; near the peak also that it is the peak."""
    prices = ["1.000000000000000001"] * 50 + ["3.5"] + ["1.25"] * 50
    player = opened(page, tmp_path / "game.html", prices)
    box = player.root.locator(".rlab-seek").bounding_box()
    assert box is not None
    tip = player.root.locator(".rlab-bar-tip")
    page.mouse.move(box["x"] + 7, box["y"] + box["height"] / 2)
    expect(tip).to_contain_text("1.000000000000000001")
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(tip).to_contain_text("peak")
    expect(tip).to_contain_text("3.5")
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
