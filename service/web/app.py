"""The console: its pages, its assets and what happened, live, put into the application."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from service.web import (
    events,
    pages_access,
    pages_approvals,
    pages_audit,
    pages_chat,
    pages_cycle,
    pages_cycles,
    pages_flags,
    pages_kill,
    pages_notices,
    pages_overrides,
    pages_overview,
    pages_policies,
    pages_reports,
)
from service.web.pages import guarded, http_page, reads_pages
from service.web.render import STATIC

if TYPE_CHECKING:
    from starlette.types import Scope

    from service.api.serving import Serving

_FOR_EVER = "public, max-age=31536000, immutable"
_FOR_NOW = "public, max-age=300"
_PARTS = (
    events,
    pages_overview,
    pages_cycles,
    pages_cycle,
    pages_approvals,
    pages_audit,
    pages_policies,
    pages_overrides,
    pages_flags,
    pages_kill,
    pages_reports,
    pages_notices,
    pages_access,
    pages_chat,
)


class Assets(StaticFiles):
    """Style, script, fonts and pictures: what the page to sign in needs too, and nothing that is anybody's."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return an asset; one that is named with its mark never changes."""
        response = await super().get_response(path, scope)
        # The style sheet names fonts without a mark: another version of one has another name.
        marked = scope.get("query_string", b"").startswith(b"v=") or path.startswith("fonts/")
        response.headers["Cache-Control"] = _FOR_EVER if marked else _FOR_NOW
        return response


def mount(app: FastAPI, serving: Serving) -> None:
    """Put the console into an application whose errors are handled already."""
    app.mount(STATIC, Assets(directory=str(files("service.web").joinpath("static"))), name="static")
    for module in _PARTS:
        app.include_router(module.router)
    _show_errors(app)


def _show_errors(app: FastAPI) -> None:
    """Show a browser that asks for a page that is not there a page that says so; machines are told as before."""
    before = app.exception_handlers.get(HTTPException)

    async def shown(request: Request, error: HTTPException) -> Response:
        if before is None or reads_pages(request):
            return guarded(http_page(request, error))
        handler = cast("Callable[[Request, Exception], Any]", before)
        response: Response = await handler(request, error)
        return response

    app.add_exception_handler(HTTPException, cast("Any", shown))
