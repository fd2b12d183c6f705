"""CSV for spreadsheets: texts that would be run as formulas are guarded when asked, and numbers are left alone."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from replaylab.errors import SettingsError
from replaylab.exports.export import export
from tests.stores import line, quiet, run_child

FORMULAS = ["=1+1", "+1", "-1", "@x", "\tx", "plain", "a=b"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store whose games are called like formulas."""
    lines = [line(game, number, "1.5", cooldown_timer=-5) for number, game in enumerate(FORMULAS)]
    (tmp_path / "=a.jsonl").write_bytes(b"".join(lines))
    quiet(tmp_path / "=a.jsonl", tmp_path / "store")
    return tmp_path / "store"


def cells(path: Path) -> list[dict[str, str]]:
    """Give the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_texts_are_as_stored_unless_asked(store: Path, tmp_path: Path) -> None:
    """Without the option every text is exact; with it those that begin a formula have a quote before them."""
    export(store, tmp_path / "plain.csv")
    assert [row["game_id"] for row in cells(tmp_path / "plain.csv")] == FORMULAS
    export(store, tmp_path / "guarded.csv", guard_formulas=True)
    rows = cells(tmp_path / "guarded.csv")
    assert [row["game_id"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "plain", "a=b"]
    assert {row["source"] for row in rows} == {"'=a.jsonl"}
    assert {row["cooldown_timer"] for row in rows} == {"-5"}


def test_the_command_has_it(store: Path, tmp_path: Path) -> None:
    """`export --guard-formulas` guards a CSV file; for another format it is refused."""
    command = "from replaylab.cli.main import main; main()"
    done = run_child(command, "export", store, "--to", tmp_path / "x.csv", "--guard-formulas")
    assert done.returncode == 0, done.stderr
    assert cells(tmp_path / "x.csv")[0]["game_id"] == "'=1+1"
    with pytest.raises(SettingsError, match="only CSV files"):
        export(store, tmp_path / "x.parquet", guard_formulas=True)
    assert run_child(command, "export", store, "--to", tmp_path / "x.jsonl", "--guard-formulas").returncode == 2
