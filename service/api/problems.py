"""What goes wrong, as the client reads it: application/problem+json (RFC 9457) that names the field and the remedy.

Every answer that is an error has this shape, whoever found it: the router (404, 405), the validation of a request
(422), a limit (413, 429), a rule of ours, or a defect (500, with the number of an incident and never a stack trace).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from domain.access import TooManyAttempts, Unauthenticated
from domain.errors import (
    AuditUnavailable,
    BudgetExhausted,
    ConfigurationError,
    ConflictError,
    DependencyError,
    EvercrewError,
    IllegalTransition,
    IntegrityError,
    InvalidInput,
    OutcomeUnknown,
    PolicySetBroken,
)

_LOG = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
# A class of problem is named by a URI of ours; `docs/api.md` has a line for each.
TYPES = "urn:evercrew:problem:"
RETRY_AFTER = {"Retry-After": "5"}
_MOST_ERRORS = 20
# Statuses that are called otherwise from one release of the standard to the next.
_KINDS: Mapping[int, str] = {413: "too-large", 416: "no-such-range", 422: "invalid"}
_REMEDIES: Mapping[int, str] = {
    400: "See the OpenAPI at /api/v1/openapi.json for what the request has to look like",
    401: "Send `Authorization: Bearer TOKEN`, or sign in at /login",
    403: "Ask somebody whose role allows it",
    404: "Check the address; GET /api/v1/openapi.json lists those there are",
    405: "Use one of the methods in the header Allow",
    406: "Ask for application/json",
    408: "Send it again, and in one go",
    411: "Send the header Content-Length",
    413: "Send less",
    415: "Send application/json, and say so in the header Content-Type",
    429: "Come again after the seconds in Retry-After",
    503: "Come again after the seconds in Retry-After",
}


class FieldProblem(BaseModel):
    """One field of a request that is wrong."""

    model_config = ConfigDict(frozen=True)

    field: str
    problem: str


class ProblemBody(BaseModel):
    """RFC 9457, with the `field` that is wrong and the `remedy`; `errors` has all fields where there are several."""

    model_config = ConfigDict(frozen=True)

    type: str
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str = Field(default="", description="The request this is about, as X-Request-Id names it.")
    field: str | None = None
    remedy: str | None = None
    errors: tuple[FieldProblem, ...] = ()


class Problem(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP. title: what kind of problem it is. detail: what is wrong this time.
        field: which field of the request, where it is one. remedy: what to do instead.
        type: the last part of the problem's URI; by default that of the status.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        field: str | None = None,
        remedy: str | None = None,
        type: str = "",
        headers: Mapping[str, str] | None = None,
        errors: tuple[FieldProblem, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.field = field
        self.remedy = remedy if remedy is not None else _REMEDIES.get(status)
        self.type = type or _KINDS.get(status) or HTTPStatus(status).phrase.lower().replace(" ", "-")
        self.headers = dict(headers or {})
        self.errors = errors

    def body(self, instance: str = "") -> ProblemBody:
        """Return it as it is sent."""
        return ProblemBody(
            type=f"{TYPES}{self.type}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            instance=instance,
            field=self.field,
            remedy=self.remedy,
            errors=self.errors,
        )

    def response(self, request: Request | None = None) -> Response:
        """Return it as an answer to a request."""
        instance = str(request.scope.get("state", {}).get("request_id", "")) if request is not None else ""
        # In ASCII: what a client sent may hold halves of characters, which no other encoding has.
        text = json.dumps(self.body(instance).model_dump(mode="json", exclude_none=True))
        return Response(text, status_code=self.status, headers=self.headers, media_type=MEDIA_TYPE)


def not_found(what: str, identity: str, remedy: str, *, field: str = "id") -> Problem:
    """Return that there is no such thing."""
    return Problem(404, "There is no such thing", f"{identity} is not {what}", field=field, remedy=remedy)


def problem_of(error: EvercrewError) -> Problem:
    """Return what an error of ours is over HTTP.

    Who has to react decides the status: 422 the caller, 409 the caller once more or after somebody else, 403 nobody
    without another policy, 503 whoever runs what Evercrew depends on.
    """
    told = " ".join(str(error).split())
    match error:
        case ConfigurationError():
            return Problem(503, "The configuration cannot be used", told, remedy=error.remedy, headers=RETRY_AFTER)
        case InvalidInput():
            return Problem(422, "A value cannot be used", error.problem, field=error.field, remedy=error.remedy)
        case ConflictError() | IllegalTransition():
            return Problem(409, "Somebody else moved first", told, remedy="Look at how it stands now, then try again")
        case BudgetExhausted():
            return Problem(409, "A budget is used up", told, remedy="See GET /api/v1/budgets", type="budget-exhausted")
        case IntegrityError():
            remedy = "Show it to whoever answers for the record; nothing was changed"
            return Problem(409, "The record does not hold", told, remedy=remedy, type="record-broken")
        case OutcomeUnknown():
            remedy = "Look at the platform itself before anything is repeated"
            return Problem(502, "Nobody knows whether it happened", told, remedy=remedy, type="outcome-unknown")
        case AuditUnavailable() | PolicySetBroken():
            remedy = "Run `evercrew doctor`; nothing was done"
            return Problem(503, "It cannot be put on record or decided", told, remedy=remedy, headers=RETRY_AFTER)
        case Unauthenticated():
            return Problem(401, "Nobody knows who asks", told, headers={"WWW-Authenticate": "Bearer"})
        case TooManyAttempts():
            return Problem(429, "Too many attempts", told, headers=_again(error))
        case DependencyError():
            return Problem(
                503, "Something Evercrew depends on failed", told, remedy=error.remedy, headers=_again(error)
            )
        case _:
            return _of_the_door(error, told)


def _of_the_door(error: EvercrewError, told: str) -> Problem:
    """Return what came of a call through the door that was not made."""
    if getattr(error, "kind", "") in ("deny", "escalate"):
        remedy = "See GET /api/v1/policies/explain for what would change the answer"
        return Problem(403, "The policies do not allow it", told, remedy=remedy, type="refused")
    return Problem(409, "It was not done", told, remedy="Read the detail; nothing was repeated", type="not-done")


def _again(error: EvercrewError) -> Mapping[str, str]:
    after = getattr(error, "retry_after", None)
    return RETRY_AFTER if after is None else {"Retry-After": str(max(1, round(after.total_seconds())))}


def install(app: FastAPI) -> None:
    """Let every error of an application be answered as a problem."""
    handlers: Mapping[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        Problem: _told,
        EvercrewError: _of_ours,
        RequestValidationError: _invalid,
        HTTPException: _of_http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, cast("Any", handler))


async def _told(request: Request, problem: Problem) -> Response:
    return problem.response(request)


async def _of_ours(request: Request, error: EvercrewError) -> Response:
    return told_to(request, error).response(request)


def told_to(request: Request, error: EvercrewError) -> Problem:
    """Return what an error of ours is over HTTP to whoever asks.

    Why something failed that Evercrew depends on may name hosts, users and files: nobody is told whom nobody knows.
    """
    told = problem_of(error)
    if told.status < 500 or getattr(request.state, "caller", None) is not None:
        return told
    _LOG.error("%s: %s", type(error).__name__, told.detail)
    detail = "what has failed stands in the log of the service"
    return Problem(told.status, told.title, detail, remedy=_REMEDIES[503], type=told.type, headers=told.headers)


async def _of_http(request: Request, error: HTTPException) -> Response:
    """The router's and the framework's own errors."""
    phrase = HTTPStatus(error.status_code).phrase
    detail = f"{request.method} {request.url.path}: {error.detail}"[:500]
    return Problem(error.status_code, phrase, detail, headers=error.headers).response(request)


async def _invalid(request: Request, error: RequestValidationError) -> Response:
    return invalid(error).response(request)


def invalid(error: RequestValidationError) -> Problem:
    """Return which fields of a request are wrong, the first one by name."""
    found = tuple(
        FieldProblem(field=_place(each["loc"]), problem=str(each["msg"])) for each in error.errors()[:_MOST_ERRORS]
    )
    first = found[0] if found else FieldProblem(field="body", problem="cannot be used")
    return Problem(
        422,
        "A value cannot be used",
        f"{first.field}: {first.problem}",
        field=first.field,
        remedy="See the OpenAPI at /api/v1/openapi.json for what the request has to look like",
        errors=found,
    )


def _place(loc: tuple[int | str, ...]) -> str:
    """Return a dotted name: of a body the field's, else where the field stands as well."""
    where, *rest = (str(part) for part in (loc or ("body",)))
    named = ".".join(rest)
    return named if where in ("body", "query", "path") and named else ".".join([where, *rest])


def incident(number: str) -> Problem:
    """Return what is told of a defect: its number, under which the log has the rest."""
    return Problem(
        500,
        "Something went wrong here",
        f"This is a defect of Evercrew, kept in its log as {number}",
        remedy=f"Tell whoever runs this service the number {number}",
        type="incident",
    )


def documented() -> dict[int | str, dict[str, Any]]:
    """Return the errors that every route may answer with, for its OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemBody"}}}
    codes = (400, 401, 403, 404, 405, 408, 409, 412, 413, 415, 422, 429, 500, 502, 503)
    return {code: {"description": HTTPStatus(code).phrase, "content": content} for code in codes}
