"""The dashboard in a cell of a notebook."""

from __future__ import annotations

import html
import itertools
import os
import threading
import weakref
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import anywidget
import traitlets

from replaylab.dashboards.acts import Acts
from replaylab.dashboards.view import View
from replaylab.errors import ReplayLabError, StoreNotFound
from replaylab.keywords import options_of
from replaylab.storage.open import open_store
from replaylab.storage.store import Store
from replaylab.tick import short_id
from replaylab.widgets.cell_output import in_kernel, keep_what_is_in_boxes, plain, show

_SECONDS: Final = 1.0
_FRONT: Final = Path(__file__).parent / "front"
_LEAVE: Final = {"role": "admin", "leave": False}  # who runs the notebook may do what it may


_numbers: Final = itertools.count(1)


@cache
def _front(name: str) -> str:
    return (_FRONT / name).read_text(encoding="utf-8")


class Dashboard(anywidget.AnyWidget):
    """A dashboard in a cell; `dashboard` makes it.

    Parameters
    ----------
    store : Store
        A store of this machine.
    """

    _esm = traitlets.Unicode(_front("page.js")).tag(sync=True)
    _css = traitlets.Unicode(_front("page.css")).tag(sync=True)
    state = traitlets.Dict(read_only=True).tag(sync=True)
    player_id = traitlets.Unicode("", read_only=True, help="names the dashboard in its page").tag(sync=True)

    def __init__(self, store: Store) -> None:
        self._view = View(store)
        self._acts = Acts(store)
        super().__init__()
        self.refresh()
        self.on_msg(self._heard)
        keep_what_is_in_boxes()
        self._ended = threading.Event()
        self._ender = weakref.finalize(self, self._ended.set)
        thread = threading.Thread(
            target=_keep, args=(weakref.ref(self), self._ended), name="replaylab-dashboard-cell", daemon=True
        )
        thread.start()

    @traitlets.default("player_id")
    def _new_id(self) -> str:
        return f"dashboard-{next(_numbers)}"

    def __repr__(self) -> str:
        return f"Dashboard({self._view.store.place!r})"

    def _ipython_display_(self, **_options: Any) -> None:
        """Show it, and in the same cell what stands in for it where the saved notebook is read later."""
        if not in_kernel():
            raise NotImplementedError  # IPython then shows the text
        show(super()._repr_mimebundle_(), self.stand_in(), repr(self))

    def stand_in(self) -> dict[str, str]:
        """Return what a saved notebook keeps of it, by media type: hidden as long as the dashboard shows."""
        return {"text/html": plain(still(self.state), self.player_id)}

    def refresh(self) -> None:
        """Look at the store now; it is done once a second by itself until the widget is closed."""
        job = self._acts.last
        shown = self._view.now(self._acts.verified) | _LEAVE | {"job": None if job is None else job.shown()}
        self.set_trait("state", shown)

    def close(self) -> None:
        """End it, and remove it from the page."""
        self._ended.set()
        super().close()

    def _heard(self, _widget: object, said: object, _buffers: object) -> None:
        """Do what a button asks for; what is no such request is dropped."""
        if not isinstance(said, dict) or said.get("confirm") != said.get("act"):
            return
        act, run = said.get("act"), said.get("run")
        if isinstance(act, str) and (run is None or isinstance(run, str)):
            try:
                self._acts.do(act, run, "the notebook")
            except (ValueError, ReplayLabError, OSError) as error:
                self.send({"problem": str(error)})


def still(state: dict[str, Any]) -> str:
    """Return HTML of a state of the dashboard that needs no script: what was so when the cell was run.

    Examples
    --------
    >>> still({"store": "a<b", "verdict": "idle", "at": "2031-01-02T03:04:05.000+00:00"}).partition("<p>")[0]
    '<div><b>a&lt;b</b>: idle at 2031-01-02 03:04:05 UTC, when the cell was run</div>'
    """
    at = str(state["at"])[:19].replace("T", " ")
    title = f"{html.escape(state['store'])}</b>: {state['verdict']} at {at} UTC, when the cell was run"
    problems = "".join(f"<li>{html.escape(str(problem))}</li>" for problem in state.get("problems", ()))
    runs = [(run["run"], run["state"], f"{run['accepted']:,}") for run in state.get("runs", ())]
    games = [
        (game["game_id"], f"{game['ticks'] or 0:,}", "none" if game["peak"] is None else f"{float(game['peak']):.2f}")
        for game in state.get("games", ())
    ]
    return (
        f"<div><b>{title}</div>"
        + (f"<ul>{problems}</ul>" if problems else "")
        + _table(("recorder", "state", "ticks"), runs)
        + _table(("last games", "ticks", "peak"), games)
    )


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    top = "".join(f"<th>{name}</th>" for name in head)
    lines = ("".join(f"<td>{html.escape(short_id(str(text)))}</td>" for text in row) for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody><tr>{'</tr><tr>'.join(lines)}</tr></tbody></table>"


def _keep(place: weakref.ref[Dashboard], ended: threading.Event) -> None:
    """Refresh a dashboard until it ends or is forgotten."""
    while not ended.wait(_SECONDS):
        found = place()
        if found is None or found.comm is None:
            return
        found.refresh()
        del found


@options_of("rl.dashboard")
def dashboard(store: str | os.PathLike[str] | Store) -> Dashboard:
    """Return a dashboard of a store, for the last line of a cell: recorders, feeds, disk, gaps and the last games.

    It looks once a second until it is closed. `replaylab dashboard STORE` serves the same as a page.

    Parameters
    ----------
    store : path or Store
        A store of this machine.

    Raises
    ------
    StoreNotFound
        When there is no such store.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     _ = recorder.record(rl.Tick("g", 1, "2031-01-02T03:04:05", "1.02", active=True))
    >>> shown = rl.dashboard(folder)
    >>> shown.state["verdict"], shown.close()
    ('idle', None)
    """
    if not isinstance(store, (str, os.PathLike, Store)):
        raise TypeError(f"{store!r} is no path of a store; type rl.dashboard('store') or rl.dashboard(store)")
    opened = store if isinstance(store, Store) else open_store(store)
    if not opened.is_local:
        raise StoreNotFound(f"{store}: only a store of this machine has a dashboard")
    return Dashboard(opened)
