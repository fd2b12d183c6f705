"""Starting: loads the command line and runs it; Ctrl-C meanwhile ends it as it does later, without a traceback."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable
from typing import Final

_INTERRUPTED: Final = 130


def main() -> None:
    """Load the command line and run it."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # whoever started it has decided otherwise
        _loaded()()
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        run = _loaded()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _loaded() -> Callable[[], None]:
    """Return the command line; what is imported stays, and is not looked through for garbage meanwhile or later."""
    gc.disable()
    try:
        from replaylab.cli.main import main as run
    finally:
        gc.freeze()
        gc.enable()
    return run


def _leave(_number: int, _frame: object) -> None:
    """End at once: nothing was begun, and an exception in the middle of an import may be caught there."""
    os.write(2, b"replaylab: interrupted\n")
    os._exit(_INTERRUPTED)
