"""How routers below `/api/v1` are made."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from service.access.guard import may, route_action


class Route(APIRoute):
    """A route that tells nobody what is wrong with a request before it is known who asks.

    A body that is no JSON is found before any dependency is looked at; the guard is asked then all the same.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute.get_route_handler`."""
        handler = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await handler(request)
            except (RequestValidationError, HTTPException):
                action = route_action(self)
                if action is not None and not hasattr(request.state, "caller"):
                    await may(action)(request)
                raise

        return guarded


def router_of(tag: str) -> APIRouter:
    """Return a router whose routes are about one thing."""
    return APIRouter(tags=[tag], route_class=Route)
