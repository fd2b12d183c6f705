"""Player: frames, lateness, seeks and kernel CPU of the player in a real JupyterLab, against matplotlib in an Image.

The claims: at 60 ticks a second at least 59 frames, the end within 20 ms, at most 3 % of a core in the kernel, and
every tick once and in order at a Python callback, also with panels, marks, trades and the table shown; a seek drawn
within 15 ms (median) and 25 ms (95 %); a pause within 50 ms; a million ticks open within 2 s and panned at 50 frames a
second. The peer redraws a figure for every tick.

Needs Chromium (`make browser`).
"""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.measure import arguments, print_ratio, print_table, process_seconds, workshop
from tests.browser.conftest import _FLAGS
from tests.browser.lab import running_lab
from tests.browser.playing import Player, Playing

TICKS_A_SECOND = 60
WATCH = """() => {
    const root = document.querySelector('.rlab');
    const seen = { rows: 0, frames: 0, last: root.dataset.row, longest: 0, end: 0 };
    const begun = performance.now();
    let before = begun;
    document.querySelector('.rlab button').click();
    return new Promise((done) => {
        const look = (now) => {
            if (root.dataset.row !== seen.last) { seen.rows += 1; seen.last = root.dataset.row; }
            seen.frames += 1;
            seen.longest = Math.max(seen.longest, now - before);
            before = now;
            if (root.dataset.playing === 'false' && seen.rows) {
                seen.end = performance.now() - begun;
                done(seen);
            } else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    });
}"""
SEEKS = """async (count) => {
    const root = document.querySelector('.rlab');
    const input = document.querySelector('.rlab-range');
    const took = [];
    for (let number = 0; number < count; number += 1) {
        await new Promise((done) => setTimeout(done, 40 + (number * 37) % 29));
        const row = String((number * 7919 + 11) % Number(input.max));
        const begun = performance.now();
        input.value = row;
        input.dispatchEvent(new Event('input'));
        while (root.dataset.row !== row) await new Promise(requestAnimationFrame);
        document.querySelector('.rlab-canvas').getContext('2d').getImageData(0, 0, 1, 1);
        took.push(performance.now() - begun);
    }
    return took;
}"""
PAUSE = """async () => {
    const root = document.querySelector('.rlab');
    const button = document.querySelector('.rlab button');
    button.click();
    await new Promise((done) => setTimeout(done, 500));
    const begun = performance.now();
    button.click();
    while (root.dataset.playing === 'true') await new Promise(requestAnimationFrame);
    return performance.now() - begun;
}"""
PAN = """async (seconds) => {
    const stage = document.querySelector('.rlab-stage');
    stage.setPointerCapture = () => {};
    const box = stage.getBoundingClientRect();
    const point = (kind, x) => stage.dispatchEvent(
        new PointerEvent(kind, { clientX: box.left + x, clientY: box.top + 60, button: 0, bubbles: true }));
    let frames = 0;
    let x = 500;
    const begun = performance.now();
    point('pointerdown', x);
    while (performance.now() - begun < seconds * 1000) {
        x += frames % 160 < 80 ? 4 : -4;
        point('pointermove', x);
        await new Promise(requestAnimationFrame);
        frames += 1;
    }
    point('pointerup', x);
    return (frames * 1000) / (performance.now() - begun);
}"""
OPEN = """async () => {
    const cells = window.jupyterapp.shell.currentWidget.content;
    cells.activeCellIndex = cells.widgets.length - 1;
    const begun = performance.now();
    window.jupyterapp.commands.execute('notebook:run-cell');
    while (!document.querySelector('.rlab-title')?.textContent) await new Promise(requestAnimationFrame);
    return performance.now() - begun;
}"""
IMAGE = """
import asyncio, io, time, ipywidgets
from matplotlib.figure import Figure
figure = Figure(figsize=(7, 3), dpi=100)
axes = figure.subplots()
prices = [float(tick.price) for tick in game({n})]
line, = axes.plot([], [])
axes.set(xlim=(0, {n}), ylim=(0.9, 2.1))
image = ipywidgets.Image(format='png')
async def run():
    begun, shown = time.monotonic(), -1
    while (row := int((time.monotonic() - begun) * {rate})) < {n}:
        if row > shown:
            shown = row
            line.set_data(range(row + 1), prices[:row + 1])
            drawn = io.BytesIO()
            figure.savefig(drawn, format='png')
            image.value = drawn.getvalue()
        await asyncio.sleep(0.001)
image
"""
LADEN = """
def deals(n):
    position = [{'game_id': 'game', 'kind': 'position', 'opened': tick, 'closed': tick + 9, 'paid': '0.1',
                 'returned': '0.12' if tick % 2 else '0.08'} for tick in range(0, n - 10, 23)]
    return position + [one | {'kind': 'bet'} for one in position[::3]]
def panels(n):
    return {'volatility': [abs(row % 80 - 40) for row in range(n)], 'trade_count': 'trade_count'}
"""
LONG = """
import numpy as np, pyarrow as pa
from replaylab.table import PRICE_TYPE
words = np.zeros(({n}, 2), np.uint64)
words[:, 0] = (np.random.default_rng(1).integers(0, 1000, {n}).cumsum() % 10**6).astype(np.uint64) * 10**13
table = pa.table({{'game_id': ['long'] * {n}, 'tick': np.arange({n}, dtype=np.int32),
                  'timestamp': pa.array(np.arange({n}) * 50_000).cast(pa.timestamp('us', 'UTC')),
                  'price': pa.Array.from_buffers(PRICE_TYPE, {n}, [None, pa.py_buffer(words)])}})
"""


@dataclass(frozen=True, slots=True)
class Played:
    """What came of playing a game once."""

    frames: float
    rows: int
    kernel: float
    late_ms: float
    complete: bool


def kernel_of(playing: Playing) -> int:
    """The process of the kernel of a notebook."""
    return int(playing.ask("__import__('os').getpid()"))


def play_once(page: Page, playing: Playing, ticks: int) -> Played:
    """Play to the end with a callback a tick."""
    kernel = kernel_of(playing)
    playing.tell("seen = []; heard = player.on_tick(lambda step: seen.append(step.index))")
    before = process_seconds(kernel)
    seen: dict[str, Any] = page.evaluate(WATCH)
    used = process_seconds(kernel) - before
    playing.until("player.index", ticks - 1)
    seconds = seen["end"] / 1000
    ideal = (ticks - 1) / TICKS_A_SECOND
    complete = bool(playing.ask(f"seen == list(range({ticks}))"))
    shown = 1 + seen["rows"]
    return Played(shown / seconds, shown, 100 * used / seconds, 1000 * (seconds - ideal), complete)


def redraw(page: Page, playing: Playing, ticks: int) -> tuple[float, float]:
    """Frames a second and kernel CPU (%) of the peer."""
    kernel = kernel_of(playing)
    page.evaluate(
        "() => { window.shown = 0; document.querySelector('.jupyter-widgets.widget-image')"
        ".addEventListener('load', () => { window.shown += 1; }); }"
    )
    before = process_seconds(kernel)
    playing.tell("await run()")
    used = process_seconds(kernel) - before
    seconds = ticks / TICKS_A_SECOND
    return page.evaluate("window.shown") / seconds, 100 * used / seconds


def main() -> None:
    """Open, play, seek, pan, redraw; and print."""
    options = arguments(__doc__)
    ticks, seeks, rows, peer, pan = (60, 5, 100_000, 30, 0.3) if options.quick else (1_400, 60, 1_000_000, 600, 4.0)
    with (
        workshop() as folder,
        running_lab(_made(folder / "root"), _made(folder / "home")) as lab,
        sync_playwright() as tool,
    ):
        browser = tool.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        playing = Playing(page, lab, "play", [f"player = play(game({ticks}, ms=1000 / {TICKS_A_SECOND}))", "player"])
        page.wait_for_timeout(1_000)
        played = play_once(page, playing, ticks)
        took = sorted(page.evaluate(SEEKS, seeks))
        pauses = []
        for speed in ("0.1", "1", "100"):
            Player(page).choose("Speed", speed)
            page.evaluate(SEEKS, 1)
            pauses.append(page.evaluate(PAUSE))
        playing.notebook.close()
        shown = [
            f"player = play(game({ticks}, ms=1000 / {TICKS_A_SECOND}), trades=deals({ticks}), panels=panels({ticks}))"
        ]
        shown[0] = (
            f"{LADEN}{shown[0]}\nplayer.marks = [{{'tick': tick, 'label': 'm'}} for tick in range(5, {ticks}, 97)]"
        )
        full = Playing(page, lab, "laden", [*shown, "player"])
        Player(page).button("Table of ticks").click()
        page.wait_for_timeout(1_000)
        laden = play_once(page, full, ticks)
        full.notebook.close()
        second = Playing(page, lab, "peer", [IMAGE.format(n=peer, rate=TICKS_A_SECOND)], players=0)
        page.wait_for_selector(".jupyter-widgets.widget-image")
        frames, cpu = redraw(page, second, peer)
        second.notebook.close()
        third = Playing(page, lab, "long", [LONG.format(n=rows), "long = 1"], players=0)
        page.evaluate(
            "() => { const cells = window.jupyterapp.shell.currentWidget.content;"
            "cells.widgets[cells.widgets.length - 1].model.sharedModel.setSource('player = play(table)\\nplayer'); }"
        )
        opened = page.evaluate(OPEN)
        Player(page).stage.focus()
        for _ in range(8):
            page.keyboard.press("+")
        panned = page.evaluate(PAN, pan)
        third.notebook.close()
        browser.close()
    p95 = took[round(0.95 * (len(took) - 1))]
    print_table(
        f"{ticks:,} ticks at {TICKS_A_SECOND} a second; {rows:,} ticks",
        ["", "player", "matplotlib in an Image"],
        [
            ("different ticks shown a second", played.frames, frames),
            ("ticks shown", played.rows, None),
            ("with panels, marks, trades and table: different ticks shown a second", laden.frames, None),
            ("with panels, marks, trades and table: kernel CPU, % of a core", laden.kernel, None),
            ("kernel CPU, % of a core", played.kernel, cpu),
            ("end after the ideal, ms", played.late_ms, None),
            ("every tick at the callback, once, in order", played.complete, None),
            ("seek, ms, median", statistics.median(took), None),
            ("seek, ms, 95 %", p95, None),
            ("pause, ms, at 0.1x, 1x, 100x: longest", max(pauses), None),
            (f"{rows:,} ticks: open, ms", opened, None),
            (f"{rows:,} ticks: frames a second while panning", panned, None),
        ],
    )
    print_ratio("player: frames", played.frames / max(frames, 1e-9), "frames a second over those of the peer")
    print_ratio("player: kernel", cpu / max(played.kernel, 0.01), "kernel CPU of the peer over the player's")


def _made(folder: Any) -> Any:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
