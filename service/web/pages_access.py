"""Pages of who may use the service: accounts and tokens for administrators, and everybody's own tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from adapters.accounts.base import Account, KeptToken
from domain.access import AccessRole, ApiAction, Caller
from domain.errors import ConflictError, InvalidInput
from domain.people import same
from service.access.guard import page
from service.access.keeper import known_roles
from service.api.auth import NameInPath, TokenId
from service.api.problems import Problem
from service.api.serving import Serving, serving
from service.web.forms import Fault, by_field
from service.web.pages import page_router
from service.web.render import render

router = page_router()

Holder = Annotated[Caller, Depends(page(ApiAction.OWN_TOKENS))]
Manager = Annotated[Caller, Depends(page(ApiAction.MANAGE_ACCESS))]
# More digits than the days of the longest token have are no number of days.
_MOST_DIGITS = 4
LASTING = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "a year"}
ROLES = {
    AccessRole.VIEWER: "reads everything",
    AccessRole.OPERATOR: "opens, cancels and resumes cycles, stops, rolls back",
    AccessRole.APPROVER: "decides what waits for people",
    AccessRole.ADMIN: "all of it, and flags, overrides and accounts",
}


@dataclass(frozen=True)
class Secret:
    """A secret that is shown this once."""

    title: str
    text: str
    about: str


@router.get("/access")
def access(request: Request, caller: Holder) -> Response:
    """Show one's own tokens, and all accounts to whoever manages them."""
    return _shown(request, serving(request), caller)


@router.post("/access/accounts")
def add_account(
    request: Request,
    caller: Manager,
    name: Annotated[str, Form()] = "",
    kind: Annotated[str, Form()] = "person",
    roles: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Add a person or a machine; the secret is on this answer and nowhere else."""
    here = serving(request)
    given = {"name": name, "kind": kind, "roles": roles or []}
    machine = kind == "machine"
    try:
        account, secret = here.access.keeper.add(name, known_roles(roles or []), by=caller.name, machine=machine)
    except InvalidInput as problem:
        return _shown(request, here, caller, status=422, faults=[Fault.of(problem)], given=given)
    except ConflictError as problem:
        fault = Fault("name", str(problem), "Choose another name")
        return _shown(request, here, caller, status=409, faults=[fault], given=given)
    how = "as client secret (OAuth2 client credentials)" if machine else "to sign in; it can be changed afterwards"
    shown = Secret(f"{account.name} is added", secret, f"Hand it over on a safe way. {account.name} uses it {how}.")
    return _shown(request, here, caller, status=201, secret=shown)


@router.post("/access/accounts/{name}")
def change_account(
    request: Request,
    name: NameInPath,
    caller: Manager,
    what: Annotated[str, Form()] = "",
    roles: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Give other roles, another secret, or shut somebody out."""
    here, keeper = serving(request), serving(request).access.keeper
    secret: Secret | None = None
    try:
        match what:
            case "roles":
                keeper.set_roles(name, known_roles(roles or []), by=caller.name)
            case "secret":
                account, text = keeper.set_password(name, by=caller.name)
                secret = Secret(
                    f"{account.name} has a new secret",
                    text,
                    "Sessions and signed tokens have ended. API tokens stay: revoke them below.",
                )
            case "disable" | "enable":
                keeper.disable(name, by=caller.name, disabled=what == "disable")
            case _:
                raise InvalidInput(name, "nothing was chosen", "Choose what to change")
    except (InvalidInput, ConflictError) as problem:
        fault = Fault(f"account-{name}", *_told(problem))
        return _shown(request, here, caller, status=422, faults=[fault])
    if secret is not None:
        return _shown(request, here, caller, secret=secret)
    return RedirectResponse("/access?said=changed", status_code=303)


@router.post("/access/tokens")
def give_token(
    request: Request,
    caller: Holder,
    label: Annotated[str, Form()] = "",
    scopes: Annotated[list[str] | None, Form()] = None,
    days: Annotated[str, Form()] = "30",
) -> Response:
    """Make a token for whoever asks; its text is on this answer and nowhere else."""
    here = serving(request)
    given = {"label": label, "scopes": scopes or [], "days": days}
    try:
        if not label.strip():
            raise InvalidInput("label", "it has no name", "Say what it is for, to know it again")
        lasts = timedelta(days=int(days)) if days.isdecimal() and len(days) <= _MOST_DIGITS else timedelta()
        _, text = here.access.keeper.give_token(_own(here, caller), label.strip(), scopes or [], lasts, by=caller)
    except InvalidInput as problem:
        fault = Fault.of(problem, {"lasts": "days", "account": "label"})
        return _shown(request, here, caller, status=422, faults=[fault], given=given)
    shown = Secret(
        "Your token", text, "Send it as Authorization: Bearer. It opens what its scopes and your roles allow."
    )
    return _shown(request, here, caller, status=201, secret=shown)


@router.post("/access/tokens/{identity}/revoke")
def revoke(request: Request, identity: TokenId, caller: Holder) -> Response:
    """End a token: one's own, or anybody's for whoever manages access."""
    here = serving(request)
    token = here.access.accounts.token_of(identity)
    foreign = token is not None and token.account != same(caller.name)
    if token is None or (foreign and not here.access.allowed(caller, ApiAction.MANAGE_ACCESS).allowed):
        raise Problem(404, "No such token", f"You have no token {identity}.", remedy="See /access for those there are")
    here.access.keeper.revoke_token(token, by=caller.name)
    return RedirectResponse("/access?said=revoked", status_code=303)


def _own(here: Serving, caller: Caller) -> Account:
    found = here.access.accounts.account(caller.name)
    if found is None:
        raise InvalidInput("label", f"there is no account {caller.name} here", "Ask an administrator to add it")
    return found


def _told(problem: InvalidInput | ConflictError) -> tuple[str, str]:
    if isinstance(problem, InvalidInput):
        return problem.problem, problem.remedy
    return str(problem), "Look at the list and try again"


def _tokens(here: Serving, caller: Caller, *, manages: bool) -> Sequence[tuple[KeptToken, bool]]:
    now = here.clock.now()
    return [(token, token.lives(now)) for token in here.access.accounts.tokens("" if manages else caller.name)]


def _shown(
    request: Request,
    here: Serving,
    caller: Caller,
    *,
    status: int = 200,
    faults: Sequence[Fault] = (),
    given: Mapping[str, object] | None = None,
    secret: Secret | None = None,
) -> Response:
    manages = here.access.allowed(caller, ApiAction.MANAGE_ACCESS).allowed
    scopes = [a.value for a in ApiAction if here.access.allowed(caller, a).allowed and caller.in_scope(a)]
    empty = {"name": "", "kind": "person", "roles": ["viewer"], "label": "", "scopes": ["view"], "days": "30"}
    return render(
        request,
        "access.html",
        caller,
        active="access",
        status=status,
        title="Access",
        manages=manages,
        accounts=here.access.accounts.accounts() if manages else (),
        tokens=_tokens(here, caller, manages=manages),
        roles=ROLES,
        scopes=scopes,
        lasting=LASTING,
        given={**empty, **(given or {})},
        errors=by_field(faults),
        secret=secret,
        word=request.query_params.get("said", ""),
    )
