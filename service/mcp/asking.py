"""Asking the REST API from inside of the process: the same routes, guard, policies and views as over the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from domain.errors import EvercrewError
from service.mcp.offers import API, Offer
from service.mcp.schemas import Operation

if TYPE_CHECKING:
    from fastapi import FastAPI

_HERE = "http://evercrew.local"
_PATIENCE_S = 150.0


class Refusal(EvercrewError):
    """The API said no, or could not; the message names the field and the remedy."""


class Asking:
    """Calls operations of one application in the name of whoever a token is of."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.openapi: Mapping[str, Any] = app.openapi()

    async def ask(
        self, offer: Offer, operation: Operation, args: Mapping[str, Any], *, token: str, key: str = ""
    ) -> Any:
        """Return what the operation answers, as JSON.

        Raises:
            Refusal: it is an error.
        """
        path = offer.path.format(**{name: quote(str(args[name]), safe="") for name in operation.in_path})
        query = {name: _text(args[name]) for name in operation.in_query if args.get(name) is not None}
        body = {name: args[name] for name in operation.in_body if name in args}
        headers = {"Idempotency-Key": key} if key else {}
        answer = await self._sent(offer.method, f"{API}{path}", token, query, body or None, headers)
        return answer.json()

    async def text(self, path: str, token: str, query: Mapping[str, str] | None = None) -> str:
        """Return a document of the API as text.

        Raises:
            Refusal: it is an error.
        """
        return str((await self._sent("get", f"{API}{path}", token, query or {}, None, {})).text)

    async def _sent(
        self,
        method: str,
        path: str,
        token: str,
        query: Mapping[str, str],
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> Any:
        import httpx

        transport = httpx.ASGITransport(app=self._app, raise_app_exceptions=False)
        known = {"Authorization": f"Bearer {token}", **headers}
        async with httpx.AsyncClient(transport=transport, base_url=_HERE, timeout=_PATIENCE_S) as client:
            answer = await client.request(method.upper(), path, params=dict(query), json=body, headers=known)
        if answer.status_code >= 400:
            raise Refusal(_told(answer))
        return answer


def _told(answer: Any) -> str:
    """Return a problem of the API as a sentence."""
    try:
        problem = answer.json()
    except ValueError:
        return f"the API answered {answer.status_code}"
    parts = [f"{problem.get('title', 'It was not done')} ({answer.status_code})", str(problem.get("detail", ""))]
    if problem.get("field"):
        parts.append(f"field: {problem['field']}")
    if problem.get("remedy"):
        parts.append(f"remedy: {problem['remedy']}")
    return ". ".join(part.rstrip(".") for part in parts if part)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
