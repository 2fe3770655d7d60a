"""Evaluate: candidate against live model on the sealed held-out set, behind the quality gates.

No model has a say here.
"""

from __future__ import annotations

from typing import Any

from cycles.desk import Desk
from domain.actor import Role
from domain.errors import DigestMismatch
from domain.outcome import OutcomeKind
from domain.stage import Stage, StageResult
from domain.verdict import Judgement, Verdict, combine
from learning.gates import judge_gate
from learning.paired import compare_paired
from policies.contract import Signal
from tools.model.evaluate import EvaluateArgs, Evaluated
from tools.model.train import Registered
from tools.observe.deployments import RuntimeView
from tools.tool import Nothing

# What can be read without users. A gate on any other signal needs them and is judged in the A/B test.
OFFLINE = frozenset({"ndcg_at_10", "recall_at_20", "latency_p95_ms", "cost_per_1k_requests"})
QUALITY = "ndcg_at_10"
MIN_QUERIES = 50
# How long to wait for more held-out judgements before giving up, in current windows.
PATIENCE = 4


def run(desk: Desk) -> StageResult:
    """Score both, judge the gates, write the result, and go on only on a pass."""
    unjudged = [name for name in _row(desk).gates if name not in desk.contract.quality_gates]
    if unjudged:
        said = (
            f"the contract wants {', '.join(unjudged)} for {desk.cycle.alert.signal}, which no candidate is judged by"
        )
        return desk.finish(OutcomeKind.HANDED_OFF, said)
    candidate = Registered.model_validate(desk.fact("candidate")).model
    live = desk.do("runtime_state", Nothing(), Role.ML_ENGINEER, RuntimeView, place="before evaluation")
    attempt = int(desk.fact("evaluations", 0))
    args = EvaluateArgs(baseline=live.digest, candidate=candidate.digest)
    scored = desk.do("offline_evaluation", args, Role.ML_ENGINEER, Evaluated, place=f"look {attempt}")
    _check_scored(scored, args)
    gates = judge(desk, scored)
    overall = combine(gates, "evaluate")
    _write(desk, scored, gates, overall)
    desk.keep("verdict_evaluate", overall.verdict.value)
    match overall.verdict:
        case Verdict.PASS:
            return StageResult(next=Stage.AB, reason=gates[0].reason)
        case Verdict.INSUFFICIENT if desk.since("evaluating_since") < PATIENCE * desk.profile.measure.current:
            desk.keep("evaluations", attempt + 1)
            return StageResult(next=Stage.EVALUATE, reason=overall.reason, wait=desk.profile.measure.current / 2)
        case _:
            return desk.finish(
                OutcomeKind.NOT_PROMOTED, f"offline evaluation: {overall.verdict.value}: {overall.reason}"
            )


def _check_scored(scored: Evaluated, asked: EvaluateArgs) -> None:
    """Check that the scores are those of the models that were asked about.

    Raises:
        DigestMismatch: they are another model's.
    """
    found = {"baseline": scored.baseline.digest, "candidate": scored.candidate.digest}
    for name, wanted in asked.model_dump().items():
        if found[name] != wanted:
            raise DigestMismatch(f"the {name} that was evaluated is {found[name]}, and {wanted} was asked for")


def judge(desk: Desk, scored: Evaluated) -> list[Judgement]:
    """Return the judgements of the gates that can be read offline, nDCG@10 first."""
    rule = next(g for g in desk.contract.promotion_gates() if g.name == QUALITY)
    paired = compare_paired(
        scored.baseline.per_query,
        scored.candidate.per_query,
        min_relative_delta=rule.threshold,
        min_queries=MIN_QUERIES,
    )
    rules = [g for g in desk.contract.promotion_gates() if g.name != QUALITY and g.signal in OFFLINE]
    others = [
        judge_gate(g, scored.baseline.metrics.get(g.signal), scored.candidate.metrics.get(g.signal)) for g in rules
    ]
    return [paired.model_copy(update={"name": rule.name}), *others]


def _row(desk: Desk) -> Signal:
    return desk.contract.signal(desk.cycle.alert.signal)


def _write(desk: Desk, scored: Evaluated, gates: list[Judgement], overall: Judgement) -> None:
    names = sorted(set(scored.baseline.per_slice) | set(scored.candidate.per_slice))
    desk.write(
        "evaluation.json",
        {
            "cycle_id": desk.cycle.id,
            "timestamp": desk.clock.now(),
            "queries": scored.queries,
            "looks": scored.looks,
            "set_hash": scored.set_hash,
            "baseline": {"digest": scored.baseline.digest, "metrics": scored.baseline.metrics},
            "candidate": {"digest": scored.candidate.digest, "metrics": scored.candidate.metrics},
            "slices": [_slice(scored, name) for name in names],
            "gates": gates,
            "verdict": overall.verdict,
            "overrides": desk.under(),
            "reason": overall.reason,
        },
    )


def _slice(scored: Evaluated, name: str) -> dict[str, Any]:
    before, after = scored.baseline.per_slice.get(name), scored.candidate.per_slice.get(name)
    known = before or after
    return {
        "name": name,
        "baseline": before.value if before else None,
        "candidate": after.value if after else None,
        "n": known.n if known else 0,
    }
