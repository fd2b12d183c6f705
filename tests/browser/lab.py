"""A real JupyterLab and a page in it: start, run a notebook, change the theme, ask the kernel, stop."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import BrowserContext, Page, Response

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_START_S: Final = 180
_RUN_MS: Final = 120_000
_MAX_FOLDER: Final = 50  # bytes; the path of a socket has 107 at most (103 on macOS), and its name takes up to 53
_SETTINGS: Final = {
    # Every cell stands in the page, not only those in sight: a screenshot and a locator see them all.
    "notebook-extension/tracker": '{"windowingMode": "none"}',
    "apputils-extension/notification": '{"fetchNews": "false"}',
    "docmanager-extension/plugin": '{"autosave": false}',  # a notebook is saved when a test saves it
}
_IDLE: Final = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    return panel?.sessionContext?.session?.kernel?.status === 'idle' && panel.content?.model?.cells.length > 0;
}"""
_STORAGE: Final = "cookies,file_systems,indexeddb,local_storage,service_workers,cache_storage"
_SCROLLED: Final = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer"
_CELLS: Final = """() => window.jupyterapp.shell.currentWidget.content.widgets
    .filter((cell) => cell.model.type === 'code')
    .map((cell) => cell.model.sharedModel.toJSON())
    .map((cell) => ({source: cell.source, count: cell.execution_count, outputs: cell.outputs}))"""


@dataclass(frozen=True, slots=True)
class Lab:
    """A running JupyterLab: its address, its secret, the folder that it serves, and the one that it writes into."""

    url: str
    token: str
    root: Path
    home: Path

    def reset(self) -> None:
        """Stop every kernel; put settings, workspaces, notebooks and samples back to what a first visit finds."""
        for session in self._api("GET", "sessions"):
            self._api("DELETE", f"sessions/{session['id']}")
        for folder in ("jupyterlab_settings_dir", "jupyterlab_workspaces_dir"):
            shutil.rmtree(self.home / folder, ignore_errors=True)
            (self.home / folder).mkdir(parents=True)
        for name, text in _SETTINGS.items():
            path = self.home / "jupyterlab_settings_dir" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for left in self.root.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        without = shutil.ignore_patterns(".ipynb_checkpoints")
        shutil.copytree(REPOSITORY / "notebooks", self.root / "notebooks", ignore=without)
        shutil.copytree(REPOSITORY / "data" / "samples", self.root / "data" / "samples")

    def kernels(self) -> list[str]:
        """Ids of the kernels that run."""
        return [kernel["id"] for kernel in self._api("GET", "kernels")]

    def _api(self, method: str, path: str) -> Any:
        request = urllib.request.Request(f"{self.url}/api/{path}?token={self.token}", method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            said = response.read()
        return json.loads(said) if said else None

    def address(self, notebook: str) -> str:
        """Give the address that opens a notebook in a fresh workspace."""
        return f"{self.url}/lab/tree/{notebook}?reset&token={self.token}"


def free_port() -> int:
    """Give a port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def running_lab(root: Path, home: Path) -> Iterator[Lab]:
    """Start a JupyterLab that serves `root` and writes into `home` only; stop it and its kernels at the end."""
    folders = ["HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"]
    folders += ["JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "MPLBACKEND"))}
    environment = kept | {name: str(home / name.lower()) for name in folders} | {"PYTHONPATH": str(REPOSITORY)}
    environment["JUPYTER_PREFER_ENV_PATH"] = "0"  # a kernel that a test puts into the data folder is the one started
    for name in folders:
        (home / name.lower()).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as sockets:
        environment["JUPYTER_RUNTIME_DIR"] = sockets
        lab, server = _started(root, home, environment, _transport(sockets))
        try:
            yield lab
        finally:
            _stop(server)


def _transport(sockets: str) -> str:
    """How kernels are talked to: by files, as ports chosen for one are taken by another program before it starts."""
    return "ipc" if len(sockets) < _MAX_FOLDER else "tcp"


def _started(
    root: Path, home: Path, environment: dict[str, str], transport: str
) -> tuple[Lab, subprocess.Popen[bytes]]:
    """A JupyterLab that answers; where another program was quicker to take its port, at another one."""
    log = home / "lab.log"
    while True:
        lab = Lab(f"http://127.0.0.1:{(port := free_port())}", secrets.token_hex(16), root, home)
        command = [
            *(sys.executable, "-m", "jupyterlab", "--allow-root", "--no-browser"),
            *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
            *(f"--IdentityProvider.token={lab.token}", f"--ServerApp.root_dir={root}"),
            *("--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly", "--LabApp.news_url="),
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            f"--KernelManager.transport={transport}",
        ]
        with log.open("wb") as written:
            server = subprocess.Popen(command, env=environment, stdout=written, stderr=written, start_new_session=True)
        try:
            _wait_until_up(lab, server, log)
        except RuntimeError:
            _stop(server)
            if "already in use" not in log.read_text():
                raise
        else:
            return lab, server


def _wait_until_up(lab: Lab, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"JupyterLab ended with {server.returncode}:\n{log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=5):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.2)
    raise RuntimeError(f"JupyterLab did not answer within {_START_S} s:\n{log.read_text()[-3000:]}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """Ask the server to end, which ends its kernels; what has not gone after 15 s is killed, kernels included."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(60)


@contextmanager
def first_visit(visitor: BrowserContext, lab: Lab) -> Iterator[Page]:
    """A page that finds nothing of those before it, but for JupyterLab's scripts: Chromium keeps them, compiled."""
    page = visitor.new_page()
    try:
        visitor.set_offline(offline=False)
        visitor.clear_cookies()
        tools = visitor.new_cdp_session(page)
        tools.send("Storage.clearDataForOrigin", {"origin": lab.url, "storageTypes": _STORAGE})
        tools.detach()
        yield page
    finally:
        for opened in visitor.pages[1:]:  # the first keeps Chromium open
            opened.close()


def _saves_theme(response: Response) -> bool:
    return response.request.method == "PUT" and "apputils-extension" in response.url


class Notebook:
    """A notebook that is open on a page of a `Lab`."""

    def __init__(self, page: Page, lab: Lab, path: str) -> None:
        self.page = page
        page.goto(lab.address(path))
        page.wait_for_function(_IDLE, timeout=_RUN_MS)

    def run_all(self) -> None:
        """Run every cell and wait for the last."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self.page.wait_for_function(_IDLE, timeout=_RUN_MS)

    def cells(self) -> list[dict[str, Any]]:
        """Give the code cells: `source`, `count` (null before a run) and `outputs`, as they are in the page now."""
        found: list[dict[str, Any]] = self.page.evaluate(_CELLS)
        return found

    def clear(self) -> None:
        """Remove every output, so that what is seen later comes from a run on this page."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('editmenu:clear-all')")

    def grow(self) -> None:
        """Give the notebook the whole window and make that as high as the notebook: a screenshot shows all of it."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('application:toggle-left-area')")
        height = self.page.evaluate(f"() => document.querySelector('{_SCROLLED}').scrollHeight")
        width = (self.page.viewport_size or {"width": 1200})["width"]
        self.page.set_viewport_size({"width": width, "height": height + 130})
        self.page.evaluate(f"() => document.querySelector('{_SCROLLED}').scrollTo(0, 0)")
        self.page.wait_for_function(
            f"(least) => document.querySelector('{_SCROLLED}').clientHeight >= least", arg=height
        )

    def theme(self, name: str) -> None:
        """Change the theme: `JupyterLab Light` or `JupyterLab Dark`; done when it is saved and the splash is gone."""
        change = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
        if self.page.evaluate("() => document.body.dataset.jpThemeName") != name:
            with self.page.expect_response(_saves_theme):
                self.page.evaluate(change, name)
        self.page.wait_for_function("(theme) => document.body.dataset.jpThemeName === theme", arg=name)
        self.page.wait_for_function("() => !document.querySelector('#jupyterlab-splash')")
        self.page.evaluate("() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))")

    def close(self) -> None:
        """Shut the kernels of the page down."""
        self.page.evaluate("() => window.jupyterapp.serviceManager.sessions.shutdownAll()")
