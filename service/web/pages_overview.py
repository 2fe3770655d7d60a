"""The first page."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request, Response

from domain.access import ApiAction, Caller
from service.access.guard import page
from service.api.serving import serving
from service.web.background import background_of
from service.web.overview import overview_view
from service.web.pages import page_router
from service.web.render import render

router = page_router()
EVENTS = "/api/v1/events"


@router.get("/")
def overview(request: Request, caller: Annotated[Caller, Depends(page(ApiAction.VIEW))]) -> Response:
    """Show what runs, what waits for whoever looks, and how the target is."""
    stood = serving(request)
    view = overview_view(stood, caller, background_of(request.app, stood.clock))
    return render(
        request,
        "overview.html",
        caller,
        active="overview",
        title="Overview",
        view=view,
        live=EVENTS,
        last_event=view.seen,
    )
