"""A search engine in memory, for tests and embedding: documents are ranked by the words they share with a query."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.search.base import (
    IndexStats,
    JudgedQuery,
    QueryAnalytics,
    QueryStat,
    RankEvaluation,
    RankScore,
    checked_judged,
    checked_span,
)
from domain.measurement import Measurement

SOURCE = "memory"


@dataclass(frozen=True)
class Asked:
    """One search: how many results it had, and whether one was clicked."""

    at: datetime
    query: str
    results: int
    clicked: bool


class MemorySearch:
    """`SearchPort` over documents by id and a list of what was asked, which may be appended to."""

    def __init__(self, *, documents: Mapping[str, str] | None = None, asked: Sequence[Asked] = ()) -> None:
        self._documents = dict(documents or {})
        self.asked = list(asked)

    def analytics(self, since: datetime, until: datetime, top: int = 20) -> QueryAnalytics:
        """See `SearchPort.analytics`."""
        checked_span(since, until, top)
        found = [search for search in self.asked if since <= search.at < until]
        names = sorted({s.query for s in found}, key=lambda name: (-sum(s.query == name for s in found), name))[:top]

        def share(part: int, unit: str) -> Measurement:
            n = len(found)
            return Measurement(
                value=part / n if n else None, unit=unit, n=n, window=until - since, source=SOURCE, at=until
            )

        return QueryAnalytics(
            start=since,
            end=until,
            queries=len(found),
            zero_result_share=share(sum(not s.results for s in found), "share"),
            click_through=share(sum(s.clicked for s in found), "share"),
            top=tuple(_stat(name, [s for s in found if s.query == name]) for name in names),
        )

    def rank_eval(self, judged: Sequence[JudgedQuery], k: int = 10) -> RankEvaluation:
        """See `SearchPort.rank_eval`."""
        checked_judged(judged, k)
        scores = []
        for item in judged:
            found = self._ranked(item.query)[:k]
            grades = [item.grades.get(name, 0) for name in found]
            best = sorted(item.grades.values(), reverse=True)[:k]
            ndcg = _dcg(grades) / _dcg(best) if _dcg(best) else 0.0
            scores.append(
                RankScore(query=item.query, ndcg=ndcg, unrated=sum(name not in item.grades for name in found))
            )
        mean = sum(score.ndcg for score in scores) / len(scores)
        return RankEvaluation(
            ndcg=Measurement(value=mean, unit="score", n=len(scores), source=SOURCE), k=k, scores=tuple(scores)
        )

    def index(self) -> IndexStats:
        """See `SearchPort.index`."""
        return IndexStats(
            index=SOURCE,
            health="green",
            documents=len(self._documents),
            deleted=0,
            bytes=sum(map(len, self._documents.values())),
            query_ms=Measurement(value=1.0 if self.asked else None, unit="ms", n=len(self.asked), source=SOURCE),
        )

    def check(self) -> str:
        """See `SearchPort.check`."""
        return f"memory: {len(self._documents)} documents"

    def _ranked(self, query: str) -> list[str]:
        words = set(query.lower().split())
        shared = {name: len(words & set(text.lower().split())) for name, text in self._documents.items()}
        return sorted((name for name, n in shared.items() if n), key=lambda name: (-shared[name], name))


def _stat(name: str, found: Sequence[Asked]) -> QueryStat:
    return QueryStat(
        query=name,
        count=len(found),
        empty=sum(not search.results for search in found),
        clicked=sum(search.clicked for search in found),
    )


def _dcg(grades: Sequence[int]) -> float:
    return sum((2.0**grade - 1) / math.log2(place + 2) for place, grade in enumerate(grades))
