"""One question being worked on: its agents, belts, prompts, meter and deadline.

The deadline is hard: a crew works in a thread of its own and is left behind when time is over. What is left behind
can do no harm: its belts refuse every call and its models give no answer any more.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from crewai import Agent
from crewai.tools.tool_failure import ToolExecutionFailedError
from pydantic import BaseModel

from adapters.llm.base import ChatPort, ChatReply
from adapters.traces.base import TracesPort
from agents.blocks import HELD, block, inert
from agents.build import build_agent
from agents.meter import Meter
from agents.model import CrewModel, Seating
from agents.playbook import NAME as PLAYBOOK
from agents.roster import Roster
from agents.toolbelt import Belt
from domain.actor import Actor, Role
from domain.brief import Brief
from domain.clock import Clock
from domain.errors import BudgetExhausted, DependencyLied, EvercrewError
from domain.events import Event, Observer
from prompts.library import Prompt, render
from tools.gate import Gate
from tools.tool import Scope


@dataclass(frozen=True)
class Limits:
    """What one question may cost: time for all its rounds, and tokens (None: no limit)."""

    time: timedelta = timedelta(minutes=10)
    tokens: int | None = 400_000


@dataclass(frozen=True)
class Workplace:
    """What all crews share: the door, the roster, where models come from, and who looks on."""

    gate: Gate
    roster: Roster
    chat_for: Callable[[Role], ChatPort]
    observer: Observer
    traces: TracesPort
    limits: Limits
    clock: Clock


class Session:
    """The state of one question; agents and models are made afresh for every task."""

    def __init__(self, brief: Brief, place: Workplace) -> None:
        self.brief = brief
        self.place = place
        self.meter = Meter(place.limits.tokens)
        self.prompts: dict[str, str] = {}
        self.belts: dict[str, Belt] = {}
        self._deadline = place.clock.monotonic() + place.limits.time.total_seconds()
        self._told: set[str] = set()

    def agent(self, role: Role, task: str, answer: type[BaseModel], system: str) -> Agent:
        """Return a fresh agent for a task, with a model and, where the roster gives it tools, a belt of its own."""
        seat = self.place.roster.seat(role)
        belt = self.belt(role, task)
        chat = self.place.chat_for(role)
        model = CrewModel.of(
            Seating(
                chat=chat,
                task=task,
                schema=answer.model_json_schema(),
                functions=belt.functions(),
                meter=self.meter,
                traces=self.place.traces,
                cycle_id=self.brief.cycle_id,
                answered=lambda reply: self._answered(role, chat.name, reply),
            )
        )
        return build_agent(seat, model, belt.tools(), system)

    def belt(self, role: Role, task: str) -> Belt:
        """Return the task's belt; in a later round it remembers the earlier ones and may call as often again."""
        if task in self.belts:
            self.belts[task].renew()
            return self.belts[task]
        seat = self.place.roster.seat(role)
        actor = Actor(role=role, via="agent")
        self.belts[task] = Belt(self.place.gate, actor, self._scope(), seat.tools_for(task), limit=seat.max_calls)
        return self.belts[task]

    def held(self, task: str) -> str:
        """Return what the tools answered in a task so far, as a block for a prompt."""
        return block(HELD, {"results": self.belts[task].held if task in self.belts else []})

    def prompt(self, name: str, **variables: Any) -> str:
        """Return a rendered prompt whose fingerprint goes into the answer."""
        prompt: Prompt = render(name, **variables)
        self.prompts[name] = prompt.sha256
        return inert(prompt.text)

    def run(self, work: Callable[[], object], limit: timedelta, what: str) -> None:
        """Do the work in a thread of its own, for at most `limit` and not beyond the deadline of the question.

        Raises:
            BudgetExhausted: it took too long, or was stopped for going in circles.
            EvercrewError: what stopped it.
            DependencyLied: CrewAI failed in a way of its own.
        """
        seconds = min(limit.total_seconds(), self._deadline - self.place.clock.monotonic())
        if seconds <= 0:
            raise BudgetExhausted(f"the time for {what} is used up")
        threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix=what)
        try:
            problem = threads.submit(contextvars.copy_context().run, work).exception(timeout=seconds)
        except FutureTimeout:
            late = BudgetExhausted(f"{what} took longer than {seconds:.3g} s and was given up")
            self.close(late)
            raise late from None
        finally:
            threads.shutdown(wait=False)
        if problem is not None:
            raise self._translated(problem, what) from problem

    def close(self, reason: EvercrewError) -> None:
        """Leave the crew without tools and models."""
        self.meter.stop(reason)
        for belt in self.belts.values():
            belt.close()

    def tell(self, kind: str, role: Role, what: str, answer: str, **details: Any) -> None:
        """Tell whoever looks on."""
        self.place.observer(
            Event(
                kind=kind,
                cycle_id=self.brief.cycle_id,
                stage=self.brief.stage,
                who=role.value,
                what=what,
                answer=answer,
                details=details,
            )
        )

    def _translated(self, problem: BaseException, what: str) -> EvercrewError:
        stopped = self.meter.stopped
        if stopped is not None:
            return stopped
        if isinstance(problem, EvercrewError):
            return problem
        if isinstance(problem, ToolExecutionFailedError):
            return BudgetExhausted(f"{what} was stopped: {problem}")
        return DependencyLied("crewai", f"{what} ended with {type(problem).__name__}: {problem}")

    def _answered(self, role: Role, asked: str, reply: ChatReply) -> None:
        if reply.model == PLAYBOOK != asked and not self.meter.fallbacks:
            self.meter.fell_back(f"{asked} -> {reply.model}: it did not answer")
        for reason in self.meter.fallbacks:
            if reason not in self._told:
                self._told.add(reason)
                self.tell("model", role, reply.model, "stepped in", reason=reason)
        if (place := f"{role.value} {reply.model}") not in self._told:
            self._told.add(place)
            self.tell("model", role, reply.model, "answers")

    def _scope(self) -> Scope:
        return Scope(
            cycle_id=self.brief.cycle_id,
            stage=self.brief.stage,
            target=self.brief.target,
            environment=self.brief.environment,
            alert_at=self.brief.alert.starts_at,
            opened_at=datetime.fromisoformat(self.brief.opened_at),
        )
