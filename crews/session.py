"""One question being worked on: its agents, belts, prompts, meter and deadline.

The deadline is hard: a crew works in a thread of its own and is left behind when time is over. What is left behind
can do no harm: its belts refuse every call and its models give no answer any more.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
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
from crews.tasktrace import TaskTrace
from domain.actor import Actor, Role
from domain.brief import Brief
from domain.budget import Amounts, usd
from domain.clock import Clock
from domain.errors import BudgetExhausted, DependencyLied, EvercrewError
from domain.events import Event, Observer
from prompts.library import Prompt, render
from tools.ask import Budget, NoBudget
from tools.gate import Gate
from tools.purse import ASK
from tools.tool import scope_of


@dataclass(frozen=True)
class Limits:
    """What one question may cost: time for all its rounds, tokens, US dollars and model calls (None: no limit).

    `usd_per_token` is what a token costs at most.
    """

    time: timedelta = timedelta(minutes=10)
    tokens: int | None = 400_000
    usd: float | None = None
    usd_per_token: float = 0.0
    calls: int | None = 100

    @property
    def price(self) -> Amounts:
        """Return what is set aside for one question."""
        tokens = self.tokens or 0
        dollars = tokens * self.usd_per_token if self.usd is None else self.usd
        return usd(dollars).plus(Amounts(tokens=tokens))


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
    budget: Budget = field(default_factory=NoBudget)


class Session:
    """The state of one question; agents and models are made afresh for every task."""

    def __init__(self, name: str, brief: Brief, place: Workplace) -> None:
        self.brief = brief
        self.place = place
        limits = place.limits
        self.meter = Meter(limits.tokens, limits.usd, limits.usd_per_token, limits.calls)
        self.reservation = f"{ASK}{brief.cycle_id}/{brief.stage}/{name}"
        self.prompts: dict[str, str] = {}
        self.belts: dict[str, Belt] = {}
        self.traced: dict[str, TaskTrace] = {}
        self._deadline = place.clock.monotonic() + place.limits.time.total_seconds()
        self._told: set[str] = set()

    @contextmanager
    def paid(self) -> Iterator[None]:
        """Set aside what the question may cost, and settle what it did, however it ends.

        Raises:
            BudgetExhausted: there is not so much left; nobody was asked.
            DependencyError: that cannot be found out; nobody was asked.
        """
        self.place.budget.reserve(self.reservation, scope_of(self.brief), self.place.limits.price)
        try:
            yield
        finally:
            self.place.budget.settle(self.reservation, self.meter.used)

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
                within=self.trace(role, task).within,
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
        self.belts[task] = Belt(
            self.place.gate,
            actor,
            scope_of(self.brief),
            seat.tools_for(task),
            limit=seat.max_calls,
            within=self.trace(role, task).within,
        )
        return self.belts[task]

    def trace(self, role: Role, task: str) -> TaskTrace:
        """Return the span of a task."""
        if task not in self.traced:
            self.traced[task] = TaskTrace(self.place.traces, task, role, self.brief)
        return self.traced[task]

    def held(self, task: str) -> str:
        """Return what the tools answered in a task so far, as a block for a prompt."""
        return block(HELD, {"results": self.belts[task].held if task in self.belts else []}, marked=True)

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
        try:
            problem = _begun(work, what).exception(timeout=seconds)
        except FutureTimeout:
            late = BudgetExhausted(f"{what} took longer than {seconds:.3g} s and was given up")
            self.close(late)
            self._traced(late)
            raise late from None
        translated = None if problem is None else self._translated(problem, what)
        self._traced(translated)
        if translated is not None:
            raise translated from problem

    def _traced(self, problem: EvercrewError | None) -> None:
        for task in self.traced.values():
            task.close(f"{type(problem).__name__}: {problem}" if problem is not None else "")

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


def _begun(work: Callable[[], object], what: str) -> Future[object]:
    """Begin the work in a thread that does not keep the process alive: a model that never answers is left behind."""
    done: Future[object] = Future()
    context = contextvars.copy_context()

    def run() -> None:
        with _Handed(done):
            done.set_result(context.run(work))

    threading.Thread(target=run, name=what, daemon=True).start()
    return done


class _Handed:
    """Whatever is raised inside is raised where the result is waited for, and not in this thread."""

    def __init__(self, done: Future[object]) -> None:
        self._done = done

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if error is not None:
            self._done.set_exception(error)
        return True
