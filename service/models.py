"""Who answers for an agent: the playbook without a key, an endpoint guarded by it with one; and the crews that ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from adapters.llm.base import ChatPort
from adapters.traces.base import TracesPort
from cycles.ports import Judges
from cycles.taped_chat import TapedChat, fell_back
from domain.actor import Role
from domain.clock import Clock
from domain.events import Event, Observer
from policies.profiles import Profile
from service.settings import Settings
from tools.ask import Budget, NoBudget
from tools.data.examples import Paraphraser
from tools.data.usage import note_usage
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
            on_lost=_lost,
            on_usage=note_usage,
            price=Price(prompt=settings.model_usd_per_1m_tokens, completion=settings.model_usd_per_1m_tokens),
        )

    def noted(what: str) -> None:
        observer(Event(kind="note", cycle_id="", what=what))

    breaker = CircuitBreaker(settings.model, clock)

    def guarded(role: Role) -> ChatPort:
        def told(reason: str) -> None:
            from agents.meter import note_fallback

            fell_back(reason)
            note_fallback(reason)

        return GuardedChat(endpoint(), Playbook(), breaker, told)

    by_model = endpoint().paraphrase if settings.paraphrase_by_model else None
    return guarded, settings.model, by_model


def _lost(tokens: int, cost_usd: float) -> None:
    """An attempt without an answer is paid for by whoever asked: a crew, or the building of a dataset."""
    from agents.meter import note_lost

    note_lost(tokens, cost_usd)
    note_usage(tokens, cost_usd)


@dataclass(frozen=True)
class Paying:
    """Who pays for questions, and what one may cost."""

    budget: Budget = field(default_factory=NoBudget)
    tokens: int = 400_000
    usd: float | None = None
    usd_per_token: float = 0.0


def paying_of(settings: Settings, profile: Profile, budget: Budget) -> Paying:
    """Return who pays: the budget where a model is hosted; the playbook costs nothing."""
    if not settings.openai_api_key:
        return Paying()
    asked = profile.budget
    return Paying(budget, asked.question_tokens, asked.question_usd, settings.model_usd_per_1m_tokens / 1_000_000)


def judges_of(
    gate: Gate,
    chat: Callable[[Role], ChatPort],
    observer: Observer,
    traces: TracesPort,
    clock: Clock,
    paying: Paying | None = None,
) -> Judges:
    """Return the crews; they are built when the first question is asked, or when `warm` is called."""
    return _LateJudges(lambda: _crews(gate, chat, observer, traces, clock, paying or Paying()))


def warm(judges: Judges) -> None:
    """Import and build the crews in the background: by the time a question is asked, nobody waits for it."""
    if isinstance(judges, _LateJudges):
        threading.Thread(target=judges.warm, name="warm-up", daemon=True).start()


def _crews(
    gate: Gate,
    chat: Callable[[Role], ChatPort],
    observer: Observer,
    traces: TracesPort,
    clock: Clock,
    paying: Paying,
) -> Judges:
    from agents.roster import default_roster
    from crews.judges import CrewJudges
    from crews.session import Limits

    limits = Limits(tokens=paying.tokens, usd=paying.usd, usd_per_token=paying.usd_per_token)
    return CrewJudges(
        gate,
        default_roster(),
        lambda role: TapedChat(chat(role)),
        observer,
        traces,
        limits,
        clock=clock,
        budget=paying.budget,
    )


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
