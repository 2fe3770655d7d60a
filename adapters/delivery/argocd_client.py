"""Argo CD's REST API: who asks, and what its refusals mean.

Unauthenticated    it does not know the token (401)
PermissionDenied   it knows who asks, and says no (403)
"""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from adapters.rest import Endpoint, NotFound, Refused, RestClient
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyError, DependencyLied

NAME = "argocd"
FIELD = "delivery"
_SAME_PORT = "Check that delivery.url is the address of Argo CD's own API, without a path of its web pages"


class Unauthenticated(Refused):
    """Argo CD does not know the token, or the password."""


class PermissionDenied(Refused):
    """Argo CD knows who asks and does not allow it."""


class ArgoClient:
    """Sends requests with the endpoint's token, or with that of a session opened by its username and password."""

    def __init__(self, endpoint: Endpoint, *, clock: Clock) -> None:
        self._endpoint = endpoint
        self._session = ""
        plain = endpoint.model_copy(update={"username": "", "password": None})
        self._rest = RestClient(plain, name=NAME, field=FIELD, clock=clock)

    def close(self) -> None:
        """Close the connections."""
        self._rest.close()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Return the JSON of a read; see `request`."""
        return self.request("GET", path, params=params)

    def request(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, json: Mapping[str, Any] | None = None
    ) -> Any:
        """Send a request and return the JSON of the answer; a session that ended is opened anew, once.

        Raises:
            Unauthenticated, PermissionDenied; otherwise as `RestClient.request`.
        """
        try:
            return self._once(method, path, params, json)
        except Unauthenticated:
            if not self._session:
                raise
        self._session = ""
        return self._once(method, path, params, json)

    def version(self) -> str:
        """Return the version of the Argo CD that answers; needs no token.

        Raises:
            DependencyLied: something else answers there.
        """
        try:
            answer = json_format.loads(self._rest.text("GET", "/api/version"))
        except (NotFound, Refused, ValueError) as error:
            raise DependencyLied(NAME, "what answers there is not Argo CD", _SAME_PORT) from error
        except DependencyError as error:
            if "answered 30" not in error.problem:
                raise
            raise DependencyLied(
                NAME, "it sends us to another address", "Write https:// and the final address into delivery.url"
            ) from error
        version = answer.get("Version") if isinstance(answer, dict) else None
        if not isinstance(version, str) or not version:
            raise DependencyLied(NAME, "what answers there is not Argo CD: it tells no version", _SAME_PORT)
        return version

    def user(self) -> str:
        """Return the name of who asks; raises Unauthenticated where the token is good for nothing."""
        answer = self.get("/api/v1/session/userinfo")
        if not isinstance(answer, dict) or answer.get("loggedIn") is not True:
            raise self._unknown("it does not know who asks")
        return str(answer.get("username", ""))

    def may(self, action: str, project: str, application: str) -> bool:
        """Return whether who asks may do this with the application."""
        what = f"{quote(project, safe='')}/{quote(application, safe='')}"
        answer = self.get(f"/api/v1/account/can-i/applications/{action}/{what}")
        return isinstance(answer, dict) and answer.get("value") == "yes"

    def _once(self, method: str, path: str, params: Mapping[str, str] | None, json: Mapping[str, Any] | None) -> Any:
        body = None if json is None else json_format.dumps(json).encode()
        headers = self._headers(body)
        try:
            text = self._rest.text(method, path, params=params, content=body, headers=headers)
        except Refused as error:
            if " answered 401:" in error.problem:
                raise self._unknown(error.problem) from error
            raise PermissionDenied(NAME, error.problem, "Give the account this right in Argo CD's RBAC") from error
        return _parsed(text, path)

    def _headers(self, body: bytes | None) -> dict[str, str]:
        kind = {} if body is None else {"Content-Type": "application/json"}
        if self._endpoint.token is not None:
            return kind
        if not self._session:
            self._session = self._opened()
        return {**kind, "Authorization": f"Bearer {self._session}"}

    def _opened(self) -> str:
        """Return the token of a fresh session."""
        if not self._endpoint.username or self._endpoint.password is None:
            raise ConfigurationError(
                FIELD,
                "there is neither a token nor a username with its password for Argo CD",
                "Set EVERCREW_DELIVERY_TOKEN, or delivery.username and EVERCREW_DELIVERY_PASSWORD",
            )
        asked = {"username": self._endpoint.username, "password": self._endpoint.password.get_secret_value()}
        try:
            answer = self._rest.request("POST", "/api/v1/session", json=asked, repeatable=True)
        except Refused as error:
            raise Unauthenticated(
                NAME,
                f"it refuses the password of {self._endpoint.username!r}",
                "Check delivery.username and EVERCREW_DELIVERY_PASSWORD",
            ) from error
        token = answer.get("token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            raise DependencyLied(NAME, "the session it opened has no token", _SAME_PORT)
        return token

    def _unknown(self, problem: str) -> Unauthenticated:
        remedy = "Make a new token for the account and set EVERCREW_DELIVERY_TOKEN"
        if self._endpoint.token is None:
            remedy = "Check delivery.username and EVERCREW_DELIVERY_PASSWORD"
        return Unauthenticated(NAME, f"the token is unknown or expired: {problem}", remedy)


def _parsed(text: str, path: str) -> Any:
    if not text.strip():
        return None
    try:
        return json_format.loads(text)
    except ValueError as error:
        raise DependencyLied(NAME, f"{path} answered with something that is not JSON", _SAME_PORT) from error
