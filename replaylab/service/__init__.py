"""Service: recordings given back as a live feed, over WebSocket, JSON lines and server-sent events."""
