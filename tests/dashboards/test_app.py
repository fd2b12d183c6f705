"""The dashboard as a server: pages and events, tokens and cookies, acts, and who may not."""

from __future__ import annotations

import base64
import http.client
import json
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest

import replaylab as rl
from replaylab.dashboards.access import TRIES
from replaylab.dashboards.app import _MOST_BYTES
from replaylab.dashboards.server import DashboardServer, serve_dashboard
from replaylab.dashboards.view import View
from replaylab.errors import PortTaken, StoreNotFound, TokenRefused
from replaylab.service.tokens import Tokens
from tests.playing import until
from tests.stores import quiet, simulated

FLAGS = {"active": True, "rugged": False}
TICK = {"game_id": "g", "tick": 1, "timestamp": "2031-01-02T03:04:05", "price": "1.5", **FLAGS}
ROOT = Path(__file__).resolve().parent.parent.parent
SECRET = "0123456789abcdef0123456789abcdef"


class Answer(NamedTuple):
    """Status, headers and text of an answer."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The text as JSON."""
        return json.loads(self.text)


def ask(server: DashboardServer, path: str = "/", method: str = "GET", body: Any = None, **headers: str) -> Answer:
    """Ask a server, without following where it leads."""
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes | str | None) else json.dumps(body)
    connection.request(method, path, data, sent)
    found = connection.getresponse()
    answer = Answer(found.status, {name.lower(): value for name, value in found.getheaders()}, found.read().decode())
    connection.close()
    return answer


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three games."""
    folder = tmp_path_factory.mktemp("dashboard")
    quiet(simulated(folder / "recordings"), folder / "store")
    return folder / "store"


@pytest.fixture
def server(store: Path) -> Iterator[DashboardServer]:
    """A dashboard of this machine alone."""
    with serve_dashboard(store) as found:
        yield found


@pytest.fixture
def guarded(store: Path) -> Iterator[DashboardServer]:
    """A dashboard that asks for tokens."""
    with serve_dashboard(store, tokens=Tokens(SECRET)) as found:
        yield found


def token(role: str | None = "view", seconds: float = 600, **more: str) -> str:
    """A token for a role."""
    return Tokens(SECRET).issue(seconds, more=more | ({} if role is None else {"role": role}))


def bearer(role: str | None = "view") -> str:
    """The header with a token for a role."""
    return f"Bearer {token(role)}"


def test_the_page_holds_its_first_state(server: DashboardServer) -> None:
    """What is shown first needs no second request; addresses are relative, and nothing is fetched elsewhere."""
    answer = ask(server)
    assert answer.status == 200
    state = answer.text.partition('id="state">')[2].partition("</script>")[0]
    assert len(json.loads(state)["games"]) == 3
    for name in ("page.js", "page.css"):
        found = ask(server, f"/{name}")
        assert found.status == 200
        assert "http://" not in found.text.replace("http://www.w3.org/2000/svg", "")
    assert 'href="/' not in answer.text
    assert 'src="/' not in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_a_store_with_marks_of_html_in_its_ids(tmp_path: Path) -> None:
    """Ids are text: none of them ends the script element that holds the state."""
    with rl.Recorder(tmp_path) as recorder:
        assert recorder.record(TICK | {"game_id": "</script><script>alert(1)</script>"}).accepted
    with serve_dashboard(tmp_path) as server:
        text = ask(server).text
    assert text.count("<script") == 2
    assert "<script>alert" not in text


def events(server: DashboardServer, count: int, **headers: str) -> list[Any]:
    """The first events of a server."""
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
    connection.request("GET", "/events", headers=headers)
    answer = connection.getresponse()
    found: list[Any] = []
    while len(found) < count:
        line = answer.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: "):
            found.append(json.loads(line[6:]))
    connection.close()
    return found


def test_events_follow_a_recorder(tmp_path: Path) -> None:
    """What a recorder does is in the events that follow, without asking again."""
    with rl.Recorder(tmp_path) as recorder, serve_dashboard(tmp_path) as server:
        place = urlsplit(server.url)
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=60)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        assert recorder.record(TICK).accepted
        seen = 0
        while seen != 1:
            line = answer.readline()
            assert line, "the stream ended"
            if line.startswith(b"data: "):
                runs = json.loads(line[6:])["runs"]
                seen = runs[0]["accepted"] if runs else 0
        connection.close()


def test_events_say_only_what_is_new(server: DashboardServer) -> None:
    """The first event is whole; later ones leave out games and gaps that nothing has changed, and keep the time."""
    first, second = events(server, 2)
    assert first.keys() == ask(server, "/state").json.keys() | {"role", "leave"}
    assert len(first["games"]) == 3
    assert {"games", "gaps", "totals", "store"}.isdisjoint(second)
    assert second["at"] > first["at"]


def test_a_page_does_not_wait_for_games(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they take long to read the first time, recorders are shown at once; the games come as an event."""
    free = threading.Event()
    look = View._look_at_games

    def slow(view: View) -> None:
        assert free.wait(60)
        look(view)

    monkeypatch.setattr(View, "_look_at_games", slow)
    with serve_dashboard(store) as server:
        text = ask(server).text
        state = json.loads(text.partition('id="state">')[2].partition("</script>")[0])
        assert (state["reading"], state["games"], state["totals"], state["runs"]) == (True, [], {}, [])
        free.set()
        [event] = events(server, 1)
        assert (event["reading"], len(event["games"]), event["totals"]["games"]) == (False, 3, 3)


def test_one_reading_serves_all_pages(server: DashboardServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten requests in a moment read the store once or twice, not ten times."""
    read: list[float] = []
    now = server.app._view.now

    def counted(*given: Any) -> Any:
        read.append(0.0)
        return now(*given)

    monkeypatch.setattr(server.app._view, "now", counted)
    begun = time.monotonic()
    for _ in range(10):
        assert ask(server, "/state").status == 200
    assert len(read) <= 2 + (time.monotonic() - begun) / 0.9


def test_a_game_plays_on_a_page_of_its_own(server: DashboardServer, store: Path) -> None:
    """The page of a game is the exported one, which loads nothing; a game that does not exist is 404."""
    [first, *_] = rl.open_store(store).game_ids()
    answer = ask(server, f"/game/{first}")
    assert answer.status == 200
    assert first in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    missing = ask(server, "/game/%3Cb%3Enone")
    assert missing.status == 404
    assert "<b>none" not in missing.text


def test_a_foreign_name_is_refused(server: DashboardServer) -> None:
    """A page elsewhere that leads its own name to this machine reads nothing."""
    answer = ask(server, "/state", Host="attacker.example")
    assert answer.status == 421
    assert "allow-host" in answer.json["error"]
    assert ask(server, "/state", Host=f"localhost:{server.port}").status == 200


def test_a_foreign_origin_may_not_act(server: DashboardServer) -> None:
    """A form or a script of another page does nothing here, even on this machine without tokens."""
    body = {"act": "verify", "confirm": "verify"}
    for headers in ({"Origin": "http://attacker.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert ask(server, "/act", "POST", body, **headers).status == 403
    assert server.app.acts.last is None


def test_other_names_can_be_allowed(store: Path) -> None:
    """Behind a proxy the page is asked for under other names."""
    with serve_dashboard(store, allow_hosts=["Lab.Example"]) as server:
        assert ask(server, "/state", Host="lab.example").status == 200
        assert ask(server, "/state", Host="other.example").status == 421
    with serve_dashboard(store, allow_hosts=["*"]) as server:
        assert ask(server, "/state", Host="other.example").status == 200


def test_other_machines_need_a_token(store: Path) -> None:
    """Without tokens it listens on this machine alone."""
    with pytest.raises(TokenRefused, match="tokens"):
        serve_dashboard(store, host="0.0.0.0")


def test_a_unix_socket_is_its_owners(store: Path, tmp_path: Path) -> None:
    """It answers under any name, and only the user who made it reaches it; one left by a dead server is replaced."""
    import socket

    for _ in range(2):  # stopping leaves the path
        with serve_dashboard(store, path=tmp_path / "s") as server:
            assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
            assert server.url == str(tmp_path / "s")
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(tmp_path / "s"))
                client.sendall(b"GET /health/live HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n")
                assert client.recv(99).startswith(b"HTTP/1.1 200")
            with pytest.raises(PortTaken):
                serve_dashboard(store, path=tmp_path / "s")


def test_a_port_that_is_taken(server: DashboardServer, store: Path) -> None:
    """The error names the port."""
    with pytest.raises(PortTaken, match=str(server.port)):
        serve_dashboard(store, port=server.port)


def test_a_store_that_is_not_here(tmp_path: Path) -> None:
    """A folder that is no store, and a store in an object store, have no dashboard."""
    with pytest.raises(StoreNotFound):
        serve_dashboard(tmp_path / "none")


# Tokens


def test_without_a_token_there_is_a_form(guarded: DashboardServer) -> None:
    """The page asks for a token and holds nothing of the store; all else is refused."""
    page = ask(guarded)
    assert (page.status, 'id="state"' in page.text, "<form" in page.text) == (401, False, True)
    for path in ("/state", "/events", "/metrics", "/game/x"):
        assert ask(guarded, path).status == 401
    assert ask(guarded, "/act", "POST", {"act": "verify", "confirm": "verify"}).status == 401


def test_a_token_is_traded_for_a_cookie(guarded: DashboardServer) -> None:
    """The cookie cannot be read by scripts or sent by other pages; it ends with the token, and when it is left."""
    form = urlencode({"token": token(seconds=600)})
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask(guarded, "/session", "POST", form, **kind)
    assert (answer.status, answer.headers["location"]) == (303, "./")
    said = answer.headers["set-cookie"]
    assert "HttpOnly" in said
    assert "SameSite=strict" in said
    cookie = said.partition(";")[0]
    assert token().split(".")[2] not in said
    assert ask(guarded, Cookie=cookie).status == 200
    assert events(guarded, 1, Cookie=cookie)[0]["role"] == "view"
    assert ask(guarded, "/session/end", "POST", "", Cookie=cookie).status == 303
    assert ask(guarded, "/state", Cookie=cookie).status == 401


def test_a_browser_is_refused_with_a_page(guarded: DashboardServer, server: DashboardServer) -> None:
    """One line says what is wrong, beside the form where a token may help; the answer to programs stays JSON."""
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html,*/*"}
    wrong = ask(guarded, "/session", "POST", urlencode({"token": "x.y.z"}), **kind)
    assert (wrong.status, wrong.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert '<p role="alert">no valid token</p>' in wrong.text
    assert "<form" in wrong.text
    none = ask(guarded, "/session", "POST", urlencode({"token": token(None)}), **kind)
    assert (none.status, "the token has no role here" in none.text, "<form" in none.text) == (403, True, True)
    other = ask(guarded, Host="<b>.example", Accept="text/html")
    assert (other.status, "&lt;b&gt;.example" in other.text, "{" in other.text) == (421, True, False)
    open_to_all = ask(server, "/session", "POST", urlencode({"token": "x"}), **kind)
    assert (open_to_all.status, "no token is asked for here" in open_to_all.text) == (400, True)
    assert "<form" not in open_to_all.text
    assert "alert" not in ask(guarded).text


def test_a_token_in_the_address_is_no_token(guarded: DashboardServer) -> None:
    """An address ends up in logs and histories, so it opens nothing."""
    assert ask(guarded, f"/state?token={token()}").status == 401


def forged(header: dict[str, str], claims: dict[str, Any]) -> str:
    """A token without a signature that counts."""
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, claims)]
    return ".".join([*parts, ""])


@pytest.mark.parametrize(
    "bad",
    [
        "rubbish",
        "",
        token(seconds=-1),
        Tokens(SECRET[::-1]).issue(60, more={"role": "admin"}),
        Tokens(SECRET).issue(60, "other", more={"role": "admin"}),
        forged({"alg": "none"}, {"role": "admin", "aud": "replaylab", "exp": 9_999_999_999}),
        forged({"alg": "RS256"}, {"role": "admin", "aud": "replaylab", "exp": 9_999_999_999}),
    ],
    ids=["rubbish", "empty", "expired", "other secret", "other audience", "none", "confused"],
)
def test_a_token_that_is_not_valid(guarded: DashboardServer, bad: str) -> None:
    """Whatever is wrong with it, the answer is one and the same."""
    answer = ask(guarded, "/session", "POST", {"token": bad})
    assert (answer.status, answer.json["error"]) == (401, "no valid token")
    assert "set-cookie" not in answer.headers


def test_guessing_is_slowed_down(guarded: DashboardServer, caplog: pytest.LogCaptureFixture) -> None:
    """After ten wrong tokens from an address even a right one waits; each wrong one is logged, and none of them is."""
    for _ in range(TRIES):
        assert ask(guarded, "/session", "POST", {"token": "wrong-token-of-mine"}).status == 401
    assert ask(guarded, "/session", "POST", {"token": token()}).status == 429
    assert sum("refused" in record.getMessage() for record in caplog.records) == TRIES
    assert "wrong-token-of-mine" not in caplog.text


@pytest.mark.parametrize(
    ("role", "act", "status"),
    [
        (None, "state", 403),
        ("view", "state", 200),
        ("nobody", "state", 403),
        ("view", "flush", 403),
        ("view", "verify", 403),
        ("record", "flush", 409),
        ("record", "stop", 409),
        ("record", "verify", 403),
        ("admin", "stop", 409),
        ("admin", "verify", 202),
    ],
)
def test_a_role_may_do_what_it_may(guarded: DashboardServer, role: str | None, act: str, status: int) -> None:
    """View sees, record asks recorders (409: there is none of that name), admin all; an unknown role is none."""
    if act == "state":
        assert ask(guarded, "/state", Authorization=bearer(role)).status == status
    else:
        body = {"act": act, "run": "none", "confirm": act}
        assert ask(guarded, "/act", "POST", body, Authorization=bearer(role)).status == status


# Acts


def act(server: DashboardServer, name: str, run: str | None = None) -> Answer:
    """Ask for an act, and confirm it."""
    return ask(server, "/act", "POST", {"act": name, "run": run, "confirm": name})


def test_an_act_needs_its_confirmation(server: DashboardServer) -> None:
    """Without its name said twice nothing is done."""
    assert ask(server, "/act", "POST", {"act": "verify"}).status == 409
    assert server.app.acts.last is None


def test_verify_and_compact(server: DashboardServer, caplog: pytest.LogCaptureFixture) -> None:
    """Both run off the server's thread, say how they ended in the state, and are logged with their owner."""
    for name in ("verify", "compact"):
        assert act(server, name).status == 202
        assert until(lambda: not server.app.acts.last.running, 60)
        assert server.app.acts.last.ok
        assert ask(server, "/state").json["job"]["act"] == name
    asked = [record for record in caplog.records if getattr(record, "event", "") == "act"]
    assert [(record.levelno, record.act) for record in asked] == [  # type: ignore[attr-defined]
        (logging.WARNING, "verify"),
        (logging.WARNING, "compact"),
    ]


def test_what_verify_finds_is_an_alarm(server: DashboardServer, store: Path) -> None:
    """It stays until a verification finds nothing, whatever else is asked for; metrics count it."""
    assert ask(server, "/state").json["problems"] == []
    [segment, *_] = sorted((store / "segments").glob("*.parquet"))
    whole, times = segment.read_bytes(), segment.stat()
    segment.write_bytes(bytes([*whole[:100], whole[100] ^ 1, *whole[101:]]))
    os.utime(segment, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a disk does it that loses a bit
    assert ask(server, "/state").json["problems"] == []
    assert act(server, "verify").status == 202
    assert until(lambda: ask(server, "/state").json["problems"], 60)
    [problem] = ask(server, "/state").json["problems"]
    assert problem.startswith("verify of ")
    assert segment.name in problem
    assert ask(server, "/state").json["verdict"] == "failed"
    assert "replaylab_store_problems 1.0" in ask(server, "/metrics").text
    segment.write_bytes(whole)
    os.utime(segment, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert until(lambda: not server.app.acts.last.running, 60)
    assert act(server, "verify").status == 202
    assert until(lambda: not ask(server, "/state").json["problems"], 60)


def test_a_recorder_is_asked_to_flush_and_to_stop(tmp_path: Path) -> None:
    """The recorder does it within a second or two, and its next status shows it; one that is gone is a refusal."""
    recorder = rl.Recorder(tmp_path, settings=rl.Settings(sync_seconds=3_600))
    run = recorder.status().run
    assert recorder.record(TICK).accepted
    assert until(lambda: [one.run for one in rl.status(tmp_path).live] == [run], 60)  # its first status is written
    with serve_dashboard(tmp_path) as server:
        assert recorder.status().unsynced == 1
        assert act(server, "flush", run).status == 202
        assert until(lambda: recorder.status().unsynced == 0, 60)
        assert act(server, "stop", run).status == 202
        assert until(lambda: recorder.status().state == "closed", 60)
        assert until(lambda: ask(server, "/state").json["runs"][0]["state"] == "closed", 60)
        assert act(server, "stop", run).status == 409
    assert recorder.record(TICK).reason == "closed"
    assert rl.open_store(tmp_path).verify().ok


def test_rubbish_is_answered(server: DashboardServer) -> None:
    """A request that carries no object, too much, or an act that does not exist is refused by name."""
    for body in (b"", b"[]", b"\xff", b"[" * 10_000):
        assert ask(server, "/act", "POST", body).status == 400
    assert ask(server, "/act", "POST", b"x" * (_MOST_BYTES + 1)).status == 413
    unknown = act(server, "destroy")
    assert unknown.status == 409
    assert "flush, stop, compact, verify" in unknown.json["error"]


# Metrics


def test_metrics_of_recorders_and_the_store(tmp_path: Path) -> None:
    """A scrape names each recorder with its verdict and counts, and what the store holds."""
    with rl.Recorder(tmp_path) as recorder:
        recorder.record({"game_id": "g"})
        up = f'replaylab_recorder_up{{run="{recorder.status().run}"}} 1.0'
        with serve_dashboard(tmp_path) as server:
            # a recorder's own thread writes its status file, a moment after it was opened
            assert until(lambda: up in ask(server, "/metrics").text, 60)
            text = ask(server, "/metrics").text
    assert "replaylab_store_games 0.0" in text
    assert "replaylab_store_free_bytes" in text


def test_the_launcher_of_jupyterlab_starts_it(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What jupyter-server-proxy is told to run serves the store on the socket that it names."""
    import socket
    import subprocess
    import tomllib
    from importlib.metadata import EntryPoint

    monkeypatch.setenv("REPLAYLAB_STORE", str(store))
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    group = "jupyter_serverproxy_servers"
    told = EntryPoint("replaylab", declared[group]["replaylab"], group).load()()
    assert told["unix_socket"]
    path = tmp_path / "s"
    with subprocess.Popen(
        [word.format(unix_socket=path) for word in told["command"]], stderr=subprocess.PIPE
    ) as server:
        try:
            with socket.socket(socket.AF_UNIX) as client:  # the file is there a moment before anything listens
                assert until(lambda: client.connect_ex(str(path)) == 0, 60)
                client.sendall(b"GET /state HTTP/1.1\r\nHost: lab.example\r\nConnection: close\r\n\r\n")
                assert client.recv(99).startswith(b"HTTP/1.1 200")
        finally:
            server.terminate()
