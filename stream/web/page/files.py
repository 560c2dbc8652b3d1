"""The static files of the page, compressed once."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from functools import cache
from importlib import resources
from typing import Annotated, Final

from fastapi import APIRouter, Header
from fastapi.responses import JSONResponse, Response

from stream.web.access import CONTENT_POLICY

_FOLDER: Final = resources.files("stream.web.page").joinpath("static")
_TYPES: Final = {
    "html": "text/html",
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}
_NOT_SERVED: Final = "login.html"  # a template, which `stream.web.access` fills in
_FILES: Final = frozenset(file.name for file in _FOLDER.iterdir() if file.name != _NOT_SERVED)
_IMPORT: Final = re.compile(r'^import .*?"/page/([a-z_]+\.js)";$', re.MULTILINE)


def file_routes() -> APIRouter:
    """`/` and `/page/NAME`."""
    router = APIRouter()
    router.get("/")(index)
    router.get("/page/{name}")(page_file)
    return router


def index(accept_encoding: Annotated[str, Header()] = "") -> Response:
    return page_file("index.html", accept_encoding)


def page_file(name: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
    """A file of the page; 404 for any other name."""
    if name not in _FILES:
        return JSONResponse({"detail": "no such file"}, 404)
    plain, packed = _content(name)
    zipped = "gzip" in accept_encoding
    headers = {"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if zipped else {})
    if name == "index.html":
        headers["Content-Security-Policy"] = _index_policy()
    return Response(packed if zipped else plain, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)


@cache
def _content(name: str) -> tuple[bytes, bytes]:
    """A file as it is, and compressed."""
    text = _FOLDER.joinpath(name).read_text(encoding="utf-8")
    if name == "index.html":  # so that a browser does not find the modules one after the other
        links = (f'<link rel="modulepreload" href="/page/{module}">' for module in sorted(_modules("app.js", set())))
        text = text.replace("{{modules}}", "\n  ".join(links)).replace("{{style}}", f"<style>{_style()}</style>")
    plain = text.encode()
    return plain, gzip.compress(plain, mtime=0)


def _style() -> str:
    """Part of the page itself: the first paint does not wait for a second answer."""
    return _FOLDER.joinpath("style.css").read_text(encoding="utf-8")


@cache
def _index_policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"{CONTENT_POLICY}; style-src 'self' 'sha256-{digest}'"


def _modules(name: str, known: set[str]) -> set[str]:
    """The modules that a module imports, with itself and those that they import."""
    if name not in known:
        known.add(name)
        for imported in _IMPORT.findall(_FOLDER.joinpath(name).read_text(encoding="utf-8")):
            _modules(imported, known)
    return known
