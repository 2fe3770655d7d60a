"""The edge of the application: what holds for every request, whichever router takes it.

Each request has a number, the client's own or one made here, that stands in the answer, in every line of the log and in
every problem. Bodies are bounded, and so is the time they take to come, for a body is read before it is known who sends
it. Answers carry the headers that keep a browser from guessing. A defect ends here: the client is told the number of an
incident, and the log has the rest.
"""

from __future__ import annotations

import logging
import math
import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import timedelta
from urllib.parse import quote

from anyio import CancelScope, current_time
from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.clock import Clock
from service.api.problems import Problem, incident

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
"""The number of the request that is being answered; empty outside of one."""

HEADER = "X-Request-Id"
MOST_BODY = 1 << 20
BODY_TIME = timedelta(seconds=30)
_OWN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
_LOG = logging.getLogger(__name__)
# What a page needs beyond this it says itself: only what is not there yet is added.
SAFE: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
HSTS = "max-age=31536000"


class Edge:
    """ASGI middleware; the outermost there is.

    Args:
        most_body: bytes a request may have.
        body_time: how long its body may take to come.
        https: whether clients reach the service by TLS, here or at a proxy.
    """

    def __init__(
        self,
        app: ASGIApp,
        clock: Clock,
        *,
        most_body: int = MOST_BODY,
        body_time: timedelta = BODY_TIME,
        https: bool = False,
    ) -> None:
        self._app = app
        self._clock = clock
        self._most = most_body
        self._body_time = body_time
        self._https = https

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        number = request_id(headers.get(HEADER, ""))
        scope.setdefault("state", {})["request_id"] = number
        token = REQUEST_ID.set(number)
        answer = _Answer(send, number, https=self._https or scope.get("scheme") == "https")
        began = self._clock.monotonic()
        try:
            if _declared(headers) > self._most:
                await self._too_much().response(Request(scope))(scope, receive, answer)
            else:
                await self._guarded(scope, _Bounded(receive, self._most, self._body_time), answer)
        finally:
            _LOG.info(
                "%s %s %d",
                scope["method"],
                shown_path(scope["path"]),
                answer.status,
                extra={"request_id": number, "seconds": round(self._clock.monotonic() - began, 6)},
            )
            REQUEST_ID.reset(token)

    async def _guarded(self, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await self._app(scope, receive, answer)
        except Exception:
            # The edge of the service: a defect becomes an incident in the log and a number for the client.
            number = f"in_{secrets.token_hex(6)}"
            _LOG.exception("incident %s: %s %s", number, scope["method"], shown_path(scope["path"]))
            if answer.status:
                raise
            await incident(number).response(Request(scope))(scope, receive, answer)

    def _too_much(self) -> Problem:
        return Problem(413, "The body is too large", f"more than {self._most} bytes", field="body", remedy="Send less")


class _Bounded:
    """Passes so much of a body on, and no more, for so long: a length that is not declared is counted."""

    def __init__(self, receive: Receive, most: int, time: timedelta) -> None:
        self._receive = receive
        self._most = most
        self._seen = 0
        self._seconds = time.total_seconds()
        self._until: float | None = None
        self._whole = False

    async def __call__(self) -> Message:
        message = await self._next()
        self._whole = self._whole or not message.get("more_body", False)
        self._seen += len(message.get("body", b""))
        if self._seen > self._most:
            raise HTTPException(413, f"the body has more than {self._most} bytes")
        return message

    async def _next(self) -> Message:
        """What comes behind a whole body is that the client went, which may take as long as it likes."""
        if self._until is None:
            self._until = current_time() + self._seconds
        with CancelScope(deadline=math.inf if self._whole else self._until):
            return await self._receive()
        raise HTTPException(408, f"the body did not come within {self._seconds:g} s")


class _Answer:
    """Sends an answer with the headers every one has. `status` is zero until it begins."""

    def __init__(self, send: Send, number: str, *, https: bool) -> None:
        self._send = send
        self._number = number
        self._https = https
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers[HEADER] = self._number
            for name, value in SAFE.items():
                headers.setdefault(name, value)
            if self._https:
                headers.setdefault("Strict-Transport-Security", HSTS)
        await self._send(message)


def shown_path(path: str) -> str:
    """Return a path as it came over the wire: in a log that is read as text, it begins no line of its own."""
    return quote(path, safe="/:@!$&'()*+,;=~")


def request_id(given: str) -> str:
    """Return the client's own number of a request, where it can be one, else a new one."""
    return given if _OWN.fullmatch(given) else f"rq_{secrets.token_hex(8)}"


def _declared(headers: Headers) -> int:
    said = headers.get("content-length", "")
    return int(said) if said.isdecimal() and len(said) < 20 else 0
