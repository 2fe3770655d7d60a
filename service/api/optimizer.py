"""The optimizer as a whole: stopping and starting it, going back to an earlier version, and its quality gates."""

from __future__ import annotations

from concurrent.futures import TimeoutError as NotYet
from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response
from pydantic import Field, StringConstraints

from cycles.restore import OperatorRestore, Restored
from cycles.switches import Switchboard
from domain.access import ApiAction, Caller
from domain.cycle import Cycle
from domain.errors import InvalidInput
from service.access.guard import may
from service.api.background import Background
from service.api.blocking import bounded
from service.api.flags import KillView, RowView, kill_view
from service.api.idempotency import Idempotent
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Environment, Remark, Reply, Where, Wish
from service.choice import chosen
from service.cli_rollback import restorer_of
from service.switching import switched

router = router_of("optimizer")
On = Annotated[Serving, Depends(serving)]
PATIENCE = timedelta(seconds=12)
"""How long a client waits for a rollback; then it goes on, and the cycle tells how."""

_OVER_HTTP = "no reason was given (over the REST API)"
Version = Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[A-Za-z0-9][A-Za-z0-9_./:+-]*$")]
Target = Annotated[
    str,
    StringConstraints(max_length=120, pattern=r"^[A-Za-z0-9_.-]*$"),
    Field(description="Which target; by default the first."),
]
Part = Annotated[str, StringConstraints(max_length=80, pattern=r"^[a-z0-9_]*$")]


class SwitchWish(Wish):
    """What is to be stopped or started: everything, the effects of one role (`agent`), or one tool."""

    environment: Where = "all"
    agent: Part = ""
    tool: Part = ""
    reason: Remark = ""


class SwitchView(Reply):
    """The switch as it is set now, and how this environment stands with it."""

    switch: RowView
    still_on: list[str] = Field(description="What keeps this environment stopped although a switch was lifted.")
    status: KillView


class StatusView(Reply):
    """How the optimizer stands: whether it is stopped, what it works on, and what waits."""

    environment: str
    target: str = Field(description="The target; where there are several, all of them, joined by a comma.")
    stopped: bool
    because: list[str]
    open_cycles: list[str]
    approvals_waiting: int
    alerts_waiting: int
    policy_hash: str
    policy_problem: str
    model: str


class RollbackWish(Wish):
    """Where to go back to: gold, a baseline like gold/2026-01-31-1, a version like v2, a revision, or a date (UTC)."""

    environment: Environment
    to_version: Version
    target: Target = ""
    reason: Remark = ""
    take_over: bool = Field(default=False, description="Also while a cycle works on the target: it is asked to end.")


class RollbackView(Reply):
    """A rollback: done, or going on; the cycle tells the rest."""

    state: Literal["done", "running"]
    cycle_id: str | None = Field(description="Not known yet, where it waits for its turn.")
    asked: str
    to_revision: str
    digest: str
    commit: str | None = None
    notes: list[str] = Field(default_factory=list)


class StepView(Reply):
    """One step of a rehearsal, and how it went."""

    name: str
    ok: bool
    detail: str


class PreviewView(Reply):
    """Where a rollback would lead to, what it would change, and its rehearsal; nothing was changed."""

    asked: str
    to_revision: str
    digest: str
    baseline: str | None
    diff: str
    steps: list[StepView]


@router.get("/optimizer/status")
@bounded()
def status(on: On, caller: Annotated[Caller, Depends(may(ApiAction.VIEW))]) -> StatusView:
    """Show whether the optimizer is stopped, what it works on, and what waits for people or for its turn."""
    app = on.app
    stands = kill_view(on)
    waiting = app.office.consent.store.requests(waiting_at=app.clock.now(), limit=1000)
    return StatusView(
        environment=app.profile.name,
        target=", ".join(app.targets),
        stopped=stands.killed,
        because=stands.because,
        open_cycles=[cycle.id for cycle in app.ports.store.cycles(open_only=True, limit=1000)],
        approvals_waiting=len(waiting),
        alerts_waiting=app.inbox.counts().waiting,
        policy_hash=app.policies.policy_hash,
        policy_problem=app.policies.problem,
        model=app.model,
    )


@router.post("/optimizer/stop")
@bounded()
def stop(
    on: On, caller: Annotated[Caller, Depends(may(ApiAction.STOP))], once: Idempotent, wish: SwitchWish | None = None
) -> SwitchView:
    """Throw the kill switch: the very next effect is refused, and what is half done is brought to a safe state."""
    return once(caller, lambda: _switched(on, caller, wish or SwitchWish(), thrown=True))


@router.post("/optimizer/start")
@bounded()
def start(
    on: On, caller: Annotated[Caller, Depends(may(ApiAction.START))], once: Idempotent, wish: SwitchWish | None = None
) -> SwitchView:
    """Lift the kill switch; `still_on` says when another one keeps this environment stopped."""
    return once(caller, lambda: _switched(on, caller, wish or SwitchWish(), thrown=False))


@router.get("/optimizer/rollback/preview")
@bounded(timedelta(minutes=2))
def preview(
    on: On,
    caller: Annotated[Caller, Depends(may(ApiAction.ROLLBACK))],
    to_version: Annotated[Version, Query(description="As of a rollback.")],
    target: Target = "",
) -> PreviewView:
    """Show where a rollback would lead to and what it would change, and rehearse it; nothing is changed."""
    restorer = restorer_of(chosen(on.app, target))
    destination = restorer.resolve(to_version)
    return PreviewView(
        asked=destination.asked,
        to_revision=destination.revision,
        digest=destination.digest,
        baseline=destination.baseline.name if destination.baseline else None,
        diff=restorer.diff(destination),
        steps=[StepView(**step.model_dump()) for step in restorer.rehearse(destination)],
    )


@router.post("/optimizer/rollback", responses={202: {"model": RollbackView, "description": "It goes on"}})
@bounded()
def roll_back(
    on: On,
    request: Request,
    response: Response,
    caller: Annotated[Caller, Depends(may(ApiAction.ROLLBACK))],
    wish: RollbackWish,
    once: Idempotent,
) -> RollbackView:
    """Restore the values as they stood then, through the door, and wait until the platform reports them live.

    What takes longer than a client waits is answered with 202; the cycle at `Location` tells how it goes on.
    """

    def work() -> RollbackView:
        _here(on, wish.environment)
        found = _Rollback(on, caller, wish)
        return found.run(request.app.state.background, response)

    return once(caller, work)


class _Rollback:
    """One rollback, in a thread of its own."""

    def __init__(self, on: Serving, caller: Caller, wish: RollbackWish) -> None:
        self._on = on
        self._wish = wish
        self._person = caller.person or caller.name
        self._app = chosen(on.app, wish.target)
        self._destination = restorer_of(self._app).resolve(wish.to_version)
        self._cycle = ""

    def run(self, background: Background, response: Response) -> RollbackView:
        """Return how far it came."""
        told = background.begin(self._restored)
        try:
            done = told.result(PATIENCE.total_seconds())
        except NotYet:
            if told.done():
                raise
            response.status_code = 202
            response.headers["Location"] = f"/api/v1/cycles/{self._cycle}" if self._cycle else "/api/v1/cycles"
            return self._view("running")
        return self._view("done", done)

    def _restored(self) -> Restored:
        config = self._app.config
        hand = OperatorRestore(
            self._app.office,
            person=self._person,
            target=config.target,
            environment=config.environment,
            begun=self._noted,
        )
        reason = self._wish.reason.strip() or _OVER_HTTP
        return hand.run(self._destination, reason, take_over=self._wish.take_over)

    def _noted(self, cycle: Cycle) -> None:
        self._cycle = cycle.id

    def _view(self, state: Literal["done", "running"], done: Restored | None = None) -> RollbackView:
        return RollbackView(
            state=state,
            cycle_id=done.cycle_id if done else self._cycle or None,
            asked=self._destination.asked,
            to_revision=self._destination.revision,
            digest=self._destination.digest,
            commit=done.released.revision if done else None,
            notes=list(done.notes) if done else [],
        )


def _switched(on: Serving, caller: Caller, wish: SwitchWish, *, thrown: bool) -> SwitchView:
    app = on.app
    done = switched(
        Switchboard(app.ports.store, app.audit, app.clock),
        app.ports.store,
        app.profile,
        thrown,
        by=caller.name,
        reason=wish.reason.strip() or _OVER_HTTP,
        environment=wish.environment,
        agent=wish.agent,
        tool=wish.tool,
    )
    return SwitchView(switch=RowView.of(done.switch), still_on=list(done.still_on), status=kill_view(on))


def _here(on: Serving, environment: str) -> None:
    here = on.app.config.environment
    if environment != here:
        raise InvalidInput("environment", f"this service is of {here}, not of {environment}", "Ask that one's service")
