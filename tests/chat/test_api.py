"""Chat over HTTP: events as they come, a confirmation that counts once, and nobody else's conversation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.api.app import create_app
from service.api.serving import Serving
from tests.chat.talking import desk_on
from tests.support.serving import client_as, serving_of

Clients = dict[str | None, Any]


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[Clients]:
    made = serving_of(tmp_path / "served")
    app = create_app(replace(made, chat=desk_on(made)))
    yield {role: client_as(app, role) for role in ("viewer", "operator", "approver", "admin", None)}
    made.app.close()


def events(response: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the server-sent events of an answer."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in response.text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def named(response: Any, name: str) -> dict[str, Any]:
    return next(data for event, data in events(response) if event == name)


def test_an_answer_is_streamed_as_events_named_by_their_kind(clients: Clients) -> None:
    found = events(clients["viewer"].post("/api/v1/chat", json={"text": "how is dev?"}))
    assert [name for name, _ in found][-1] == "done"
    assert {"said", "cites"} <= {name for name, _ in found}
    assert all(data["event"] == name for name, data in found)


def test_an_answer_can_be_had_whole(clients: Clients) -> None:
    answer = clients["viewer"].post("/api/v1/chat?stream=false", json={"text": "how is dev?"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["events"][-1]["event"] == "done"


def test_an_order_is_proposed_confirmed_and_done_once(clients: Clients) -> None:
    operator = clients["operator"]
    asked = operator.post("/api/v1/chat", json={"text": "stop everything in dev"})
    proposed, talk = named(asked, "proposes"), named(asked, "done")["conversation_id"]
    place, body = f"/api/v1/chat/{talk}/confirm", {"proposal_id": proposed["proposal_id"]}
    assert "stopped" in named(operator.post(place, json=body), "did")["what"]
    assert named(operator.post(place, json=body), "refused")


def test_a_conversation_is_listed_shown_and_gone_on_with_by_its_caller_only(clients: Clients) -> None:
    talk = named(clients["operator"].post("/api/v1/chat", json={"text": "help"}), "done")["conversation_id"]
    again = {"text": "how is dev?", "conversation_id": talk}
    assert named(clients["operator"].post("/api/v1/chat", json=again), "done")["conversation_id"] == talk
    assert [c["id"] for c in clients["operator"].get("/api/v1/chat").json()["conversations"]] == [talk]
    assert len(clients["operator"].get(f"/api/v1/chat/{talk}").json()["messages"]) == 4
    assert clients["admin"].get("/api/v1/chat").json()["conversations"] == []
    for other in (clients["admin"].get(f"/api/v1/chat/{talk}"), clients["admin"].post("/api/v1/chat", json=again)):
        assert other.status_code == 422
        assert other.json()["field"] == "conversation"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"text": ""},
        {"text": "   "},
        {"text": "x" * 5000},
        {"text": "hi", "conversation_id": "../etc"},
        {"text": "hi", "more": 1},
        {"text": 7},
        {"text": "hi\x00"},
    ],
)
def test_what_is_no_sentence_is_a_problem_that_names_the_field(clients: Clients, body: dict[str, Any]) -> None:
    answer = clients["operator"].post("/api/v1/chat", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"]


def test_nobody_without_a_token_talks(clients: Clients) -> None:
    assert clients[None].post("/api/v1/chat", json={"text": "help"}).status_code == 401
    assert clients[None].get("/api/v1/chat").status_code == 401


def test_a_viewer_gets_answers_and_proposes_nothing(clients: Clients) -> None:
    found = dict(events(clients["viewer"].post("/api/v1/chat", json={"text": "stop everything in dev"})))
    assert "proposes" not in found
    assert "stop" in found["refused"]["remedy"]


def test_a_service_without_a_chat_says_so(tmp_path: Path) -> None:
    made: Serving = serving_of(tmp_path / "served", told=False)
    answer = client_as(made, "viewer").post("/api/v1/chat", json={"text": "help"})
    made.app.close()
    assert answer.status_code == 503
    assert answer.json()["remedy"]
