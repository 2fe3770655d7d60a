"""Newer and older: the pages of a list that somebody looks at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlencode

T = TypeVar("T")


@dataclass(frozen=True)
class Pager:
    """What stands below a list: which part of it is shown, and the addresses of what is newer and older."""

    said: str
    newer: str = ""
    older: str = ""
    back: str = "Newer"


def paged(
    found: Sequence[T], page: int, size: int, path: str, kept: Mapping[str, str], *, what: str = "", more: bool = False
) -> tuple[list[T], Pager]:
    """Return the things of a page, and its pager.

    Args:
        page: from 1 on; one behind the end is empty.
        kept: the filters, which stay in the addresses.
        what: what is listed, in the plural.
        more: whether there are more than were found.
    """
    start = (page - 1) * size
    shown = list(found[start : start + size])
    known = f"{len(found)}{'+' if more else ''}"
    said = f"{start + 1}\N{EN DASH}{start + len(shown)} of {known} {what}".rstrip() if shown else f"no {what}".rstrip()
    newer = address(path, kept, page - 1) if page > 1 else ""
    return shown, Pager(said, newer, address(path, kept, page + 1) if start + size < len(found) else "")


def address(path: str, kept: Mapping[str, str], page: int = 1) -> str:
    """Return the address of a page of a list, without the filters that are empty."""
    given = {name: value for name, value in kept.items() if value}
    query = urlencode({**given, "page": str(page)} if page > 1 else given)
    return f"{path}?{query}" if query else path
