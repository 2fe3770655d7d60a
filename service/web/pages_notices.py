"""The page of what people were told, what waits to be told, and what was given up."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from adapters.notices.base import NoticeState
from domain.access import ApiAction, Caller
from service.access.guard import page
from service.api.serving import serving
from service.web.notices_view import MOST, STATES, notices_view
from service.web.pages import page_router
from service.web.paging import paged
from service.web.render import render, sentence

router = page_router()
SIZE = 25
PATH = "/notices"
_STATES = "|".join(state.value for state in NoticeState)


@router.get(PATH)
def notices(
    request: Request,
    caller: Annotated[Caller, Depends(page(ApiAction.VIEW))],
    state: Annotated[str, Query(pattern=f"^({_STATES})?$")] = "",
    at: Annotated[int, Query(alias="page", ge=1, le=MOST)] = 1,
) -> Response:
    """List notices, newest first."""
    stood = serving(request)
    seen = stood.app.audit.head().records
    view = notices_view(stood.app, NoticeState(state) if state else None)
    shown, pager = paged(view.rows, at, SIZE, PATH, {"state": state}, what="notices", more=len(view.rows) == MOST)
    return render(
        request,
        "notices.html",
        caller,
        active="notices",
        title="Notices",
        view=view,
        rows=shown,
        pager=pager,
        state=state,
        states=[("", "All"), *((each.value, sentence(said)) for each, said in STATES.items())],
        live="/api/v1/events",
        last_event=seen,
    )
