"""Alerts: within a second of a change, signed, tried again, and never in the way of the recorder."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import replaylab as rl
from replaylab.cli.main import app
from replaylab.errors import SettingsError
from replaylab.recording import alerts, background
from replaylab.recording.state import Environment
from replaylab.watching import webhook as hooks
from replaylab.watching.alert import QUEUED, Alert, Delivery
from replaylab.watching.webhook import DELIVERY, Refused, is_signed

SECRET = "0123456789abcdef" * 2
AT = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)


def wait_for(reached: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so."""
    give_up_at = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


class Receiver:
    """A server on this machine that answers as it is told, and keeps what it got."""

    def __init__(self, answers: Iterator[int] | None = None, hangs: threading.Event | None = None) -> None:
        self.got: list[tuple[bytes, dict[str, str]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((body, dict(self.headers)))
                if hangs is not None:
                    hangs.wait(120)
                code = next(answers, 200) if answers is not None else 200
                self.send_response(code)
                if code == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server.server_port}/hook/t0ken"

    @contextmanager
    def serving(self) -> Iterator[Receiver]:
        """Serve meanwhile."""
        thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            self.server.shutdown()
            thread.join()
            self.server.server_close()


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little between attempts, and at the end as long as a slow machine takes."""
    monkeypatch.setattr(hooks, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(alerts, "END_SECONDS", 60)


def alert(number: int = 0) -> Alert:
    """Make an alert."""
    return Alert("recorder", "recording", f"state-{number}", "degraded", ("why",), AT, "run", "store")


def fill(free: list[int]) -> Environment:
    """Make a machine whose free space is set by hand."""
    return Environment(free_bytes=lambda _: free[0])


def test_a_callable_hears_of_each_change(tmp_path: Path) -> None:
    """Paused, going on, closed: each once, in order, with its reason, and not one before anything has changed."""
    heard: list[Alert] = []
    free = [1 << 40]
    with rl.Recorder(tmp_path, environment=fill(free), alerts=[heard.append]) as recorder:
        recorder.record(rl.Tick("g", 1, AT, Decimal("1.02")))
        free[0] = 1
        wait_for(lambda: len(heard) == 1)
        free[0] = 1 << 40
        wait_for(lambda: len(heard) == 2)
    assert [(one.before, one.state, one.verdict) for one in heard] == [
        ("recording", "paused", "degraded"),
        ("paused", "recording", "healthy"),
        ("recording", "closed", "healthy"),
    ]
    assert "disk_full" in heard[0].reasons[0]
    assert heard[0].run == recorder.run


@pytest.mark.parametrize("first", [0.0, 0.1, 0.249, 0.25, 0.4])
def test_each_change_is_heard_within_a_second(first: float) -> None:
    """By a clock of its own: looks at the disk and at the state are so close that a change waits less than a second."""
    now, heard = [0.0], list[tuple[float, Alert]]()
    changes = [first + number * 0.7 for number in range(6)]

    class Clocked(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            now[0] += timeout or 0
            return now[0] > 6

    def status_now(*_: object) -> SimpleNamespace:
        number = sum(at <= now[0] for at in changes)
        return SimpleNamespace(state=f"state-{number}", verdict="degraded", reasons=())

    environment = Environment(now=lambda: AT)
    state: Any = SimpleNamespace(run="run", root="store", environment=environment, feeds=[])
    watched = alerts.Alerts(state, ())
    target: Any = SimpleNamespace(add=lambda one: heard.append((now[0], one)))
    watched.deliveries, watched._ending = [target], Clocked()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alerts, "status_of", status_now)
        watched._run()
    late = [at - changes[int(one.state.partition("-")[2]) - 1] for at, one in heard if one.state != "state-0"]
    assert len(late) == len(changes)
    assert max(late) <= alerts.LOOK_SECONDS + 1e-9
    assert alerts.LOOK_SECONDS + background.LOOK_SECONDS < 1  # what the disk does is seen by the one, then the other


def test_a_state_that_lasts_a_moment_is_heard(tmp_path: Path) -> None:
    """Paused and going on between two looks: each is an alert, in order, and of the time at which it was."""
    heard: list[Alert] = []
    with rl.Recorder(tmp_path, alerts=[heard.append]) as recorder:
        state = recorder._state
        for number in range(3):
            with state.lock:
                state.health.pause(f"reason {number}", number)
                state.health.resume()
        with state.lock:
            state.health.fail("once")
            state.health.succeed()
        wait_for(lambda: len(heard) == 8)
    said = [(one.before, one.state, one.verdict) for one in heard]
    pair = [("recording", "paused", "degraded"), ("paused", "recording", "healthy")]
    passing = [("recording", "recording", "degraded"), ("recording", "recording", "healthy")]
    assert said == [*pair * 3, *passing, ("recording", "closed", "healthy")]
    assert [one.reasons[0][:24] for one in heard[:6:2]] == [f"refusing ticks: reason {number}" for number in range(3)]
    assert sorted(one.at for one in heard) == [one.at for one in heard]


def test_a_feed_that_changes_for_a_moment_is_heard(tmp_path: Path) -> None:
    """A feed says when its state has changed, and what it was is reported, though it is another one by then."""
    heard: list[Alert] = []
    said = {"feed": "one", "state": "live", "verdict": "ok"}
    with rl.Recorder(tmp_path, alerts=[heard.append]) as recorder:
        changed = recorder.show_feed(lambda: said)
        changed()
        for state in ("lost", "live", "lost", "connecting"):
            said["state"] = state
            changed()
        wait_for(lambda: len(heard) == 4)
    assert [one.state for one in heard if one.subject == "one"] == ["lost", "live", "lost", "connecting"]


def test_changes_are_bounded_and_hold_up_nothing(tmp_path: Path) -> None:
    """Ten thousand changes between two looks: the newest are reported, and the last of them is the last alert."""
    heard: list[Alert] = []
    with rl.Recorder(tmp_path, alerts=[heard.append]) as recorder, recorder._state.lock:
        for number in range(10_000):
            recorder._state.health.pause("reason", number)
            recorder._state.health.resume()
    assert len(heard) <= 2 * alerts.QUEUED
    assert heard[-1].state == "closed"


def test_the_command_sends_alerts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`record --alert URL` sends what the recorder goes through, signed by the secret of the environment."""
    monkeypatch.setenv("REPLAYLAB_ALERT_SECRET", SECRET)
    (tmp_path / "ticks").write_bytes(rl.Tick("g", 1, AT, Decimal("1.02")).to_line() + b"\n")
    words = ["record", str(tmp_path / "store"), "--from", str(tmp_path / "ticks"), "--alert"]
    with Receiver().serving() as receiver:
        done = CliRunner().invoke(app, [*words, receiver.url], prog_name="replaylab")
        assert done.exit_code == 0, done.output
        body, headers = receiver.got[-1]
    assert is_signed(SECRET.encode(), body, headers)
    assert json.loads(body)["state"] == "closed"


@pytest.mark.parametrize("secret", ["", "short-w0rd"])
def test_the_command_without_a_secret(secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with 2 before a store is made, and shows neither secret nor the path of the URL."""
    monkeypatch.setenv("REPLAYLAB_ALERT_SECRET", secret)
    words = ["record", str(tmp_path / "store"), "--alert", "https://host/t0ken"]
    done = CliRunner().invoke(app, words, prog_name="replaylab", input="")
    assert done.exit_code == 2
    assert "secret" in done.output
    assert "t0ken" not in done.output
    assert "w0rd" not in done.output
    assert not (tmp_path / "store").exists()


def test_a_webhook_gets_signed_json(tmp_path: Path) -> None:
    """The receiver can check who sent it; the status says how many were sent."""
    free = [1 << 40]
    with Receiver().serving() as receiver:
        hook = rl.Webhook(receiver.url, SECRET, timeout_seconds=60)
        with rl.Recorder(tmp_path, environment=fill(free), alerts=[hook]):
            free[0] = 1
            wait_for(lambda: receiver.got)
            wait_for(lambda: rl.status(tmp_path).runs and rl.status(tmp_path).runs[0].alerts.get("sent") == 1)
        assert len(receiver.got) == 2  # the end as well
        body, headers = receiver.got[0]
        assert is_signed(SECRET.encode(), body, headers)
        assert not is_signed(SECRET.encode(), body + b" ", headers)
        assert not is_signed(b"another" * 9, body, headers)
        assert not is_signed(SECRET.encode(), body, headers, now=time.time() + 3_600)
        assert not is_signed(SECRET.encode(), body, {})
        found = json.loads(body)
        assert (found["type"], found["state"], found["store"]) == ("replaylab_alert", "paused", str(tmp_path))


@pytest.mark.parametrize("codes", [[500], [503, 429, 500], [408, 502]])
def test_what_fails_is_tried_again(codes: list[int]) -> None:
    """The same alert under the same name, until the server takes it."""
    with Receiver(iter(codes)).serving() as receiver:
        rl.Webhook(receiver.url, SECRET).send(alert().to_json(), threading.Event())
        assert len(receiver.got) == len(codes) + 1
        assert len({headers[DELIVERY] for _, headers in receiver.got}) == 1


@pytest.mark.parametrize("code", [400, 401, 404, 302])
def test_what_is_refused_is_not(code: int) -> None:
    """A server that refuses is not asked again, and no redirect is followed: the request is signed for this one."""
    with Receiver(iter([code])).serving() as receiver:
        with pytest.raises(Refused, match=f"answered {code}"):
            rl.Webhook(receiver.url, SECRET).send(alert().to_json(), threading.Event())
        assert len(receiver.got) == 1


def test_attempts_end(caplog: pytest.LogCaptureFixture) -> None:
    """A server that never takes it costs so many attempts; the log says so without the path of the URL."""
    with Receiver(iter([500] * 99)).serving() as receiver, caplog.at_level(logging.ERROR, "replaylab.alerts"):
        delivery = Delivery(rl.Webhook(receiver.url, SECRET, attempts=3), "test")
        delivery.add(alert())
        wait_for(lambda: delivery.failed == 1)
        delivery.end(0)
        assert len(receiver.got) == 3
    assert "answered 500, attempt 3 of 3" in caplog.text
    assert "t0ken" not in caplog.text
    assert SECRET not in caplog.text


def test_a_server_that_is_not_there() -> None:
    """A connection that is refused is tried again, and then given up."""
    with pytest.raises(Refused, match="ConnectionRefusedError, attempt 2 of 2"):
        rl.Webhook("http://127.0.0.1:1/hook", SECRET, attempts=2).send(b"{}", threading.Event())


def test_a_server_that_hangs_holds_up_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recording, stopping and the other targets go on."""
    monkeypatch.setattr(alerts, "END_SECONDS", 0.1)
    hangs, heard = threading.Event(), list[Alert]()
    free = [1 << 40]
    with Receiver(hangs=hangs).serving() as receiver:
        hook = rl.Webhook(receiver.url, SECRET, timeout_seconds=60)
        recorder = rl.Recorder(tmp_path, environment=fill(free), alerts=[hook, heard.append])
        free[0] = 1
        wait_for(lambda: receiver.got and heard)
        free[0] = 1 << 40
        wait_for(lambda: len(heard) == 2)
        assert recorder.record(rl.Tick("g", 1, AT, Decimal("1.02"))).accepted
        assert recorder.flush().durable
        assert recorder.stop().durable
        wait_for(lambda: len(heard) == 3)
        assert [one.state for one in heard] == ["paused", "recording", "closed"]
        hangs.set()


def test_a_queue_is_bounded() -> None:
    """While a target hangs the newest alerts are kept, and those that gave way are counted."""
    go, heard = threading.Event(), list[Alert]()

    def slow(one: Alert) -> None:
        go.wait(120)
        heard.append(one)

    delivery = Delivery(slow, "test")
    delivery.add(alert(0))
    wait_for(lambda: delivery.waiting == 1 and not delivery._waiting)
    for number in range(1, QUEUED + 11):
        delivery.add(alert(number))
    assert delivery.dropped == 10
    go.set()
    wait_for(lambda: len(heard) == QUEUED + 1)
    delivery.end(60)
    assert [one.state for one in heard] == [f"state-{number}" for number in (0, *range(11, QUEUED + 11))]


def test_a_callable_that_raises(tmp_path: Path) -> None:
    """It is logged and counted, called again at the next change, and no concern of the recording."""
    calls: list[Alert] = []

    def bad(one: Alert) -> None:
        calls.append(one)
        raise ValueError("boom")

    free = [1 << 40]
    with rl.Recorder(tmp_path, environment=fill(free), alerts=[bad]) as recorder:
        free[0] = 1
        wait_for(lambda: len(calls) == 1)
        free[0] = 1 << 40
        wait_for(lambda: recorder.status().state == "recording")
        assert recorder.status().callback_errors == 0
    assert rl.status(tmp_path).runs[0].alerts["failed"] == len(calls) >= 2


def test_no_target_no_thread(tmp_path: Path) -> None:
    """A recorder without alerts has no thread for them, and none is left by one that had some."""
    before = set(threading.enumerate())

    def made() -> list[str]:
        return [one.name for one in set(threading.enumerate()) - before if "alert" in one.name]

    with rl.Recorder(tmp_path):
        assert not made()
    rl.Recorder(tmp_path, alerts=[lambda _: None]).stop()
    wait_for(lambda: not made())


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("ftp://host/x", SECRET),
        ("https://me:pass-w0rd@host/x", SECRET),
        ("https:///x", SECRET),
        ("https://[pass-w0rd/x", SECRET),
        ("https://me:pass-w0rd@ho\u2100st/x", SECRET),
        ("https://host:pass-w0rd/x", SECRET),
        ("https://host/x", "short-w0rd"),
    ],
)
def test_bad_webhooks(url: str, secret: str) -> None:
    """A secret that can be guessed, or a URL with a password, is refused and not shown."""
    with pytest.raises(SettingsError) as caught:
        rl.Webhook(url, secret)
    assert "w0rd" not in str(caught.value)


def test_no_recording_shows_the_path_of_a_webhook(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whether it refuses or is not there: neither log nor status, report, event or file shows path or secret."""
    said = list[str]()
    with caplog.at_level(logging.DEBUG), Receiver(answers=iter([500, 400] * 8)).serving() as receiver:
        targets = [rl.Webhook(receiver.url, SECRET), rl.Webhook("http://127.0.0.1:1/hook/t0ken", SECRET, attempts=2)]
        with rl.Recorder(tmp_path, alerts=targets, on_event=lambda event: said.append(repr(event))) as recorder:
            recorder.record(rl.Tick("g", 1, AT, Decimal("1.02")))
            wait_for(lambda: list(tmp_path.glob("status/*.json")))
            said += [repr(recorder), repr(recorder.status()), repr(rl.status(tmp_path)), repr(targets)]
            said += [path.read_text() for path in tmp_path.glob("status/*.json")]
        said.append(repr(recorder.stop()))
    assert sum("alert not delivered" in record.getMessage() for record in caplog.records) == 2
    said += [caplog.text, *(repr(vars(record)) for record in caplog.records)]
    said += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in said if "t0ken" in text or SECRET in text]


def test_nothing_secret_is_shown() -> None:
    """`repr` has the host alone: paths of webhooks are often tokens."""
    assert repr(rl.Webhook("https://host/t0ken?x=1", SECRET)) == "Webhook('https://host/...')"
