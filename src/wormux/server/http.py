"""What is served over HTTP: the page, the login, health and metrics; and what every request passes first.

`Entrance` refuses foreign names and origins, takes the path prefix away and puts the security headers on every
answer. No answer and no log line holds a token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wormux.bugs import log_bug
from wormux.config import Site
from wormux.errors import SetupError, StoreError
from wormux.limits import LOGIN_ATTEMPTS_WITHIN_S, SESSION_COOKIE_S
from wormux.protocol.close_codes import CloseCode
from wormux.server.audit import LOGIN
from wormux.server.auth import Sites, Verdict, bearer, below
from wormux.server.health import judge_health
from wormux.server.page import Page, PageFile
from wormux.server.running import Running
from wormux.server.websocket import serve_client

logger = logging.getLogger(__name__)

ADMITTED = "wormux.admitted"
"""Under which a host may put a function into a WebSocket's `extensions`: called when somebody is let in by it."""
_SITE = "wormux.site"
"""Where `Entrance` leaves the site of a request in its scope."""

_STATIC_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def content_security_policy(site: Site | None) -> str:
    """No script but our own files. Styles may be inline, because xterm.js writes its own style elements; the
    socket is named, because not every browser takes 'self' for it."""
    socket = "" if site is None else f" {'wss' if site.secure else 'ws'}://{site.authority}"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        f"font-src 'self'; connect-src 'self'{socket}; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


class Entrance:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, sites: Sites) -> None:
        self._app = app
        self._sites = sites

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        root: str = scope.get("root_path", "")
        path: str = scope["path"].removeprefix(root) if below(scope["path"], root) else scope["path"]
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        site = self._sites.named(hosts[0], path) if len(hosts) == 1 else None
        started = False

        async def send_secured(message: Message) -> None:
            nonlocal started
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                found = MutableHeaders(scope=message)
                for name, value in _STATIC_HEADERS.items():
                    found.setdefault(name, value)
                found.setdefault("content-security-policy", content_security_policy(site))
            started = True
            await send(message)

        refusal = self._refusal(site, headers.getlist("origin"), path)
        if refusal is not None:
            await refuse(scope, receive, send_secured, refusal)
            return
        if site is not None:
            if site.prefix and below(path, site.prefix):
                scope = {**scope, "root_path": root + site.prefix}
                path = path.removeprefix(site.prefix)
            scope = {**scope, _SITE: replace(site, prefix=site.prefix or root)}
        try:
            if path == "" and scope["type"] == "http":
                query = scope["query_string"].decode("latin-1")
                await _see(scope, 308, query and f"?{query}")(scope, receive, send_secured)
            else:
                await self._app(scope, receive, send_secured)
        except (SetupError, OSError):
            raise  # not ours to answer: the host failed, or the client is gone
        except Exception as error:
            log_bug(logger, "answering a request", error)
            if not started:
                response = PlainTextResponse("The server failed; its log says where.\n", 500)
                await response(scope, receive, send_secured)

    def _refusal(self, site: Site | None, origins: list[str], path: str) -> str | None:
        """Why this request is refused. Health may be asked under any name: probes use addresses."""
        if path in ("/healthz", "/healthz/live"):
            return None
        if site is None:
            return "This server is not known by this name: start it with --public-url and this address.\n"
        if not all(map(self._sites.allows_origin, origins)):
            return "Pages of other sites may not speak to this server.\n"
        return None


async def refuse(scope: Scope, receive: Receive, send: Send, sentence: str, status: int = 403) -> None:
    """Answer with an error, also before a WebSocket's handshake."""
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})  # the host makes a 403 of it
        return
    await PlainTextResponse(sentence, status)(scope, receive, send)


def _see(scope: Scope, status: int, query: str = "") -> Response:
    """A redirect to the root of the page."""
    site: Site = scope[_SITE]
    return Response(status_code=status, headers={"location": f"{site.prefix}/{query}"})


def _peer(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client is not None else "unknown"


class Endpoints:
    """The handlers of one application. `running` gives its parts, or raises if its lifespan was not entered."""

    def __init__(self, running: Callable[[], Running]) -> None:
        self._running = running

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/", self.root, methods=["GET"]),
            Route("/assets/{name:path}", self.asset, methods=["GET"]),
            Route("/healthz", self.health, methods=["GET"]),
            Route("/healthz/live", self.live, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/control/rotate-token", self.rotate_token, methods=["POST"]),
            WebSocketRoute("/ws", _Socket(self._running)),
        ]

    async def root(self, request: Request) -> Response:
        running = self._running()
        token = request.query_params.get("token")
        if token is not None:
            return await self._log_in(request, running, token)
        index = running.page.index
        if index is None:
            return PlainTextResponse(
                "The page is not built: run `make page` in the sources of Wormux and start the server again.\n",
                503,
            )
        return _file_response(request, index, "no-cache")

    async def asset(self, request: Request) -> Response:
        file = self._page().assets.get(request.path_params["name"])
        if file is None:
            return PlainTextResponse("There is nothing here.\n", 404)
        return _file_response(request, file, "public, max-age=31536000, immutable")

    async def health(self, _request: Request) -> Response:
        running = self._running()
        health = judge_health(running.driver, running.telemetry.lag_s)
        return PlainTextResponse(health.text(), 200 if health.ready else 503)

    async def live(self, _request: Request) -> Response:
        """That this is answered says it all."""
        return PlainTextResponse("ok\n")

    async def metrics(self, request: Request) -> Response:
        running = self._running()
        refusal = self._refused(request, running)
        if refusal is not None:
            return refusal
        return Response(running.telemetry.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def rotate_token(self, request: Request) -> Response:
        """For `wormux token rotate`, which shows what stands in the data directory. No page may ask for it."""
        running = self._running()
        refusal = self._refused(request, running)
        if refusal is not None:
            return refusal
        if "origin" in request.headers or not running.gate.is_control(bearer(request.headers) or ""):
            return PlainTextResponse("Run `wormux token rotate` on the machine of the server.\n", 403)
        try:
            await running.rotate_token()
        except SetupError as error:
            return PlainTextResponse(f"{error}\n", 409)
        return Response(status_code=204)

    def _refused(self, request: Request, running: Running) -> Response | None:
        """What a program without the right token is told; None for one that has it."""
        verdict = running.judge(request.headers, _peer(request), request.scope["path"])
        if verdict is Verdict.TOO_MANY:
            return _too_many()
        if verdict is Verdict.REFUSED:
            sentence = "Send the token as `Authorization: Bearer …`.\n"
            return PlainTextResponse(sentence, 401, {"www-authenticate": "Bearer"})
        return None

    def _page(self) -> Page:
        return self._running().page

    async def _log_in(self, request: Request, running: Running, token: str) -> Response:
        verdict = running.try_token(token, _peer(request), "/")
        if verdict is Verdict.TOO_MANY:
            return _too_many()
        response = _see(request.scope, 303)
        if verdict is Verdict.ADMITTED:
            running.telemetry.counts.logins += 1
            value = running.gate.logins.new()
            running.audit.note(LOGIN, _peer(request))
            try:
                await running.keep_logins()
            except StoreError as error:
                logger.warning("A login could not be stored and ends with the server: %s", error)
            site: Site = request.scope[_SITE]
            response.set_cookie(
                running.gate.cookie,
                value,
                max_age=SESSION_COOKIE_S,
                path=f"{site.prefix}/",
                secure=site.secure,
                httponly=True,
                samesite="strict",
            )
        return response


class _Socket:
    """`/ws`. Whoever may not come in gets a whole handshake first, so that a page can tell this from a server
    that is down."""

    def __init__(self, running: Callable[[], Running]) -> None:
        self._running = running

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        running = self._running()
        if (await receive())["type"] != "websocket.connect":
            return
        connection = HTTPConnection(scope)
        peer = _peer(connection)
        verdict = running.judge(connection.headers, peer, "/ws")
        if verdict is Verdict.TOO_MANY:
            await _too_many()(scope, receive, send)
            return
        token_number = running.gate.token_number
        await send({"type": "websocket.accept"})
        if verdict is Verdict.REFUSED or token_number != running.gate.token_number:
            reason = "The token is missing, wrong or old."
            await send({"type": "websocket.close", "code": CloseCode.NOT_AUTHENTICATED, "reason": reason})
        elif running.driver.stopping:
            reason = "The server is stopping."
            await send({"type": "websocket.close", "code": CloseCode.SERVICE_RESTART, "reason": reason})
        else:
            scope.get("extensions", {}).get(ADMITTED, lambda: None)()
            await serve_client(receive, send, running.driver, running.telemetry.counts, peer)


def _too_many() -> Response:
    return PlainTextResponse(
        "Too many wrong tokens: wait a minute and try again.\n",
        429,
        {"retry-after": f"{LOGIN_ATTEMPTS_WITHIN_S:.0f}"},
    )


def _file_response(request: Request, file: PageFile, cache_control: str) -> Response:
    headers = {"cache-control": cache_control, "etag": file.etag, "vary": "accept-encoding"}
    if file.etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    content = file.content
    if file.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        content = file.packed
        headers["content-encoding"] = "gzip"
    return Response(content, headers={**headers, "content-type": file.content_type})
