"""A served application for tests that only read, and one of its own for each that writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.api import health
from service.api.app import create_app
from service.api.serving import Serving
from tests.support.serving import client_as, serving_of

Clients = Callable[[str], TestClient]


@pytest.fixture(autouse=True)
def parts_have_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a part is well is no question of how busy the machine is; tests of that say so themselves."""
    monkeypatch.setattr(health, "PATIENCE", timedelta(minutes=1))


@pytest.fixture(scope="package")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    """An application whose record nobody changes."""
    serving = serving_of(tmp_path_factory.mktemp("served"))
    yield create_app(serving)
    serving.app.close()


@pytest.fixture(scope="package")
def viewer(read_only: FastAPI) -> TestClient:
    """Somebody who may look."""
    return made(read_only, "viewer")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Serving]:
    """What an application of one test stands on."""
    serving = serving_of(tmp_path)
    yield serving
    serving.app.close()


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Serving]:
    """The same on the record alone, for tests that ask nothing of the platform behind it; much sooner there."""
    serving = serving_of(tmp_path, world=False)
    yield serving
    serving.app.close()


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Serving]:
    """The same with nothing in its record, for tests that need no cycle."""
    serving = serving_of(tmp_path, told=False)
    yield serving
    serving.app.close()


@pytest.fixture
def clients(request: pytest.FixtureRequest) -> Clients:
    """Clients by role, of the application of this test; the same one for the same role."""
    name = next((name for name in ("bare", "recorded") if name in request.fixturenames), "served")
    app, known = create_app(request.getfixturevalue(name)), dict[str, TestClient]()

    def of(role: str) -> TestClient:
        if role not in known:
            known[role] = made(app, role)
        return known[role]

    return of


def made(app: FastAPI, role: str | None) -> TestClient:
    """Return a client of a role."""
    client = client_as(app, role)
    assert isinstance(client, TestClient)
    return client


def problem(response: Any, status: int) -> dict[str, Any]:
    """Return the problem that an answer has to be."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["remedy"], body
    assert body["instance"] == response.headers["x-request-id"]
    return body


def good(response: Any, status: int = 200) -> dict[str, Any]:
    """Return the content of an answer that has to be one."""
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found


def notes(served: Serving, status: str) -> list[tuple[str, dict[str, Any]]]:
    """Return who put what on record under a status."""
    records = served.app.audit.records()
    return [(r.entry.actor, dict(r.entry.body)) for r in records if r.entry.status == status]
