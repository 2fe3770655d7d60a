"""One request with its answer, for whoever checks them against the specification."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Exchange:
    """What went over the wire; `path` without its query, `broken` when a fault damaged the answer on purpose."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    sent: bytes
    status: int
    answered: bytes
    broken: bool = False
