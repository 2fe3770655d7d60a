"""The search service: `python -m testbed.server WORLD --port N`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from testbed.layout import Layout
from testbed.process import end_with_parent, prefer_this_process
from testbed.routes import data, ops, search
from testbed.service import SearchService

_SWITCH_SECONDS = 0.001


def create_app(service: SearchService) -> FastAPI:
    """The application around a service; the service starts and stops with it."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(title="Search", lifespan=lifespan)
    app.state.service = service
    for router in (search.router, data.router, ops.router):
        app.include_router(router)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a world until the process is told to stop."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m testbed.server", description="Serve a world over HTTP.")
    parser.add_argument("world", type=Path, help="the world's directory")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--parent", type=int, help="end when the process with this id is gone")
    given = parser.parse_args(arguments)
    end_with_parent(given.parent)
    prefer_this_process()
    # Index builds run in pure Python on a thread; shorter turns keep them from delaying searches.
    sys.setswitchinterval(_SWITCH_SECONDS)
    service = SearchService(Layout(given.world.resolve()))
    uvicorn.run(create_app(service), host=given.host, port=given.port, log_level="warning", access_log=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
