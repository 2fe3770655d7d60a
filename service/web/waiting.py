"""What waits for people, and for whom: the requests that somebody may decide now, and those of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from domain.access import ApiAction
from domain.approval import ApprovalRequest
from domain.people import same
from service.web.asked import call_said

if TYPE_CHECKING:
    from domain.access import Caller
    from service.api.serving import Serving

MOST = 200


@dataclass(frozen=True)
class Waiting:
    """One request: `mine` says that the caller may decide it, else `why_not` says why not."""

    request: ApprovalRequest
    mine: bool
    why_not: str

    @property
    def id(self) -> str:
        return self.request.id

    @property
    def said(self) -> str:
        """What it asks for."""
        return call_said(self.request.binding.tool, self.request.args)

    @property
    def have(self) -> str:
        """How many have decided of how many that have to."""
        quorum = self.request.binding.quorum
        return f"{len(self.request.approving)} of {quorum.need} ({', '.join(quorum.of)})"


def waiting_for(serving: Serving, caller: Caller, *, cycle_id: str = "", limit: int = MOST) -> list[Waiting]:
    """Return what waits for people, what the caller may decide first, soonest to expire first.

    Raises:
        DependencyError: the store does not answer.
    """
    app = serving.app
    now = app.clock.now()
    found = app.office.consent.store.requests(cycle_id=cycle_id, waiting_at=now, limit=limit)
    judged = [judge(serving, caller, request, now) for request in found]
    return sorted(judged, key=lambda w: (not w.mine, w.request.expires_at))


def judge(serving: Serving, caller: Caller, request: ApprovalRequest, now: datetime) -> Waiting:
    """Return whether the caller may decide a request, and why not; the ballot itself has the last word."""
    why_not = _why_not(serving, caller, request)
    return Waiting(request, not why_not and now < request.expires_at, why_not)


def mine(waiting: Sequence[Waiting]) -> int:
    """Return how many wait for the caller."""
    return sum(1 for one in waiting if one.mine)


def _why_not(serving: Serving, caller: Caller, request: ApprovalRequest) -> str:
    if caller.person is None:
        return "a machine does not vote"
    if not serving.access.allowed(caller, ApiAction.VOTE).allowed:
        return "your roles do not vote"
    if request.proposed_by(caller.person):
        return "you proposed it: somebody else has to decide"
    able = {same(person.name) for person in serving.app.office.consent.ballots.able(request.binding.quorum)}
    if same(caller.person) not in able:
        return f"it takes {request.binding.quorum}"
    if any(same(vote.person) == same(caller.person) for vote in request.votes):
        return "you have voted; others have to as well"
    return ""
