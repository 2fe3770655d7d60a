"""A write that is meant for what somebody saw: it is made where that stands still, by whoever holds the lock."""

from __future__ import annotations

from collections.abc import Sequence

from domain.errors import ConflictError


def check_seen(what: str, seen: Sequence[object] | None, present: Sequence[object]) -> None:
    """Return where `present` is what was `seen`, in any order, or where nothing was.

    Raises:
        ConflictError: it is something else.
    """
    if seen is not None and (len(seen) != len(present) or any(row not in seen for row in present)):
        raise ConflictError(f"{what} has changed meanwhile: read it again, and decide by what it says now")
