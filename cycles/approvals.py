"""Waiting for people: whichever stage asked, its cycle waits durably for their answer and goes on, or ends, with it.

What is waited for is a fact of the cycle and a row in the store; nothing is held in memory, so that a process may die
and another finds the wait as it was left. While it waits the stage is not run again, and the door is not asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict

from adapters.retrieval.base import Passage
from adapters.store.base import Recording, StorePort
from cycles.desk import CallFailed, CallRefused, Desk, Office
from domain.actor import Role
from domain.approval import ApprovalRequest, ApprovalState
from domain.clock import Clock
from domain.errors import DependencyError, DependencyUnavailable, EvercrewError
from domain.stage import StageResult
from domain.wish import SOURCE
from tools.notify.send import Notified, NotifyArgs
from tools.records import call_place

# The fact that says what is waited for, and the one that says what people were told of.
WAITING_FOR = "waiting_for"
ASKED = "asked"
# Under this place a cycle that a person opened by hand keeps who it was; under that source an alert says so itself.
OPENED_BY = "opened_by"
OPERATOR = SOURCE
# A sleep lasts so many looks of the profile: whoever decides wakes it, so that waiting for days costs few steps.
LOOKS = 60
BREATH = timedelta(seconds=1)
_OPEN = (ApprovalState.WAITING, ApprovalState.GRANTED)


class NotApproved(EvercrewError):
    """People said no, or nothing, in time."""


class Standing(BaseModel):
    """How a request stands, as a stage needs to know it."""

    model_config = ConfigDict(frozen=True)

    id: str
    tool: str
    state: ApprovalState
    have: int
    need: int
    of: str
    left_s: float
    ended: str = ""

    @classmethod
    def of_request(cls, request: ApprovalRequest, clock: Clock) -> Standing:
        """Return how it stands now."""
        quorum, denial = request.binding.quorum, request.denial
        now = clock.now()
        return cls(
            id=request.id,
            tool=request.binding.tool,
            state=request.state(now),
            left_s=max((request.expires_at - now).total_seconds(), 0.0),
            have=len(request.approving),
            need=quorum.need,
            of=str(quorum),
            ended=f"denied by {denial.person}: {denial.reason}" if denial else request.withdrawn,
        )


def waiting(desk: Desk, refusal: CallRefused) -> StageResult:
    """Wait for the people a refused call was put before; they are told once.

    Raises:
        NotApproved: they have said no, or their time is over.
        DependencyUnavailable: the call could not be put before anybody.
    """
    standing = desk.told("approval of a call", lambda: _of_call(desk, refusal), Standing | None)
    if standing is None:
        raise DependencyUnavailable("approvals", f"nobody could be asked: {refusal}")
    _decided(desk, standing)
    if standing.state is ApprovalState.GRANTED:
        # Given in this moment, or by votes that do not count: it is asked for again, a little later.
        return _wait(desk, standing, desk.profile.poll.approval)
    desk.keep(WAITING_FOR, standing.id)
    if desk.fact(ASKED) != standing.id:
        _tell(desk, standing, str(refusal))
        desk.keep(ASKED, standing.id)
    return _wait(desk, standing, LOOKS * desk.profile.poll.approval)


def pending(desk: Desk) -> StageResult | None:
    """Return how to go on waiting, or None when there is nothing to wait for (any more).

    Raises:
        NotApproved: people have said no, or their time is over.
    """
    identity = desk.fact(WAITING_FOR)
    if not identity:
        return None
    standing = desk.told("approval", lambda: _standing(desk, str(identity)), Standing | None)
    if standing is not None and standing.state is ApprovalState.WAITING:
        return _wait(desk, standing, LOOKS * desk.profile.poll.approval)
    desk.keep(WAITING_FOR, "")
    if standing is not None:
        _decided(desk, standing)
    return None


def closed(desk: Desk, result: StageResult) -> StageResult:
    """Withdraw what still waits for people when its cycle ends: nobody is to decide what nobody will do.

    What cannot be withdrawn opens nothing either, for its cycle is over.
    """
    store = desk.office.consent.store
    if desk.fact(WAITING_FOR):
        desk.keep(WAITING_FOR, "")
    try:
        for request in store.requests(cycle_id=desk.cycle.id):
            if request.state(desk.office.clock.now()) in _OPEN:
                store.withdraw(request.id, f"the cycle ended: {result.reason}"[:500])
    except DependencyError as problem:
        desk.note(f"what waited for people could not be withdrawn: {problem}")
    return result


def decided(office: Office, identity: str) -> Callable[[], bool]:
    """Return what says whether a request is not waited for any more; a sleeping cycle wakes by it.

    It is decided, over, or its cycle is called off. The store is asked once a second at most, however often this is.
    """
    looked: list[float] = []

    def is_decided() -> bool:
        now = office.clock.monotonic()
        if looked and now - looked[-1] < BREATH.total_seconds():
            return False
        looked[:] = [now]
        request = office.consent.store.request(identity)
        if request is None or request.state(office.clock.now()) is not ApprovalState.WAITING:
            return True
        cycle = office.store.cycle(request.binding.cycle_id)
        return cycle is None or cycle.cancel_requested

    return is_decided


def approvers(desk: Desk) -> Sequence[str]:
    """Return whose approvals the effects of the cycle used, by the chain."""
    used = (r.entry.body.get("approval") for r in desk.records())
    return sorted({str(name) for approval in used if isinstance(approval, dict) for name in approval["by"]})


def opened_by(store: StorePort) -> Callable[[str], tuple[str, ...]]:
    """Return what names the people who opened a cycle by hand.

    What an alert says of itself is believed where Evercrew wrote the alert, and nowhere else.
    """

    def people(cycle_id: str) -> tuple[str, ...]:
        cycle = store.cycle(cycle_id)
        noted = [str(r.payload["by"]) for r in store.recordings(cycle_id, OPENED_BY)]
        if cycle is not None and cycle.alert.source == OPERATOR:
            noted.append(cycle.alert.annotations.get("by", ""))
        return tuple(name for name in noted if name)

    return people


def note_opened(store: StorePort, cycle_id: str, by: str) -> None:
    """Keep who opened a cycle by hand: whoever wanted it does not approve it."""
    store.record(Recording(cycle_id=cycle_id, place=f"{OPENED_BY}/{by}", kind="person", payload={"by": by}))


# -- helpers ----------------------------------------------------------------------------------------------------------


def _standing(desk: Desk, identity: str) -> Standing | None:
    request = desk.office.consent.store.request(identity)
    return None if request is None else Standing.of_request(request, desk.office.clock)


def _of_call(desk: Desk, refusal: CallRefused) -> Standing | None:
    """Return how the newest request for exactly this call stands: another policy set has made another one."""
    for request in desk.office.consent.store.requests(cycle_id=desk.cycle.id):
        bound = request.binding
        if call_place(bound.stage, bound.tool, bound.args_hash) == refusal.call:
            return Standing.of_request(request, desk.office.clock)
    return None


def _decided(desk: Desk, standing: Standing) -> None:
    match standing.state:
        case ApprovalState.DENIED:
            _remember(desk, standing)
            raise NotApproved(f"{standing.tool} was {standing.ended}")
        case ApprovalState.EXPIRED:
            raise NotApproved(f"nobody approved {standing.tool} within {desk.profile.poll.approval_timeout}")
        case ApprovalState.WITHDRAWN:
            raise NotApproved(f"{standing.tool} waits for nobody any more: {standing.ended}")
        case _:
            return


def _wait(desk: Desk, standing: Standing, longest: timedelta) -> StageResult:
    said = f"{standing.id} has {standing.have} of {standing.need} approvals for {standing.tool} ({standing.of})"
    left = timedelta(seconds=standing.left_s)
    return StageResult(next=desk.cycle.stage, reason=said, wait=max(min(longest, left), timedelta(milliseconds=1)))


def _tell(desk: Desk, standing: Standing, why: str) -> None:
    body = f"{why}\nLook at it with `evercrew approvals show {standing.id}`, then approve or deny it."
    title = f"{desk.cycle.id}: {standing.tool} needs an approval ({standing.of})"
    message = NotifyArgs(title=title[:200], body=body[:4000], severity="warning")
    try:
        desk.do("notify", message, Role.DEVOPS_ENGINEER, Notified, place=standing.id)
    except (CallRefused, CallFailed) as problem:
        desk.note(f"people could not be told of {standing.id}: {problem}")


def _remember(desk: Desk, standing: Standing) -> None:
    action = desk.cycle.action.value if desk.cycle.action else "none"
    signal = desk.cycle.alert.signal
    passage = Passage(
        id=f"denial/{standing.id}",
        text=f"{signal} on {desk.cycle.target}: {action}: {standing.tool} was {standing.ended}",
        facts={"action": action, "outcome": "denied", "signal": signal},
    )
    desk.attempt("remember", lambda: desk.office.retrieval.add(passage))
