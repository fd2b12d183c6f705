"""Closing: how the WebSockets of a server end: with 1001 when it stops; refused with a status, without a complaint."""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

GOING_AWAY: Final = 1001


class GoingAway(WebSocketsSansIOProtocol):
    """A WebSocket of uvicorn that closes with 1001 at shutdown; uvicorn sends 1012, which promises a restart.

    A handshake that is refused with a status is over: uvicorn would log that the application has not completed it.
    """

    async def send(self, message: Any) -> None:
        """Send what the application says."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True

    def shutdown(self) -> None:
        """Say that the server goes away, and close."""
        if self.handshake_complete and not self.close_sent and self.conn.state is State.OPEN:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": GOING_AWAY})
            self.conn.send_close(GOING_AWAY)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        super().shutdown()
