"""The routes of the page, in one file for each kind of request."""

from __future__ import annotations

from fastapi import APIRouter

from stream.web.page.commands import CommandRoutes
from stream.web.page.drawing import DrawingRoutes
from stream.web.page.files import file_routes
from stream.web.page.finding import FindingRoutes
from stream.web.page.live import LiveRoutes
from stream.web.page.modes import ModeRoutes
from stream.web.page.past import PastRoutes
from stream.web.page.questions import QuestionRoutes
from stream.web.page.sources import PageSources

__all__ = ["PageSources", "page_routes"]


def page_routes(sources: PageSources) -> APIRouter:
    """All routes, to be included in an application."""
    router = APIRouter()
    router.include_router(file_routes())
    for part in (LiveRoutes, PastRoutes, QuestionRoutes, CommandRoutes, DrawingRoutes, FindingRoutes, ModeRoutes):
        router.include_router(part(sources).router)
    return router
