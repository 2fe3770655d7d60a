"""The specialists on a question of an operator: a hierarchical crew, or a group chat of the same five roles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Protocol

from domain.brief import Answered
from domain.conversation import Conversation
from domain.errors import EvercrewError
from domain.finding import Findings, OperatorQuestion
from domain.intent import Explain
from domain.untrusted import one_line
from service.chat.events import ChatEvent, Cite, Said
from service.chat.told import cite, tell

if TYPE_CHECKING:
    from domain.cycle import Cycle
    from service.wiring import App

Orchestrator = Literal["crewai", "autogen"]
# What one question of an operator may take: somebody waits for the answer.
_TIME = timedelta(minutes=3)
_MODEL_CALLS = 60


class Crew(Protocol):
    """Whoever leads the specialists."""

    def __call__(self, question: OperatorQuestion) -> Answered[Findings]:
        """Return what they found.

        Raises:
            ModelAnswerInvalid, BudgetExhausted, DependencyError.
        """
        ...


class Specialists:
    """Puts questions before a crew, which is built at the first one: importing it takes seconds."""

    def __init__(self, app: App, make: Callable[[], Crew]) -> None:
        self._app = app
        self._make = make
        self._made: Crew | None = None

    def work(self, talk: Conversation, intent: Explain, text: str, cycle: Cycle | None) -> Iterator[ChatEvent]:
        """Say what they found, each claim with the call it rests on; what fails is said, and is no answer."""
        question = self._question(talk, intent, text, cycle)
        yield Said(text="The Supervisor asks the specialists to look now.")
        try:
            answered = self._crew()(question)
        except EvercrewError as problem:
            yield Said(text=f"They came to no answer: {one_line(str(problem), 300)}")
            return
        found = answered.value
        yield from tell(*(f"- {one_line(claim.statement, 300)}" for claim in found.claims))
        yield from tell(one_line(found.summary, 500))
        yield from tell(*(f"Not known: {one_line(gap, 200)}" for gap in found.unknown))
        yield from tell(
            f"{found.unsupported} statements had no tool behind them and were left out." if found.unsupported else ""
        )
        calls = dict.fromkeys(claim.call for claim in found.claims)
        yield from cite(*(Cite(kind="call", id=call, of=question.scope_id) for call in calls))

    def _question(self, talk: Conversation, intent: Explain, text: str, cycle: Cycle | None) -> OperatorQuestion:
        config, now = self._app.config, self._app.clock.now()
        since = intent.period.start if intent.period else (cycle.alert.starts_at if cycle else now)
        signals = self._app.contract.signals
        signal = intent.signal or (cycle.alert.signal if cycle else next(iter(signals)))
        return OperatorQuestion(
            scope_id=talk.id,
            text=text,
            signal=signal,
            target=config.target,
            environment=config.environment,
            since=min(since, now),
            asked_at=now,
        )

    def _crew(self) -> Crew:
        if self._made is None:
            self._made = self._make()
        return self._made


def specialists_of(app: App, orchestrator: Orchestrator) -> Specialists:
    """Return the specialists under an orchestrator.

    Raises:
        DependencyUnavailable: it is not installed; names the extra.
    """
    if orchestrator == "autogen":
        from crews.groupchat import check_installed

        check_installed()
    return Specialists(app, lambda: _crew_of(app, orchestrator))


def _crew_of(app: App, orchestrator: Orchestrator) -> Crew:
    from agents.operator.seats import operator_roster
    from crews.session import Limits, Workplace
    from service.models import Paying, paying_of

    purse = app.office.purse
    paying = paying_of(app.settings, app.profile, purse) if purse is not None else Paying()
    limits = Limits(
        time=_TIME, tokens=paying.tokens, usd=paying.usd, usd_per_token=paying.usd_per_token, calls=_MODEL_CALLS
    )
    roster = operator_roster()
    roster.check(app.gate.registry)
    place = Workplace(
        gate=app.gate,
        roster=roster,
        chat_for=app.chat,
        observer=app.office.observer,
        traces=app.traces,
        limits=limits,
        clock=app.clock,
        budget=paying.budget,
    )
    if orchestrator == "autogen":
        from crews.groupchat import discuss

        return lambda question: discuss(question, place)
    from crews.operator import work

    return lambda question: work(question, place)
