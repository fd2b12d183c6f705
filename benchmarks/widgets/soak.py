"""Soak: what page and kernel hold while a player loops and another follows a live game, minute after minute.

The claim: the heap of the browser and the memory of the kernel are flat over ten minutes. Both are read after their
garbage was collected; a slope is that of the least squares over all samples after the first fifth. There is no peer:
what is compared is the memory of the start, once everything is warm, with that of the end.

Needs Chromium (`make browser`).
"""

from __future__ import annotations

import shutil
import time
from typing import Any

import numpy as np
from playwright.sync_api import sync_playwright

from benchmarks.measure import arguments, print_ratio, print_table, workshop
from tests.browser.conftest import _FLAGS
from tests.browser.lab import running_lab
from tests.browser.playing import Memory, Playing

LOOP = """
player = play(game(1_400, ms=50), speed=10)
told = 0
def count(step):
    global told
    told += 1
player.on_tick(count)
player.loop = (100, 1_299)
player
"""
LIVE = """
import asyncio
from replaylab.playback.engine import ReplayEngine
engine = ReplayEngine(ring_ticks=1_000)
given = game(3_000, name='live')
async def feed():
    while True:
        for tick in given:
            engine.push(tick)
            await asyncio.sleep(0.02)
engine.push(given[0])
feeding = asyncio.get_running_loop().create_task(feed())
live = play(engine)
live
"""


def soak(playing: Playing, seconds: float, samples: int) -> list[tuple[float, Memory]]:
    """Memory again and again while both play, with the seconds since the start."""
    playing.players[0].button("Play").click()
    begun = time.monotonic()
    found = []
    for number in range(samples + 1):
        playing.page.wait_for_timeout(max(0.0, begun + number * seconds / samples - time.monotonic()) * 1000)
        found.append((time.monotonic() - begun, playing.memory()))
    return found


def slope(found: list[tuple[float, Memory]], name: str) -> float:
    """Bytes a minute."""
    late = found[len(found) // 5 :]
    minutes = np.array([at for at, _ in late]) / 60
    return float(np.polyfit(minutes, [getattr(memory, name) for _, memory in late], 1)[0])


def show(found: list[tuple[float, Memory]], told: int, pushed: int) -> None:
    """Print what was held, and how much it grew."""
    warm, end = found[len(found) // 5], found[-1]
    table: list[tuple[Any, ...]] = []
    for words, name, unit in (
        ("heap of the page, MB", "heap", 1e6),
        ("memory of the kernel, MB", "kernel", 1e6),
        ("elements of the page", "nodes", 1),
        ("listeners of the page", "listeners", 1),
    ):
        held = [getattr(memory, name) / unit for _, memory in (warm, end)]
        greatest = max(getattr(memory, name) / unit for _, memory in found)
        table.append((words, *held, greatest, slope(found, name) / unit))
    title = f"{end[0]:.0f} s: {told:,} ticks in a loop at the callback, {pushed:,} live ticks"
    print_table(title, ["", f"after {warm[0]:.0f} s", "at the end", "greatest", "slope a minute"], table)
    print_ratio("soak: heap", warm[1].heap / end[1].heap, "heap of the page when warm over that at the end")
    print_ratio("soak: kernel", warm[1].kernel / end[1].kernel, "memory of the kernel when warm over that at the end")


def main() -> None:
    """Open both players, let them play, and print."""
    options = arguments(__doc__, seconds=600)
    with workshop() as folder, sync_playwright() as tool:
        for name in ("root", "home"):
            (folder / name).mkdir()
        with running_lab(folder / "root", folder / "home") as lab:
            browser = tool.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
            page = browser.new_page(viewport={"width": 1100, "height": 1300})
            playing = Playing(page, lab, "soak", [LOOP, LIVE], players=2)
            found = soak(playing, 8, 8) if options.quick else soak(playing, options.seconds, 40)
            told, pushed = playing.ask("[told, engine.status.pushed]")
            playing.notebook.close()
            browser.close()
    show(found, told, pushed)


if __name__ == "__main__":
    main()
