"""OpenSearch's REST API over lists of documents: filters, aggregations, rank evaluation and statistics."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatch
from typing import Any

from tests.stubs.small_server import Asked, Said, said

Source = Mapping[str, Any]
_WORD = re.compile(r"\w+(?:\.\w+)*")


@dataclass
class OpenSearchApi:
    """Answers as OpenSearch does.

    Args:
        indices: documents by id, by index.
        aliases: alias -> indices.
        failing: queries of an evaluation that the engine cannot answer.
    """

    indices: Mapping[str, Mapping[str, Source]]
    aliases: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    distribution: str | None = "opensearch"
    failed_shards: int = 0
    timed_out: bool = False
    failing: Sequence[str] = ()
    bodies: list[Any] = field(default_factory=list)

    def __call__(self, request: Asked) -> Said:
        if request.path == "/":
            version = {"number": "3.2.0", **({"distribution": self.distribution} if self.distribution else {})}
            return said(
                {"name": "node", "cluster_name": "one", "version": version, "tagline": "The OpenSearch Project"}
            )
        cat = request.path.startswith("/_cat/indices/")
        name, _, what = (request.path.removeprefix("/_cat/indices/") if cat else request.path[1:]).partition("/")
        names = self._names(name)
        if not names and "*" not in name:
            return _absent(name)
        ways: dict[tuple[str, str], Callable[[Sequence[str], Asked], Said]] = {
            ("POST", "_search"): self._search,
            ("POST", "_count"): self._count,
            ("POST", "_rank_eval"): self._rank_eval,
            ("GET", "_field_caps"): self._field_caps,
            ("GET", "_stats/docs,store,search"): self._stats,
            ("GET", "_settings"): self._settings,
        }
        way = self._cat if cat else ways.get((request.method, what))
        if way is None:
            return said({"error": f"no handler found for uri [{request.path}] and method [{request.method}]"}, 400)
        if request.body:
            self.bodies.append(request.json())
        try:
            return way(names, request)
        except _Broken as error:
            return said({"error": {"type": "parsing_exception", "reason": str(error)}, "status": 400}, 400)

    def _names(self, name: str) -> list[str]:
        wanted = [part for given in name.split(",") for part in self.aliases.get(given, [given])]
        return [index for index in self.indices if any(fnmatch(index, part) for part in wanted)]

    def _documents(self, names: Sequence[str]) -> list[tuple[str, str, Source]]:
        return [(index, name, source) for index in names for name, source in self.indices[index].items()]

    def _matching(self, names: Sequence[str], query: Any) -> list[tuple[str, str, Source]]:
        return [row for row in self._documents(names) if _score(query or {"match_all": {}}, row[2]) is not None]

    def _search(self, names: Sequence[str], request: Asked) -> Said:
        body = request.json()
        found = self._matching(names, body.get("query"))
        for order in reversed(body.get("sort", [])):
            ((name, how),) = order.items()
            found.sort(key=lambda row: _moment(row[2].get(name, 0)), reverse=how["order"] == "desc")
        shown = [{"_index": i, "_id": n, "_score": None, "_source": s} for i, n, s in found[: body.get("size", 10)]]
        total = {"value": len(found), "relation": "eq"}
        answer: dict[str, Any] = {
            "took": 1,
            "timed_out": self.timed_out,
            "_shards": {"total": 2, "successful": 2 - self.failed_shards, "skipped": 0, "failed": self.failed_shards},
            "hits": {"total": total, "max_score": None, "hits": shown},
        }
        if "aggs" in body:
            answer["aggregations"] = _aggregated(body["aggs"], [source for _, _, source in found])
        return said(answer)

    def _count(self, names: Sequence[str], request: Asked) -> Said:
        return said({"count": len(self._matching(names, request.json().get("query"))), "_shards": {"failed": 0}})

    def _field_caps(self, names: Sequence[str], request: Asked) -> Said:
        known = {key for _, _, source in self._documents(names) for key in source}
        fields = {f: {"text": {"type": "text"}} for f in request.query["fields"].split(",") if f in known}
        return said({"indices": names, "fields": fields})

    def _cat(self, names: Sequence[str], request: Asked) -> Said:
        rows = [
            {"health": "yellow", "status": "open", "index": name, "docs.count": str(len(self.indices[name]))}
            for name in names
        ]
        return said(rows)

    def _stats(self, names: Sequence[str], request: Asked) -> Said:
        count = sum(len(self.indices[name]) for name in names)
        primaries = {"docs": {"count": count, "deleted": 1}, "store": {"size_in_bytes": 1000 * count}}
        total = {"search": {"query_total": 200, "query_time_in_millis": 900}}
        return said({"_shards": {"failed": 0}, "_all": {"primaries": primaries, "total": total}, "indices": {}})

    def _settings(self, names: Sequence[str], request: Asked) -> Said:
        return said({name: {"settings": {"index.number_of_shards": "1", **self.settings}} for name in names})

    def _rank_eval(self, names: Sequence[str], request: Asked) -> Said:
        body = request.json()
        metric = body["metric"]["dcg"]
        details, failures = {}, {}
        for asked in body["requests"]:
            query = asked["request"]["query"]
            if query["multi_match"]["query"] in self.failing:
                failures[asked["id"]] = {"type": "search_phase_execution_exception", "reason": "all shards failed"}
                continue
            scored = [(_score(query, s), i, n) for i, n, s in self._documents(names)]
            ranked = sorted(((-v, i, n) for v, i, n in scored if v), key=lambda row: row)[: metric["k"]]
            details[asked["id"]] = _detail(ranked, asked["ratings"], metric["k"])
        scores = [detail["metric_score"] for detail in details.values()]
        mean = sum(scores) / len(scores) if scores else None
        return said({"metric_score": mean, "details": details, "failures": failures})


class _Broken(ValueError):
    """A query this engine does not know."""


def _detail(ranked: Sequence[tuple[float, str, str]], ratings: Sequence[Any], k: int) -> dict[str, Any]:
    grades = {(rating["_index"], rating["_id"]): rating["rating"] for rating in ratings}
    gains = [grades.get((index, name), 0) for _, index, name in ranked]
    best = _dcg(sorted(grades.values(), reverse=True)[:k])
    hits = [{"hit": {"_index": i, "_id": n, "_score": -v}, "rating": grades.get((i, n))} for v, i, n in ranked]
    return {
        "metric_score": _dcg(gains) / best if best else 0.0,
        "unrated_docs": [{"_index": i, "_id": n} for _, i, n in ranked if (i, n) not in grades],
        "hits": [{name: value for name, value in hit.items() if value is not None} for hit in hits],
        "metric_details": {"dcg": {"dcg": _dcg(gains), "ideal_dcg": best, "unrated_docs": 0}},
    }


def _dcg(gains: Sequence[int]) -> float:
    return sum((2.0**gain - 1) / math.log2(place + 2) for place, gain in enumerate(gains))


def _score(query: Any, source: Source) -> float | None:
    """Return how well a document fits, or None when it does not."""
    ((kind, body),) = query.items()
    match kind:
        case "match_all":
            return 1.0
        case "bool":
            fits = all(_score(clause, source) is not None for clause in body.get("filter", []))
            return 1.0 if fits and all(_score(c, source) is None for c in body.get("must_not", [])) else None
        case "multi_match":
            words = set(_words(body["query"]))
            shared = sum(len(words & set(_words(source.get(f.partition("^")[0], "")))) for f in body["fields"])
            return float(shared) or None
        case "exists":
            return 1.0 if source.get(body["field"]) not in (None, []) else None
    ((name, wanted),) = body.items()
    return 1.0 if _holds(kind, source.get(name), wanted) else None


def _holds(kind: str, found: Any, wanted: Any) -> bool:
    match kind:
        case "terms":
            return found in wanted
        case "match_phrase":
            words, phrase = _words(found or ""), _words(wanted)
            return bool(phrase) and any(words[n : n + len(phrase)] == phrase for n in range(len(words)))
        case "range":
            at = _moment(found)
            return _moment(wanted["gte"]) <= at < _moment(wanted.get("lt", "9999-01-01T00:00:00Z"))
    raise _Broken(f"unknown query [{kind}]")


def _aggregated(wanted: Mapping[str, Any], found: Sequence[Source]) -> dict[str, Any]:
    return {name: _one(body, found) for name, body in wanted.items()}


def _one(body: Mapping[str, Any], found: Sequence[Source]) -> dict[str, Any]:
    if "filter" in body:
        return {"doc_count": sum(_score(body["filter"], source) is not None for source in found)}
    if "cardinality" in body:
        return {"value": len({source.get(body["cardinality"]["field"]) for source in found} - {None})}
    terms = body["terms"]
    counts = Counter(str(source[terms["field"]]) for source in found if source.get(terms["field"]) is not None)
    names = [n for n in sorted(counts, key=lambda n: (-counts[n], n)) if n in terms.get("include", [n])]
    buckets = [
        {
            "key": name,
            "doc_count": counts[name],
            **_aggregated(body.get("aggs", {}), [s for s in found if s.get(terms["field"]) == name]),
        }
        for name in names[: terms["size"]]
    ]
    return {"doc_count_error_upper_bound": 0, "sum_other_doc_count": 0, "buckets": buckets}


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _moment(value: Any) -> datetime:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(str(value))


def _absent(name: str) -> Said:
    reason = f"no such index [{name}]"
    return said({"error": {"type": "index_not_found_exception", "reason": reason}, "status": 404}, 404)
