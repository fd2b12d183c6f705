"""Commands on live feeds: serve a store as one, and record any number of them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from replaylab.cli.exit_codes import COULD_NOT_RUN, INTERRUPTED, complain, finish
from replaylab.cli.options import StorePath
from replaylab.errors import SettingsError, SourceNotFound, SourceUnreadable

if TYPE_CHECKING:
    from replaylab.watching.alert import Target
    from replaylab.watching.webhook import Webhook

_LOOK_SECONDS: Final = 1.0
_TERMINATED: Final = 143
SECRET_ENVIRONMENT: Final = "REPLAYLAB_TOKEN_SECRET"  # noqa: S105 the name of a variable
ALERT_SECRET_ENVIRONMENT: Final = "REPLAYLAB_ALERT_SECRET"  # noqa: S105 the name of a variable


def serve(
    store: StorePath,
    *,
    speed: Annotated[float, typer.Option(help="Seconds of the recording a second.")] = 1.0,
    pacing: Annotated[str, typer.Option(help="recorded, nominal or none: how far apart ticks are.")] = "recorded",
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end, with games of new ids.")] = False,
    host: Annotated[str, typer.Option(help="Where to listen; another than this machine needs a secret.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 is any that is free.")] = 8765,
    secret_file: Annotated[
        Path | None, typer.Option(help=f"File with the secret of the tokens; else {SECRET_ENVIRONMENT} is read.")
    ] = None,
    keys: Annotated[
        str | None, typer.Option(metavar="FILE|URL", help="Public keys (PEM, JSON Web Keys) in place of a secret.")
    ] = None,
) -> None:
    """Serve a store as a live feed until Ctrl-C: /feed (WebSocket), /feed.jsonl, /events, /health/ready, /metrics."""
    from replaylab.service.server import serve as library_serve

    secret = secret_of(secret_file, ask=keys is None)
    chosen: Any = pacing
    server = library_serve(store, speed=speed, pacing=chosen, loop=loop, host=host, port=port, secret=secret, keys=keys)
    complain(f"serving {store} at {server.url} (also {server.http}/feed.jsonl); Ctrl-C ends")
    code = until_signal(lambda: not server.is_serving)
    server.stop()
    if code:
        raise typer.Exit(code)


def secret_of(path: Path | None, *, ask: bool = True) -> str | None:
    """Return the secret of tokens: that of a file, or that of the environment when it is asked for; None for none."""
    if path is None:
        return os.environ.get(SECRET_ENVIRONMENT) or None if ask else None
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise SourceNotFound(f"{path}: no such file; write the secret of the tokens into it") from None
    except (OSError, UnicodeDecodeError):
        raise SourceUnreadable(f"{path}: cannot be read as text") from None


def webhooks(urls: list[str]) -> list[Webhook]:
    """Return webhooks to addresses, signed with the secret in REPLAYLAB_ALERT_SECRET.

    Raises
    ------
    SettingsError
        When an address is none, or the secret is missing or short; neither is shown.
    """
    from replaylab.watching.webhook import Webhook

    secret = os.environ.get(ALERT_SECRET_ENVIRONMENT, "")
    if urls and not secret:
        raise SettingsError(
            f"--alert: set {ALERT_SECRET_ENVIRONMENT} to the secret that signs alerts, 32 bytes or more; its receiver "
            "checks them with the same"
        )
    return [Webhook(url, secret) for url in urls]


def record_feeds(
    store: str, urls: list[str], *, token: str | None, trades: bool, show: bool, alerts: Sequence[Target] = ()
) -> None:
    """Record live feeds until they are over, or Ctrl-C; print what came of each."""
    from replaylab.cli.feeds_table import FeedsTable
    from replaylab.sessions.opening import open_sessions
    from replaylab.sessions.session import LiveSession

    sessions = open_sessions(LiveSession, urls, store, token=token, trades=trades, alerts=alerts)

    terminal = FeedsTable(sys.stderr) if show and sys.stderr.isatty() else None

    def look() -> bool:
        found = [session.status() for session in sessions]
        if terminal is not None:
            terminal.show(found)
        elif show:
            for one in found:
                where = f"game {one.game_id} tick {one.tick}" if one.game_id else "nothing yet"
                gaps = f"{one.gaps} gaps, {one.missing} missing"
                print(f"{one.feed}: {one.state}, {one.ticks:,} ticks, {gaps}, {where}", file=sys.stderr)  # noqa: T201
        return all(str(one.state) in {"closed", "failed"} for one in found)

    sessions.start()
    code = until_signal(look)
    problems = [f"{one.feed}: {one.last_error}" for one in (s.status() for s in sessions) if str(one.state) == "failed"]
    report = sessions.stop()
    for one in (session.status() for session in sessions):
        refused = sum(one.refused.values())
        counts = f"{one.ticks:,} ticks, {one.gaps} gaps, {one.missing} missing, {refused} messages refused"
        print(f"{one.feed}: {counts}")  # noqa: T201 the answer
    if report is not None and report.problem:
        problems.append(report.problem)
    if code:
        complain(*problems, "interrupted")
        raise typer.Exit(code)
    if problems and not any(session.status().ticks for session in sessions):
        complain(*problems)
        raise typer.Exit(COULD_NOT_RUN)
    finish(*problems)


def until_signal(over: Callable[[], bool]) -> int:
    """Wait for the end, or for a signal; return the exit code of the signal, 0 for none."""
    heard: list[int] = []
    woken = threading.Event()

    def hear(number: int, _frame: object) -> None:
        heard.append(number)
        woken.set()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not heard and not over():
            woken.wait(_LOOK_SECONDS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not heard:
        return 0
    return INTERRUPTED if heard[0] == signal.SIGINT else _TERMINATED
