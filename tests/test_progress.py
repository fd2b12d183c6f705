"""Progress bars: seen while work goes on, gone when it is done, also from a notebook that was saved."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from replaylab.progress import Unwatched, _Cell, bar

WORK = """
import time
from replaylab import progress
from replaylab.progress import bar
progress._QUIET_SECONDS = {quiet}  # quick work is quick on a slow machine, too
with bar(4, "working", "file", show=True) as shown:
    for _ in range(4):
        time.sleep({seconds})
        shown.update(1)
"""


@pytest.mark.parametrize("seconds", [0.0, 0.4])
def test_nothing_of_a_bar_stays_in_a_notebook(seconds: float) -> None:
    """A notebook that was run and saved holds no widget, no error and no line of a bar; of quick work, no output."""
    import nbformat  # seconds, which every worker would spend at collection
    from nbclient import NotebookClient

    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})  # type: ignore[no-untyped-call]
    notebook.cells = [nbformat.v4.new_code_cell(WORK.format(seconds=seconds, quiet=0.5 if seconds else 60))]  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=120).execute()
    outputs = notebook.cells[0]["outputs"]
    assert [output["data"] for output in outputs] == ([{"text/plain": ""}] if seconds else [])
    assert "widgets" not in notebook.metadata


def test_a_bar_in_a_cell_shows_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line takes the place of the one before it, and the last one is empty."""
    lines: list[Any] = []

    class Shown:
        def update(self, data: dict[str, str], *, raw: bool) -> None:
            assert raw
            lines.append(data["text/plain"])

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Shown:
        assert raw
        assert display_id
        lines.append(data["text/plain"])
        return Shown()

    monkeypatch.setattr("IPython.display.display", display)
    cell = _Cell()
    for text in ("", "\rworking: 25%", "\rworking: 50%", "\r     \r"):
        cell.write(text)
    assert lines == ["working: 25%", "working: 50%", ""]


def test_a_bar_is_not_shown_to_a_pipe() -> None:
    """Where no one looks, nothing is written, and tqdm, which takes a while, is not loaded."""
    code = (
        "import sys\nfrom replaylab.progress import bar\n"
        "with bar(2, 'working', 'file', show=True) as one: one.update(2)\nassert 'tqdm' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("", "")
    with bar(1, "working", "file", show=False) as hidden:
        assert isinstance(hidden, Unwatched)
