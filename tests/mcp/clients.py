"""Real MCP clients for tests: over streamable HTTP to a server in a thread, and over standard input to a process."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from domain.clock import SystemClock
from service.api.app import create_app
from service.api.serving import Serving
from service.mcp.asking import Asking
from service.mcp.http import PLACE, http_app
from service.mcp.identity import of_request
from service.mcp.server import Assistant

T = TypeVar("T")
Work = Callable[[ClientSession], Awaitable[T]]
PATIENCE = timedelta(seconds=60)


@contextmanager
def listening(serving: Serving) -> Iterator[str]:
    """Serve MCP over HTTP in a thread, and give its address."""
    app = http_app(Assistant(serving, Asking(create_app(serving)), of_request), serving.access)
    with socket.create_server(("127.0.0.1", 0)) as opened:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, args=([opened],), daemon=True)
        thread.start()
        while not server.started:
            SystemClock().sleep(timedelta(milliseconds=5))
        yield f"http://127.0.0.1:{opened.getsockname()[1]}{PLACE}"
        server.should_exit = True
        thread.join(10)


def over_http(url: str, token: str, work: Work[T], *, elicit: Any = None) -> T:
    """Do something with a client that shows a token."""

    async def run() -> T:
        sending = httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=60)
        async with sending, streamable_http_client(url, http_client=sending) as (reading, writing, _):
            return await _talked(reading, writing, work, elicit)

    return asyncio.run(run())


def over_stdio(config: Path, environment: dict[str, str], work: Work[T]) -> T:
    """Do something with a client of `evercrew mcp` in a process of its own."""

    async def run() -> T:
        async with _process(config, environment) as (reading, writing):
            return await _talked(reading, writing, work, None)

    return asyncio.run(run())


@asynccontextmanager
async def _process(config: Path, environment: dict[str, str]) -> AsyncIterator[tuple[Any, Any]]:
    command = ["-W", "ignore", "-m", "service.cli", "mcp", "--config", str(config)]
    home = {"EVERCREW_TRACES": "none", "EVERCREW_HOME": str(config.parent / "home")}
    given = StdioServerParameters(command=sys.executable, args=command, env={**home, **environment})
    async with stdio_client(given) as streams:
        yield streams


async def _talked(reading: Any, writing: Any, work: Work[T], elicit: Any) -> T:
    async with ClientSession(reading, writing, PATIENCE, elicitation_callback=elicit) as session:
        await session.initialize()
        return await work(session)
