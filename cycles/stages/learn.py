"""Learn: close what is still open, write the post-mortem, and keep what the next cycle should know."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from adapters.retrieval.base import Passage
from cycles import budget
from cycles.approvals import approvers
from cycles.desk import OVERRIDES, CallFailed, CallRefused, Desk
from cycles.holding import given_up
from cycles.pathologies import FOUND
from cycles.stages.card import card_args
from cycles.stages.live import SYNC
from domain.actor import Role
from domain.errors import BudgetExhausted, DependencyError, IntegrityError, ModelAnswerInvalid
from domain.outcome import OutcomeKind
from domain.plan import PostMortem
from domain.stage import Stage, StageResult
from tools.deliver.gold import Marked
from tools.deliver.live import SyncArgs, SyncView
from tools.deliver.release import AbStopArgs, Released
from tools.model.describe import Described
from tools.notify.send import Notified, NotifyArgs
from tools.observe.deployments import RuntimeView
from tools.tool import Nothing

_ENDS = {
    OutcomeKind.CANCELLED: Stage.CANCELLED,
    OutcomeKind.STOPPED: Stage.STOPPED,
    OutcomeKind.RESOLVED: Stage.STOPPED,
}


def run(desk: Desk) -> StageResult:
    """End the cycle; nothing here can change its outcome."""
    outcome = desk.cycle.outcome or OutcomeKind.UNVERIFIED
    reason = str(desk.fact("outcome_reason", desk.cycle.reason))
    desk.list_effects()
    desk.attempt("autonomy", lambda: desk.office.autonomy.ended(desk, outcome))
    reason = _take_down_test(desk, outcome, reason)
    _look_at_live(desk)
    _mark_gold(desk, outcome)
    _describe(desk, outcome, reason)
    post_mortem = _post_mortem(desk)
    write(desk, outcome, reason, post_mortem)
    severity = "info" if outcome.verified or outcome is OutcomeKind.RESOLVED else "warning"
    title = f"{desk.cycle.id}: {outcome.value.replace('_', ' ')}"
    _optional(
        desk,
        "notify",
        NotifyArgs(title=title, body=(reason or title)[:4000], severity=severity),
        Role.SUPERVISOR,
        Notified,
    )
    action = desk.cycle.action.value if desk.cycle.action else "none"
    passage = Passage(
        id=desk.cycle.id,
        text=f"{desk.cycle.alert.signal} on {desk.cycle.target}: {action}: {reason}",
        facts={"action": action, "outcome": outcome.value, "signal": desk.cycle.alert.signal},
    )
    desk.attempt("remember", lambda: desk.office.retrieval.add(passage))
    return StageResult(next=_ENDS.get(outcome, Stage.DONE), reason=reason)


def write(desk: Desk, outcome: OutcomeKind, reason: str, post_mortem: PostMortem | None) -> None:
    """Write `outcome.json`."""
    seen = desk.fact("snapshot") or desk.fact("first_snapshot") or {}
    lead: dict[str, Any] = seen.get("readings", {}).get(desk.cycle.alert.signal, {})
    answers = [f for f in desk.cycle.facts.values() if isinstance(f, dict) and "models" in f and "tokens" in f]
    dollars = float(desk.fact("cost_usd", 0.0)) + sum(float(a.get("cost_usd", 0.0)) for a in answers)
    statement = budget.statement(desk)
    # The account knows of answers that were paid for and never came, too.
    paid_usd, paid_tokens = budget.spent(statement)
    cost_usd, tokens = max(dollars, paid_usd), max(sum(int(a["tokens"]) for a in answers), paid_tokens)
    effects = desk.fact("effects", [])
    desk.write(
        "outcome.json",
        {
            "cycle_id": desk.cycle.id,
            "timestamp": desk.clock.now(),
            "environment": desk.cycle.environment,
            "target": desk.cycle.target,
            "trigger": {
                "type": desk.cycle.alert.signal,
                "value": lead.get("current"),
                "baseline": lead.get("baseline"),
                "fingerprint": desk.cycle.alert.fingerprint,
            },
            "action": desk.cycle.action,
            "outcome": outcome,
            "verified": outcome.verified,
            "reason": reason,
            "overrides": desk.fact(OVERRIDES, []),
            "actions": [
                {"sequence": n, "type": e["name"], "call": e["call"], "permit": e["permit"], "receipt": e["receipt"]}
                for n, e in enumerate(effects, start=1)
            ],
            "approver": _approver(desk),
            "total_cost_usd": cost_usd,
            "tokens": tokens,
            "budget": statement,
            "pathology": desk.fact(FOUND),
            "models": sorted({m for a in answers for m in a["models"]}),
            "rollback_available": bool((desk.fact("release") or {}).get("previous")),
            "seconds": dict(desk.cycle.timings),
            "reaction": desk.fact("reaction"),
            "live": desk.fact("live") or {"digest": "", "revision": ""},
            "unsupported_claims": int(desk.fact("unsupported_claims", 0)),
            "post_mortem": post_mortem,
        },
    )


def _approver(desk: Desk) -> str:
    """Return whose approvals were used, by name; else the system acted by itself."""
    return ", ".join(approvers(desk)) or "system"


def _take_down_test(desk: Desk, outcome: OutcomeKind, reason: str) -> str:
    """A candidate that was tested and did not stay promoted must not go on being served: the revert of a promotion
    brings the test back that went before it. Returns the reason, with a warning where it could not be taken down.

    Raises:
        CallFailed: it could not be yet.
    """
    promoted = desk.did("promote") and not desk.did("roll_back") and desk.fact("merged_late") is None
    if not desk.did("ab_start") or desk.did("ab_stop") or promoted:
        return reason
    try:
        stopped = desk.do("ab_stop", AbStopArgs(reason=outcome.value), Role.DEVOPS_ENGINEER, Released)
    except CallFailed as failure:
        if not given_up(desk):
            raise  # while the candidate has users nobody looks after, this is no end
        return f"ATTENTION: the candidate still serves users of the test: {failure}; {reason}"
    except CallRefused as refusal:
        return f"ATTENTION: the candidate still serves users of the test: {refusal}; {reason}"
    if SYNC in desk.office.gate.registry:
        _optional(desk, SYNC, SyncArgs(revision=stopped.revision), Role.DEVOPS_ENGINEER, SyncView)
    return reason


def _look_at_live(desk: Desk) -> None:
    view = _optional(desk, "runtime_state", Nothing(), Role.SUPERVISOR, RuntimeView)
    if view is not None:
        desk.keep("live", {"digest": view.digest, "revision": view.revision})


def _mark_gold(desk: Desk, outcome: OutcomeKind) -> None:
    """A promotion whose watch ended well is a state to come back to; so is the one before it, which stays marked."""
    candidate, release = desk.fact("candidate"), desk.fact("release")
    if outcome is not OutcomeKind.IMPROVED or candidate is None or release is None:
        return
    args = {
        "digest": candidate["model"]["digest"],
        "values_revision": release["revision"],
        "dataset": (desk.fact("dataset") or {}).get("ref"),
    }
    marked = _optional(desk, "mark_gold", args, Role.DEVOPS_ENGINEER, Marked)
    if marked is not None:
        desk.keep("gold", marked.baseline.name)


def _describe(desk: Desk, outcome: OutcomeKind, reason: str) -> None:
    """Put what the cycle found out about its candidate on the registered version."""
    try:
        args = card_args(desk, outcome, reason)
    except (IntegrityError, ValidationError) as problem:
        desk.note(f"no model card: {problem}")
        return
    if args is not None:
        _optional(desk, "describe_model", args, Role.ML_ENGINEER, Described)


def _post_mortem(desk: Desk) -> PostMortem | None:
    if desk.fact(budget.REFUSED) is not None:
        return None  # what the budget ended asks for nothing more
    try:
        return desk.ask("post_mortem", desk.office.judges.write_post_mortem, PostMortem).value
    except (BudgetExhausted, ModelAnswerInvalid, DependencyError) as problem:
        desk.note(f"no post-mortem: {problem}")
        return None


def _optional(desk: Desk, tool: str, args: Any, role: Role, expected: Any) -> Any:
    """Make a call whose failure must not change how the cycle ended; it is told, and recorded by the door."""
    try:
        return desk.do(tool, args, role, expected)
    except (CallRefused, CallFailed) as problem:
        desk.note(str(problem))
        return None
