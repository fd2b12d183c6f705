"""replaylab: flight recorder and replay lab for tick streams.

``feed -> tick -> recorder -> journal -> segment -> store -> game -> engine -> widget / analysis``

Each word is a module or a folder of interchangeable ones.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from replaylab import analysis, errors, fair
    from replaylab.compact import compact
    from replaylab.convert import convert
    from replaylab.engine import ReplayEngine
    from replaylab.game import Game
    from replaylab.opening import open_store
    from replaylab.recorder import Recorder
    from replaylab.recovery import recover
    from replaylab.report import ConversionReport
    from replaylab.settings import Settings
    from replaylab.simulate import simulate
    from replaylab.store import Store
    from replaylab.tick import Phase, Tick
    from replaylab.widgets.player import play

__version__ = "0.1.0"
__all__ = [
    "ConversionReport",
    "Game",
    "Phase",
    "Recorder",
    "ReplayEngine",
    "Settings",
    "Store",
    "Tick",
    "__version__",
    "analysis",
    "compact",
    "convert",
    "errors",
    "fair",
    "open_store",
    "play",
    "recover",
    "simulate",
]

_HOME = {
    "ConversionReport": "report",
    "Game": "game",
    "Phase": "tick",
    "Recorder": "recorder",
    "ReplayEngine": "engine",
    "Settings": "settings",
    "Store": "store",
    "Tick": "tick",
    "compact": "compact",
    "convert": "convert",
    "open_store": "opening",
    "play": "widgets.player",
    "recover": "recovery",
    "simulate": "simulate",
}


class _FrontDoor(ModuleType):
    """Loads each name from its module when it is first asked for; a function keeps its name's place from its module."""

    def __getattribute__(self, name: str) -> Any:
        home = _HOME.get(name)
        if home is None:
            return super().__getattribute__(name)
        return getattr(importlib.import_module(f"replaylab.{home}"), name)

    def __getattr__(self, name: str) -> Any:
        if name in {"analysis", "errors", "fair"}:
            return importlib.import_module(f"replaylab.{name}")
        raise AttributeError(f"module 'replaylab' has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted(__all__)


sys.modules[__name__].__class__ = _FrontDoor
