"""The page of overrides: for a while, an administrator's number in place of one of the contract's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from cycles.rules import Rulebook
from domain.access import ApiAction, Caller
from domain.errors import InvalidInput
from domain.override import Override, override
from policies.contract import Contract
from policies.durations import parse_duration
from service.access.guard import page
from service.api.problems import Problem
from service.api.serving import Serving, serving
from service.web.forms import Fault, by_field, number
from service.web.page_filters import gate_rule
from service.web.pages import page_router
from service.web.policy_view import limit_said
from service.web.render import render
from service.wording import signal_label

router = page_router()

Viewer = Annotated[Caller, Depends(page(ApiAction.VIEW))]
Overrider = Annotated[Caller, Depends(page(ApiAction.OVERRIDE_GATE))]
LASTING = {"30m": "30 minutes", "2h": "2 hours", "8h": "8 hours", "1d": "a day", "7d": "7 days", "30d": "30 days"}
PLACE = "/policies/overrides"


@router.get(PLACE)
def overrides(request: Request, caller: Viewer) -> Response:
    """Show what stands in place of the contract's numbers."""
    return _shown(request, serving(request), caller)


@router.post(PLACE)
def add(
    request: Request,
    caller: Overrider,
    what: Annotated[str, Form()] = "",
    threshold: Annotated[str, Form()] = "",
    expires: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Put an override in force."""
    here = serving(request)
    given = {"what": what, "threshold": threshold, "expires": expires, "reason": reason}
    try:
        _book(here).add(_override(here, caller, given))
    except InvalidInput as problem:
        fault = Fault.of(problem, dict.fromkeys(("name", "gate", "signal", "of", "kind"), "what"))
        return _shown(request, here, caller, status=422, faults=[fault], given=given)
    return RedirectResponse(f"{PLACE}?said=override-added", status_code=303)


@router.post(PLACE + "/{identity}/end")
def end(request: Request, identity: str, caller: Overrider, reason: Annotated[str, Form()] = "") -> Response:
    """End an override before its time."""
    here = serving(request)
    try:
        if not reason.strip():
            raise InvalidInput("reason", "it is not said why", "Say why: it goes on record")
        _book(here).end(identity, by=caller.name, reason=reason.strip())
    except InvalidInput as problem:
        fault = Fault(f"end-{identity}", problem.problem, problem.remedy)
        return _shown(request, here, caller, status=422, faults=[fault])
    return RedirectResponse(f"{PLACE}?said=override-ended", status_code=303)


def _book(here: Serving) -> Rulebook:
    book = here.app.office.rulebook
    if book is None:
        raise Problem(503, "No rulebook", "Overrides are not kept in this application.")
    return book


def _override(here: Serving, caller: Caller, given: dict[str, str]) -> Override:
    kind, name, of = [*given["what"].split("/"), "", ""][:3]
    if kind not in ("gate", "limit", "rollback") or not name:
        raise InvalidInput("what", "nothing was chosen", "Choose a gate or a limit")
    if not given["reason"].strip():
        raise InvalidInput("reason", "it is not said why", "Say why: it goes on record")
    try:
        lasts = parse_duration(given["expires"])
    except ValueError as problem:
        raise InvalidInput("expires", str(problem), "Choose for how long it counts") from problem
    which: Any = of if of in ("absolute", "relative_to_baseline") else ""
    chosen: Any = kind
    return override(
        chosen,
        name,
        number(given["threshold"], "threshold"),
        of=which,
        environment=here.app.profile.name,
        by=caller.name,
        reason=given["reason"].strip(),
        at=here.clock.now(),
        lasts=lasts,
    )


def _choices(contract: Contract) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what can be overridden, by groups: value and label."""
    gates = [
        (f"gate/{name}", f"{signal_label(name)}: {gate_rule(gate)}")
        for name, gate in [*contract.quality_gates.items(), *contract.guards.items()]
    ]
    limits = [
        (f"limit/{name}/{limit.kind}", f"{signal_label(name)}: {limit_said(limit, row)}")
        for name, row in contract.signals.items()
        for limit in row.limits
    ]
    back = [
        (f"rollback/{name}/{limit.kind}", f"{signal_label(name)}: {limit_said(limit, row)}")
        for name, row in contract.signals.items()
        for limit in row.rollback.limits
    ]
    return [("Gates", gates), ("When a signal is breached", limits), ("When a change is taken back", back)]


def _shown(
    request: Request,
    here: Serving,
    caller: Caller,
    *,
    status: int = 200,
    faults: Sequence[Fault] = (),
    given: dict[str, str] | None = None,
) -> Response:
    now, book = here.clock.now(), _book(here)
    book.in_force()  # what expired since is put on record before it is listed as over
    listed = sorted(book.listed(), key=lambda each: (not each.in_force(now), -each.at.timestamp()))
    return render(
        request,
        "policies_overrides.html",
        caller,
        active="policies",
        status=status,
        title="Overrides",
        tab="overrides",
        rows=[
            (o, *(("in force", book.left_out(o)) if o.in_force(now) else ("ended" if o.ended_at else "expired", "")))
            for o in listed
        ],
        may_override=here.access.allowed(caller, ApiAction.OVERRIDE_GATE).allowed,
        choices=_choices(book.contract()),
        lasting=LASTING.items(),
        given=given or {"what": "", "threshold": "", "expires": "2h", "reason": ""},
        errors=by_field(faults),
        word=request.query_params.get("said", ""),
    )
