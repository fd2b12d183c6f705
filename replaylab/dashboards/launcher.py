"""What jupyter-server-proxy asks for, so that JupyterLab's launcher opens the dashboard."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

STORE_ENVIRONMENT: Final = "REPLAYLAB_STORE"  # the store that is shown; the folder of the server unless set


def launcher() -> dict[str, Any]:
    """Return how the dashboard is started and shown.

    It listens on a Unix socket, which only the user of the Jupyter server reaches; who may open it is decided there.

    Examples
    --------
    >>> launcher()["launcher_entry"]["title"]
    'Recorders'
    """
    store = os.environ.get(STORE_ENVIRONMENT, ".")
    return {
        "command": [sys.executable, "-m", "replaylab", "dashboard", store, "--socket", "{unix_socket}"],
        "unix_socket": True,
        "timeout": 60,
        "launcher_entry": {"title": "Recorders", "category": "Other"},
    }
