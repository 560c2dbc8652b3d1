"""Access control of the HTTP address: the token, its cookie, and protection against requests from other sites.

Without a token (loopback only) a request must name this machine as its host, which prevents DNS rebinding. A request
that changes something must come from our own page, or from no page at all.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from importlib import resources
from ipaddress import ip_address
from typing import Final
from urllib.parse import parse_qs, urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from stream.web.guesses import Guesses

_LONGEST_FORM: Final = 4_096
_COOKIE_LASTS: Final = 90 * 86_400
_WRONG_TOKEN_RESTS: Final = 0.5
_POLICY_VIOLATION: Final = 1008  # RFC 6455
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_LOGIN_STYLE: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"


class Guard:
    """Middleware that authenticates every request and WebSocket."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token
        self._guesses = Guesses()
        # the content of the cookie opens the page, but cannot be used as the token
        self._pass = "" if token is None else _derived(token, "mgfn page")
        # cookies ignore ports: another instance on this machine needs its own cookie
        self._cookie = "" if token is None else f"mgfn-{_derived(token, 'mgfn cookie')[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(Request(scope, receive), send)
        elif self._refusal(connection := HTTPConnection(scope)) or self._unknown(connection):
            await WebSocketClose(_POLICY_VIOLATION)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, request: Request, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                extra = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in present)]
            await send(message)

        refusal = self._refusal(request)
        if refusal is None and self._token is not None and (request.method, request.url.path) == ("POST", "/login"):
            refusal = await self._login(request)
        elif refusal is None:
            refusal = self._unknown(request)
        await (refusal or self._app)(request.scope, request.receive, send_with_headers)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        host = request.headers.get("host", "")
        if self._token is None and not _is_this_machine(host):
            return JSONResponse({"detail": f"host {host[:80]!r}: must be an IP address or localhost"}, 403)
        if request.scope.get("method") in _SAFE:
            return None
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
        foreign = origin is not None and origin.partition("://")[2] != host
        if foreign or site not in ("same-origin", "none"):
            return JSONResponse({"detail": "requests from other sites are not allowed"}, 403)
        return None

    def _unknown(self, request: HTTPConnection) -> Response | None:
        """The answer to a request with neither the token nor the cookie; None if it has one, or if none is needed."""
        if self._token is None or hmac.compare_digest(
            request.cookies.get(self._cookie, "").encode(), self._pass.encode()
        ):
            return None
        given = request.headers.get("authorization")
        if given is not None:
            right = self._right(request, given.removeprefix("Bearer "))
            if right is None:
                return _too_many()
            if right:
                return None
        if request.scope.get("method") == "GET" and request.url.path == "/":
            return _login_page(wrong=False)
        return JSONResponse({"detail": "token required"}, 401, {"WWW-Authenticate": "Bearer"})

    def _right(self, request: HTTPConnection, given: str) -> bool | None:
        """Whether this is the token; None if too many wrong ones were sent to say."""
        assert self._token is not None  # noqa: S101 -- only called if there is a token
        address = request.client.host if request.client else ""
        if not self._guesses.allowed(address):
            return None
        right = hmac.compare_digest(given.encode(), self._token.encode())
        (self._guesses.right if right else self._guesses.wrong)(address)
        return right

    async def _login(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_FORM:
                return JSONResponse({"detail": f"a form of more than {_LONGEST_FORM} bytes"}, 413)
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        right = self._right(request, given)
        if right is None:
            return _too_many()
        if not right:
            await asyncio.sleep(_WRONG_TOKEN_RESTS)
            return _login_page(wrong=True)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"  # said by a TLS proxy on this machine (uvicorn's proxy headers)
        answer.set_cookie(
            self._cookie, self._pass, max_age=_COOKIE_LASTS, httponly=True, samesite="strict", secure=secure
        )
        return answer


def _derived(token: str, use: str) -> str:
    return hmac.new(token.encode(), use.encode(), hashlib.sha256).hexdigest()


def _too_many() -> Response:
    return JSONResponse({"detail": "too many wrong tokens; try again in a minute"}, 429, {"Retry-After": "60"})


def _login_page(wrong: bool) -> Response:
    text = resources.files("stream.web.page").joinpath("static", "login.html").read_text(encoding="utf-8")
    text = text.replace("{{said}}", "Wrong token." if wrong else "")
    headers = {
        "WWW-Authenticate": "Bearer",
        "Content-Security-Policy": _LOGIN_STYLE,
        "Referrer-Policy": "same-origin",  # with no-referrer, a browser sends the form with `Origin: null`
        "Cache-Control": "no-store",
    }
    return HTMLResponse(text, 401, headers)


def _is_this_machine(host: str) -> bool:
    name = ""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        ip_address(name)
    except ValueError:
        return name == "localhost"
    return True
