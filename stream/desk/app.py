"""The web application of the desk."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any, Final

from fastapi import FastAPI, Header, HTTPException, Response
from pydantic import BaseModel, ConfigDict, Field

from stream.base.people import People
from stream.desk.listener import DeskListener
from stream.desk.metrics import exposition, targets
from stream.web.access import Asking, Guard
from stream.web.page.files import page_file
from stream.web.server import METRICS_CONTENT_TYPE

_FOLDER: Final = resources.files("stream.desk").joinpath("static")
_OWN: Final = {"desk.js": "text/javascript"}
_Text = Annotated[str, Field(min_length=1, max_length=300)]


class Answered(BaseModel):
    model_config = ConfigDict(extra="forbid")
    prefix: _Text
    camera: _Text
    id: _Text


def desk_app(listener: DeskListener, people: People) -> FastAPI:
    """The page, its data, and what Prometheus reads."""
    app = FastAPI(title="mgfn-stream desk", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, people=people)

    @app.get("/")
    def index() -> Response:
        return Response(_FOLDER.joinpath("desk.html").read_bytes(), media_type="text/html")

    @app.get("/page/{name}")
    def file(name: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
        if name in _OWN:
            return Response(_FOLDER.joinpath(name).read_bytes(), media_type=_OWN[name])
        return page_file(name, accept_encoding)

    @app.get("/api/desk")
    def desk() -> dict[str, Any]:
        return listener.state()

    @app.get("/api/targets")
    def scraped() -> list[dict[str, Any]]:
        return targets(listener.state())

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(exposition(listener.state()), media_type=METRICS_CONTENT_TYPE)

    @app.post("/api/desk/ack", status_code=202)
    def acknowledge(body: Answered, person: Asking) -> dict[str, str]:
        by = "desk" if people.nobody else person.name
        if not listener.acknowledge(body.prefix, body.camera, body.id, by):
            raise HTTPException(409, "no such alarm, or the broker did not accept the answer")
        return {"id": body.id, "by": by}

    return app
