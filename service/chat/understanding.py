"""Who understands a sentence: the playbook, which needs nothing, and a model for the rest.

A model is asked only where the playbook is not sure, and only for one of the typed intents or a text. Where the
sentence says *not*, takes back what it says, tells of what somebody else said, or speaks of what may be, an order that
a model reads in it is not proposed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from agents.operator.doubts import taken_back
from agents.operator.heard import Heard
from agents.operator.interpreter import Interpreter
from agents.operator.reading import Reading
from domain.conversation import Conversation, Message
from domain.intent import Intent, is_write
from service.chat.events import ChatEvent


@dataclass(frozen=True)
class Heed:
    """What a model made of a sentence: an intent, or events of an answer; with what it cost."""

    intent: Intent | None = None
    events: tuple[ChatEvent, ...] = ()
    models: tuple[str, ...] = ()
    tokens: int = 0
    cost_usd: float = 0.0
    problem: str = ""


class Listener(Protocol):
    """A model with tools that understands what the playbook does not."""

    def heed(self, text: str, talk: Conversation, before: Sequence[Message], reading: Reading) -> Heed:
        """Return what it made of the sentence; what went wrong with the model is in `problem`, never raised."""
        ...


class Understanding:
    """Reads sentences for one application."""

    def __init__(self, interpreter: Interpreter, listener: Listener | None = None) -> None:
        self.interpreter = interpreter
        self._listener = listener

    def read(self, text: str, now: datetime) -> Reading:
        """Return what the playbook makes of it."""
        return self.interpreter.read(text, now)

    def more(
        self, text: str, talk: Conversation, before: Sequence[Message], reading: Reading, now: datetime
    ) -> Heed | None:
        """Return what a model makes of it; None where there is none, or it is not to be asked."""
        if self._listener is None:
            return None
        heard = Heard(text, self.interpreter.vocabulary, now)
        heed = self._listener.heed(text, talk, before, reading)
        if heed.intent is not None and is_write(heed.intent):
            in_the_way = heard.nots or taken_back(heard.said) or heard.reported or heard.conditional
            if in_the_way:
                return Heed(problem="what it read is an order, and the sentence gives none", models=heed.models)
        return heed


def plain(events: Sequence[ChatEvent]) -> tuple[Mapping[str, Any], ...]:
    """Return events as plain JSON."""
    return tuple(event.model_dump(mode="json") for event in events)


def text_of(events: Iterator[ChatEvent] | Sequence[ChatEvent]) -> str:
    """Return what an answer says, in one text."""
    parts = []
    for event in events:
        match event.event:
            case "said":
                parts.append(event.text)
            case "proposes":
                parts.append(event.shown)
            case "did":
                parts.append(event.what)
            case "refused":
                parts.append(event.reason)
            case "asks_back":
                parts.append(event.question)
            case _:
                continue
    return "\n".join(parts)
