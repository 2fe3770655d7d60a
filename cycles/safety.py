"""The safe state: what becomes of a cycle in flight when the kill switch of its environment is thrown.

* Nothing of it is live: it ends as stopped. A training that runs is left to end; its model is not registered.
* An A/B test runs: everybody gets the champion again, and it ends as stopped. A candidate that is not proven is not
  served under a kill switch, whatever the profile says.
* A promotion or a tuning is live and not judged yet: `on_kill` of the profile decides. `roll_back` reverts it and
  verifies the revert live. `hold` leaves the platform as it is; the cycle stays open, does nothing, says so, and goes
  on when the switch is lifted. Cancelling a held cycle takes its change back.
* A roll-back is under way: it goes on, for it leads to the safe state. One that is live is not waited for any more.

The door refuses every other effect by itself; this is what brings order into it.
"""

from __future__ import annotations

from datetime import timedelta

from cycles.desk import CallFailed, CallRefused, Desk
from cycles.stages.live import arrived
from cycles.switches import flags_of
from domain.actor import Role
from domain.diagnosis import Action
from domain.errors import InvalidInput
from domain.outcome import OutcomeKind
from domain.receipt import RecordKind
from domain.stage import Stage, StageResult
from tools.deliver.release import AbStopArgs, Released
from tools.notify.send import Notified, NotifyArgs

KILLED = "killed"
HELD = "held"
# How long a held cycle sleeps between looks; it is woken when the switch is lifted.
HOLD_LOOK = timedelta(minutes=10)
_FORWARD = ("promote", "apply_tuning")
_LIVE = (Stage.PROMOTE, Stage.WATCH)


def switched(desk: Desk) -> list[str]:
    """Return the kill switches that are on in the cycle's environment, in words."""
    office, environment = desk.office, desk.cycle.environment
    return desk.told("kill_switch", lambda: flags_of(office.store, office.profile).thrown(environment), list[str])


def halted(desk: Desk) -> StageResult | None:
    """Return the step towards the safe state while the kill switch is on; None where the stage goes on as ever.

    Raises:
        CallRefused, CallFailed: the test could not be taken down.
        DependencyError: the switch cannot be read; nothing goes on without knowing.
    """
    switches = switched(desk)
    stage, desk.killed = desk.cycle.stage, bool(switches)
    if not switches:
        _let_go(desk)
        return None
    reason = "; ".join(switches)
    if stage is Stage.LEARN:
        return _after_revert(desk, reason)
    _noted(desk, reason)
    if stage is Stage.ROLL_BACK:
        return None
    release = _release(desk) if stage in _LIVE else None
    if release is not None:
        return _unjudged(desk, release, reason)
    if desk.did("ab_start") and not desk.did("ab_stop"):
        coming_back = _without_test(desk, reason)
        if coming_back is not None:
            return coming_back
    return desk.finish(OutcomeKind.STOPPED, f"{reason}; {_left(desk)}")


def _unjudged(desk: Desk, release: Released, reason: str) -> StageResult:
    """A change of ours is live, and nobody knows yet whether it is good."""
    if not release.patch:
        return desk.finish(OutcomeKind.STOPPED, f"{reason}; the change set what was set already: nothing to revert")
    if desk.profile.on_kill == "hold" and not desk.cycle.cancel_requested:
        return _hold(desk, reason)
    order = {"revision": release.revision, "reason": f"taken back unjudged: {reason}"[:250], "unjudged": True}
    desk.keep("release", release)
    desk.keep("roll_back", order)
    return StageResult(next=Stage.ROLL_BACK, reason=reason)


def _hold(desk: Desk, reason: str) -> StageResult:
    if desk.fact(HELD) is None:
        desk.keep(HELD, desk.clock.now().timestamp())
        title = f"{desk.cycle.id} is held by the kill switch"
        body = f"{reason}. Its change stays live and unjudged. Lift the switch, or cancel the cycle to take it back."
        try:
            desk.do("notify", NotifyArgs(title=title, body=body[:4000], severity="warning"), Role.SUPERVISOR, Notified)
        except (CallRefused, CallFailed) as problem:
            desk.note(str(problem))
    desk.patient = True
    return StageResult(next=desk.cycle.stage, reason=f"held: {reason}", wait=HOLD_LOOK)


def _let_go(desk: Desk) -> None:
    """The switch was lifted: a held cycle goes on, and its record says how long it was held."""
    since = desk.fact(HELD)
    if since is None:
        return
    seconds = desk.clock.now().timestamp() - float(since)
    desk.put_on_record("let_go", {"held_s": seconds})
    desk.keep(HELD, None)
    desk.keep(KILLED, None)
    desk.note(f"the kill switch was lifted after {seconds:.0f} s: the cycle goes on")


def _without_test(desk: Desk, reason: str) -> StageResult | None:
    """Give everybody the champion again, and wait until that is live."""
    stopped = desk.do("ab_stop", AbStopArgs(reason=reason[:200]), Role.DEVOPS_ENGINEER, Released)
    live = arrived(desk, stopped.revision)
    if isinstance(live, StageResult):
        return live
    desk.keep("live", {"digest": live.digest, "revision": live.revision})
    return None


def _after_revert(desk: Desk, reason: str) -> StageResult | None:
    """Take down the test that the revert of a promotion brought back, before anything is written up."""
    if not desk.did("roll_back") or not desk.did("ab_start") or desk.did("ab_stop"):
        return None
    try:
        return _without_test(desk, reason)
    except (CallRefused, CallFailed) as problem:
        desk.note(str(problem))
        return None


def _left(desk: Desk) -> str:
    """Say what the cycle leaves behind."""
    if desk.did("ab_stop"):
        return "its test was ended, everybody gets the champion"
    if desk.fact("reverted") is not None:
        return "the roll-back is live; whether it helped was not watched"
    if desk.cycle.stage is Stage.WATCH and desk.cycle.action is Action.DATA_FIX:
        return "the damaged judgements stay set aside; whether that helped was not watched"
    return "nothing of it is live"


def _release(desk: Desk) -> Released | None:
    """Return what this cycle made live: by the drawer, or by the chain where it died before it kept it."""
    kept = desk.fact("release")
    if kept is not None:
        return Released.model_validate(kept)
    for record in reversed(desk.records()):
        entry = record.entry
        if entry.tool in _FORWARD and entry.kind is RecordKind.OUTCOME and entry.status == "done":
            try:
                return Released.model_validate(entry.body["result"])
            except (KeyError, ValueError) as problem:
                raise InvalidInput(
                    "release", f"the record of {entry.tool} has no result ({problem})", "Revert it by hand"
                ) from problem
    return None


def _noted(desk: Desk, reason: str) -> None:
    """Put on record, once, that the cycle was stopped in its tracks."""
    if desk.fact(KILLED) is not None:
        return
    desk.put_on_record(KILLED, {"reason": reason, "on_kill": desk.profile.on_kill})
    desk.keep(KILLED, {"at": desk.clock.now(), "reason": reason, "stage": desk.cycle.stage})
    desk.note(reason)
