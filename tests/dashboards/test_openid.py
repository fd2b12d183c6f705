"""The dashboard behind an OpenID provider: its tokens open it by their role, and the log says who did what."""

from __future__ import annotations

from pathlib import Path

import pytest

import replaylab as rl
from replaylab.dashboards.server import serve_dashboard
from replaylab.service.public_keys import PublicKeys
from replaylab.service.tokens import Tokens
from tests.dashboards.test_app import ask
from tests.service.provider import CONFIGURATION, provider

TICK = {"game_id": "g", "tick": 1, "timestamp": "2031-01-02T03:04:05Z", "price": "1.5", "active": True, "rugged": False}


def test_a_provider_decides_who_may_do_what(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A token does what its role may; another issuer, audience or key opens nothing; the log names who acted."""
    with rl.Recorder(tmp_path) as recorder:
        recorder.record(TICK)
    with provider() as issuer:
        tokens = Tokens(keys=PublicKeys(issuer.url + CONFIGURATION))
        with caplog.at_level("INFO", "replaylab.dashboard"), serve_dashboard(tmp_path, tokens=tokens) as server:

            def status(path: str = "/state", method: str = "GET", body: object = None, **claims: str | None) -> int:
                key = claims.pop("key", None) or "first"
                return ask(server, path, method, body, Authorization=f"Bearer {issuer.token(key, **claims)}").status

            assert [status(role=role) for role in ("view", "record", "admin", "root", None)] == [200] * 3 + [403] * 2
            assert [status(key="second"), status(iss="https://other.example"), status(aud="others")] == [401] * 3
            verify = {"act": "verify", "run": "", "confirm": "verify"}
            assert status("/act", "POST", verify, role="view", sub="eve") == 403
            assert status("/act", "POST", verify, role="admin", sub="ann") == 202
            assert ask(server, "/session", "POST", {"token": issuer.token(role="view")}).status == 303
    audit = [record.getMessage() for record in caplog.records]
    assert any("ann" in line and "verify" in line for line in audit), audit
    assert any("eve" in line and "was denied" in line for line in audit), audit
    assert not any(issuer.token(role="view")[-40:] in line for line in audit)
