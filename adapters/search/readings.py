"""What OpenSearch says of an evaluation and of an index, read strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.search.base import IndexStats, JudgedQuery, RankEvaluation, RankScore
from domain.errors import DependencyLied
from domain.measurement import Measurement

NAME = "search"
ADDRESS = "Check search.url: OpenSearch answers there"
_HEALTHS = ("green", "yellow", "red")
_SLOW = "index.search.slowlog.threshold.query."
_SAME = 1e-6


def evaluation(answer: Mapping[str, Any], judged: Sequence[JudgedQuery], k: int) -> RankEvaluation:
    """Return what the answer of `_rank_eval` says; requests are named q0, q1, ... in the order of `judged`.

    Raises:
        DependencyLied: it says nothing of a query, or its mean is not the mean of its parts.
    """
    details, failures = answer.get("details"), answer.get("failures") or {}
    if not isinstance(details, dict) or not isinstance(failures, dict):
        raise DependencyLied(NAME, "the evaluation has no details", ADDRESS)
    scores, failed = [], {}
    for number, item in enumerate(judged):
        name = f"q{number}"
        if name in failures:
            failed[item.query] = str(failures[name])[:300]
        elif name in details:
            scores.append(_score(item.query, details[name]))
        else:
            raise DependencyLied(NAME, f"the evaluation says nothing of the query {number}")
    mean = sum(score.ndcg for score in scores) / len(scores) if scores else None
    said = answer.get("metric_score")
    if mean is not None and (not isinstance(said, int | float) or not abs(said - mean) < _SAME):
        raise DependencyLied(NAME, f"the mean of the queries is {mean:.4f}, the evaluation says {said}")
    measured = Measurement(value=mean, unit="score", n=len(scores), source=f"{NAME}: _rank_eval")
    return RankEvaluation(ndcg=measured, k=k, scores=tuple(scores), failed=failed)


def _score(query: str, detail: Any) -> RankScore:
    score = detail.get("metric_score") if isinstance(detail, dict) else None
    unrated = detail.get("unrated_docs") if isinstance(detail, dict) else None
    if not isinstance(score, int | float) or not 0 <= score <= 1 + _SAME or not isinstance(unrated, list):
        raise DependencyLied(NAME, f"a normalised gain of {score} cannot be")
    return RankScore(query=query, ndcg=float(score), unrated=len(unrated))


def statistics(index: str, rows: Any, stats: Any, settings: Any) -> IndexStats:
    """Return what `_cat/indices`, `_stats` and `_settings` say together.

    Raises:
        DependencyLied: something is missing.
    """
    try:
        healths = [row["health"] for row in rows]
        everything = stats["_all"]
        primaries, searches = everything["primaries"], everything["total"]["search"]
        total, millis = int(searches["query_total"]), float(searches["query_time_in_millis"])
        slow = {
            name.removeprefix(_SLOW): str(value)
            for kept in settings.values()
            for name, value in kept["settings"].items()
            if name.startswith(_SLOW) and str(value) != "-1"
        }
        return IndexStats(
            index=index,
            health=max(healths, key=_HEALTHS.index),
            documents=int(primaries["docs"]["count"]),
            deleted=int(primaries["docs"]["deleted"]),
            bytes=int(primaries["store"]["size_in_bytes"]),
            query_ms=Measurement(
                value=millis / total if total else None, unit="ms", n=total, source=f"{NAME}: {index} _stats"
            ),
            slow_log=slow,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DependencyLied(NAME, f"the statistics of the index lack {error}", ADDRESS) from error
