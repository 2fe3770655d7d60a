"""Signing in and out of the console: by a password, or at the OpenID provider; a form that needs no script."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated

from fastapi import Form, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from adapters.accounts.base import Account
from domain.access import TooManyAttempts, Unauthenticated
from domain.errors import ConflictError, EvercrewError, InvalidInput
from service.access.credentials import csrf_of
from service.access.desk import Access
from service.access.errands import LASTS, Errands, same_origin_path
from service.access.guard import (
    address_of,
    drop_session,
    from_our_page,
    is_https,
    keep_session,
    session_cookie,
    unforged,
)
from service.api.blocking import SIGN_INS, bounded
from service.api.problems import Problem
from service.api.serving import Serving, serving
from service.web.pages import page_router
from service.web.render import render

router = page_router()

CALLBACK = "/login/callback"
_FORM_COOKIE = "evercrew_form"
_ERRAND_COOKIE = "evercrew_errand"
_STALE = "The page was open for too long, or was not asked for by you. Try again."
_WRONG = "Name and password do not fit."
Next = Annotated[str, Query(alias="next", max_length=2000)]
Field = Annotated[str, Form(max_length=2048)]


@router.get("/login")
async def login_page(request: Request, back_to: Next = "/") -> Response:
    """Show the form; whoever is signed in goes on."""
    if await run_in_threadpool(_signed_in, serving(request).access, request):
        return RedirectResponse(same_origin_path(back_to), status_code=303)
    return _page(request, back_to)


@router.post("/login")
async def login(
    request: Request, name: Field = "", password: Field = "", csrf: Field = "", next: Field = "/"
) -> Response:
    """Sign in by a password."""
    mark = request.cookies.get(_FORM_COOKIE, "")
    known = bool(mark) and hmac.compare_digest(csrf.encode(), csrf_of(mark).encode())
    if not known or not from_our_page(request):
        return _page(request, next, problem=_STALE, status=403)
    access = serving(request).access
    try:
        proved = bounded(among=SIGN_INS)(access.credentials.proved)
        account = await proved(name, password, address_of(request))
    except TooManyAttempts as problem:
        seconds = int(problem.retry_after.total_seconds())
        page = _page(request, next, name=name, problem=f"Too many attempts. Try again in {seconds} s.", status=429)
        page.headers["Retry-After"] = str(seconds)
        return page
    except Unauthenticated:
        return _page(request, next, name=name, problem=_WRONG, status=401)
    return await run_in_threadpool(_come_in, request, access, account, "password", next)


@router.get("/login/oidc")
async def login_oidc(request: Request, back_to: Next = "/") -> Response:
    """Send the browser to the OpenID provider."""
    return await run_in_threadpool(_sent, request, same_origin_path(back_to))


@router.get(CALLBACK)
async def login_callback(request: Request) -> Response:
    """Take the answer of the OpenID provider."""
    return await run_in_threadpool(_came_back, request)


@router.post("/logout")
async def logout(request: Request) -> Response:
    """End the session of this browser; without one there is nothing to end."""
    cookie = session_cookie(request)
    response = RedirectResponse("/login", status_code=303)
    if cookie:
        await unforged(request, cookie)
        await run_in_threadpool(serving(request).access.credentials.end, cookie)
        drop_session(request, response)
    return response


# -- helpers ----------------------------------------------------------------------------------------------------------


def _page(request: Request, back_to: str, *, name: str = "", problem: str = "", status: int = 200) -> Response:
    """Return the form, bound to this browser by a cookie that it has, or gets now."""
    access = serving(request).access
    mark = request.cookies.get(_FORM_COOKIE, "") or secrets.token_urlsafe(24)
    page = render(
        request,
        "login.html",
        None,
        status=status,
        form_token=csrf_of(mark),
        back_to=same_origin_path(back_to),
        name=name[:200],
        problem=problem,
        oidc=access.credentials.oidc is not None,
    )
    page.set_cookie(_FORM_COOKIE, mark, path="/login", secure=is_https(request), httponly=True, samesite="lax")
    return page


def _signed_in(access: Access, request: Request) -> bool:
    cookie = session_cookie(request)
    try:
        return bool(cookie) and bool(access.credentials.session(cookie))
    except Unauthenticated:
        return False


def _come_in(request: Request, access: Access, account: Account, how: str, back_to: str) -> Response:
    """Begin a session, always a new one, and go on."""
    before = session_cookie(request)
    if before:
        access.credentials.end(before)
    response = RedirectResponse(same_origin_path(back_to), status_code=303)
    keep_session(request, response, access.credentials.begin(account, how))
    response.delete_cookie(_FORM_COOKIE, path="/login", secure=is_https(request), httponly=True, samesite="lax")
    return response


def _sent(request: Request, back_to: str) -> Response:
    stood = serving(request)
    provider = stood.access.credentials.oidc
    if provider is None:
        raise Problem(404, "There is no such thing", "no OpenID provider is configured", remedy="See access.oidc")
    place, errand = provider.send(back_to, _callback(request, stood))
    response = RedirectResponse(place, status_code=303)
    response.set_cookie(
        _ERRAND_COOKIE,
        Errands(stood.access.secrets(), stood.clock).sealed(errand),
        max_age=int(LASTS.total_seconds()),
        path="/login",
        secure=is_https(request),
        httponly=True,
        samesite="lax",
    )
    return response


def _came_back(request: Request) -> Response:
    stood = serving(request)
    try:
        response = _let_in(request, stood)
    except (Unauthenticated, ConflictError, InvalidInput) as problem:
        response = _page(request, "/", problem=f"You were not let in: {_said(problem)}.", status=401)
    except EvercrewError as problem:
        response = _page(request, "/", problem=f"It could not be found out who you are: {_said(problem)}.", status=503)
    response.delete_cookie(_ERRAND_COOKIE, path="/login", secure=is_https(request), httponly=True, samesite="lax")
    return response


def _let_in(request: Request, stood: Serving) -> Response:
    access, provider = stood.access, stood.access.credentials.oidc
    if provider is None:
        raise Unauthenticated("no OpenID provider is configured")
    errand = Errands(access.secrets(), stood.clock).opened(request.cookies.get(_ERRAND_COOKIE, ""))
    who = provider.came_back(errand, dict(request.query_params))
    account = access.keeper.welcome(who.name, who.roles, who.subject)
    if account.disabled:
        raise Unauthenticated("the account is disabled")
    return _come_in(request, access, account, "oidc", errand.back_to)


def _callback(request: Request, stood: Serving) -> str:
    public = stood.app.config.serve.public_url or str(request.base_url)
    return f"{public.rstrip('/')}{CALLBACK}"


def _said(problem: EvercrewError) -> str:
    return problem.problem if isinstance(problem, InvalidInput) else str(problem).rstrip(".")
