"""Saying no from the page of a cycle: on record first, by whoever may, and never by one slip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from adapters.audit.sqlite import SqliteAudit
from cycles.switches import flags_of
from domain.approval import ApprovalRequest, ApprovalState
from domain.cycle import Cycle
from domain.receipt import AuditEntry, AuditRecord
from domain.stage import Stage
from service.api.app import create_app
from service.api.serving import Serving
from tests.support.serving import PASSWORD, ROLES, serving_of
from tests.web.made import Page

HTML = {"Accept": "text/html"}


@pytest.fixture
def served(tmp_path: Path) -> Serving:
    return serving_of(tmp_path)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    """One for the tests in which nothing is done."""
    return serving_of(tmp_path_factory.mktemp("untouched"))


def signed_in(served: Serving, role: str) -> TestClient:
    """Return a browser in which somebody of a role has signed in."""
    app: FastAPI = create_app(served)
    client = TestClient(app, raise_server_exceptions=False, follow_redirects=False)
    form = Page(client.get("/login", headers=HTML).text)
    mark = next(field["value"] for field in form.named("input") if field.get("name") == "csrf")
    person = next(name for name, held in ROLES.items() if held == role)
    answer = client.post("/login", data={"name": person, "password": PASSWORD, "csrf": mark, "next": "/"})
    assert answer.status_code == 303, answer.text
    return client


def _escalated(served: Serving) -> tuple[Cycle, ApprovalRequest]:
    cycle = next(c for c in served.app.ports.store.cycles() if c.stage is Stage.PROMOTE)
    return cycle, served.app.office.consent.store.requests(cycle_id=cycle.id)[0]


def _mark(client: TestClient, cycle: Cycle) -> str:
    page = Page(client.get(f"/cycles/{cycle.id}", headers=HTML).text)
    return next(meta["content"] for meta in page.named("meta") if meta.get("name") == "csrf-token")


def _post(client: TestClient, cycle: Cycle, way: str, **fields: str) -> Any:
    data = {"csrf": _mark(client, cycle), **fields}
    return client.post(f"/cycles/{cycle.id}/{way}", data=data, headers=HTML)


def _cancelled(served: Serving, cycle: Cycle) -> bool:
    kept = served.app.ports.store.cycle(cycle.id)
    assert kept is not None
    return kept.cancel_requested


def _last(served: Serving) -> AuditRecord:
    return served.app.audit.records()[-1]


def test_an_approver_denies_what_a_cycle_asks_for_and_it_is_on_record(served: Serving) -> None:
    cycle, request = _escalated(served)
    answer = _post(signed_in(served, "approver"), cycle, "deny", approval=request.id, reason="wait for Monday")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/cycles/{cycle.id}?said=denied")
    after = served.app.office.consent.store.request(request.id)
    assert after is not None
    assert after.state(served.clock.now()) is ApprovalState.DENIED
    assert (_last(served).entry.status, _last(served).entry.actor) == ("approval_vote", "Bob")


def test_a_no_without_a_reason_is_no_answer(untouched: Serving) -> None:
    cycle, request = _escalated(untouched)
    answer = _post(signed_in(untouched, "approver"), cycle, "deny", approval=request.id, reason=" ")
    assert answer.status_code == 422
    assert "the crew reads it" in answer.text
    kept = untouched.app.office.consent.store.request(request.id)
    assert kept is not None
    assert not kept.votes


def test_a_request_of_another_cycle_is_not_decided_from_here(untouched: Serving) -> None:
    _, request = _escalated(untouched)
    other = next(c for c in untouched.app.ports.store.cycles() if c.stage is Stage.OBSERVE)
    answer = _post(signed_in(untouched, "approver"), other, "deny", approval=request.id, reason="no")
    assert answer.status_code == 422
    assert f"is no request of {other.id}" in answer.text


def test_an_operator_cancels_a_cycle_by_typing_its_name(served: Serving) -> None:
    cycle, _ = _escalated(served)
    client = signed_in(served, "operator")
    wrong = _post(client, cycle, "cancel", typed="yes")
    assert wrong.status_code == 422
    assert "nothing was done" in wrong.text
    assert not _cancelled(served, cycle)
    answer = _post(client, cycle, "cancel", typed=cycle.id, reason="not now")
    assert answer.status_code == 303
    assert _cancelled(served, cycle)
    told: AuditEntry = _last(served).entry
    assert (told.status, told.actor, told.body["reason"]) == ("cancel_requested", "Dora", "not now")
    shown = Page(client.get(answer.headers["location"], headers=HTML).text).text
    assert "ends at its next step" in shown


def test_an_operator_stops_everything_with_a_word_and_a_reason_and_every_page_says_so(served: Serving) -> None:
    cycle, _ = _escalated(served)
    client, app = signed_in(served, "operator"), served.app
    for fields in ({"typed": "stop production", "reason": "it loops"}, {"typed": "stop dev", "reason": ""}):
        assert _post(client, cycle, "stop", **fields).status_code == 422
        assert not flags_of(app.ports.store, app.profile).killed("dev")
    assert _post(client, cycle, "stop", typed="stop dev", reason="it loops").status_code == 303
    assert flags_of(app.ports.store, app.profile).killed("dev")
    assert (_last(served).entry.status, _last(served).entry.actor) == ("kill_on", "Dora")
    for place in ("/", "/cycles", f"/cycles/{cycle.id}"):
        page = Page(client.get(place, headers=HTML).text)
        assert "Stopped." in page.text, place
        assert "it loops" in page.text, place
        assert "stop" not in {f["action"].rpartition("/")[2] for f in page.named("form") if "action" in f}


@pytest.mark.parametrize(
    ("role", "way"),
    [
        ("viewer", "deny"),
        ("viewer", "cancel"),
        ("viewer", "stop"),
        ("operator", "deny"),
        ("approver", "cancel"),
        ("approver", "stop"),
    ],
)
def test_who_may_not_is_refused_by_a_page_that_says_why_and_nothing_is_done(
    untouched: Serving, role: str, way: str
) -> None:
    cycle, request = _escalated(untouched)
    client = signed_in(untouched, role)
    before = untouched.app.audit.head().records
    typed = {"cancel": cycle.id, "stop": "stop dev"}.get(way, "")
    answer = _post(client, cycle, way, approval=request.id, typed=typed, reason="no")
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert untouched.app.audit.head().records == before


@pytest.mark.parametrize("way", ["deny", "cancel", "stop"])
def test_a_form_of_another_site_changes_nothing(untouched: Serving, way: str) -> None:
    cycle, request = _escalated(untouched)
    client = signed_in(untouched, "admin")
    before = untouched.app.audit.head().records
    fields = {"approval": request.id, "typed": cycle.id if way == "cancel" else "stop dev", "reason": "no"}
    mark = _mark(client, cycle)
    forged = [
        ({**fields}, {}),
        ({**fields, "csrf": "0" * len(mark)}, {}),
        ({**fields, "csrf": mark}, {"Origin": "https://elsewhere.example"}),
    ]
    for data, headers in forged:
        answer = client.post(f"/cycles/{cycle.id}/{way}", data=data, headers={**HTML, **headers})
        assert answer.status_code == 403
    assert untouched.app.audit.head().records == before


def test_what_cannot_be_put_on_record_is_not_done(served: Serving) -> None:
    cycle, _ = _escalated(served)
    client = signed_in(served, "operator")
    fields = {"csrf": _mark(client, cycle), "typed": cycle.id}
    chain = served.app.audit.chain
    assert isinstance(chain, SqliteAudit)
    chain.close()
    answer = client.post(f"/cycles/{cycle.id}/cancel", data=fields, headers=HTML)
    assert answer.status_code == 503
    assert not _cancelled(served, cycle)
