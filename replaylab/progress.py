"""Progress bars for long work, in terminals and notebooks."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tqdm import tqdm


def bar(total: int, task: str, unit: str, *, show: bool) -> tqdm[NoReturn]:
    """Return a progress bar to `update`; it is drawn when `show` is set, in a terminal or a notebook."""
    from tqdm.auto import tqdm  # loads late, as importing the package must stay cheap

    watched = show and (sys.stderr.isatty() or _in_notebook())
    return tqdm(total=total, desc=task, unit=unit, unit_scale=unit == "B", disable=not watched, leave=False)


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")
