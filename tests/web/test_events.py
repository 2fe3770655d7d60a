"""Server-sent events over HTTP: who may listen, resuming, other processes, and clients that go away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from adapters.audit.sqlite import SqliteAudit
from domain.clock import SystemClock
from domain.receipt import RecordKind
from service.api.app import create_app
from service.web.feed import Feed, Hub
from tests.support.serving import client_as, serving_of, token_of
from tests.support.waiting import PATIENCE_S
from tests.web.live import Told, events_of, live
from tests.web.made import entry, note

EVENTS = "/api/v1/events"
ONE = "si_2026_01_01_001"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(serving_of(tmp_path_factory.mktemp("events"), told=False))


@pytest.fixture(scope="module")
def address(app: FastAPI) -> Iterator[str]:
    with live(app) as place:
        yield place


@pytest.fixture(scope="module")
def client(app: FastAPI, address: str) -> Iterator[httpx.Client]:
    token = token_of(app.state.serving, "viewer")
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE_S) as made:
        yield made


def _items(told: Iterator[Told], count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        one = next(told)
        if one.event == "item":
            assert json.loads(one.data)["sequence"] == int(one.id)
            found.append(int(one.id))
    return found


def test_what_happens_reaches_a_client_with_the_number_of_its_record(app: FastAPI, client: httpx.Client) -> None:
    with client.stream("GET", EVENTS) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        told = events_of(answer)
        assert next(told).event == "hello"
        made = note(app.state.serving, ONE, RecordKind.READ)
        assert _items(told, 1) == [made.sequence]


def test_a_client_that_was_cut_off_goes_on_where_it_was(app: FastAPI, client: httpx.Client) -> None:
    with client.stream("GET", EVENTS) as answer:
        told = events_of(answer)
        next(told)
        first = note(app.state.serving, ONE, RecordKind.READ)
        assert _items(told, 1) == [first.sequence]
    missed = [note(app.state.serving, ONE, RecordKind.READ).sequence for _ in range(3)]
    with client.stream("GET", EVENTS, headers={"Last-Event-ID": str(first.sequence)}) as answer:
        told = events_of(answer)
        hello = next(told)
        assert (hello.id, hello.retry) == (str(first.sequence), 2000)
        assert _items(told, 3) == missed


def test_what_another_process_records_is_told_here_too(app: FastAPI, client: httpx.Client) -> None:
    serving = app.state.serving
    with client.stream("GET", EVENTS) as answer:
        told = events_of(answer)
        next(told)
        other = SqliteAudit(Path(serving.app.config.audit_file), SystemClock())
        made = other.append(entry(RecordKind.READ, ONE))
        other.close()
        assert _items(told, 1) == [made.sequence]


def test_the_stream_of_a_cycle_tells_of_no_other(app: FastAPI, client: httpx.Client) -> None:
    head = app.state.serving.app.audit.head().records
    with client.stream("GET", EVENTS, params={"cycle": ONE, "after": head}) as answer:
        told = events_of(answer)
        next(told)
        note(app.state.serving, "si_2026_01_01_002", RecordKind.READ)
        mine = note(app.state.serving, ONE, RecordKind.READ)
        assert _items(told, 1) == [mine.sequence]


def test_a_client_that_goes_away_is_forgotten(app: FastAPI, client: httpx.Client) -> None:
    hub: Hub = app.state.feed_hub
    _nobody_listens(hub, client)
    with client.stream("GET", EVENTS) as answer:
        told = events_of(answer)
        assert next(told).event == "hello"
        assert hub.listening == 1
    _nobody_listens(hub, client)


def _nobody_listens(hub: Hub, client: httpx.Client) -> None:
    """Wait until the streams of tests before are closed on the server's side too."""
    clock = SystemClock()
    began = clock.monotonic()
    while hub.listening and clock.monotonic() - began < 60:
        client.get("/healthz")
    assert hub.listening == 0


def test_nobody_listens_without_a_name(address: str) -> None:
    assert httpx.get(f"{address}{EVENTS}").status_code == 401


@pytest.mark.parametrize("given", ["x", "-1", "1.5", "\u0663", "1 2"])
def test_a_number_that_is_none_is_refused(app: FastAPI, given: str) -> None:
    answer = client_as(app, "viewer").get(EVENTS, headers={"Last-Event-ID": given.encode()})
    assert answer.status_code == 400
    assert answer.json()["field"] == "Last-Event-ID"


def test_too_many_listeners_are_told_so_and_when_to_come_again(tmp_path: Path) -> None:
    app = create_app(serving_of(tmp_path, told=False))
    app.state.feed_hub = Hub(Feed(app.state.serving.app.audit), most=0)
    answer = client_as(app, "viewer").get(EVENTS)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


def test_a_stream_that_lasted_long_enough_ends_by_itself(tmp_path: Path) -> None:
    app = create_app(serving_of(tmp_path, told=False))
    client = client_as(app, "viewer")
    made = note(app.state.serving, ONE, RecordKind.READ)
    app.state.feed_hub = Hub(Feed(app.state.serving.app.audit), longest=timedelta(milliseconds=500))
    answer = client.get(EVENTS, params={"after": made.sequence - 1})
    assert [one.id for one in events_of(answer)] == [str(made.sequence - 1), str(made.sequence)]
