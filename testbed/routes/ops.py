"""What operators and their tools ask: metrics, version, health."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from testbed.live import NotReadyError
from testbed.routes.common import problem, service_of

router = APIRouter()


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """The exposition in Prometheus' text format."""
    return Response(service_of(request).metrics.render(), media_type=CONTENT_TYPE_LATEST)


@router.get("/version")
async def version(request: Request) -> Response:
    """What is live and where it comes from."""
    try:
        return JSONResponse(service_of(request).version())
    except NotReadyError as error:
        return problem(503, str(error))


@router.get("/healthz")
async def healthz(request: Request) -> Response:
    """200 while a model is live and the service follows its repository."""
    service = service_of(request)
    if service.follower.ended:
        return problem(503, f"the service no longer follows its repository: {service.follower.ended}; restart it")
    try:
        return JSONResponse({"status": "ok", "digest": service.live.values.model.digest})
    except NotReadyError as error:
        return problem(503, str(error))
