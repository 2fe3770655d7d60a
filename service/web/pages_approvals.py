"""Pages of what waits for people: the list, and one request with the change as it would be made now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from domain.access import ApiAction, Caller
from domain.approval import ApprovalRequest, VoteAnswer
from domain.errors import ConflictError, DependencyError, InvalidInput
from service.access.guard import page
from service.api.problems import Problem
from service.api.serving import Serving, serving
from service.choice import dossier_of
from service.report.story import patch_lines
from service.web.approvals_view import CHANGED, TONES, conflict, listed, mine, price_of, reach, spent_of
from service.web.asked import call_said
from service.web.forms import Fault, by_field
from service.web.pages import page_router
from service.web.policy_tools import tool_facts
from service.web.render import render
from service.web.standing import title_of

router = page_router()

Viewer = Annotated[Caller, Depends(page(ApiAction.VIEW))]
Voter = Annotated[Caller, Depends(page(ApiAction.VOTE))]
MOST_REASON = 2000


@router.get("/approvals")
def approvals(request: Request, caller: Viewer) -> Response:
    """Show what waits, for whoever looks first."""
    here = serving(request)
    return render(
        request,
        "approvals.html",
        caller,
        active="approvals",
        title="Approvals",
        live="/api/v1/events",
        last_event=here.app.audit.head().records,
        found=listed(here, caller),
    )


@router.get("/approvals/{identity}")
def approval(request: Request, identity: str, caller: Viewer) -> Response:
    """Show one request with all that bears on it."""
    here = serving(request)
    return _shown(request, here, caller, _asked(here, identity))


@router.post("/approvals/{identity}")
def decide(
    request: Request,
    identity: str,
    caller: Voter,
    answer: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    seen: Annotated[str, Form()] = "",
) -> Response:
    """Take a person's word; the page comes back with what is in the way, where something is."""
    here = serving(request)
    asked = _asked(here, identity)
    fault = _fault(answer, reason)
    if fault is not None:
        return _shown(request, here, caller, asked, status=422, faults=[fault], reason=reason)
    if dossier_of(here.app, asked).seen != seen:
        return _shown(request, here, caller, asked, status=409, stop=CHANGED, reason=reason)
    ballots = here.app.office.consent.ballots
    name = caller.person or caller.name
    try:
        ballots.vote(asked.id, name, VoteAnswer(answer), reason.strip(), seen=seen, caller=caller)
    except ConflictError:
        again = _asked(here, identity)
        said = conflict(again, here.clock.now(), name)
        return _shown(request, here, caller, again, status=409, stop=said, reason=reason)
    except InvalidInput as problem:
        return _shown(request, here, caller, asked, status=422, faults=[Fault.of(problem)], reason=reason)
    except DependencyError as problem:
        said = f"Your word could not be kept, so it does not count: {problem.problem}. Give it once more in a moment."
        return _shown(request, here, caller, asked, status=503, stop=said, reason=reason)
    return RedirectResponse(f"/approvals/{asked.id}?said={answer}", status_code=303)


def _asked(here: Serving, identity: str) -> ApprovalRequest:
    found = here.app.office.consent.store.request(identity)
    if found is None:
        raise Problem(
            404, "No such approval", f"There is no request {identity}.", remedy="See /approvals for all of them"
        )
    return found


def _fault(answer: str, reason: str) -> Fault | None:
    if answer not in [each.value for each in VoteAnswer]:
        return Fault("answer", "neither Approve nor Deny was chosen", "Choose one of the two buttons")
    if answer == VoteAnswer.DENY.value and not reason.strip():
        return Fault("reason", "a denial needs a reason: the crew reads it and does otherwise", "Say why in a sentence")
    if len(reason) > MOST_REASON:
        return Fault("reason", f"it has {len(reason)} characters", f"Use at most {MOST_REASON}")
    return None


def _shown(
    request: Request,
    here: Serving,
    caller: Caller,
    asked: ApprovalRequest,
    *,
    status: int = 200,
    faults: Sequence[Fault] = (),
    stop: str = "",
    reason: str = "",
) -> Response:
    found = dossier_of(here.app, asked)
    lines = patch_lines(found.diff)
    cycle = here.app.ports.store.cycle(asked.binding.cycle_id)
    return render(
        request,
        "approval.html",
        caller,
        active="approvals",
        status=status,
        title=f"Approval {asked.id[:11]}",
        live="/api/v1/events",
        last_event=here.app.audit.head().records,
        found=found,
        said=call_said(asked.binding.tool, asked.args),
        wrong=title_of(cycle) if cycle is not None else "",
        about=facts.summary if (facts := tool_facts().get(asked.binding.tool)) else "",
        tone=TONES[found.state],
        lines=lines,
        price=price_of(here.app, found),
        spent=spent_of(here.app, found),
        reach=reach(asked, lines),
        mine=mine(here, caller, asked),
        errors=by_field(faults),
        stop=stop,
        reason=reason,
        word=request.query_params.get("said", ""),
    )
