"""Who answers for an agent: the playbook without a key, an endpoint guarded by it with one; and the crews that ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from adapters.llm.base import ChatPort
from adapters.traces.base import TracesPort
from cycles.ports import Judges
from domain.actor import Role
from domain.clock import Clock
from domain.events import Event, Observer
from service.settings import Settings
from tools.data.examples import Paraphraser
from tools.gate import Gate


def chat_of(
    settings: Settings, clock: Clock, observer: Observer
) -> tuple[Callable[[Role], ChatPort], str, Paraphraser | None]:
    """Return a model for each role, its name, and who writes paraphrases. Without a key all of it is the playbook."""
    from agents.playbook import Playbook

    if not settings.openai_api_key:
        return (lambda role: Playbook()), "playbook", None
    from adapters.llm.breaker import CircuitBreaker, GuardedChat
    from adapters.llm.openai import OpenAIChat, Price

    def endpoint() -> OpenAIChat:
        return OpenAIChat(
            model=settings.model,
            api_key=settings.openai_api_key,
            clock=clock,
            base_url=settings.openai_base_url,
            timeout=timedelta(seconds=settings.model_timeout_s),
            on_note=noted,
            price=Price(prompt=settings.model_usd_per_1m_tokens, completion=settings.model_usd_per_1m_tokens),
        )

    def noted(what: str) -> None:
        observer(Event(kind="note", cycle_id="", what=what))

    breaker = CircuitBreaker(settings.model, clock)

    def guarded(role: Role) -> ChatPort:
        def told(reason: str) -> None:
            from agents.meter import note_fallback

            note_fallback(reason)

        return GuardedChat(endpoint(), Playbook(), breaker, told)

    by_model = endpoint().paraphrase if settings.paraphrase_by_model else None
    return guarded, settings.model, by_model


def judges_of(
    gate: Gate, chat: Callable[[Role], ChatPort], observer: Observer, traces: TracesPort, clock: Clock
) -> Judges:
    """Return the crews; they are built when the first question is asked, or when `warm` is called."""
    return _LateJudges(lambda: _crews(gate, chat, observer, traces, clock))


def warm(judges: Judges) -> None:
    """Import and build the crews in the background: by the time a question is asked, nobody waits for it."""
    if isinstance(judges, _LateJudges):
        threading.Thread(target=judges.warm, name="warm-up", daemon=True).start()


def _crews(
    gate: Gate, chat: Callable[[Role], ChatPort], observer: Observer, traces: TracesPort, clock: Clock
) -> Judges:
    from agents.roster import default_roster
    from crews.judges import CrewJudges

    return CrewJudges(gate, default_roster(), chat, observer, traces, clock=clock)


class _LateJudges:
    """Builds the crews at the first question: importing them takes seconds that `cycles list` need not wait."""

    def __init__(self, make: Callable[[], Judges]) -> None:
        self._make = make
        self._made: Judges | None = None
        self._lock = threading.Lock()

    def warm(self) -> Judges:
        """Build the crews now, or wait for whoever does."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def __getattr__(self, name: str) -> Any:
        return getattr(self.warm(), name)
