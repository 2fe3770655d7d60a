"""Who asks, over HTTP: tokens for a password or a client's secret, API tokens of one's own, and the accounts."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Path, Request
from pydantic import Field

from adapters.accounts.base import Account, AccountKind, KeptToken, no_such_account, no_such_token
from adapters.accounts.passwords import LEAST, MOST
from domain.access import AccessRole, ApiAction, Caller, Unauthenticated
from domain.errors import InvalidInput
from domain.people import same
from service.access.guard import address_of, may
from service.api.blocking import bounded
from service.api.problems import Problem, problem_of
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Reply, Wish

router = router_of("auth")

Served = Annotated[Serving, Depends(serving)]
Mine = Annotated[Caller, Depends(may(ApiAction.OWN_TOKENS))]
Admin = Annotated[Caller, Depends(may(ApiAction.MANAGE_ACCESS))]
AccountName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/]+$")]
NameInPath = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f/]+$")]
TokenId = Annotated[str, Path(pattern=r"^[0-9a-f]{12}$")]
Scopes = Annotated[list[Annotated[ApiAction, Field(strict=False)]], Field(min_length=1, max_length=len(ApiAction))]
Roles = Annotated[list[Annotated[AccessRole, Field(strict=False)]], Field(min_length=1, max_length=len(AccessRole))]
Password = Annotated[str, Field(min_length=1, max_length=MOST)]
NewPassword = Annotated[str, Field(min_length=LEAST, max_length=MOST)]


class Me(Reply):
    """Who the caller is, and what the policy set lets them do now."""

    name: str
    roles: list[AccessRole]
    scopes: list[str] | None = Field(description="What the token was made for; null: all the roles allow.")
    via: str
    person: str | None = Field(description="Who the caller is among people; null for a machine.")
    may: list[ApiAction]


class TokenWish(Wish):
    """A new API token: what it is for, and how many days it lasts (by default what the configuration says)."""

    label: Annotated[str, Field(max_length=200)] = ""
    scopes: Scopes
    days: Annotated[int, Field(ge=1, le=3650)] | None = None


class TokenReply(Reply):
    """An API token, without its text."""

    id: str
    account: str
    label: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None


class NewToken(Reply):
    """A new API token: `token` is shown now and never again."""

    token: str
    about: TokenReply


class Tokens(Reply):
    """API tokens, newest first."""

    items: list[TokenReply]


class UserWish(Wish):
    """A new account; without a password one is made. A machine signs in with its name and the secret made for it."""

    name: AccountName
    roles: Roles
    password: NewPassword | None = None
    machine: bool = False
    scopes: Scopes | None = None


class UserChange(Wish):
    """What is to change; what is left out stays."""

    roles: Roles | None = None
    disabled: bool | None = None


class PasswordWish(Wish):
    """A new password; left out, one is made."""

    password: NewPassword | None = None


class OwnPassword(Wish):
    """A new password of one's own, and the present one."""

    present: Password
    password: NewPassword


class User(Reply):
    """An account. Secrets are in none of these answers but the one that makes them."""

    name: str
    kind: AccountKind
    roles: list[AccessRole]
    scopes: list[str] | None
    disabled: bool
    created_at: datetime
    created_by: str


class NewUser(Reply):
    """An account with the secret that was made for it (null: it was given): shown now and never again."""

    user: User
    secret: str | None


class Users(Reply):
    """All accounts, by name."""

    items: list[User]


class Done(Reply):
    """It was done."""

    done: bool = True


@router.get("/auth/me")
@bounded()
def me(served: Served, caller: Annotated[Caller, Depends(may(ApiAction.VIEW))]) -> Me:
    """Return who is asking, and what they may do."""
    return Me(
        name=caller.name,
        roles=sorted(caller.roles),
        scopes=None if caller.scopes is None else sorted(caller.scopes),
        via=caller.via,
        person=caller.person,
        may=[action for action in ApiAction if served.access.allowed(caller, action).allowed],
    )


@router.get("/auth/tokens")
@bounded()
def list_tokens(served: Served, caller: Mine) -> Tokens:
    """Return the API tokens of the caller."""
    return Tokens(items=[_token(kept) for kept in served.access.accounts.tokens(caller.name)])


@router.post("/auth/tokens", status_code=201)
@bounded()
def create_token(served: Served, caller: Mine, wish: TokenWish) -> NewToken:
    """Make an API token of the caller's; it can do no more than the caller, and its text is shown once."""
    owner = _account(served, caller.name)
    lasts = timedelta(days=wish.days or served.access.section.api_token_days)
    kept, text = served.access.keeper.give_token(owner, wish.label, [s.value for s in wish.scopes], lasts, by=caller)
    return NewToken(token=text, about=_token(kept))


@router.delete("/auth/tokens/{identity}")
@bounded()
def revoke_token(served: Served, caller: Mine, identity: TokenId) -> TokenReply:
    """End an API token of the caller's; an admin ends anybody's."""
    keeper = served.access.keeper
    found = keeper.accounts.token_of(identity)
    foreign = found is not None and found.account != same(caller.name)
    if found is None or (foreign and not served.access.allowed(caller, ApiAction.MANAGE_ACCESS).allowed):
        raise _missing(no_such_token(identity))
    return _token(keeper.revoke_token(found, by=caller.name))


@router.post("/auth/password")
@bounded()
def change_own_password(request: Request, served: Served, caller: Mine, wish: OwnPassword) -> Done:
    """Change one's own password; sessions and tokens that were given out for it end."""
    access = served.access
    try:
        account = access.credentials.proved(caller.name, wish.present, address_of(request))
    except Unauthenticated as problem:
        raise InvalidInput("present", "is not the present password", "Ask an admin for a new one") from problem
    access.keeper.set_password(account.name, wish.password, by=caller.name)
    return Done()


@router.get("/auth/users")
@bounded()
def list_users(served: Served, caller: Admin) -> Users:
    """Return all accounts."""
    return Users(items=[_user(account) for account in served.access.accounts.accounts()])


@router.post("/auth/users", status_code=201)
@bounded()
def add_user(served: Served, caller: Admin, wish: UserWish) -> NewUser:
    """Let somebody in, or a machine; a secret that is made here is shown once."""
    account, secret = served.access.keeper.add(
        wish.name,
        wish.roles,
        by=caller.name,
        password=wish.password or "",
        machine=wish.machine,
        scopes=None if wish.scopes is None else [scope.value for scope in wish.scopes],
    )
    return NewUser(user=_user(account), secret=None if wish.password else secret)


@router.get("/auth/users/{name}")
@bounded()
def show_user(served: Served, caller: Admin, name: NameInPath) -> User:
    """Return an account."""
    return _user(_account(served, name))


@router.patch("/auth/users/{name}")
@bounded()
def change_user(served: Served, caller: Admin, name: NameInPath, wish: UserChange) -> User:
    """Give other roles, shut somebody out, or let them in again; it holds from the next request on."""
    account, keeper = _account(served, name), served.access.keeper
    if wish.roles is None and wish.disabled is None:
        raise InvalidInput("roles", "neither roles nor disabled was given", "Say what is to change")
    if wish.roles is not None:
        account = keeper.set_roles(name, wish.roles, by=caller.name)
    if wish.disabled is not None:
        account = keeper.disable(name, by=caller.name, disabled=wish.disabled)
    return _user(account)


@router.post("/auth/users/{name}/password")
@bounded()
def set_password(served: Served, caller: Admin, name: NameInPath, wish: PasswordWish) -> NewUser:
    """Set a password, or make a machine's new secret; what was given out for the old one ends."""
    _account(served, name)
    account, secret = served.access.keeper.set_password(name, wish.password or "", by=caller.name)
    return NewUser(user=_user(account), secret=None if wish.password else secret)


# -- helpers ----------------------------------------------------------------------------------------------------------


def _account(served: Serving, name: str) -> Account:
    found = served.access.accounts.account(name)
    if found is None:
        raise _missing(no_such_account(name))
    return found


def _missing(problem: InvalidInput) -> Problem:
    """Return it as what is not there, and not as what is wrong in the request."""
    said = problem_of(problem)
    return Problem(404, "There is no such thing", said.detail, field=said.field, remedy=said.remedy)


def _token(kept: KeptToken) -> TokenReply:
    return TokenReply(**{**kept.model_dump(exclude={"digest"}), "scopes": sorted(kept.scopes)})


def _user(account: Account) -> User:
    return User(
        name=account.name,
        kind=account.kind,
        roles=sorted(account.roles),
        scopes=None if account.scopes is None else sorted(account.scopes),
        disabled=account.disabled,
        created_at=account.created_at,
        created_by=account.created_by,
    )
