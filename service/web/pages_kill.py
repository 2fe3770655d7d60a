"""The page of the kill switch: what is stopped, stopping with a typed word, and lifting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from adapters.store.base import FlagRow
from domain.access import ApiAction, Caller
from domain.actor import Role
from domain.decision import Effect
from domain.errors import InvalidInput
from policies.flags import KILL_SWITCH, ROLE_SWITCH, TOOL_SWITCH
from service.access.guard import page
from service.api.serving import Serving, serving
from service.switching import kill_status, switched
from service.web.forms import Fault, by_field
from service.web.pages import page_router
from service.web.pages_flags import PLACES, board
from service.web.policy_tools import safe_tools, tool_facts
from service.web.render import render
from service.wording import role_label

router = page_router()

Viewer = Annotated[Caller, Depends(page(ApiAction.VIEW))]
Stopper = Annotated[Caller, Depends(page(ApiAction.STOP))]
Starter = Annotated[Caller, Depends(page(ApiAction.START))]
MOST_CHANGES, SHOWN_CHANGES = 200, 10


@dataclass(frozen=True)
class Switch:
    """A kill switch that is on: what it stops, where, and who threw it."""

    row: FlagRow

    @property
    def agent(self) -> str:
        """The role it stops, or nothing."""
        return self.row.name.removeprefix(ROLE_SWITCH) if self.row.name.startswith(ROLE_SWITCH) else ""

    @property
    def tool(self) -> str:
        """The tool it stops, or nothing."""
        return self.row.name.removeprefix(TOOL_SWITCH) if self.row.name.startswith(TOOL_SWITCH) else ""

    @property
    def what(self) -> str:
        """What it stops, in words."""
        if self.agent:
            return f"Every effect of the {role_label(self.agent)}"
        return f"The tool {self.tool}" if self.tool else "Every effect"


@router.get("/kill")
def kill(request: Request, caller: Viewer) -> Response:
    """Show what is stopped, and let it be stopped."""
    return _shown(request, serving(request), caller)


@router.post("/kill")
def throw(
    request: Request,
    caller: Stopper,
    scope: Annotated[str, Form()] = "",
    agent: Annotated[str, Form()] = "",
    tool: Annotated[str, Form()] = "",
    environment: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    typed: Annotated[str, Form()] = "",
) -> Response:
    """Throw a kill switch: the very next effect it covers is refused."""
    here = serving(request)
    given = {"scope": scope, "agent": agent, "tool": tool, "environment": environment, "reason": reason}
    try:
        of = _narrowed(scope, agent, tool)
        _switch(here, caller, True, environment=environment, reason=reason, typed=typed, **of)
    except InvalidInput as problem:
        fault = Fault.of(problem, {"env": "environment"})
        return _shown(request, here, caller, status=422, faults=[fault], given=given)
    return RedirectResponse("/kill?said=thrown", status_code=303)


@router.post("/kill/lift")
def lift(
    request: Request,
    caller: Starter,
    name: Annotated[str, Form()] = "",
    environment: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
    typed: Annotated[str, Form()] = "",
) -> Response:
    """Lift a kill switch that is on."""
    here = serving(request)
    try:
        rows = kill_status(here.app.ports.store, here.app.profile).switches
        found = next((Switch(row) for row in rows if (row.name, row.environment) == (name, environment)), None)
        if found is None:
            raise InvalidInput("name", "this switch is not on any more", "Look at the list above")
        said = {"agent": found.agent, "tool": found.tool}
        _switch(here, caller, False, environment=environment, reason=reason, typed=typed, **said)
    except InvalidInput as problem:
        fault = Fault(f"lift-{name}-{environment}", problem.problem, problem.remedy)
        return _shown(request, here, caller, status=422, faults=[fault])
    return RedirectResponse("/kill?said=lifted", status_code=303)


def _switch(
    here: Serving, caller: Caller, on: bool, *, environment: str, reason: str, typed: str, agent: str, tool: str
) -> None:
    if environment not in PLACES:
        raise InvalidInput("environment", "it was not chosen where", "Choose an environment, or everywhere")
    if not reason.strip():
        raise InvalidInput("reason", "it is not said why", "Say why: it goes on record")
    if typed.strip() != environment:
        problem = f"{typed.strip()!r} is not {environment!r}" if typed.strip() else "it is not confirmed"
        raise InvalidInput("typed", problem, f"Type {environment} to confirm")
    switched(
        board(here),
        here.app.ports.store,
        here.app.profile,
        on,
        by=caller.name,
        reason=reason.strip(),
        environment=environment,
        agent=agent,
        tool=tool,
    )


def _narrowed(scope: str, agent: str, tool: str) -> dict[str, str]:
    """Return the role or the tool that is meant; what was chosen in a field that is not asked for does not count."""
    match scope:
        case "everything":
            return {"agent": "", "tool": ""}
        case "agent" if agent:
            return {"agent": agent, "tool": ""}
        case "tool" if tool:
            return {"agent": "", "tool": tool}
        case "agent" | "tool":
            raise InvalidInput(scope, "it was not chosen which one", "Choose it in the list")
        case _:
            raise InvalidInput("scope", "it was not chosen what to stop", "Choose everything, a role or a tool")


def _shown(
    request: Request,
    here: Serving,
    caller: Caller,
    *,
    status: int = 200,
    faults: Sequence[Fault] = (),
    given: dict[str, str] | None = None,
) -> Response:
    app = here.app
    stands = kill_status(app.ports.store, app.profile)
    changes = board(here).history(limit=MOST_CHANGES)
    stopped = [facts for facts in tool_facts().values() if facts.effect is not Effect.READ]
    return render(
        request,
        "kill.html",
        caller,
        active="kill",
        status=status,
        title="Kill switch",
        live="/api/v1/events",
        last_event=app.audit.head().records,
        switches=[Switch(row) for row in stands.switches],
        by_profile=app.profile.kill_switch,
        held=stands.held,
        may_stop=here.access.allowed(caller, ApiAction.STOP).allowed,
        may_start=here.access.allowed(caller, ApiAction.START).allowed,
        roles=list(Role),
        tools=[facts for facts in stopped if facts.name not in safe_tools()],
        places=PLACES,
        changes=[c for c in changes if c.name.split("/")[0] == KILL_SWITCH][:SHOWN_CHANGES],
        given=given or {"scope": "everything", "agent": "", "tool": "", "environment": app.profile.name, "reason": ""},
        errors=by_field(faults),
        word=request.query_params.get("said", ""),
    )
