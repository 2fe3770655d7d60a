"""Roll back: a revert commit, verified live, and the bad model tombstoned so that it is never proposed again."""

from __future__ import annotations

from adapters.store.base import Tombstone
from cycles.desk import CallFailed, CallRefused, Desk
from cycles.stages.announce import marked
from cycles.stages.live import arrived
from domain.actor import Role
from domain.diagnosis import Action, Diagnosis
from domain.outcome import OutcomeKind
from domain.stage import Stage, StageResult
from tools.deliver.release import Released, RollBackArgs
from tools.evidence import tool_of
from tools.model.registry import RegistryView
from tools.model.train import AliasArgs, AliasSet
from tools.tool import Nothing


def run(desk: Desk) -> StageResult:
    """Revert what made it worse: the release the diagnosis found, or the one this cycle made."""
    order = desk.fact("roll_back") or _ordered(desk)
    if order is None:
        return desk.finish(OutcomeKind.HANDED_OFF, "the release to revert is not on record")
    desk.keep("roll_back", order)
    try:
        args = RollBackArgs(revision=order["revision"], reason=order["reason"])
        reverted = desk.do("roll_back", args, Role.DEVOPS_ENGINEER, Released)
    except CallRefused as refusal:
        return desk.finish(OutcomeKind.HANDED_OFF, str(refusal))
    except CallFailed as failure:
        if failure.error != "NothingToRevert":
            raise
        return desk.finish(OutcomeKind.HANDED_OFF, f"{order['reason']}; {failure.problem}")
    desk.keep("reverted", reverted)
    live = arrived(desk, reverted.revision)
    if isinstance(live, StageResult):
        return live
    desk.keep("live", {"digest": live.digest, "revision": live.revision})
    marked(desk, "rollback", f"{order['reason']}; {live.digest[:19]} is live again")
    _entomb(desk, live.digest, order["reason"])
    _restore_alias(desk, live.digest)
    desk.since("changed_at")
    if desk.cycle.action is Action.ROLLBACK:
        _write(desk, reverted, live.digest)
        return StageResult(next=Stage.WATCH, reason=f"{live.digest[:19]} is live again")
    return desk.finish(OutcomeKind.ROLLED_BACK, f"{order['reason']}; {live.digest[:19]} is live again")


def _ordered(desk: Desk) -> dict[str, str] | None:
    """Find the suspect release in what `deployment_history` answered; the model's word alone does not name a commit."""
    diagnosis = Diagnosis.model_validate(desk.fact("diagnosis")["value"])
    for call, result in desk.results().items():
        suspect = result.get("suspect") if tool_of(call) == "deployment_history" else None
        if suspect and suspect["digest"] == diagnosis.suspect_digest:
            desk.keep("suspect", suspect)
            return {"revision": suspect["revision"], "reason": diagnosis.summary[:250]}
    return None


def _entomb(desk: Desk, live: str, reason: str) -> None:
    if desk.fact("merged_late") is not None:
        return  # nobody measured it: it only came too late
    suspect = desk.fact("suspect") or {}
    bad = suspect.get("digest") or ((desk.fact("candidate") or {}).get("model") or {}).get("digest")
    if bad and bad != live:
        stone = Tombstone(digest=bad, cycle_id=desk.cycle.id, reason=reason, at=desk.clock.now())
        desk.office.store.entomb(stone)


def _restore_alias(desk: Desk, digest: str) -> None:
    """The registry's champion is what is live; where the release moved the alias too, it moves back."""
    registry = desk.do("registry_read", Nothing(), Role.DEVOPS_ENGINEER, RegistryView, place="after the revert")
    if registry.champion is not None and registry.champion.digest != digest:
        desk.do("set_alias", AliasArgs(alias="champion", digest=digest), Role.DEVOPS_ENGINEER, AliasSet)


def _write(desk: Desk, reverted: Released, digest: str) -> None:
    desk.write(
        "helm_values_patch.yaml",
        {
            "cycle_id": desk.cycle.id,
            "action": "rollback",
            "revision": reverted.revision,
            "previous_revision": reverted.previous,
            "digest": digest,
            "patch": reverted.patch,
            "rollback": f"git revert {reverted.revision}",
        },
    )
