"""Saying no, by whoever may: through the ballot and the switchboard, so that it is on record before it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cycles.switches import Switchboard
from domain.approval import ApprovalRequest, VoteAnswer
from domain.canonical import sha256_text
from domain.errors import EvercrewError, InvalidInput
from domain.receipt import AuditEntry, RecordKind
from policies.flags import KILL_SWITCH

if TYPE_CHECKING:
    from adapters.store.base import FlagRow
    from domain.access import Caller
    from domain.cycle import Cycle
    from service.api.serving import Serving

CANCEL_ASKED = "cancel_requested"


def vote(
    serving: Serving, caller: Caller, cycle: Cycle, approval: str, answer: VoteAnswer, reason: str
) -> ApprovalRequest:
    """Give the caller's word on a request of the cycle.

    Raises:
        InvalidInput: the request is none of this cycle, or the caller may not decide it, or no reason was given.
        ConflictError: it is decided already.
        DependencyError: it could not be put on record; it does not count.
    """
    office = serving.app.office
    request = office.consent.store.request(approval)
    if request is None or request.binding.cycle_id != cycle.id:
        raise InvalidInput("approval", f"{approval[:60]} is no request of {cycle.id}", "Load the page again")
    if caller.person is None:
        raise InvalidInput("as", f"{caller.name} is a machine, and a machine does not vote", "Sign in as a person")
    seen = _shown(serving, request, cycle)
    return office.consent.ballots.vote(request.id, caller.person, answer, reason, seen=seen, caller=caller)


def cancel(serving: Serving, caller: Caller, cycle: Cycle, reason: str) -> None:
    """Ask the cycle to end at its next step; who asked is on record first.

    Raises:
        AuditUnavailable: it could not be put on record, and was not asked.
        InvalidInput: it has ended.
    """
    app = serving.app
    if cycle.stage.terminal:
        raise InvalidInput("cycle_id", f"{cycle.id} has ended", "Only an open cycle can be cancelled")
    entry = AuditEntry(
        kind=RecordKind.NOTE,
        cycle_id=cycle.id,
        stage=cycle.stage.value,
        actor=caller.name,
        status=CANCEL_ASKED,
        body={"reason": reason.strip()[:2000]},
    )
    app.audit.append(entry)
    app.engine.cancel(cycle.id)


def stop(serving: Serving, caller: Caller, reason: str) -> FlagRow:
    """Throw the kill switch of the environment.

    Raises:
        InvalidInput: no reason was given.
        AuditUnavailable: it could not be put on record, and was not thrown.
    """
    app = serving.app
    board = Switchboard(app.ports.store, app.audit, app.clock)
    return board.kill(KILL_SWITCH, True, environment=app.profile.name, by=caller.name, reason=reason)


def _shown(serving: Serving, request: ApprovalRequest, cycle: Cycle) -> str:
    """Return the hash of the change as it would be made now; a no needs no change that can be told."""
    from cycles.dossier import preview

    try:
        return sha256_text(preview(serving.app.at(request.binding.target).office, request, cycle))
    except (EvercrewError, ValueError):
        return ""
