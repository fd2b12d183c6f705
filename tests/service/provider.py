"""An OpenID provider of this machine: a configuration, keys that turn, and tokens that it signs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CONFIGURATION: Final = "/.well-known/openid-configuration"
PRIVATE: Final = {name: rsa.generate_private_key(65537, 2048) for name in ("first", "second")}


class Provider:
    """Its address and what it answers: `keys` by their id, `paths` with other answers than usual."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.keys = ["first"]
        self.paths: dict[str, tuple[int, bytes, str]] = {}
        self.asked: list[str] = []
        self.hangs = threading.Event()
        self.hangs.set()  # it does not

    def token(self, key: str = "first", **claims: Any) -> str:
        """Return a token of an admin, signed with a key; a claim that is None is left out."""
        told = {"iss": self.url, "aud": "replaylab", "sub": "ann", "role": "admin", "exp": 4_000_000_000} | claims
        kept = {name: value for name, value in told.items() if value is not None}
        return jwt.encode(kept, PRIVATE[key], algorithm="RS256", headers={"kid": key})

    def answer(self, path: str) -> tuple[int, bytes, str]:
        """Return status, body and, of a redirect, where it leads."""
        self.asked.append(path)
        self.hangs.wait(60)
        if path in self.paths:
            return self.paths[path]
        if path == CONFIGURATION:
            return 200, json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/keys"}).encode(), ""
        found = [
            jwt.get_algorithm_by_name("RS256").to_jwk(PRIVATE[name].public_key(), as_dict=True) | {"kid": name}
            for name in self.keys
        ]
        return 200, json.dumps({"keys": found}).encode(), ""


@contextmanager
def provider() -> Iterator[Provider]:
    """Run a provider on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body, location = made.answer(self.path)
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Write nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        made = Provider(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, name="provider", daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.hangs.set()
            server.shutdown()
            thread.join()
