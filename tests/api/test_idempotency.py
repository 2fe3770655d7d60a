"""A write that is sent again is not done again: not at once, not later, not after a restart, and for nobody else."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from adapters.requests.base import RequestsPort
from cycles.rules import Rulebook
from domain.errors import DependencyUnavailable
from service.api.app import create_app
from service.api.idempotency import KEEP, LEASE
from service.api.serving import Serving
from tests.api.conftest import Clients, good, made, notes, problem
from tests.support.serving import serving_of

STOP = "/api/v1/optimizer/stop"
OVERRIDES = "/api/v1/optimizer/overrides"
WISH = {"kind": "limit", "name": "latency_p95_ms", "threshold": 900.0, "reason": "a migration"}
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def test_the_same_again_is_answered_as_before_and_not_done(bare: Serving, clients: Clients) -> None:
    admin = clients("admin")
    first = admin.post(OVERRIDES, json=WISH, headers=KEY)
    good(first, 201)
    assert "idempotency-replayed" not in first.headers
    again = admin.post(OVERRIDES, json=WISH, headers=KEY)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert len(notes(bare, "override_added")) == 1
    good(admin.post(OVERRIDES, json=WISH), 201)
    good(admin.post(OVERRIDES, json=WISH), 201)
    assert len(notes(bare, "override_added")) == 3


def test_a_key_stands_for_one_request(bare: Serving, clients: Clients) -> None:
    admin = clients("admin")
    good(admin.post(OVERRIDES, json=WISH, headers=KEY), 201)
    for path, body in ((OVERRIDES, {**WISH, "threshold": 901.0}), (STOP, {"reason": "x"})):
        told = problem(admin.post(path, json=body, headers=KEY), 422)
        assert told["field"] == "Idempotency-Key"
    assert notes(bare, "kill_on") == []


def test_a_key_belongs_to_its_caller(bare: Serving, clients: Clients) -> None:
    for role in ("admin", "operator"):
        answer = clients(role).post(STOP, json={"reason": role}, headers=KEY)
        assert good(answer)["switch"]["details"]["reason"] == role
    assert [actor for actor, _ in notes(bare, "kill_on")] == ["Ann", "Dora"]


def test_what_was_refused_is_refused_again_without_being_looked_at(bare: Serving, clients: Clients) -> None:
    admin = clients("admin")
    wrong = {**WISH, "name": "happiness"}
    first = problem(admin.post(OVERRIDES, json=wrong, headers=KEY), 422)
    again = admin.post(OVERRIDES, json=wrong, headers=KEY)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/problem+json"
    assert {**again.json(), "instance": ""} == {**first, "instance": ""}


def test_what_failed_for_now_can_be_made_again_under_its_key(
    bare: Serving, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_args: object, **_named: object) -> object:
        raise DependencyUnavailable("store", "is away")

    admin = clients("admin")
    with monkeypatch.context() as patched:
        patched.setattr(Rulebook, "add", away)
        assert admin.post(OVERRIDES, json=WISH, headers=KEY).status_code == 503
    good(admin.post(OVERRIDES, json=WISH, headers=KEY), 201)
    assert len(notes(bare, "override_added")) == 1


def test_a_defect_leaves_the_key_free(bare: Serving, clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_named: object) -> object:
        raise KeyError("a defect")

    admin = clients("admin")
    with monkeypatch.context() as patched:
        patched.setattr(Rulebook, "add", broken)
        assert admin.post(OVERRIDES, json=WISH, headers=KEY).status_code == 500
    good(admin.post(OVERRIDES, json=WISH, headers=KEY), 201)


def test_of_many_at_once_one_is_done_and_the_others_are_told_to_come_again(
    bare: Serving, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, held = threading.Event(), threading.Event()
    add = Rulebook.add

    def slowly(book: Any, override: Any, **more: Any) -> Any:
        begun.set()
        held.wait(30)
        return add(book, override, **more)

    monkeypatch.setattr(Rulebook, "add", slowly)
    admin = clients("admin")
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(admin.post, OVERRIDES, json=WISH, headers=KEY)
        assert begun.wait(30)
        others = [threads.submit(admin.post, OVERRIDES, json=WISH, headers=KEY) for _ in range(5)]
        for other in others:
            told = problem(other.result(30), 409)
            assert (told["field"], other.result().headers["retry-after"]) == ("Idempotency-Key", "5")
        held.set()
        good(first.result(30), 201)
    assert admin.post(OVERRIDES, json=WISH, headers=KEY).json() == first.result().json()
    assert len(notes(bare, "override_added")) == 1


def test_an_answer_outlives_the_process(tmp_path: Path) -> None:
    told = []
    for _process in range(2):
        serving = serving_of(tmp_path, told=False)
        told.append(made(create_app(serving), "admin").post(OVERRIDES, json=WISH, headers=KEY))
        assert len(notes(serving, "override_added")) == 1
        serving.app.close()
    assert told[0].json() == told[1].json()
    assert told[1].headers["idempotency-replayed"] == "true"


def test_what_a_dead_process_began_is_taken_up_when_its_lease_is_over(bare: Serving, clients: Clients) -> None:
    admin = clients("admin")
    requests, clock = bare.app.requests, bare.clock
    ticket = left_behind(requests, admin, bare)
    problem(admin.post(OVERRIDES, json=WISH, headers=KEY), 409)
    clock.sleep(LEASE)
    answer = admin.post(OVERRIDES, json=WISH, headers=KEY)
    good(answer, 201)
    from adapters.requests.base import Answer

    late = Answer(status=500, media_type="text/plain", body="too late")
    assert not requests.finish(ticket, late, at=clock.now())
    assert admin.post(OVERRIDES, json=WISH, headers=KEY).json() == answer.json()


def left_behind(requests: RequestsPort, admin: TestClient, served: Serving) -> str:
    """Begin the request as a process does that dies with it."""
    seen: list[str] = []
    begin = requests.begin

    def noted(caller: str, key: str, request: str, *, at: Any, lease: timedelta) -> Any:
        seen.append(request)
        raise DependencyUnavailable("store", "is away")

    requests.begin = noted  # type: ignore[method-assign]
    assert admin.post(OVERRIDES, json=WISH, headers=KEY).status_code == 503
    requests.begin = begin  # type: ignore[method-assign]
    ticket = begin("Ann", KEY["Idempotency-Key"], seen[0], at=served.clock.now(), lease=LEASE)
    assert isinstance(ticket, str)
    return ticket


def test_old_answers_are_forgotten_in_their_time(bare: Serving, clients: Clients) -> None:
    admin = clients("admin")
    good(admin.post(OVERRIDES, json=WISH, headers=KEY), 201)
    bare.clock.sleep(KEEP + timedelta(hours=2))
    for _ in range(2):
        assert bare.app.requests.prune(bare.clock.now() - KEEP) in (0, 1)
    fresh = made(create_app(bare), "admin")
    assert "idempotency-replayed" not in fresh.post(OVERRIDES, json=WISH, headers=KEY).headers
    assert len(notes(bare, "override_added")) == 2


@pytest.mark.parametrize("key", ["a" * 129, "a b", "\u00e9"])
def test_a_key_that_is_none_is_refused(bare: Serving, clients: Clients, key: str) -> None:
    answer = clients("admin").post(STOP, headers={b"Idempotency-Key": key.encode("latin-1")})
    assert problem(answer, 422)["field"].lower() == "header.idempotency-key"
    assert notes(bare, "kill_on") == []
