"""A real gate, a real policy point and the memory ports, around tools with real specs whose answers are given.

What the crews, agents and CrewAI itself do here is what they do in service; only what a tool finds is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.audit.memory import MemoryAudit
from adapters.llm.base import ChatPort
from adapters.store.memory import MemoryStore
from adapters.traces.memory import MemoryTraces
from agents.playbook import Playbook
from agents.roster import Roster, default_roster
from crews.judges import CrewJudges
from crews.session import Limits
from domain.actor import Actor, Role
from domain.alert import Alert, AlertStatus
from domain.brief import Brief
from domain.clock import SystemClock
from domain.errors import DependencyUnavailable, EvercrewError
from domain.events import Event
from domain.permit import PermitOffice
from policies.context import CycleFacts, policy_context
from policies.flags import FlagSet
from policies.packaged import packaged_policy_files
from policies.pdp import load_decision_point
from tools.data.dataset import AugmentationPreview
from tools.deliver.live import AbRead
from tools.deliver.release import Promote
from tools.gate import Gate
from tools.model.registry import AttributionRead, RegistryRead
from tools.observe.anomaly import AnomalyCheck
from tools.observe.costs import CostReportRead
from tools.observe.deployments import DeploymentDiff, DeploymentHistory, RuntimeState
from tools.observe.drift import DriftCheck
from tools.observe.etl import EtlCheck
from tools.observe.feedback import FeedbackRead
from tools.observe.logs import LogSearch
from tools.observe.quality import DataQualityReport
from tools.observe.recall import RecallCheck
from tools.observe.relevance import QueryAnalyticsRead
from tools.observe.satisfaction import SatisfactionCheck
from tools.observe.signals import MetricQuery, MetricRange, SignalSnapshot
from tools.observe.similar import SimilarCycles
from tools.observe.vectors import VectorStatusRead
from tools.registry import Registry
from tools.tool import Arguments, Call, Result, Scope, Tool, ToolSpec

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)

KINDS: tuple[type[Tool[Any, Any]], ...] = (
    SignalSnapshot,
    MetricQuery,
    MetricRange,
    AnomalyCheck,
    DriftCheck,
    DataQualityReport,
    DeploymentHistory,
    DeploymentDiff,
    RuntimeState,
    EtlCheck,
    RecallCheck,
    SatisfactionCheck,
    CostReportRead,
    VectorStatusRead,
    QueryAnalyticsRead,
    FeedbackRead,
    LogSearch,
    SimilarCycles,
    AttributionRead,
    RegistryRead,
    AbRead,
    AugmentationPreview,
    Promote,
)

Answer = Result | EvercrewError | Callable[[Any], Result]


class GivenTool(Tool[Any, Any]):
    """A tool with the spec and types of a real one, whose answer is given."""

    def __init__(self, kind: type[Tool[Any, Any]], answers: Mapping[str, Answer], asked: list[str]) -> None:
        self.spec: ToolSpec = kind.spec
        self.input = kind.input
        self.output = kind.output
        self._answers = answers
        self._asked = asked

    def run(self, args: Arguments, call: Call) -> Result:
        self._asked.append(self.spec.name)
        answer = self._answers.get(self.spec.name, DependencyUnavailable(self.spec.name, "nothing is known"))
        if isinstance(answer, EvercrewError):
            raise answer
        given = answer if isinstance(answer, Result) else answer(args)
        typed: Result = self.output.model_validate(given.model_dump())
        return typed


def alert(signal: str = "ndcg_at_10", **annotations: str) -> Alert:
    """Return a firing alert on a signal."""
    return Alert(
        fingerprint="f00d",
        name="SearchQualityDropped",
        status=AlertStatus.FIRING,
        signal=signal,
        target="search",
        environment="dev",
        starts_at=NOW - timedelta(minutes=2),
        annotations=annotations,
    )


def brief(signal: str = "ndcg_at_10", stage: str = "diagnose", facts: Mapping[str, Any] | None = None) -> Brief:
    """Return the context of a question."""
    return Brief(
        cycle_id="si_2026_01_31_001",
        stage=stage,
        target="search",
        environment="dev",
        alert=alert(signal, summary="nDCG@10 fell"),
        opened_at=NOW.isoformat(),
        facts=facts or {},
    )


def given_up(ask: Callable[[timedelta], bool]) -> None:
    """Ask a model that hangs, with a longer time limit until one lets this machine come as far as the model.

    `ask` is given the limit, and returns whether the model was asked before it was over.
    """
    limits = (0.4, 1.6, 6.4, 25.6)
    assert any(ask(timedelta(seconds=limit)) for limit in limits), f"no model was asked within {limits[-1]} s"


def _context(scope: Scope, spec: ToolSpec, args: Mapping[str, Any], actor: Actor) -> Mapping[str, bool | int | str]:
    facts = CycleFacts(
        stage=scope.stage,
        cycles_today=1,
        max_cycles_per_day=6,
        budget_left_cents=1000,
        hour=12,
        calls=1,
        tombstoned=False,
        window_open=True,
        cooling_down=False,
        models_today=0,
        max_models_per_day=3,
        models_at_once=0,
        max_models_at_once=1,
        share_bp=0,
        max_share_bp=5000,
    )
    defaults = {"self_improvement_enabled": True, "ab_testing": True, "auto_promote": True, "auto_rollback": True}
    return policy_context(FlagSet(defaults=defaults), scope.environment, facts)


@dataclass
class Bench:
    """The crews in their workplace, and what was seen of their work: tools that ran, events, records, spans."""

    answers: Mapping[str, Answer]
    chat_for: Callable[[Role], ChatPort] = lambda role: Playbook()
    limits: Limits = field(default_factory=Limits)
    roster: Roster = field(default_factory=default_roster)

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.asked: list[str] = []
        self.events: list[Event] = []
        self.audit = MemoryAudit(clock)
        self.store = MemoryStore()
        self.traces = MemoryTraces()
        self.gate = Gate(
            registry=Registry(GivenTool(kind, self.answers, self.asked) for kind in KINDS),
            pdp=load_decision_point(packaged_policy_files()),
            audit=self.audit,
            store=self.store,
            office=PermitOffice(clock),
            traces=self.traces,
            context=_context,
            observer=self._saw,
        )
        self.judges = CrewJudges(self.gate, self.roster, self.chat_for, self._saw, self.traces, self.limits, clock)

    def _saw(self, event: Event) -> None:
        self.events.append(event)

    def results(self) -> dict[str, Any]:
        """Return what the tools answered, by call, as the engine reads it."""
        return {r.place: r.payload["result"] for r in self.store.recordings("si_2026_01_31_001") if r.kind == "tool"}

    def said(self, kind: str) -> list[tuple[str, str, str]]:
        """Return who, what and answer of the events of a kind."""
        return [(event.who, event.what, event.answer) for event in self.events if event.kind == kind]
