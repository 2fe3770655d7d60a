"""The engine: one durable workflow a cycle, one checkpoint a stage.

Why a crash loses and repeats nothing: the cycle's stage and facts are in the store; a stage that was interrupted is run
again from its facts, and asks the door for the same effects under the same keys; the door answers what already happened
from the record. The workflow only remembers how often it stepped and how long it has to wait, so its body is the same
on every replay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from adapters.inbox.base import lane_of
from adapters.workflow.base import Run, WorkflowPort
from cycles import approvals, budget, pace, redo, resolved, safety, wishes
from cycles.approvals import NotApproved
from cycles.desk import CallFailed, CallRefused, Desk, Office
from cycles.hands import in_hand
from cycles.holding import held, persisted, pushed
from cycles.shelf import Shelf, TapeForged, TapeMissing
from cycles.stages import ab, augment, diagnose, evaluate, learn, observe, plan, promote, roll_back, train, watch
from cycles.stages.proposals import ending, withdrawn
from cycles.switches import KillWatch
from cycles.tape import Tape
from cycles.tracing import ended, step_span
from domain.actor import Actor, Role
from domain.cycle import Cycle, check_transition
from domain.errors import (
    AuditUnavailable,
    BudgetExhausted,
    DependencyError,
    IntegrityError,
    InvalidInput,
    ModelAnswerInvalid,
)
from domain.events import Event
from domain.outcome import OutcomeKind
from domain.stage import Stage, StageResult

STAGES: Mapping[Stage, Callable[[Desk], StageResult]] = {
    Stage.OBSERVE: observe.run,
    Stage.DIAGNOSE: diagnose.run,
    Stage.PLAN: plan.run,
    Stage.AUGMENT: augment.run,
    Stage.TRAIN: train.run,
    Stage.EVALUATE: evaluate.run,
    Stage.AB: ab.run,
    Stage.PROMOTE: promote.run,
    Stage.WATCH: watch.run,
    Stage.ROLL_BACK: roll_back.run,
    Stage.LEARN: learn.run,
}

# A dependency that fails is tried again, a little later each time; then a person is told.
ATTEMPTS = 3
PAUSE = timedelta(seconds=1)
# What a call comes back with that waits for a person elsewhere, e.g. for the merge of a pull request: no failure.
PENDING = "ApprovalPending"
# Stages that look again and again are bounded by their windows; this bounds a defect. What waits for people, or must
# not be given up, is bounded by people's time and does not count.
MOST_STEPS = 5000
# The fact that a cycle has made too many steps: it ends in an orderly way, with as many more to do so.
OVERRUN = "overrun"
MOST_OPEN = 100_000


class Engine:
    """Runs cycles on a workflow port.

    Args:
        offices: the office at which cycles of a target are worked, where there are several targets; they share
            `office`'s store, audit chain, clock and people. Raises a DependencyError where there is none at present:
            the cycle is held.
    """

    def __init__(
        self, office: Office, workflow: WorkflowPort, *, offices: Callable[[str], Office] | None = None
    ) -> None:
        self._office = office
        self._offices = offices
        self._elsewhere: dict[str, Engine] = {}
        self._workflow = workflow
        tools = [tool.spec.name for tool in office.gate.registry]
        self._switch = KillWatch(office.store, office.profile, office.clock)
        self._shelf = Shelf(office.store, office.contract, office.profile, tools, office.taping)

    def launch(self) -> None:
        """Recover what a dead process left, and be ready for new cycles.

        A process that died between opening a cycle and starting its workflow left a cycle without one: it gets it here.
        A workflow that failed for a reason nobody foresaw is tried again: an open cycle that nobody runs holds up its
        target.
        """
        self._workflow.launch(self._body)
        self.sweep()
        for cycle in self._office.store.cycles(open_only=True, limit=MOST_OPEN):
            if self._workflow.status(cycle.id) == "failed":
                self._workflow.resume(cycle.id)

    def sweep(self) -> None:
        """Give every open cycle its workflow: a process that opened one and died may not have got round to it."""
        office, now = self._office, self._office.clock.now()
        found = office.store.cycles(open_only=True, limit=MOST_OPEN)
        opened = {cycle.id: cycle for cycle in found if not in_hand(cycle, office.profile, now)}
        for cycle_id in self._workflow.missing(list(opened)):
            self._workflow.start(cycle_id, lane=_lane(opened[cycle_id]))

    def start(self, cycle_id: str) -> None:
        """Begin (or join) the cycle's workflow."""
        self._workflow.start(cycle_id, lane=_lane(self._cycle(cycle_id)))

    def wait(self, cycle_id: str, timeout: timedelta | None = None) -> Cycle:
        """Return the cycle once it has ended.

        Raises:
            DependencyTimeout: it has not ended in time.
        """
        self._workflow.result(cycle_id, timeout)
        return self._cycle(cycle_id)

    def status(self, cycle_id: str) -> str:
        """Return how the cycle's workflow stands: absent, pending, done, failed or cancelled."""
        return self._workflow.status(cycle_id)

    def resume(self, cycle_id: str) -> None:
        """Go on with a cycle whose workflow stopped."""
        self._workflow.resume(cycle_id)

    def cancel(self, cycle_id: str) -> None:
        """Ask the cycle to end; it does so at its next step, in an orderly way."""
        self._office.store.request_cancel(cycle_id)

    # -- the workflow -------------------------------------------------------------------------------------------------

    def _body(self, run: Run, cycle_id: str) -> dict[str, Any]:
        steps = times = 0
        while steps < 2 * MOST_STEPS:
            told = run.step("advance", partial(self._tried, cycle_id, times, overrun=steps >= MOST_STEPS))
            times = times + 1 if told.get("held") else 0
            steps += not (told.get("held") or told.get("patient"))
            if told["ended"]:
                return told
            if told["wait_s"] > 0:
                run.sleep(timedelta(seconds=told["wait_s"]), until=self._until(cycle_id, told))
        raise BudgetExhausted(f"{cycle_id} made {2 * MOST_STEPS} steps without an end")

    def _tried(self, cycle_id: str, times: int, *, overrun: bool = False) -> dict[str, Any]:
        """Advance; a step that could not be recorded has not happened, and is taken again."""
        try:
            return self._at(cycle_id).advance(cycle_id, overrun=overrun)
        except (AuditUnavailable, DependencyError) as problem:
            self._office.observer(Event(kind="note", cycle_id=cycle_id, what=f"held: {problem}"))
            return held(problem, times + 1)

    def _at(self, cycle_id: str) -> Engine:
        """Return the engine over the office of the cycle's target; this one where all are worked at one."""
        if self._offices is None:
            return self
        target = self._cycle(cycle_id).target
        office = self._offices(target)
        if office is self._office:
            return self
        return self._elsewhere.setdefault(target, Engine(office, self._workflow))

    def advance(self, cycle_id: str, *, overrun: bool = False) -> dict[str, Any]:
        """Run the cycle's present stage once, and move it on; with `overrun` it has made too many steps, and ends."""
        cycle = self._cycle(cycle_id)
        if cycle.stage.terminal:
            ended(self._office.traces, cycle)  # whoever ended it may have died before it told
            return {"stage": cycle.stage.value, "ended": True, "wait_s": 0.0}
        redone = self._redone(cycle)
        if redone is not None:
            return redone
        started = self._office.clock.monotonic()
        cycle, fires = resolved.looked(self._office, cycle)
        if overrun and OVERRUN not in cycle.facts:
            # Part of the state that the step begins with, so that a replay is told of it.
            cycle = cycle.with_fact(OVERRUN, MOST_STEPS)
        self._tell(cycle, "begin", "")
        with self._shelf.step(cycle) as tape:
            desk = Desk(self._office, cycle)
            with step_span(self._office.traces, cycle, tape.mark.steps) as span:
                result = self._stage(desk)
                span.done({"next": result.next.value, "reason": result.reason})
            seconds = self._office.clock.monotonic() - started
            self._move(desk, tape, cycle.stage, result, seconds)
        told = {"stage": cycle.stage.value, "ended": result.next.terminal, "wait_s": result.wait.total_seconds()}
        told |= {"killed": desk.killed, "fires": fires, "patient": desk.patient}
        waits_for = desk.fact(approvals.WAITING_FOR)
        return {**told, "waits_for": waits_for} if waits_for else told

    def _until(self, cycle_id: str, told: Mapping[str, Any]) -> Callable[[], bool]:
        """What wakes a cycle: people who have decided, the kill switch, and the end of the alerts it was opened for."""
        waits_for, fires, office = told.get("waits_for"), told.get("fires"), self._office
        wakes = [self._switch.differs(bool(told.get("killed")))]
        if waits_for:
            wakes.append(approvals.decided(office, str(waits_for)))
        if fires and office.incidents is not None:
            wakes.append(resolved.over(office.incidents, str(fires), cycle_id, office.clock))
        return lambda: any(wake() for wake in wakes)

    def _stage(self, desk: Desk) -> StageResult:
        self._office.gate.reconcile(desk.scope, Actor(role=Role.SUPERVISOR))
        budget.settle_left(desk)
        result = ending(desk) or self._run(desk)
        if result.next is not Stage.LEARN:
            return result
        result = withdrawn(desk, result)
        return approvals.closed(desk, result) if result.next is Stage.LEARN else result

    def _run(self, desk: Desk) -> StageResult:
        stage = desk.cycle.stage
        if desk.cycle.cancel_requested and stage is not Stage.LEARN and not _half_done(desk):
            return desk.finish(OutcomeKind.CANCELLED, "cancelled by a person")
        over = resolved.ended(desk)
        if over is not None:
            return over
        if desk.fact(OVERRUN) is not None and stage not in (Stage.ROLL_BACK, Stage.LEARN):
            said = f"{desk.fact(OVERRUN)} steps were made without an end"
            return self._ended(desk, OutcomeKind.HANDED_OFF, f"{said}: {desk.cycle.reason}")
        try:
            result = pace.in_time(desk, _worked(desk))
        except (CallRefused, NotApproved) as refusal:
            if isinstance(refusal, CallRefused) and refusal.kind == "budget":
                budget.refused(desk, str(refusal))
            return self._ended(desk, OutcomeKind.HANDED_OFF, str(refusal))
        except (BudgetExhausted, ModelAnswerInvalid) as problem:
            if isinstance(problem, BudgetExhausted):
                budget.refused(desk, str(problem))
            return self._ended(desk, OutcomeKind.HANDED_OFF, str(problem))
        except (TapeMissing, TapeForged):
            raise  # of a replay: what it is told is damaged
        except IntegrityError as problem:
            return self._damaged(desk, problem)
        except (DependencyError, InvalidInput) as problem:
            if isinstance(problem, CallFailed) and problem.error == PENDING:
                return self._undecided(desk, problem)
            return self._again(desk, problem)
        if desk.fact(f"failures_{stage.value}"):
            desk.keep(f"failures_{stage.value}", 0)
        return result

    def _undecided(self, desk: Desk, pending: DependencyError) -> StageResult:
        """Come back to what was proposed and waits for a person's word, until the time for one is over."""
        poll = desk.profile.poll
        if desk.since(f"proposed_{pending.dependency}") < poll.approval_timeout:
            desk.patient = True
            return StageResult(next=desk.cycle.stage, reason=pending.problem, wait=poll.approval)
        return self._ended(desk, OutcomeKind.HANDED_OFF, f"nobody decided within {poll.approval_timeout}: {pending}")

    def _again(self, desk: Desk, problem: DependencyError | InvalidInput) -> StageResult:
        stage = desk.cycle.stage
        unknown = isinstance(problem, CallFailed) and problem.unknown
        failures = int(desk.fact(f"failures_{stage.value}", 0)) + 1
        desk.keep(f"failures_{stage.value}", failures)
        if unknown or failures >= ATTEMPTS:
            persisting = persisted(desk, problem, failures)
            if persisting is not None:
                return persisting
            return self._ended(desk, OutcomeKind.HANDED_OFF, f"{stage.value} failed {failures} times: {problem}")
        desk.note(f"{stage.value} failed, attempt {failures} of {ATTEMPTS}: {problem}")
        return StageResult(next=stage, reason=str(problem), wait=PAUSE * 2 ** (failures - 1))

    def _damaged(self, desk: Desk, problem: IntegrityError) -> StageResult:
        """End, for asking again mends nothing; but a person may, so not where that would leave something out."""
        stage = desk.cycle.stage
        failures = int(desk.fact(f"failures_{stage.value}", 0)) + 1
        persisting = persisted(desk, problem, failures)
        if persisting is None:
            return self._ended(desk, OutcomeKind.HANDED_OFF, f"{stage.value}: {problem}")
        desk.keep(f"failures_{stage.value}", failures)
        return persisting

    def _ended(self, desk: Desk, outcome: OutcomeKind, reason: str) -> StageResult:
        """Hand over to a person, by way of `learn`; a model of ours that is live and unwatched is taken back first."""
        if desk.cycle.stage is Stage.LEARN:
            desk.cycle = desk.cycle.model_copy(update={"outcome": desk.cycle.outcome or outcome})
            return StageResult(next=Stage.STOPPED, reason=reason)
        release = pushed(desk) if desk.cycle.stage in (Stage.PROMOTE, Stage.WATCH) else None
        if release is not None and desk.fact("roll_back") is None:
            desk.keep("release", release)
            desk.keep("roll_back", {"revision": release["revision"], "reason": reason[:250]})
            return StageResult(next=Stage.ROLL_BACK, reason=reason)
        return desk.finish(outcome, reason)

    def _move(self, desk: Desk, tape: Tape, before: Stage, result: StageResult, seconds: float) -> None:
        """Keep the tape, then the transition, which carries its hash, then the cycle."""
        timings = {**desk.cycle.timings, before.value: desk.cycle.timings.get(before.value, 0.0) + seconds}
        same = result.next is before
        now = desk.clock.now()
        digest = self._shelf.keep(tape, desk.cycle, result, desk.rules)
        moved = desk.cycle.model_copy(
            update={
                "stage": result.next,
                "updated_at": now,
                "reason": result.reason,
                "timings": timings,
            }
        )
        moved = self._shelf.marked(tape, moved, digest)
        if not same:
            check_transition(before, result.next)
            self._office.audit.append(redo.transition(before, moved, tape.mark.steps))
        self._saved(before, moved, result, seconds)

    def _saved(self, before: Stage, moved: Cycle, result: StageResult, seconds: float = 0.0) -> None:
        """Save the cycle that a step has moved on, and tell of it."""
        self._office.store.save(moved)
        if result.next.terminal:
            ended(self._office.traces, moved)
        what = "wait" if result.next is before else "end"
        self._tell(moved.model_copy(update={"stage": before}), what, result.reason, seconds)

    def _redone(self, cycle: Cycle) -> dict[str, Any] | None:
        """Save the move that a process which died had put on record, and return what its step tells."""
        move = redo.unsaved(self._office.audit, self._office.store, cycle)
        if move is None:
            return None
        self._saved(cycle.stage, *move)
        return {
            "stage": cycle.stage.value,
            "ended": move.result.next.terminal,
            "wait_s": move.result.wait.total_seconds(),
        }

    def _cycle(self, cycle_id: str) -> Cycle:
        cycle = self._office.store.cycle(cycle_id)
        if cycle is None:
            raise InvalidInput("cycle_id", f"{cycle_id} is not a cycle", "See `evercrew cycles list`")
        return cycle

    def _tell(self, cycle: Cycle, what: str, reason: str, seconds: float = 0.0) -> None:
        details = {"reason": reason, "seconds": seconds}
        self._office.observer(
            Event(kind="stage", cycle_id=cycle.id, stage=cycle.stage.value, what=what, details=details)
        )


def _worked(desk: Desk) -> StageResult:
    """Run the stage, unless the kill switch is on, a limit holds it or it waits for people.

    Where the switch is thrown, or a window closes, while the stage works, the door refuses its next effect; a call for
    people makes it wait for them.
    """
    stage = desk.cycle.stage
    halted = safety.halted(desk)
    if halted is not None:
        return halted
    if stage is Stage.LEARN:
        return STAGES[stage](desk)
    pace.note_overdue(desk)
    still = wishes.before(desk) or pace.held(desk) or approvals.pending(desk)
    if still is not None:
        return still
    try:
        return STAGES[stage](desk)
    except CallRefused as refusal:
        if refusal.kind == "escalate":
            return approvals.waiting(desk, refusal)
        held = safety.halted(desk) or pace.held(desk)
        if held is None:
            raise
        return held


def _lane(cycle: Cycle) -> str:
    """Whose turn it is when there are more cycles than room."""
    return lane_of(cycle.environment, cycle.target)


def _half_done(desk: Desk) -> bool:
    """Whether a change of ours is live and not yet judged: then the watch decides, not the wish to stop."""
    if desk.cycle.stage is Stage.PROMOTE:
        return desk.did("promote") or desk.did("apply_tuning")
    return desk.cycle.stage in (Stage.WATCH, Stage.ROLL_BACK) and desk.fact("release") is not None
