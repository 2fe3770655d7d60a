"""MCP over streamable HTTP: every request shows a bearer token, and a session belongs to whoever opened it.

The server checks the names of hosts and origins too: a page in a browser must not reach it by a name it made up
(DNS rebinding).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from domain.access import Unauthenticated
from domain.errors import EvercrewError
from service.mcp.identity import caller_of, of_request
from service.mcp.server import Assistant

if TYPE_CHECKING:
    from service.access.desk import Access

PLACE = "/mcp"
MOST_BODY = 256 * 1024
MOST_SESSIONS = 200
IDLE_S = 900.0
_LOCAL = ("127.0.0.1", "localhost", "[::1]")


class Guarded:
    """Lets requests in that show a token which opens something, and no others."""

    def __init__(self, manager: StreamableHTTPSessionManager, access: Access) -> None:
        self._manager = manager
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            token = of_request(Request(scope))
            caller = await to_thread.run_sync(caller_of, self._access, token)
        except Unauthenticated as problem:
            headers = {"WWW-Authenticate": 'Bearer realm="evercrew"'}
            await JSONResponse({"error": str(problem)}, 401, headers)(scope, receive, send)
            return
        except EvercrewError as problem:
            await JSONResponse({"error": str(problem)}, 503, {"Retry-After": "5"})(scope, receive, send)
            return
        # The library compares this with whoever opened the session; another token of the same account is the same.
        scope["user"] = AuthenticatedUser(AccessToken(token="", client_id=caller.name, scopes=[], subject=caller.name))
        await self._manager.asgi_app(scope, receive, send)


def http_app(
    assistant: Assistant, access: Access, *, hosts: Sequence[str] = (), origins: Sequence[str] = ()
) -> Starlette:
    """Return the application; it answers at `/mcp`.

    Args:
        hosts: names it may be called by, besides those of this machine, e.g. ``evercrew.example:8765``.
        origins: of pages that may call it, besides those of this machine.
    """
    named = [f"{name}:*" for name in _LOCAL]
    security = TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[*named, *hosts],
        allowed_origins=[*(f"http://{name}" for name in named), *origins],
    )
    manager = StreamableHTTPSessionManager(
        assistant.server,
        security_settings=security,
        session_idle_timeout=IDLE_S,
        max_request_body_size=MOST_BODY,
        max_sessions=MOST_SESSIONS,
    )

    @asynccontextmanager
    async def running(_app: Any) -> AsyncIterator[None]:
        async with manager.run():
            yield

    return Starlette(routes=[Route(PLACE, endpoint=Guarded(manager, access))], lifespan=running)
