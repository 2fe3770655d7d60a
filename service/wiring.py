"""The composition root: builds everything from configuration and settings.

Nothing else constructs clients.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

from adapters.inbox.base import InboxPort
from adapters.llm.base import ChatPort
from adapters.meter import exposition
from adapters.notices.base import NoticesPort
from adapters.requests.base import RequestsPort
from adapters.traces.base import TracesPort
from adapters.workflow.base import SharedWorkflow
from agents.build import REQUIRED_ENVIRONMENT
from cycles.artifacts import Artifacts
from cycles.autonomy import AutonomyRecord
from cycles.context import ContextSource
from cycles.desk import Office
from cycles.engine import Engine
from cycles.intake import Routing
from cycles.ports import Judges
from cycles.rules import Rulebook
from cycles.shelf import Taping
from cycles.tape import witness
from cycles.verify import Evidence
from domain.actor import Role
from domain.clock import Clock, SystemClock
from domain.events import Observer, nobody
from domain.permit import PermitOffice
from learning.seasonal import SeasonalBaseline
from policies.contract import Contract
from policies.profiles import Profile
from service.auditing import anchor_of, audit_of
from service.catalog import catalog
from service.config import Config
from service.consents import consent_of, people_of
from service.contracts import live_contract
from service.database import database_of
from service.executor import Executor, executor_of, fence
from service.models import chat_of, judges_of, paying_of, warm
from service.policyset import live_policies
from service.profile import profile_of
from service.records import rulebook_of
from service.serve_sections import routing_of
from service.settings import Settings, export
from service.site import Site
from service.sources import metrics_of
from service.systems import layout_of
from service.taping import taping_of
from service.toolbox import Ports, toolbox
from service.tracers import traces_of
from service.vendors import (
    accounts_of,
    approvals_of,
    autonomy_of,
    inbox_of,
    ledger_of,
    notices_of,
    ports_of,
    requests_of,
    workflow_of,
)
from tools.consent import Consent
from tools.data.examples import Paraphraser
from tools.gate import Gate
from tools.observe.reading import SignalReader, Windows, judge_of
from tools.purse import Purse, purse_of

if TYPE_CHECKING:
    from adapters.audit.signed import SignedAudit
    from adapters.database import Database
    from policies.live import LivePolicies
    from policies.live_contract import LiveContract

HOUSEKEEPING = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "DVC_NO_ANALYTICS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LANGSMITH_USE_DAEMON": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


@dataclass(frozen=True)
class App:
    """Everything that was built, and how to take it down."""

    config: Config
    settings: Settings
    profile: Profile
    clock: Clock
    ports: Ports
    reader: SignalReader
    audit: SignedAudit
    policies: LivePolicies
    rules: LiveContract
    traces: TracesPort
    gate: Gate
    office: Office
    engine: Engine
    workflow: SharedWorkflow
    executor: Executor | None
    database: Database
    inbox: InboxPort
    requests: RequestsPort
    notices: NoticesPort
    routing: Routing
    chat: Callable[[Role], ChatPort]
    model: str
    _closing: ExitStack

    @property
    def contract(self) -> Contract:
        """The contract as its file stands now, without overrides."""
        return self.rules()

    def evidence(self) -> Evidence:
        """Return the ports a proof is read from."""
        return Evidence(
            store=self.ports.store,
            audit=self.audit,
            artifacts=self.office.artifacts,
            tracking=self.ports.tracking,
            datasets=self.ports.datasets,
            vcs=self.ports.vcs,
            delivery=self.ports.delivery,
            model=self.config.tracking.model,
            layout=layout_of(self.config),
            signed=self.audit,
            policy_hash=self.policies.policy_hash,
        )

    def close(self) -> None:
        """Flush and stop, in the reverse order of building."""
        self._closing.close()


def build(
    config: Config,
    settings: Settings,
    *,
    observer: Observer = nobody,
    clock: Clock | None = None,
    workflow: bool = True,
    slots: int | None = None,
) -> App:
    """Build the application.

    Args:
        workflow: whether cycles will be run; without, workflows of a dead process are left alone.
        slots: how many cycles are worked on at once, by way of the queue that workers share; None for all that are
            started, here.

    Raises:
        ConfigurationError: something of the configuration cannot be used.
        DependencyError: a system that must answer at once does not.
    """
    export({**HOUSEKEEPING, **_crewai_environment(settings), **_mlflow_environment(config, settings)})
    with ExitStack() as closing:
        app = _built(config, settings, clock or SystemClock(), observer, closing, workflow=workflow, slots=slots)
        app._closing.push(closing.pop_all())
    return app


def _built(
    config: Config,
    settings: Settings,
    clock: Clock,
    observer: Observer,
    closing: ExitStack,
    *,
    workflow: bool,
    slots: int | None,
) -> App:
    last = closing.enter_context(ExitStack())  # others go on with our cycles only when nothing of ours writes any more
    base = _base(config, settings, clock, observer, closing)
    chat, model, by_model = chat_of(settings, base.clock, observer)
    gate = _gate(base, by_model, settings.model_usd_per_1m_tokens)
    paying = paying_of(settings, base.profile, base.purse)
    inbox = inbox_of(base.database, base.clock)
    office = _office(base, gate, judges_of(gate, chat, observer, base.traces, base.clock, paying), inbox)
    name, member = settings.executor_id, None
    if workflow:
        member = executor_of(config.workflow_url, base.database, name, base.clock, last)
    if member is not None:
        fence(member, base.database, base.permits, base.audit)
    owner = member.lease.owner if member else name
    machinery = workflow_of(config, base.clock, closing, executor_id=owner, slots=slots)
    engine = Engine(office, machinery)
    if workflow:
        engine.launch()
        if member is not None:
            member.take_over(machinery)
        warm(office.judges)
    return App(
        config=config,
        settings=settings,
        profile=base.profile,
        clock=base.clock,
        ports=base.ports,
        reader=base.reader,
        audit=base.audit,
        policies=base.policies,
        rules=base.rules,
        traces=base.traces,
        gate=gate,
        office=office,
        engine=engine,
        workflow=machinery,
        executor=member,
        database=base.database,
        inbox=inbox,
        requests=requests_of(base.database),
        notices=notices_of(base.database),
        routing=routing_of(
            list(base.rules().signals), config.alert_names, config.target, config.environment, config.routes
        ),
        chat=chat,
        model=model,
        _closing=ExitStack(),
    )


def _tell_metrics(config: Config) -> None:
    """Leave what the adapters counted where a textfile collector finds it."""
    (config.state / "adapters.prom").write_text(exposition(), encoding="utf-8")


@dataclass(frozen=True)
class _Base:
    """What the door, the desk and the engine stand on."""

    config: Config
    profile: Profile
    rules: LiveContract
    clock: Clock
    observer: Observer
    permits: PermitOffice
    audit: SignedAudit
    policies: LivePolicies
    traces: TracesPort
    reader: SignalReader
    ports: Ports
    database: Database
    rulebook: Rulebook
    consent: Consent
    autonomy: AutonomyRecord
    taping: Taping
    purse: Purse


def _base(config: Config, settings: Settings, clock: Clock, observer: Observer, closing: ExitStack) -> _Base:
    profile = profile_of(config)
    permits = PermitOffice(clock)
    audit = audit_of(config, clock, closing, key=settings.audit_key, observer=observer)
    rules = live_contract(config, profile, clock=clock, audit=audit, observer=observer)
    policies = live_policies(config.policies, clock=clock, audit=audit, observer=observer)
    closing.callback(_tell_metrics, config)
    site = Site(config, settings, permits, clock, closing, anchor_of(audit))
    metrics = metrics_of(site)
    measure = profile.measure
    windows = Windows(current=measure.current, baseline=measure.baseline, gap=measure.gap)
    seasonal = SeasonalBaseline() if measure.baseline_kind == "seasonal" else None
    database = database_of(config, closing)
    rulebook = rulebook_of(database, rules, audit, clock, profile, observer)
    reader = SignalReader(metrics, catalog(config), windows, judge_of(rulebook.contract), clock, seasonal)
    ports = ports_of(site, metrics, database)
    traces = traces_of(config, settings, clock, closing, ports.store)
    consent = consent_of(
        approvals_of(database),
        people=people_of(config.people),
        profile=profile,
        pdp=policies,
        audit=audit,
        store=ports.store,
        clock=clock,
        observer=observer,
        accounts=accounts_of(database),
    )
    taping = taping_of(policies, settings)
    return _Base(
        config,
        profile,
        rules,
        clock,
        observer,
        permits,
        audit,
        policies,
        traces,
        reader,
        ports,
        database,
        rulebook,
        consent,
        AutonomyRecord(autonomy_of(database), audit, clock, profile.autonomy),
        taping,
        purse_of(ledger_of(database, clock), profile, clock, observer),
    )


def _gate(base: _Base, by_model: Paraphraser | None, usd_per_1m_tokens: float) -> Gate:
    tools = toolbox(
        base.ports,
        base.reader,
        base.profile,
        base.config.jobs,
        base.clock,
        model=base.config.tracking.model,
        bundles=base.config.state / "bundles",
        code_revision=f"evercrew {metadata.version('evercrew')}",
        artifacts=base.config.state / "artifacts",
        by_model=by_model,
        observer=base.observer,
        layout=layout_of(base.config),
        retention=base.config.tracking.retention,
        permits=base.permits,
        usd_per_1m_tokens=usd_per_1m_tokens,
    )
    return Gate(
        registry=tools,
        pdp=base.policies,
        audit=base.audit,
        store=base.ports.store,
        office=base.permits,
        traces=base.traces,
        context=ContextSource(
            base.ports.store,
            base.clock,
            base.profile,
            base.rules(),
            base.purse,
            base.autonomy.level_of,
            live=base.rules,
        ),
        approvals=base.consent,
        budget=base.purse,
        clock=base.clock,
        observer=base.observer,
        witness=witness,
    )


def _office(base: _Base, gate: Gate, judges: Judges, inbox: InboxPort) -> Office:
    return Office(
        gate=gate,
        judges=judges,
        store=base.ports.store,
        audit=base.audit,
        retrieval=base.ports.retrieval,
        traces=base.traces,
        artifacts=Artifacts(base.config.state / "artifacts"),
        clock=base.clock,
        profile=base.profile,
        contract=base.rules(),
        live_contract=base.rules,
        observer=base.observer,
        consent=base.consent,
        autonomy=base.autonomy,
        purse=base.purse,
        taping=base.taping,
        rulebook=base.rulebook,
        incidents=inbox,
    )


def _mlflow_environment(config: Config, settings: Settings) -> dict[str, str]:
    """MLflow takes its credentials and the address of an S3 store from the environment."""
    told = {
        "MLFLOW_S3_ENDPOINT_URL": config.tracking.s3_endpoint_url,
        "MLFLOW_TRACKING_TOKEN": settings.tracking_token,
        "MLFLOW_TRACKING_USERNAME": config.tracking.username,
        "MLFLOW_TRACKING_PASSWORD": settings.tracking_password,
    }
    return {name: value for name, value in told.items() if value}


def _crewai_environment(settings: Settings) -> dict[str, str]:
    storage = settings.home.expanduser().resolve() / "crewai"
    storage.mkdir(parents=True, exist_ok=True)
    return {**REQUIRED_ENVIRONMENT, "CREWAI_STORAGE_DIR": str(storage)}
