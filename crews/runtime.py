"""Asking a crew: a typed answer that was checked and reviewed, or an error.

One round is one CrewAI crew of two tasks. The specialist's task ends in a guardrail: an answer that does not validate
goes back once, with what is wrong with it and what the tools answered so far; after that it is an error. A valid
proposal is checked by a program, and proposal and report become the context of the Supervisor's task. *Revise* leads
to one more round; a second *revise* stops.
"""

from __future__ import annotations

import json
import warnings
from typing import Any, Generic, TypeVar

from crewai import Agent, Crew, Process, Task
from pydantic import BaseModel, ValidationError

from agents.blocks import BRIEF, CHECK, PROPOSAL, REASON, block, complaint, first_json, schema_text
from crews.question import CheckReport, Question, shown_brief
from crews.session import Session, Workplace
from domain.actor import Role
from domain.brief import Answered, Brief
from domain.errors import ModelAnswerInvalid
from domain.plan import Review, ReviewVerdict
from domain.untrusted import Untrusted

T = TypeVar("T", bound=BaseModel)

# CrewAI warns that a guardrail which is a method cannot be written to a checkpoint; there are none.
warnings.filterwarnings("ignore", message=".*callbacks cannot be serialized.*", category=UserWarning)

ROUNDS = 2


def ask(question: Question[T], brief: Brief, place: Workplace) -> Answered[T]:
    """Return the crew's answer.

    Raises:
        ModelAnswerInvalid: an answer did not validate, twice.
        BudgetExhausted: time, tokens, calls or iterations were used up first.
        DependencyError: no model could be had.
    """
    session = Session(question.name, brief, place)
    name = f"crew {question.name}"
    with session.paid(), place.traces.span(name, "chain", {"stage": brief.stage}, cycle_id=brief.cycle_id) as span:
        last = _Round(question, session, 1, "")
        last.run()
        while last.verdict is ReviewVerdict.REVISE and last.number < ROUNDS:
            last = _Round(question, session, last.number + 1, last.revision())
            last.run()
        answered = _answered(session, last)
        span.done({"answer": answered.value, "models": list(answered.models), "stopped": answered.stopped})
        span.tell(tokens=answered.tokens, cost_usd=answered.cost_usd, prompts=dict(answered.prompts))
    return answered


class Answer(Generic[T]):
    """The guardrail of one task: lets through what validates, sends the first that does not back, and raises on the
    second.
    """

    def __init__(self, session: Session, task: str, kind: type[T]) -> None:
        self._session = session
        self._task = task
        self._kind = kind
        self._complaint = ""
        self.value: T | None = None

    def given(self) -> T:
        """Return the answer.

        Raises:
            ModelAnswerInvalid: there is none.
        """
        if self.value is None:
            raise ModelAnswerInvalid(f"{self._task} ended without an answer")
        return self.value

    def __call__(self, output: Any) -> tuple[bool, Any]:
        """Return whether CrewAI may go on, and with what text, or what the agent has to correct."""
        try:
            self.value = self._kind.model_validate(first_json(output.raw))
        except (ValidationError, ValueError) as problem:
            return self._rejected(complaint(problem))
        if self._task in self._session.traced:
            self._session.traced[self._task].answered({"answer": self.value})
        return True, self.context(self.value)

    def context(self, value: T) -> str:
        """Return what the next task is shown of the answer."""
        return json.dumps(value.model_dump(mode="json"))

    def _rejected(self, said: str) -> tuple[bool, str]:
        if self._complaint:
            raise ModelAnswerInvalid(f"{self._task}: the answer did not validate twice: {self._complaint}; then {said}")
        self._complaint = said
        problem = Untrusted(text=said, source="the check of the answer").block()
        return False, self._session.prompt(
            "partials/correction.md", problem=problem, held=self._session.held(self._task)
        )


class _Proposal(Answer[T]):
    """The specialist's answer; a program checks it, and the reviewer is shown both."""

    def __init__(self, question: Question[T], session: Session, number: int) -> None:
        super().__init__(session, question.propose, question.answer)
        self._question = question
        self._number = number
        self.report = CheckReport(ok=False)

    def context(self, value: T) -> str:
        results = self._session.belts[self._question.propose].results
        self.report = self._question.check(value, self._session.brief, results)
        shown = {**self.report.model_dump(mode="json"), "round": self._number}
        if self._question.review:
            self._session.tell("agent", Role.SUPERVISOR, self._question.review, "works")
        return f"{block(PROPOSAL, value.model_dump(mode='json'))}\n\n{block(CHECK, shown)}"


class _Round(Generic[T]):
    """One proposal and its review."""

    def __init__(self, question: Question[T], session: Session, number: int, revision: str) -> None:
        self._question = question
        self._session = session
        self._revision = revision
        self._brief = block(BRIEF, shown_brief(question, session.brief))
        self.number = number
        self.proposal = _Proposal(question, session, number)
        self._review = Answer(session, question.review or "", Review)

    @property
    def verdict(self) -> ReviewVerdict:
        """Return what the review said; where nobody reviews, a valid answer stands."""
        return self._review.given().verdict if self._question.review else ReviewVerdict.ACCEPT

    @property
    def stopped(self) -> str:
        """Return why the answer is not to be acted on, or the empty string."""
        return "" if self.verdict is ReviewVerdict.ACCEPT else self._review.given().reason

    def run(self) -> None:
        """Let the crew work."""
        question, session = self._question, self._session
        agents, tasks = [], []
        proposer, propose = self._proposing()
        agents.append(proposer)
        tasks.append(propose)
        limit = session.place.roster.seat(question.proposer).time_limit
        if question.review:
            reviewer, review = self._reviewing(propose)
            agents.append(reviewer)
            tasks.append(review)
            limit += session.place.roster.seat(Role.SUPERVISOR).time_limit
        session.tell("agent", question.proposer, question.propose, "works")
        session.run(self._crew(agents, tasks).kickoff, limit, question.name)
        if question.review:
            given = self._review.given()
            session.tell("agent", Role.SUPERVISOR, question.review, given.verdict.value, reason=given.reason)

    def revision(self) -> str:
        """Return what the proposer is told for the next round."""
        return self._session.prompt(
            "partials/revision.md",
            reason=block(REASON, {"reason": self._review.given().reason}),
            proposal=block("your earlier proposal", self.proposal.given().model_dump(mode="json")),
            held=self._session.held(self._question.propose),
        )

    def _proposing(self) -> tuple[Agent, Task]:
        question = self._question
        system = self._system(question.propose, question.proposer)
        text = self._session.prompt(
            f"{question.propose}/task.md",
            brief=self._brief,
            schema=schema_text(question.answer),
            revision=self._revision,
            alert=self._alert(),
        )
        agent = self._session.agent(question.proposer, question.propose, question.answer, system)
        return agent, _task(question.propose, text, agent, self.proposal, ())

    def _reviewing(self, propose: Task) -> tuple[Agent, Task]:
        name = self._question.review or ""
        system = self._system(name, Role.SUPERVISOR)
        text = self._session.prompt(
            f"{name}/task.md",
            brief=self._brief,
            schema=schema_text(Review),
            round=self.number,
            alert=self._alert(),
        )
        agent = self._session.agent(Role.SUPERVISOR, name, Review, system)
        return agent, _task(name, text, agent, self._review, (propose,))

    def _system(self, task: str, role: Role) -> str:
        seat = self._session.place.roster.seat(role)
        self._session.prompts[seat.goal.name] = seat.goal.sha256
        return self._session.prompt(f"{task}/system.md", max_calls=seat.max_calls)

    def _alert(self) -> str:
        return self._session.brief.alert.text().block()

    def _crew(self, agents: list[Agent], tasks: list[Task]) -> Crew:
        settings: dict[str, Any] = {
            "name": self._question.name,
            "agents": agents,
            "tasks": tasks,
            "process": Process.sequential,
            "cache": False,
            "memory": False,
            "planning": False,
            "share_crew": False,
            "tracing": False,
            "verbose": False,
        }
        return Crew(**settings)


def _task(name: str, text: str, agent: Agent, guardrail: Answer[Any], context: tuple[Task, ...]) -> Task:
    settings: dict[str, Any] = {
        "name": name,
        "description": text,
        "expected_output": "One JSON object that fits the schema given above, and nothing else.",
        "agent": agent,
        "context": list(context),
        # CrewAI reads the annotations of a guardrail, and cannot read those that are kept as text; a lambda has none.
        "guardrail": lambda output: guardrail(output),
        "guardrail_max_retries": 1,
        # Without a crew-wide payload there is none to add to a prompt; this keeps it so.
        "allow_crewai_trigger_context": False,
    }
    return Task(**settings)


def _answered(session: Session, last: _Round[T]) -> Answered[T]:
    belts = session.belts.values()
    return Answered[Any](
        value=last.proposal.given(),
        models=session.meter.models,
        prompts=dict(sorted(session.prompts.items())),
        calls=tuple(dict.fromkeys(call for belt in belts for call in belt.calls)),
        repeated_calls=sum(belt.repeated for belt in belts),
        revisions=last.number - 1,
        tokens=session.meter.tokens,
        cost_usd=session.meter.cost_usd,
        reservation=session.reservation,
        fallbacks=session.meter.fallbacks,
        stopped=last.stopped,
    )
