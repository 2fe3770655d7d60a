"""What routes of pages have in common: errors are pages too, and answers carry what keeps a browser in bounds.

A module of pages makes its router by `page_router()`; its handlers return `render(...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from domain.access import Caller
from domain.errors import EvercrewError
from service.access.guard import SignInFirst
from service.api.problems import Problem, invalid, told_to
from service.web.render import render

# Nothing but what this origin serves, no script and no style inside a page, and no page inside another one.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "same-origin",
    "Vary": "Cookie",
    "Cache-Control": "no-store",
}
# What is answered by machines to machines, whatever they accept.
_MACHINES = ("/api/", "/webhooks/", "/metrics", "/healthz", "/readyz")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose errors are shown as pages."""

    def get_route_handler(self) -> Handler:
        """Return the handler with what every page has around it."""
        answer = super().get_route_handler()

        async def page(request: Request) -> Response:
            try:
                response = await answer(request)
            except SignInFirst as problem:
                response = problem.response(request)
            except Problem as problem:
                response = problem_page(request, problem)
            except EvercrewError as problem:
                response = problem_page(request, told_to(request, problem))
            except RequestValidationError as problem:
                response = problem_page(request, invalid(problem))
            except HTTPException as problem:
                response = http_page(request, problem)
            return guarded(response)

        return page


def page_router() -> APIRouter:
    """Return a router for pages; they are no part of the OpenAPI."""
    return APIRouter(route_class=PageRoute, include_in_schema=False, default_response_class=Response)


def guarded(response: Response) -> Response:
    """Return the response with the headers of a page, its own first."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def problem_page(request: Request, problem: Problem) -> Response:
    """Return a problem as a person reads it."""
    caller = getattr(request.state, "caller", None)
    response = render(
        request,
        "problem.html",
        caller if isinstance(caller, Caller) else None,
        status=problem.status,
        title=problem.title,
        detail=problem.detail,
        remedy=problem.remedy or "",
        code=problem.status,
    )
    response.headers.update(problem.headers)
    return response


def http_page(request: Request, problem: HTTPException) -> Response:
    """Return an error of the framework as a page; what sends elsewhere does so."""
    if problem.status_code < HTTPStatus.BAD_REQUEST:
        return Response(status_code=problem.status_code, headers=problem.headers)
    phrase = HTTPStatus(problem.status_code).phrase
    detail = problem.detail or phrase
    return problem_page(request, Problem(problem.status_code, phrase, detail, headers=problem.headers))


def reads_pages(request: Request) -> bool:
    """Whether whoever asks is a browser that wants a page."""
    wanted = request.headers.get("accept", "")
    return "text/html" in wanted and not request.url.path.startswith(_MACHINES)
