"""Writes that can be sent again: `Idempotency-Key` on every one of them.

Who comes again with the same key and the same request gets the answer of the first time, also after a restart; the key
with another request is an error, and while the first is still worked on the answer is 409. A key belongs to its caller.
Errors that the caller has to mend are answers too and are kept; where a dependency failed nothing is, so that the same
request can be made again.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, TypeVar

from fastapi import Depends, FastAPI, Header, Request, Response
from pydantic import BaseModel

from adapters.requests.base import Answer, RequestDiffers, RequestInFlight, RequestsPort
from domain.access import Caller
from domain.clock import Clock
from domain.errors import DependencyError, EvercrewError
from service.api.problems import MEDIA_TYPE, RETRY_AFTER, Problem, problem_of
from service.api.serving import serving

M = TypeVar("M", bound=BaseModel)
REPLAYED = "Idempotency-Replayed"
# Longer than any handler may take: what is not answered by then was begun by a process that died.
LEASE = timedelta(minutes=15)
KEEP = timedelta(days=7)
_EVERY = timedelta(hours=1).total_seconds()
_KEPT = ("location", "etag", "retry-after")
_JSON = "application/json"
_LOG = logging.getLogger(__name__)


class Replayed(Exception):
    """The request was answered before; this is the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.status))
        self.answer = answer


class Once:
    """Does a write once for each key of a caller; without a key, as often as it is asked for."""

    def __init__(
        self, requests: RequestsPort, clock: Clock, response: Response, *, key: str, request: str, status: int
    ) -> None:
        self._requests = requests
        self._clock = clock
        self._response = response
        self._status = status
        self.key = key
        self._request = request

    def __call__(self, caller: Caller, work: Callable[[], M]) -> M:
        """Return what the work comes to.

        Raises:
            Replayed: it was done before. Problem: the key cannot be used for it, or not now.
        """
        if not self.key:
            return work()
        _PRUNING.now_and_then(self._requests, self._clock)
        ticket = self._begun(caller)
        settled = False
        try:
            done = work()
            settled = self._kept(ticket, self._answer(done))
        except (EvercrewError, Problem) as error:
            settled = self._refused(ticket, error)
            raise
        finally:
            if not settled:
                self._given_up(ticket)
        return done

    def _begun(self, caller: Caller) -> str:
        try:
            found = self._requests.begin(caller.name, self.key, self._request, at=self._clock.now(), lease=LEASE)
        except RequestDiffers as problem:
            remedy = "Take a new key for a new request; a key stands for one request for ever"
            raise Problem(
                422, "The key stands for another request", str(problem), field="Idempotency-Key", remedy=remedy
            ) from problem
        except RequestInFlight as problem:
            remedy = "Come again after the seconds in Retry-After, with the same key"
            raise Problem(
                409,
                "It is still worked on",
                str(problem),
                field="Idempotency-Key",
                remedy=remedy,
                type="in-flight",
                headers=RETRY_AFTER,
            ) from problem
        if isinstance(found, Answer):
            raise Replayed(found)
        return found

    def _answer(self, done: BaseModel) -> Answer:
        status = self._response.status_code or self._status
        headers = {name: value for name, value in self._response.headers.items() if name in _KEPT}
        return Answer(status=status, media_type=_JSON, body=done.model_dump_json(by_alias=True), headers=headers)

    def _refused(self, ticket: str, error: EvercrewError | Problem) -> bool:
        """Keep what the caller has to mend; True where it was kept."""
        problem = problem_of(error) if isinstance(error, EvercrewError) else error
        if problem.status >= 500 or problem.status == 429:
            return False
        body = problem.body().model_dump_json(exclude_none=True)
        return self._kept(ticket, Answer(status=problem.status, media_type=MEDIA_TYPE, body=body))

    def _kept(self, ticket: str, answer: Answer) -> bool:
        try:
            self._requests.finish(ticket, answer, at=self._clock.now())
        except DependencyError as problem:
            _LOG.warning("an answer could not be kept under its key: %s", problem)
        return True  # the work is done: to give the key free would do it twice

    def _given_up(self, ticket: str) -> None:
        try:
            self._requests.abandon(ticket)
        except DependencyError as problem:
            _LOG.warning("a key stays taken until its lease is over: %s", problem)


async def once(
    request: Request,
    response: Response,
    key: Annotated[
        str,
        Header(
            alias="Idempotency-Key",
            max_length=128,
            pattern="^[!-~]*$",
            description="A name of this request, made by the caller: sent again, it is not done again.",
        ),
    ] = "",
) -> Once:
    """Return what the write of this request is done by; a dependency."""
    app = serving(request).app
    status = getattr(request.scope.get("route"), "status_code", None) or 200
    same = await _fingerprint(request)
    return Once(app.requests, app.clock, response, key=key, request=same, status=status)


Idempotent = Annotated[Once, Depends(once)]


def install(app: FastAPI) -> None:
    """Answer what was answered before as it was, and say so."""

    async def answer(request: Request, known: Exception) -> Response:
        if not isinstance(known, Replayed):
            raise known
        told = known.answer
        headers = {**told.headers, REPLAYED: "true"}
        return Response(told.body, status_code=told.status, headers=headers, media_type=told.media_type)

    app.add_exception_handler(Replayed, answer)


async def _fingerprint(request: Request) -> str:
    """Return what two requests have in common that are the same one."""
    whole = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    whole.update(await request.body())
    return whole.hexdigest()


class _Pruning:
    """Forgets old answers, once an hour at most, on the back of a write."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = float("-inf")

    def now_and_then(self, requests: RequestsPort, clock: Clock) -> None:
        with self._lock:
            if clock.monotonic() < self._next:
                return
            self._next = clock.monotonic() + _EVERY
        try:
            requests.prune(clock.now() - KEEP)
        except DependencyError as problem:
            _LOG.warning("old answers could not be forgotten: %s", problem)


_PRUNING = _Pruning()
