"""What waits for people: the requests, what they are decided by, and a person's word."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response
from pydantic import Field, StringConstraints

from cycles.dossier import Dossier, usd_of
from domain.access import ApiAction, Caller
from domain.approval import ApprovalRequest, ApprovalState, VoteAnswer
from domain.errors import ConflictError
from service.access.guard import may
from service.api.blocking import bounded
from service.api.etags import NOT_MODIFIED, IfNoneMatch, tagged
from service.api.idempotency import Idempotent
from service.api.paging import Asked, Page
from service.api.problems import Problem, not_found
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Remark, Reply, Wish, YesNo
from service.approval_facts import ApprovalRow
from service.choice import dossier_of

router = router_of("approvals")
On = Annotated[Serving, Depends(serving)]
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]
ApprovalId = Annotated[str, StringConstraints(pattern=r"^ap_[0-9a-f]{24}$")]
Seen = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
CycleFilter = Annotated[str, Query(max_length=32, pattern=r"^[a-z0-9_]*$", description="Only those of this cycle.")]
MOST = 10_000


class JudgedView(Reply):
    """A verdict with the figures it rests on, and the artifact it stands in."""

    artifact: str
    name: str
    verdict: str
    reason: str
    figures: dict[str, Any]


class PriceView(Reply):
    """What the call costs at most."""

    usd: float
    gpu_seconds: int
    tokens: int


class ApprovalView(ApprovalRow):
    """A request with all that bears on it. A vote names `seen`, so that it is about the change that was shown."""

    diff: str = Field(description="The change as it would be made now.")
    seen: str = Field(description="SHA-256 of the change; a vote names it.")
    signal: str
    diagnosis: str
    judged: list[JudgedView]
    similar: list[str]
    price: PriceView
    spent_usd: float
    spent_tokens: int
    missing: list[str] = Field(description="What could not be had; deciding without it is another decision.")

    @classmethod
    def of_dossier(cls, found: Dossier) -> ApprovalView:
        """Return a dossier as it is sent."""
        return cls.of_request(
            found.request,
            found.at,
            found.counting,
            diff=found.diff,
            seen=found.seen,
            signal=found.signal,
            diagnosis=found.diagnosis,
            judged=[JudgedView(**{**each.model_dump(), "figures": dict(each.figures)}) for each in found.judged],
            similar=list(found.similar),
            price=PriceView(usd=usd_of(found.price), gpu_seconds=found.price.gpu_seconds, tokens=found.price.tokens),
            spent_usd=found.spent_usd,
            spent_tokens=found.spent_tokens,
            missing=list(found.missing),
        )


class VoteWish(Wish):
    """A person's word on the change whose SHA-256 is `seen`; a denial says why."""

    answer: Literal["approve", "deny"]
    seen: Seen
    reason: Remark = ""


@router.get("/approvals")
@bounded()
def listed(
    on: On,
    caller: Viewer,
    page: Asked,
    everything: Annotated[YesNo, Query(alias="all", description="Also what is decided, used or over.")] = "false",
    cycle: CycleFilter = "",
) -> Page[ApprovalRow]:
    """List what waits for people, newest first."""
    now = on.clock.now()
    at = None if everything == "true" else now
    found = on.app.office.consent.store.requests(cycle_id=cycle, waiting_at=at, limit=MOST)
    return page.of([ApprovalRow.of_request(request, now) for request in found], lambda row: row.id)


@router.get("/approvals/{identity}", responses=NOT_MODIFIED)
@bounded()
def show(
    on: On, caller: Viewer, identity: ApprovalId, response: Response, if_none_match: IfNoneMatch = ""
) -> ApprovalView:
    """Show the change that will be made, the evidence, the price, and who has said what."""
    request = _known(on, identity)
    found = dossier_of(on.app, request)
    return tagged(response, if_none_match, ApprovalView.of_dossier(found))


@router.post("/approvals/{identity}/votes")
@bounded()
def vote(
    on: On,
    caller: Annotated[Caller, Depends(may(ApiAction.VOTE))],
    identity: ApprovalId,
    wish: VoteWish,
    once: Idempotent,
) -> ApprovalRow:
    """Allow exactly this call, once, or refuse it. Machines, and whoever proposed it, have no vote."""

    def work() -> ApprovalRow:
        request = _known(on, identity)
        office = on.app.office
        state = request.state(on.clock.now())
        if state not in (ApprovalState.WAITING, ApprovalState.GRANTED):
            raise ConflictError(f"{request.id} is {state.value}: it cannot be voted on any more")
        if wish.seen != dossier_of(on.app, request).seen:
            raise _other_change(request)
        after = office.consent.ballots.vote(
            request.id,
            caller.person or caller.name,
            VoteAnswer(wish.answer),
            wish.reason.strip(),
            seen=wish.seen,
            caller=caller,
        )
        return ApprovalRow.of_request(after, on.clock.now())

    return once(caller, work)


def _known(on: Serving, identity: str) -> ApprovalRequest:
    found = on.app.office.consent.store.request(identity)
    if found is None:
        raise not_found("a request for approval", identity, "See GET /api/v1/approvals?all=true")
    return found


def _other_change(request: ApprovalRequest) -> Problem:
    return Problem(
        409,
        "The change is another one now",
        f"what {request.id} would change is not what you were shown",
        field="seen",
        remedy=f"Look at GET /api/v1/approvals/{request.id} again, and vote on what it shows",
        type="changed",
    )
