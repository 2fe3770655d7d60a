"""Handlers that wait: for so long at most, so many at once; what was begun goes on, and is done once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from domain.clock import FrozenClock
from domain.errors import AuditUnavailable
from service.api import problems
from service.api.background import Background
from service.api.blocking import AT_ONCE, bounded
from service.api.edge import REQUEST_ID, Edge
from service.api.serving import Serving
from tests.api.conftest import Clients, good, notes, problem

SHORT = timedelta(milliseconds=150)


@pytest.fixture
def held() -> threading.Event:
    return threading.Event()


@pytest.fixture
def client(held: threading.Event) -> TestClient:
    app = FastAPI()
    problems.install(app)

    @app.get("/slow")
    @bounded(SHORT)
    def slow() -> str:
        held.wait(30)
        return "late"

    @app.get("/number")
    @bounded()
    def number() -> str:
        return REQUEST_ID.get()

    @app.get("/timeout")
    @bounded()
    def timeout() -> str:
        raise TimeoutError("of the handler's own")

    app.add_middleware(Edge, clock=FrozenClock())
    return TestClient(app, raise_server_exceptions=False)


def test_who_waits_for_too_long_is_told_so_and_what_was_begun_goes_on(
    client: TestClient, held: threading.Event
) -> None:
    answer = client.get("/slow")
    assert "0.15 s" in problem(answer, 503)["detail"]
    assert answer.headers["retry-after"] == "5"
    held.set()
    assert client.get("/slow").json() == "late"


def test_more_than_there_are_threads_for_are_told_to_come_again(client: TestClient, held: threading.Event) -> None:
    with client, ThreadPoolExecutor(AT_ONCE + 4) as threads:
        asked = [threads.submit(client.get, "/slow") for _ in range(AT_ONCE + 4)]
        codes = {each.result(60).status_code for each in asked}
        assert codes == {503}
        held.set()
        assert client.get("/number").status_code == 200


def test_the_number_of_a_request_is_known_in_its_thread(client: TestClient) -> None:
    assert client.get("/number", headers={"X-Request-Id": "mine.7"}).json() == "mine.7"
    assert REQUEST_ID.get() == ""


def test_a_timeout_of_the_handlers_own_is_a_defect_and_no_lack_of_patience(client: TestClient) -> None:
    assert problem(client.get("/timeout"), 500)["type"].endswith("incident")


def test_what_goes_on_in_the_background_is_waited_for(held: threading.Event) -> None:
    background = Background()
    told = background.begin(lambda: held.wait(30))
    assert background.join(SHORT) == 1
    held.set()
    assert background.join(timedelta(seconds=30)) == 0
    assert told.result() is True


def test_nothing_is_switched_that_cannot_be_put_on_record(
    bare: Serving, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = clients("admin")
    before = good(admin.get("/api/v1/flags"))

    def full(*_args: object, **_named: object) -> object:
        raise AuditUnavailable("the disk is full; nothing was recorded")

    with monkeypatch.context() as patched:
        patched.setattr(type(bare.app.audit), "append", full)
        wish = {"enabled": False, "reason": "a freeze"}
        problem(admin.put("/api/v1/flags/auto_promote", json=wish), 503)
        problem(admin.post("/api/v1/optimizer/stop"), 503)
        problem(admin.post("/api/v1/optimizer/quality-gates/ndcg_at_10?threshold=0.7"), 503)
        problem(admin.post("/api/v1/cycles", json={"signal": "ndcg_at_10", "reason": "r"}), 503)
    assert good(admin.get("/api/v1/flags")) == before
    assert good(admin.get("/api/v1/optimizer/overrides"))["items"] == []
    assert bare.app.inbox.counts().waiting == 0
    assert notes(bare, "flag_set") == notes(bare, "kill_on") == []
