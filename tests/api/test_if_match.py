"""If-Match holds between processes: of two that write at the same moment for the same tag, one is told that it changed.

Two applications stand on one database, as two of `evercrew serve` do. The second writes at the worst moment: when the
first has looked, found what its client saw, and is about to write.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from adapters.autonomy.base import AutonomyPort
from adapters.rules.base import RulesPort
from service.api.app import create_app
from service.api.serving import Serving
from tests.api.conftest import good, made, notes, problem
from tests.contract.postgres import server
from tests.support.flaky import Flaky
from tests.support.serving import serving_of

FLAG, CAP, GATE = "/api/v1/flags/auto_promote", "/api/v1/autonomy/promote", "/api/v1/optimizer/quality-gates/ndcg_at_10"
OVERRIDES = "/api/v1/optimizer/overrides"


@pytest.fixture(scope="module")
def fresh() -> Iterator[Callable[[], str]]:
    with server() as fresh:
        yield fresh


@pytest.fixture(params=["sqlite", "postgresql"])
def two(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Serving, Serving]]:
    """Two applications on one database and one chain."""
    named = {} if request.param == "sqlite" else {"store_url": request.getfixturevalue("fresh")()}
    both = tuple(serving_of(tmp_path, told=False, **named) for _ in range(2))
    yield both[0], both[1]
    for each in both:
        each.app.close()


def meddled(on: Serving, method: str, meddle: Callable[[], object]) -> Serving:
    """Return the application with somebody who comes first where `method` of the store, the rules or caps is called."""

    def once(number: int) -> None:
        if number == 1:
            meddle()

    office, ports = on.app.office, on.app.ports
    book = office.rulebook
    assert book is not None
    rules: RulesPort = Flaky(book._rules, {method: once}) if method in ("add", "end") else book._rules
    caps: AutonomyPort = Flaky(office.autonomy._store, {method: once}) if method == "cap" else office.autonomy._store
    book._rules, office.autonomy._store = rules, caps
    store: Any = Flaky(ports.store, {"set_flag": once}) if method == "set_flag" else ports.store
    return replace(on, app=replace(on.app, ports=replace(ports, store=store)))


Change = Callable[[TestClient, str, dict[str, str]], Any]


def flag(client: TestClient, who: str, headers: dict[str, str]) -> Any:
    wish = {"enabled": False, "environment": "dev", "reason": who}
    return client.put(FLAG, json=wish, headers=headers)


def cap(client: TestClient, who: str, headers: dict[str, str]) -> Any:
    return client.put(f"{CAP}/cap", json={"level": "suggest", "reason": who}, headers=headers)


def gate(client: TestClient, who: str, headers: dict[str, str]) -> Any:
    threshold = "0.65" if who == "first" else "0.7"
    return client.post(GATE, params={"threshold": threshold, "reason": who}, headers=headers)


@pytest.mark.parametrize(
    ("change", "place", "method", "status"),
    [(flag, FLAG, "set_flag", "flag_set"), (cap, CAP, "cap", "autonomy_cap"), (gate, GATE, "add", "override_added")],
)
def test_who_is_overtaken_between_the_look_and_the_write_is_told_and_leaves_no_trace(
    two: tuple[Serving, Serving], change: Change, place: str, method: str, status: str
) -> None:
    second = made(create_app(two[1]), "admin")
    seen = {"If-Match": second.get(place).headers["etag"]}
    overtaking = list[Any]()
    first = made(
        create_app(meddled(two[0], method, lambda: overtaking.append(change(second, "second", seen)))), "admin"
    )
    assert problem(change(first, "first", seen), 412)["field"] == "If-Match"
    good(overtaking[0])
    [(_, body)] = notes(two[0], status)
    assert body.get("details", body)["reason"] == "second"
    assert first.get(place).headers["etag"] == second.get(place).headers["etag"] != seen["If-Match"]
    good(change(first, "first", {"If-Match": first.get(place).headers["etag"]}))
    assert len(notes(two[0], status)) == 2


def test_an_override_that_another_process_ended_meanwhile_is_not_ended_twice(two: tuple[Serving, Serving]) -> None:
    second = made(create_app(two[1]), "admin")
    good(gate(second, "second", {}))
    [known] = good(second.get(OVERRIDES))["items"]
    place = f"{OVERRIDES}/{known['id']}"
    seen = {"If-Match": second.get(place).headers["etag"]}

    def end(client: TestClient, who: str) -> Any:
        return client.post(f"{place}/end", json={"reason": who}, headers=seen)

    first = made(create_app(meddled(two[0], "end", lambda: good(end(second, "second")))), "admin")
    assert problem(end(first, "first"), 412)["field"] == "If-Match"
    assert [body["reason"] for _, body in notes(two[0], "override_ended")] == ["second"]


def test_of_many_that_write_at_once_through_both_one_is_right(two: tuple[Serving, Serving]) -> None:
    clients = [made(create_app(on), "admin") for on in two for _ in range(2)]
    seen = {"If-Match": clients[0].get(FLAG).headers["etag"]}
    together, told = threading.Barrier(len(clients)), list[int]()

    def write(number: int) -> None:
        together.wait(60)
        told.append(flag(clients[number], f"{number}", seen).status_code)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(told) == [200, 412, 412, 412]
    assert len(notes(two[0], "flag_set")) == 1
