"""What a server does wrong, through a real socket into a store: counted by reason, one line of log, and on it goes."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from websockets.asyncio.server import ServerConnection

import replaylab as rl
from replaylab.feeds.opening import open_feed
from replaylab.service.tokens import Tokens
from replaylab.sessions.session import LiveSession
from replaylab.testing import FaultProxy
from tests.feeds.certificates import certificates_in
from tests.feeds.frames import GAME, tick_frame
from tests.feeds.servers import in_background, speaking_socketio
from tests.live.copies import QUICK, rows_of, wait_for, whole_games

LINE = (
    '{"type": "tick", "timestamp": "2031-01-02T03:04:05.000000+00:00", "game_id": "g", "tick": %d, '
    '"price": 1.0123456789012345678901, "phase": "ACTIVE_GAMEPLAY", "active": true, "rugged": false, '
    '"cooldown_timer": 0, "trade_count": 4}'
)
END = '{"type": "end", "reason": "finished"}'
SECRET = "0123456789abcdef" * 2
Handler = Callable[[ServerConnection], Awaitable[None]]


def in_turn(*connections: list[str | bytes]) -> Handler:
    """A server that sends other messages to each connection, and then waits until the client goes."""
    left = iter(connections)

    async def handle(connection: ServerConnection) -> None:
        for message in next(left, []):
            await connection.send(message)
        await connection.wait_closed()

    return handle


@contextmanager
def recording(url: str, folder: Path, **options: Any) -> Iterator[LiveSession]:
    """A session that records; at its end it is stopped."""
    session = LiveSession(open_feed(url, **options), to=folder, clock=QUICK).start()
    try:
        yield session
    finally:
        session.stop()


def numbers(folder: Path, game: str = "g") -> list[int]:
    """The ticks of a game in a store."""
    found: list[int] = rl.open_store(folder).game(game).ticks()["tick"].to_pylist()
    return found


def clear(records: list[logging.LogRecord], word: str) -> list[str]:
    """The lines of a log that say a word; none has a traceback, and each is one line."""
    records = [record for record in records if record.name.startswith("replaylab")]  # not those of the test's server
    assert not [record for record in records if record.exc_info]
    assert not [record for record in records if "\n" in record.getMessage()]
    return [record.getMessage() for record in records if word in record.getMessage()]


BAD: dict[str, str | bytes] = {
    "not_json": "no json",
    "not_object": "[1, 2]",
    "not_utf8": b"\x00\x01binary\xff",
    "too_deep": "[" * 100_000,
    "not_finite": LINE.replace("1.0123456789012345678901", "NaN") % 2,
    "wrong_type": LINE.replace("1.0123456789012345678901", '"dear"') % 2,
    "missing_field": LINE.replace('"price": 1.0123456789012345678901, ', "") % 2,
    "bad_time": LINE.replace("2031-01-02T03", "2031-01-02T33") % 2,
    "unknown_object": '{"odd": 1}',
    "line_too_long": '{"type": "tick", "pad": "' + "x" * (1 << 20) + '"}',
}


def test_messages_that_are_no_ticks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every bad message is counted by its reason and said once, and the good tick after each is recorded."""
    messages: list[str | bytes] = [LINE % 0]
    for number, bad in enumerate(BAD.values(), start=1):
        messages += [bad, bad, LINE % number]
    with (
        caplog.at_level(logging.INFO, "replaylab"),
        in_background(in_turn([*messages, END])) as port,
        recording(f"ws://127.0.0.1:{port}/feed", tmp_path) as session,
    ):
        session.wait("closed", timeout=60)
        assert session.status().refused == dict.fromkeys(BAD, 2)
    assert numbers(tmp_path) == list(range(len(BAD) + 1))
    assert len(rl.open_store(tmp_path).gaps()) == 0
    assert len(clear(caplog.records, "is left out (")) == len(BAD)


def test_a_frame_of_9_mib(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A frame that is too big costs its connection alone: the next one goes on, and the store has the gap."""
    server = in_turn([LINE % 0, b"x" * (9 << 20)], [LINE % 1, END])
    with (
        caplog.at_level(logging.INFO, "replaylab"),
        in_background(server) as port,
        recording(f"ws://127.0.0.1:{port}/feed", tmp_path) as session,
    ):
        session.wait("closed", timeout=60)
    assert numbers(tmp_path) == [0, 1]
    assert rl.open_store(tmp_path).gaps()["cause"].tolist() == ["too_big"]
    assert len(clear(caplog.records, ": lost (")) == 1


def test_games_and_numbers_as_they_come(tmp_path: Path) -> None:
    """A game id that changes in the middle, and a number that jumps back: all is recorded, and counted."""
    other = LINE.replace('"g"', '"h"')
    messages: list[str | bytes] = [LINE % 5, other % 0, LINE % 6, LINE % 3, LINE % 7, LINE % 9, END]
    with (
        in_background(in_turn(messages)) as port,
        recording(f"ws://127.0.0.1:{port}/feed", tmp_path) as session,
    ):
        session.wait("closed", timeout=60)
        assert session.status().refused == {}
    store = rl.open_store(tmp_path)
    assert sorted(numbers(tmp_path)) == [3, 5, 6, 7, 9]
    assert numbers(tmp_path, "h") == [0]
    gaps = store.gaps()
    assert gaps[gaps["game_id"] == "g"]["missing"].sum() == 2  # 4 and 8


def test_events_of_the_game(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The same over Socket.IO: unknown events, prices that are none and a game id that is none cost no good tick."""
    good = [tick_frame(number, last=1).decode() for number in range(4)]
    events = [
        ("gameStateUpdate", good[0]),
        ("newChatMessage", '{"username": "anna"}'),
        ("gameStateUpdate", good[1].replace('"price": 1.', '"price": "dear", "old": 1.', 1)),
        ("gameStateUpdate", "[" * 5_000 + "]" * 5_000),
        ("gameStateUpdate", good[1]),
        ("gameStateUpdate", good[2].replace(f'"{GAME}"', "7")),
        ("gameStateUpdate", good[2]),
        ("gameStateUpdate", good[3]),
    ]
    with (
        caplog.at_level(logging.INFO, "replaylab"),
        in_background(speaking_socketio(events)) as port,
        recording(f"socketio+http://127.0.0.1:{port}", tmp_path) as session,
    ):
        wait_for(lambda: session.status().tick == 3)
        refused = session.status().refused
    assert numbers(tmp_path, GAME) == [0, 1, 2, 3]
    assert refused.pop("event:newChatMessage") == 1
    assert sum(refused.values()) == 3
    assert len(clear(caplog.records, "is left out (")) == len(refused) + 1


@pytest.mark.parametrize("how", ["closes", "says nothing"])
def test_a_server_that_does_not_speak(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that closes at once, and one that accepts and never speaks, is tried again, and recorded when it speaks."""
    if how != "closes":  # one that closes is waited for, so that a slow machine is no server that says nothing
        monkeypatch.setattr("replaylab.settings.current", lambda: rl.Settings(network_timeout_seconds=0.2))
    said: list[str | bytes] = [LINE % 0, END]
    with (
        caplog.at_level(logging.INFO, "replaylab"),
        in_background(in_turn(*[said] * 100)) as port,  # also for connections that were given up while it was stalled
        FaultProxy(port) as proxy,
    ):
        proxy.down, proxy.stalled = how == "closes", how != "closes"
        with recording(f"ws://127.0.0.1:{proxy.port}/feed", tmp_path) as session:
            wait_for(lambda: session.status().attempts >= 3)
            assert str(session.status().state) not in {"failed", "closed"}
            session.feed._timeout_seconds = 60.0  # type: ignore[attr-defined] # it answers now, on a slow machine late
            proxy.down = proxy.stalled = False
            session.wait("closed", timeout=60)
    assert numbers(tmp_path) == [0]
    lines = clear(caplog.records, ": lost (")
    word = "was closed before the handshake" if how == "closes" else "no answer within 0.2 s"
    assert len(lines) >= 2
    assert all(word in line for line in lines), lines


@pytest.mark.parametrize("name", ["other", "expired", "good"])
def test_certificates(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A certificate that cannot be trusted ends the session with one line; with `ca=` the good one is recorded."""
    made = certificates_in(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made[name])
    with (
        caplog.at_level(logging.INFO, "replaylab"),
        in_background(in_turn([LINE % 0, END]), ssl=context) as port,
    ):
        url = f"wss://localhost:{port}/feed"
        for trusted in (None, made[name]) if name != "good" else (None,):
            with recording(url, tmp_path / "copy", ca=trusted) as session:
                wait_for(lambda: str(session.status().state) == "failed")
                assert session.status().attempts == 1
                assert "certificate is not trusted" in session.status().reasons[0]
        if name == "good":
            with recording(url, tmp_path / "copy", ca=made[name]) as session:
                session.wait("closed", timeout=60)
            assert numbers(tmp_path / "copy") == [0]
    assert clear(caplog.records, ": failed (")


def unsigned(claims: dict[str, Any]) -> str:
    """A token that nobody has signed."""
    return jwt.encode(claims, "", algorithm="none")


CLAIMS = {"exp": 4_000_000_000, "aud": "replaylab"}
TOKENS = {
    "none": None,
    "unsigned": unsigned(CLAIMS),
    "expired": jwt.encode(CLAIMS | {"exp": 1_000_000_000}, SECRET, "HS256"),
    "other secret": jwt.encode(CLAIMS, SECRET[::-1], "HS256"),
    "other audience": jwt.encode(CLAIMS | {"aud": "other"}, SECRET, "HS256"),
    "other algorithm": jwt.encode(CLAIMS, SECRET * 2, "HS512"),
    "no end": jwt.encode({"aud": "replaylab"}, SECRET, "HS256"),
    "no token": "planted-77",
}


def test_tokens_that_are_not_accepted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each is refused with the same answer, the session fails after two, and no text of a token stands anywhere."""
    store = whole_games(tmp_path / "source", 1, 3)
    answers = set()
    with caplog.at_level(logging.DEBUG), rl.serve(store, pacing="none", secret=SECRET) as server:
        address = server.url + "?from=start"
        for way in (address, address.replace("ws:", "socketio+http:").replace("/feed", "/")):
            for token in TOKENS.values():
                with recording(way, tmp_path / "copy", token=token) as session:
                    wait_for(lambda: str(session.status().state) == "failed")
                    assert session.status().attempts == 2
                    answers.add((way.partition(":")[0], session.status().last_error))
                    shown = repr(session) + repr(session.status()) + repr(session.feed)
                    assert token is None or token not in shown
        with recording(address, tmp_path / "copy", token=Tokens(SECRET).issue(60)) as session:
            session.wait("closed", timeout=60)
    assert len(answers) == 2  # one of each way in, whatever is wrong
    copy = rl.open_store(tmp_path / "copy")
    assert rows_of(copy) == rows_of(store)
    kept = b"".join(path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file())
    written = kept + caplog.text.encode()
    for token in (*filter(None, TOKENS.values()), SECRET):
        assert token.encode() not in written
    assert clear([one for one in caplog.records if one.name.startswith("replaylab")], ": failed (")


def test_a_token_function_that_raises(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its text, which may be secret, stands neither in the log nor in the status nor in what is raised."""

    def token() -> str:
        raise RuntimeError("planted-secret-77")

    with caplog.at_level(logging.DEBUG), in_background(in_turn([LINE % 0, END])) as port:
        with recording(f"ws://127.0.0.1:{port}/feed", tmp_path, token=token) as session:
            wait_for(lambda: str(session.status().state) == "failed")
            with pytest.raises(rl.errors.FeedLost) as raised:
                session.wait("live", timeout=60)
            shown = repr(session.status()) + str(raised.value)

        async def bare() -> str:
            with pytest.raises(rl.errors.FeedRefused) as refused:
                async with open_feed(f"ws://127.0.0.1:{port}/feed", token=token):
                    pass
            return repr(refused.value) + repr(refused.value.__cause__)

        shown += asyncio.run(bare())
    assert "planted" not in shown + caplog.text
