"""Framing of Engine.IO v4 and Socket.IO v5: every text is a packet or a named refusal."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.errors import FeedMalformed
from replaylab.feeds.engineio import PacketKind, connect_text, disconnect_text, event_text, packet_of

NAMESPACES = st.sampled_from(["/", "/game", "/a-b/c"])


@pytest.mark.parametrize(
    ("raw", "kind", "payload", "namespace", "attachments"),
    [
        (b'0{"sid":"x"}', "open", b'{"sid":"x"}', "/", 0),
        (b"1", "closed", b"", "/", 0),
        (b"2", "ping", b"", "/", 0),
        (b"2probe", "ping", b"probe", "/", 0),
        (b"3", "pong", b"", "/", 0),
        (b"6", "noop", b"", "/", 0),
        (b"40", "connect", b"", "/", 0),
        (b'40/admin,{"sid":"y"}', "connect", b'{"sid":"y"}', "/admin", 0),
        (b'40{"sid":"y","pid":"z"}', "connect", b'{"sid":"y","pid":"z"}', "/", 0),
        (b"41", "disconnect", b"", "/", 0),
        (b"41/admin,", "disconnect", b"", "/admin", 0),
        (b'42["a",1]', "event", b'["a",1]', "/", 0),
        (b'4212["a",1]', "event", b'["a",1]', "/", 0),
        (b'42/admin,12["a",1]', "event", b'["a",1]', "/admin", 0),
        (b'4313["ok"]', "ack", b'["ok"]', "/", 0),
        (b'44{"message":"no"}', "refused", b'{"message":"no"}', "/", 0),
        (b'451-["b",{"_placeholder":true,"num":0}]', "binary", b'["b",{"_placeholder":true,"num":0}]', "/", 1),
    ],
)
def test_packets_of_the_protocol(raw: bytes, kind: str, payload: bytes, namespace: str, attachments: int) -> None:
    """Each kind of packet that the two protocols define is read as what it is."""
    assert packet_of(raw) == (kind, payload, namespace, attachments)


@given(st.text(max_size=20), NAMESPACES, st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_what_is_written_is_read(name: str, namespace: str, argument: object) -> None:
    """An event that is written is read with its name, namespace and argument."""
    packet = packet_of(event_text(name, json.dumps(argument), namespace).encode())
    assert (packet.kind, packet.namespace) == (PacketKind.EVENT, namespace)
    assert json.loads(packet.payload) == [name, argument]


@given(NAMESPACES)
def test_connecting_and_leaving(namespace: str) -> None:
    """What asks for a namespace and what leaves it are read as that."""
    asked = packet_of(connect_text(namespace, {"token": "t"}).encode())
    assert (asked.kind, asked.namespace, json.loads(asked.payload)) == (PacketKind.CONNECT, namespace, {"token": "t"})
    assert packet_of(disconnect_text(namespace).encode())[::2] == (PacketKind.DISCONNECT, namespace)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_packet_or_refused(raw: bytes) -> None:
    """No bytes raise anything but `FeedMalformed`."""
    with suppress(FeedMalformed):
        assert packet_of(raw).kind in PacketKind
