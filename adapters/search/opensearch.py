"""OpenSearch by REST: query analytics on the UBI indices, `_rank_eval`, and the statistics of the index.

UBI (User Behavior Insights) keeps what was asked in `ubi_queries` and what users did in `ubi_events`; a click belongs
to a search by its `query_id`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from adapters.rest import Endpoint, NotFound, RestClient
from adapters.search.answers import whole
from adapters.search.base import (
    IndexStats,
    JudgedQuery,
    QueryAnalytics,
    QueryStat,
    RankEvaluation,
    checked_judged,
    checked_span,
)
from adapters.search.readings import ADDRESS, NAME, evaluation, statistics
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied, InvalidInput
from domain.measurement import Measurement

# Distinct searches are counted approximately, and a click may belong to a search before the span.
_SLACK, _FEW = 1.05, 5


@dataclass(frozen=True)
class Ubi:
    """Where User Behavior Insights are kept, and under which names; `clicks` are the actions that count as a click."""

    queries: str = "ubi_queries"
    events: str = "ubi_events"
    query_field: str = "user_query"
    clicks: tuple[str, ...] = ("click",)


class OpenSearchEngine:
    """`SearchPort` on `index` of the OpenSearch at `endpoint`.

    Args:
        fields: that a query is matched against in an evaluation, with boosts where they have some (``title^2``).
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint,
        clock: Clock,
        index: str,
        fields: Sequence[str] = ("title", "text"),
        ubi: Ubi | None = None,
    ) -> None:
        if not index or index.startswith(("_", "/")) or "*" in index:
            raise ConfigurationError("search.index", f"{index!r} is no index", "Name an index or its alias")
        if not fields:
            raise ConfigurationError("search.fields", "names no field", "Name the fields that are searched")
        self._rest = RestClient(endpoint, name=NAME, field=NAME, clock=clock)
        self._clock = clock
        self._index = index
        self._fields = list(fields)
        self._ubi = ubi or Ubi()

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def analytics(self, since: datetime, until: datetime, top: int = 20) -> QueryAnalytics:
        """See `SearchPort.analytics`."""
        checked_span(since, until, top)
        asked, n, empty = self._asked(since, until, top)
        clicked, by_query = self._clicked(since, until, list(asked))
        if clicked > n * _SLACK + _FEW:
            raise DependencyLied(NAME, f"{clicked} searches with a click, {n} searches", "Check that UBI keeps both")

        def share(part: int) -> Measurement:
            value = min(part / n, 1.0) if n else None
            source = f"{NAME}: {self._ubi.queries}"
            return Measurement(value=value, unit="share", n=n, window=until - since, source=source, at=until)

        return QueryAnalytics(
            start=since,
            end=until,
            queries=n,
            zero_result_share=share(empty),
            click_through=share(clicked),
            top=tuple(
                QueryStat(query=name, count=count, empty=none, clicked=min(by_query.get(name, 0), count))
                for name, (count, none) in asked.items()
            ),
        )

    def rank_eval(self, judged: Sequence[JudgedQuery], k: int = 10) -> RankEvaluation:
        """See `SearchPort.rank_eval`."""
        checked_judged(judged, k)
        concrete = self._concrete()
        requests = [
            {
                "id": f"q{number}",
                "request": {"query": {"multi_match": {"query": item.query, "fields": self._fields}}},
                "ratings": [{"_index": concrete, "_id": name, "rating": grade} for name, grade in item.grades.items()],
            }
            for number, item in enumerate(judged)
        ]
        body = {"requests": requests, "metric": {"dcg": {"k": k, "normalize": True}}}
        answer = _object(self._post(self._index, "_rank_eval", body, "search.index"), "the evaluation")
        return evaluation(answer, judged, k)

    def index(self) -> IndexStats:
        """See `SearchPort.index`."""
        name = quote(self._index, safe="")
        rows = self._found(lambda: self._rest.get(f"/_cat/indices/{name}", {"format": "json", "bytes": "b"}))
        stats = self._found(lambda: self._rest.get(f"/{name}/_stats/docs,store,search"))
        settings = self._found(lambda: self._rest.get(f"/{name}/_settings", {"flat_settings": "true"}))
        return statistics(self._index, rows, stats, settings)

    def check(self) -> str:
        """See `SearchPort.check`."""
        version = _object(self._rest.get("/"), "the root").get("version")
        if not isinstance(version, dict) or version.get("distribution") != "opensearch":
            raise ConfigurationError("search.url", "what answers is not OpenSearch", ADDRESS)
        stats = self.index()
        bare = [field.partition("^")[0] for field in self._fields]
        path = f"/{quote(self._index, safe='')}/_field_caps"
        caps = _object(self._found(lambda: self._rest.get(path, {"fields": ",".join(bare)})), "field_caps")
        missing = [field for field in bare if field not in (caps.get("fields") or {})]
        if missing:
            raise ConfigurationError(
                "search.fields", f"{self._index} has no field {missing[0]!r}", "Name its own fields"
            )
        now = self._clock.now()
        asked = self.analytics(now - timedelta(days=1), now, 1).queries
        return f"{NAME}: OpenSearch {version.get('number')}, {stats.documents} documents, {asked} queries of a day"

    # -- how it is asked -------------------------------------------------------------------------------------------

    def _asked(self, since: datetime, until: datetime, top: int) -> tuple[dict[str, tuple[int, int]], int, int]:
        """Return (count, count without a result) of the most frequent queries, and both over all."""
        none = {"filter": {"bool": {"must_not": [{"exists": {"field": "query_response_hit_ids"}}]}}}
        frequent = {"terms": {"field": self._ubi.query_field, "size": top}, "aggs": {"empty": none}}
        body = _counting([_span(since, until)], {"empty": none, "top": frequent})
        answer = self._post(self._ubi.queries, "_search", body, "search.ubi")
        buckets, total = _aggregations(answer)
        found = {}
        for bucket in _buckets(buckets, "top"):
            count, empty = _count(bucket), _count(bucket.get("empty"))
            if empty > count or count > total:
                raise DependencyLied(NAME, f"{bucket.get('key')!r}: {empty} of {count} of {total} queries were empty")
            found[str(bucket.get("key"))] = (count, empty)
        empty = _count(buckets.get("empty"))
        if empty > total:
            raise DependencyLied(NAME, f"{empty} of {total} queries found nothing")
        return found, total, empty

    def _clicked(self, since: datetime, until: datetime, queries: list[str]) -> tuple[int, dict[str, int]]:
        """Return how many searches led to a click, over all and by query."""
        searches = {"cardinality": {"field": "query_id", "precision_threshold": 40_000}}
        aggregations: dict[str, Any] = {"searches": searches}
        if queries:
            named = {"field": self._ubi.query_field, "size": len(queries), "include": queries}
            aggregations["top"] = {"terms": named, "aggs": {"searches": searches}}
        actions = {"terms": {"action_name": list(self._ubi.clicks)}}
        body = _counting([_span(since, until), actions], aggregations)
        found, _ = _aggregations(self._post(self._ubi.events, "_search", body, "search.ubi"))
        by_query = {str(b.get("key")): _value(b.get("searches")) for b in _buckets(found, "top")} if queries else {}
        return _value(found.get("searches")), by_query

    def _concrete(self) -> str:
        """Return the name of the index itself: documents are rated under it, and not under its alias."""
        path = f"/_cat/indices/{quote(self._index, safe='')}"
        rows = self._found(lambda: self._rest.get(path, {"format": "json", "bytes": "b"}))
        names = [row.get("index") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        if len(names) != 1:
            raise ConfigurationError(
                "search.index", f"{self._index!r} stands for {len(names)} indices", "Name one index, or an alias of one"
            )
        return str(names[0])

    def _post(self, index: str, what: str, body: Mapping[str, Any], field: str) -> Any:
        path = f"/{quote(index, safe='')}/{what}"
        return self._found(lambda: self._rest.request("POST", path, json=dict(body), repeatable=True), index, field)

    def _found(self, ask: Callable[[], Any], index: str = "", field: str = "search.index") -> Any:
        try:
            return ask()
        except NotFound as error:
            remedy = "Name one there is"
            if field == "search.ubi":
                remedy = "Install User Behavior Insights and initialise it, or name its indices"
            raise ConfigurationError(field, f"there is no index {index or self._index!r}", remedy) from error
        except InvalidInput as error:
            raise ConfigurationError(field, error.problem, "Check the fields that are named there") from error


def _span(since: datetime, until: datetime) -> dict[str, Any]:
    span = {"gte": _stamp(since), "lt": _stamp(until), "format": "strict_date_optional_time"}
    return {"range": {"timestamp": span}}


def _counting(wanted: list[dict[str, Any]], aggregations: Mapping[str, Any]) -> dict[str, Any]:
    return {"size": 0, "track_total_hits": True, "query": {"bool": {"filter": wanted}}, "aggs": dict(aggregations)}


def _aggregations(answer: Any) -> tuple[dict[str, Any], int]:
    found = whole(NAME, NAME, answer)
    total = found["hits"].get("total")
    value = total.get("value") if isinstance(total, dict) else None
    made = found.get("aggregations")
    if not isinstance(value, int) or not isinstance(made, dict):
        raise DependencyLied(NAME, "the answer has no total or no aggregations", ADDRESS)
    return made, value


def _buckets(made: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = made.get(name)
    buckets = found.get("buckets") if isinstance(found, dict) else None
    if not isinstance(buckets, list) or not all(isinstance(bucket, dict) for bucket in buckets):
        raise DependencyLied(NAME, f"the aggregation {name} has no buckets", ADDRESS)
    return buckets


def _count(bucket: Any) -> int:
    count = bucket.get("doc_count") if isinstance(bucket, dict) else None
    if not isinstance(count, int) or count < 0:
        raise DependencyLied(NAME, "a bucket has no count", ADDRESS)
    return count


def _value(made: Any) -> int:
    value = made.get("value") if isinstance(made, dict) else None
    if not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise DependencyLied(NAME, "a number of searches is no number", ADDRESS)
    return int(value)


def _object(answer: Any, what: str) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise DependencyLied(NAME, f"{what} is no object", ADDRESS)
    return answer


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
