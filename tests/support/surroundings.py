"""The systems around the platform, in memory: costs, a vector index, a search engine and what users say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from adapters.costs.memory import MemoryCosts, Spent
from adapters.feedback.base import FeedbackEvent, Kind
from adapters.feedback.memory import MemoryFeedback
from adapters.search.memory import Asked, MemorySearch
from adapters.vectors.memory import MemoryVectors
from domain.clock import Clock
from domain.permit import PermitOffice
from service.toolbox import Ports

MONTH = timedelta(days=31)


def surrounded(ports: Ports, permits: PermitOffice, clock: Clock) -> Ports:
    """Return the ports with all of them; the platform costs 310 USD a month, of a budget of 620."""
    now = clock.now()
    spent = [Spent("search", now - 2 * MONTH, now + MONTH, {"cpu": 620.0, "ram": 310.0})]
    told = [
        FeedbackEvent(ts=now - timedelta(minutes=n), user_id=f"u{n}", query="q", kind=Kind.RATING, value=4)
        for n in range(1, 4)
    ]
    return replace(
        ports,
        costs=MemoryCosts(clock=clock, spent=spent, monthly_budget_usd=620.0),
        vectors=MemoryVectors(permits=permits, clock=clock, points={n: {"source": "feed"} for n in range(1, 13)}),
        search=MemorySearch(
            documents={f"d{n}": f"title {n} text" for n in range(20)},
            asked=[Asked(now - timedelta(minutes=n), "title", 1, n % 2 == 0) for n in range(1, 11)],
        ),
        feedback=MemoryFeedback(told),
    )
