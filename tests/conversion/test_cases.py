"""Cases of other people's files, each with its right outcome; small inputs of the same kinds are tested elsewhere.

The files are not part of this repository. Where they are not beside it the test passes, and says so.
"""

from __future__ import annotations

import shutil
import warnings
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from replaylab.cli.main import app
from replaylab.conversion.inspect import inspect
from replaylab.storage.open import open_store
from tests.stores import ROOT, quiet

CASES = ROOT.parent / "shared" / "cases"
pytestmark = pytest.mark.filterwarnings("default::UserWarning")


class _Absent(UserWarning):
    """Said in the summary of the run, where every warning is."""


def case(number: str) -> Path | None:
    """Return the file of a case; None, said aloud, where there is none."""
    found = sorted(CASES.glob(f"{number}_*"))
    if not found:
        warnings.warn_explicit(_Absent(f"no cases beside the repository: {number}"), None, "", 0)
        return None
    return found[0]


def converted(path: Path, store: Path, *options: str, code: int = 0) -> tuple[int, str]:
    """Convert on the command line; return the ticks stored and all that was said."""
    result = CliRunner().invoke(app, ["convert", str(path), "--to", str(store), *options])
    assert result.exit_code == code, result.output
    rows = open_store(store).rows if (store / "segments").is_dir() else 0
    return rows, " ".join(f"{result.stdout} {result.stderr}".split())


OUTCOMES: dict[str, tuple[list[str], int, int, str]] = {  # options, exit code, rows, what is said
    "02": ([], 0, 4, "type='Tick': the line has the fields of a tick"),
    "03": ([], 1, 0, "6 of 6 lines are no tick of a known form (by type: match 6)"),
    "04": ([], 0, 6, "1 gzip"),
    "05": ([], 0, 6, "1 JSON array"),
    "06": (["--time-unit", "ms"], 0, 6, "6 stored"),
    "07": (["--map", "vectra"], 0, 6, "6 stored"),
    "08": ([], 0, 6, "1 indented JSON"),
    "09": (["--truncate-times"], 0, 6, "6 times cut to microseconds"),
    "10": ([], 0, 6, "6 seen = 6 stored + 0 known + 0 quarantined"),
    "11": ([], 1, 0, "an HTML page"),
    "12": ([], 0, 6, "6 stored"),
    "13": (["--map", "games"], 0, 7, "7 stored"),
}
REFUSED: dict[str, tuple[int, str]] = {  # without the option: ticks seen, what is said
    "06": (6, "timestamp=1925089445000: looks like epoch milliseconds: --time-unit ms"),
    "07": (6, "ts=1925089445000: looks like epoch milliseconds: --time-unit ms"),
    "09": (6, "convert with --truncate-times"),
    "13": (0, "keys batchId, games"),
}


@pytest.mark.parametrize("number", OUTCOMES)
def test_each_case_has_its_outcome(tmp_path: Path, number: str) -> None:
    """Read exactly, or named for what it is, with the exit code that says so."""
    path = case(number)
    if path is None:
        return
    options, code, rows, said = OUTCOMES[number]
    stored, text = converted(path, tmp_path / "store", *options, code=code)
    assert stored == rows
    assert said in text
    if number == "11":
        assert not (tmp_path / "store").exists()
    else:
        assert len(list((tmp_path / "store" / "segments").iterdir())) == 1


@pytest.mark.parametrize("number", REFUSED)
def test_what_was_not_declared_is_not_guessed(tmp_path: Path, number: str) -> None:
    """Without a mapping or a unit nothing is stored, the ticks seen are right, and the hint says how to ask."""
    path = case(number)
    if path is None:
        return
    seen, said = REFUSED[number]
    stored, text = converted(path, tmp_path / "store", code=1)
    assert stored == 0
    assert f"{seen} seen = 0 stored" in text
    assert said in text


def test_a_grown_recording_is_that_of_one_conversion(tmp_path: Path) -> None:
    """Case 01: half a line, then all of it, under one name."""
    part, whole = CASES / "01_grown_part.jsonl", CASES / "01_grown_whole.jsonl"
    if case("01") is None:
        return
    for given in (part, whole):
        shutil.copy(given, tmp_path / "a.jsonl")
        quiet(tmp_path / "a.jsonl", tmp_path / "store")
    quiet(tmp_path / "a.jsonl", tmp_path / "once")
    grown, once = open_store(tmp_path / "store"), open_store(tmp_path / "once")
    assert grown.verify().rows_digest == once.verify().rows_digest
    assert grown.rows == 6
    assert grown.quarantine().empty


def test_strict_stops_at_a_tick_of_another_type(tmp_path: Path) -> None:
    """Case 02 with `--strict`: line 3, with field and value."""
    path = case("02")
    if path is not None:
        _, text = converted(path, tmp_path / "store", "--strict", code=1)
        assert "line 3, byte 452: unknown_type (type='Tick'" in text


def test_the_games_of_a_document(tmp_path: Path) -> None:
    """Case 13: two games, prices exact, rugged at 4 and 1, times from start and step."""
    path = case("13")
    if path is None:
        return
    quiet(path, tmp_path / "store", mapping="games")
    store = open_store(tmp_path / "store")
    found: list[dict[str, Any]] = store.games_table().to_pylist()
    assert [(one["rug_tick"], one["complete"]) for one in found] == [(4, True), (1, True)]
    prices = [Decimal(text) for text in ("1", "1.0125", "0.98765432101234567", "1.25", "0.0056", "1", "0.02")]
    assert [price for game in store for price in game.ticks().column("price").to_pylist()] == prices
    assert str(found[0]["end"]).startswith("2031-01-02 03:04:06.250000")


@pytest.mark.parametrize("number", ["01", *OUTCOMES])
def test_inspect_says_how_each_is_read(number: str) -> None:
    """The command that `inspect` gives is the one that reads the file; what none reads has no ticks."""
    path = case(number)
    if path is None:
        return
    found = inspect(path)
    assert (found.ticks > 0) == (number not in {"03", "11"})
    options, _, _, _ = OUTCOMES.get(number, ([], 0, 0, ""))
    if found.ticks:
        expected = ["--time-unit", "ms"] if number == "07" else options  # what `vectra` is
        assert found.advice.partition("--to STORE")[2].split() == expected
