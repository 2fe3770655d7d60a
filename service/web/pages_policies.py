"""Pages of the policies: the set in force, who may do what where, why a decision is what it is, and the contract."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import Response

from domain.access import ApiAction, Caller
from domain.actor import Role
from domain.errors import InvalidInput
from domain.wanted import Wanted
from policies.matrix import Flip
from service.access.guard import page
from service.api.serving import serving
from service.web.forms import Fault, by_field
from service.web.pages import page_router
from service.web.policy_tools import profiles, tool_facts
from service.web.policy_view import ANSWERS, LOOKED_BACK, contract_rows, explained, matrix_of, state_of
from service.web.render import render

router = page_router()

Viewer = Annotated[Caller, Depends(page(ApiAction.VIEW))]
VIAS = {"engine": "the engine", "agent": "an agent", "person": "a person"}
EXPLAIN = "/policies/explain"


@router.get("/policies")
def policies(request: Request, caller: Viewer) -> Response:
    """Show the set in force, loudly where it is not the one on disk."""
    found = state_of(serving(request).app.policies)
    return render(request, "policies.html", caller, active="policies", title="Policies", tab="set", found=found)


@router.get("/policies/matrix")
def matrix(request: Request, caller: Viewer, environment: str = "", tool: str = "", answer: str = "") -> Response:
    """Show who may do what in an environment."""
    app = serving(request).app
    place = environment if environment in profiles() else app.profile.name
    chosen, sought = answer if answer in ANSWERS else "", tool.strip()
    return render(
        request,
        "policies_matrix.html",
        caller,
        active="policies",
        title="Who may do what",
        tab="matrix",
        groups=matrix_of(app.policies, place, tool=sought, answer=chosen),
        roles=list(Role),
        place=place,
        places=[(name, name) for name in profiles()],
        tool=sought,
        answer=chosen,
    )


@router.get(EXPLAIN)
def explain(
    request: Request,
    caller: Viewer,
    role: str = Role.DEVOPS_ENGINEER.value,
    tool: str = "promote",
    environment: str = "",
    via: str = "engine",
) -> Response:
    """Say what would be decided, by which policies, and what would change it."""
    app = serving(request).app
    given = {"role": role, "tool": tool, "environment": environment or app.profile.name, "via": via}
    changes = request.query_params.getlist("with")
    faults, found = list[Fault](), None
    try:
        found = explained(app.policies, **given, changes=changes)
    except InvalidInput as problem:
        faults.append(Fault.of(problem, {"env": "environment"}))
    return render(
        request,
        "policies_explain.html",
        caller,
        active="policies",
        status=422 if faults else 200,
        title="Explain a decision",
        tab="explain",
        found=found,
        flips=[(flip, _address(given, [*changes, _change(flip)])) for flip in found.flips] if found else [],
        given=given,
        changes=[(change, _address(given, [c for c in changes if c != change])) for change in changes],
        roles=list(Role),
        tools=tool_facts(),
        places=list(profiles()),
        vias=VIAS,
        errors=by_field(faults),
    )


@router.get("/policies/contract")
def contract(request: Request, caller: Viewer) -> Response:
    """Show what is watched, when it counts as breached, what may be done, and how fast the crew was."""
    app = serving(request).app
    book = app.office.rulebook
    counted = app.contract if book is None else book.contract()
    several = len(app.targets) > 1
    # Other targets have contracts of their own, and their reactions are none of this one's.
    mine = app.ports.store.found(Wanted(target=app.config.target if several else ""), limit=LOOKED_BACK)
    return render(
        request,
        "policies_contract.html",
        caller,
        active="policies",
        title=f"The contract of {app.config.target}" if several else "The contract",
        tab="contract",
        rows=contract_rows(app.contract, counted, mine),
        contract=counted,
        target=app.config.target if several else "",
    )


def _change(flip: Flip) -> str:
    value = str(flip.instead).lower() if isinstance(flip.instead, bool) else str(flip.instead)
    return f"{flip.field}:{value}"


def _address(given: dict[str, str], changes: list[str]) -> str:
    return f"{EXPLAIN}?{urlencode([*given.items(), *(('with', change) for change in changes)])}"
