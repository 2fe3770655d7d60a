"""The HTTP application: every router, and what holds for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from importlib import metadata
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from domain.access import ApiAction, Caller
from service.access.guard import may
from service.api import (
    approvals,
    audit,
    auth,
    autonomy,
    budgets,
    chat,
    cycle_files,
    cycles,
    etags,
    flags,
    gates,
    health,
    idempotency,
    oauth,
    optimizer,
    policies,
    problems,
    reports,
    targets,
    webhooks,
)
from service.api.background import Background
from service.api.edge import BODY_TIME, MOST_BODY, Edge
from service.api.health import Check
from service.api.serving import Serving
from service.telemetry import page as metrics
from service.tracing import TracedRequests
from service.web import events, signin
from service.web.app import mount

API = "/api/v1"
SCHEMA = f"{API}/openapi.json"
_ABOUT = """\
Evercrew keeps a machine-learning platform healthy. Everything the command line shows and steers is here too.

Send `Authorization: Bearer TOKEN`. A write may carry an `Idempotency-Key`: sent again, it is not done again. Long lists
come in pages: follow `next`. Errors are `application/problem+json` and name the field and the remedy.
"""
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]


class Service(FastAPI):
    """An application that documents its problems, and how a caller is known."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI, made once."""
        if self.openapi_schema is None:
            self.openapi_schema = _documented(super().openapi())
        return self.openapi_schema


def create_app(
    serving: Serving,
    *,
    lifespan: Lifespan | None = None,
    most_body: int = MOST_BODY,
    https: bool = False,
    ready: Mapping[str, Check] | None = None,
) -> FastAPI:
    """Return the application on what `serving` has.

    Args:
        most_body: bytes a request may have.
        https: whether clients reach it by TLS, here or at a proxy.
        ready: what else has to be well for it to be ready, by name.
    """
    app = _routed(lifespan)
    app.state.serving = serving
    app.state.background = Background()
    app.state.ready_checks = dict(ready or {})
    for part in (webhooks, metrics):
        part.install(app)
    mount(app, serving)
    # Webhooks have a bound of their own, with an answer of their own.
    body_time = max(BODY_TIME, serving.app.config.serve.webhooks.body_timeout + timedelta(seconds=5))
    app.add_middleware(Edge, clock=serving.clock, most_body=most_body, body_time=body_time, https=https)
    app.add_middleware(TracedRequests, traces=serving.app.traces)
    return app


def described() -> dict[str, Any]:
    """Return the OpenAPI of the service; nothing is built or connected to for it."""
    app = _routed()
    app.include_router(events.router)
    return app.openapi()


def _routed(lifespan: Lifespan | None = None) -> Service:
    """Return the application with its routers, and nothing that they stand on."""
    app = Service(
        title="Evercrew",
        version=metadata.version("evercrew"),
        description=_ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses=problems.documented(),
        generate_unique_id_function=_operation,
    )
    for part in (problems, etags, idempotency):
        part.install(app)
    # First, for routes are tried in their order, and a storm of alerts is what has to be quick.
    app.include_router(webhooks.router)
    app.include_router(health.router)
    for router in rest():
        app.include_router(router, prefix=API)
    app.include_router(metrics.router)
    app.include_router(_schema_router())
    app.include_router(signin.router)
    return app


def rest() -> Iterator[APIRouter]:
    """Yield the routers below `/api/v1`."""
    for part in (
        optimizer,
        gates,
        cycles,
        cycle_files,
        approvals,
        autonomy,
        flags,
        policies,
        budgets,
        audit,
        targets,
        reports,
        chat,
        auth,
        oauth,
    ):
        yield part.router


def _documented(made: dict[str, Any]) -> dict[str, Any]:
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(_problem_schemas())
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return made


def _problem_schemas() -> dict[str, Any]:
    made = problems.ProblemBody.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**made.pop("$defs", {}), "ProblemBody": made}


def _operation(route: APIRoute) -> str:
    """Return the name of an operation: that of its function, with its module's."""
    return f"{route.endpoint.__module__.rpartition('.')[2]}_{route.name}"


def _schema_router() -> APIRouter:
    router = APIRouter(tags=["schema"])

    @router.get(SCHEMA, include_in_schema=False)
    async def schema(request: Request, caller: Annotated[Caller, Depends(may(ApiAction.VIEW))]) -> JSONResponse:
        """Return the OpenAPI document."""
        return JSONResponse(request.app.openapi())

    return router
