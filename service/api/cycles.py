"""Cycles: listing and showing them, asking for one, and steering those that run."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request, Response
from pydantic import AwareDatetime, Field, StringConstraints

from cycles.verify import verify
from domain.access import ApiAction, Caller
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.errors import ConflictError
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, RecordKind
from domain.stage import Stage
from domain.wanted import Wanted
from domain.wish import Wish as Asked
from service.access.guard import may
from service.api.blocking import bounded
from service.api.cycle_files import known, names_of
from service.api.cycle_views import (
    ELSEWHERE,
    CheckView,
    CycleRow,
    CycleView,
    OpenedView,
    PartingView,
    ReplayView,
    VerifiedView,
    runs_none,
    workflow_of,
)
from service.api.etags import NOT_MODIFIED, IfNoneMatch, tagged
from service.api.idempotency import Idempotent
from service.api.paging import Asked as Paged
from service.api.paging import Page
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import CycleId, Remark, Wish, Words, YesNo
from service.opening import ask, wanted
from service.web.events import AfterEvent, LastEvent, event_stream
from service.web.feed import Feed
from service.web.feed_items import FeedItem
from service.web.say_no import cancel as asked_to_end

router = router_of("cycles")
On = Annotated[Serving, Depends(serving)]
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]
RESUMED, OPENING = "resume_asked", "cycle_asked"
Label = Annotated[str, StringConstraints(max_length=200, pattern=r"^[A-Za-z0-9_.:/-]*$")]
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {}}}, "description": "A page, or a stream"}
}


class OpenWish(Wish):
    """A cycle that is wanted: for which signal, why, and within which bounds. Bounds only ever narrow."""

    signal: Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[a-z0-9_]+$")]
    reason: Words
    target: Label = ""
    action: Literal["diagnose", "retrain"] = "diagnose"
    new_subjects: bool = False
    do_not_promote: bool = Field(default=False, description="Nothing of it goes live.")
    only_diagnose: bool = Field(default=False, description="Nothing is changed at all.")


class ReasonWish(Wish):
    """Why."""

    reason: Remark = ""


class ReplayWish(Wish):
    """What is exchanged: the text of a contract.yaml, or of a part of one, with other gates; nothing, to compare."""

    gates: str | None = Field(default=None, max_length=65_536)


def filters(
    open_: Annotated[YesNo | None, Query(alias="open", description="Only open ones, or only ended ones.")] = None,
    target: Label = "",
    environment: Label = "",
    signal: Label = "",
    fingerprint: Annotated[str, Query(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = "",
    stage: Stage | None = None,
    action: Action | None = None,
    outcome: OutcomeKind | None = None,
    since: Annotated[AwareDatetime | None, Query(description="Opened at this time or later.")] = None,
    until: Annotated[AwareDatetime | None, Query(description="Opened before this time.")] = None,
) -> Wanted:
    """Read the filters of a list of cycles; a dependency."""
    return Wanted(
        open=None if open_ is None else open_ == "true",
        target=target,
        environment=environment,
        signal=signal,
        fingerprint=fingerprint,
        stage=stage.value if stage else "",
        action=action.value if action else "",
        outcome=outcome.value if outcome else "",
        since=since,
        until=until,
    )


@router.get("/cycles")
@bounded()
def listed(on: On, caller: Viewer, page: Paged, wanted_: Annotated[Wanted, Depends(filters)]) -> Page[CycleRow]:
    """List cycles, newest first."""
    found = on.app.ports.store.found(wanted_, before=page.after, limit=page.limit + 1)
    shown = found[: page.limit]
    return page.page([CycleRow.of(cycle) for cycle in shown], shown[-1].id if len(found) > len(shown) else "")


@router.post("/cycles", status_code=202)
@bounded()
def open_cycle(
    on: On,
    response: Response,
    caller: Annotated[Caller, Depends(may(ApiAction.OPEN_CYCLE))],
    wish: OpenWish,
    once: Idempotent,
) -> OpenedView:
    """Ask for a cycle. It goes through the inbox as an alert does, and joins the one that is open of its target."""

    def work() -> OpenedView:
        bounds = wish.model_dump(include={"action", "new_subjects", "do_not_promote", "only_diagnose"})
        alert = wanted(
            on.app.routing,
            on.clock,
            Asked(by=caller.person or caller.name, **bounds),
            signal=wish.signal,
            target=wish.target,
            reason=wish.reason,
            key=once.key,
        )
        _note(on, caller, OPENING, "", "", {"fingerprint": alert.fingerprint, "signal": alert.signal, **bounds})
        ask(on.app.inbox, alert)
        place = f"/api/v1/cycles?fingerprint={alert.fingerprint}"
        response.headers["Location"] = place
        return OpenedView(
            accepted=1,
            fingerprint=alert.fingerprint,
            target=alert.target,
            environment=alert.environment,
            signal=alert.signal,
            cycles=place,
        )

    return once(caller, work)


@router.get("/cycles/{cycle_id}", responses=NOT_MODIFIED)
@bounded()
def show(on: On, caller: Viewer, cycle_id: CycleId, response: Response, if_none_match: IfNoneMatch = "") -> CycleView:
    """Show a cycle with all that is known of it."""
    return tagged(response, if_none_match, _whole(on, known(on, cycle_id)))


@router.get("/cycles/{cycle_id}/events", responses=_STREAM, response_model=Page[FeedItem])
async def events(
    request: Request,
    on: On,
    caller: Viewer,
    cycle_id: CycleId,
    page: Paged,
    stream: Annotated[YesNo, Query(description="Go on telling what happens, as server-sent events.")] = "false",
    after: AfterEvent = None,
    last_event_id: LastEvent = "",
) -> Any:
    """List what happened in a cycle, oldest first; or tell it as it happens."""
    cycle = await bounded()(known)(on, cycle_id)
    if stream == "true":
        return await event_stream(request, cycle.id, after=after, last_event_id=last_event_id)
    return await bounded()(_events)(on, cycle.id, page, after or 0)


@router.post("/cycles/{cycle_id}/cancel", status_code=202)
@bounded()
def cancel(
    on: On,
    caller: Annotated[Caller, Depends(may(ApiAction.CANCEL_CYCLE))],
    cycle_id: CycleId,
    once: Idempotent,
    wish: ReasonWish | None = None,
) -> CycleRow:
    """Ask a cycle to end at its next step; a change that is live and unjudged is judged first."""

    def work() -> CycleRow:
        cycle = _open(on, cycle_id)
        asked_to_end(on, caller, cycle, (wish or ReasonWish()).reason)
        return CycleRow.of(known(on, cycle_id))

    return once(caller, work)


@router.post("/cycles/{cycle_id}/resume", status_code=202)
@bounded(timedelta(minutes=1))
def resume(
    on: On,
    caller: Annotated[Caller, Depends(may(ApiAction.RESUME_CYCLE))],
    cycle_id: CycleId,
    once: Idempotent,
    wish: ReasonWish | None = None,
) -> CycleRow:
    """Go on with a cycle that was interrupted; what waits for people goes on waiting."""

    def work() -> CycleRow:
        cycle, engine = _open(on, cycle_id), on.app.engine
        stands = workflow_of(on, cycle.id)
        if stands == ELSEWHERE:
            raise runs_none(cycle)
        _note(on, caller, RESUMED, cycle.id, cycle.stage.value, {"reason": (wish or ReasonWish()).reason.strip()})
        if stands == "absent":
            engine.start(cycle.id)
        else:
            engine.resume(cycle.id)
        return CycleRow.of(known(on, cycle_id))

    return once(caller, work)


@router.get("/cycles/{cycle_id}/verify")
@bounded(timedelta(minutes=1))
def verified(on: On, caller: Viewer, cycle_id: CycleId) -> VerifiedView:
    """Prove a cycle: chain, artifacts, data, model, git and what is live. What cannot be checked is not ok."""
    cycle = known(on, cycle_id)
    checks = [CheckView(**check.model_dump()) for check in verify(cycle.id, on.app.at(cycle.target).evidence())]
    return VerifiedView(cycle_id=cycle.id, verified=all(check.ok for check in checks), checks=checks)


@router.post("/cycles/{cycle_id}/replay")
@bounded(timedelta(minutes=2))
def replay(
    on: On,
    caller: Annotated[Caller, Depends(may(ApiAction.REPLAY_CYCLE))],
    cycle_id: CycleId,
    once: Idempotent,
    wish: ReplayWish | None = None,
) -> ReplayView:
    """Run a cycle once more on its record, without network, and say where the decisions part; nothing is changed."""

    def work() -> ReplayView:
        from service.replaying import Other
        from service.replays import replay_of

        cycle = known(on, cycle_id)
        other = Other(gates=wish.gates if wish is not None else None)
        found = replay_of(on.app.ports.store, on.app.audit, cycle.id, other)
        return ReplayView(
            cycle_id=cycle.id,
            same=found.same,
            decisions=len(found.recorded),
            partings=[PartingView(**vars(parting)) for parting in found.partings],
            notes=list(found.notes),
            beyond=str(found.beyond),
        )

    return once(caller, work)


def _open(on: Serving, cycle_id: str) -> Cycle:
    cycle = known(on, cycle_id)
    if cycle.stage.terminal:
        raise ConflictError(f"{cycle.id} has ended: {cycle.outcome.value if cycle.outcome else cycle.stage.value}")
    return cycle


def _whole(on: Serving, cycle: Cycle) -> CycleView:
    return CycleView.whole(
        cycle,
        workflow=workflow_of(on, cycle.id),
        records=len(on.app.audit.records(cycle.id)),
        artifacts=names_of(on, cycle.id),
    )


def _events(on: Serving, cycle_id: str, page: Paged, after: int) -> Page[FeedItem]:
    found = Feed(on.app.audit).after(max(page.number(), after), cycle_id, page.limit + 1)
    shown = found[: page.limit]
    return page.page(shown, str(shown[-1].sequence) if len(found) > len(shown) else "")


def _note(on: Serving, caller: Caller, status: str, cycle_id: str, stage: str, body: dict[str, Any]) -> None:
    entry = AuditEntry(
        kind=RecordKind.NOTE, cycle_id=cycle_id, stage=stage, actor=caller.name, status=status, body=body
    )
    on.app.audit.append(entry)
