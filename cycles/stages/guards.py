"""What a repair must not cost, and when it made things worse: the guards and rollback conditions of the contract."""

from __future__ import annotations

from cycles.desk import Desk
from domain.actor import Role
from domain.diagnosis import Action
from domain.measurement import Measurement
from domain.verdict import Judgement, Verdict
from learning.gates import judge_gate
from policies.contract import QualityGate, judge_limits, rollback_due
from tools.observe.anomaly import AnomalyArgs, AnomalyResult

# A repair has made it worse when the signal is this share further off than before; less is the noise of a look.
WORSE = 0.25


def still_off(desk: Desk) -> str:
    """Return why the platform may not be left alone: a signal that is beyond its limit, or that nobody can judge.

    Asked of the platform anew, whatever the diagnosis says. What is off within its noise is well, unless its limit is
    an absolute one. Signals that neither the alert nor the snapshot was about do not count.
    """
    snapshot = desk.fact("snapshot") or {}
    lead, read = desk.cycle.alert.signal, snapshot.get("readings", {})
    if lead not in read:
        return f"{lead} is not measured here"
    signals = dict.fromkeys([lead, *snapshot.get("breached", ())])
    checks = (checked(desk, signal, "left alone") for signal in signals)
    return "; ".join(f"{check.signal} is not well: {check.reason}" for check in checks if not well(desk, check))


def well(desk: Desk, check: AnomalyResult) -> bool:
    """Whether a signal is within its limit, or off it within its noise.

    No noise excuses what is beyond an absolute limit, whatever other limits its row has; what cannot be told is not
    well.
    """
    if check.breached is False:
        return True
    row = desk.contract.signal(check.signal)
    levels = tuple(limit for limit in row.limits if limit.kind == "absolute")
    if check.anomalous is not False or len(levels) == len(row.limits):
        return False
    current = Measurement(value=check.current, unit=row.unit, n=1)
    return not levels or judge_limits(check.signal, row.bad_direction, levels, current, None).passed


def checked(desk: Desk, signal: str, place: str) -> AnomalyResult:
    """Return how a signal stands against its baseline, for the look `place`."""
    return desk.do("anomaly_check", AnomalyArgs(signal=signal), Role.METRICS_ANALYST, AnomalyResult, place=place)


def judge_guards(desk: Desk, place: str) -> list[Judgement]:
    """Judge what a change of settings must not cost, by the guards of the contract's row.

    Where the signal of a guard was off before the change, the repair is what brings it back, and it is judged as such.
    A loss within its noise is none; one that cannot be measured is `insufficient`.
    """
    if desk.cycle.action is not Action.TUNE:
        return []
    lead = desk.cycle.alert.signal
    rules = [(name, rule) for name in desk.contract.signal(lead).gates for rule in desk.contract.gate(name)]
    before = [lead, *desk.fact("snapshot", {}).get("breached", [])]
    return [
        (guarded if name in desk.contract.guards else gated)(rule, checked(desk, rule.signal, place))
        for name, rule in rules
        if rule.signal not in before
    ]


def gated(rule: QualityGate, check: AnomalyResult) -> Judgement:
    """Judge one quality gate that a repair must meet as well, by how its signal stands.

    What is off within its noise does not take a repair back: a share of the baseline is then met, a level not yet.
    """
    judged = judge_gate(rule, _measured(check.baseline), _measured(check.current))
    if judged.verdict is not Verdict.FAIL or check.anomalous:
        return judged
    met = check.anomalous is False and rule.kind.endswith("relative_delta")
    reason = f"{judged.reason}, {'within' if met else 'not told from'} its noise"
    return judged.model_copy(update={"verdict": Verdict.PASS if met else Verdict.INSUFFICIENT, "reason": reason})


def _measured(value: float | None) -> Measurement:
    return Measurement(value=value, unit="", n=0 if value is None else 1)


def guarded(rule: QualityGate, check: AnomalyResult) -> Judgement:
    """Judge one guard by how its signal stands."""
    delta, said = check.relative_delta, f"{rule.name}: {rule.signal}"
    if delta is None or check.anomalous is None:
        return Judgement(verdict=Verdict.INSUFFICIENT, reason=f"{said} cannot be told yet", name=rule.name)
    lost = delta < rule.threshold and check.anomalous
    reason = f"{said} {delta:+.2%}, {'lost' if lost else 'nothing lost beyond its noise'}"
    return Judgement(verdict=Verdict.FAIL if lost else Verdict.PASS, reason=reason, name=rule.name)


def worse(desk: Desk, lead: AnomalyResult) -> list[str]:
    """Return why the row's rollback condition holds: the signal is beyond its limits, and further than before."""
    row = desk.contract.signal(lead.signal)
    worst = desk.fact("snapshot", {}).get("readings", {}).get(lead.signal, {}).get("current")
    if lead.current is None or worst is None or not row.rollback.limits:
        return []
    before = Measurement(value=lead.baseline, unit=row.unit, n=1) if lead.baseline is not None else None
    due = rollback_due(desk.contract, lead.signal, Measurement(value=lead.current, unit=row.unit, n=1), before)
    sign = 1 if row.bad_direction == "up" else -1
    further = sign * (lead.current - float(worst)) > WORSE * abs(float(worst))
    return [f"worse than before the change: {due.reason}"] if further and due.verdict is Verdict.FAIL else []
