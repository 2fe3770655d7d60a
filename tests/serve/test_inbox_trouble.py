"""An inbox in trouble: nothing is answered 2xx that is not on disk, and the sender is told to come again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from adapters.inbox.base import InboxFull, NewLetter
from cycles.bodies import Form
from domain.errors import AuditUnavailable, DependencyUnavailable, EvercrewError
from domain.receipt import AuditEntry
from service.api.serving import Serving
from tests.serve.senders import NOON, PATHS, alert, app_of, bearer, body, generic, served, signed


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    found = served(tmp_path)
    yield found
    found.app.close()


@pytest.fixture
def app(serving: Serving) -> FastAPI:
    return app_of(serving)


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


class Troubled:
    """An inbox that refuses letters, or what is to be set aside, for a reason."""

    def __init__(self, inner: Any, putting: EvercrewError | None = None, aside: EvercrewError | None = None) -> None:
        self._inner = inner
        self._putting = putting
        self._aside = aside

    def put(self, letters: Sequence[NewLetter]) -> None:
        """See `InboxPort.put`."""
        if self._putting is not None:
            raise self._putting
        self._inner.put(letters)

    def set_aside(self, text: str, reason: str) -> int:
        """See `InboxPort.set_aside`."""
        if self._aside is not None:
            raise self._aside
        return int(self._inner.set_aside(text, reason))


def troubled(app: FastAPI, **trouble: EvercrewError) -> None:
    receiver = app.state.webhooks
    inbox = Troubled(app.state.serving.app.inbox, **trouble)
    receiver._inbox = receiver._batch._inbox = inbox


@pytest.mark.parametrize(("form", "status"), [(Form.ALERTMANAGER, 503), (Form.GENERIC, 429)])
def test_a_full_inbox_is_told_with_when_to_come_again(
    app: FastAPI, client: TestClient, form: Form, status: int
) -> None:
    troubled(app, putting=InboxFull(100_000, 100_000, timedelta(seconds=10)))
    raw = generic("f1") if form is Form.GENERIC else body(alert())
    answer = client.post(PATHS[form], content=raw, headers=bearer())
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "10")
    assert "nothing of this body was accepted" in answer.json()["remedy"]


def test_a_disk_that_fails_is_a_503_and_the_same_signed_request_is_taken_afterwards(
    app: FastAPI, client: TestClient, serving: Serving
) -> None:
    raw = generic("f1")
    troubled(app, putting=DependencyUnavailable("store", "database is locked", "Find the program that keeps it locked"))
    answer = client.post(PATHS[Form.GENERIC], content=raw, headers=signed(raw, NOON))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert answer.json()["remedy"] == "Find the program that keeps it locked"
    troubled(app)
    again = client.post(PATHS[Form.GENERIC], content=raw, headers=signed(raw, NOON))
    assert (again.status_code, again.json()["accepted"], again.json()["repeated"]) == (200, 1, False)
    assert serving.app.inbox.counts().waiting == 1


def test_what_does_not_fit_and_cannot_be_kept_aside_is_sent_again_and_changes_nothing_twice(
    app: FastAPI, client: TestClient, serving: Serving
) -> None:
    raw = body(alert("f1"), {"status": "on fire"})
    troubled(app, aside=DependencyUnavailable("store", "the disk is full"))
    assert client.post(PATHS[Form.ALERTMANAGER], content=raw, headers=bearer()).status_code == 503
    troubled(app)
    assert client.post(PATHS[Form.ALERTMANAGER], content=raw, headers=bearer()).status_code == 200
    from cycles.intake import take_turn

    turn = take_turn(serving.app.inbox, serving.app.clock)
    assert turn is not None
    assert {fate.value: count for fate, count in turn.fates.items()} == {"opened": 1, "duplicate": 1}


class Deaf:
    """A chain that takes nothing."""

    def append(self, entry: AuditEntry) -> None:
        """See `AuditPort.append`."""
        raise AuditUnavailable("the disk is full")


def test_a_note_that_cannot_be_put_on_record_loses_no_alert(app: FastAPI, client: TestClient, serving: Serving) -> None:
    app.state.webhooks._notes._audit = Deaf()
    answer = client.post(PATHS[Form.ALERTMANAGER], content=body(alert(), truncated=3), headers=bearer())
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    assert serving.app.inbox.counts().waiting == 1


def test_every_answer_is_counted_by_its_word(app: FastAPI, client: TestClient) -> None:
    from service.telemetry.counters import WEBHOOKS

    def count(word: str) -> float:
        return float(WEBHOOKS.labels("generic", word)._value.get())

    words = ("accepted", "unproven", "malformed", "failed")
    before = {word: count(word) for word in words}
    client.post(PATHS[Form.GENERIC], content=generic("f1"), headers=bearer())
    client.post(PATHS[Form.GENERIC], content=generic("f1"))
    client.post(PATHS[Form.GENERIC], content=b"{", headers=bearer())
    troubled(app, putting=DependencyUnavailable("store", "it is away"))
    client.post(PATHS[Form.GENERIC], content=generic("f2"), headers=bearer())
    assert {word: count(word) - before[word] for word in words} == dict.fromkeys(words, 1.0)
