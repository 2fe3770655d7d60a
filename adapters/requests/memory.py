"""Requests in memory: the same contract, gone with the process."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from adapters.requests.base import Answer, RequestDiffers, RequestInFlight


@dataclass
class _Kept:
    request: str
    ticket: str
    begun_at: datetime
    until: datetime
    answer: Answer | None = None


class MemoryRequests:
    """A `RequestsPort` for tests and embedding."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], _Kept] = {}

    def begin(self, caller: str, key: str, request: str, *, at: datetime, lease: timedelta) -> str | Answer:
        """See `RequestsPort.begin`."""
        with self._lock:
            known = self._kept.get((caller, key))
            if known is not None:
                check(key, known.request, request)
                if known.answer is not None:
                    return known.answer
                if at < known.until:
                    raise in_flight(key, known.begun_at)
            ticket = new_ticket()
            self._kept[caller, key] = _Kept(request, ticket, at, at + lease)
            return ticket

    def finish(self, ticket: str, answer: Answer, *, at: datetime) -> bool:
        """See `RequestsPort.finish`."""
        with self._lock:
            mine = [kept for kept in self._kept.values() if kept.ticket == ticket and kept.answer is None]
            for kept in mine:
                kept.answer = answer
            return bool(mine)

    def abandon(self, ticket: str) -> None:
        """See `RequestsPort.abandon`."""
        with self._lock:
            self._kept = {
                place: kept for place, kept in self._kept.items() if kept.ticket != ticket or kept.answer is not None
            }

    def prune(self, before: datetime) -> int:
        """See `RequestsPort.prune`."""
        with self._lock:
            old = [place for place, kept in self._kept.items() if kept.begun_at < before]
            for place in old:
                del self._kept[place]
            return len(old)


def new_ticket() -> str:
    """Return a ticket that nobody else has."""
    return secrets.token_hex(16)


def check(key: str, known: str, request: str) -> None:
    """Return when a key is asked about the request it stands for.

    Raises:
        RequestDiffers: it stands for another.
    """
    if known != request:
        raise RequestDiffers(f"{key} was used before, with another request")


def in_flight(key: str, since: datetime) -> RequestInFlight:
    """Return that somebody works on it."""
    return RequestInFlight(f"{key} is worked on since {since:%Y-%m-%d %H:%M:%S} UTC")
