"""Searching and feedback: what users and their clients call."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from testbed.errors import TestbedError
from testbed.events import FeedbackEvent
from testbed.live import NotReadyError
from testbed.routes.common import problem, service_of

router = APIRouter()
Events = Annotated[list[FeedbackEvent], Field(min_length=1, max_length=500)]


@router.get("/search")
async def search(
    request: Request,
    q: Annotated[str, Query(min_length=1, max_length=1000)],
    user_id: Annotated[str, Query(min_length=1, max_length=128)],
    k: Annotated[int, Query(ge=1, le=50)] = 10,
    x_probe: Annotated[bool, Header()] = False,
) -> Response:
    """The best `k` documents. With `X-Probe: true` the search counts in no figure and takes no feedback."""
    service = service_of(request)
    try:
        return JSONResponse(await service.search(q, user_id, k, probe=x_probe))
    except NotReadyError as error:
        return problem(503, str(error))
    except TestbedError as error:
        service.metrics.errors.labels("search").inc()
        service.log.write("error", "search_failed", reason=str(error))
        return problem(500, str(error))


@router.post("/feedback")
async def feedback(
    request: Request, body: FeedbackEvent | Events, user_agent: Annotated[str, Header()] = ""
) -> Response:
    """One event or a list of up to 500; 404 when not one of them belongs to a known search."""
    service = service_of(request)
    events = body if isinstance(body, list) else [body]
    accepted = sum(service.feedback.accept(event, user_agent[:300]) for event in events)
    if not accepted:
        return problem(404, "request_id: no such search; it was never answered or is too old")
    return JSONResponse({"accepted": accepted, "rejected": len(events) - accepted})
