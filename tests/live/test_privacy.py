"""Names, ids and messages of players are in no file, log or status, also where everything is logged."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.feeds.socketio import SocketIOFeed
from replaylab.sessions.session import LiveSession
from tests.feeds.frames import GAME, encoded, price, tick_frame
from tests.feeds.servers import in_background, speaking_socketio
from tests.live.copies import QUICK, wait_for

PLANTED = ["anna-planted-51", "did:planted:5552", "message-planted-53", "wallet-planted-54"]


def left_of(
    events: list[tuple[str, str]], last: tuple[str, int], folder: Path, caplog: pytest.LogCaptureFixture
) -> bytes:
    """All that is written of events, by a session at the level DEBUG: journals and segments, logs, status."""
    with (
        caplog.at_level(logging.DEBUG),
        caplog.at_level(logging.DEBUG, "replaylab"),
        in_background(speaking_socketio(events)) as port,
    ):
        feed = SocketIOFeed(f"socketio+http://127.0.0.1:{port}", trades=True)
        session = LiveSession(feed, to=folder, clock=QUICK).start()
        try:
            wait_for(lambda: (session.status().game_id, session.status().tick) == last)
            shown = repr(session.kept) + repr(session.status()) + session.gaps().to_csv()
            journals = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        finally:
            session.stop()
    store = rl.open_store(folder)
    assert isinstance(store, rl.Store)
    read = repr([game.marks for game in store]) + store.games().to_csv() + repr(store.games_table().to_pylist())
    sealed = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    logged = "\n".join(one.getMessage() for one in caplog.records if one.name != "websockets.server")  # of this test
    return journals + sealed + (shown + read + logged).encode()


def test_planted_people(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is planted in every place of frames of the real shape is nowhere, and the trades are there."""
    people = [{"username": PLANTED[0], "playerId": PLANTED[1], "text": PLANTED[2], "wallet": PLANTED[3]}]
    more: dict[str, Any] = {"leaderboard": people, "rugRoyale": {"players": people}, "globalTrades": people}
    more["pauseMessage"] = PLANTED[2]
    trade = {"gameId": GAME, "type": "buy", "price": 1, "qty": 2, "tickIndex": 1, "id": PLANTED[3], **people[0]}
    entry = {"id": GAME, "prices": [price(0)], "globalSidebets": people, "globalTrades": people}
    events = [
        ("gameStateUpdate", tick_frame(0, **more)),
        ("standard/newTrade", encoded(trade)),
        ("newChatMessage", encoded(people[0])),
        ("gameStateUpdate", tick_frame(1, **more)),
        ("gameStateUpdate", tick_frame(2, rugged=True, gameHistory=[entry], **more)),
        ("gameStateUpdate", tick_frame(0, game="next-game", **more)),
    ]
    left = left_of([(name, raw.decode()) for name, raw in events], ("next-game", 0), tmp_path, caplog)
    assert b"newChatMessage" in left  # it was counted, by its name
    assert [name for name in PLANTED if name.encode() in left] == []
    trades = rl.open_store(tmp_path).game(GAME).trades()
    assert trades[["tick", "side"]].values.tolist() == [[1, "buy"]]
