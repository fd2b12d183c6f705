"""Pages that `replaylab export --html` writes, in a browser with no kernel and no network."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

from replaylab.cli.main import app
from replaylab.storage.store import Store
from replaylab.tick import price_text
from tests.browser.playing import Player
from tests.stores import quiet, simulated

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of three games; reading does not change it."""
    folder = tmp_path_factory.mktemp("exported")
    quiet(simulated(folder / "recordings", games=3, seed=4), folder / "store")
    return Store(folder / "store")


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
        expect(title).to_have_text(game, timeout=30_000)
