"""The static files of the page."""

from __future__ import annotations

from importlib import resources
from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

_FOLDER: Final = resources.files("stream.web.page").joinpath("static")
_TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
_NOT_SERVED: Final = "login.html"  # a template, which `stream.web.access` fills in
_FILES: Final = frozenset(file.name for file in _FOLDER.iterdir() if file.name != _NOT_SERVED)


def file_routes() -> APIRouter:
    """`/` and `/page/NAME`."""
    router = APIRouter()
    router.get("/")(lambda: page_file("index.html"))
    router.get("/page/{name}")(page_file)
    return router


def page_file(name: str) -> Response:
    """A file of the page; 404 for any other name."""
    if name not in _FILES:
        return JSONResponse({"detail": "no such file"}, 404)
    return Response(_FOLDER.joinpath(name).read_bytes(), media_type=_TYPES[name.rpartition(".")[2]])
