"""What is cared for: the targets, their signals and limits, and how they are now."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import Depends, Response
from pydantic import Field, StringConstraints

from domain.access import ApiAction, Caller
from domain.candidate import LiveState
from domain.errors import EvercrewError
from domain.measurement import Measurement
from domain.wanted import Wanted
from policies.contract import Limit, Signal
from service.access.guard import may
from service.api.blocking import bounded
from service.api.etags import NOT_MODIFIED, IfNoneMatch, tagged
from service.api.problems import not_found
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Reply
from service.wiring import App

router = router_of("targets")
On = Annotated[Serving, Depends(serving)]
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]
TargetName = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]


class TargetRow(Reply):
    """A target of this service, and the cycle that works on it."""

    name: str
    environment: str
    open_cycle: str | None
    last_cycle: str | None


class TargetsView(Reply):
    """The targets."""

    targets: list[TargetRow]


class LimitView(Reply):
    """How far a signal may go: in its unit, or by a share of its baseline in the bad direction."""

    kind: Literal["absolute", "relative_to_baseline"]
    threshold: float

    @classmethod
    def of(cls, limit: Limit) -> LimitView:
        """Return a limit as it is sent."""
        return cls(**limit.model_dump())


class SignalRow(Reply):
    """A row of the contract."""

    name: str
    trigger: str
    unit: str
    bad_direction: Literal["down", "up"]
    limits: list[LimitView]
    actions: list[str]
    gates: list[str]
    needs_approval: bool
    reaction_s: float
    measured: bool = Field(description="Whether there is a query for it here.")


class LiveView(Reply):
    """What the platform says it serves; `problem` says why that is not known."""

    digest: str | None
    revision: str | None
    problem: str | None


class TargetView(TargetRow):
    """A target with its signals, and what is live."""

    signals: list[SignalRow]
    live: LiveView


class MeasuredView(Reply):
    """A number with its doubt; null where nothing was measured."""

    value: float | None
    unit: str
    n: int
    stderr: float | None

    @classmethod
    def of(cls, found: Measurement) -> MeasuredView:
        """Return a measurement as it is sent: what is not finite is no number."""
        usable = found.usable
        return cls(
            value=found.value if usable else None,
            unit=found.unit,
            n=found.n,
            stderr=found.stderr if usable and found.stderr is not None else None,
        )


class ReadingView(Reply):
    """A signal now and at its baseline; `breached` is null where it cannot be told, and `reason` says why."""

    name: str
    current: MeasuredView | None
    baseline: MeasuredView | None
    relative_delta: float | None
    breached: bool | None
    reason: str


class HealthView(Reply):
    """How a target is, signal by signal."""

    target: str
    breached: list[str]
    signals: list[ReadingView]


@router.get("/targets", responses=NOT_MODIFIED)
@bounded()
def listed(on: On, caller: Viewer, response: Response, if_none_match: IfNoneMatch = "") -> TargetsView:
    """List what is cared for."""
    rows = [_row(on, name) for name in on.app.routing.targets]
    return tagged(response, if_none_match, TargetsView(targets=rows))


@router.get("/targets/{name}", responses=NOT_MODIFIED)
@bounded()
def show(on: On, caller: Viewer, name: TargetName, response: Response, if_none_match: IfNoneMatch = "") -> TargetView:
    """Show a target: the rows of its contract, and what is live."""
    _known(on, name)
    app = on.app.at(name)
    catalog = app.reader.catalog
    rows = [_signal(key, row, measured=key in catalog) for key, row in app.contract.signals.items()]
    view = TargetView(**_row(on, name).model_dump(), signals=rows, live=_live(app))
    return tagged(response, if_none_match, view)


@router.get("/targets/{name}/health")
@bounded(timedelta(minutes=1))
def health(on: On, caller: Viewer, name: TargetName) -> HealthView:
    """Measure every signal of a target now, against its baseline and limits. What cannot be measured says why."""
    _known(on, name)
    app = on.app.at(name)
    signals = [_reading(app, signal) for signal in app.reader.catalog if signal in app.contract.signals]
    return HealthView(target=name, breached=[each.name for each in signals if each.breached], signals=signals)


def _known(on: Serving, name: str) -> None:
    if name not in on.app.routing.targets:
        raise not_found("a target", name, f"Use one of: {', '.join(on.app.routing.targets)}", field="name")


def _row(on: Serving, name: str) -> TargetRow:
    store, environment = on.app.ports.store, on.app.routing.environment
    mine = store.found(Wanted(target=name, environment=environment), limit=1)
    working = store.found(Wanted(target=name, environment=environment, open=True), limit=1)
    return TargetRow(
        name=name,
        environment=environment,
        open_cycle=working[0].id if working else None,
        last_cycle=mine[0].id if mine else None,
    )


def _signal(name: str, row: Signal, *, measured: bool) -> SignalRow:
    return SignalRow(
        name=name,
        trigger=row.trigger,
        unit=row.unit,
        bad_direction=row.bad_direction,
        limits=[LimitView.of(limit) for limit in row.limits],
        actions=list(row.actions),
        gates=list(row.gates),
        needs_approval=row.needs_approval,
        reaction_s=row.reaction.total_seconds(),
        measured=measured,
    )


def _live(app: App) -> LiveView:
    try:
        found: LiveState = app.ports.delivery.live()
    except EvercrewError as problem:
        return LiveView(digest=None, revision=None, problem=str(problem))
    return LiveView(digest=found.digest or None, revision=found.revision or None, problem=None)


def _reading(app: App, name: str) -> ReadingView:
    try:
        found = app.reader.reading(name, app.clock.now())
    except EvercrewError as problem:
        return ReadingView(
            name=name, current=None, baseline=None, relative_delta=None, breached=None, reason=str(problem)
        )
    return ReadingView(
        name=name,
        current=MeasuredView.of(found.current),
        baseline=MeasuredView.of(found.baseline),
        relative_delta=found.relative_delta,
        breached=found.breached,
        reason=found.reason,
    )
