"""Weekly reports: those that are kept, each in its formats, and making one."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response
from pydantic import Field, StringConstraints

from domain.access import ApiAction, Caller
from domain.errors import InvalidInput
from service.access.guard import may
from service.api.blocking import bounded
from service.api.cycle_files import TYPES, sent
from service.api.etags import NOT_MODIFIED, IfNoneMatch
from service.api.idempotency import Idempotent
from service.api.paging import Asked, Page
from service.api.problems import documented, not_found
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Reply, Wish
from service.weekly.make import made, shelf_of
from service.weekly.shelf import FORMATS
from service.weekly.span import parsed

router = router_of("reports")
On = Annotated[Serving, Depends(serving)]
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]
ReportId = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9]{4}-W[0-9]{2}|[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{4}-[0-9]{2}-[0-9]{2})$"),
]
Day = Annotated[str, StringConstraints(pattern=r"^(20[0-9]{2}-[0-9]{2}-[0-9]{2})?$")]
_FILE: dict[int | str, dict[str, Any]] = {
    **documented(),
    **NOT_MODIFIED,
    200: {
        "description": "The report",
        "content": {TYPES[f".{form}"].partition(";")[0]: {"schema": {}} for form in FORMATS},
    },
}


class ReportRow(Reply):
    """A weekly report that is kept."""

    id: str
    title: str
    summary: str
    start: datetime
    end: datetime
    made_at: datetime


class ReportWish(Wish):
    """The stretch a report is of: a week, or days from the first to the last; nothing: the last week that is over."""

    week: Annotated[str, StringConstraints(pattern=r"^(20[0-9]{2}-W[0-9]{2})?$")] = ""
    since: Day = Field(default="", alias="from")
    until: Day = Field(default="", alias="to")


@router.get("/reports/weekly")
@bounded()
def listed(on: On, caller: Viewer, page: Asked) -> Page[ReportRow]:
    """List the weekly reports, newest first."""
    return page.of([ReportRow(**kept.model_dump()) for kept in shelf_of(on.app).list()], lambda row: row.id)


@router.post("/reports/weekly", status_code=201)
@bounded(timedelta(minutes=2))
def make(
    on: On,
    response: Response,
    caller: Annotated[Caller, Depends(may(ApiAction.MAKE_REPORT))],
    once: Idempotent,
    wish: ReportWish | None = None,
) -> ReportRow:
    """Make a weekly report of the record as it is now, and keep it; the hashes of its files are on record."""

    def work() -> ReportRow:
        asked = wish or ReportWish()
        span = parsed(asked.week, asked.since, asked.until, on.clock.now())
        report = made(on.app, span, by=caller.name)
        response.headers["Location"] = f"/api/v1/reports/weekly/{report.id}"
        return ReportRow(
            id=report.id,
            title=report.title,
            summary=report.summary,
            start=report.span.start,
            end=report.span.end,
            made_at=report.made_at,
        )

    return once(caller, work)


@router.get("/reports/weekly/{identity}", response_class=Response, responses=_FILE)
@bounded()
def show(
    on: On,
    caller: Viewer,
    identity: ReportId,
    form: Annotated[Literal["json", "md", "html"], Query(alias="format", description="How it is drawn.")] = "json",
    if_none_match: IfNoneMatch = "",
) -> Response:
    """Return a weekly report: as data, in Markdown, or as a page."""
    try:
        text = shelf_of(on.app).read(identity, form)
    except InvalidInput as problem:
        remedy = "See GET /api/v1/reports/weekly"
        raise not_found("a weekly report", identity, remedy) from problem
    return sent(f"{identity}.{form}", text.encode(), if_none_match)
