"""Who asks over MCP: whoever the token of the request is of, or whoever started the process.

Nobody is known by what an assistant says. Over HTTP each request brings its own bearer token; on standard input it is
the token in EVERCREW_MCP_TOKEN, or else the account of the operating system, where section `people` says whose it is
and that person has an account of the service.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from domain.access import Caller, Unauthenticated
from domain.people import People
from service.access.desk import Access

Bearer = Callable[[Any], str]
"""Returns the token of a request of HTTP (None on standard input); raises Unauthenticated where there is none."""


def of_request(request: Any) -> str:
    """Return the bearer token of a request.

    Raises:
        Unauthenticated: it has none.
    """
    shown = request.headers.get("authorization", "") if request is not None else ""
    scheme, _, token = shown.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("no bearer token was sent")
    return str(token.strip())


def of_token(token: str) -> Bearer:
    """Return what always gives one token."""
    return lambda _request: token


def of_account(access: Access, people: People, account: str) -> Bearer:
    """Return what gives a short-lived token of whoever an account of the operating system is of.

    It is made anew for every call: who was shut out, or lost a role, has lost it with the next one.
    """

    def token(_request: Any) -> str:
        person = people.with_os_user(account)
        if person is None:
            raise Unauthenticated(
                f"nobody in section `people` has the account {account!r} of this machine (os_users); set "
                "EVERCREW_MCP_TOKEN to a token of `evercrew tokens create`"
            )
        kept = access.accounts.account(person.name)
        if kept is None or kept.disabled:
            raise Unauthenticated(f"{person.name} has no account of the service; `evercrew users add` makes one")
        return access.credentials.token_for(kept, None)[0]

    return token


def caller_of(access: Access, token: str) -> Caller:
    """Return who shows a token.

    Raises:
        Unauthenticated: it opens nothing.
    """
    return access.credentials.bearer(token)
