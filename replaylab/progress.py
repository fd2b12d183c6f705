"""Progress bars for long work, in terminals and notebooks."""

from __future__ import annotations

import io
import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

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


class Unwatched:
    """A progress bar that is not drawn.

    Examples
    --------
    >>> with Unwatched() as shown:
    ...     shown.update(3)
    """

    def update(self, done: float = 1) -> None:
        """Count what was done: nowhere."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


def bar(total: int, task: str, unit: str, *, show: bool) -> tqdm[NoReturn] | Unwatched:
    """Return a progress bar to `update`; it is drawn when `show` is set, in a terminal or a notebook."""
    in_notebook = _in_notebook()
    if not (show and (sys.stderr.isatty() or in_notebook)):
        return Unwatched()
    from tqdm import tqdm  # loads where a bar is drawn: it takes 25 ms

    place: dict[str, Any] = {"file": _Cell(), "delay": _QUIET_SECONDS, "ncols": 80} if in_notebook else {}
    return tqdm(total=total, desc=task, unit=unit, unit_scale=unit == "B", leave=False, **place)


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")
