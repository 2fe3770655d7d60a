"""The paths of the REST API that are used here, and one outside it that switches faults."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.argocd.accounts import Account, Accounts
from testbed.argocd.application import as_json, tree
from testbed.argocd.controller import Controller
from testbed.argocd.errors import INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, Problem, SourceError
from testbed.argocd.faults import Fault
from testbed.argocd.source import GitSource
from testbed.argocd.state import View

CONTROL = "/_control/faults"
VERSION = "v3.1.0+testbed"


@dataclass(frozen=True)
class Asked:
    """A request, taken apart."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Mapping[str, Any]
    authorization: str


Answer = Mapping[str, Any]
Route = Callable[[Asked, Mapping[str, str]], Answer]


class Api:
    """Answers requests about one application."""

    def __init__(self, controller: Controller, source: GitSource, accounts: Accounts) -> None:
        self._controller = controller
        self._source = source
        self._accounts = accounts
        one = "/api/v1/applications/(?P<name>[^/]+)"
        self._routes: tuple[tuple[str, str, Route], ...] = (
            ("GET", "/api/version", self._version),
            ("POST", "/api/v1/session", self._login),
            ("GET", "/api/v1/session/userinfo", self._userinfo),
            ("GET", "/api/v1/account/can-i/(?P<resource>[^/]+)/(?P<action>[^/]+)/(?P<sub>.+)", self._can_i),
            ("GET", "/api/v1/applications", self._list),
            ("GET", one, self._get),
            ("GET", f"{one}/resource-tree", self._tree),
            ("GET", f"{one}/revisions/(?P<revision>[^/]+)/metadata", self._metadata),
            ("POST", f"{one}/sync", self._sync),
            ("POST", f"{one}/rollback", self._roll_back),
            ("DELETE", f"{one}/operation", self._terminate),
            ("POST", CONTROL, self._control),
        )

    def answer(self, asked: Asked) -> tuple[int, Answer]:
        """Return status and body."""
        try:
            for method, pattern, route in self._routes:
                match = re.fullmatch(pattern, asked.path)
                if match and method == asked.method:
                    return 200, route(asked, match.groupdict())
            raise Problem(NOT_FOUND, "Not Found")
        except Problem as problem:
            return problem.status, problem.body()
        except SourceError as error:
            return Problem(INVALID_ARGUMENT, str(error)).status, Problem(INVALID_ARGUMENT, str(error)).body()

    # -- who asks --------------------------------------------------------------------------------------------------

    def _version(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        return {"Version": VERSION}

    def _login(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        return {"token": self._accounts.open(str(asked.body.get("username")), str(asked.body.get("password")))}

    def _userinfo(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        if not asked.authorization:
            return {"loggedIn": False}
        return {"loggedIn": True, "username": self._accounts.who(asked.authorization).name, "iss": "argocd"}

    def _can_i(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        account = self._accounts.who(asked.authorization)
        allowed = parts["resource"] == "applications" and parts["action"] in account.rights
        return {"value": "yes" if allowed else "no"}

    # -- the application -------------------------------------------------------------------------------------------

    def _list(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        account = self._accounts.who(asked.authorization)
        seen = "get" in account.rights and asked.query.get("project", self._project) == self._project
        return {"metadata": {}, "items": [self._shown()] if seen else []}

    def _get(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        self._admitted(asked, parts, "get")
        if asked.query.get("refresh"):
            self._controller.reconcile()
        return self._shown()

    def _tree(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        self._admitted(asked, parts, "get")
        return tree(self._controller.application, self._view())

    def _metadata(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        self._admitted(asked, parts, "get")
        commit = self._source.commit(parts["revision"])
        return {"author": commit.author, "date": commit.date, "message": commit.message}

    def _sync(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        account = self._admitted(asked, parts, "sync")
        infos = tuple((str(info["name"]), str(info["value"])) for info in asked.body.get("infos", ()))
        self._controller.sync(str(asked.body.get("revision", "")), account.name, infos)
        return self._shown()

    def _roll_back(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        account = self._admitted(asked, parts, "sync")
        self._controller.roll_back(int(asked.body.get("id", 0)), account.name)
        return self._shown()

    def _terminate(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        self._admitted(asked, parts, "sync")
        self._controller.terminate()
        return {}

    def _control(self, asked: Asked, parts: Mapping[str, str]) -> Answer:
        Accounts.demand(self._accounts.who(asked.authorization), "override")
        try:
            for name, on in asked.body.items():
                self._controller.switch(Fault(name), bool(on))
        except ValueError as error:
            raise Problem(INVALID_ARGUMENT, f"{error}; there are {', '.join(Fault)}") from error
        return {fault.value: fault in self._controller.faults for fault in Fault}

    # -- helpers ---------------------------------------------------------------------------------------------------

    @property
    def _project(self) -> str:
        return self._controller.application.project

    def _admitted(self, asked: Asked, parts: Mapping[str, str], action: str) -> Account:
        """Return who asks; an application that is not there is admitted to only where the project is named."""
        account = self._accounts.who(asked.authorization)
        mine = self._controller.application
        said = {**asked.query, **{name: str(value) for name, value in asked.body.items()}}
        project = said.get("project", "")
        there = parts["name"] == mine.name and said.get("appNamespace", mine.namespace) == mine.namespace
        if not there and not project:
            raise Problem(PERMISSION_DENIED, "permission denied")
        Accounts.demand(account, action)
        if not there or project not in ("", mine.project):
            raise Problem(NOT_FOUND, f'applications.argoproj.io "{parts["name"]}" not found')
        return account

    def _view(self) -> View:
        return self._controller.view()

    def _shown(self) -> Answer:
        return as_json(self._controller.application, self._view())


def parsed(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object of a request's body; raises `Problem`."""
    if not body.strip():
        return {}
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Problem(INVALID_ARGUMENT, f"invalid character in JSON: {error}") from error
    if not isinstance(found, dict):
        raise Problem(INVALID_ARGUMENT, "the body is no JSON object")
    return found
