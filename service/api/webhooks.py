"""The endpoints that alerts are sent to, and the schema of the one that takes anybody's.

They carry no session and no role: who may send proves it by a bearer or a signature (`service/webhooks/proof.py`).
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse

from cycles.bodies import Form, GenericBody, generic_schema
from domain.access import ApiAction, Caller
from service.access.guard import may
from service.api.serving import Serving
from service.webhooks.receiver import Answer, Receiver

PREFIX = "/webhooks"
router = APIRouter(prefix=PREFIX, tags=["webhooks"])
_PROOF = {
    "parameters": [
        {
            "name": name,
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": about,
        }
        for name, about in (
            ("X-Evercrew-Signature", "HMAC-SHA256 over `TIMESTAMP:BODY`, in hexadecimal digits."),
            ("X-Evercrew-Timestamp", "Seconds since 1970, as signed."),
        )
    ],
    "security": [{"bearer": []}, {}],
}


def install(app: FastAPI) -> None:
    """Give the application a receiver, on what it serves."""
    found: Serving = app.state.serving
    built = found.app
    app.state.webhooks = Receiver(
        built.inbox,
        built.audit,
        built.routing,
        built.clock,
        built.config.serve.webhooks,
        settings=built.settings,
    )


def _documented(schema: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    return {**_PROOF, "requestBody": {"required": True, "content": content}}


_PROMETHEUS: dict[str, Any] = {
    "type": "object",
    "required": ["version", "receiver", "alerts"],
    "properties": {
        "version": {"type": "string"},
        "receiver": {"type": "string"},
        "truncatedAlerts": {"type": "integer", "minimum": 0},
        "alerts": {"type": "array", "maxItems": 200, "items": {"type": "object"}},
    },
}


@router.post("/alertmanager", openapi_extra=_documented(_PROMETHEUS), response_model=Answer)
async def alertmanager(request: Request) -> JSONResponse:
    """Take the alerts of Alertmanager's webhook, version 4; 2xx when they are on disk."""
    return await _received(request, Form.ALERTMANAGER)


@router.post("/grafana", openapi_extra=_documented(_PROMETHEUS), response_model=Answer)
async def grafana(request: Request) -> JSONResponse:
    """Take the alerts of Grafana's webhook, version 1; 2xx when they are on disk."""
    return await _received(request, Form.GRAFANA)


@router.post("/generic", openapi_extra=_documented(GenericBody.model_json_schema()), response_model=Answer)
async def generic(request: Request) -> JSONResponse:
    """Take alerts of any sender, in the shape of GET /webhooks/generic/schema; 2xx when they are on disk."""
    return await _received(request, Form.GENERIC)


@router.get("/generic/schema")
async def schema(_caller: Annotated[Caller, Depends(may(ApiAction.VIEW))]) -> dict[str, Any]:
    """Return the JSON Schema of the generic body."""
    return generic_schema()


async def _received(request: Request, form: Form) -> JSONResponse:
    receiver: Receiver = request.app.state.webhooks
    answer = await receiver.receive(request, form)
    return JSONResponse(answer.model_dump(mode="json"))
