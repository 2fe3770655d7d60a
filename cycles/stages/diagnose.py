"""Diagnose: the crew proposes a cause, the checker drops what does not hold, and only a proven action goes on."""

from __future__ import annotations

from typing import Any

from cycles.desk import Desk
from cycles.stages.guards import still_off
from cycles.wishes import only_looked, steered
from domain.brief import Answered
from domain.diagnosis import Action, CheckedClaim, CheckedDiagnosis, Diagnosis
from domain.outcome import OutcomeKind
from domain.stage import Stage, StageResult
from tools.evidence import check, sufficient, tool_of

_LEFT_ALONE = (Action.NOISE, Action.MONITOR)
# What the seven rows of the contract call the remedies, for the report's list of recommended actions.
_REMEDIES = {
    Action.RETRAIN: ("data_augmentation", "model_retraining"),
    Action.DATA_FIX: ("data_repair",),
    Action.ROLLBACK: ("rollback",),
    Action.TUNE: ("tuning",),
}


def run(desk: Desk) -> StageResult:
    """Ask the crew, check its claims, write the report, and go on, stop or leave well alone."""
    answered = desk.ask("diagnosis", desk.office.judges.diagnose, Diagnosis)
    results = desk.results()
    checked = check(answered.value, results)
    enough = sufficient(checked, results)
    action, downgraded = answered.value.action, None
    if answered.stopped or not enough:
        action, downgraded = Action.HANDOFF, answered.stopped or enough.reason
    elif not desk.contract.allows(action.value, signals := _off(desk)):
        downgraded = f"the contract names no {action.value} among the automatic actions of {', '.join(signals)}"
        action = Action.HANDOFF
    action, downgraded = steered(desk, action, downgraded, answered.value.summary)
    desk.cycle = desk.cycle.model_copy(update={"action": action})
    unwell = still_off(desk) if action in _LEFT_ALONE else ""
    _report(desk, answered, checked, results, downgraded or unwell or None)
    desk.keep("unsupported_claims", checked.unsupported_claims)
    if unwell:
        said = f"{answered.value.summary[:500]}; a person has to look: {unwell}"
        return desk.finish(OutcomeKind.HANDED_OFF, said)
    if action in _LEFT_ALONE:
        return desk.finish(OutcomeKind.LEFT_ALONE, answered.value.summary)
    if action is Action.HANDOFF:
        return desk.finish(OutcomeKind.HANDED_OFF, downgraded or answered.value.summary)
    looked = only_looked(desk, action, answered.value.summary)
    if looked is not None:
        return looked
    return StageResult(next=Stage.PLAN, reason=f"{action.value}: {answered.value.summary}")


def _report(
    desk: Desk,
    answered: Answered[Diagnosis],
    checked: CheckedDiagnosis,
    results: dict[str, Any],
    downgraded: str | None,
) -> None:
    diagnosis = answered.value
    lead = _lead(desk)
    desk.write(
        "diagnostic_report.json",
        {
            "cycle_id": desk.cycle.id,
            "timestamp": desk.clock.now(),
            "trigger": desk.contract.signal(desk.cycle.alert.signal).trigger,
            "current_value": lead.get("current"),
            "baseline": lead.get("baseline"),
            "delta": _difference(lead),
            "root_cause_analysis": {
                "type": diagnosis.root_cause.value,
                "affected_categories": list(diagnosis.affected_categories),
                "distribution_change": {"new_tokens": list(diagnosis.new_tokens), "coverage": diagnosis.coverage},
            },
            "xai_insights": {
                "low_coverage_tokens": list(diagnosis.low_coverage_tokens),
                "importance_scores": _importance(results),
                "suggested_action": diagnosis.action.value,
            },
            "recommended_actions": _recommended(diagnosis),
            "action": desk.cycle.action.value if desk.cycle.action else diagnosis.action.value,
            "summary": diagnosis.summary,
            "claims": [_claim(c) for c in (*checked.supported, *checked.dropped)],
            "unsupported_claims": checked.unsupported_claims,
            "models": list(answered.models),
            "downgraded": downgraded,
        },
    )


def _off(desk: Desk) -> list[str]:
    """Return the signal of the alert, and those that were breached with it."""
    breached: list[str] = desk.fact("snapshot", {}).get("breached", [])
    return list(dict.fromkeys([desk.cycle.alert.signal, *breached]))


def _lead(desk: Desk) -> dict[str, Any]:
    readings: dict[str, Any] = desk.fact("snapshot", {}).get("readings", {})
    return dict(readings.get(desk.cycle.alert.signal, {}))


def _difference(lead: dict[str, Any]) -> float | None:
    current, baseline = lead.get("current"), lead.get("baseline")
    return None if current is None or baseline is None else float(current) - float(baseline)


def _importance(results: dict[str, Any]) -> dict[str, float]:
    """Return the re-ranker's feature shares after the alert, where the crew asked for an attribution."""
    for call, result in results.items():
        if tool_of(call) == "attribution":
            return {f["feature"]: float(f["after"]) for f in result["features"]}
    return {}


def _recommended(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    details: dict[str, dict[str, Any]] = {
        "data_augmentation": {"target_tokens": list(diagnosis.low_coverage_tokens)},
        "model_retraining": {"target": "reranker", "expected_improvement": diagnosis.expected_improvement},
        "tuning": {"settings": dict(diagnosis.tuning)},
        "rollback": {"suspect": diagnosis.suspect_digest},
        "data_repair": {"since": diagnosis.since},
    }
    return [{"type": name, **details[name]} for name in _REMEDIES.get(diagnosis.action, ())]


def _claim(checked: CheckedClaim) -> dict[str, Any]:
    return {
        **checked.claim.model_dump(mode="json"),
        "found": checked.found,
        "supported": checked.supported,
        "reason": checked.reason,
    }
