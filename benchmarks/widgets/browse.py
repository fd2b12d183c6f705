"""Browse: 10,000 games in the table of a page, and eight games compared.

The claims: the first rows are painted within 500 ms; scrolling ten rows a frame and eight playing games keep 55 frames
a second; sorting takes at most 100 ms. The peer is the 60 frames of the display. Needs Chromium (`make browser`).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from playwright.sync_api import Page, sync_playwright

import replaylab as rl
from replaylab.widgets.bundle import page_script
from replaylab.widgets.comparison import GameComparison
from replaylab.widgets.games_table import GamesTable
from replaylab.widgets.index import index

GAMES: Final = 10_000
FLAGS: Final = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
FRAMES: Final = """async (act) => {
    const done = performance.now() + 3000;
    let frames = 0;
    const began = performance.now();
    while (performance.now() < done) {
        eval(act);
        await new Promise(requestAnimationFrame);
        frames += 1;
    }
    return frames / ((performance.now() - began) / 1000);
}"""
WATCH: Final = """(() => {
    const look = () => {
        if (document.querySelector('.rlab-browse .rlab-body .rlab-row')) window.shownAfter = performance.now();
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
})()"""
SORT: Final = """() => ['peak', 'game', 'length'].map((order) => {
    const button = document.querySelector(`[data-order="${order}"] button`);
    const began = performance.now();
    button.click();
    document.body.offsetHeight;
    return performance.now() - began;
})"""
SHOW: Final = """([content, columns]) => {
    const bytes = columns.map((text) => new DataView(Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer));
    let hear = null;
    const on = (_name, callback) => { hear = callback; };
    const model = { on, off: () => {}, get: () => 320, send: () => hear(content, bytes) };
    const widget = replaylab.compare();
    widget.initialize({ model });
    widget.render({ model, el: document.body });
    document.querySelector('.rlab-compare .rlab-button').click();
}"""


def repeated(store: rl.Store, count: int) -> GamesTable:
    """Return a table of `count` games: those of a store again and again, under other ids."""
    made = GamesTable(store)
    parts = [
        made.table.set_column(0, "game_id", pa.array([f"{game}-{turn:04}" for game in made.ids]))
        for turn in range(-(-count // len(made)))
    ]
    points = made.thumbnails(range(len(made)))
    made.table = pa.concat_tables(parts).slice(0, count).combine_chunks()
    made.ids = made.table.column("game_id").to_pylist()
    made._points = np.tile(points, (-(-count // len(points)), 1))[:count]  # noqa: SLF001
    made._drawn = np.ones(count, np.bool_)  # noqa: SLF001
    return made


def browse(page: Page, folder: Path, count: int) -> None:
    """Measure the table."""
    games = repeated(rl.open_store(folder / "store"), count)
    target = folder / "index.html"
    target.write_text(index(games, dict.fromkeys(games.ids, "none.html")), encoding="utf-8")
    page.add_init_script(WATCH)
    page.goto(target.as_uri())
    page.wait_for_selector(".rlab-browse[data-row]")
    page.wait_for_timeout(500)
    shown = page.evaluate("() => window.shownAfter")
    fps = page.evaluate(FRAMES, "document.querySelector('.rlab-rows').scrollTop += 340")
    print(f"{count:,} games, {target.stat().st_size:,} bytes: table painted after {shown:.0f} ms")
    print(f"scrolling ten rows a frame: {fps:.1f} frames a second")
    print("sort by peak, id, length:", ", ".join(f"{spent:.0f} ms" for spent in page.evaluate(SORT)))


def compare(page: Page, folder: Path) -> None:
    """Measure eight games that play over each other."""
    import base64

    compared = GameComparison(list(rl.open_store(folder / "store"))[:8])
    sent: list[Any] = []
    compared.send = lambda content, buffers=None: sent.append((content, buffers))
    compared._receive(None, {"kind": "ready"}, [])  # noqa: SLF001
    content, buffers = sent[0]
    page.goto("about:blank")
    page.add_script_tag(content=page_script("compare"))
    page.evaluate(SHOW, [content, [base64.b64encode(bytes(one)).decode() for one in buffers]])
    before = _frames(page)
    page.wait_for_timeout(3_000)
    print(f"eight games compared: {(_frames(page) - before) / 3:.1f} frames a second")


def _frames(page: Page) -> int:
    return int(page.get_attribute(".rlab-compare", "data-frames") or 0)


def main() -> None:
    """Make a store, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    count = 500 if parser.parse_args().quick else GAMES
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder = Path(place)
        rl.simulate(folder / "recordings", games=100, seed=1)
        rl.convert(folder / "recordings", folder / "store", progress=False)
        running = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = running.new_page(viewport={"width": 1200, "height": 900})
        browse(page, folder, count)
        compare(page, folder)
        running.close()


if __name__ == "__main__":
    main()
