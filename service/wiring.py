"""The composition root: one function that builds everything from configuration and settings. Nothing else constructs clients."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from adapters.audit.base import AuditPort
from adapters.llm.base import ChatPort
from adapters.metrics.base import MetricsPort
from adapters.traces.base import TracesPort
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
from domain.events import Event, Observer, nobody
from domain.measurement import Measurement
from domain.permit import PermitOffice
from domain.verdict import Verdict
from policies.contract import Contract, breached, load_contract
from policies.packaged import packaged_contract, packaged_policy_files, packaged_profile
from policies.profiles import Profile, load_profile
from service.config import Config, catalog
from service.settings import Settings, export, inherited
from service.toolbox import Ports, toolbox
from tools.data.examples import Paraphraser
from tools.gate import Gate
from tools.observe.reading import SignalReader, Windows

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
# Workflows in flight are recovered by a process of the same version: it changes when the steps of a cycle change.
WORKFLOW_VERSION = "1"
HOUSEKEEPING = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "LANGSMITH_USE_DAEMON": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
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
    export({**HOUSEKEEPING, **_crewai_environment(settings)})
    clock = clock or SystemClock()
    closing = ExitStack()
    profile = profile_of(config)
    contract = load_contract(packaged_contract()).with_overrides(profile.signals)
    office = PermitOffice(clock)
    audit = _audit(config, clock, closing)
    traces = _traces(config, settings, clock, closing)
    metrics = _metrics(config, clock, closing)
    measure = profile.measure
    windows = Windows(current=measure.current, baseline=measure.baseline, gap=measure.gap)
    reader = SignalReader(metrics, catalog(config), windows, _judge(contract), clock)
    ports = _ports(config, metrics, office, clock, closing)
    chat, model, by_model = _chat(settings, clock, observer)
    gate = Gate(
        registry=toolbox(
            ports,
            reader,
            profile,
            config.jobs,
            clock,
            model=config.tracking.model,
            bundles=config.state / "bundles",
            code_revision=f"evercrew {metadata.version('evercrew')}",
            by_model=by_model,
        ),
        pdp=_pdp(),
        audit=audit,
        store=ports.store,
        office=office,
        traces=traces,
        context=ContextSource(ports.store, clock, profile),
        observer=observer,
    )
    desk = Office(
        gate=gate,
        judges=_judges(gate, chat, observer, traces, clock),
        store=ports.store,
        audit=audit,
        retrieval=ports.retrieval,
        traces=traces,
        artifacts=Artifacts(config.state / "artifacts"),
        clock=clock,
        profile=profile,
        contract=contract,
        observer=observer,
    )
    engine = Engine(desk, _workflow(config, settings, clock, closing))
    if workflow:
        engine.launch()
    return App(
        config=config,
        settings=settings,
        profile=profile,
        contract=contract,
        clock=clock,
        ports=ports,
        reader=reader,
        audit=audit,
        traces=traces,
        gate=gate,
        office=desk,
        engine=engine,
        routing=Routing(list(contract.signals), config.alert_names, [config.target], config.environment),
        chat=chat,
        model=model,
        _closing=closing,
    )


def _judge(contract: Contract) -> Callable[[str, Measurement, Measurement], tuple[bool | None, str]]:
    def judge(name: str, current: Measurement, baseline: Measurement) -> tuple[bool | None, str]:
        found = breached(contract, name, current, baseline)
        return {Verdict.FAIL: True, Verdict.PASS: False}.get(found.verdict), found.reason

    return judge


def _pdp() -> Any:
    from policies.pdp import load_decision_point

    return load_decision_point(packaged_policy_files())


def _crewai_environment(settings: Settings) -> dict[str, str]:
    storage = settings.home.expanduser().resolve() / "crewai"
    storage.mkdir(parents=True, exist_ok=True)
    return {
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_TRACING_ENABLED": "false",
        "CREWAI_STORAGE_DIR": str(storage),
    }


def _audit(config: Config, clock: Clock, closing: ExitStack) -> AuditPort:
    from adapters.audit.sqlite import SqliteAudit

    config.state.mkdir(parents=True, exist_ok=True)
    audit = SqliteAudit(config.state / "audit.db", clock)
    closing.callback(audit.close)
    return audit


def _traces(config: Config, settings: Settings, clock: Clock, closing: ExitStack) -> TracesPort:
    kind = settings.traces
    if kind == "auto":
        kind = "langsmith" if settings.langsmith_api_key else "mlflow"
    traces: TracesPort
    if kind == "langsmith":
        from adapters.traces.langsmith import LangSmithTraces

        traces = LangSmithTraces(
            api_key=settings.langsmith_api_key,
            clock=clock,
            endpoint=settings.langsmith_endpoint,
            project=settings.langsmith_project,
        )
    elif kind == "mlflow":
        from adapters.traces.mlflow import MlflowTraces

        traces = MlflowTraces(uri=config.tracking.uri)
    else:
        from adapters.traces.none import NoTraces

        traces = NoTraces()
    closing.callback(traces.flush)
    return traces


def _metrics(config: Config, clock: Clock, closing: ExitStack) -> MetricsPort:
    if config.metrics.kind == "prometheus":
        from adapters.metrics.prometheus import PrometheusMetrics

        return PrometheusMetrics(url=config.metrics.url)
    from adapters.metrics.scrape import ScrapedMetrics

    scraped = ScrapedMetrics(
        url=config.metrics.url,
        db_path=config.state / "samples.db",
        clock=clock,
        interval=timedelta(seconds=config.metrics.interval_s),
    )
    scraped.start()
    closing.callback(scraped.close)
    return scraped


def _ports(config: Config, metrics: MetricsPort, permits: PermitOffice, clock: Clock, closing: ExitStack) -> Ports:
    from adapters.datasets.dvc import DvcDatasets
    from adapters.delivery.local import LocalDelivery
    from adapters.evaluation.measure import Prices
    from adapters.evaluation.process import ProcessEvaluation
    from adapters.notify.log import LogNotify
    from adapters.platform.http import HttpPlatform
    from adapters.retrieval.langchain import LangChainRetrieval
    from adapters.sandbox.process import ProcessSandbox
    from adapters.store.sqlalchemy import SqlStore
    from adapters.tracking.mlflow import MlflowTracking
    from adapters.training.worker import WorkerTraining
    from adapters.vcs.git import GitVcs
    from adapters.worker import Worker, find_bubblewrap

    state = config.state
    jobs = config.jobs
    environment = {**inherited(*PASSED_ON), "OMP_NUM_THREADS": "1"}
    bubblewrap = find_bubblewrap(environment.get("PATH", ""))

    def worker(name: str, *, hidden: list[Path], quiet: bool = False) -> Worker:
        return Worker(
            name=name, environment=environment, clock=clock, hidden=hidden, bubblewrap=bubblewrap, quiet=quiet
        )

    platform = HttpPlatform(url=config.platform.url, permits=permits, clock=clock)
    store = SqlStore(config.store_url or f"sqlite:///{state}/evercrew.db")
    closing.callback(store.close)
    digest_of = _function(jobs.digest)
    sealed = [config.evaluation.sealed.parent]
    return Ports(
        metrics=metrics,
        platform=platform,
        tracking=MlflowTracking(
            uri=config.tracking.uri,
            experiment="evercrew",
            permits=permits,
            digest_of=digest_of,
            artifacts=config.tracking.artifacts,
        ),
        datasets=DvcDatasets(
            folder=config.datasets.repository, remote=config.datasets.remote, permits=permits, clock=clock
        ),
        vcs=GitVcs(
            remote=config.values.remote,
            branch=config.values.branch,
            path=config.values.path,
            folder=state / "values",
            permits=permits,
            clock=clock,
        ),
        delivery=LocalDelivery(source=platform, clock=clock),
        training=WorkerTraining(
            folder=state / "training", worker=worker("training", hidden=sealed), permits=permits, clock=clock
        ),
        evaluation=ProcessEvaluation(
            entry=jobs.score,
            sealed=config.evaluation.sealed,
            documents=lambda: _documents(platform),
            folder=state / "evaluation",
            worker=worker("evaluation", hidden=[], quiet=True),
            permits=permits,
            clock=clock,
            digest_of=digest_of,
            prices=Prices(jobs.cpu_second_usd, jobs.per_1k_usd),
            max_queries=config.evaluation.max_queries,
        ),
        sandbox=ProcessSandbox(worker=worker("sandbox", hidden=sealed), memory_mib=jobs.memory_mib),
        notify=LogNotify(state / "notifications.jsonl", clock, permits),
        retrieval=LangChainRetrieval(state / "memory.jsonl"),
        store=store,
    )


def _documents(platform: Any) -> Iterator[dict[str, str]]:
    for d in platform.documents():
        yield {"id": d.id, "title": d.title, "text": d.text, "subject": d.subject}


def _function(path: str) -> Any:
    """Import ``module:function``.

    Raises:
        ConfigurationError: there is none.
    """
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as problem:
        raise ConfigurationError(f"jobs: {path}", f"cannot be imported: {problem}", "Use module:function") from problem


def _chat(
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
            price=Price(prompt=settings.model_usd_per_1m_tokens, completion=settings.model_usd_per_1m_tokens),
        )

    breaker = CircuitBreaker(settings.model, clock)

    def guarded(role: Role) -> ChatPort:
        def told(reason: str) -> None:
            from agents.meter import note_fallback

            note_fallback(reason)
            observer(Event(kind="model", cycle_id="", who=role.value, what="playbook", details={"reason": reason}))

        return GuardedChat(endpoint(), Playbook(), breaker, told)

    by_model = endpoint().paraphrase if settings.paraphrase_by_model else None
    return guarded, settings.model, by_model


def _judges(
    gate: Gate, chat: Callable[[Role], ChatPort], observer: Observer, traces: TracesPort, clock: Clock
) -> Judges:
    return _LateJudges(lambda: _crews(gate, chat, observer, traces, clock))


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

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)


def _workflow(config: Config, settings: Settings, clock: Clock, closing: ExitStack) -> Any:
    from adapters.workflow.dbos import DbosWorkflow

    workflow = DbosWorkflow(
        config.workflow_url or f"sqlite:///{config.state}/workflows.db",
        clock=clock,
        application_version=WORKFLOW_VERSION,
        executor_id=settings.executor_id,
    )
    closing.callback(workflow.close)
    return workflow
