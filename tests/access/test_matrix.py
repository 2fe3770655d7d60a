"""Every route by every role: what is let through is what the policy set says, and nothing answers without a caller.

The routes are those of the application itself, so that a new one is in here the moment it exists. A call that is let
through may come to anything but 401, 403 and a defect; most are asked for something that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from domain.access import AccessRequest, AccessRole, ApiAction, Caller
from domain.clock import FrozenClock
from policies.packaged import packaged_policy_files
from policies.pdp import PolicyDecisionPoint
from service.access.guard import OPEN, GuardedRoute, guarded_routes, is_open, unguarded
from service.api.app import create_app
from service.serving.parts import chat_of
from tests.access.browser import Browser
from tests.access.table import BEGIN, in_document, table
from tests.access.test_signin import csrf_of_page
from tests.policies.test_access import TABLE
from tests.support.serving import ROLES, client_as, serving_of

pytestmark = pytest.mark.slow
POINT = PolicyDecisionPoint.from_files(packaged_policy_files())
DOCUMENT = Path(__file__).parents[2] / "docs" / "access.md"
PLAIN = {"cycle_id": "si_2020_01_31_001", "sequence": "999999", "identity": "0" * 12, "name": "nothing"}
# A stream has no end of its own: a caller is let in by its first bytes, which is looked at elsewhere.
STREAMS = re.compile(r"^/api/v1/events$")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    made = serving_of(tmp_path_factory.mktemp("matrix"), clock=FrozenClock(), told=False)
    serving = replace(made, chat=chat_of(made.app, made.access, runs_cycles=False))
    yield create_app(serving)
    serving.access.close()
    serving.app.close()


@pytest.fixture(scope="module")
def clients(app: FastAPI) -> dict[str, Any]:
    """A client for every role, by token, and one for nobody."""
    return {"nobody": client_as(app, None), **{role.value: client_as(app, role) for role in AccessRole}}


@pytest.fixture(scope="module")
def browsers(app: FastAPI) -> dict[str, tuple[Browser, str]]:
    """A browser for every role that is signed in, with the token against forgery."""
    found = {}
    for name, role in ROLES.items():
        browser = Browser(app)
        assert browser.sign_in(name).status_code == 303
        found[str(role)] = (browser, csrf_of_page(browser))
    return found


def calls(app: FastAPI) -> list[tuple[str, str, GuardedRoute]]:
    """Return method and address of every route that carries an action."""
    return [
        (method, re.sub(r"\{(\w+)(?::\w+)?\}", lambda part: PLAIN.get(part[1], "x"), route.path), route)
        for route in guarded_routes(app)
        if route.action is not None and not STREAMS.match(route.path)
        for method in sorted(route.methods - {"HEAD", "OPTIONS"})
    ]


def expected(action: ApiAction, role: str) -> bool:
    """Return what the policy set says of a person who holds one role."""
    caller = Caller(name="x", roles=frozenset({AccessRole(role)}), via="token", person="x")
    allowed = POINT.permits(AccessRequest(caller=caller, action=action, environment="dev")).allowed
    assert allowed is (AccessRole(role) in TABLE[action])
    return allowed


def test_every_route_carries_an_action_or_is_one_of_the_few_that_are_open(app: FastAPI) -> None:
    assert unguarded(app) == []
    carried = {route.action for route in guarded_routes(app)} - {None}
    assert len(guarded_routes(app)) > 60
    assert carried == set(ApiAction)


def test_what_is_open_is_the_short_list_and_nothing_that_changes_anything(app: FastAPI) -> None:
    open_ones = {route.path for route in guarded_routes(app) if route.action is None}
    assert all(is_open(path) for path in open_ones)
    assert {place for place in open_ones if not place.startswith("/webhooks/")} <= {
        *("/healthz", "/readyz", "/metrics", "/static", "/api/v1/auth/token"),
        *("/login", "/login/oidc", "/login/callback", "/logout"),
    }
    assert len(OPEN) == 9


def test_nobody_gets_an_answer_from_any_of_them(app: FastAPI, clients: dict[str, Any]) -> None:
    answered = []
    for method, path, route in calls(app):
        answer = clients["nobody"].request(method, path, follow_redirects=False)
        api = path.startswith(("/api/", "/webhooks/"))
        to_the_form = answer.status_code == 303 and answer.headers["location"].startswith("/login?next=")
        if not (answer.status_code == 401 if api else to_the_form):
            answered.append((method, route.path, answer.status_code))
    assert answered == []


@pytest.mark.parametrize("role", list(AccessRole))
def test_a_token_of_a_role_opens_what_the_policy_set_says(
    app: FastAPI, clients: dict[str, Any], role: AccessRole
) -> None:
    wrong = []
    for method, path, route in calls(app):
        assert route.action is not None
        status = clients[role.value].request(method, path, follow_redirects=False).status_code
        if (status != 403) is not expected(route.action, role.value) or status == 401 or status >= 500:
            wrong.append((method, route.path, route.action.value, status))
    assert wrong == []


@pytest.mark.parametrize("role", list(AccessRole))
def test_a_session_of_a_role_opens_what_the_policy_set_says(
    app: FastAPI, browsers: dict[str, tuple[Browser, str]], role: AccessRole
) -> None:
    browser, token = browsers[role.value]
    wrong = []
    for method, path, route in calls(app):
        assert route.action is not None
        answer = browser.client.request(method, path, headers={"X-CSRF-Token": token})
        status = answer.status_code
        to_the_form = status == 303 and answer.headers["location"].startswith("/login")
        if (status != 403) is not expected(route.action, role.value) or status == 401 or status >= 500 or to_the_form:
            wrong.append((method, route.path, route.action.value, status))
    assert wrong == []


def test_without_the_token_against_forgery_a_session_changes_nothing(
    app: FastAPI, browsers: dict[str, tuple[Browser, str]]
) -> None:
    browser, _ = browsers["admin"]
    through = [
        (method, route.path, status)
        for method, path, route in calls(app)
        if method != "GET" and (status := browser.client.request(method, path).status_code) != 403
    ]
    assert through == []


@pytest.mark.parametrize("role", list(AccessRole))
def test_a_token_without_the_scope_opens_nothing(app: FastAPI, role: AccessRole) -> None:
    client = client_as(app, role, scopes=["view"])
    through = [
        (method, route.path, status)
        for method, path, route in calls(app)
        if route.action is not ApiAction.VIEW
        and (status := client.request(method, path, follow_redirects=False).status_code) != 403
    ]
    assert through == []


def test_a_method_that_a_route_does_not_have_is_no_way_around_it(app: FastAPI, clients: dict[str, Any]) -> None:
    for method in ("PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "FOO"):
        for path in ("/api/v1/auth/users", "/", "/api/v1/cycles"):
            assert clients["nobody"].request(method, path).status_code in (401, 404, 405)


@pytest.mark.parametrize("path", ["//api/v1/cycles", "/api/v1/cycles/", "/API/v1/cycles", "/api/v1/../v1/cycles", "/x"])
def test_another_spelling_of_an_address_is_no_way_around_it(app: FastAPI, clients: dict[str, Any], path: str) -> None:
    assert clients["nobody"].get(path, follow_redirects=False).status_code in (303, 401, 404)


def test_the_document_has_the_table_as_it_is(app: FastAPI) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert BEGIN in text
    assert text == in_document(text, table(guarded_routes(app))), "python -m tests.access.table docs/access.md"
