"""The signals of the documented platform, by name: how each is read from its metrics."""

from __future__ import annotations

from collections.abc import Mapping

from adapters.metrics.labelled import with_labels
from domain.signal import SeriesQuery, SignalSpec, Stat
from service.config import Config


def catalog(config: Config) -> dict[str, SignalSpec]:
    """Return the signals by name: those of the documented platform, and the file's own in their place.

    Where the metrics system has other targets too, every query carries the labels of this one's series.
    """
    found, labels = {**_DEFAULT, **config.signals}, config.metrics.labels
    return {name: _labelled(spec, labels) for name, spec in found.items()} if labels else found


def _labelled(spec: SignalSpec, labels: Mapping[str, str]) -> SignalSpec:
    queries = {"value": spec.value, "count": spec.count, "squares": spec.squares}
    told = {name: with_labels(query, labels) for name, query in queries.items() if query is not None}
    return spec.model_copy(update=told)


def default_catalog() -> dict[str, SignalSpec]:
    """Return the signals of the documented platform."""
    return dict(_DEFAULT)


def _counter(metric: str, *, q: float | None = None, stat: Stat = Stat.INCREASE, scale: float = 1.0) -> SeriesQuery:
    return SeriesQuery(metric=metric, stat=stat, q=q, scale=scale)


_SESSIONS = _counter("search_judged_sessions_total")
_REQUESTS = _counter("search_requests_total")
_DEFAULT: dict[str, SignalSpec] = {
    "ndcg_at_10": SignalSpec(
        name="ndcg_at_10",
        unit="score",
        value=_counter("search_ndcg_at_10_sum"),
        count=_SESSIONS,
        squares=_counter("search_ndcg_at_10_squares_sum"),
        mean=True,
        higher_is_better=True,
    ),
    "recall_at_20": SignalSpec(
        name="recall_at_20",
        unit="score",
        value=_counter("search_recall_at_20_sum"),
        count=_SESSIONS,
        # What is summed is 0 or 1, which is its own square.
        squares=_counter("search_recall_at_20_sum"),
        mean=True,
        higher_is_better=True,
    ),
    "latency_p95_ms": SignalSpec(
        name="latency_p95_ms",
        unit="ms",
        value=_counter("search_latency_seconds", stat=Stat.QUANTILE, q=0.95, scale=1000),
        count=_REQUESTS,
        higher_is_better=False,
    ),
    "cost_per_1k_requests": SignalSpec(
        name="cost_per_1k_requests",
        unit="USD",
        value=SeriesQuery(metric="search_cost_per_1k_requests"),
        count=_REQUESTS,
        higher_is_better=False,
    ),
    "budget_share": SignalSpec(
        name="budget_share",
        unit="share",
        value=SeriesQuery(metric="search_budget_share"),
        count=_REQUESTS,
        higher_is_better=False,
    ),
    "etl_backlog_s": SignalSpec(
        name="etl_backlog_s",
        unit="s",
        value=SeriesQuery(metric="search_etl_backlog_seconds"),
        count=_REQUESTS,
        higher_is_better=False,
    ),
    "vector_index_errors": SignalSpec(
        name="vector_index_errors",
        unit="errors",
        value=_counter("search_index_errors_total"),
        count=_REQUESTS,
        higher_is_better=False,
    ),
    "user_satisfaction": SignalSpec(
        name="user_satisfaction",
        unit="score_1_5",
        value=SeriesQuery(metric="search_satisfaction"),
        count=_SESSIONS,
        higher_is_better=True,
    ),
}
