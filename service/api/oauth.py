"""The token endpoint (RFC 6749) and the end of a token (RFC 7009): errors there are as those documents have them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from adapters.accounts.base import Account
from domain.access import ApiAction, Caller, TooManyAttempts, Unauthenticated
from domain.errors import InvalidInput
from service.access.desk import Access
from service.access.guard import address_of, may
from service.api.blocking import SIGN_INS, bounded
from service.api.routing import router_of
from service.api.serving import serving

router = router_of("auth")

_FORM = "application/x-www-form-urlencoded"
_MOST_BYTES = 16 * 1024
_HEADERS = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_BASIC = 'Basic realm="evercrew", charset="UTF-8"'
_GRANTS = ("password", "client_credentials")


class TokenAnswer(BaseModel):
    """A token, as RFC 6749 (5.1) has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    access_token: str
    token_type: str = Field(default="Bearer")
    expires_in: int = Field(gt=0, description="Seconds.")
    scope: str


class OAuthProblem(BaseModel):
    """An error, as RFC 6749 (5.2) has it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    error: str
    error_description: str


class Nothing(BaseModel):
    """An answer that says nothing: whether there was such a token is nobody's business (RFC 7009, 2.2)."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Refused(Exception):
    """An error of the token endpoint."""

    def __init__(self, error: str, description: str, status: int = 400, headers: Mapping[str, str] | None = None):
        super().__init__(description)
        self.error = error
        self.status = status
        self.headers = {**_HEADERS, **(headers or {})}

    def response(self) -> Response:
        """Return it as an answer."""
        body = OAuthProblem(error=self.error, error_description=str(self))
        return JSONResponse(body.model_dump(), status_code=self.status, headers=self.headers)


def _documented(*fields: str, required: tuple[str, ...]) -> dict[str, Any]:
    properties = {name: {"type": "string"} for name in fields}
    if "grant_type" in properties:
        properties["grant_type"] = {"type": "string", "enum": list(_GRANTS)}  # type: ignore[dict-item]
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return {"requestBody": {"required": True, "content": {_FORM: {"schema": schema}}}}


@router.post(
    "/auth/token",
    response_model=TokenAnswer,
    responses={status: {"model": OAuthProblem, "description": "As RFC 6749 has it"} for status in (400, 401, 429)},
    openapi_extra=_documented(
        *("grant_type", "username", "password", "client_id", "client_secret", "scope"), required=("grant_type",)
    ),
)
async def token(request: Request) -> Response:
    """Give a token for the password of a person, or for the secret of a machine."""
    try:
        form = await _form(request)
        basic = _basic(request)
        given = bounded(among=SIGN_INS)(_given)
        return await given(serving(request).access, form, basic, address_of(request))
    except _Refused as refused:
        return refused.response()


@router.post(
    "/auth/revoke",
    response_model=Nothing,
    responses={400: {"model": OAuthProblem, "description": "As RFC 7009 has it"}},
    openapi_extra=_documented("token", "token_type_hint", required=("token",)),
)
async def revoke(request: Request, caller: Annotated[Caller, Depends(may(ApiAction.OWN_TOKENS))]) -> Response:
    """End a token of one's own, signed or not, before its time."""
    try:
        shown = (await _form(request)).get("token")
        if not shown:
            raise _Refused("invalid_request", "token is missing")
    except _Refused as refused:
        return refused.response()
    await run_in_threadpool(serving(request).access.credentials.revoke, shown, caller)
    return JSONResponse({}, headers=_HEADERS)


# -- helpers ----------------------------------------------------------------------------------------------------------


def _given(access: Access, form: Mapping[str, str], basic: tuple[str, str] | None, address: str) -> Response:
    account = _proved(access, form, basic, address)
    scope = form.get("scope")
    try:
        text, claims = access.credentials.token_for(account, None if scope is None else frozenset(scope.split()))
    except InvalidInput as problem:
        raise _Refused("invalid_scope", problem.problem) from problem
    answer = TokenAnswer(
        access_token=text,
        expires_in=int((claims.expires_at - claims.issued_at) / timedelta(seconds=1)),
        scope=" ".join(sorted(claims.scopes)),
    )
    return JSONResponse(answer.model_dump(), headers=_HEADERS)


def _proved(access: Access, form: Mapping[str, str], basic: tuple[str, str] | None, address: str) -> Account:
    grant = form.get("grant_type")
    if not grant:
        raise _Refused("invalid_request", "grant_type is missing")
    if grant not in _GRANTS:
        raise _Refused("unsupported_grant_type", f"grant_type is one of {', '.join(_GRANTS)}")
    machine = grant == "client_credentials"
    if machine and basic is not None and {"client_id", "client_secret"} & form.keys():
        raise _Refused("invalid_request", "the client shows its secret twice")
    fields = ("client_id", "client_secret") if machine else ("username", "password")
    name, secret = basic if machine and basic is not None else (form.get(fields[0], ""), form.get(fields[1], ""))
    try:
        if not name or not secret:
            raise Unauthenticated(f"{' or '.join(fields)} is missing")
        return access.credentials.proved(name, secret, address, machine=machine)
    except TooManyAttempts as problem:
        after = {"Retry-After": str(int(problem.retry_after.total_seconds()))}
        raise _Refused("temporarily_unavailable", str(problem), 429, after) from problem
    except Unauthenticated as problem:
        if machine:
            challenge = {"WWW-Authenticate": _BASIC} if basic is not None else {}
            raise _Refused("invalid_client", str(problem), 401, challenge) from problem
        raise _Refused("invalid_grant", str(problem)) from problem


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form, each of which is there once."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        raise _Refused("invalid_request", f"the body is to be {_FORM}")
    body = await request.body()
    if len(body) > _MOST_BYTES:
        raise _Refused("invalid_request", f"the body has more than {_MOST_BYTES} bytes")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=20, errors="strict")
    except ValueError as problem:
        raise _Refused("invalid_request", "the body is no form") from problem
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _Refused("invalid_request", "a field is there more than once")
    return fields


def _basic(request: Request) -> tuple[str, str] | None:
    """Return name and secret of a client from the header Authorization (2.3.1), None where there is none."""
    shown = request.headers.get("authorization")
    if shown is None:
        return None
    scheme, _, text = shown.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError(scheme)
        name, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
        if not colon:
            raise ValueError("no colon")
    except (ValueError, binascii.Error) as problem:
        raise _Refused(
            "invalid_client", "the header Authorization is not basic", 401, {"WWW-Authenticate": _BASIC}
        ) from problem
    return unquote_plus(name), unquote_plus(secret)
