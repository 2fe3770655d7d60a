"""Whether the process lives, and whether it can do its work; both answer anybody, and tell nobody why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated, Literal

import anyio
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict

from domain.errors import EvercrewError
from service.api.blocking import CHECKS, in_thread
from service.api.serving import Serving, serving

router = APIRouter(tags=["health"])
PATIENCE = timedelta(seconds=5)
Check = Callable[[], object]
"""Returns when the part is well; raises an `EvercrewError` when it is not."""


class Health(BaseModel):
    """The process answers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Literal["ok"] = "ok"


class Part(BaseModel):
    """One part that is needed, and whether it is well. Why it is not stands in the log, and in `evercrew doctor`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    ok: bool


class Readiness(BaseModel):
    """Whether all parts are well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ready: bool
    parts: list[Part]


@router.get("/healthz")
async def healthz() -> Health:
    """Tell that the process answers; nothing else is asked."""
    return Health()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "A part is not well"}})
async def readyz(request: Request, response: Response, found: Annotated[Serving, Depends(serving)]) -> Readiness:
    """Tell whether store, audit chain, policy set and worker are well; 503 when one is not."""
    more: Mapping[str, Check] = getattr(request.app.state, "ready_checks", {})
    wells: dict[str, bool] = {}
    async with anyio.create_task_group() as group:
        for name, check in {**checks_of(found), **more}.items():
            group.start_soon(_looked, name, check, wells)
    parts = [Part(name=name, ok=wells[name]) for name in sorted(wells)]
    ready = all(wells.values())
    response.status_code = 200 if ready else 503
    return Readiness(ready=ready, parts=parts)


def checks_of(found: Serving) -> dict[str, Check]:
    """Return how the parts are asked that every application has."""
    app = found.app
    return {"store": app.ports.store.check, "audit": app.audit.head, "policies": app.policies.check}


async def _looked(name: str, check: Check, wells: dict[str, bool]) -> None:
    """A part that does not answer in time is not well."""
    wells[name] = False
    with anyio.move_on_after(PATIENCE.total_seconds()):
        wells[name] = await in_thread(partial(_well, check), CHECKS)


def _well(check: Check) -> bool:
    try:
        check()
    except EvercrewError:
        return False
    return True
