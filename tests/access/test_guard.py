"""The guard of every route: who is known, what a browser's change has to carry, and that no answer is a no."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient

from domain.access import AccessRequest, AccessRole, ApiAction, Caller
from domain.clock import FrozenClock
from domain.decision import Answer, Decision
from policies.pdp import BrokenPolicies
from service.access.guard import GuardedRoute, guarded_routes, is_open, may, page, unguarded
from service.api.app import create_app
from service.api.problems import install
from tests.access.browser import Browser
from tests.access.setting import ADMIN, VIEWER, Rig
from tests.access.test_signin import csrf_of_page
from tests.support.serving import client_as, serving_of

ME = "/api/v1/auth/me"
STOP = "/api/v1/optimizer/stop"


def problem(answer: Any) -> dict[str, str]:
    """Return the body of an answer that has to be a problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, str] = answer.json()
    return found


def test_without_credentials_the_answer_is_401_and_says_how(served: FastAPI) -> None:
    answer = client_as(served, None).get(ME)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="evercrew"'
    assert "Authorization" in problem(answer)["remedy"]


@pytest.mark.parametrize(
    "shown", ["Bearer", "Bearer ", "Bearer x", "Basic YTpi", "evc_x", "Bearer evc_x", "bearer a.b.c", "Bearer é"]
)
def test_bad_credentials_are_401_and_never_said_again(served: FastAPI, shown: str) -> None:
    client = client_as(served, None)
    answer = client.get(ME, headers={"Authorization": shown.encode()})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="evercrew", error="invalid_token"')
    assert "evc_x" not in answer.text


def test_a_bad_token_is_not_made_good_by_a_session(served: FastAPI) -> None:
    browser = Browser(served)
    browser.sign_in("Cem")
    assert browser.get(ME).json()["via"] == "session"
    assert browser.get(ME, headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_a_refusal_names_the_policy_and_the_remedy(served: FastAPI) -> None:
    answer = client_as(served, "viewer").post(STOP, json={"reason": "a test"})
    assert answer.status_code == 403
    told = problem(answer)
    assert "no policy permits it" in told["detail"]
    assert "role" in told["remedy"]
    narrow = client_as(served, "admin", scopes=["view"]).post(STOP, json={"reason": "a test"})
    assert narrow.status_code == 403
    assert "forbid-api-out-of-scope" in problem(narrow)["detail"]
    assert "scope stop" in problem(narrow)["remedy"]


def test_who_asks_is_looked_at_before_what_is_asked(served: FastAPI) -> None:
    client = client_as(served, None)
    for body in (b"{", b"[]", b"null", b'{"unknown": 1}'):
        assert client.post(STOP, content=body, headers={"Content-Type": "application/json"}).status_code == 401
    viewer = client_as(served, "viewer")
    assert viewer.post(STOP, content=b"{", headers={"Content-Type": "application/json"}).status_code == 403


def test_a_change_from_a_browser_carries_the_token_of_its_session(served: FastAPI) -> None:
    browser, other = Browser(served), Browser(served)
    browser.sign_in("Cem")
    other.sign_in("Cem")
    token, theirs = csrf_of_page(browser), csrf_of_page(other)
    wish = {"label": "ci", "scopes": ["view"]}
    for header in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": theirs}, {"X-CSRF-Token": token[:-1]}):
        answer = browser.client.post("/api/v1/auth/tokens", json=wish, headers=header)
        assert answer.status_code == 403
        assert problem(answer)["type"].endswith("forged")
    away = {"X-CSRF-Token": token, "Origin": "https://evil.example"}
    assert browser.client.post("/api/v1/auth/tokens", json=wish, headers=away).status_code == 403
    made = browser.client.post("/api/v1/auth/tokens", json=wish, headers={"X-CSRF-Token": token})
    assert made.status_code == 201


def test_a_form_may_carry_the_token_as_a_field(served: FastAPI) -> None:
    browser = Browser(served)
    browser.sign_in("Cem")
    token = csrf_of_page(browser)
    assert browser.post("/audit/verify").status_code == 403
    assert browser.post("/audit/verify", {"csrf": "x"}).status_code == 403
    assert browser.post("/audit/verify", {"csrf": token}).status_code in (200, 303)


def test_a_token_in_place_of_a_session_needs_none_against_forgery(served: FastAPI) -> None:
    made = client_as(served, "viewer").post("/api/v1/auth/tokens", json={"scopes": ["view"]})
    assert made.status_code == 201


def test_a_page_that_is_not_for_a_role_says_so_and_a_change_without_a_session_goes_to_the_form(served: FastAPI) -> None:
    browser = Browser(served)
    gone = browser.post("/kill/lift", {"reason": "x"})
    assert (gone.status_code, gone.headers["location"]) == (303, "/login?next=%2F")
    browser.sign_in("Cem")
    assert browser.post("/kill/lift", {"csrf": csrf_of_page(browser), "reason": "x"}).status_code == 403


class Mute:
    """A policy set whose answer is an error."""

    def permits(self, request: AccessRequest) -> Decision:
        return Decision(answer=Answer.DENY, reason="the policy engine failed: of a defect")


@pytest.mark.parametrize("policies", [BrokenPolicies("a bracket"), Mute()], ids=["broken", "error"])
def test_a_set_that_is_broken_or_fails_lets_nobody_do_anything(policies: BrokenPolicies | Mute) -> None:
    rig = Rig(policies=policies)
    rig.add("ann", ADMIN)
    caller = rig.credentials.bearer(rig.signed("ann"))
    for action in ApiAction:
        decision = rig.access.allowed(caller, action)
        assert decision.answer is Answer.DENY
        assert decision.reason


def test_a_broken_policy_folder_is_403_over_http_for_an_admin_too(tmp_path: Path) -> None:
    serving = serving_of(tmp_path, clock=FrozenClock(), told=False)
    shut = replace(serving, access=replace(serving.access, policies=BrokenPolicies("a bracket")))
    client = client_as(create_app(shut), "admin")
    assert client.get(ME).status_code == 403
    assert client.get("/healthz").status_code == 200
    serving.app.close()


def test_a_caller_without_a_role_and_an_environment_nobody_knows_are_denied() -> None:
    rig = Rig()
    nobody = Caller(name="x", roles=frozenset(), via="local", person="x")
    assert not any(rig.access.allowed(nobody, action).allowed for action in ApiAction)
    everything = Caller(name="x", roles=frozenset(AccessRole), via="local", person="x")
    elsewhere = AccessRequest(caller=everything, action=ApiAction.VIEW, environment="moon")
    assert rig.access.policies.permits(elsewhere).policies == ("forbid-api-elsewhere",)


def test_a_machine_does_not_vote_whatever_its_roles() -> None:
    rig = Rig()
    rig.add("robot", ADMIN, machine=True)
    robot = rig.credentials.bearer(rig.signed("robot"))
    assert rig.access.allowed(robot, ApiAction.VOTE).policies == ("forbid-api-vote-by-machine",)
    assert rig.access.allowed(robot, ApiAction.START).allowed


@pytest.mark.parametrize("name", ['"], "roles": ["admin', "Access::admin", "a\\b", "é\u202e", "x" * 200])
def test_no_name_is_more_than_a_name(name: str) -> None:
    rig = Rig()
    viewer = Caller(name=name, roles=frozenset({VIEWER}), via="session", person=name)
    assert rig.access.allowed(viewer, ApiAction.VIEW).allowed
    assert not rig.access.allowed(viewer, ApiAction.MANAGE_ACCESS).allowed


def test_a_route_that_carries_no_action_is_found() -> None:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    install(app)

    @app.get("/forgotten")
    def forgotten() -> str:
        return "open"

    @app.get("/seen")
    def seen(caller: Annotated[Caller, Depends(may(ApiAction.VIEW))]) -> str:
        return caller.name

    @app.get("/shown", dependencies=[Depends(page(ApiAction.VIEW_AUDIT))])
    def shown() -> str:
        return "x"

    assert unguarded(app) == ["/forgotten"]
    assert set(guarded_routes(app)) == {
        GuardedRoute(frozenset({"GET"}), "/forgotten", None),
        GuardedRoute(frozenset({"GET"}), "/seen", ApiAction.VIEW),
        GuardedRoute(frozenset({"GET"}), "/shown", ApiAction.VIEW_AUDIT),
    }
    assert TestClient(app).get("/forgotten").status_code == 200


@pytest.mark.parametrize(
    ("path", "answers_all"),
    [("/healthz", True), ("/healthz/x", False), ("/static", True), ("/loginx", False), ("/login/oidc", True)],
)
def test_what_answers_everybody_is_a_short_list(path: str, answers_all: bool) -> None:
    assert is_open(path) is answers_all
