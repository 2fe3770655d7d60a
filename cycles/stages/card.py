"""The model card of a cycle's candidate: facts the cycle has written down, and what is not known says so."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from adapters.tracking.base import CardGate, CardMetric, ModelCard
from cycles.desk import Desk
from domain.outcome import OutcomeKind
from domain.verdict import Verdict
from tools.model.describe import DescribeArgs
from tools.model.train import Registered

# Of the standard normal distribution, for intervals of 95 %.
_Z = 1.96
_MOST_SLICES = 5
Facts = Mapping[str, Any]


def card_args(desk: Desk, outcome: OutcomeKind, reason: str) -> DescribeArgs | None:
    """Return what describes the candidate, None when the cycle registered none.

    Raises:
        IntegrityError: an artifact of the cycle cannot be read any more.
        ValidationError: one holds what is no fact of a card.
    """
    if desk.fact("candidate") is None:
        return None
    candidate = Registered.model_validate(desk.fact("candidate"))
    evaluation = desk.artifacts.read(desk.cycle.id, "evaluation.json")
    tested = desk.artifacts.read(desk.cycle.id, "ab_test_results.json")
    about = f"Trained by the cycle {desk.cycle.id} for {desk.cycle.target}, because of {desk.cycle.alert.signal}."
    card = ModelCard(
        title=f"{candidate.model.name} {candidate.model.version}",
        what=f"{about} The cycle ended as {outcome.value.replace('_', ' ')}: {reason}",
        data=_data(desk),
        metrics=(*_offline(evaluation or {}), *_live(tested or {})),
        gates=(*_gates("held-out", evaluation), *_gates("users", tested)),
        limits=tuple(_limits(desk, evaluation, tested)),
        lineage=_lineage(desk, candidate),
    )
    return DescribeArgs(model=candidate.model.name, version=candidate.model.version, card=card)


def _data(desk: Desk) -> dict[str, str]:
    made: Facts = desk.fact("dataset") or {}
    ref: Facts = made.get("ref", {})
    manifest = desk.artifacts.read(desk.cycle.id, "dataset_manifest.yaml") or {}
    counts: Facts = manifest.get("statistics", {})
    named = {"dataset": "path", "hash": "md5", "revision": "revision"}
    return {
        **{label: str(ref.get(field, "")) for label, field in named.items()},
        **{
            name.replace("_", " "): str(counts[name])
            for name in ("total_examples", "judged_examples", "synthetic_examples", "dropped_damaged")
            if name in counts
        },
    }


def _offline(evaluation: Facts) -> Iterator[CardMetric]:
    """Both models' figures on the held-out queries, then the difference the gate has judged."""
    before: Facts = evaluation.get("baseline", {}).get("metrics", {})
    for name, seen in sorted(evaluation.get("candidate", {}).get("metrics", {}).items()):
        value = _number(seen.get("value"))
        if value is None:
            continue
        error = _number(seen.get("stderr"))
        yield CardMetric(
            name=f"{name}, held-out",
            value=value,
            low=value - _Z * error if error is not None else None,
            high=value + _Z * error if error is not None else None,
            n=int(seen.get("n") or 0) or None,
            baseline=_number(before.get(name, {}).get("value")),
        )
    yield from _lift("ndcg_at_10 relative gain, held-out", evaluation)


def _live(tested: Facts) -> Iterator[CardMetric]:
    """What users of both arms had, by the last look of the test."""
    value = _number(tested.get("candidate_ndcg"))
    looks = tested.get("looks") or [{}]
    if value is not None:
        users = int(looks[-1].get("users_candidate") or 0) or None
        yield CardMetric(name="ndcg_at_10, users", value=value, n=users, baseline=_number(tested.get("baseline_ndcg")))
    yield from _lift("ndcg_at_10 relative gain, users", tested)


def _lift(name: str, written: Facts) -> Iterator[CardMetric]:
    figures: Facts = next((g.get("figures", {}) for g in written.get("gates", []) if g["name"] == "ndcg_at_10"), {})
    lift = _number(figures.get("lift"))
    if lift is not None:
        low, high = _number(figures.get("lower")), _number(figures.get("upper"))
        count = _number(figures.get("n"))
        yield CardMetric(name=name, value=lift, low=low, high=high, n=int(count) if count is not None else None)


def _gates(where: str, written: Facts | None) -> Iterator[CardGate]:
    for gate in (written or {}).get("gates", []):
        yield CardGate(name=f"{gate['name']}, {where}", verdict=Verdict(gate["verdict"]), reason=str(gate["reason"]))


def _limits(desk: Desk, evaluation: Facts | None, tested: Facts | None) -> Iterator[str]:
    if evaluation is None:
        yield "It was not evaluated on held-out queries."
    else:
        looks, queries = evaluation["looks"], evaluation["queries"]
        yield f"The held-out figures rest on {queries} queries, which have been looked at {looks} times by now."
        lost = sorted((-s["n"], s["name"]) for s in evaluation["slices"] if _less(s["candidate"], s["baseline"]))
        if lost:
            named = ", ".join(f"{name} ({-n} queries)" for n, name in lost[:_MOST_SLICES])
            yield f"By these figures it is below the model before it on {len(lost)} slices, the largest being {named}."
    if tested is None:
        yield "No user was served by it in a test."
    if desk.fact("release") is None:
        yield "It was not promoted."
    if desk.fact("reverted") is not None:
        yield "It was promoted and taken back; it must not be served again."


def _lineage(desk: Desk, candidate: Registered) -> dict[str, str]:
    release: Facts = desk.fact("release") or {}
    pipeline: Facts = desk.fact("pipeline") or {}
    tags = candidate.model.tags
    return {
        "digest": candidate.model.digest,
        "cycle": desk.cycle.id,
        "alert": desk.cycle.alert.fingerprint,
        "run": candidate.run_id,
        "dataset revision": tags.get("dataset_rev", ""),
        "code": tags.get("code_revision", ""),
        "trained at": tags.get("trained_at", ""),
        "pipeline": str(pipeline.get("key", "")),
        "values revision": str(release.get("revision", "")),
        "gold baseline": str(desk.fact("gold") or ""),
    }


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None


def _less(value: Any, than: Any) -> bool:
    left, right = _number(value), _number(than)
    return left is not None and right is not None and left < right
