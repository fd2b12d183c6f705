"""Progress bars for long work, in terminals and notebooks."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from tqdm import tqdm

_QUIET_SECONDS: Final = 0.5  # work that is done sooner leaves nothing in a notebook


class _Cell(io.TextIOBase):
    """A file that shows the last line written to it in a cell: of a bar that is gone, the notebook keeps no trace.

    A widget would be kept, and be an error where the notebook is opened again without its kernel.
    """

    def __init__(self) -> None:
        self._shown: Any = None

    def write(self, text: str) -> int:
        """Show a line in the place of the one before."""
        from IPython.display import display

        line = {"text/plain": text.strip()}
        if self._shown is not None:
            self._shown.update(line, raw=True)
        elif line["text/plain"]:
            self._shown = display(line, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        return len(text)


def bar(total: int, task: str, unit: str, *, show: bool) -> tqdm[NoReturn]:
    """Return a progress bar to `update`; it is drawn when `show` is set, in a terminal or a notebook."""
    from tqdm import tqdm  # loads late, as importing the package must stay cheap

    in_notebook = _in_notebook()
    watched = show and (sys.stderr.isatty() or in_notebook)
    place: dict[str, Any] = {"file": _Cell(), "delay": _QUIET_SECONDS, "ncols": 80} if in_notebook else {}
    return tqdm(total=total, desc=task, unit=unit, unit_scale=unit == "B", disable=not watched, leave=False, **place)


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")
