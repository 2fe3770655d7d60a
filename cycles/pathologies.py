"""Going in circles, stopped before the effect: what earlier cycles did, held against what this one is about to do.

What earlier cycles did is read from the store and goes on the tape. A circle is an event, a note in the chain and part
of the report, each with its evidence; it ends in a person's hands, or in taking back the change of ours that began it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from cycles.desk import Desk
from cycles.limits import ended_since
from domain.actor import Role
from domain.canonical import json_ready
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.events import Event
from domain.outcome import OutcomeKind
from domain.stage import Stage, StageResult
from learning.loops import Attempt, Change, Loop, Provenance, ineffective, oscillation, own_change, own_output
from tools.observe.deployments import RuntimeView
from tools.observe.points import Points, PointsArgs
from tools.tool import Nothing

FOUND = "pathology"
CHANGES = "changed_values"
MODEL = "model"
# Points of the signal on either side of a change of ours.
POINTS = 12
# What a cycle ended with whose action was taken and did not show; of a rollback, being rolled back is success.
_DID_NOT_SHOW = frozenset({OutcomeKind.NOT_PROMOTED, OutcomeKind.UNVERIFIED, OutcomeKind.ROLLED_BACK})
_SHOWED = frozenset({OutcomeKind.IMPROVED, OutcomeKind.RESTORED, OutcomeKind.REPAIRED, OutcomeKind.TUNED})
_TELLING = frozenset(outcome.value for outcome in _DID_NOT_SHOW | _SHOWED)
_NEW = frozenset({Action.RETRAIN, Action.TUNE, Action.DATA_FIX})


def before_plan(desk: Desk) -> StageResult | None:
    """Return where the cycle goes when what it is about to plan is a circle; None when it may be planned."""
    past = _past(desk)
    if desk.cycle.action in _NEW:
        loop = _own_change(desk, past)
        if loop is not None:
            return _taken_back(desk, loop, past)
        loop = ineffective([*_attempts(past)], _attempt(desk.cycle), most=desk.profile.loops.ineffective)
        if loop is not None:
            return _handed_off(desk, loop)
    return _set(desk, past, _planned(desk)) if desk.cycle.action in (Action.TUNE, Action.ROLLBACK) else None


def before_promotion(desk: Desk, digest: str) -> StageResult | None:
    """Return where the cycle goes when going live with this model is a circle; else None, and it is on record."""
    view = desk.do("runtime_state", Nothing(), Role.DEVOPS_ENGINEER, RuntimeView, place="before promotion")
    return _set(desk, _past(desk), [{"name": MODEL, "before": view.digest, "after": digest, "undo": False}])


def of_dataset(desk: Desk, provenance: Mapping[str, Any]) -> StageResult | None:
    """Return where the cycle goes when its training set is too much our own; else None."""
    limits, past = desk.profile.loops, _past(desk)
    ours = {str(cycle["digest"]) for cycle in past if cycle["digest"]}
    loop = own_output(Provenance(**provenance), ours, max_generated=limits.max_synthetic, max_own=limits.max_own)
    return None if loop is None else _handed_off(desk, loop)


# -- what is about to be done -----------------------------------------------------------------------------------------


def _planned(desk: Desk) -> list[dict[str, Any]]:
    """Return the values that the action would set: settings of a tuning, or the model a rollback brings back."""
    diagnosis = desk.fact("diagnosis")["value"]
    if desk.cycle.action is Action.ROLLBACK:
        suspects = [r["suspect"] for r in desk.results().values() if isinstance(r.get("suspect"), dict)]
        wanted = next((s for s in suspects if s.get("digest") == diagnosis["suspect_digest"]), None)
        if wanted is None:
            return []
        return [{"name": MODEL, "before": wanted["digest"], "after": wanted["previous_digest"], "undo": True}]
    view = desk.do("runtime_state", Nothing(), Role.DEVOPS_ENGINEER, RuntimeView, place="before tuning").model_dump()
    asked = diagnosis["tuning"].items()
    return [{"name": n, "before": str(view.get(n, "")), "after": str(v), "undo": False} for n, v in asked]


def _set(desk: Desk, past: Sequence[Mapping[str, Any]], changes: list[dict[str, Any]]) -> StageResult | None:
    known = [*_changes(past)]
    now = desk.clock.now().timestamp()
    for change in changes:
        mine = [c for c in known if c.name == change["name"]]
        # What the platform does not tell is what we set last.
        before = change["before"] or (mine[-1].after if mine else "")
        asked = Change(desk.cycle.id, now, change["name"], before, change["after"], change["undo"])
        loop = oscillation(mine, asked, most=desk.profile.loops.oscillations)
        if loop is not None:
            return _handed_off(desk, loop)
        change["before"] = before
    desk.keep(CHANGES, changes)
    return None


def _own_change(desk: Desk, past: Sequence[Mapping[str, Any]]) -> Loop | None:
    """Return the change of ours that the alert is the consequence of, by the series of its signal."""
    alert, within = desk.cycle.alert, desk.profile.loops.propagation
    at = alert.starts_at.timestamp()
    near = [c for c in _changes(past) if 0 <= at - c.at <= within.total_seconds()]
    if not near:
        return None
    change = near[-1]
    end = alert.starts_at + desk.profile.measure.current
    released = datetime.fromtimestamp(change.at, UTC)
    step = max((end - released) / POINTS, timedelta(seconds=1))
    args = PointsArgs(signal=alert.signal, end=end, step_s=step.total_seconds(), count=2 * POINTS)
    points = desk.do("metric_points", args, Role.METRICS_ANALYST, Points, place="around our change").points
    measured = [(end - step * (len(points) - 1 - n), p.value) for n, p in enumerate(points) if p.value is not None]
    return own_change(
        change,
        at,
        within=within.total_seconds(),
        times=[moment.timestamp() for moment, _ in measured],
        values=[value for _, value in measured],
        bad_direction=desk.contract.signal(alert.signal).bad_direction,
        tolerance=2.5 * step.total_seconds(),
    )


# -- what was done before ---------------------------------------------------------------------------------------------


def _past(desk: Desk) -> list[dict[str, Any]]:
    """Return what the cycles of this target did that ended within the window, oldest first."""
    since = desk.clock.now() - desk.profile.loops.window
    rows: list[dict[str, Any]] = desk.told("loops: past cycles", lambda: _rows(desk, since), list[dict[str, Any]])
    return [row for row in rows if row["ended_at"] >= since.timestamp()]


def _rows(desk: Desk, since: datetime) -> list[dict[str, Any]]:
    """Return what is known of every cycle of the window that did, made or tried something; most of a storm did not."""
    ended = ended_since(desk.office.store, desk.cycle.target, desk.cycle.environment, since)
    rows = [_row(cycle) for cycle in ended if cycle.id != desk.cycle.id]
    return [row for row in reversed(rows) if row["changes"] or row["digest"] or row["outcome"] in _TELLING]


def _row(cycle: Cycle) -> dict[str, Any]:
    candidate = (cycle.facts.get("candidate") or {}).get("model") or {}
    done = cycle.facts.get("release") or cycle.facts.get("reverted")
    asked = _attempt(cycle)
    return {
        "cycle": cycle.id,
        "ended_at": cycle.updated_at.timestamp(),
        "signal": asked.signal,
        "action": asked.action,
        "cause": asked.cause,
        "subjects": sorted(asked.subjects),
        "outcome": cycle.outcome.value if cycle.outcome else "",
        "changes": list(cycle.facts.get(CHANGES) or []) if done else [],
        "taken_back": bool(cycle.facts.get("reverted")) and cycle.action is not Action.ROLLBACK,
        "at": float(cycle.facts.get("changed_at") or cycle.updated_at.timestamp()),
        "revision": (done or {}).get("revision", ""),
        "reversible": bool((done or {}).get("patch")),
        "digest": candidate.get("digest", ""),
    }


def _changes(past: Sequence[Mapping[str, Any]]) -> Iterator[Change]:
    """What cycles set, in order; what one took back of its own follows on what it set."""
    for row in past:
        for c in row["changes"]:
            made = Change(row["cycle"], row["at"], c["name"], c["before"], c["after"], bool(c["undo"]))
            yield made
            if row["taken_back"]:
                yield Change(made.cycle, made.at, made.name, made.after, made.before, undo=True)


def _attempts(past: Sequence[Mapping[str, Any]]) -> Iterator[Attempt]:
    """What cycles did and is known to have shown, or not to have; what never came to that says nothing."""
    for row in past:
        outcome = OutcomeKind(row["outcome"]) if row["outcome"] else None
        if outcome in _DID_NOT_SHOW or outcome in _SHOWED:
            subjects = frozenset(row["subjects"])
            showed = outcome in _SHOWED
            yield Attempt(row["cycle"], row["signal"], row["action"], row["cause"], subjects, showed)


def _attempt(cycle: Cycle) -> Attempt:
    diagnosis = (cycle.facts.get("diagnosis") or {}).get("value") or {}
    return Attempt(
        cycle=cycle.id,
        signal=cycle.alert.signal,
        action=cycle.action.value if cycle.action else "",
        cause=str(diagnosis.get("root_cause", "")),
        subjects=frozenset(map(str, diagnosis.get("affected_categories") or ())),
        showed=False,
    )


# -- what is done about it --------------------------------------------------------------------------------------------


def _taken_back(desk: Desk, loop: Loop, past: Sequence[Mapping[str, Any]]) -> StageResult:
    """Take our own change back where it is still the last thing that was released; else leave it to a person."""
    made = next(row for row in past if row["cycle"] == loop.evidence["cycle"])
    view = desk.do("runtime_state", Nothing(), Role.DEVOPS_ENGINEER, RuntimeView, place="after our change")
    if not made["reversible"] or made["taken_back"] or view.declared_revision != made["revision"]:
        return _handed_off(desk, loop)
    _tell(desk, loop, "taken back")
    desk.cycle = desk.cycle.model_copy(update={"action": Action.ROLLBACK})
    undone = [{**c, "before": c["after"], "after": c["before"], "undo": True} for c in made["changes"]]
    desk.keep(CHANGES, undone)
    desk.keep("roll_back", {"revision": made["revision"], "reason": f"own change: {loop.reason}"[:250]})
    return StageResult(next=Stage.ROLL_BACK, reason=f"our own change is taken back: {loop.reason}")


def _handed_off(desk: Desk, loop: Loop) -> StageResult:
    _tell(desk, loop, "handed off")
    return desk.finish(OutcomeKind.HANDED_OFF, f"going in circles ({loop.kind.replace('_', ' ')}): {loop.reason}")


def _tell(desk: Desk, loop: Loop, decision: str) -> None:
    """Keep what was found for the report, and put it on record once."""
    found = json_ready(
        {"kind": loop.kind, "reason": loop.reason, "decision": decision, "evidence": dict(loop.evidence)}
    )
    if desk.fact(FOUND) == found:
        return
    cycle_id, stage = desk.cycle.id, desk.cycle.stage.value
    desk.put_on_record(f"loop_{loop.kind}", found)
    desk.keep(FOUND, found)
    desk.office.observer(
        Event(kind="loop", cycle_id=cycle_id, stage=stage, what=loop.reason, answer=loop.kind, details=found)
    )
