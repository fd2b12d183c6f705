"""Reopened: a notebook with 20 players of 1,400 ticks, saved, and opened again in JupyterLab with no kernel of its own.

The claims: under 2 MB on the disk, and the first players to be seen, and to be played, within a second of the moment
at which the notebook's own cells are there. The peer is the same notebook with matplotlib charts in the players' place.

Needs Chromium (`make browser`).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from benchmarks.measure import arguments, print_ratio, print_table, workshop
from tests.browser.conftest import _FLAGS
from tests.browser.lab import Lab, running_lab
from tests.browser.playing import Playing

SAVE = "() => window.jupyterapp.commands.execute('docmanager:save')"
OPEN = """async ([path, shown]) => {
    const seen = () => [...document.querySelectorAll(shown)].some((one) => one.offsetParent);
    window.jupyterapp.commands.execute('docmanager:open', { path });
    while (!document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell')) {
        await new Promise(requestAnimationFrame);
    }
    const begun = performance.now();
    while (!seen()) {
        if (performance.now() - begun > 20000) throw new Error(`nothing is seen of ${path}`);
        await new Promise(requestAnimationFrame);
    }
    return performance.now() - begun;
}"""
PICTURE = ".jp-OutputArea img"
CHART = """
import io
from IPython.display import Image
from matplotlib.figure import Figure
figure, drawn = Figure(figsize=(9, 3)), io.BytesIO()
_ = figure.subplots().plot([float(tick.price) for tick in game({n})])
figure.savefig(drawn, format='png')
Image(drawn.getvalue())"""


def written(page: Page, lab: Lab, name: str, cells: list[str], *, players: int) -> Path:
    """Run a notebook, save it, shut its kernel down, and leave it."""
    playing = Playing(page, lab, name, cells, players=players)
    if players:
        page.wait_for_function(f"() => document.querySelectorAll('.rlab[data-row]').length >= {players}")
    page.evaluate(SAVE)
    playing.notebook.close()
    page.goto("about:blank")
    return playing.path


def opened(page: Page, lab: Lab, path: Path, shown: str) -> float:
    """Return how long it takes until what is kept is seen, in ms from when cells are there."""
    page.goto(f"{lab.url}/lab?reset&token={lab.token}")
    page.wait_for_selector(".jp-LauncherCard")
    took: float = page.evaluate(OPEN, [path.name, shown])
    page.goto("about:blank")
    return took


def main() -> None:
    """Write both notebooks, open each a few times, and print."""
    options = arguments(__doc__)
    count, ticks, times = (3, 60, 1) if options.quick else (20, 1_400, 5)
    with workshop() as folder, sync_playwright() as tool:
        root, home = folder / "root", folder / "home"
        root.mkdir()
        home.mkdir()
        with running_lab(root, home) as lab:
            browser = tool.chromium.launch(executable_path=shutil.which("chromium"), args=_FLAGS)
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            ours = written(page, lab, "players", [f"play(game({ticks}))"] * count, players=count)
            theirs = written(page, lab, "charts", [CHART.format(n=ticks)] * count, players=0)
            took: dict[str, list[float]] = {"ours": [], "theirs": []}
            for _ in range(times):
                took["ours"].append(opened(page, lab, ours, ".rlab[data-row]"))
                took["theirs"].append(opened(page, lab, theirs, PICTURE))
            browser.close()
        sizes: list[Any] = [ours.stat().st_size, theirs.stat().st_size]
    print_table(
        f"{count} of {ticks:,} ticks, opened {times} times",
        ["", "players", "matplotlib charts"],
        [
            ("bytes of the notebook", *sizes),
            ("seen after, ms, median", *(sorted(found)[len(found) // 2] for found in took.values())),
            ("seen after, ms, longest", *(max(found) for found in took.values())),
        ],
    )
    print_ratio("reopened: bytes", sizes[1] / sizes[0], "bytes of charts over those of players")


if __name__ == "__main__":
    main()
