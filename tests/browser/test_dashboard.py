"""The dashboard in Chromium: light, dark, narrow, acts, an alarm, a server that goes away, and a cell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

import replaylab as rl
from replaylab.dashboards import app
from replaylab.dashboards.server import serve_dashboard
from replaylab.dashboards.view import View
from tests.browser.lab import REPOSITORY, Lab, Notebook
from tests.browser.playing import code_cell, until_painted
from tests.stores import quiet, run_child, simulated

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("lab"), pytest.mark.timeout(300)]

AXE = REPOSITORY / "build" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = {"active": True, "rugged": False}
TICK = {"game_id": "now-playing", "tick": 1, "timestamp": "2031-01-03T03:04:05", "price": "1.5", **FLAGS}
# Names of the lists that do not stand beside their values, or above them; and those that lie on another.
APART = """() => {
    const box = (element) => element.getBoundingClientRect();
    const terms = [...document.querySelectorAll('.rlab-dash dt')].filter((term) => term.offsetParent);
    const apart = terms.filter((term) => {
        const [name, value] = [box(term), box(term.nextElementSibling)];
        const beside = Math.abs(name.top - value.top) < 6 && name.right <= value.left + 1;
        return !beside && !(Math.abs(name.left - value.left) < 2 && Math.abs(name.bottom - value.top) < 6);
    });
    const parts = terms.flatMap((term) => [term, term.nextElementSibling]);
    const over = parts.filter((one, at) => parts.slice(at + 1).some((other) => {
        const [first, second] = [box(one), box(other)];
        return Math.min(first.right, second.right) - Math.max(first.left, second.left) > 1
            && Math.min(first.bottom, second.bottom) - Math.max(first.top, second.top) > 3;
    }));
    return [...apart, ...over].map((element) => element.textContent);
}"""
KILLED = "import os, sys; import replaylab as rl; from tests.playing import until; one = rl.Recorder(sys.argv[1])\n"
KILLED += "os._exit(0 if until(lambda: any(run.process == os.getpid() for run in rl.status(sys.argv[1]).runs)) else 9)"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with games."""
    quiet(simulated(tmp_path / "recordings"), tmp_path / "store")
    return tmp_path / "store"


@pytest.fixture
def recorder(store: Path) -> Iterator[rl.Recorder]:
    """A recorder that lives, and one that began after it and was killed."""
    with rl.Recorder(store) as found:
        assert found.record(TICK).accepted
        assert run_child(KILLED, store).returncode == 0
        yield found


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 1200), ("light", 360)])
def test_it_is_read_by_everybody(
    browser: Browser, store: Path, recorder: rl.Recorder, screenshots: Path, scheme: str, width: int
) -> None:
    """Recorders, the alarm and games are shown; axe finds nothing; nothing is wider than the screen, or fetched."""
    assert AXE.exists(), "axe-core is not installed, so nobody checked: `make browser` installs it"
    with serve_dashboard(store) as server:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
            bypass_csp=True,  # for axe alone
        )
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(server.url)
        card = page.get_by_role("article", name=recorder.status().run)
        expect(card).to_contain_text("now-playing", timeout=60_000)
        expect(page.get_by_role("alert")).to_contain_text("its process has ended without closing it")
        expect(card).to_contain_text("1 at ")
        expect(card.get_by_text("ticks a second, last minute: ")).to_be_visible()
        expect(page).to_have_title("degraded: store, replaylab")
        cut = "(names) => names.filter((one) => one.scrollWidth > one.clientWidth).map((one) => one.textContent)"
        assert page.locator(".rlab-name").evaluate_all(cut) == []  # games are told apart by the ends of their ids
        dead = page.get_by_role("article").filter(has_text="dead")
        expect(dead.get_by_text("a second")).to_be_hidden()
        expect(page.locator(".rlab-game path[d^=M]")).to_have_count(4)
        expect(page.get_by_title("now-playing")).to_contain_text("peak 1.50, 1 tick, not ended")
        expect(page.get_by_title("now-playing").locator("path")).to_have_attribute("d", "M49 20h2")
        page.screenshot(path=screenshots / f"dashboard_{scheme}_{width}.png", full_page=True)
        page.add_script_tag(path=AXE)
        found = page.evaluate("async () => (await axe.run()).violations.map((one) => one.id + ': ' + one.help)")
        assert found == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert [one for one in asked if not one.startswith((server.url, "data:"))] == []
        context.close()


def test_an_act_is_confirmed_and_a_game_opens(page: Page, store: Path, recorder: rl.Recorder) -> None:
    """By keyboard alone: one press asks, a second one does it; a game is a link to a page that plays."""
    with serve_dashboard(store) as server:
        page.goto(server.url)
        stop = page.get_by_role("article", name=recorder.status().run).get_by_role("button", name="stop")
        stop.focus()
        page.keyboard.press("Enter")
        expect(stop).to_have_text("stop: sure?")
        assert recorder.status().state == "recording"
        page.keyboard.press("Enter")
        expect(page.get_by_role("article", name=recorder.status().run)).to_contain_text("closed", timeout=60_000)
        with page.expect_popup() as opened:
            page.get_by_role("link", name="now-playing").click()
        game = opened.value
        expect(game.locator(".rlab").first).to_be_visible(timeout=60_000)
        game.close()


def test_a_server_that_goes_away_is_said(page: Page, store: Path) -> None:
    """What was last seen stays, with its age; when a server is there again, the page goes on by itself."""
    with serve_dashboard(store) as server:
        port = server.port
        page.goto(server.url)
        expect(page.locator("header")).to_contain_text("now")
    expect(page.locator("header")).to_contain_text("no answer for", timeout=60_000)
    expect(page.locator("header .rlab-degraded")).to_contain_text("no answer for")  # as a warning, and on the tab
    expect(page).to_have_title("no answer: store, replaylab")
    expect(page.locator(".rlab-game")).to_have_count(3)
    with serve_dashboard(store, port=port):
        expect(page.locator("header")).not_to_contain_text("no answer for", timeout=60_000)
        expect(page).to_have_title("idle: store, replaylab")


def test_a_session_that_ends_is_said(page: Page, store: Path) -> None:
    """A server that was started again knows no sessions: what was last seen stays, and the page says what to do."""
    from replaylab.service.tokens import Tokens

    tokens = Tokens("0123456789abcdef0123456789abcdef")
    with serve_dashboard(store, tokens=tokens) as server:
        port = server.port
        page.goto(server.url)
        page.get_by_label("A token of this dashboard").fill("x.y.z")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("alert")).to_have_text("no valid token")
        page.get_by_label("A token of this dashboard").fill(tokens.issue(600, more={"role": "admin"}))
        page.get_by_role("button", name="Open").click()
        expect(page.locator(".rlab-game")).to_have_count(3, timeout=60_000)
    for _ in range(2):
        page.get_by_role("button", name="verify").click()
    expect(page.get_by_role("region", name="Store")).to_contain_text("no answer from the server")
    with serve_dashboard(store, port=port, tokens=tokens):
        expect(page.locator("header")).to_contain_text("the session has ended: reload this page", timeout=60_000)
        expect(page.locator(".rlab-game")).to_have_count(3)


def test_a_page_beyond_those_that_may_follow_asks(page: Page, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows what is so now all the same."""
    monkeypatch.setattr(app, "MAX_CLIENTS", 0)
    with serve_dashboard(store) as server:
        page.goto(server.url)
        expect(page.locator(".rlab-game")).to_have_count(3)
        with rl.Recorder(store) as recorder:
            assert recorder.record(TICK).accepted
            expect(page.get_by_role("article", name=recorder.status().run)).to_be_visible(timeout=60_000)
        expect(page.locator("header")).to_contain_text("now")


def test_gaps_that_look_alike_are_drawn_once_each(page: Page, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of the same text neither take each other's place nor grow with each drawing."""
    gap = {"game_id": None, "after": None, "missing": 0, "cause": None, "start": None, "healed": False}
    now, drawn = View.now, count()
    monkeypatch.setattr(
        View,
        "now",
        lambda self, *given, **more: now(self, *given, **more) | {"gaps": [gap, gap], "totals": {"games": next(drawn)}},
    )
    with serve_dashboard(store) as server:
        page.goto(server.url)
        first = str(page.locator(".rlab-tiles dd").first.text_content())
        expect(page.locator(".rlab-tiles dd").first).not_to_have_text(first, timeout=60_000)  # it was drawn again
        expect(page.get_by_role("region", name="Gaps").locator("tbody tr")).to_have_count(2)


def test_a_phone_shows_a_table_as_lists(
    page: Page, store: Path, screenshots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a wide screen a row is a line; on a phone it is a list of names and values, and nothing is scrolled to."""
    gap = {"game_id": "20310102-3dca5d3260754c2f", "after": 24, "missing": 3, "cause": "server_restart"}
    gap |= {"start": "2031-01-02T03:04:05.678901+00:00", "healed": True}
    now = View.now
    monkeypatch.setattr(View, "now", lambda self, *given, **more: now(self, *given, **more) | {"gaps": [gap]})
    with serve_dashboard(store) as server:
        page.goto(server.url)
        cells = page.get_by_role("region", name="Gaps").locator("td")
        said = ["20310102-3dca5d3260754c2f", "24", "3", "server restart", "2031-01-02 03:04:05", "yes"]
        expect(cells).to_have_text(said)
        tops = "(cells) => new Set(cells.map((one) => one.getBoundingClientRect().top)).size"
        assert cells.evaluate_all(tops) == 1
        page.set_viewport_size({"width": 360, "height": 800})
        until_painted(page)
        assert cells.evaluate_all(tops) == len(said)
        assert page.locator(".rlab-scroll:visible").evaluate("(one) => one.scrollWidth - one.clientWidth") == 0
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        aligned = "(cells) => cells.map((one) => getComputedStyle(one).textAlign + getComputedStyle(one).padding)"
        assert cells.evaluate_all(aligned) == ["left0px"] * len(said)
        page.screenshot(path=screenshots / "dashboard_gaps_360.png", full_page=True)


def test_a_token_opens_it(page: Page, store: Path) -> None:
    """The form trades the token for a cookie; who leaves is asked again; a role that may only view has no buttons."""
    from replaylab.service.tokens import Tokens

    tokens = Tokens("0123456789abcdef0123456789abcdef")
    with serve_dashboard(store, tokens=tokens) as server:
        page.goto(server.url)
        page.get_by_label("A token of this dashboard").fill(tokens.issue(600, more={"role": "view"}))
        page.get_by_role("button", name="Open").click()
        expect(page.locator(".rlab-game")).to_have_count(3, timeout=60_000)
        expect(page.get_by_role("button", name="verify")).to_be_hidden()
        page.get_by_role("button", name="Leave").click()
        expect(page.get_by_label("A token of this dashboard")).to_be_visible()


def test_it_is_shown_in_a_cell(page: Page, store: Path, open_notebook: Callable[[str], Notebook], lab: Lab) -> None:
    """In JupyterLab the same is the last line of a cell, and follows what happens."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [code_cell(0, f"import replaylab as rl\nrl.dashboard({str(store)!r})")]
    book = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    (lab.root / "dashboard.ipynb").write_text(json.dumps(book), encoding="utf-8")
    open_notebook("dashboard.ipynb").run_all()
    expect(page.locator(".rlab-game")).to_have_count(3, timeout=60_000)
    assert page.evaluate(APART) == []
    with rl.Recorder(store) as recorder:
        assert recorder.record(TICK).accepted
        card = page.get_by_role("article", name=recorder.status().run)
        expect(card).to_contain_text("now-playing", timeout=60_000)
    expect(card).to_contain_text("closed", timeout=60_000)
    assert page.evaluate(APART) == []
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_function("() => document.querySelector('.rlab-dash').clientWidth < 390")
    assert page.evaluate(APART) == []
