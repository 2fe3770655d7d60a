"""What an attacker tries: to be a person as a machine, to hide a token, odd text, to learn why, to crowd us out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from adapters.accounts import sqlalchemy as accounts_table
from adapters.accounts.base import Account, AccountKind
from adapters.accounts.passwords import Cost, Passwords
from domain.access import ApiAction, Caller
from domain.clock import FrozenClock
from domain.errors import DependencyUnavailable, InvalidInput
from service.access.keeper import MOST_TOKENS
from service.api.app import create_app
from tests.access.browser import Browser
from tests.access.setting import APPROVER, HOUR, Rig
from tests.access.test_signin import csrf_of_page
from tests.support.serving import client_as, serving_of, token_of

ME, TOKENS = "/api/v1/auth/me", "/api/v1/auth/tokens"
SECRET_HOST = "db7.internal"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[FastAPI]:
    """An application of one test."""
    serving = serving_of(tmp_path, clock=FrozenClock(), told=False)
    yield create_app(serving)
    serving.access.close()
    serving.app.close()


# -- somebody else ----------------------------------------------------------------------------------------------------


def test_a_machine_of_the_provider_does_not_become_a_person_by_a_token_of_its_own() -> None:
    rig = Rig()
    account = Account(
        name="deploy-bot",
        kind=AccountKind.OIDC,
        roles=frozenset({APPROVER}),
        subject="https://login.example bot",
        created_at=rig.clock.now(),
        created_by="openid provider",
    )
    rig.accounts.add(account)
    machine = Caller(name="deploy-bot", roles=account.roles, via="jwt", person=None)
    assert not rig.access.allowed(machine, ApiAction.VOTE).allowed
    with pytest.raises(InvalidInput, match="machine"):
        rig.keeper.give_token(account, "", ["vote"], HOUR, by=machine)
    assert rig.accounts.tokens() == []
    person = machine.model_copy(update={"person": "deploy-bot"})
    assert rig.keeper.give_token(account, "", ["vote"], HOUR, by=person)[1]


def test_a_machine_of_ours_makes_tokens_and_they_are_a_machines() -> None:
    rig = Rig()
    rig.add("robot", APPROVER, machine=True)
    robot, owner = rig.credentials.bearer(rig.signed("robot")), rig.accounts.account("robot")
    assert owner is not None
    _, text = rig.keeper.give_token(owner, "", ["view", "vote"], HOUR, by=robot)
    assert rig.credentials.bearer(text).person is None


# -- tokens that cannot be found --------------------------------------------------------------------------------------


def test_a_token_is_revoked_however_many_newer_ones_there_are(own: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = client_as(own, "viewer")
    old = viewer.post(TOKENS, json={"scopes": ["view"]}).json()
    other = client_as(own, "operator")
    monkeypatch.setattr(accounts_table, "MOST_LISTED", 1)
    assert viewer.post(TOKENS, json={"scopes": ["view"]}).status_code == 201
    place = f"{TOKENS}/{old['about']['id']}"
    assert other.delete(place).status_code == 404
    assert viewer.delete(place).json()["revoked_at"] is not None
    assert client_as(own, None).get(ME, headers={"Authorization": f"Bearer {old['token']}"}).status_code == 401


def test_an_account_has_so_many_tokens_and_no_more_until_one_is_over_or_revoked() -> None:
    rig = Rig()
    rig.add("ann")
    for _ in range(MOST_TOKENS - 1):
        rig.token("ann", lasts=2 * HOUR)
    rig.token("ann", lasts=HOUR)
    with pytest.raises(InvalidInput, match="evercrew tokens revoke") as refused:
        rig.token("ann")
    assert refused.value.field == "account"
    rig.clock.advance(HOUR)
    last = rig.token("ann")
    rig.keeper.revoke_token(next(t for t in rig.accounts.tokens() if t.lives(rig.clock.now())), by="ann")
    assert rig.token("ann") != last


# -- odd text ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["http://[", "http://]", "http://[::1", "null", "", "é"])
def test_an_origin_that_is_none_is_another_site_and_no_defect(served: FastAPI, origin: str) -> None:
    browser = Browser(served)
    shown = {"Origin": origin.encode()}
    fields = {"csrf": browser.form_token(), "name": "Cem", "password": "x" * 12, "next": "/"}
    assert browser.post("/login", fields, headers=shown).status_code == 403
    browser.sign_in("Cem")
    change = {b"Origin": origin.encode(), b"X-CSRF-Token": csrf_of_page(browser).encode()}
    assert browser.client.post(TOKENS, json={"scopes": ["view"]}, headers=change).status_code == 403


def test_a_form_in_a_coding_of_halves_of_characters_is_refused(served: FastAPI) -> None:
    browser = Browser(served)
    browser.sign_in("Cem")
    part = b'--x\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n\\ud800\r\n--x--\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x; charset=unicode_escape"}
    answer = browser.client.post("/audit/verify", content=part, headers=kind)
    assert answer.status_code == 403


@pytest.mark.parametrize("name", ["\x00", "ann\x00", "a\nb", "\x7f"])
def test_what_cannot_be_a_name_is_nobody(own: FastAPI, name: str) -> None:
    form = {"grant_type": "password", "username": name, "password": "x" * 12}
    answer = client_as(own, None).post("/api/v1/auth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("number", ["9" * 20, str(2**53 + 1), "-1", "x"])
def test_a_number_of_an_event_that_no_event_has_is_the_clients_mistake(served: FastAPI, number: str) -> None:
    answer = client_as(served, "viewer").get("/api/v1/events", headers={"Last-Event-ID": number})
    assert answer.status_code == 400
    assert answer.json()["field"] == "Last-Event-ID"


# -- what a stranger is told ------------------------------------------------------------------------------------------


def failing(*_args: Any, **_named: Any) -> Any:
    raise DependencyUnavailable("store", f"no route to {SECRET_HOST} as evercrew", f"Mend {SECRET_HOST}")


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("GET", ME, {"headers": {"Authorization": "Bearer evc_x"}}),
        ("POST", "/api/v1/auth/token", {"data": {"grant_type": "password", "username": "a", "password": "b"}}),
        ("GET", "/cycles", {"cookies": {"evercrew_session": "x"}}),
    ],
)
def test_a_stranger_is_not_told_why_something_has_failed(
    own: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    path: str,
    sent: dict[str, Any],
) -> None:
    client = client_as(own, None)
    for name in ("token", "session", "failures"):
        monkeypatch.setattr(type(own.state.serving.access.accounts), name, failing)
    client.cookies.update(sent.pop("cookies", {}))
    answer = client.request(method, path, **sent)
    assert answer.status_code == 503
    assert SECRET_HOST not in answer.text
    assert any(SECRET_HOST in record.getMessage() for record in caplog.records)


def test_whoever_is_known_is_told_why(own: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_as(own, "admin")
    monkeypatch.setattr(type(own.state.serving.access.accounts), "accounts", failing)
    assert SECRET_HOST in client.get("/api/v1/auth/users").json()["detail"]


# -- a crowd ----------------------------------------------------------------------------------------------------------


class Slow(Passwords):
    """Hashes that take until somebody lets them go."""

    def __init__(self, held: threading.Event) -> None:
        super().__init__(Cost(passes=1, memory_kib=8, lanes=1))
        self.held = held

    def fits(self, kept: str, password: str) -> bool:
        """See `Passwords.fits`."""
        self.held.wait(60)
        return super().fits(kept, password)


def test_however_many_sign_in_whoever_is_known_is_answered(own: FastAPI) -> None:
    held = threading.Event()
    own.state.serving.access.keeper.passwords = Slow(held)
    known = {"Authorization": f"Bearer {token_of(own.state.serving, 'viewer')}"}
    client = client_as(own, None)

    def sign_in(number: int) -> int:
        form = {"grant_type": "password", "username": f"user{number}", "password": "x" * 12}
        return int(client.post("/api/v1/auth/token", data=form).status_code)

    # One event loop for all: else each request has threads of its own.
    with client, ThreadPoolExecutor(60) as threads:
        asked = [threads.submit(sign_in, number) for number in range(60)]
        try:
            assert client.get(ME, headers=known).status_code == 200
            assert not any(each.done() for each in asked)
        finally:
            held.set()
        assert {each.result(timedelta(minutes=1).total_seconds()) for each in asked} <= {400, 429}
