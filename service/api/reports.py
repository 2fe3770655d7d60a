"""Weekly reports: those that are kept, and each in its formats."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response
from pydantic import StringConstraints

from domain.access import ApiAction, Caller
from domain.errors import InvalidInput
from service.access.guard import may
from service.api.blocking import bounded
from service.api.cycle_files import TYPES, sent
from service.api.etags import NOT_MODIFIED, IfNoneMatch
from service.api.paging import Asked, Page
from service.api.problems import documented, not_found
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Reply
from service.weekly.make import shelf_of
from service.weekly.shelf import FORMATS

router = router_of("reports")
On = Annotated[Serving, Depends(serving)]
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]
ReportId = Annotated[
    str,
    StringConstraints(pattern=r"^([0-9]{4}-W[0-9]{2}|[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{4}-[0-9]{2}-[0-9]{2})$"),
]
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


@router.get("/reports/weekly")
@bounded()
def listed(on: On, caller: Viewer, page: Asked) -> Page[ReportRow]:
    """List the weekly reports, newest first."""
    return page.of([ReportRow(**kept.model_dump()) for kept in shelf_of(on.app).list()], lambda row: row.id)


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
    return sent(f"{identity}.{form}", text.encode(), if_none_match, shown=True)
