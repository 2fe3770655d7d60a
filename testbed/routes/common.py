"""What every route needs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from testbed.service import SearchService


def service_of(request: Request) -> SearchService:
    """The service of this process."""
    service: SearchService = request.app.state.service
    return service


def ndjson(rows: Iterable[dict[str, Any]]) -> Response:
    """One JSON object a line."""
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return Response(body, media_type="application/x-ndjson")


def problem(status: int, detail: str) -> JSONResponse:
    """An error for the caller."""
    return JSONResponse({"detail": detail}, status_code=status)
