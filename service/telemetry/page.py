"""`/metrics`: one page for a scraper, which proves itself by a token unless the configuration opens it."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.concurrency import run_in_threadpool

from adapters import meter
from domain.access import ApiAction
from service.access.guard import may
from service.api.serving import Serving
from service.telemetry import counters
from service.telemetry.stock import Stock

router = APIRouter(tags=["metrics"])
_BEARER = "bearer "


def install(app: FastAPI) -> None:
    """Give the application its page."""
    registry = CollectorRegistry()
    found: Serving = app.state.serving
    Stock(found.app).register(registry)
    app.state.metrics = registry


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Return the metrics in the Prometheus text format."""
    found: Serving = request.app.state.serving
    if not found.app.config.serve.metrics_open and not _scraper(request, found.app.settings.serve_metrics_token):
        await may(ApiAction.VIEW)(request)
    page = await run_in_threadpool(_page, request.app.state.metrics)
    return Response(page, media_type=CONTENT_TYPE_LATEST)


def _scraper(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "")
    shown = given[len(_BEARER) :].strip() if given.lower().startswith(_BEARER) else ""
    return bool(token) and hmac.compare_digest(shown.encode(), token.encode())


def _page(registry: CollectorRegistry) -> bytes:
    """Three registries, of distinct names: what is computed, what this process counts, and what its adapters do."""
    parts = (generate_latest(registry), generate_latest(counters.REGISTRY), meter.exposition().encode())
    return b"".join(parts)
