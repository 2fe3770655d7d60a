"""The guard of every route: who asks, by a bearer token or a session, and whether the policy set lets them.

A route carries the action it is about as a dependency, `may(...)` for the API and `page(...)` for a page; that is how
a route can be asked what it is about. Routes that carry none are few, named in `OPEN`, and looked for by `unguarded`.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import RedirectResponse

from domain.access import ApiAction, Caller, Unauthenticated
from service.access.credentials import csrf_of
from service.access.desk import Access
from service.api.problems import Problem
from service.api.serving import serving

SECURE_COOKIE, PLAIN_COOKIE = "__Host-evercrew", "evercrew_session"
CSRF_HEADER, CSRF_FIELD = "X-CSRF-Token", "csrf"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
REALM = 'Bearer realm="evercrew"'
# What answers without a caller, and why; a place ending in / is all that is below it.
OPEN: Mapping[str, str] = {
    "/healthz": "health of the process",
    "/readyz": "health of what it stands on",
    "/login": "where a caller becomes known",
    "/login/": "the way by an OpenID provider",
    "/logout": "ends the session of the browser that asks",
    "/api/v1/auth/token": "where a caller becomes known",
    "/webhooks/": "senders of alerts prove themselves by signature or token",
    "/metrics": "scrapers prove themselves by token, unless the configuration opens it",
    "/static/": "style, script and pictures of the login page",
}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_BEARER = HTTPBearer(auto_error=False, description="A token of POST /api/v1/auth/token, or an API token (evc_...).")
_Shown = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]
_ACTIONS: dict[Callable[..., Any], ApiAction] = {}


class SignInFirst(Problem):
    """Nobody is signed in: a browser is sent to where one can, and comes back."""

    def __init__(self, back_to: str) -> None:
        super().__init__(401, "Sign in first", "this page is for whoever is signed in", headers={})
        self.place = f"/login?next={quote(back_to, safe='')}"

    def response(self, request: Request | None = None) -> Response:
        """See `Problem.response`; sends the browser on."""
        return RedirectResponse(self.place, status_code=303)


class GuardedRoute(NamedTuple):
    """A route: its methods and path, and the action it is about (None: it carries none)."""

    methods: frozenset[str]
    path: str
    action: ApiAction | None


@cache
def may(action: ApiAction) -> Callable[..., Any]:
    """Return the dependency of a route of the API that is about `action`; it gives the `Caller`.

    It answers 401 where nobody is known, 403 where the policy set does not allow it, and 403 to a change from a browser
    that does not carry the token against forgery (header X-CSRF-Token, or field csrf of a form).
    """

    async def dependency(request: Request, _shown: _Shown = None) -> Caller:
        try:
            return await _admitted(request, action)
        except Unauthenticated as problem:
            raise _unknown(problem, shown="authorization" in request.headers) from problem

    _ACTIONS[dependency] = action
    return dependency


@cache
def page(action: ApiAction) -> Callable[..., Any]:
    """Return the dependency of a page that is about `action`; who is not signed in is sent to the login page."""

    async def dependency(request: Request) -> Caller:
        try:
            return await _admitted(request, action)
        except Unauthenticated as problem:
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            raise SignInFirst(here if request.method in SAFE_METHODS else "/") from problem

    _ACTIONS[dependency] = action
    return dependency


def route_action(route: Any) -> ApiAction | None:
    """Return the action a route is about, by what it depends on; None where it carries none."""
    dependant = getattr(route, "dependant", None)
    return next(_actions(dependant), None) if dependant is not None else None


def guarded_routes(app: FastAPI) -> list[GuardedRoute]:
    """Return all routes of an application, those of included routers too."""
    return [
        GuardedRoute(frozenset(route.methods or ()), str(route.path), route_action(route))
        for route in iter_route_contexts(app.routes)
        if route.path is not None
    ]


def unguarded(app: FastAPI) -> list[str]:
    """Return the routes that carry no action and are not among those that answer everybody; there have to be none."""
    return sorted(f"{route.path}" for route in guarded_routes(app) if route.action is None and not is_open(route.path))


def is_open(path: str) -> bool:
    """Whether a path is one of those that answer without a caller."""
    return path in OPEN or any(place.endswith("/") and f"{path}/".startswith(place) for place in OPEN)


def csrf_token(request: Request) -> str:
    """Return the token that forms of this browser's session carry; empty where there is no session."""
    cookie = session_cookie(request)
    return csrf_of(cookie) if cookie else ""


def session_cookie(request: Request) -> str:
    """Return the cookie of the session, as it was sent; empty where there is none."""
    name = SECURE_COOKIE if is_https(request) else PLAIN_COOKIE
    return request.cookies.get(name, "")


def keep_session(request: Request, response: Response, cookie: str) -> None:
    """Let a browser keep a session: no script reads it, no other site's form sends it, and over TLS nothing but TLS."""
    https = is_https(request)
    response.set_cookie(
        SECURE_COOKIE if https else PLAIN_COOKIE, cookie, path="/", secure=https, httponly=True, samesite="lax"
    )


def drop_session(request: Request, response: Response) -> None:
    """Let a browser forget its session."""
    https = is_https(request)
    name = SECURE_COOKIE if https else PLAIN_COOKIE
    response.delete_cookie(name, path="/", secure=https, httponly=True, samesite="lax")


def is_https(request: Request) -> bool:
    """Whether browsers come by TLS: to here, to a proxy that the server trusts, or by the address they are given."""
    return request.url.scheme == "https" or serving(request).app.config.serve.public_url.startswith("https://")


def address_of(request: Request) -> str:
    """Return where a request came from."""
    return request.client.host if request.client is not None else ""


async def unforged(request: Request, cookie: str) -> None:
    """Look whether a change that a browser asks for carries the token of its session, and comes from a page of ours.

    Raises:
        Problem: it does not (403).
    """
    if not from_our_page(request):
        raise _forged("it comes from a page of another site")
    given = request.headers.get(CSRF_HEADER)
    if given is None and request.headers.get("content-type", "").startswith(_FORMS):
        field = (await request.form()).get(CSRF_FIELD)
        given = field if isinstance(field, str) else None
    # A part of a form in a coding of its own may hold halves of characters.
    if given is None or not hmac.compare_digest(given.encode(errors="replace"), csrf_of(cookie).encode()):
        raise _forged("it does not carry the token of this session")


def from_our_page(request: Request) -> bool:
    """Whether a browser says nothing against a change having been asked for by a page of this origin."""
    said = request.headers.get("origin")
    public = urlsplit(serving(request).app.config.serve.public_url).netloc
    ours = {request.headers.get("host", ""), public} - {""}
    away = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
    return not away and (said is None or _netloc(said) in ours)


# -- helpers ----------------------------------------------------------------------------------------------------------


def _actions(dependant: Any) -> Iterator[ApiAction]:
    if dependant.call in _ACTIONS:
        yield _ACTIONS[dependant.call]
    for inner in dependant.dependencies:
        yield from _actions(inner)


async def _admitted(request: Request, action: ApiAction) -> Caller:
    access = serving(request).access
    cookie, bearer = session_cookie(request), _bearer(request)
    caller = await run_in_threadpool(_known, access, bearer, cookie)
    if caller.via == "session" and request.method not in SAFE_METHODS:
        await unforged(request, cookie)
    decision = await run_in_threadpool(access.allowed, caller, action)
    if not decision.allowed:
        named = ", ".join(decision.policies) or "no policy permits it"
        raise Problem(
            403,
            "Not allowed",
            f"{caller.name} may not {action.value.replace('_', ' ')}: {decision.reason} ({named})",
            remedy=_remedy(caller, action),
            type="not-allowed",
        )
    request.state.caller = caller
    return caller


def _known(access: Access, bearer: str | None, cookie: str) -> Caller:
    """Whoever shows a token is who the token says, or nobody: a session does not stand in for a bad one."""
    if bearer is not None:
        return access.credentials.bearer(bearer)
    if not cookie:
        raise Unauthenticated("no token and no session was shown")
    return access.credentials.session(cookie)


def _bearer(request: Request) -> str | None:
    shown = request.headers.get("authorization")
    if shown is None:
        return None
    scheme, _, token = shown.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("the header Authorization holds no bearer token")
    return token.strip()


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _forged(why: str) -> Problem:
    return Problem(
        403,
        "Perhaps not asked for by you",
        f"a change from a browser is refused: {why}",
        field=CSRF_FIELD,
        remedy="Load the page again and repeat it",
        type="forged",
    )


def _unknown(problem: Unauthenticated, *, shown: bool) -> Problem:
    header = f'{REALM}, error="invalid_token", error_description="{problem}"' if shown else REALM
    return Problem(401, "Nobody knows who asks", str(problem), headers={"WWW-Authenticate": header})


def _remedy(caller: Caller, action: ApiAction) -> str:
    if not caller.in_scope(action):
        return f"Use a token with the scope {action.value}"
    return "Ask an admin for a role that allows it; `evercrew policy check` lists who may do what"
