"""A chat desk on a served application, and who talks to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.conversations.memory import MemoryConversations
from agents.operator.interpreter import Interpreter
from domain.access import AccessRole, Caller
from service.api.serving import Serving
from service.chat.desk import ChatDesk
from service.chat.events import ChatEvent, Proposes
from service.chat.making import vocabulary_of
from service.chat.understanding import Listener, Understanding

ROLES = {
    "Ann": AccessRole.ADMIN,
    "Bob": AccessRole.APPROVER,
    "Cem": AccessRole.VIEWER,
    "Dora": AccessRole.OPERATOR,
}


def caller(name: str, **changes: Any) -> Caller:
    """Return one of the people, as a session of the service knows them."""
    known: dict[str, Any] = {"name": name, "roles": frozenset({ROLES[name]}), "via": "session", "person": name}
    return Caller(**{**known, **changes})


def desk_on(serving: Serving, *, listener: Listener | None = None, **changes: Any) -> ChatDesk:
    """Return a desk that leaves answers at what the record says, and keeps conversations in memory."""
    understanding = Understanding(Interpreter(vocabulary_of(serving.app)), listener)
    wanted = {"runs_cycles": False, **changes}
    kept = wanted.pop("conversations", None) or MemoryConversations()
    return ChatDesk(serving.app, serving.access, kept, understanding, **wanted)


def heard(events: Iterator[ChatEvent]) -> dict[str, list[Any]]:
    """Return the events of an answer by kind."""
    found: dict[str, list[Any]] = {}
    for event in events:
        found.setdefault(event.event, []).append(event)
    return found


def said(events: Iterator[ChatEvent]) -> str:
    """Return what an answer says, in one text."""
    return "\n".join(event.text for event in heard(events).get("said", []))


def proposed(desk: ChatDesk, who: Caller, sentence: str) -> tuple[str, Proposes]:
    """Return the conversation and the proposal that a sentence leads to."""
    found = heard(desk.ask(who, "", sentence))
    assert "proposes" in found, found
    return found["done"][0].conversation_id, found["proposes"][0]
