"""The notebooks as they are stored: run from top to bottom, free of errors, and of what belongs to one machine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "notebooks").glob("*.ipynb"))


def load(path: Path) -> dict[str, Any]:
    """Read a notebook."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_notebooks_are_found() -> None:
    """The walk sees the notebooks: a wrong path would make every other test here pass on nothing."""
    named = {"01_convert", "02_explore", "06_survival", "07_sidebets", "08_backtest", "09_cluster", "10_live"} | {
        "11_research"
    }
    assert named <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_come_from_one_clean_run(path: Path) -> None:
    """Every code cell was run, once, in order, and none failed or complained."""
    cells = [cell for cell in load(path)["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert outputs
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_of_one_machine_is_stored(path: Path) -> None:
    """No widget state, which would blank a static page, and no folder or address of the machine that ran it."""
    notebook = load(path)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    stored = [(cell.get("outputs", []), cell["source"]) for cell in notebook["cells"]]
    pictures = re.compile(r'"image/png": "[^"]*"')
    assert not re.search(r"/tmp/|/home/|/root/|/Users/|0x[0-9a-f]{8}", pictures.sub("", json.dumps(stored)))
