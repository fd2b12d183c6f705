"""A notebook with a player in it: written, opened in a real JupyterLab, driven like a user would, and asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import psutil
from playwright.sync_api import Locator, Page

from tests.browser.lab import Lab, Notebook

KERNELS: Final = ".rlab[data-player]"  # players with a kernel: on a slow machine what stands in for one was there first
SETUP: Final = """\
import datetime
import replaylab as rl
from replaylab.widgets.player import play
from replaylab.tick import Tick

def game(n, ms=50, start=0, name='game'):
    zero = datetime.datetime(2031, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    def price(row):
        return f'1.{row * 7919 % 1000:03d}123456789'
    def time(row):
        return zero + datetime.timedelta(microseconds=round(1000 * ms * row))
    return [Tick(game_id=name, tick=start + row, timestamp=time(row), price=price(row), phase='ACTIVE_GAMEPLAY',
                 active=True) for row in range(n)]
"""
_ASK: Final = """async (code) => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    const asked = kernel.requestExecute({ code, store_history: false });
    let said = '';
    asked.onIOPub = (message) => {
        if (message.header.msg_type === 'stream') said += message.content.text;
        if (message.header.msg_type === 'error') said += message.content.traceback.join('\\n');
    };
    await asked.done;
    return said;
}"""
_RUN_IN: Final = """async ([number, code]) => {
    const cells = window.jupyterapp.shell.currentWidget.content;
    cells.activeCellIndex = number;
    cells.activeCell.model.sharedModel.setSource(code);
    await window.jupyterapp.commands.execute('notebook:run-cell');
}"""
_SEND: Final = """(code) => {
    const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
    kernel.requestExecute({ code, store_history: false });
}"""


@dataclass(frozen=True, slots=True)
class Memory:
    """What is held at one moment: bytes of the page's heap and of the kernel; elements and listeners of the page."""

    heap: int
    nodes: int
    listeners: int
    kernel: int


@dataclass
class Player:
    """A player on a page, as a user has it."""

    page: Page
    number: int = 0
    of: str = ".rlab"

    @property
    def root(self) -> Locator:
        """The whole player."""
        return self.page.locator(self.of).nth(self.number)

    @property
    def stage(self) -> Locator:
        """Its chart, which takes the keys."""
        return self.root.locator(".rlab-stage")

    @property
    def row(self) -> int:
        """The row that is shown."""
        return int(self.root.get_attribute("data-row") or -1)

    @property
    def playing(self) -> bool:
        """Whether it plays."""
        return self.root.get_attribute("data-playing") == "true"

    def button(self, name: str) -> Locator:
        """A button by its name."""
        return self.root.get_by_role("button", name=name, exact=True)

    @property
    def slider(self) -> Locator:
        """The seek bar."""
        return self.root.get_by_role("slider")

    def choose(self, name: str, value: str) -> None:
        """Choose from a list by its name."""
        self.root.get_by_role("combobox", name=name).select_option(value)

    def wait(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until something holds."""
        wait_until(self.page, condition, seconds)


def wait_until(
    page: Page,
    condition: Callable[[], bool],
    seconds: float = 60.0,
    told: Callable[[], str] = lambda: "it did not come true in time",
) -> None:
    """Let the page go on until something holds; fails when it does not in time, with what `told` gives."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, told()
        page.wait_for_timeout(20)


def until_painted(page: Page) -> None:
    """Wait for two frames of the page: what the last event changed is drawn, and read by the compositor."""
    page.evaluate("() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))")


def code_cell(number: int, source: str) -> dict[str, Any]:
    """A cell that has not been run."""
    return {
        "id": f"cell-{number}", "cell_type": "code", "source": source,
        "metadata": {}, "execution_count": None, "outputs": [],
    }  # fmt: skip


Start = Callable[..., "Playing"]  # cells, and how many players they show


class Playing:
    """A notebook that was run, the players in it, and its kernel."""

    def __init__(self, page: Page, lab: Lab, name: str, cells: list[str], players: int = 1) -> None:
        self.page = page
        self.path = lab.root / f"{name}.ipynb"
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        written = [code_cell(number, cell) for number, cell in enumerate([SETUP, *cells])]
        book = {"cells": written, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
        self.path.write_text(json.dumps(book), encoding="utf-8")
        self.notebook = Notebook(page, lab, self.path.name)
        self.notebook.run_all()
        failed = [cell for cell in self.notebook.cells() for one in cell["outputs"] if one["output_type"] == "error"]
        assert not failed
        self.players = [Player(page, number, KERNELS) for number in range(players)]
        for player in self.players:
            player.wait(lambda player=player: player.row >= 0)  # type: ignore[misc]

    def ask(self, expression: str) -> Any:
        """Give the value of an expression in the kernel, as JSON carries it."""
        said = self.page.evaluate(_ASK, f"import json; print(json.dumps({expression}))")
        return json.loads(said)

    def run_in(self, number: int, code: str) -> None:
        """Put code into the cell of that number (the setup is 0), run it, and wait until it has run."""
        self.page.evaluate(_RUN_IN, [number, code])
        failed = [one for one in self.notebook.cells()[number]["outputs"] if one["output_type"] == "error"]
        assert not failed

    def until(self, expression: str, value: object = True, seconds: float = 60.0) -> None:  # noqa: FBT002
        """Wait until an expression in the kernel has a value; what the page told is on its way for a moment."""
        said: list[Any] = []

        def holds() -> bool:
            said[:] = [self.ask(expression)]
            return bool(said[0] == value)

        wait_until(self.page, holds, seconds, lambda: f"{expression} is {said[0]!r} and was to be {value!r}")

    def tell(self, code: str) -> None:
        """Run code in the kernel and wait for it; what it prints or raises fails the test."""
        said = self.page.evaluate(_ASK, code)
        assert not said

    @property
    def kernel(self) -> psutil.Process:
        """The process of the kernel."""
        return psutil.Process(self.ask("__import__('os').getpid()"))

    def memory(self) -> Memory:
        """What page and kernel hold, once both have thrown away what nothing refers to."""
        self.tell("__import__('gc').collect(); None")
        tools = self.page.context.new_cdp_session(self.page)
        for _ in range(3):  # what a finaliser lets go of is found the next time
            tools.send("HeapProfiler.collectGarbage")
        heap = tools.send("Runtime.getHeapUsage")
        nodes = tools.send("Memory.getDOMCounters")
        tools.detach()
        return Memory(
            heap=int(heap["usedSize"]) + int(heap.get("backingStorageSize", 0)),
            nodes=int(nodes["nodes"]),
            listeners=int(nodes["jsEventListeners"]),
            kernel=self.kernel.memory_info().rss,
        )

    def keep_to(self, before: Memory, **most: int) -> None:
        """Wait until page and kernel hold at most so much more than before: what is on its way to the page goes by."""
        grown: dict[str, int] = {}

        def is_within() -> bool:
            now = self.memory()
            grown.update({name: getattr(now, name) - getattr(before, name) for name in most})
            return all(grown[name] < limit for name, limit in most.items())

        try:
            wait_until(self.page, is_within, 60.0)
        except AssertionError as error:
            raise AssertionError(f"grown by {grown}, at most {most} is right") from error

    def send(self, code: str) -> None:
        """Run code in the kernel without waiting."""
        self.page.evaluate(_SEND, code)
