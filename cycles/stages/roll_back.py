"""Roll back: what came with a release goes back as one unit, verified live, and the bad model is tombstoned."""

from __future__ import annotations

from datetime import timedelta

from adapters.store.base import Tombstone
from cycles.desk import CallFailed, Desk
from cycles.stages.announce import marked
from cycles.stages.live import arrived
from cycles.undo import UndoIncomplete, take_back
from domain.actor import Role
from domain.diagnosis import Action, Diagnosis
from domain.outcome import OutcomeKind
from domain.stage import Stage, StageResult
from tools.deliver.release import Released, RollBackArgs
from tools.evidence import tool_of

# A part that does not go back is tried again, a little later each time; then a person is told.
MOST_TRIES = 4
PAUSE = timedelta(seconds=1)
_TRIES = "undo_tries"
_ROUNDS = "revert_rounds"


def run(desk: Desk) -> StageResult:
    """Revert what made it worse: the release the diagnosis found, or the one this cycle made."""
    order = desk.fact("roll_back") or _ordered(desk)
    if order is None:
        return desk.finish(OutcomeKind.HANDED_OFF, "the release to revert is not on record")
    desk.keep("roll_back", order)
    reverted = _reverted(desk, order)
    if isinstance(reverted, str):
        return desk.finish(OutcomeKind.HANDED_OFF, f"{order['reason']}; {reverted}")
    desk.keep("reverted", reverted)
    try:
        live = arrived(desk, reverted.revision)
    except CallFailed:
        desk.keep(_ROUNDS, int(desk.fact(_ROUNDS, 0)) + 1)
        raise
    if isinstance(live, StageResult):
        return live
    desk.keep("live", {"digest": live.digest, "revision": live.revision})
    marked(desk, "rollback", f"{order['reason']}; {live.digest[:19]} is live again")
    _entomb(desk, live.digest, order["reason"])
    try:
        take_back(desk, reverted, live)
    except UndoIncomplete as problem:
        return _incomplete(desk, order["reason"], problem)
    desk.since("changed_at")
    if desk.cycle.action is Action.ROLLBACK:
        _write(desk, reverted, live.digest)
        return StageResult(next=Stage.WATCH, reason=f"{live.digest[:19]} is live again")
    return desk.finish(OutcomeKind.ROLLED_BACK, f"{order['reason']}; {live.digest[:19]} is live again")


def _reverted(desk: Desk, order: dict[str, str]) -> Released | str:
    """Revert, and once more where the revert does not come live: a push that was taken can get lost again with a copy
    of the repository. Where it is still there the second changes nothing, and the first counts. Returns why there is
    nothing to revert, where there never was.
    """
    rounds = int(desk.fact(_ROUNDS, 0))
    args = RollBackArgs(revision=order["revision"], reason=order["reason"])
    try:
        return desk.do("roll_back", args, Role.DEVOPS_ENGINEER, Released, place=f"again {rounds}" if rounds else "")
    except CallFailed as failure:
        known = desk.fact("reverted")
        # That the first is still there shows as a conflict, too; whether it is live is asked next.
        if failure.error not in ("NothingToRevert", *(("ConflictError",) if known is not None else ())):
            raise
        return failure.problem if known is None else Released.model_validate(known)


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
    if desk.fact("merged_late") is not None or desk.fact("roll_back").get("unjudged"):
        return  # nobody measured it: it only came too late, or at the wrong time
    suspect = desk.fact("suspect") or {}
    bad = suspect.get("digest") or ((desk.fact("candidate") or {}).get("model") or {}).get("digest")
    if bad and bad != live:
        stone = Tombstone(digest=bad, cycle_id=desk.cycle.id, reason=reason, at=desk.clock.now())
        desk.attempt("entomb", lambda: desk.office.store.entomb(stone))


def _incomplete(desk: Desk, reason: str, problem: UndoIncomplete) -> StageResult:
    """Come back for the parts that are missing; then a person is told. Users have the old model again."""
    tries = int(desk.fact(_TRIES, 0)) + 1
    desk.keep(_TRIES, tries)
    if tries < MOST_TRIES:
        desk.note(str(problem))
        return StageResult(next=Stage.ROLL_BACK, reason=str(problem), wait=PAUSE * 2 ** (tries - 1))
    return desk.finish(OutcomeKind.HANDED_OFF, f"{reason}; {problem}")


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
