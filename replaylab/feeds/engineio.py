"""Framing of Engine.IO v4 and Socket.IO v5: texts to packets and back. Pure.

A text of Engine.IO begins with the digit of its kind: open 0, close 1, ping 2, pong 3, message 4. A message of
Socket.IO follows the 4: its own digit, attachments and a dash when binary, a namespace and a comma, the digits of an
acknowledgement, and JSON.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import Final, NamedTuple

from replaylab.errors import FeedMalformed

PONG: Final = "3"
PROTOCOL: Final = "4"
_HEAD: Final = re.compile(rb"4([0-6])(?:(\d{1,4})-)?(?:(/[^,\[{\"]{0,200}),)?(\d{1,18})?")
_ENGINE: Final = {b"0": "open", b"1": "closed", b"2": "ping", b"3": "pong", b"6": "noop"}
_SOCKET: Final = {
    b"0": "connect",
    b"1": "disconnect",
    b"2": "event",
    b"3": "ack",
    b"4": "refused",
    b"5": "binary",
    b"6": "ack",
}


class PacketKind(StrEnum):
    """What a packet is; `refused` is the server's answer to a CONNECT that it does not accept."""

    OPEN = "open"
    CLOSED = "closed"
    PING = "ping"
    PONG = "pong"
    NOOP = "noop"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    EVENT = "event"
    ACK = "ack"
    REFUSED = "refused"
    BINARY = "binary"


class Packet(NamedTuple):
    """A packet: its kind, its JSON, its namespace, and how many binary frames follow it."""

    kind: PacketKind
    payload: bytes = b""
    namespace: str = "/"
    attachments: int = 0


def packet_of(raw: bytes) -> Packet:
    """Return the packet of one text frame; raises `FeedMalformed`.

    Examples
    --------
    >>> packet_of(b'42/game,["tick",{"n":1}]')
    Packet(kind=<PacketKind.EVENT: 'event'>, payload=b'["tick",{"n":1}]', namespace='/game', attachments=0)
    >>> packet_of(b"2").kind
    <PacketKind.PING: 'ping'>
    """
    first = raw[:1]
    if first != b"4":
        kind = _ENGINE.get(first)
        if kind is None:
            raise FeedMalformed("no_packet", "a frame that is no packet of Engine.IO v4")
        return Packet(PacketKind(kind), raw[1:])
    head = _HEAD.match(raw)
    if head is None:
        raise FeedMalformed("no_packet", "a message that is no packet of Socket.IO v5")
    digit, attachments, namespace, _ = head.groups()
    try:
        name = namespace.decode() if namespace else "/"
    except UnicodeDecodeError:
        raise FeedMalformed("no_packet", "a namespace that is not UTF-8") from None
    return Packet(PacketKind(_SOCKET[digit]), raw[head.end() :], name, int(attachments or 0))


def connect_text(namespace: str = "/", auth: object = None) -> str:
    """Return the text that asks for a namespace, with what proves who asks.

    Examples
    --------
    >>> connect_text(), connect_text("/game", {"token": "t"})
    ('40', '40/game,{"token":"t"}')
    """
    return f"40{_place(namespace)}{json.dumps(auth, separators=(',', ':')) if auth else ''}"


def event_text(name: str, argument: str, namespace: str = "/") -> str:
    """Return the text of an event with one argument, which is JSON already."""
    return f"42{_place(namespace)}[{json.dumps(name)},{argument}]"


def disconnect_text(namespace: str = "/") -> str:
    """Return the text that leaves a namespace."""
    return f"41{_place(namespace)}"


def _place(namespace: str) -> str:
    return "" if namespace == "/" else f"{namespace},"
