"""Commands on live feeds: serve a store as one, and record any number of them."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from replaylab.cli.exit_codes import COULD_NOT_RUN, INTERRUPTED, complain, finish
from replaylab.cli.options import StorePath
from replaylab.durable import of_user
from replaylab.errors import SettingsError, SourceNotFound, SourceUnreadable
from replaylab.plural import count_of

if TYPE_CHECKING:
    from replaylab.sessions.event import LiveStatus
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
    from replaylab.feeds.stored import left_out_text
    from replaylab.service.server import serve as library_serve

    secret = secret_of(secret_file, ask=keys is None)
    chosen: Any = pacing
    with signals_kept() as wait:
        server = library_serve(
            store, speed=speed, pacing=chosen, loop=loop, host=host, port=port, secret=secret, keys=keys
        )
        complain(f"serving {store} at {server.url} (also {server.http}/feed.jsonl); Ctrl-C ends")
        if server.left_out:
            complain(left_out_text(server.left_out))
        code = wait(lambda: not server.is_serving)
    server.stop()
    if code:
        raise typer.Exit(code)


def secret_of(path: Path | None, *, ask: bool = True) -> str | None:
    """Return the secret of tokens: that of a file, or that of the environment when it is asked for; None for none."""
    if path is None:
        return os.environ.get(SECRET_ENVIRONMENT) or None if ask else None
    path = of_user(path)
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


def record_feeds(store: str, urls: list[str], *, show: bool, **options: Any) -> None:
    """Record live feeds until they are over, or Ctrl-C; print what came of each; options as in `open_sessions`."""
    with signals_kept() as wait:
        from replaylab.cli.feeds_table import FeedsLog, FeedsTable
        from replaylab.sessions.opening import open_sessions
        from replaylab.sessions.session import LiveSession

        sessions = open_sessions(LiveSession, urls, store, **options)
        screen = FeedsTable(sys.stderr) if show and sys.stderr.isatty() else FeedsLog(sys.stderr) if show else None

        def look() -> bool:
            found = [session.status() for session in sessions]
            if screen is not None:
                screen.show(found)
            return all(str(one.state) in {"closed", "failed"} for one in found)

        sessions.start()
        try:
            code = wait(look)
        finally:
            if screen is not None:
                screen.close()
            states = [session.status() for session in sessions]
            report = sessions.stop()
    problems = [one.last_error for one in states if str(one.state) == "failed" and one.last_error]
    for session in sessions:
        print(summary_of(session.status()))  # noqa: T201 the answer
    if report is not None and report.problem:
        problems.append(report.problem)
    if code:
        complain(*problems, "interrupted")
        raise typer.Exit(code)
    if problems and not any(session.status().ticks for session in sessions):
        complain(*problems)
        raise typer.Exit(COULD_NOT_RUN)
    finish(*problems)


def summary_of(status: LiveStatus) -> str:
    """Return what came of a feed, in a line.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from replaylab.sessions.event import LiveState, LiveStatus
    >>> at = datetime(2031, 1, 2, tzinfo=UTC)
    >>> summary_of(LiveStatus("ws://here/feed", LiveState.CLOSED, at, ticks=7, refused={"not_json": 2}))
    'ws://here/feed: 7 ticks, 0 gaps, 0 missing, 2 messages refused (not_json 2)'
    """
    refused = sum(status.refused.values())
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(status.refused.items()))
    counts = f"{count_of(status.ticks, 'tick')}, {count_of(status.gaps, 'gap')}, {status.missing:,} missing"
    counts += f", {count_of(refused, 'message')} refused"
    return f"{status.feed}: {counts}{f' ({reasons})' if reasons else ''}"


@contextmanager
def signals_kept() -> Iterator[Callable[[Callable[[], bool]], int]]:
    """Keep signals from here on; yield what waits for the end or one of them, and returns its exit code, 0 for none.

    One that comes while feeds or a server are still being opened ends them once they are. After it the process is about
    to end, and further ones are passed over: they would cut its ending short.
    """
    heard: list[int] = []
    woken = threading.Event()

    def hear(number: int, _frame: object) -> None:
        heard.append(number)
        woken.set()

    def leave() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if heard else handler)

    def wait(over: Callable[[], bool]) -> int:
        try:
            while not heard and not over():
                woken.wait(_LOOK_SECONDS)
        finally:
            leave()
        if not heard:
            return 0
        return INTERRUPTED if heard[0] == signal.SIGINT else _TERMINATED

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield wait
    finally:
        leave()
