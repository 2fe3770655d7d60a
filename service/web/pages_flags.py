"""The page of feature flags: as they count here, who changed them, and setting them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from cycles.switches import Switchboard
from domain.access import ApiAction, Caller
from domain.errors import InvalidInput
from policies.flags import EVERYWHERE, FEATURES
from policies.packaged import ENVIRONMENTS
from service.access.guard import page
from service.api.serving import Serving, serving
from service.switching import features
from service.web.forms import Fault, by_field
from service.web.pages import page_router
from service.web.render import render

router = page_router()

Viewer = Annotated[Caller, Depends(page(ApiAction.VIEW))]
Setter = Annotated[Caller, Depends(page(ApiAction.SET_FLAG))]
PLACES = (EVERYWHERE, *ENVIRONMENTS)
MOST_CHANGES = 100
ABOUT = {
    "self_improvement_enabled": "The crew changes anything at all",
    "auto_promote": "A candidate that won its test goes live without a person",
    "auto_rollback": "A change that hurts is taken back without a person",
    "ab_testing": "Candidates are tested on a share of the users",
    "cost_optimization": "Cheaper modes and models are tried when cost rises",
}
TITLES = {
    "self_improvement_enabled": "Self-improvement",
    "auto_promote": "Automatic promotion",
    "auto_rollback": "Automatic roll-back",
    "ab_testing": "A/B tests",
    "cost_optimization": "Cost optimisation",
}


@router.get("/flags")
def flags(request: Request, caller: Viewer, flag: str = "") -> Response:
    """Show the flags as they count here, and who changed them."""
    return _shown(request, serving(request), caller, flag)


@router.post("/flags")
def set_flag(
    request: Request,
    caller: Setter,
    name: Annotated[str, Form()] = "",
    value: Annotated[str, Form()] = "",
    environment: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Switch a feature on or off."""
    here, given = serving(request), {"name": name, "value": value, "environment": environment, "reason": reason}
    try:
        if value not in ("on", "off"):
            raise InvalidInput("value", "neither on nor off was chosen", "Choose one of the two")
        if not reason.strip():
            raise InvalidInput("reason", "it is not said why", "Say why: it goes on record")
        board(here).set_feature(name, value == "on", environment=environment, by=caller.name, reason=reason.strip())
    except InvalidInput as problem:
        fault = Fault.of(problem, {"flag": "name", "env": "environment"})
        return _shown(request, here, caller, "", status=422, faults=[fault], given=given)
    return RedirectResponse("/flags?said=flag-set", status_code=303)


def board(here: Serving) -> Switchboard:
    """Return where flags and switches are set."""
    return Switchboard(here.app.ports.store, here.app.audit, here.clock)


def _shown(
    request: Request,
    here: Serving,
    caller: Caller,
    flag: str,
    *,
    status: int = 200,
    faults: Sequence[Fault] = (),
    given: dict[str, str] | None = None,
) -> Response:
    app, chosen = here.app, flag if flag in FEATURES else ""
    return render(
        request,
        "flags.html",
        caller,
        active="policies",
        status=status,
        title="Flags",
        tab="flags",
        rows=features(app.ports.store, app.profile),
        about=ABOUT,
        titles=TITLES,
        flag=chosen,
        flag_options=[("", "all"), *TITLES.items()],
        changes=board(here).history(chosen, limit=MOST_CHANGES),
        may_set=here.access.allowed(caller, ApiAction.SET_FLAG).allowed,
        features=FEATURES,
        places=PLACES,
        given=given or {"name": "", "value": "", "environment": app.profile.name, "reason": ""},
        errors=by_field(faults),
        word=request.query_params.get("said", ""),
    )
