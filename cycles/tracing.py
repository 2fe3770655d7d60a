"""The tree of a cycle's trace: its root, which every process that works on the cycle shares, and a span a step.

The names of the root and of the stages are those the trace is asked for by; each says in its facts which stage it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from adapters.traces.base import Span, TracesPort
from cycles.tape_forms import verdicts_of
from domain.cycle import Cycle
from domain.outcome import OutcomeKind
from domain.stage import Stage
from domain.trace import CHAIN, ROOT, Rating, SpanData, root_place

NAMES: Mapping[Stage, str] = {
    Stage.OBSERVE: "monitor_metrics",
    Stage.DIAGNOSE: "diagnosis",
    Stage.PLAN: "planning",
    Stage.AUGMENT: "augmentation",
    Stage.TRAIN: "training",
    Stage.EVALUATE: "evaluation",
    Stage.AB: "ab_test",
    Stage.PROMOTE: "deploy",
    Stage.WATCH: "watch",
    Stage.ROLL_BACK: "rollback",
    Stage.LEARN: "learning",
}
# How much a verdict of a gate is worth as a rating; one that says nothing is no rating.
_SCORES = {"pass": 1.0, "fail": 0.0}


def name_of(stage: str) -> str:
    """Return the name of a stage's span."""
    return NAMES[Stage(stage)] if stage in NAMES else stage


@contextmanager
def step_span(traces: TracesPort, cycle: Cycle, step: int) -> Iterator[Span]:
    """Open the span of a step; before the first one, that of the cycle."""
    if step == 0:
        opened(traces, cycle)
    facts = {"stage": cycle.stage.value, "step": step}
    under = root_place(cycle.id, cycle.opened_at)
    with traces.span(NAMES[cycle.stage], CHAIN, facts, cycle_id=cycle.id, under=under, facts=facts) as span:
        yield span


def opened(traces: TracesPort, cycle: Cycle) -> None:
    """Tell of a cycle that begins."""
    traces.put(_root(cycle))


def ended(traces: TracesPort, cycle: Cycle) -> None:
    """Tell of a cycle that has ended, and rate its trace by what was verified; saying it twice says the same."""
    for rating in ratings(cycle):
        traces.rate(rating)
    outcome = cycle.outcome.value if cycle.outcome else cycle.stage.value
    used = _used(cycle)
    action = cycle.action.value if cycle.action else None
    outputs = {"outcome": outcome, "action": action, "reason": cycle.reason, "stage": cycle.stage.value, **used}
    root = _root(cycle)
    facts = {**root.facts, "outcome": outcome, "seconds": dict(cycle.timings), **used}
    error = f"stopped: {cycle.reason}" if cycle.outcome is OutcomeKind.STOPPED else ""
    traces.put(replace(root, outputs=outputs, facts=facts, end=max(cycle.updated_at, root.start), error=error))


def ratings(cycle: Cycle) -> list[Rating]:
    """Return what is known of a cycle that has ended: whether its outcome was verified, and what its gates said."""
    place = root_place(cycle.id, cycle.opened_at)
    at = cycle.updated_at
    found = []
    if cycle.outcome is not None:
        score = 1.0 if cycle.outcome.verified else 0.0
        found.append(Rating(place, "outcome_verified", at, score, cycle.outcome.value, cycle.reason))
    for gate, verdict in sorted(verdicts_of(cycle.facts).items()):
        found.append(Rating(place, f"gate_{gate}", at, _SCORES.get(verdict), verdict))
    in_time = (cycle.facts.get("reaction") or {}).get("in_time")
    if in_time is not None:
        found.append(Rating(place, "reaction_in_time", at, float(bool(in_time))))
    return found


def _root(cycle: Cycle) -> SpanData:
    alert = cycle.alert
    inputs = {
        "signal": alert.signal,
        "alert": alert.name,
        "target": cycle.target,
        "environment": cycle.environment,
        "fingerprint": alert.fingerprint,
        "starts_at": alert.starts_at.isoformat(),
    }
    facts = {"target": cycle.target, "environment": cycle.environment, "signal": alert.signal}
    return SpanData(ROOT, CHAIN, cycle.id, root_place(cycle.id, cycle.opened_at), inputs=inputs, facts=facts)


def _used(cycle: Cycle) -> dict[str, Any]:
    """Return what the models of a cycle used."""
    answers = [f for f in cycle.facts.values() if isinstance(f, dict) and "models" in f and "tokens" in f]
    return {
        "tokens": sum(int(answer["tokens"]) for answer in answers),
        "cost_usd": sum(float(answer.get("cost_usd", 0.0)) for answer in answers),
        "models": sorted({str(model) for answer in answers for model in answer["models"]}),
    }
