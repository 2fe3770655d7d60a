"""What runs in the evaluation's own process, the only one that opens the sealed set. Only aggregates leave it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.evaluation.base import BundleScores
from adapters.evaluation.measure import Prices, Ranked, measure, nothing
from adapters.evaluation.sealed import HeldOutSet, draw, normalised, read_rows, write_queries


def evaluate(spec: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Score bundles and return {queries, set_hash, bundles}.

    `spec`: sealed, most, drop_unseen, entry, bundles, digests, documents, k, mode, prices, at.

    The scorer works below `out`, a folder of this process that is thrown away.

    Raises:
        ValueError: a sealed row, or what the scorer wrote, is damaged.
    """
    held_out = draw(read_rows(Path(spec["sealed"])), int(spec["most"]), drop_unseen=bool(spec["drop_unseen"]))
    at = datetime.fromisoformat(spec["at"])
    digests: dict[str, str] = spec["digests"]
    if held_out.queries:
        scores = _scored(held_out, spec, out, at)
    else:
        scores = {name: nothing(digest, at) for name, digest in digests.items()}
    return {
        "queries": len(held_out.queries),
        "set_hash": held_out.identity,
        "bundles": {name: value.model_dump(mode="json") for name, value in scores.items()},
    }


def holds(spec: Mapping[str, Any], _out: Path) -> dict[str, list[int]]:
    """Find queries that are in the sealed set: {sealed, queries} -> {held: places}."""
    sealed = {normalised(row.query) for row in read_rows(Path(spec["sealed"]))}
    return {"held": [place for place, query in enumerate(spec["queries"]) if normalised(query) in sealed]}


def _scored(held_out: HeldOutSet, spec: Mapping[str, Any], out: Path, at: datetime) -> dict[str, BundleScores]:
    judgements = out / "judgements.jsonl"
    write_queries(held_out, judgements)
    module, _, name = str(spec["entry"]).partition(":")
    score = getattr(importlib.import_module(module), name)
    asked = {key: spec[key] for key in ("bundles", "documents", "k", "mode")}
    answer = score({**asked, "judgements": str(judgements)}, out)
    prices = Prices(**spec["prices"])
    count = len(held_out.queries)
    runs = {name: _read_run(out / answer["runs"][name], count) for name in spec["bundles"]}
    return {
        name: measure(spec["digests"][name], held_out.queries, run, prices, at) for name, run in sorted(runs.items())
    }


def _read_run(path: Path, count: int) -> Sequence[Ranked]:
    """Return a run in the queries' order.

    Raises:
        ValueError: a query is missing, twice there, or its time is not a number.
    """
    found: dict[int, Ranked] = {}
    with path.open(encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            number, latency = int(row["query_index"]), float(row["latency_ms"])
            if number in found or not 0 <= number < count or not 0 <= latency < float("inf"):
                raise ValueError(f"the run has a wrong row for query {number}")
            found[number] = Ranked([str(document) for document, _ in row["ranking"]], latency)
    if len(found) != count:
        raise ValueError(f"the run answers {len(found)} of {count} queries")
    return [found[number] for number in range(count)]
