"""replaylab: flight recorder and replay lab for tick streams.

``feed -> tick -> recorder -> journal -> segment -> store -> game -> engine -> widget / analysis``

Each word is a module or a folder of interchangeable ones.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import TYPE_CHECKING, Any

from replaylab.doors import DOORS

if TYPE_CHECKING:
    from replaylab import analysis, errors, fair
    from replaylab.charts.theme import style
    from replaylab.conversion.convert import convert
    from replaylab.conversion.report import ConversionReport
    from replaylab.dashboards.cell import dashboard
    from replaylab.encryption.keys import rotate
    from replaylab.encryption.kms import EnvironmentKey, FileKey, Kms
    from replaylab.exports.export import export
    from replaylab.feeds.opening import open_feed
    from replaylab.parsing.mapping import Mapping
    from replaylab.playback.engine import ReplayEngine
    from replaylab.recording.recorder import Recorder
    from replaylab.retention.prune import prune
    from replaylab.service.server import serve
    from replaylab.settings import Settings
    from replaylab.simulation.simulate import simulate
    from replaylab.storage.compact import compact
    from replaylab.storage.encrypt import encrypt
    from replaylab.storage.game import Game
    from replaylab.storage.open import open_store
    from replaylab.storage.recovery import recover
    from replaylab.storage.rezone import rezone
    from replaylab.storage.store import Store
    from replaylab.tick import Phase, Tick
    from replaylab.watching.status import status
    from replaylab.watching.webhook import Webhook
    from replaylab.widgets.browser import browse
    from replaylab.widgets.comparison import compare
    from replaylab.widgets.live import live
    from replaylab.widgets.player import play

__version__ = "0.1.0"
__all__ = [
    "ConversionReport",
    "EnvironmentKey",
    "FileKey",
    "Game",
    "Kms",
    "Mapping",
    "Phase",
    "Recorder",
    "ReplayEngine",
    "Settings",
    "Store",
    "Tick",
    "Webhook",
    "__version__",
    "analysis",
    "browse",
    "compact",
    "compare",
    "convert",
    "dashboard",
    "encrypt",
    "errors",
    "export",
    "fair",
    "live",
    "open_feed",
    "open_store",
    "play",
    "prune",
    "recover",
    "rezone",
    "rotate",
    "serve",
    "simulate",
    "status",
    "style",
]

_HOME = {
    "ConversionReport": "conversion.report",
    "EnvironmentKey": "encryption.kms",
    "FileKey": "encryption.kms",
    "Game": "storage.game",
    "Kms": "encryption.kms",
    "Mapping": "parsing.mapping",
    "Phase": "tick",
    "Recorder": "recording.recorder",
    "ReplayEngine": "playback.engine",
    "Settings": "settings",
    "Store": "storage.store",
    "Tick": "tick",
    "browse": "widgets.browser",
    "Webhook": "watching.webhook",
    "compact": "storage.compact",
    "compare": "widgets.comparison",
    "convert": "conversion.convert",
    "dashboard": "dashboards.cell",
    "export": "exports.export",
    "encrypt": "storage.encrypt",
    "live": "widgets.live",
    "open_feed": "feeds.opening",
    "open_store": "storage.open",
    "play": "widgets.player",
    "prune": "retention.prune",
    "recover": "storage.recovery",
    "rezone": "storage.rezone",
    "rotate": "encryption.keys",
    "serve": "service.server",
    "simulate": "simulation.simulate",
    "status": "watching.status",
    "style": "charts.theme",
}


_PACKAGES = {"analysis", "errors", "fair"}

# a program that sets up no logging sees no line of ours, as the logging HOWTO asks of libraries
logging.getLogger("replaylab").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    """Return a public name, loaded from its module at its first use."""
    if name in _PACKAGES:
        value: Any = importlib.import_module(f"replaylab.{name}")
    elif name in _HOME:
        value = getattr(importlib.import_module(f"replaylab.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'replaylab' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _show_store(store: Any) -> None:
    """Show a store as the last line of a notebook cell."""
    from replaylab.widgets.browser import show_store

    show_store(store)


def _report(found: Any, **options: Any) -> Any:
    """Return the report of a backtest, which holds the player."""
    from replaylab.exports.backtest_report import report

    return report(found, **options)


DOORS.backtest_report = _report


def _meet_notebook() -> None:
    """Let a notebook show stores by their games; nothing is loaded until it does."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    formatters = getattr(getattr(shell, "display_formatter", None), "ipython_display_formatter", None)
    if formatters is not None:
        formatters.for_type_by_name("replaylab.storage.store", "Store", _show_store)


_meet_notebook()
