"""The floor of the bench: uvicorn and FastAPI as `evercrew serve` runs them, answering 200 without any work.

`python -m evals.serve_floor PORT`
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse


def main(port: int) -> None:
    """Serve until it is killed."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/webhooks/alertmanager")
    async def take(request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse({"accepted": 1})

    uvicorn.run(app, port=port, loop="uvloop", http="httptools", access_log=False, log_level="error")


if __name__ == "__main__":
    main(int(sys.argv[1]))
