"""The browser of games: in JupyterLab with a kernel, in a saved notebook and in exported pages without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from replaylab.tick import short_id
from tests.browser.lab import REPOSITORY, Lab, Notebook
from tests.browser.playing import Playing, Start, until_painted, wait_until
from tests.browser.test_reopened import saved
from tests.stores import line, quiet, simulated

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

AXE = REPOSITORY / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
WAIT_S = 40.0
MADE = """
_ = rl.simulate('recordings', games=40, seed=5, damage='all')
_ = rl.convert('recordings', 'store', progress=False)
store = rl.open_store('store')
"""
STRATEGY = """
def patient(tape, account):
    if account.entry_price is None:
        return rl.analysis.Buy('0.01') if tape.now == 5 else None
    return rl.analysis.Sell() if tape.price >= 2 * account.entry_price else None

found = rl.analysis.backtest(store, patient, progress=False)
"""
BEST = """
rl.compare(store, found.best(3), trades=found)
"""
VIOLATIONS = "async () => (await axe.run('.rlab-browse')).violations.map((one) => one.id + ': ' + one.help)"
OUTSIDE = """(columns) => columns.filter((column) => {
    const edge = document.querySelector('.rlab-rows').getBoundingClientRect().right;
    const cells = [...document.querySelectorAll('.rlab-rows .rlab-' + column)].filter((cell) => cell.offsetParent);
    const cut = (cell) => column !== 'name' && cell.scrollWidth > cell.clientWidth;
    return cells.some((cell) => cell.getBoundingClientRect().right > edge + 1 || cut(cell));
})"""  # columns that are not to be seen whole without scrolling
ENDS = (
    "() => [...document.querySelectorAll('.rlab-end')].filter((end) => end.offsetParent).map((end) => end.textContent)"
)
ENDS_CUT = """() => [...document.querySelectorAll('.rlab-end')].filter((end) => {
    const cell = end.parentElement.getBoundingClientRect();
    const text = end.getBoundingClientRect();
    return end.offsetParent && (text.right > cell.right || text.left < cell.left);
}).map((end) => end.textContent)"""  # ends of ids that are not seen whole
DRAWN = """(canvas) => {
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return data.some((value) => value > 0);
}"""


def rows(page: Page) -> Locator:
    """The rows in sight."""
    return page.locator(".rlab-browse:visible .rlab-body .rlab-row:visible")


def texts(page: Page, column: str) -> list[str]:
    """What a column of the rows in sight says, from the top."""
    found: list[str] = page.evaluate(
        """(column) => [...document.querySelectorAll('.rlab-browse .rlab-body .rlab-row')]
            .filter((row) => row.offsetParent)
            .sort((one, other) => one.dataset.place - other.dataset.place)
            .map((row) => row.querySelector('.rlab-' + column).textContent)""",
        column,
    )
    return found


def until_drawn(page: Page) -> None:
    """Wait until every thumbnail in sight is drawn; a game that was never live has none."""
    priced = rows(page).filter(has_not=page.locator(".rlab-badge-4"))
    wait_until(page, lambda: all(one.evaluate(DRAWN) for one in priced.locator("canvas").all()), WAIT_S)


def test_sort_filter_and_play(start: Start, screenshots: Path) -> None:
    """A store shows its games; a header sorts, words filter, a click plays beside it, and so do keys."""
    playing = start(MADE, "browser = rl.browse(store)\nbrowser", players=0)
    page = playing.page
    expect(rows(page).first).to_be_visible(timeout=60_000)
    until_drawn(page)
    ids = playing.ask("store.game_ids()")
    assert texts(page, "name")[:5] == ids[:5]
    page.get_by_role("button", name="peak", exact=True).click()
    best = playing.ask("store.games().sort_values('peak', ascending=False)['game_id'].tolist()")
    wait_until(page, lambda: texts(page, "name")[:3] == best[:3], WAIT_S)
    rows(page).first.click()
    playing.until("browser.game_id", best[0], WAIT_S)
    expect(page.locator(".rlab:not(.rlab-browse):visible .rlab-title")).to_have_text(best[0], timeout=60_000)
    page.set_viewport_size({"width": 1500, "height": 900})
    page.screenshot(path=screenshots / "browse_lab.png")
    grid = page.get_by_role("grid")
    grid.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    playing.until("browser.game_id", best[1], WAIT_S)
    page.keyboard.press("n")
    playing.until("browser.game_id", best[2], WAIT_S)
    page.keyboard.press("End")
    wait_until(page, lambda: grid.get_attribute("aria-activedescendant") == rows(page).last.get_attribute("id"), WAIT_S)
    page.keyboard.press("/")
    page.keyboard.type("rug peak>1.5 ticks<10000")
    few = playing.ask("len(store.games().query('rug_tick >= 0 and peak > 1.5 and ticks < 10000'))")
    expect(page.locator(".rlab-browse:visible .rlab-count")).to_have_text(f"{few} of {len(ids)} games", timeout=60_000)
    page.get_by_label("Filter games").locator("visible=true").fill("peak>much")
    expect(page.locator(".rlab-browse:visible .rlab-note")).to_have_text(
        "peak>much: a number is needed", timeout=60_000
    )


def test_a_strategy_over_many_games(start: Start, screenshots: Path) -> None:
    """From the games that it lost to each of its trades: filter, click, and the three best over each other."""
    playing = start(MADE, STRATEGY, "browser = rl.browse(store, trades=found)\nbrowser", BEST, players=0)
    page = playing.page
    expect(rows(page).first).to_be_visible(timeout=60_000)
    lost = playing.ask("int((found.equity['profit'] < 0).sum())")
    page.get_by_label("Filter games").locator("visible=true").fill("lost")
    expect(page.locator(".rlab-browse:visible .rlab-count")).to_contain_text(f"{lost} of ", timeout=60_000)
    rows(page).first.click()
    profit = page.locator(".rlab-profit").first
    expect(profit).to_contain_text("profit", timeout=60_000)
    page.get_by_role("button", name="Go to the next trade").first.click()
    playing.until("browser.player.engine.status.tick", 5, WAIT_S)
    compared = page.locator(".rlab-compare:visible")
    compared.scroll_into_view_if_needed()
    expect(compared.locator(".rlab-key")).to_have_count(3, timeout=60_000)
    expect(compared.locator(".rlab-key").first).to_contain_text("profit +")
    page.set_viewport_size({"width": 1500, "height": 1400})
    page.screenshot(path=screenshots / "strategy.png")
    compared.screenshot(path=screenshots / "compare_trades.png")


def test_a_cell_of_usual_width_holds_every_column(start: Start) -> None:
    """In a window as wide as a laptop or wider, with the files beside it, nothing is scrolled to and nothing is cut."""
    playing = start(MADE, "store", players=0)
    page = playing.page
    expect(rows(page).first).to_be_visible(timeout=60_000)
    for width in (1280, 1366, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        until_painted(page)
        room, needed = page.locator(".rlab-rows:visible").evaluate("(rows) => [rows.clientWidth, rows.scrollWidth]")
        assert needed <= room, width
        assert page.evaluate(OUTSIDE, ["spark", "name", "start", "length", "ticks", "peak", "rug", "flags"]) == [], (
            width
        )
        assert page.evaluate(ENDS_CUT) == []
    page.set_viewport_size({"width": 1280, "height": 900})
    rows(page).nth(1).click()
    expect(page.locator(".rlab-browse .rlab-playing")).to_have_count(1)  # which is strong, and needs no more room
    until_painted(page)
    assert page.evaluate(OUTSIDE, ["spark", "start", "length", "ticks", "peak", "rug", "flags"]) == []
    assert page.evaluate(ENDS_CUT) == []


def test_nothing_for_axe_to_find(start: Start, screenshots: Path) -> None:
    """axe-core finds nothing wrong with the table: light, dark, and narrow, where what chooses a game is in sight."""
    assert AXE.exists(), "axe-core is not installed, so nobody checked: `make browser` installs it"
    playing = start(MADE, "store", players=0)
    page = playing.page
    expect(rows(page).first).to_be_visible(timeout=60_000)
    until_drawn(page)
    page.add_script_tag(path=AXE)
    for theme in ("Dark", "Light"):
        playing.notebook.theme(f"JupyterLab {theme}")
        assert page.evaluate(VIOLATIONS) == []
        page.locator(".rlab-browse:visible").screenshot(path=screenshots / f"browse_{theme.lower()}.png")
    page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
    page.set_viewport_size({"width": 650, "height": 844})
    page.wait_for_function("() => document.querySelector('.rlab-browse').clientWidth < 600")
    assert page.evaluate(OUTSIDE, ["spark", "name", "peak", "flags", "ticks", "rug"]) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("() => document.querySelector('.rlab-browse').clientWidth < 390")
    assert page.evaluate(VIOLATIONS) == []
    assert page.evaluate(OUTSIDE, ["spark", "name", "peak"]) == []
    assert page.evaluate(ENDS_CUT) == []
    assert len(set(page.evaluate(ENDS))) == rows(page).count()
    page.screenshot(path=screenshots / "browse_phone.png")


def test_a_saved_notebook_shows_the_table(start: Start, lab: Lab, screenshots: Path) -> None:
    """Opened again with no kernel of its own: the table shows, sorts and filters; what needs a kernel says so."""
    playing: Playing = start(MADE, "rl.browse(store)", players=0)
    page = playing.page
    expect(rows(page).first).to_be_visible(timeout=60_000)
    page.wait_for_timeout(2_000)
    expect(page.locator(".rlab-browse:visible")).to_have_count(1, timeout=60_000)  # what stands in for it is hidden
    expect(page.locator(".rlab-still:visible")).to_have_count(0, timeout=60_000)
    path = saved(playing)
    assert path.stat().st_size < 200_000
    Notebook(page, lab, path.name)
    expect(rows(page).first).to_be_visible(timeout=60_000)
    until_drawn(page)
    page.get_by_role("button", name="ticks", exact=True).click()

    def is_sorted() -> bool:
        found = [int(text.replace(",", "")) for text in texts(page, "ticks")]
        return found == sorted(found, reverse=True)

    wait_until(page, is_sorted, WAIT_S)
    page.get_by_label("Filter games").locator("visible=true").fill("rug")
    expect(page.locator(".rlab-browse:visible .rlab-count")).to_contain_text(" of 4", timeout=60_000)
    rows(page).first.click()
    expect(page.locator(".rlab-browse:visible .rlab-note")).to_contain_text("run the cell again to play games")
    page.screenshot(path=screenshots / "browse_reopened.png")


def test_a_store_that_changes_and_a_kernel_that_dies(start: Start) -> None:
    """New games are named and Refresh shows them; without a kernel the table stays, and says why nothing plays."""
    playing = start(MADE, "browser = rl.browse(store)\nbrowser", "other = rl.browse(store)\nother", players=0)
    page = playing.page
    expect(page.locator(".rlab-browse:visible")).to_have_count(2, timeout=60_000)
    first = page.locator(".rlab-browse:visible").first
    before = len(playing.ask("browser.ids"))
    playing.tell("_ = rl.simulate('more', games=2, seed=77); _ = rl.convert('more', 'store', progress=False)")

    def clicked() -> bool:
        first.locator(".rlab-body .rlab-row").first.click()
        return "2 new" in first.locator(".rlab-note").inner_text()

    wait_until(page, clicked, WAIT_S)  # it looks at most every two seconds
    first.get_by_role("button", name="Refresh").click()
    expect(first.locator(".rlab-count")).to_have_text(f"{before + 2} games", timeout=60_000)
    second = page.locator(".rlab-browse:visible").nth(1)
    expect(second.locator(".rlab-count")).to_have_text(f"{before} games")

    def pointed() -> bool:
        page.mouse.move(0, 0)
        second.hover()
        return "2 new" in second.locator(".rlab-note").inner_text()

    wait_until(page, pointed, WAIT_S)  # nothing was clicked
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.interrupt()")
    page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
    second.locator(".rlab-body .rlab-row").first.click()
    expect(second.locator(".rlab-note")).to_contain_text("the kernel does not answer", timeout=60_000)
    expect(second.locator(".rlab-body .rlab-row").first).to_be_visible()


def test_exported_index(page: Page, tmp_path: Path, screenshots: Path) -> None:
    """The index of exported pages is the same table: offline, a click plays beside it, next and previous go on."""
    quiet(simulated(tmp_path / "recordings", games=30, seed=4), tmp_path / "store")
    odd = ["<script>alert(1)</script>", "x" * 3_000, "a/b #?%"]
    lines = [line(game, 1, "1.5", timestamp=f"2032-01-0{at + 1}T00:00:00") for at, game in enumerate(odd)]
    never = line("never", 0, "1.0", active=False, timestamp="2032-02-01T00:00:00")
    (tmp_path / "odd.jsonl").write_bytes(b"".join([*lines, never]))
    quiet(tmp_path / "odd.jsonl", tmp_path / "store")
    from replaylab.exports.pages import export_pages

    export_pages(tmp_path / "store", tmp_path / "pages")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(offline=True)
    page.goto((tmp_path / "pages" / "index.html").as_uri())
    page.wait_for_selector(".rlab-browse[data-row]")
    until_drawn(page)
    page.get_by_label("Filter games").locator("visible=true").fill("2032")
    expect(page.locator(".rlab-count")).to_have_text("0 of 34 games")
    page.get_by_label("Filter games").locator("visible=true").fill("start>=2032-01-01")
    expect(page.locator(".rlab-count")).to_have_text("4 of 34 games")
    assert texts(page, "name")[0] == odd[0]
    assert len(texts(page, "name")[1]) < 100
    for number, name in enumerate(odd):
        rows(page).filter(has=page.locator(f".rlab-name[title='{name}']")).click() if number == 0 else page.get_by_role(
            "button", name="Next game"
        ).click()
        title = page.frame_locator(".rlab-frame").locator(".rlab-title")
        expect(title).to_have_text(short_id(name), timeout=60_000)
    page.get_by_role("button", name="Previous game").click()
    expect(page.frame_locator(".rlab-frame").locator(".rlab-title")).to_have_text(short_id(odd[1]), timeout=60_000)
    page.get_by_label("Filter games").locator("visible=true").fill("never-live")
    rows(page).first.click()
    expect(page.frame_locator(".rlab-frame").locator(".rlab-title")).to_have_text("never", timeout=60_000)
    page.add_script_tag(path=AXE)
    assert page.evaluate(VIOLATIONS) == []
    assert [url for url in asked if not url.startswith(("file:", "blob:"))] == []
    page.set_viewport_size({"width": 1400, "height": 900})
    page.get_by_label("Filter games").locator("visible=true").fill("")
    page.screenshot(path=screenshots / "browse_index.png")
