"""The web face of the dashboard: the page, what it shows as server-sent events, games that play, acts and metrics."""

from __future__ import annotations

import asyncio
import html
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from replaylab.dashboards.access import COOKIE, Access, Denied, Role
from replaylab.dashboards.acts import Acts
from replaylab.dashboards.metrics import exposition
from replaylab.dashboards.view import View
from replaylab.errors import ReplayLabError
from replaylab.storage.store import Store

MAX_CLIENTS: Final = 100
SECONDS: Final = 1.0  # between two events
_FIRST_SECONDS: Final = 0.2  # that a page waits for the games; those of thousands of segments take longer at first
_MOST_BYTES: Final = 16_384  # of a request
_FRONT: Final = Path(__file__).parent / "front"
_TYPES: Final = {"page.js": "text/javascript", "page.css": "text/css"}
_SAFE: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'self'",
    "Referrer-Policy": "same-origin",  # with none at all a form would send no origin that can be checked
    "X-Content-Type-Options": "nosniff",
}
# A page that plays carries its own script and picture; it may load nothing.
_GAME: Final = _SAFE | {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline' blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src data: blob:; frame-ancestors 'self'; base-uri 'none'"
}
_log = logging.getLogger("replaylab.dashboard")

Handler = Callable[[Request], Awaitable[Response]]


class DashboardApp:
    """The routes of a dashboard. All addresses in its pages are relative, so it works behind a proxy.

    Parameters
    ----------
    store : Store
        A store of this machine.
    access : Access
        Who may see it, and who may act.
    """

    def __init__(self, store: Store, access: Access) -> None:
        self.store = store
        self.access = access
        self.acts = Acts(store)
        self.clients = 0
        self.closing = False
        self._view = View(store)
        self._latest: dict[str, Any] | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._begun: set[asyncio.Task[dict[str, Any]]] = set()  # what pages have not waited for
        self.web = Starlette(
            routes=[
                Route("/", self._guarded(self._page)),
                Route("/page.js", _file),
                Route("/page.css", _file),
                Route("/state", self._guarded(self._state)),
                Route("/events", self._guarded(self._events)),
                Route("/game/{game_id:path}", self._guarded(self._game)),
                Route("/metrics", self._guarded(self._metrics)),
                Route("/session", self._guarded(self._open_session), methods=["POST"]),
                Route("/session/end", self._guarded(self._close_session), methods=["POST"]),
                Route("/act", self._guarded(self._act), methods=["POST"]),
                Route("/health/live", _alive),
            ]
        )

    def _guarded(self, handler: Handler) -> Handler:
        """Return a handler whose refusals are answers."""

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except Denied as denied:
                if "text/html" in request.headers.get("accept", ""):
                    return self._refusal(request, denied.status, denied.problem)
                return JSONResponse({"error": denied.problem}, denied.status, headers=_SAFE)

        return answer

    # What is shown

    async def now(self) -> dict[str, Any]:
        """Return the state of the store, read once a second however many ask."""
        async with self._reading:
            loop_time = asyncio.get_running_loop().time()
            if self._latest is None or loop_time - self._read_at >= SECONDS * 0.9:
                found = await asyncio.to_thread(self._view.now, self.acts.verified)
                self._read_at = asyncio.get_running_loop().time()
                self._latest = found
        job = self.acts.last
        return self._latest | {"job": None if job is None else job.shown()}

    async def _first(self) -> dict[str, Any]:
        """Return the state for a new page, without the games where those take long to read; they come as an event."""
        whole = asyncio.create_task(self.now())
        self._begun.add(whole)
        whole.add_done_callback(self._begun.discard)
        done, _ = await asyncio.wait({whole}, timeout=_FIRST_SECONDS)
        if done:
            return whole.result()
        return await asyncio.to_thread(self._view.now, self.acts.verified, look=False)

    async def _page(self, request: Request) -> Response:
        try:
            session = await self.access.allowed(request, Role.VIEW)
        except Denied as denied:
            if denied.status != 401:
                raise
            return self._refusal(request, 401)
        first = (await self._first()) | {"role": session.role.name.lower(), "leave": self.access.needs_token}
        text = _text("page.html").replace("{state}", html.escape(json.dumps(first), quote=False))
        return HTMLResponse(text, headers=_SAFE)

    def _refusal(self, request: Request, status: int, problem: str = "") -> Response:
        """Return a page with one line of what is wrong, and the form for a token where that may help."""
        asks = self.access.needs_token and request.url.path in {"/", "/session"}
        line = f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
        text = _text("login.html").replace("{problem}", line).replace("{form}", _text("form.html") if asks else "")
        return HTMLResponse(text, status, headers=_SAFE)

    async def _state(self, request: Request) -> Response:
        await self.access.allowed(request, Role.VIEW)
        return JSONResponse(await self.now(), headers=_SAFE)

    async def _events(self, request: Request) -> Response:
        session = await self.access.allowed(request, Role.VIEW)
        if self.clients >= MAX_CLIENTS:
            raise Denied(503, f"{MAX_CLIENTS} pages are open")
        more = {"role": session.role.name.lower(), "leave": self.access.needs_token}

        async def body() -> AsyncIterator[bytes]:
            self.clients += 1
            sent: dict[str, Any] = {}  # what the page has been told
            try:
                yield b"retry: 1000\n\n"
                while not self.closing and session.ends > self.access.now():
                    state = (await self.now()) | more
                    news = {name: value for name, value in state.items() if sent.get(name, ...) is not value}
                    yield b"data: " + json.dumps(news).encode() + b"\n\n"
                    sent = state
                    await asyncio.sleep(SECONDS)
            finally:
                self.clients -= 1

        return StreamingResponse(body(), media_type="text/event-stream", headers=_SAFE | {"X-Accel-Buffering": "no"})

    async def _game(self, request: Request) -> Response:
        await self.access.allowed(request, Role.VIEW)
        try:
            text = await asyncio.to_thread(self._game_page, request.path_params["game_id"])
        except (ReplayLabError, OSError) as error:
            return HTMLResponse(
                f"<!doctype html><title>No game</title><p>{html.escape(str(error))}", 404, headers=_SAFE
            )
        return HTMLResponse(text, headers=_GAME)

    def _game_page(self, game_id: str) -> str:
        from replaylab.widgets.fallback import page

        return page(self.store[game_id])

    async def _metrics(self, request: Request) -> Response:
        await self.access.allowed(request, Role.VIEW)
        text, media = exposition(await self.now())
        return Response(text, media_type=media, headers=_SAFE)

    # What is done

    async def _open_session(self, request: Request) -> Response:
        said = await _body(request)
        name, session = await self.access.open_session(request, str(said.get("token", "")))
        answer = RedirectResponse("./", 303, headers=_SAFE)
        seconds = max(0, int(session.ends - self.access.now()))
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, name, max_age=seconds, httponly=True, samesite="strict", secure=secure)
        return answer

    async def _close_session(self, request: Request) -> Response:
        self.access.check_place(request)
        self.access.close_session(request)
        answer = RedirectResponse("../", 303, headers=_SAFE)
        answer.delete_cookie(COOKIE)
        return answer

    async def _act(self, request: Request) -> Response:
        said = await _body(request)
        act, run = str(said.get("act", "")), said.get("run")
        least = Role.RECORD if act in {"flush", "stop"} else Role.ADMIN
        session = await self.access.allowed(request, least)
        if said.get("confirm") != act:
            raise Denied(409, f"an act is confirmed by its name: confirm={act!r}")
        try:
            begun = await asyncio.to_thread(self.acts.do, act, None if run is None else str(run), session.subject)
        except (ValueError, ReplayLabError, OSError) as error:
            return JSONResponse({"error": str(error)}, 409, headers=_SAFE)
        return JSONResponse({"said": begun}, 202, headers=_SAFE)


async def _body(request: Request) -> dict[str, Any]:
    """Return what a request carries, as JSON or as a form."""
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > _MOST_BYTES:
            raise Denied(413, f"a request carries at most {_MOST_BYTES} bytes")
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        from urllib.parse import parse_qsl

        return dict(parse_qsl(data.decode("utf-8", "replace")))
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise Denied(400, "the request must carry one JSON object")
    return said


async def _file(request: Request) -> Response:
    name = request.url.path.rsplit("/", 1)[-1]
    return Response(_text(name), media_type=_TYPES[name], headers=_SAFE | {"Cache-Control": "max-age=60"})


async def _alive(_request: Request) -> Response:
    return JSONResponse({"status": "alive"})


@cache
def _text(name: str) -> str:
    return (_FRONT / name).read_text(encoding="utf-8")
