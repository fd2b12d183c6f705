"""Tables: what is printed without rich is what rich would print."""

from __future__ import annotations

import string
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replaylab.cli import tables
from tests.crash.scale import SCALE

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"

NAMES = st.text(string.ascii_lowercase + " ", min_size=1, max_size=14).filter(str.strip)
TEXTS = st.text(st.characters(codec="ascii") | st.sampled_from("aé語🎲\t "), max_size=150)


@settings(max_examples=100 * SCALE)
@given(st.dictionaries(NAMES, TEXTS, max_size=5))
def test_names_and_texts_are_printed_as_rich_lays_them_out(pairs: dict[str, str]) -> None:
    """The quick way for a pipe gives the same bytes: short and long texts, blanks, wide and control characters."""
    with pytest.MonkeyPatch.context() as patch:
        quick, laid_out = _Output(), _Output()
        patch.setattr(sys, "stdout", quick)
        tables.show_pairs(pairs)
        patch.setattr(tables, "_UNFOLDED_WIDTH", -1)
        patch.setattr(sys, "stdout", laid_out)
        tables.show_pairs(pairs)
    assert quick.text == laid_out.text


class _Output:
    """Standard output that is no terminal."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        """Keep what is written."""
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Do nothing."""

    def isatty(self) -> bool:
        """It is none."""
        return False


def test_a_report_in_a_pipe_needs_no_rich(tmp_path: Path) -> None:
    """A conversion without damage, the output of which goes to a program, loads nothing for terminals."""
    code = (
        "import sys\n"
        "from replaylab.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "sys.exit(' '.join(name for name in ('rich', 'tqdm', 'pydantic') if name in sys.modules) or 0)\n"
    )
    clean = SAMPLES / "capture_20310102_190416.jsonl"
    command = [sys.executable, "-c", code, "convert", str(clean), "--to", str(tmp_path / "store"), "--no-progress"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("recordings  1 source")
