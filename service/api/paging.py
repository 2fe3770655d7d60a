"""Pages of long lists: `limit` and an opaque `cursor`; the answer has the link to the `next` page.

A cursor names the last thing that was seen, so that what is added meanwhile shifts nothing. It belongs to one list
with one set of filters; handed to another it is refused.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.canonical import canonical_hash
from service.api.problems import Problem

T = TypeVar("T")
DEFAULT, MOST = 50, 500
_LONGEST = 600
_DIGITS = 12


class Page(BaseModel, Generic[T]):
    """One page. `next` is the address of the following one; without it this is the last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: list[T]
    next: str | None = Field(default=None, description="Address of the next page, relative to this origin.")


class Paging:
    """What a client asked for of a list: at most `limit`, behind `after` (empty: from the beginning)."""

    def __init__(self, request: Request, response: Response, limit: int, cursor: str) -> None:
        self._request = request
        self._response = response
        self.limit = limit
        self._list = _mark(request)
        self.after = self._position(cursor) if cursor else ""

    def page(self, items: Sequence[T], following: str = "") -> Page[T]:
        """Return a page; `following` is the position behind it, where something may follow."""
        if not following:
            return Page(items=list(items))
        given = [(name, value) for name, value in self._request.query_params.multi_items() if name != "cursor"]
        link = f"{self._request.url.path}?{urlencode([*given, ('cursor', self._cursor(following))])}"
        self._response.headers["Link"] = f'<{link}>; rel="next"'
        return Page(items=list(items), next=link)

    def of(self, found: Iterable[T], key: Callable[[T], str]) -> Page[T]:
        """Return the page of a list that is read as a whole, newest first; `key` names each of its things.

        A thing that is gone meanwhile cannot be found again: the list is then read from the beginning.
        """
        items = list(found)
        keys = _numbered([key(item) for item in items])
        start = keys.index(self.after) + 1 if self.after in keys else 0
        chosen = items[start : start + self.limit]
        more = start + self.limit < len(items)
        return self.page(chosen, keys[start + self.limit - 1] if more else "")

    def number(self) -> int:
        """Return the position as a number; zero is the beginning.

        Raises:
            Problem: it is none.
        """
        if not self.after:
            return 0
        if not (self.after.isascii() and self.after.isdecimal()) or len(self.after) > 18:
            raise _foreign()
        return int(self.after)

    def _cursor(self, position: str) -> str:
        text = json.dumps([self._list, position], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def _position(self, cursor: str) -> str:
        try:
            told = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        except (ValueError, RecursionError):
            raise _foreign() from None
        if not isinstance(told, list) or len(told) != 2 or told[0] != self._list or not isinstance(told[1], str):
            raise _foreign()
        # Positions of ours are plain text; what is none may be more than a database takes as one.
        if not (told[1].isascii() and told[1].isprintable()):
            raise _foreign()
        return told[1]


def paging(
    request: Request,
    response: Response,
    limit: Annotated[int, Query(ge=1, le=MOST, description="At most so many on a page.")] = DEFAULT,
    cursor: Annotated[
        str,
        Query(max_length=_LONGEST, pattern="^[A-Za-z0-9_-]*$", description="Where to go on, as the last page said."),
    ] = "",
) -> Paging:
    """Read what is asked for from a request; a dependency."""
    return Paging(request, response, limit, cursor)


Asked = Annotated[Paging, Depends(paging)]


def _numbered(keys: list[str]) -> list[str]:
    """Return keys that differ, the same ones also when there is more at the front."""
    seen: Counter[str] = Counter()
    numbered = []
    for key in reversed(keys):
        seen[key] += 1
        numbered.append(f"{key}.{seen[key]}")
    return numbered[::-1]


def _mark(request: Request) -> str:
    """Return what a cursor belongs to: the list and its filters."""
    given: Mapping[str, list[str]] = {
        name: request.query_params.getlist(name) for name in sorted(request.query_params) if name not in _OF_THE_PAGE
    }
    return canonical_hash([request.url.path, given])[:_DIGITS]


_OF_THE_PAGE = ("limit", "cursor")


def _foreign() -> Problem:
    return Problem(
        422,
        "A value cannot be used",
        "is no cursor of this list",
        field="cursor",
        remedy="Follow `next` of a page as it is, with the filters it was asked with; leave it out to begin again",
    )
