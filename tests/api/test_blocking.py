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
from service.api import health, problems
from service.api.app import create_app
from service.api.background import Background
from service.api.blocking import AT_ONCE, Crowd, bounded
from service.api.edge import REQUEST_ID, Edge
from service.api.serving import Serving
from tests.api.conftest import Clients, good, notes, problem
from tests.support.waiting import until

SHORT = timedelta(milliseconds=500)


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
    assert "0.5 s" in problem(answer, 503)["detail"]
    assert answer.headers["retry-after"] == "5"
    held.set()
    until(lambda: client.get("/slow").json() == "late")


def test_more_than_there_are_threads_for_are_told_to_come_again(client: TestClient, held: threading.Event) -> None:
    with client, ThreadPoolExecutor(AT_ONCE + 4) as threads:
        asked = [threads.submit(client.get, "/slow") for _ in range(AT_ONCE + 4)]
        codes = {each.result(60).status_code for each in asked}
        assert codes == {503}
        held.set()
        assert client.get("/number").status_code == 200


def test_what_hangs_keeps_its_thread_and_makes_no_more_of_them(held: threading.Event) -> None:
    begun = threading.Semaphore(0)
    app = FastAPI()
    problems.install(app)

    @app.get("/hangs")
    @bounded(SHORT)
    def hangs() -> str:
        begun.release()
        held.wait(120)
        return "late"

    app.add_middleware(Edge, clock=FrozenClock())
    with TestClient(app, raise_server_exceptions=False) as client, ThreadPoolExecutor(AT_ONCE) as threads:
        rounds = running = 0
        while rounds < 3 or running < AT_ONCE:  # on a busy machine some give up before they have a thread
            asked = [threads.submit(client.get, "/hangs") for _ in range(AT_ONCE)]
            assert {each.result(60).status_code for each in asked} == {503}
            running += sum(begun.acquire(blocking=False) for _ in asked)
            rounds += 1
        assert running == AT_ONCE
        held.set()
        until(lambda: client.get("/hangs").json() == "late")


def test_a_crowd_of_one_kind_leaves_the_threads_of_another_alone(held: threading.Event) -> None:
    few, app = Crowd("few", 1), FastAPI()

    @app.get("/few")
    @bounded(timedelta(seconds=30), among=few)
    def one() -> bool:
        return held.wait(30)

    @app.get("/others")
    @bounded(timedelta(seconds=30))
    def others() -> str:
        return "well"

    with TestClient(app) as client, ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(client.get, "/few") for _ in range(3)]
        assert client.get("/others").json() == "well"
        assert not any(each.done() for each in asked)
        held.set()
        assert [each.result(60).json() for each in asked] == [True] * 3


def test_a_part_that_hangs_makes_no_more_and_more_threads_however_often_health_is_asked_for(
    bare: Serving, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Semaphore(0)

    def hangs() -> str:
        begun.release()
        held.wait(30)
        return "well"

    monkeypatch.setattr(health, "PATIENCE", SHORT)
    app = create_app(bare, ready={"hangs": hangs})
    with TestClient(app) as client, ThreadPoolExecutor(40) as threads:
        asked = [threads.submit(client.get, "/readyz") for _ in range(40)]
        assert {each.result(60).status_code for each in asked} == {503}
        assert sum(begun.acquire(blocking=False) for _ in range(40)) <= 16
        held.set()


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
