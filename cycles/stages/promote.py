"""Promote: one commit, once its revert has been rehearsed, and not done before the platform itself reports it live.

Right before the commit the tool takes the bundle out of the registry once more: what is promoted is what was evaluated.
"""

from __future__ import annotations

from typing import Any

from cycles.desk import CallFailed, Desk
from cycles.pathologies import before_promotion
from cycles.stages.announce import marked
from cycles.stages.live import arrived, lost
from cycles.undo import keep_point, point_data
from domain.actor import Role
from domain.diagnosis import Action, Diagnosis
from domain.errors import DigestMismatch
from domain.outcome import OutcomeKind
from domain.plan import PromotionProposal
from domain.stage import Stage, StageResult
from tools.data.dataset import DatasetMade
from tools.deliver.release import PromoteArgs, Rehearsed, Released
from tools.model.train import Registered

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
    circle = before_promotion(desk, model.digest) if desk.fact("rehearsed") is None else None
    if circle is not None:
        return circle
    # Once: where the promotion is already pushed there is nothing left to rehearse.
    rehearsed = desk.once(
        "rehearsed", lambda: desk.do("rehearse_rollback", args, Role.DEVOPS_ENGINEER, Rehearsed), Rehearsed
    )
    keep_point(desk)
    return _release(desk, "promote", args, model.digest, f"rehearsed: its revert restores {rehearsed.restores[:19]}")


def _tune(desk: Desk) -> StageResult:
    diagnosis = Diagnosis.model_validate(desk.fact("diagnosis")["value"])
    keep_point(desk)
    # As the model named them: what the tool does not know, the door refuses.
    return _release(desk, "apply_tuning", dict(diagnosis.tuning), None, "settings by git")


def _release(desk: Desk, tool: str, args: Any, digest: str | None, said: str) -> StageResult:
    try:
        released = _raced(desk, tool, args)
    except CallFailed as failure:
        # Trying again brings nothing: what is in the registry is not what was evaluated, and a person has to see why.
        if failure.error != DigestMismatch.__name__:
            raise
        return _withdraw(desk, f"nothing was promoted: {failure}")
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
    if digest is not None:
        point_data(desk, DatasetMade.model_validate(desk.fact("dataset")).ref)
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
