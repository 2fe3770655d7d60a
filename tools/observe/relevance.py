"""`query_analytics` and `rank_eval`: what users ask the search engine, and how well its own ranking serves them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pydantic import Field

from adapters.platform.base import JudgementRow, PlatformPort
from adapters.search.base import JudgedQuery, SearchPort
from domain.clock import Clock
from domain.errors import InvalidInput
from domain.untrusted import Untrusted
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

SOURCE = "search engine"


class AnalyticsArgs(Arguments):
    """How many hours up to now, and how many of the most frequent queries."""

    hours: float = Field(default=24, gt=0, le=744)
    top: int = Field(default=10, ge=1, le=50)


class AskedQuery(Result):
    """One query: how often it was asked, found nothing, and led to a click."""

    query: Untrusted
    count: int
    empty: int
    clicked: int


class AnalyticsResult(Result):
    """What was asked in [start, end), and how the index stands; shares are in [0, 1], None without any query.

    `query_ms` is the engine's mean over all its queries, `slow_log` from which duration on it logs one as slow, by
    level; those lines are found with `log_search`.
    """

    start: datetime
    end: datetime
    queries: int
    zero_result_share: float | None
    click_through: float | None
    top: tuple[AskedQuery, ...]
    health: str
    documents: int
    deleted: int
    bytes: int
    query_ms: float | None
    slow_log: Mapping[str, str]


class QueryAnalyticsRead(Tool[AnalyticsArgs, AnalyticsResult]):
    """Asks the search engine what it was asked."""

    spec = ToolSpec(
        "query_analytics",
        "What users ask: top queries, share without a result, click-through; and the state of the search index.",
    )
    input = AnalyticsArgs
    output = AnalyticsResult

    def __init__(self, search: SearchPort, clock: Clock) -> None:
        self._search = search
        self._clock = clock

    def run(self, args: AnalyticsArgs, call: Call) -> AnalyticsResult:
        end = self._clock.now()
        found = self._search.analytics(end - timedelta(hours=args.hours), end, args.top)
        index = self._search.index()
        return AnalyticsResult(
            start=found.start,
            end=found.end,
            queries=found.queries,
            zero_result_share=found.zero_result_share.value,
            click_through=found.click_through.value,
            top=tuple(
                AskedQuery(
                    query=Untrusted(text=stat.query[:200], source=SOURCE),
                    count=stat.count,
                    empty=stat.empty,
                    clicked=stat.clicked,
                )
                for stat in found.top
            ),
            health=index.health,
            documents=index.documents,
            deleted=index.deleted,
            bytes=index.bytes,
            query_ms=index.query_ms.value,
            slow_log=index.slow_log,
        )


class RankEvalArgs(Arguments):
    """The depth, and how many judged queries: the most recent ones of the last `hours` before the alert."""

    k: int = Field(default=10, ge=1, le=50)
    queries: int = Field(default=100, ge=1, le=500)
    hours: float = Field(default=24, gt=0, le=744)


class RankedQuery(Result):
    """nDCG@k of one query."""

    query: Untrusted
    ndcg: float
    unrated: int


class RankEvalResult(Result):
    """Mean nDCG@k of the engine's own ranking, before any re-ranking, over `n` judged queries; the worst of them.

    `unrated` is the mean number of documents among the first k that nobody judged: they count as worth nothing.
    """

    ndcg: float | None
    n: int
    k: int
    unrated: float | None
    failed: int
    worst: tuple[RankedQuery, ...]


class RankEval(Tool[RankEvalArgs, RankEvalResult]):
    """Has the search engine rank judged queries."""

    spec = ToolSpec("rank_eval", "nDCG@k of the search engine's own ranking on judged queries, and the worst of them.")
    input = RankEvalArgs
    output = RankEvalResult

    def __init__(self, search: SearchPort, platform: PlatformPort) -> None:
        self._search = search
        self._platform = platform

    def run(self, args: RankEvalArgs, call: Call) -> RankEvalResult:
        since = call.scope.alert_at - timedelta(hours=args.hours)
        judged = _judged(self._platform.judgements(since=since), args.queries)
        if not judged:
            raise InvalidInput("hours", "there is no judged query in the span", "Ask for a longer one")
        found = self._search.rank_eval(judged, args.k)
        worst = sorted(found.scores, key=lambda score: (score.ndcg, score.query))[:5]
        return RankEvalResult(
            ndcg=found.ndcg.value,
            n=found.ndcg.n,
            k=found.k,
            unrated=sum(score.unrated for score in found.scores) / len(found.scores) if found.scores else None,
            failed=len(found.failed),
            worst=tuple(
                RankedQuery(query=Untrusted(text=s.query[:200], source=SOURCE), ndcg=s.ndcg, unrated=s.unrated)
                for s in worst
            ),
        )


def _judged(rows: Sequence[JudgementRow], most: int) -> list[JudgedQuery]:
    """The most recently judged queries; of several grades of a document the highest counts."""
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: row.ts, reverse=True):
        if row.query.strip() and (row.query in grades or len(grades) < most):
            known = grades[row.query]
            known[row.doc_id] = max(known.get(row.doc_id, 0), row.grade)
    return [JudgedQuery(query=query, grades=found) for query, found in grades.items()]
