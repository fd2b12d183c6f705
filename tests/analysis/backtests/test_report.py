"""Reports in a cell and in a file (the page itself: tests/exports); strategies that never return are named."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from replaylab import analysis as a
from replaylab.analysis.batches.fingerprint import source_of
from replaylab.errors import StrategyError
from tests.analysis.made import Once, drawn, made, whole

RULES = a.Rules(balance=10, min_bet="0.001", max_bet=1)


def test_a_report_shows_itself_in_a_cell_and_is_written_whole(tmp_path: Path) -> None:
    """A cell gets a frame with the shorter page; the file is the page and nothing lies beside it."""
    found = a.backtest(drawn(30), Once(target=1.25), rules=RULES, progress=False)
    report = found.report(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == report.html
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    shown = report._repr_html_()
    assert "srcdoc" in shown
    assert len(shown) < len(report.html)


def endless(tape: a.Tape, account: Any) -> None:
    """Never return from tick 3."""
    del account
    while tape.now == 3:
        pass


def asleep(tape: a.Tape, account: Any) -> None:
    """Wait for ever at tick 3."""
    del account
    if tape.now == 3:
        time.sleep(10_000)


@pytest.mark.parametrize("strategy", [endless, asleep])
def test_a_strategy_that_never_returns_is_named(strategy: Any) -> None:
    """With the game, the tick and the limit; no thread is left behind."""
    with pytest.raises(StrategyError, match=r"g0.*tick 3.*did not return within 0.3 s"):
        a.backtest(made([whole(9)]), strategy, max_seconds=0.3, progress=False)
    assert "replaylab-patience" not in [thread.name for thread in threading.enumerate()]


def test_a_strategy_that_never_returns_is_named_in_a_thread() -> None:
    """Also where no signal reaches it."""
    errors: list[str] = []

    def run() -> None:
        try:
            a.backtest(made([whole(9)]), endless, max_seconds=0.3, progress=False)
        except StrategyError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert len(errors) == 1
    assert "did not return" in errors[0]


def test_a_slow_strategy_is_not_ended() -> None:
    """As long as every tick returns in time the whole may take as long as it likes."""
    ticks = 0

    def slow(tape: a.Tape, account: Any) -> None:
        nonlocal ticks
        del tape, account
        ticks += 1
        time.sleep(0.05)

    a.backtest(made([whole(40)]), slow, max_seconds=1.5, progress=False)
    assert ticks == 40


CHANGED = {
    "cut off in a call": "rows = [\n    strategy(\n",
    "a string that is not closed": 'text = """\nonce upon a time\n',
    "fewer lines": "",
    "brackets that do not match": "one\n  two)\nthree\n",
}


@pytest.mark.parametrize("after", CHANGED.values(), ids=CHANGED)
def test_code_whose_file_was_edited_since_is_backtested(tmp_path: Path, after: str) -> None:
    """A notebook goes on while its module is half written: the report then lacks the source, and nothing else."""
    path = tmp_path / "strategy.py"
    text = "\ndef strategy(tape, account):\n    return None\n"
    names: dict[str, Any] = {}
    exec(compile(text, str(path), "exec"), names)
    path.write_text("\n" + after, encoding="utf-8")
    found = a.backtest(made([whole(9)]), names["strategy"], rules=RULES, progress=False)
    assert "strategy" in found.report().html
    assert isinstance(source_of(names["strategy"]), str)
