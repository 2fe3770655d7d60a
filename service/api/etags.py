"""Entity tags: a read that has not changed is not sent again, and a write that was meant for another state is not made.

A tag is the hash of what is sent, so that it is the same in every process and after every restart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Header, Request, Response
from pydantic import BaseModel

from domain.canonical import canonical_hash, json_ready
from domain.errors import ConflictError
from service.api.problems import Problem

M = TypeVar("M", bound=BaseModel)
S = TypeVar("S")
_DIGITS = 32
_ANY = "*"

IfMatch = Annotated[
    str, Header(alias="If-Match", max_length=2000, description="Write only while the thing has this entity tag.")
]
IfNoneMatch = Annotated[
    str, Header(alias="If-None-Match", max_length=2000, description="Answer 304 where the thing still has this tag.")
]
NOT_MODIFIED: dict[int | str, dict[str, Any]] = {304: {"description": "It is as the client knows it"}}


class NotModified(Exception):
    """The client has it already."""

    def __init__(self, tag: str) -> None:
        super().__init__(tag)
        self.tag = tag


def etag_of(value: Any) -> str:
    """Return the strong entity tag of a model, or of plain JSON."""
    plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
    return f'"{canonical_hash(json_ready({"of": plain}))[:_DIGITS]}"'


def tagged(response: Response, if_none_match: str, body: M, *, of: Any = None) -> M:
    """Return the body, with its tag on the answer; `of` is what the tag is of, where it is less than the body.

    Raises:
        NotModified: the client has it.
    """
    tag = etag_of(body if of is None else of)
    response.headers["ETag"] = tag
    response.headers["Cache-Control"] = "private, no-cache"
    if matches(if_none_match, tag, weakly=True):
        raise NotModified(tag)
    return body


@contextmanager
def unchanged(if_match: str, kept: Callable[[], S], present: Callable[[], Any]) -> Iterator[S | None]:
    """Let a write be made while `present()` still has the tag the client named; without one nothing is asked.

    What is yielded is what the write has to find still, in the transaction that makes it: between the look and the
    write another process may have written.

    Args:
        kept: what is kept of the thing; read before it is shown, so that what comes between is found out.

    Raises:
        Problem: 412, it has changed.
    """
    if not if_match or _ANY in _given(if_match):
        yield None
        return
    seen = kept()
    if not matches(if_match, etag_of(present())):
        raise _changed()
    try:
        yield seen
    except ConflictError as problem:
        raise _changed() from problem


def _changed() -> Problem:
    remedy = "Read it again, and decide by what it says now; leave If-Match out to write whatever it says"
    return Problem(412, "It has changed meanwhile", "another state is there", field="If-Match", remedy=remedy)


def matches(header: str, tag: str, *, weakly: bool = False) -> bool:
    """Whether a list of tags, or ``*``, has this one; a weak tag matches where it is only about reading (RFC 9110)."""
    given = _given(header)
    if weakly:
        given = [part.removeprefix("W/") for part in given]
    return _ANY in given or tag in given


def _given(header: str) -> list[str]:
    return [part.strip() for part in header.split(",")]


def install(app: FastAPI) -> None:
    """Answer 304 where the client has what it asks for."""

    async def answer(request: Request, known: Exception) -> Response:
        tag = known.tag if isinstance(known, NotModified) else ""
        return Response(status_code=304, headers={"ETag": tag, "Cache-Control": "private, no-cache"})

    app.add_exception_handler(NotModified, answer)
