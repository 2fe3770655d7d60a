"""The read-only data API of the data team, and the quarantine of judgements."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from testbed.jsonlog import Level, read_log
from testbed.judged import Quarantine, Rule
from testbed.routes.common import ndjson, problem, service_of

router = APIRouter(prefix="/data")
Limit = Annotated[int, Query(ge=1, le=200_000)]


class QuarantineRequest(BaseModel):
    """Judgements in `[since, until)` (UNIX seconds) that the rule takes out of use; without `until` future ones too."""

    model_config = ConfigDict(extra="forbid")

    key: str = Field(min_length=1, max_length=200)
    since: float = Field(ge=0)
    until: float | None = None
    rule: Rule

    @model_validator(mode="after")
    def _ordered(self) -> QuarantineRequest:
        if self.until is not None and self.until <= self.since:
            raise ValueError("until: must be after since")
        return self


@router.get("/documents")
async def documents(request: Request, since_seq: Annotated[int, Query(ge=0)] = 0) -> Response:
    """Documents that arrived after the one numbered `since_seq`, in order of arrival."""
    return ndjson(row.public() for row in service_of(request).documents.since(since_seq))


@router.get("/judgements")
def judgements(
    request: Request, since: float = 0.0, until: float | None = None, limit: Limit | None = None
) -> Response:
    """Judgements in `[since, until)`, neither held out nor quarantined, oldest first; with `limit` the latest."""
    rows = service_of(request).feedback_store.read(since=since, until=until, limit=limit)
    return ndjson(row.public() for row in rows)


@router.get("/feedback")
async def feedback(
    request: Request, since: float = 0.0, until: float | None = None, limit: Limit | None = None
) -> Response:
    """Clicks, thumbs and ratings in `[since, until)`, oldest first; with `limit` the latest. None of sealed queries."""
    return ndjson(service_of(request).feedback.told.rows(since, until, limit))


@router.get("/logs")
def logs(
    request: Request, since: float = 0.0, contains: str = "", level: Level | None = None, limit: Limit = 500
) -> Response:
    """Events of the service's log, oldest first; the last `limit` of them."""
    path = service_of(request).layout.log
    return ndjson(read_log(path, since=since, contains=contains, level=level, limit=limit))


@router.post("/quarantine")
async def quarantine(request: Request, body: QuarantineRequest) -> Response:
    """Take judgements out of use. The same key and content again does nothing more; other content is a 409."""
    service = service_of(request)
    entry = Quarantine(body.key, body.since, body.until, body.rule)
    try:
        created = service.feedback.quarantine(entry)
    except ValueError as error:
        return problem(409, str(error))
    if created:
        service.log.write("info", "quarantine_set", key=body.key, rule=body.rule, since=body.since, until=body.until)
    return JSONResponse(_view(request, entry), status_code=201 if created else 200)


@router.get("/quarantine/{key:path}")
async def quarantine_of(request: Request, key: str) -> Response:
    """The quarantine of this key and how many judgements it holds; 404 when there is none."""
    entry = service_of(request).feedback.find_quarantine(key)
    return problem(404, f"key: no quarantine {key!r}") if entry is None else JSONResponse(_view(request, entry))


def _view(request: Request, entry: Quarantine) -> dict[str, object]:
    dropped = service_of(request).feedback.dropped(entry.key)
    return {"key": entry.key, "since": entry.since, "until": entry.until, "rule": entry.rule, "dropped": dropped}
