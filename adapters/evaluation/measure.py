"""From rankings to metrics: nDCG@10, recall@20, precision@10 by ir-measures (as in trec_eval), latency, cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.evaluation.base import BundleScores
from adapters.evaluation.sealed import HeldOutQuery
from domain.measurement import Measurement

SOURCE = "held-out set"
UNITS = {
    "ndcg_at_10": "score",
    "recall_at_20": "share",
    "precision_at_10": "share",
    "latency_p95_ms": "ms",
    "cost_per_1k_requests": "USD",
}


@dataclass(frozen=True)
class Prices:
    """USD a CPU second, and USD per 1,000 requests on top."""

    cpu_second_usd: float
    per_1k_usd: float


@dataclass(frozen=True)
class Ranked:
    """What a bundle answered to one query: document ids, best first, and the time it took in milliseconds."""

    documents: Sequence[str]
    latency_ms: float


def measure(
    digest: str, queries: Sequence[HeldOutQuery], run: Sequence[Ranked], prices: Prices, at: datetime
) -> BundleScores:
    """Return the metrics of one bundle.

    `run` is aligned with `queries`. Without queries every measurement is missing.
    """
    if not queries:
        return nothing(digest, at)
    by_name = _per_query(queries, run)
    latencies = [ranked.latency_ms for ranked in run]
    metrics = {name: _mean(values, UNITS[name], at) for name, values in by_name.items()}
    metrics["latency_p95_ms"] = _measurement(_percentile(latencies, 0.95), "ms", len(run), at)
    costs = [latency / 1000 * prices.cpu_second_usd * 1000 + prices.per_1k_usd for latency in latencies]
    metrics["cost_per_1k_requests"] = _mean(costs, "USD", at)
    gains = by_name["ndcg_at_10"]
    slices: dict[str, list[float]] = {}
    for query, gain in zip(queries, gains, strict=True):
        slices.setdefault(query.subject, []).append(gain)
    per_slice = {name: _mean(values, "score", at) for name, values in sorted(slices.items()) if name}
    return BundleScores(digest=digest, metrics=metrics, per_query=list(gains), per_slice=per_slice)


def nothing(digest: str, at: datetime) -> BundleScores:
    """Return the scores of a bundle that nothing could be said of."""
    return BundleScores(
        digest=digest, metrics={name: Measurement.missing(unit, SOURCE, at) for name, unit in UNITS.items()}
    )


def _per_query(queries: Sequence[HeldOutQuery], run: Sequence[Ranked]) -> dict[str, list[float]]:
    """Metric -> values in the queries' order; a query that found nothing counts as zero."""
    import ir_measures
    from ir_measures import P, R, nDCG

    measures: dict[Any, str] = {nDCG @ 10: "ndcg_at_10", R @ 20: "recall_at_20", P @ 10: "precision_at_10"}
    judged = {str(number): dict(query.relevant) for number, query in enumerate(queries)}
    # Scores by rank: trec_eval orders equal scores by document id, and the ranking's own order is what users see.
    ranked = {
        str(number): {document: float(-rank) for rank, document in reversed(list(enumerate(one.documents)))}
        for number, one in enumerate(run)
    }
    values = {name: [0.0] * len(queries) for name in measures.values()}
    for found in ir_measures.pytrec_eval.iter_calc(list(measures), judged, ranked):
        values[measures[found.measure]][int(found.query_id)] = float(found.value)
    return values


def _mean(values: Sequence[float], unit: str, at: datetime) -> Measurement:
    n = len(values)
    mean = math.fsum(values) / n
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1) / n) if n > 1 else None
    return _measurement(mean, unit, n, at, spread)


def _measurement(value: float, unit: str, n: int, at: datetime, stderr: float | None = None) -> Measurement:
    return Measurement(value=value, unit=unit, n=n, source=SOURCE, at=at, stderr=stderr)


def _percentile(values: Sequence[float], q: float) -> float:
    """Linear interpolation between order statistics (Hyndman & Fan 1996, type 7)."""
    ordered = sorted(values)
    position = q * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
