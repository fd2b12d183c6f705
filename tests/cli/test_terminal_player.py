"""Playing in a terminal: one line a tick where nobody watches, a live line with keys where somebody does."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from replaylab.cli.main import app
from replaylab.cli.terminal_player import Watch, keyboard, print_ticks, row_at, speed_of, tick_line
from replaylab.clock import FASTEST
from replaylab.errors import SettingsError, SpeedError
from replaylab.storage.store import Store
from replaylab.table import PRICE_TYPE, TIME_TYPE
from replaylab.tick import price_text
from tests.cli.test_cli import SHELL, told
from tests.playing import FakeTime, game
from tests.stores import quiet, simulated

RUG = game(12, rug=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of one game; reading does not change it."""
    folder = tmp_path_factory.mktemp("terminal")
    quiet(simulated(folder / "recordings", games=1, seed=5), folder / "store")
    return Store(folder / "store")


@pytest.fixture
def shown() -> io.StringIO:
    """What is printed."""
    return io.StringIO()


def lines(said: str) -> list[str]:
    """What stands on a terminal at the end, line by line: a carriage return begins a line anew."""
    ended = re.sub(r"\x1b\[[?\d]*[hlKA]", "", said).replace("\r\n", "\n").split("\n")
    return [line.rsplit("\r", 1)[-1].rstrip() for line in ended]


def test_piped_is_one_line_a_tick(store: Store) -> None:
    """Where nobody watches, each tick is one line with number, exact price and phase, in order."""
    rows = store.game(store.game_ids()[0]).ticks().to_pylist()
    result = CliRunner().invoke(app, ["play", str(store.path), store.game_ids()[0], "--speed", "max"])
    assert result.exit_code == 0
    said = result.stdout.splitlines()
    assert len(said) == len(rows)
    for line, row in zip(said, rows, strict=True):
        price = "no price" if row["price"] is None else price_text(row["price"])
        assert line.startswith(f"tick {row['tick']:,}  {price}  ")
    assert said[0].endswith("COOLDOWN")
    assert any(line.endswith("RUGGED") for line in said)


def test_it_begins_where_it_is_told_to(store: Store) -> None:
    """`--from` is a tick number or a time; that tick is the first that shows, also when it is the first of all."""
    name = store.game_ids()[0]
    rows = store.game(name).ticks().to_pylist()
    place = next(at for at, row in enumerate(rows) if row["tick"] == 20 and row["active"])
    moment = rows[place]["timestamp"].isoformat()
    for words in (["20"], [moment]):
        found = told("play", store.path, name, "--speed", "max", "--from", *words)
        assert (found["from"], found["shown"]) == (place, len(rows) - place)
    whole = told("play", store.path, name, "--speed", "max", "--from", rows[0]["timestamp"].isoformat())
    assert whole["shown"] + whole["from"] == len(rows)
    assert told("play", store.path, name, "--speed", "max")["shown"] == len(rows)


def test_ticks_come_at_their_time(shown: io.StringIO) -> None:
    """Lines come when their ticks are due, at the speed asked for."""
    clock = FakeTime()
    engine = clock.engine(game(9), speed=2.0)
    assert print_ticks(engine, out=shown) == 9
    assert sum(clock.waits) == pytest.approx(8 * 0.25 / 2)


def test_reader_that_leaves_ends_it() -> None:
    """A reader that goes away is an error at once, not at the end of the game; the engine stands still."""

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            if "tick 3 " in text:
                raise BrokenPipeError(32, "Broken pipe")
            return super().write(text)

    engine = FakeTime().engine(game(100))
    with pytest.raises(BrokenPipeError):
        print_ticks(engine, out=Gone())
    assert not engine.playing
    assert engine.index == 3


def test_places_and_speeds_that_are_none() -> None:
    """A place that the game does not have says which it has; a speed that is none says which there are."""
    engine = FakeTime().engine(game(9))
    assert row_at(engine, "5") == 5
    assert row_at(engine, "2031-01-02T03:04:06") == 4
    for place in ("9", "-1", "2001-01-01"):
        with pytest.raises(SettingsError, match=r"ticks are 0 to 8, its times 2031-01-02T03:04:05 to"):
            row_at(engine, place)
    with pytest.raises(SettingsError, match="--from='soon'"):
        row_at(engine, "soon")
    with pytest.raises(SettingsError, match="no stored game"):
        row_at(FakeTime().engine(), "5")
    assert (speed_of("0.5"), speed_of("max")) == (0.5, FASTEST)
    for text in ("0", "-1", "nan", "101", "quick"):
        with pytest.raises(SpeedError):
            speed_of(text)


def test_price_that_is_not_there() -> None:
    """A tick without a price says so: no number is made up."""
    row = {"tick": [0], "timestamp": pa.array([0], TIME_TYPE), "price": pa.array([None], PRICE_TYPE)}
    engine = FakeTime().engine(pa.table(row))
    assert engine.current is not None
    assert tick_line(engine.current).startswith("tick 0  no price  ")


def keys(*pressed: str | None) -> Callable[[float], str | None]:
    """A keyboard on which these keys are pressed, one a frame; the clock of the engine moves on meanwhile."""
    waiting: Iterator[str | None] = iter(pressed)

    def key(seconds: float) -> str | None:
        time.sleep(seconds / 50)
        return next(waiting, "quit")

    return key


def test_watched_line_shows_where_it_is(shown: io.StringIO) -> None:
    """Played to its end, the line stands at the last tick; the rug stands above it for good."""
    engine = FakeTime().engine(RUG, speed=FASTEST)
    assert Watch(engine, shown, 100).run(keys(*[None] * 100_000)) == 12
    seen = lines(shown.getvalue())
    assert seen[1] == f"rug: {tick_line(engine.current)}" if engine.current else False
    assert re.fullmatch(r">  tick 11  0\.01  RUGGED  max  100% \[=+\]", seen[2])
    assert len(seen[2]) < 100


def test_keys_of_the_watched_line(shown: io.StringIO) -> None:
    """Space pauses, arrows step, plus and minus change the speed within its bounds, q ends; nothing plays on."""
    engine = FakeTime().engine(game(2_000), speed=1.0)
    pressed = ["pause", "on", "on", "back", "faster", "faster", "slower", *["slower"] * 9, *["faster"] * 12]
    engine.set_loop(0, 1_000)
    Watch(engine, shown, 60).run(keys(*pressed))
    assert engine.speed == 100.0
    assert not engine.playing
    assert "||" in lines(shown.getvalue())[-2]
    assert "0.1x" in shown.getvalue()
    assert max(map(len, lines(shown.getvalue())[1:])) < 60


def test_what_is_no_terminal_has_no_keys() -> None:
    """Without a keyboard nobody presses anything, and waiting for a key takes its time."""
    with keyboard(io.StringIO()) as key:
        begin = time.monotonic()
        assert key(0.02) is None
        assert time.monotonic() - begin >= 0.02


def run_in_terminal(store: Store, *words: str, press: bytes) -> tuple[int, str, bool]:
    """Run `play` in a terminal of its own and press something once it plays; its end, what showed, tidy or not."""
    main, side = pty.openpty()
    before = termios.tcgetattr(side)
    command = [*SHELL, "play", str(store.path), store.game_ids()[0], *words]
    process = subprocess.Popen(["setsid", "--ctty", "--wait", *command], stdin=side, stdout=side, stderr=side)
    said = b""
    pressed = False
    while process.poll() is None or select.select([main], [], [], 0)[0]:
        if select.select([main], [], [], 0.05)[0]:
            said += os.read(main, 65536)
        if not pressed and said.count(b"\x1b[2K>") > 3:
            pressed = True
            os.write(main, press)
    tidy = termios.tcgetattr(side) == before
    os.close(main)
    os.close(side)
    return process.returncode, said.decode(), tidy


def test_q_ends_it_and_the_terminal_is_as_before(store: Store) -> None:
    """In a real terminal q ends the play with 0, and the terminal echoes again as it did before."""
    code, said, tidy = run_in_terminal(store, "--nominal", press=b"q")
    assert (code, tidy) == (0, True)
    assert "q ends, space pauses" in said
    assert re.search(r"\r\x1b\[2K>  tick \d+  ", said)
    assert "Traceback" not in said


def test_interrupt_ends_it(store: Store) -> None:
    """Ctrl-C ends it with 130, as every command: in a terminal, which is as it was before, and in a pipe."""
    code, said, tidy = run_in_terminal(store, "--nominal", press=b"\x03")
    assert (code, tidy) == (130, True)
    assert said.endswith("replaylab: interrupted\r\n")
    command = [*SHELL, "play", str(store.path), store.game_ids()[0], "--nominal"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("tick ")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=240)
    assert (process.returncode, said) == (130, "replaylab: interrupted\n")
