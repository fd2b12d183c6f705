"""Player, against every other way: frames, kernel CPU, lateness and seeks in a real JupyterLab, in the same run.

The claims: of all ways the player alone shows every tick at 40 and at 60 ticks a second, ends on time, and costs the
kernel at most 3 % of a core, with every tick called back in Python, once and in order; its seeks are the quickest.

What a page shows is read from the page at every frame it draws: pictures carry the number of their tick as a bar code,
charts drawn by the browser carry it in their title. A seek moves the slider and lasts until the page shows that tick.
Needs Chromium (`make browser`) and the packages that are compared (`make bench` installs both).
"""

from __future__ import annotations

import shutil
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Browser, sync_playwright

from benchmarks.measure import arguments, print_ratio, print_table, process_seconds, workshop
from benchmarks.widgets.ways import WAYS, Way
from tests.browser.conftest import _FLAGS
from tests.browser.lab import Lab, running_lab
from tests.browser.playing import Playing

RATES = (40, 60)
# Distinct ticks shown, from the first sight of the run to the sight of its last tick, or until it is given up.
WATCH = """async ([rate, last, limit]) => {{
    const read = {reads};
    const from = read();
    const seen = new Set();
    let begun = 0;
    let zero = false;
    const opened = performance.now();
    while (performance.now() - opened < limit) {{
        await new Promise(requestAnimationFrame);
        const row = read();
        const now = performance.now();
        if (!begun && row === 0) zero = true;
        if (!begun && (row < 1 || row > last / 2)) continue; // not begun: the first tick, or the end of the run before
        // No tick is shown before its time: the earliest beginning that fits what was seen is the true one.
        begun = Math.min(begun || Infinity, now - (row * 1000) / rate);
        seen.add(row);
        if (zero) seen.add(0);
        if (row === last) return {{ shown: seen.size, seconds: (now - begun) / 1000, end: row }};
    }}
    return {{ shown: seen.size, seconds: (performance.now() - begun) / 1000, end: read(), from }};
}}"""
SEEKS = """async ([count, last]) => {{
    const read = {reads};
    const took = [];
    for (let number = 0; number < count; number += 1) {{
        await new Promise((done) => setTimeout(done, 150 + (number * 37) % 29));
        const row = (number * 7919 + 11) % last;
        const begun = performance.now();
        const slider = document.querySelector('.noUi-target');
        const range = document.querySelector('.rlab-range');
        if (range) {{
            range.value = row;
            range.dispatchEvent(new Event('input'));
        }} else slider.noUiSlider.set(row);
        while (read() !== row && performance.now() - begun < 3000) await new Promise(requestAnimationFrame);
        if (read() === row) took.push(performance.now() - begun);
    }}
    return took;
}}"""


@dataclass(frozen=True, slots=True)
class Found:
    """What came of playing all ticks at one rate."""

    frames: float
    shown: int
    late_s: float
    kernel: float
    whole: bool


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of one way: a run for each rate, and the milliseconds of its seeks."""

    name: str
    at: dict[int, Found]
    seeks: list[float]


def play(playing: Playing, way: Way, ticks: int, rate: int) -> Found:
    """Play all ticks once."""
    kernel = int(playing.ask("__import__('os').getpid()"))
    playing.send(f"await asyncio.sleep(0.5)\ntask = asyncio.ensure_future(run({rate}))")
    before = process_seconds(kernel)
    limit = 3_000 * ticks / rate + 15_000
    seen: dict[str, Any] = playing.page.evaluate(WATCH.format(reads=way.reads), [rate, ticks - 1, limit])
    used = process_seconds(kernel) - before
    if seen["end"] == ticks - 1:
        playing.until("task.done()")
        playing.tell("task.result()")
    late = seen["seconds"] - (ticks - 1) / rate
    return Found(
        seen["shown"] / seen["seconds"], seen["shown"], late, 100 * used / seen["seconds"], seen["end"] == ticks - 1
    )


def measure(browser: Browser, lab: Lab, way: Way, number: int, ticks: int, seeks: int) -> Measured:
    """Open a notebook with one way in it, play at each rate, then seek."""
    page = browser.new_page(viewport={"width": 1100, "height": 1250})
    ours = way.name == "replaylab"
    playing = Playing(page, lab, f"way-{number}", [way.cell(ticks)], players=int(ours))
    page.wait_for_function(f"({way.reads})() >= 0", timeout=60_000)
    page.wait_for_timeout(1_000)
    at = {rate: play(playing, way, ticks, rate) for rate in RATES}
    took = page.evaluate(SEEKS.format(reads=way.reads), [seeks, ticks - 1])
    playing.notebook.close()
    page.close()
    return Measured(way.name, at, took)


def rows_of(found: list[Measured]) -> list[tuple[object, ...]]:
    """The table: one row a way."""
    return [
        (
            one.name,
            *(one.at[rate].frames for rate in RATES),
            *(f"{one.at[rate].shown:,}" + ("" if one.at[rate].whole else ", no end") for rate in RATES),
            *(one.at[rate].late_s * 1000 for rate in RATES),
            *(one.at[rate].kernel for rate in RATES),
            statistics.median(one.seeks) if one.seeks else None,
            len(one.seeks),
        )
        for one in found
    ]


def main() -> None:
    """Measure every way, one after another, and print."""
    options = arguments(__doc__, ticks=1_400, only="")
    ticks, seeks = (60, 2) if options.quick else (options.ticks, 20)
    load = psutil.getloadavg()[0]
    with workshop() as folder, sync_playwright() as tool:
        for part in ("root", "home"):
            Path(folder, part).mkdir()
        with running_lab(folder / "root", folder / "home") as lab:
            browser = tool.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
            chosen = [way for way in WAYS if options.only in way.name or way is WAYS[-1]]
            found = [measure(browser, lab, way, number, ticks, seeks) for number, way in enumerate(chosen)]
            browser.close()
    heads = [f"{what} @{rate}" for what in ("fps", "shown", "late ms", "CPU %") for rate in RATES]
    now = psutil.getloadavg()[0]
    title = f"{ticks:,} ticks at {' and '.join(map(str, RATES))} a second; load {load:.1f} before, {now:.1f} after"
    print_table(title, ["", *heads, "seek ms", f"of {seeks}"], rows_of(found))
    *others, ours = found
    for rate in RATES:
        best = max(others, key=lambda one: one.at[rate].frames, default=ours)
        print_ratio(
            f"player_ways: frames at {rate}/s",
            ours.at[rate].frames / best.at[rate].frames,
            f"frames a second over those of the best other way, {best.name}",
        )
    for one in others:
        kernel = one.at[60].kernel / max(ours.at[60].kernel, 0.01)
        print_ratio(f"player_ways: kernel of {one.name}", kernel, "its kernel CPU at 60/s over the player's")


if __name__ == "__main__":
    main()
