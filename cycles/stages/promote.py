"""Promote: one commit, once its revert has been rehearsed, and not done before the platform itself reports it live."""

from __future__ import annotations

from typing import Any

from cycles.desk import CallFailed, CallRefused, Desk
from cycles.stages.announce import marked
from cycles.stages.live import arrived, lost
from domain.actor import Role
from domain.diagnosis import Action, Diagnosis
from domain.outcome import OutcomeKind
from domain.plan import PromotionProposal
from domain.stage import Stage, StageResult
from tools.deliver.release import PromoteArgs, Rehearsed, Released
from tools.model.train import Registered
from tools.notify.send import Notified, NotifyArgs

# A push race is lost to somebody else's commit; three losses in a row are a conflict for a person.
RACES = 3


def run(desk: Desk) -> StageResult:
    """Change what is served: a model after a retrain, settings after a tuning."""
    return _tune(desk) if desk.cycle.action is Action.TUNE else _promote(desk)


def _promote(desk: Desk) -> StageResult:
    answered = desk.ask("delivery_plan", desk.office.judges.propose_promotion, PromotionProposal)
    if answered.stopped or not answered.value.proceed:
        return _withdraw(desk, answered.stopped or answered.value.rationale)
    model = Registered.model_validate(desk.fact("candidate")).model
    args = PromoteArgs(name=model.name, version=model.version, digest=model.digest)
    # Once: where the promotion is already pushed there is nothing left to rehearse.
    rehearsed = desk.once(
        "rehearsed", lambda: desk.do("rehearse_rollback", args, Role.DEVOPS_ENGINEER, Rehearsed), Rehearsed
    )
    return _release(desk, "promote", args, model.digest, f"rehearsed: its revert restores {rehearsed.restores[:19]}")


def _tune(desk: Desk) -> StageResult:
    diagnosis = Diagnosis.model_validate(desk.fact("diagnosis")["value"])
    if desk.contract.signal(desk.cycle.alert.signal).needs_approval and desk.profile.approver == "profile":
        desk.approved_by_profile("apply_tuning")
    # As the model named them: what the tool does not know, the door refuses.
    return _release(desk, "apply_tuning", dict(diagnosis.tuning), None, "settings by git")


def _release(desk: Desk, tool: str, args: Any, digest: str | None, said: str) -> StageResult:
    try:
        released = _raced(desk, tool, args)
    except CallRefused as refusal:
        return _waiting(desk, refusal) if refusal.kind == "escalate" else _withdraw(desk, str(refusal))
    desk.keep("release", released)
    try:
        live = arrived(desk, released.revision, digest=digest, place=released.revision)
    except CallFailed as failure:
        if not lost(failure):
            raise
        desk.keep("roll_back", {"revision": released.revision, "reason": f"it did not come live: {failure}"[:250]})
        return StageResult(next=Stage.ROLL_BACK, reason=str(failure))
    if isinstance(live, StageResult):
        return live
    desk.keep("live", {"digest": live.digest, "revision": live.revision})
    _write(desk, released, live.digest)
    desk.since("changed_at")
    marked(desk, "tuning" if tool == "apply_tuning" else "promotion", f"{tool}: {live.digest[:19]} is live")
    return StageResult(next=Stage.WATCH, reason=f"live as {live.revision[:12]}; {said}")


def _raced(desk: Desk, tool: str, args: Any) -> Released:
    for attempt in range(RACES):
        try:
            return desk.do(tool, args, Role.DEVOPS_ENGINEER, Released)
        except CallFailed as failure:
            if failure.error != "ConflictError" or attempt == RACES - 1:
                raise
            desk.note(f"somebody else pushed first; attempt {attempt + 2} of {RACES}")
    raise AssertionError("unreachable: the last attempt returns or raises")


def _waiting(desk: Desk, refusal: CallRefused) -> StageResult:
    """Ask a person once, and come back until there is an answer or the time for one is over."""
    waited = desk.since("asked_at")
    if desk.fact("asked") is None:
        body = f"{refusal}. Approve with: evercrew cycles resume {desk.cycle.id} --approve {refusal.tool} --by NAME"
        desk.do(
            "notify",
            NotifyArgs(title=f"{desk.cycle.id} needs an approval", body=body, severity="warning"),
            Role.DEVOPS_ENGINEER,
            Notified,
        )
        desk.keep("asked", refusal.tool)
    if waited < desk.profile.poll.approval_timeout:
        return StageResult(
            next=Stage.PROMOTE, reason="waiting for a person's approval", wait=desk.profile.poll.approval
        )
    return _withdraw(desk, f"nobody approved within {desk.profile.poll.approval_timeout}")


def _withdraw(desk: Desk, reason: str) -> StageResult:
    """End without the change; a test that still runs is taken down by the learn stage."""
    return desk.finish(OutcomeKind.HANDED_OFF, reason)


def _write(desk: Desk, released: Released, digest: str) -> None:
    desk.write(
        "helm_values_patch.yaml",
        {
            "cycle_id": desk.cycle.id,
            "action": desk.cycle.action.value if desk.cycle.action else "",
            "revision": released.revision,
            "previous_revision": released.previous,
            "digest": digest,
            "patch": released.patch,
            "rollback": f"git revert {released.revision}"
            if released.patch
            else "nothing to revert: git said so before",
        },
    )
