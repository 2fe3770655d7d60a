"""The composition root: builds everything from configuration and settings.

Nothing else constructs clients.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from adapters.audit.base import AuditPort
from adapters.llm.base import ChatPort
from adapters.meter import exposition
from adapters.traces.base import TracesPort
from agents.build import REQUIRED_ENVIRONMENT
from cycles.artifacts import Artifacts
from cycles.context import ContextSource
from cycles.desk import Office
from cycles.engine import Engine
from cycles.intake import Routing
from cycles.ports import Judges
from cycles.verify import Evidence
from domain.actor import Role
from domain.clock import Clock, SystemClock
from domain.errors import ConfigurationError
from domain.events import Observer, nobody
from domain.measurement import Measurement
from domain.permit import PermitOffice
from domain.verdict import Verdict
from learning.seasonal import SeasonalBaseline
from policies.contract import Contract, breached, load_contract
from policies.packaged import packaged_contract, packaged_policy_files, packaged_profile
from policies.profiles import Profile, load_profile
from service.catalog import catalog
from service.config import Config
from service.models import chat_of, judges_of, warm
from service.settings import Settings, export
from service.site import Site
from service.sources import metrics_of
from service.systems import layout_of
from service.toolbox import Ports, toolbox
from service.vendors import audit_of, ports_of, traces_of, workflow_of
from tools.data.examples import Paraphraser
from tools.gate import Gate
from tools.observe.reading import SignalReader, Windows

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
    contract: Contract
    clock: Clock
    ports: Ports
    reader: SignalReader
    audit: AuditPort
    traces: TracesPort
    gate: Gate
    office: Office
    engine: Engine
    routing: Routing
    chat: Callable[[Role], ChatPort]
    model: str
    _closing: ExitStack

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
        )

    def close(self) -> None:
        """Flush and stop, in the reverse order of building."""
        self._closing.close()


def profile_of(config: Config) -> Profile:
    """Return the environment's profile: the packaged one, or the configuration's own.

    Raises:
        ConfigurationError: it cannot be read, or is of another environment.
    """
    if config.profile is None:
        return load_profile(packaged_profile(config.environment), file=f"{config.environment}.yaml")
    try:
        text = config.profile.read_text(encoding="utf-8")
    except OSError as problem:
        raise ConfigurationError("profile", f"cannot be read: {problem}", "Name a readable file") from problem
    return load_profile(text, file=config.profile.name)


def build(
    config: Config,
    settings: Settings,
    *,
    observer: Observer = nobody,
    clock: Clock | None = None,
    workflow: bool = True,
) -> App:
    """Build the application.

    Args:
        workflow: whether cycles will be run; without, workflows of a dead process are left alone.

    Raises:
        ConfigurationError: something of the configuration cannot be used.
        DependencyError: a system that must answer at once does not.
    """
    export({**HOUSEKEEPING, **_crewai_environment(settings), **_mlflow_environment(config, settings)})
    with ExitStack() as closing:
        app = _built(config, settings, clock or SystemClock(), observer, closing, workflow=workflow)
        app._closing.push(closing.pop_all())
    return app


def _built(
    config: Config, settings: Settings, clock: Clock, observer: Observer, closing: ExitStack, *, workflow: bool
) -> App:
    base = _base(config, settings, clock, observer, closing)
    chat, model, by_model = chat_of(settings, base.clock, observer)
    gate = _gate(base, by_model)
    office = _office(base, gate, judges_of(gate, chat, observer, base.traces, base.clock))
    engine = Engine(office, workflow_of(config, settings, base.clock, closing))
    if workflow:
        engine.launch()
        warm(office.judges)
    return App(
        config=config,
        settings=settings,
        profile=base.profile,
        contract=base.contract,
        clock=base.clock,
        ports=base.ports,
        reader=base.reader,
        audit=base.audit,
        traces=base.traces,
        gate=gate,
        office=office,
        engine=engine,
        routing=Routing(list(base.contract.signals), config.alert_names, [config.target], config.environment),
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
    contract: Contract
    clock: Clock
    observer: Observer
    permits: PermitOffice
    audit: AuditPort
    traces: TracesPort
    reader: SignalReader
    ports: Ports


def _base(config: Config, settings: Settings, clock: Clock, observer: Observer, closing: ExitStack) -> _Base:
    profile = profile_of(config)
    contract = load_contract(packaged_contract()).with_overrides(profile.signals)
    permits = PermitOffice(clock)
    audit = audit_of(config, clock, closing)
    closing.callback(_tell_metrics, config)
    traces = traces_of(config, settings, clock, closing)
    site = Site(config, settings, permits, clock, closing)
    metrics = metrics_of(site)
    measure = profile.measure
    windows = Windows(current=measure.current, baseline=measure.baseline, gap=measure.gap)
    seasonal = SeasonalBaseline() if measure.baseline_kind == "seasonal" else None
    reader = SignalReader(metrics, catalog(config), windows, _judge(contract), clock, seasonal)
    ports = ports_of(site, metrics)
    return _Base(config, profile, contract, clock, observer, permits, audit, traces, reader, ports)


def _gate(base: _Base, by_model: Paraphraser | None) -> Gate:
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
    )
    return Gate(
        registry=tools,
        pdp=_pdp(),
        audit=base.audit,
        store=base.ports.store,
        office=base.permits,
        traces=base.traces,
        context=ContextSource(base.ports.store, base.clock, base.profile, base.contract),
        observer=base.observer,
    )


def _office(base: _Base, gate: Gate, judges: Judges) -> Office:
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
        contract=base.contract,
        observer=base.observer,
    )


def _judge(contract: Contract) -> Callable[[str, Measurement, Measurement], tuple[bool | None, str]]:
    def judge(name: str, current: Measurement, baseline: Measurement) -> tuple[bool | None, str]:
        found = breached(contract, name, current, baseline)
        return {Verdict.FAIL: True, Verdict.PASS: False}.get(found.verdict), found.reason

    return judge


def _pdp() -> Any:
    from policies.pdp import load_decision_point

    return load_decision_point(packaged_policy_files())


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
