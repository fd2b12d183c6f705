"""Dashboard: what a page with ten recorders costs, how soon it shows something, and how soon it shows a death.

The claims: data is painted 500 ms after the address was asked for; a page that is open for ten minutes holds at most
5 % more at the end; a recorder that was killed is shown as dead within 3 s; the server takes at most 2 % of a core with
ten recorders; Prometheus has its answer within 5 ms with 50 feeds. There is no peer: a ratio is the limit over what was
measured. `--seconds` is how long the page is open, `--warm` how long before that.

Needs Chromium (`make browser`). Recorders, feeds and the server run in processes of their own.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

import replaylab as rl
from benchmarks.live.many_feeds import servers
from benchmarks.measure import arguments, print_ratio, print_table, workshop
from replaylab.sessions.opening import open_sessions
from replaylab.sessions.session import LiveSession
from tests.browser.conftest import _FLAGS

RECORD = """
import os, sys, threading, time
from datetime import UTC, datetime
import replaylab as rl

threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
with rl.Recorder(sys.argv[1]) as recorder:
    print(recorder.status().run, flush=True)
    tick = 0
    while True:
        recorder.record(rl.Tick(f"game-{os.getpid()}", tick, datetime.now(UTC), f"{1 + tick / 1000:.3f}", active=True))
        tick += 1
        time.sleep(0.1)
"""
PAINTED = """
new MutationObserver((_, watcher) => {
  if (!document.querySelector(".rlab-cards article") || !document.querySelector(".rlab-game path[d^=M]")) return;
  watcher.disconnect();
  requestAnimationFrame(() => setTimeout(() => { window.paintedAt = performance.now(); }));
}).observe(document, { childList: true, subtree: true, attributes: true });
"""
LIMITS = {
    "first paint, ms": 500.0,
    "heap, %": 5.0,
    "death shown, s": 3.0,
    "server, % of a core": 2.0,
    "scrape, ms": 5.0,
}


@contextmanager
def recording(store: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A recorder of ten ticks a second in a process of its own, and its run."""
    with subprocess.Popen(
        [sys.executable, "-c", RECORD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        yield child, child.stdout.readline().strip()
        child.kill()


@contextmanager
def dashboard(store: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The dashboard in a process of its own, and its address."""
    command = [sys.executable, "-m", "replaylab", "dashboard", str(store), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        yield child, next(word.rstrip(";") for word in child.stderr.readline().split() if word.startswith("http"))
        child.terminate()


def first_paint(browser: Browser, url: str, rounds: int) -> list[float]:
    """Milliseconds from asking for the page to the first frame with a recorder and a game in it."""
    found = []
    for _ in range(rounds):
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        page = context.new_page()
        page.add_init_script(PAINTED)
        page.goto(url)
        page.wait_for_function("window.paintedAt")
        found.append(float(page.evaluate("window.paintedAt")))
        context.close()
    return found


def heap(page: Page) -> float:
    """Bytes of the page's heap once its garbage is collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    used = float(session.send("Runtime.getHeapUsage")["usedSize"])
    session.detach()
    return used


def cpu_seconds_of(process: int) -> float:
    """Processor time that another process has taken."""
    fields = Path("/proc", str(process), "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def death(page: Page, child: subprocess.Popen[str], run: str) -> float:
    """Seconds from a SIGKILL to its being on the page."""
    page.get_by_role("article", name=run).wait_for()
    child.kill()
    begun = time.monotonic()
    page.get_by_role("article", name=run).get_by_text("dead", exact=False).first.wait_for()
    return time.monotonic() - begun


def scrapes(folder: Path, feeds: int, rounds: int) -> tuple[list[float], float]:
    """Milliseconds of each scrape with that many feeds, and milliseconds of processor time of the mean one."""
    with ExitStack() as stack:
        port = stack.enter_context(servers("lines", folder, 4.0))
        recorder = stack.enter_context(rl.Recorder(folder / "fed", overflow="refuse"))
        sessions = open_sessions(LiveSession, [f"ws://127.0.0.1:{port}/feed?n={n}" for n in range(feeds)], recorder)
        sessions.start()
        stack.callback(sessions.stop)
        sessions.wait(["live", "stale"], timeout=60)  # type: ignore[arg-type]
        child, url = stack.enter_context(dashboard(folder / "fed"))
        wanted = f'replaylab_feed_live{{feed="ws://127.0.0.1:{port}'
        while read(url).count(wanted) < feeds:
            time.sleep(0.2)
        found = []
        cpu = cpu_seconds_of(child.pid)
        for _ in range(rounds):
            begun = time.perf_counter()
            read(url)
            found.append((time.perf_counter() - begun) * 1000)
            time.sleep(0.02)
        return found, (cpu_seconds_of(child.pid) - cpu) * 1000 / rounds


def read(url: str) -> str:
    """What Prometheus reads."""
    with urllib.request.urlopen(f"{url}metrics", timeout=30) as answer:  # noqa: S310 an address of this machine
        return str(answer.read(), "utf-8")


def measured(folder: Path, seconds: float, warm: float, *, quick: bool) -> dict[str, float]:
    """All figures but the scrapes."""
    store = folder / "store"
    rl.simulate(folder / "recordings", seed=1, games=12)
    rl.convert(folder / "recordings", store, progress=False)
    with ExitStack() as stack:
        children = [stack.enter_context(recording(store)) for _ in range(2 if quick else 10)]
        server, url = stack.enter_context(dashboard(store))
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=shutil.which("chromium"), args=_FLAGS
        )
        stack.callback(browser.close)
        painted = first_paint(browser, url, 2 if quick else 9)
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.goto(url)
        page.wait_for_timeout(warm * 1000)  # what grows until it is full is the minute of rates
        before, cpu, begun = heap(page), cpu_seconds_of(server.pid), time.monotonic()
        page.wait_for_timeout(seconds * 1000)
        share = (cpu_seconds_of(server.pid) - cpu) / (time.monotonic() - begun)
        after = heap(page)
        return {
            "first paint, ms": statistics.median(painted),
            "heap, %": 100 * (after / before - 1),
            "death shown, s": max(death(page, *child) for child in children[:3]),
            "server, % of a core": 100 * share,
        }


def main() -> None:
    """Measure, and print each figure beside its limit."""
    options = arguments(__doc__, seconds=600, warm=60)
    with workshop() as folder:
        seconds, warm = (3, 2) if options.quick else (options.seconds, options.warm)
        found = measured(folder, seconds, warm, quick=options.quick)
        waits, cpu_ms = scrapes(folder, 5 if options.quick else 50, 5 if options.quick else 200)
    found["scrape, ms"] = statistics.median(waits)
    rows = [(name, value, LIMITS[name]) for name, value in found.items()]
    print_table("Dashboard", ["", "measured", "at most"], [*rows, ("scrape, ms of processor time", cpu_ms, 5.0)])
    for name, value, limit in rows:
        print_ratio(f"dashboard {name.partition(',')[0]}", limit / max(value, limit / 1000), f"limit over {name}")


if __name__ == "__main__":
    main()
