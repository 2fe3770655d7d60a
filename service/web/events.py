"""What happens, as server-sent events: resumable by the number of the last one, with heartbeats, for so many at once.

How it is gathered and handed out says `feed`. A client that takes nothing for `PATIENCE` is let go.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response

from domain.access import ApiAction, Caller
from service.access.guard import may
from service.api.problems import Problem
from service.api.serving import serving
from service.web.feed import Feed, Hub

HEARTBEAT = timedelta(seconds=15)
PATIENCE = timedelta(seconds=10)
RETRY = timedelta(seconds=2)

router = APIRouter(prefix="/api/v1", tags=["events"])

LastEvent = Annotated[
    str, Header(alias="Last-Event-ID", max_length=20, description="The number of the last event that was seen.")
]
LAST = 2**53
AfterEvent = Annotated[int | None, Query(ge=0, le=LAST, description="Begin behind the event of this number.")]

OfCycle = Annotated[str, Query(max_length=60, pattern="^[A-Za-z0-9_]*$", description="Only what happens in a cycle.")]


@router.get(
    "/events",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {"schema": {}}}, "description": "Events, as they come."}},
)
async def events(
    request: Request,
    caller: Annotated[Caller, Depends(may(ApiAction.VIEW))],
    after: AfterEvent = None,
    cycle: OfCycle = "",
    last_event_id: LastEvent = "",
) -> Response:
    """Tell what happens, as server-sent events; each carries the number of its audit record."""
    return await event_stream(request, cycle or None, after=after, last_event_id=last_event_id)


async def event_stream(
    request: Request, cycle_id: str | None = None, *, after: int | None = None, last_event_id: str = ""
) -> Response:
    """Return the answer that tells what happens, of a cycle or of all.

    It begins behind `Last-Event-ID`, else behind `after`, else with what happens from now on.

    Raises:
        Problem: the number is none, or too many listen already.
    """
    from sse_starlette.event import ServerSentEvent
    from sse_starlette.sse import EventSourceResponse

    start = after if not last_event_id else _number(last_event_id)
    joined = hub_of(request).joined(start, cycle_id)
    # Entered here, so that who is refused is told so by a status.
    stream = await joined.__aenter__()

    async def told() -> AsyncIterator[ServerSentEvent]:
        try:
            hello: dict[str, Any] = {} if start is None else {"id": str(start)}
            yield ServerSentEvent(data="{}", event="hello", retry=int(RETRY.total_seconds() * 1000), **hello)
            async for item in stream:
                yield ServerSentEvent(data=item.model_dump_json(), event="item", id=str(item.sequence))
        finally:
            await joined.__aexit__(None, None, None)

    return EventSourceResponse(
        told(),
        ping=HEARTBEAT.total_seconds(),
        send_timeout=PATIENCE.total_seconds(),
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


def let_go(app: FastAPI) -> None:
    """End the streams of an application that shuts down: a server waits for what is open, and they never end."""
    found = getattr(app.state, "feed_hub", None)
    if isinstance(found, Hub):
        found.close()


def hub_of(request: Request) -> Hub:
    """Return the hub of the application, made at the first question."""
    state = request.app.state
    found = getattr(state, "feed_hub", None)
    if not isinstance(found, Hub):
        found = Hub(Feed(serving(request).app.audit))
        state.feed_hub = found
    return found


def _number(told: str) -> int:
    if not (told.isascii() and told.isdecimal() and int(told) <= LAST):
        raise Problem(
            400,
            "A value cannot be used",
            "is no number of an event",
            field="Last-Event-ID",
            remedy="Send the id of the last event as it came, or leave it out",
        )
    return int(told)
