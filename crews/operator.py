"""An operator's question that needs several specialists: a hierarchical CrewAI process.

The Supervisor is the manager and holds no tool but asking; the co-workers hold the read tools of their seats, behind
the same belt and door as every crew. What comes back is checked like a diagnosis: a claim counts when the call it cites
was made for this question and says so.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from crewai import Agent, Crew, Process, Task

from agents.blocks import BRIEF, block, schema_text
from agents.build import build_agent
from agents.model import CrewModel, Seating
from agents.operator.lead import DELEGATE
from agents.operator.seats import LEAD, TASKS
from crews.runtime import Answer
from crews.session import Session, Workplace
from domain.actor import Role
from domain.brief import Answered
from domain.finding import Finding, Findings, OperatorQuestion
from domain.untrusted import Untrusted
from tools.evidence import held

NAME = "operator"
DELEGATION: Mapping[str, Mapping[str, Any]] = {
    DELEGATE: {
        "type": "function",
        "function": {
            "name": DELEGATE,
            "description": "Ask a co-worker to look into something and answer.",
            "parameters": {
                "type": "object",
                "properties": {
                    "coworker": {"type": "string", "enum": [role.label for role in TASKS]},
                    "task": {"type": "string"},
                    "context": {"type": "string"},
                },
                "required": ["coworker", "task", "context"],
            },
        },
    }
}

# CrewAI warns that a guardrail which is a method cannot be written to a checkpoint; there are none.
warnings.filterwarnings("ignore", message=".*callbacks cannot be serialized.*", category=UserWarning)


def work(question: OperatorQuestion, place: Workplace) -> Answered[Findings]:
    """Return what the specialists found.

    Raises:
        ModelAnswerInvalid: the answer did not validate, twice.
        BudgetExhausted: time, tokens, calls or iterations were used up first.
        DependencyError: no model could be had.
    """
    session = Session(NAME, question.brief(), place)
    name = f"crew {NAME}"
    with session.paid(), place.traces.span(name, "chain", {"stage": "chat"}, cycle_id=question.scope_id) as span:
        team = _Team(question, session)
        limit = sum(
            (place.roster.seat(role).time_limit for role in TASKS), place.roster.seat(Role.SUPERVISOR).time_limit
        )
        session.tell("agent", Role.SUPERVISOR, LEAD, "works")
        session.run(team.crew().kickoff, limit, NAME)
        answered = answered_of(session, team.answer.given())
        span.done({"tokens": answered.tokens, "models": list(answered.models)})
    return answered


def answered_of(session: Session, found: Finding) -> Answered[Findings]:
    """Return a finding with its claims checked against what the tools answered in this session."""
    belts = session.belts.values()
    results = {call: result for belt in belts for call, result in belt.results.items()}
    judged = held(found.claims, results)
    asked = [role.label for role, task in TASKS.items() if task in session.belts and session.belts[task].calls]
    value = Findings(
        summary=found.summary,
        claims=tuple(each.claim for each in judged if each.supported),
        unknown=found.unknown,
        unsupported=sum(not each.supported for each in judged),
        specialists=tuple(asked),
    )
    return Answered[Any](
        value=value,
        models=session.meter.models,
        prompts=dict(sorted(session.prompts.items())),
        calls=tuple(dict.fromkeys(call for belt in belts for call in belt.calls)),
        repeated_calls=sum(belt.repeated for belt in belts),
        tokens=session.meter.tokens,
        cost_usd=session.meter.cost_usd,
        reservation=session.reservation,
        fallbacks=session.meter.fallbacks,
    )


def instructions(session: Session, question: OperatorQuestion, role: Role) -> str:
    """Return the rendered instructions of a specialist: brief and question are in them, whoever asks it what."""
    seat = session.place.roster.seat(role)
    session.prompts[seat.goal.name] = seat.goal.sha256
    return session.prompt(
        f"{TASKS[role]}/system.md",
        max_calls=seat.max_calls,
        schema=schema_text(Finding),
        brief=shown(question),
        question=asked(question),
    )


def shown(question: OperatorQuestion) -> str:
    """Return the typed part of a question as a block."""
    brief = {
        "cycle_id": question.scope_id,
        "stage": "chat",
        "target": question.target,
        "environment": question.environment,
        "alert": {"signal": question.signal, "starts_at": question.since.isoformat()},
    }
    return block(BRIEF, brief)


def asked(question: OperatorQuestion) -> str:
    """Return what the operator wrote, marked."""
    return Untrusted(text=question.text, source="the operator").block()


class _Team:
    """The manager, the co-workers, and the answer of the one task."""

    def __init__(self, question: OperatorQuestion, session: Session) -> None:
        self._question = question
        self._session = session
        self.answer = Answer(session, LEAD, Finding)

    def crew(self) -> Crew:
        """Return the crew, ready to be kicked off."""
        workers = [self._worker(role) for role in TASKS]
        settings: dict[str, Any] = {
            "name": NAME,
            "agents": workers,
            "tasks": [self._task()],
            "manager_agent": self._manager(),
            "process": Process.hierarchical,
            "cache": False,
            "memory": False,
            "planning": False,
            "share_crew": False,
            "tracing": False,
            "verbose": False,
        }
        return Crew(**settings)

    def _worker(self, role: Role) -> Agent:
        text = instructions(self._session, self._question, role)
        return self._session.agent(role, TASKS[role], Finding, text)

    def _manager(self) -> Agent:
        session, place = self._session, self._session.place
        seat, chat = place.roster.seat(Role.SUPERVISOR), place.chat_for(Role.SUPERVISOR)
        session.prompts[seat.goal.name] = seat.goal.sha256
        model = CrewModel.of(
            Seating(
                chat=chat,
                task=LEAD,
                schema=Finding.model_json_schema(),
                functions=DELEGATION,
                meter=session.meter,
                traces=place.traces,
                cycle_id=session.brief.cycle_id,
            )
        )
        return build_agent(seat, model, [], session.prompt(f"{LEAD}/system.md", max_calls=seat.max_calls))

    def _task(self) -> Task:
        text = self._session.prompt(
            f"{LEAD}/task.md",
            coworkers=", ".join(role.label for role in TASKS),
            brief=shown(self._question),
            question=asked(self._question),
            schema=schema_text(Finding),
        )
        settings: dict[str, Any] = {
            "name": LEAD,
            "description": text,
            "expected_output": "One JSON object that fits the schema given above, and nothing else.",
            # CrewAI reads the annotations of a guardrail, and cannot read those that are kept as text.
            "guardrail": lambda output: self.answer(output),
            "guardrail_max_retries": 1,
            "allow_crewai_trigger_context": False,
        }
        return Task(**settings)
