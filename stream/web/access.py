"""Access control of the HTTP address: who is asking, and protection against requests from other sites.

Without tokens (loopback only) a request must name this machine as its host, which prevents DNS rebinding. A request
that changes something must come from our own page, or from no page at all. What a person may see and change is decided
in `stream.web.rules`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from importlib import resources
from ipaddress import ip_address
from typing import Annotated, Final
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from stream.alarm.answer_links import AnswerLinks
from stream.base.people import ANYBODY, People, Person
from stream.web.guesses import Guesses

_LONGEST_FORM: Final = 4_096
_COOKIE_LASTS: Final = 90 * 86_400
_WRONG_TOKEN_RESTS: Final = 0.5
_POLICY_VIOLATION: Final = 1008  # RFC 6455
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_PERSON: Final = "mgfn.person"
_PEER: Final = "mgfn.peer"
CONTENT_POLICY: Final = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_LOGIN_WORDS: Final = {  # before the login no script is sent, and so no table of words
    "en": {"token": "Your token", "hint": "Whoever runs this system gives you one.", "open": "Open",
           "said": "Wrong token."},
    "de": {"token": "Ihr Token", "hint": "Sie bekommen es von der Person, die dieses System betreibt.",
           "open": "Öffnen", "said": "Falsches Token."},
}  # fmt: skip
_LOGINS: Final = (("POST", "/"), ("POST", "/login"))
_LOGIN_STYLE: Final = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"


def person_of(request: HTTPConnection) -> Person:
    """Who is asking."""
    person: Person = request.scope[_PERSON]
    return person


Asking = Annotated[Person, Depends(person_of)]


def peer_kept(app: ASGIApp) -> ASGIApp:
    """Middleware that keeps the address of the connection, before a proxy's headers replace it."""

    async def kept(scope: Scope, receive: Receive, send: Send) -> None:
        scope[_PEER] = scope.get("client")
        await app(scope, receive, send)

    return kept


class Guard:
    """Middleware that authenticates every request and WebSocket. `links` answer events without a login."""

    def __init__(self, app: ASGIApp, people: People, links: AnswerLinks | None = None) -> None:
        self._app = app
        self._people = people
        self._links = links
        self._guesses = Guesses()
        # The content of a cookie opens the page, but cannot be used as the token. Cookies ignore ports: the name tells
        # the tokens of several instances on this machine apart.
        self._cookies = [
            (f"mgfn-{_derived(person.token, 'mgfn cookie')[:8]}", _derived(person.token, "mgfn page"), person)
            for person in people.people
            if person.token is not None
        ]

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
        asked = (request.method, request.url.path)
        if refusal is None and not self._people.nobody and asked in _LOGINS:
            refusal = await self._login(request)
        elif refusal is None and not self._people.nobody and asked == ("POST", "/logout"):
            refusal = self._start_page(request)
        elif refusal is None:
            refusal = self._unknown(request)
        await (refusal or self._app)(request.scope, request.receive, send_with_headers)

    def _refusal(self, request: HTTPConnection) -> Response | None:
        host = request.headers.get("host", "")
        if self._people.nobody and not _is_this_machine(host):
            return JSONResponse({"detail": f"host {host[:80]!r}: must be an IP address or localhost"}, 403)
        if request.scope.get("method") in _SAFE:
            return None
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "none")
        foreign = origin is not None and origin.partition("://")[2] != host
        if foreign or site not in ("same-origin", "none"):
            return JSONResponse({"detail": "requests from other sites are not allowed"}, 403)
        return None

    def _unknown(self, request: HTTPConnection) -> Response | None:
        """The answer to a request of somebody unknown; None, and the person is noted, if they are known."""
        found = self._identified(request)
        if isinstance(found, Person):
            request.scope[_PERSON] = found
            return None
        if found is not None:
            return found
        if request.scope.get("method") == "GET" and request.url.path == "/":
            return _login_page(request, wrong=False)
        return JSONResponse({"detail": "token required"}, 401, {"WWW-Authenticate": "Bearer"})

    def _identified(self, request: HTTPConnection) -> Person | Response | None:
        if self._people.nobody:
            return ANYBODY
        if self._links is not None and request.scope.get("method") == "POST":
            by = self._links.named_by(request.url.path)
            if by is not None:
                return Person(by, operator=True, cameras=frozenset())  # who sees nothing
        by_proxy = self._named_by_proxy(request)
        if by_proxy is not None:
            return by_proxy
        for name, content, person in self._cookies:
            if hmac.compare_digest(request.cookies.get(name, "").encode(), content.encode()):
                return person
        given = request.headers.get("authorization")
        return None if given is None else self._holder(request, given.removeprefix("Bearer "))

    def _named_by_proxy(self, request: HTTPConnection) -> Person | Response | None:
        """Whom a trusted proxy names; the header of anybody else says nothing."""
        proxy = self._people.proxy
        names = [] if proxy is None else request.headers.getlist(proxy.header)
        if proxy is None or not names:
            return None
        peer = request.scope.get(_PEER) or request.scope.get("client")
        if peer is None or not proxy.trusts(peer[0]):
            return None
        person = self._people.named(names[0]) if len(names) == 1 else None
        return person or JSONResponse({"detail": "the proxy names somebody who is not in `http.people`"}, 403)

    def _holder(self, request: HTTPConnection, given: str) -> Person | Response | None:
        """Who holds this token; a refusal if too many wrong ones were sent to say."""
        address = request.client.host if request.client else ""
        if not self._guesses.allowed(address):
            return JSONResponse({"detail": "too many wrong tokens; try again in a minute"}, 429, {"Retry-After": "60"})
        holder = None
        for person in self._people.people:  # all of them, so that the time tells nothing
            if person.token is not None and hmac.compare_digest(given.encode(), person.token.encode()):
                holder = person
        (self._guesses.wrong if holder is None else self._guesses.right)(address)
        return holder

    async def _login(self, request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _LONGEST_FORM:
                return JSONResponse({"detail": f"a form of more than {_LONGEST_FORM} bytes"}, 413)
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        holder = self._holder(request, given)
        if isinstance(holder, Response):
            return holder
        if holder is None:
            await asyncio.sleep(_WRONG_TOKEN_RESTS)
            return _login_page(request, wrong=True)
        answer = self._start_page(request)
        secure = request.url.scheme == "https"  # said by a TLS proxy on this machine (uvicorn's proxy headers)
        name, content = next((name, content) for name, content, person in self._cookies if person is holder)
        answer.set_cookie(name, content, max_age=_COOKIE_LASTS, httponly=True, samesite="lax", secure=secure)
        return answer

    def _start_page(self, request: Request) -> Response:
        """To the start page, without the cookie of whoever was logged in."""
        answer = RedirectResponse("/", 303)
        for name, content, _ in self._cookies:
            if request.cookies.get(name) == content:
                answer.delete_cookie(name, httponly=True, samesite="lax")
        return answer


def _derived(token: str, use: str) -> str:
    return hmac.new(token.encode(), use.encode(), hashlib.sha256).hexdigest()


def _login_page(request: HTTPConnection, wrong: bool) -> Response:
    text = resources.files("stream.web.page").joinpath("static", "login.html").read_text(encoding="utf-8")
    language = "de" if request.headers.get("accept-language", "").lower().startswith("de") else "en"
    words = _LOGIN_WORDS[language]
    for name, word in {**words, "language": language, "said": words["said"] if wrong else ""}.items():
        text = text.replace(f"{{{{{name}}}}}", word)
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
