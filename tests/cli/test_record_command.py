"""`replaylab record` and `replaylab recover`: any program can pipe into a store, and nothing that was told is lost."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab.cli.record_status import PRINTED_REFUSALS, Monitor
from replaylab.parsing.line_reader import LineReader
from replaylab.recording.event import RecorderEvent, RecorderEventKind
from replaylab.recording.pipe import Counts, Pipe
from replaylab.recording.receipt import Receipt
from replaylab.recording.recorder import Recorder
from replaylab.recording.refusals import Refusals
from replaylab.simulation.simulate import simulate
from replaylab.tick import Tick
from tests.recordings import GAME, journals, stored, tick, ticks

COMMAND = [str(Path(sys.executable).parent / "replaylab")]
BAD = {  # a line that is no tick: the reason told
    b"{oops": "not_json",
    b"[1, 2]": "not_object",
    b'"text"': "not_object",
    b"{}": "unknown_object",
    tick(1).to_line().replace(b'"tick", "timestamp"', b'"Tick", "timestamp"'): "unknown_type",
    b"\xff\xfe": "not_utf8",
    tick(1).to_line().replace(b'"price": 1', b'"price": NaN, "x": 1'): "not_finite",
    tick(1).to_line().replace(b'"tick": 1', b'"tick": -1'): "out_of_range",
    tick(1).to_line().replace(b'"tick": 1,', b""): "missing_field",
    tick(1).to_line().replace(b'"game_id": "', b'"game_id": "\\ud800'): "lone_surrogate",
    tick(1).to_line()[:-1] + b', "tick": 1}': "duplicate_key",
    tick(1).to_line()[:-1] + b', "more": "' + b"x" * 1_048_576 + b'"}': "tick_too_large",
    b'{"meta": {"game_id": "g"}, "prices": [1, 2, 3]}': "document",
    b'{"event": "gameStateUpdate", "data": {"gameId": "g"}, "ts": "2031-01-02T03:04:05Z"}': "no_price",
}


def lines_of(given: list[Tick]) -> bytes:
    """The ticks as a program would write them."""
    return b"".join(one.to_line() + b"\n" for one in given)


def record(store: Path, data: bytes, *options: object, code: int = 0) -> tuple[dict[str, Any], str]:
    """Pipe bytes into the command; give its JSON report and what it said on standard error."""
    command = [*COMMAND, "record", str(store), "--json", *map(str, options)]
    done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=240)
    assert done.returncode == code, done.stderr.decode()
    report = json.loads(done.stdout)
    others = report["control"] + report["annotation"] + report["blank"] + sum(report["refused"].values())
    assert report["lines"] == report["accepted"] + others
    assert report["bytes"] == len(data)
    assert report["ticks"] == report["accepted"]
    return report, done.stderr.decode()


@contextmanager
def recording(store: Path, *options: object, **wishes: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A command that records what is written to its standard input; ended with the block."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | wishes
    child = subprocess.Popen([*COMMAND, "record", str(store), *map(str, options)], **pipes)
    try:
        yield child
    finally:
        child.kill()
        child.wait(timeout=240)
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None and not pipe.closed:
                pipe.close()


def say(child: subprocess.Popen[bytes], data: bytes) -> None:
    """Write to the child."""
    assert child.stdin is not None
    child.stdin.write(data)
    child.stdin.flush()


def hear(child: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next receipt."""
    assert child.stdout is not None
    told: dict[str, Any] = json.loads(child.stdout.readline())
    return told


def test_what_is_piped_comes_back(tmp_path: Path) -> None:
    """Ticks of several games come back as they were, in one clean run; control lines, comments and blanks are none."""
    given = ticks(250) + ticks(30, "other")
    data = b'\xef\xbb\xbf{"type": "game_start", "game_id": "g"}\r\n# a comment\n\n' + lines_of(given)
    report, said = record(tmp_path / "store", data)
    assert stored(tmp_path / "store") == given
    assert (report["control"], report["annotation"], report["blank"], report["refused"]) == (1, 1, 1, {})
    assert report["durable"]
    assert report["refused_path"] is None
    assert [one.state for one in rl.Store(tmp_path / "store").recordings()] == ["clean"]
    assert not journals(tmp_path / "store")
    assert [line.split()[2].rstrip(":") for line in said.splitlines()] == ["started", "sealed", "stopped"]


@pytest.mark.parametrize("dialect", ["recording", "sink"])
def test_dialects_are_read_as_convert_reads_them(tmp_path: Path, dialect: str) -> None:
    """Both recorders' lines become the ticks that `convert` finds in them, times in the zone that was named."""
    paths = simulate(tmp_path / "recordings", 3, 1, [], dialect)
    rl.convert(tmp_path / "recordings", tmp_path / "converted", source_tz="America/New_York", progress=False)
    data = b"".join(path.read_bytes() for path in paths)
    report, _ = record(tmp_path / "store", data, "--source-tz", "America/New_York")
    assert report["refused"] == {}
    columns = ["game_id", "tick", "timestamp", "price", "active", "rugged", "cooldown_timer", "trade_count"]
    both = [rl.Store(tmp_path / name) for name in ("converted", "store")]
    for game in both[0].game_ids():
        one, other = (store[game].ticks().select(columns).to_pylist() for store in both)
        for row, found in zip(one, other, strict=True):  # a price that was filled in is told as the line has it
            assert found == row | {"price": Decimal(1) if row["price"] is None else row["price"]}


@pytest.mark.parametrize("text", ["0.12345678901234567890", "1.10", "1", "12345678901234.123456789", "0.000", "1E-18"])
def test_prices_never_pass_through_a_float(tmp_path: Path, text: str) -> None:
    """The price of a line, number or text, is stored with all its digits."""
    line = b'{"game_id":"g","tick":1,"timestamp":"2031-01-02T03:04:05","price":%s,"active":true,"rugged":false}\n'
    record(tmp_path, line % text.encode() + line % f'"{text}"'.encode())
    assert [one.price for one in stored(tmp_path)] == [Decimal(text)] * 2


@pytest.mark.parametrize("bad", BAD, ids=BAD.values())
def test_a_bad_line_costs_itself_alone(tmp_path: Path, bad: bytes) -> None:
    """It is refused, counted, told with its place and reason, and kept byte for byte; the ticks around it are there."""
    given = ticks(7)
    before = lines_of(given[:3])
    report, said = record(tmp_path, before + bad + b"\n" + lines_of(given[3:]), code=1)
    assert stored(tmp_path) == given
    assert report["refused"] == {BAD[bad]: 1}
    assert f"line 4 (byte {len(before)}): refused, {BAD[bad]}" in said
    assert said.endswith("1 line refused\n")
    kept = json.loads(Path(report["refused_path"]).read_text(encoding="utf-8"))
    assert (kept["line"], kept["start"], kept["reason"]) == (4, len(before), BAD[bad])
    assert kept.get("raw", "").encode() == bad or kept["raw_base64"] == "//4="


@pytest.mark.parametrize("cut", [0, 1, 60])
def test_a_last_line_without_newline(tmp_path: Path, cut: int) -> None:
    """A last line that is whole is a tick; one that was cut off is refused and kept."""
    given = ticks(3)
    data = lines_of(given)[: -1 - cut]
    report, _ = record(tmp_path, data, code=1 if cut else 0)
    assert stored(tmp_path) == given[: 2 if cut else 3]
    assert report["refused"] == ({"not_json": 1} if cut else {})


def test_no_standard_input_is_told(tmp_path: Path) -> None:
    """Where standard input is closed there is one line and a code of 2, no store, and `--from` still works."""
    command = ["sh", "-c", 'exec "$0" "$@" <&-', *COMMAND, "record", str(tmp_path / "none")]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 2
    assert (
        done.stderr.decode() == "replaylab: standard input is closed; pipe ticks into it, or name a file with --from\n"
    )
    assert not (tmp_path / "none").exists()
    assert subprocess.run([*command, "--from", os.devnull], capture_output=True, check=False).returncode == 0


def test_a_file_and_a_pipe_are_read(tmp_path: Path) -> None:
    """`--from` reads a file; what cannot be read makes no store."""
    (tmp_path / "ticks.jsonl").write_bytes(lines_of(ticks(5)))
    record(tmp_path / "store", b"", "--from", os.devnull)
    done = subprocess.run(
        [*COMMAND, "record", tmp_path / "store", "--from", tmp_path / "ticks.jsonl"], capture_output=True, check=True
    )
    assert b"5 ticks" in done.stdout
    assert len(stored(tmp_path / "store")) == 5
    for source, reason in (tmp_path / "no file", b"no such file"), (tmp_path, b"a folder"):
        done = subprocess.run(
            [*COMMAND, "record", tmp_path / "none", "--from", source], capture_output=True, check=False
        )
        assert done.returncode == 2
        assert done.stderr.startswith(b"replaylab: ")
        assert reason in done.stderr
        assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "options",
    [("--buffer", 7), ("--buffer", 1_001), ("--seconds", 0), ("--durability", "always"), ("--overflow", "drop")],
)
def test_settings_out_of_bounds_are_refused(tmp_path: Path, options: tuple[object, ...]) -> None:
    """An option out of its bounds ends the command before it makes anything, and names the value."""
    done = subprocess.run(
        [*COMMAND, "record", tmp_path / "store", *map(str, options)], input=b"", capture_output=True, check=False
    )
    assert done.returncode == 2
    assert str(options[1]) in done.stderr.decode()
    assert not (tmp_path / "store").exists()


def test_settings_are_used_and_shown(tmp_path: Path) -> None:
    """The bound asked for is in force, in the report and in `info`, for people and for programs."""
    report, _ = record(tmp_path, lines_of(ticks(3)), "--buffer", 20, "--seconds", 2.5)
    assert report["durability"] == {"mode": "group", "ticks": 20, "seconds": 2.5}
    record(tmp_path, lines_of(ticks(3)), "--durability", "tick")
    shown = subprocess.run([*COMMAND, "info", tmp_path], capture_output=True, text=True, check=True).stdout
    assert "2 runs, 6 ticks" in shown
    assert "synced after 20 ticks or 2.5 s" in shown
    assert "synced before each tick is acknowledged" in shown
    told = json.loads(subprocess.run([*COMMAND, "info", tmp_path, "--json"], capture_output=True, check=True).stdout)
    assert [one["state"] for one in told["recordings"]] == ["clean", "clean"]
    assert [one["durability"]["mode"] for one in told["recordings"]] == ["group", "tick"]


def test_receipts_are_given_at_once(tmp_path: Path) -> None:
    """A slow writer hears of each tick without sending another, and of the sync when it has happened."""
    with recording(tmp_path, "--ack", "--seconds", 0.2) as child:
        for number, one in enumerate(ticks(3)):
            say(child, lines_of([one]))
            told = hear(child)
            while told["seq"] < number:  # a receipt of a sync may come between
                told = hear(child)
            assert (told["lines"], told["accepted"], told["refused"]) == (number + 1, number + 1, 0)
            assert len(stored(rl.Store(tmp_path))) == number + 1
        while told["durable_seq"] < 2:
            told = hear(child)
        out, _ = child.communicate(timeout=240)
    assert child.returncode == 0
    assert out == b""


def test_whoever_waits_for_receipts_may_leave(tmp_path: Path) -> None:
    """Receipts that nobody reads do not end the recording."""
    with recording(tmp_path, "--ack") as child:
        say(child, lines_of(ticks(1)))
        hear(child)
        assert child.stdout is not None
        child.stdout.close()
        say(child, lines_of(ticks(9)))
        assert child.stdin is not None
        child.stdin.close()
        child.wait(timeout=240)
        assert child.stderr is not None
        assert b"receipts are no longer read" in child.stderr.read()
    assert child.returncode == 0
    assert len(stored(tmp_path)) == 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_in_order(tmp_path: Path, number: signal.Signals) -> None:
    """Everything acknowledged is in a segment, the run is clean, the report is complete, and the code says why."""
    with recording(tmp_path, "--ack", "--json") as child:
        say(child, lines_of(ticks(30)) + b'{"tick": 3')
        while hear(child)["accepted"] < 30:
            pass
        child.send_signal(number)
        out, said = child.communicate(timeout=240)
    assert child.returncode == 130
    assert f"interrupted by {number.name}".encode() in said
    report = json.loads(out.splitlines()[-1])["report"]
    assert report["interrupted"]
    assert report["refused"] == {"not_json": 1}
    assert stored(tmp_path) == ticks(30)
    assert [one.state for one in rl.Store(tmp_path).recordings()] == ["clean"]


def test_sigkill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """After SIGKILL `verify` names the journal and finds no fault, `recover` seals it, and again changes nothing."""
    with recording(tmp_path, "--ack", "--durability", "none") as child:
        say(child, lines_of(ticks(57)))
        while hear(child)["accepted"] < 57:
            pass
        child.kill()
        child.wait(timeout=240)
    before = sorted(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    done = subprocess.run([*COMMAND, "verify", tmp_path, "--json"], capture_output=True, check=True)
    found = json.loads(done.stdout)
    assert [one["ticks"] for one in found["unsealed"]] == [57]
    assert found["ok"]
    shown = subprocess.run([*COMMAND, "verify", tmp_path], capture_output=True, text=True, check=True).stdout
    assert "1 journal, 57 ticks" in shown
    assert sorted(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()) == before
    told = json.loads(subprocess.run([*COMMAND, "recover", tmp_path, "--json"], capture_output=True, check=True).stdout)
    assert [(one["state"], one["ticks"]) for one in told["journals"]] == [("recovered", 57)]
    again = json.loads(
        subprocess.run([*COMMAND, "recover", tmp_path, "--json"], capture_output=True, check=True).stdout
    )
    assert again["journals"] == []
    assert again["ok"]
    assert stored(tmp_path) == ticks(57)


def test_recover_leaves_a_live_recorder_alone(tmp_path: Path) -> None:
    """The journal of a recorder stays as it is, is named, and is no problem; `info` shows it as open."""
    with rl.Recorder(tmp_path) as recorder:
        recorder.record_many(ticks(5))
        done = subprocess.run([*COMMAND, "recover", tmp_path], capture_output=True, text=True, check=True)
        assert f"{recorder.run}-000000.journal" in done.stdout
        assert "another process has it open" in done.stdout
        shown = subprocess.run([*COMMAND, "info", tmp_path], capture_output=True, text=True, check=True).stdout
        assert "open, 5 ticks, 1 journal not yet sealed" in shown
        recorder.record_many(ticks(5))
    assert len(stored(tmp_path)) == 10


@pytest.mark.parametrize("command", ["recover", "verify"])
def test_no_store_cannot_run(tmp_path: Path, command: str) -> None:
    """A path that holds no store is told in one line, with 2."""
    done = subprocess.run([*COMMAND, command, tmp_path / "none"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_verify_finds_damage_in_an_unsealed_journal(tmp_path: Path) -> None:
    """A flipped bit in a journal is damage before it is sealed; `recover` sets the line aside and says so."""
    with recording(tmp_path, "--ack") as child:
        say(child, lines_of(ticks(9)))
        while hear(child)["accepted"] < 9:
            pass
        child.kill()
        child.wait(timeout=240)
    path = next(one for one in journals(tmp_path) if one.stat().st_size)
    path.write_bytes(path.read_bytes().replace(b'"tick": 4', b'"tick": 5', 1))
    done = subprocess.run([*COMMAND, "verify", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "checksum_mismatch" in done.stderr
    told = json.loads(subprocess.run([*COMMAND, "recover", tmp_path, "--json"], capture_output=True, check=True).stdout)
    assert [(one["state"], one["ticks"]) for one in told["journals"]] == [("quarantined", 8)]
    assert subprocess.run([*COMMAND, "verify", tmp_path], capture_output=True, check=False).returncode == 0


def test_a_terminal_shows_a_live_line(tmp_path: Path) -> None:
    """On a terminal one line follows the recording: state, accepted, durable, refused, rate, room, game."""
    leader, follower = pty.openpty()
    with recording(tmp_path, "--ack", stderr=follower, env=os.environ | {"COLUMNS": "200"}) as child:
        os.close(follower)
        seen = b""
        deadline = time.monotonic() + 240
        say(child, lines_of(ticks(3)))
        while b"3 accepted" not in seen and time.monotonic() < deadline:
            seen += os.read(leader, 4096)
        child.communicate(timeout=240)
    os.close(leader)
    line = seen.decode().rpartition("\x1b[2K")[2]
    assert "recording | 3 accepted | " in line
    assert [word in line for word in ("durable", "0 refused", "ticks/s", "GB free", GAME)] == [True] * 5


def test_writes_that_fail_cost_nothing(tmp_path: Path) -> None:
    """Where no file may grow beyond 300 KiB every tick is recorded all the same, once, and that is told."""
    given = ticks(2_500)
    limited = ["bash", "-c", 'ulimit -f 300; exec "$@"', "bash", *COMMAND, "record", str(tmp_path), "--json"]
    done = subprocess.run(limited, input=lines_of(given), capture_output=True, check=True, timeout=240)
    report = json.loads(done.stdout)
    assert report["accepted"] == len(given)
    assert report["refused"] == {}
    assert report["errors"] > 0
    assert b"retried" in done.stderr
    assert stored(tmp_path) == given


def test_many_refusals_are_told_once_more() -> None:
    """After a hundred of one reason one line says that there are more; a stream that is gone is no error."""
    out = io.StringIO()
    monitor = Monitor(out)
    for number in range(PRINTED_REFUSALS + 50):
        monitor.refused(number, number, 0, "not_json")
    assert out.getvalue().count("\n") == PRINTED_REFUSALS + 1
    out.close()
    monitor.happened(RecorderEvent(RecorderEventKind.PAUSED, datetime(2031, 1, 2, tzinfo=UTC), {"reason": "disk_full"}))


def test_the_start_is_told_in_words() -> None:
    """The line on the start of a recording says the mode of its durability, and when it syncs."""
    out = io.StringIO()
    for durability in ({"mode": "group", "ticks": 100, "seconds": 10.0}, {"mode": "tick"}):
        event = RecorderEvent(RecorderEventKind.STARTED, datetime(2031, 1, 2, tzinfo=UTC), {"durability": durability})
        Monitor(out).happened(event)
    assert out.getvalue().splitlines() == [
        "replaylab: 00:00:00 started: durability group (100 ticks, 10 seconds)",
        "replaylab: 00:00:00 started: durability tick",
    ]


class Moody:
    """A recorder that refuses as often as it is told to, then takes everything."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)
        self.taken: list[Tick] = []

    def record_many(self, given: list[Tick]) -> Receipt:
        """Take all or nothing."""
        if self.reasons:
            return Receipt(0, -1, -1, self.reasons.pop(0), len(given))
        self.taken += given
        return Receipt(len(given), len(self.taken) - 1, -1)


def taken(recorder: Moody, folder: Path, *, waits: bool) -> tuple[Pipe, list[tuple[int, int, int, str, str]]]:
    """An intake to which ten ticks were given, and what it told of refused ones."""
    told: list[tuple[int, int, int, str, str]] = []
    intake = Pipe(
        recorder, LineReader(), Refusals(folder, "run"), lambda *one: told.append(one), lambda _seconds: waits
    )
    intake.feed(lines_of(ticks(10)))
    return intake, told


@pytest.mark.parametrize("reason", ["overflow", "disk_full", "write_failed"])
def test_ticks_wait_for_room(tmp_path: Path, reason: str) -> None:
    """Ticks refused for want of room are offered again until they are taken, each once, in order."""
    recorder = Moody(*[reason] * 5)
    intake, told = taken(recorder, tmp_path, waits=True)
    assert recorder.taken == ticks(10)
    assert (intake.counts.accepted, intake.counts.refused, told) == (10, {}, [])


def test_ticks_that_may_not_wait_are_counted(tmp_path: Path) -> None:
    """With `refuse`, or when nobody wants to wait any more, they are refused, with their lines and the reason."""
    recorder = Moody("disk_full")
    intake, told = taken(recorder, tmp_path, waits=False)
    assert recorder.taken == []
    assert intake.counts.refused == {"disk_full": 10}
    assert told == [(1, 10, 0, "disk_full", "")]


def test_a_recorder_that_has_given_up_ends_it(tmp_path: Path) -> None:
    """What it will never take again is not offered again."""
    intake, told = taken(Moody("stopped"), tmp_path, waits=True)
    assert intake.over
    assert told == [(1, 10, 0, "stopped", "")]


def test_a_line_too_long_is_one_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line without an end does not fill the memory: it is given up, and the ones after it are read."""
    monkeypatch.setattr("replaylab.recording.pipe.MAX_LINE_BYTES", 1_000)
    given = ticks(4)
    data = lines_of(given[:2]) + b"x" * 5_000 + b"\n" + lines_of(given[2:])
    recorder = Moody()
    intake = Pipe(recorder, LineReader(), Refusals(tmp_path, "run"), lambda *_: None, lambda _seconds: False)
    for start in range(0, len(data), 700):
        intake.feed(data[start : start + 700])
    intake.finish()
    assert recorder.taken == given
    assert intake.counts == Counts(lines=5, bytes=len(data), accepted=4, refused=intake.counts.refused)
    assert intake.counts.refused == {"line_too_long": 1}


@given(
    parts=st.lists(st.one_of(st.sampled_from([*BAD][:9]), st.integers(0, 50), st.just(b""), st.just(b"# note"))),
    cuts=st.lists(st.integers(0, 4_000)),
    ended=st.booleans(),
)
def test_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory,
    parts: list[bytes | int],
    cuts: list[int],
    ended: bool,  # noqa: FBT001 a parameter of hypothesis
) -> None:  # fmt: skip
    """Law: the same ticks, counts and refusals, however the stream comes in pieces; every byte is accounted for."""
    raws = [tick(part).to_line() if isinstance(part, int) else part for part in parts]
    data = b"\n".join(raws) + b"\n" * ended
    folder = tmp_path_factory.mktemp("cut")
    found = []
    for number, places in enumerate(([], sorted({cut for cut in cuts if cut < len(data)}))):
        recorder, refusals = Moody(), Refusals(folder, str(number))
        intake = Pipe(recorder, LineReader(), refusals, lambda *_: None, lambda _seconds: False)
        edges = [0, *places, len(data)]
        for start, end in pairwise(edges):
            intake.feed(data[start:end])
        intake.finish()
        refusals.close()
        kept = refusals.path.read_text(encoding="utf-8") if refusals.kept else ""
        found.append((recorder.taken, intake.counts, kept))
    assert found[0] == found[1]
    ticks_taken, counts, _ = found[0]
    assert ticks_taken == [tick(part) for part in parts if isinstance(part, int)]
    others = counts.control + counts.annotation + counts.blank + sum(counts.refused.values())
    assert counts.lines == counts.accepted + others
    assert counts.bytes == len(data)


@given(
    tick_number=st.integers(0, 2**31 - 1),
    price=st.decimals(0, 10**14 - 1, places=20),
    at=st.datetimes(datetime(1000, 1, 1), datetime(2999, 1, 1)),
    game=st.text(min_size=1).filter(lambda text: text.isprintable()),
    timer=st.integers(-(2**31) + 1, 2**31 - 1),
)
def test_the_pattern_reads_what_the_parser_reads(
    tick_number: int, price: Decimal, at: datetime, game: str, timer: int
) -> None:
    """Law: a line read by the pattern of the lines before gives the tick that was written, to the last digit."""
    given = Tick(game, tick_number, at, price, "PRESALE", True, False, timer, 5)
    reader = LineReader()
    reader.read(tick(1).to_line())  # shows the form
    assert reader.read(given.to_line()) == given


def test_a_closed_refusal_file_is_told(tmp_path: Path) -> None:
    """When the file of refused lines cannot be written the recording goes on, and the reason is at hand."""
    (tmp_path / "refused").write_text("a file where the folder should be")
    refusals = Refusals(tmp_path, "run")
    assert not refusals.keep(1, 0, "not_json", b"{oops")
    assert refusals.last_error
    with Recorder(tmp_path / "store") as recorder:
        intake = Pipe(recorder, LineReader(), refusals, lambda *_: None, lambda _seconds: False)
        intake.feed(b"{oops\n" + lines_of(ticks(2)))
    assert intake.counts.accepted == 2
    assert intake.counts.refused == {"not_json": 1}


def test_no_tick_among_lines_of_unknown_types_is_a_problem(tmp_path: Path) -> None:
    """Input of which no line is a tick, all of types that no recorder writes, ends with 1, as converting it does."""
    report, said = record(tmp_path / "store", b'{"type": "match", "price": "1"}\n' * 3, code=1)
    assert (report["unknown_types"], report["accepted"]) == ({"match": 3}, 0)
    assert "no line was a tick: 3 lines of types that no known recorder writes" in said


def test_lines_of_unknown_types_are_counted_in_the_summary(tmp_path: Path) -> None:
    """A type that no known recorder writes is counted by name, beside the ticks; known control lines are not."""
    lines = [b'{"type": "match", "price": "1"}', b'{"type": "match"}', b'{"type": "game_start", "game_id": "g"}']
    report, said = record(tmp_path / "store", b"\n".join([*lines, tick(1).to_line(), b""]))
    assert (report["unknown_types"], report["control"], report["accepted"]) == ({"match": 2}, 3, 1)
    refused = tick(1).to_line().replace(b'"price": 1', b'"price": true, "x": 1')
    _, said = record(tmp_path / "other", refused + b"\n", code=1)
    assert "price=True" in said
