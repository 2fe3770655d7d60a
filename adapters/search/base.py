"""The search port: the search engine behind the platform, what users ask it, how well it ranks, and its index.

Contract: reads only. Queries are as users wrote them: untrusted. Shares carry how many queries they rest on, and are
missing without any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field

from domain.errors import ConfigurationError, InvalidInput
from domain.measurement import Measurement

MOST_QUERIES = 500
MOST_TOP = 100


class QueryStat(BaseModel):
    """How one query fared: how often it was asked, found nothing, and led to a click."""

    model_config = ConfigDict(frozen=True)

    query: str
    count: int
    empty: int
    clicked: int


class QueryAnalytics(BaseModel):
    """What was asked in [start, end); shares are of its queries, `top` the most frequent ones."""

    model_config = ConfigDict(frozen=True)

    start: datetime
    end: datetime
    queries: int
    zero_result_share: Measurement
    click_through: Measurement
    top: tuple[QueryStat, ...] = ()


class JudgedQuery(BaseModel):
    """A query and what its documents are worth: grade by document, 0 for none."""

    model_config = ConfigDict(frozen=True)

    query: str = Field(min_length=1)
    grades: Mapping[str, int] = Field(min_length=1)


class RankScore(BaseModel):
    """nDCG@k of one query, and how many of its first k documents nobody has graded."""

    model_config = ConfigDict(frozen=True)

    query: str
    ndcg: float
    unrated: int


class RankEvaluation(BaseModel):
    """nDCG@k over judged queries; `failed` are queries the engine could not answer, by its own words."""

    model_config = ConfigDict(frozen=True)

    ndcg: Measurement
    k: int
    scores: tuple[RankScore, ...] = ()
    failed: Mapping[str, str] = Field(default_factory=dict)


class IndexStats(BaseModel):
    """The index: `health` is green, yellow or red; `query_ms` the mean over all its queries since it was opened.

    `slow_log` are the thresholds from which a search is logged as slow, by level; empty when none is.
    """

    model_config = ConfigDict(frozen=True)

    index: str
    health: str
    documents: int
    deleted: int
    bytes: int
    query_ms: Measurement
    slow_log: Mapping[str, str] = Field(default_factory=dict)


class SearchPort(Protocol):
    """A search engine."""

    def analytics(self, since: datetime, until: datetime, top: int = 20) -> QueryAnalytics:
        """Return what was asked in [since, until).

        Raises:
            InvalidInput: the span is empty, or `top` too large.
            DependencyLied: the answer contradicts itself.
        """
        ...

    def rank_eval(self, judged: Sequence[JudgedQuery], k: int = 10) -> RankEvaluation:
        """Return how well the engine's own ranking does on judged queries.

        Raises:
            InvalidInput: there is no query, or there are too many.
            DependencyLied: the answer contradicts itself.
        """
        ...

    def index(self) -> IndexStats:
        """Return how the index stands."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise an error that names the remedy."""
        ...


def checked_span(since: datetime, until: datetime, top: int) -> None:
    """Return when analytics can be asked for.

    Raises:
        InvalidInput: names the argument.
    """
    if until <= since:
        raise InvalidInput("until", f"{until.isoformat()} is not after since", "Give a later time")
    if not 1 <= top <= MOST_TOP:
        raise InvalidInput("top", f"{top} is not a number of queries", f"Ask for 1 to {MOST_TOP}")


def checked_judged(judged: Sequence[JudgedQuery], k: int) -> None:
    """Return when an evaluation can be asked for.

    Raises:
        InvalidInput: names the argument.
    """
    if not 1 <= len(judged) <= MOST_QUERIES:
        raise InvalidInput("judged", f"{len(judged)} queries", f"Give 1 to {MOST_QUERIES}")
    if not 1 <= k <= 100:
        raise InvalidInput("k", f"{k} is not a depth", "Give 1 to 100")


def not_configured() -> ConfigurationError:
    """Return the error of an engine that is not there."""
    return ConfigurationError(
        "search", "no search engine is configured", "Add the section search with the url and index of OpenSearch"
    )
