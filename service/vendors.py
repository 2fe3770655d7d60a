"""Where ports meet their vendors: each function builds what the configuration names, and says how it is taken down."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.audit.base import AuditPort
from adapters.evaluation.base import EvaluationPort
from adapters.metrics.base import MetricsPort
from adapters.platform.base import PlatformPort
from adapters.retrieval.base import Passage, RetrievalPort
from adapters.store.base import StorePort
from adapters.traces.base import TracesPort
from adapters.tracking.base import TrackingPort
from adapters.vcs.base import VcsPort
from adapters.workflow.base import WorkflowPort
from domain.clock import Clock
from domain.errors import ConfigurationError
from domain.permit import PermitOffice
from prompts.runbook import names, runbook
from service.config import Config
from service.settings import Settings, inherited
from service.toolbox import Ports

if TYPE_CHECKING:
    from adapters.worker import Worker

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")
# Workflows in flight are recovered by a process of the same version: it changes when the steps of a cycle change.
WORKFLOW_VERSION = "1"


def audit_of(config: Config, clock: Clock, closing: ExitStack) -> AuditPort:
    """Return the audit chain of the state folder."""
    from adapters.audit.sqlite import SqliteAudit

    config.state.mkdir(parents=True, exist_ok=True)
    audit = SqliteAudit(config.state / "audit.db", clock)
    closing.callback(audit.close)
    return audit


def traces_of(config: Config, settings: Settings, clock: Clock, closing: ExitStack) -> TracesPort:
    """Return where traces go: LangSmith when it is configured, else MLflow, or nowhere."""
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


def metrics_of(config: Config, clock: Clock, closing: ExitStack) -> MetricsPort:
    """Return the metrics of a Prometheus, or of the platform's own page, scraped from now on."""
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


def workflow_of(config: Config, settings: Settings, clock: Clock, closing: ExitStack) -> WorkflowPort:
    """Return the durable workflow engine."""
    from adapters.workflow.dbos import DbosWorkflow

    workflow = DbosWorkflow(
        config.workflow_url or f"sqlite:///{config.state}/workflows.db",
        clock=clock,
        application_version=WORKFLOW_VERSION,
        executor_id=settings.executor_id,
    )
    closing.callback(workflow.close)
    return workflow


def ports_of(config: Config, metrics: MetricsPort, permits: PermitOffice, clock: Clock, closing: ExitStack) -> Ports:
    """Return the ports of the tools."""
    from adapters.datasets.dvc import DvcDatasets
    from adapters.delivery.local import LocalDelivery
    from adapters.notify.log import LogNotify
    from adapters.platform.http import HttpPlatform
    from adapters.retrieval.langchain import LangChainRetrieval
    from adapters.sandbox.process import ProcessSandbox
    from adapters.training.worker import WorkerTraining

    state, data = config.state, config.datasets
    workers = _workers(clock)
    sealed = [config.evaluation.sealed.parent]
    training, sandbox = workers.make("training", hidden=sealed), workers.make("sandbox", hidden=sealed)
    platform = HttpPlatform(url=config.platform.url, permits=permits, clock=clock)
    return Ports(
        metrics=metrics,
        platform=platform,
        tracking=_tracking(config, permits),
        datasets=DvcDatasets(folder=data.repository, remote=data.remote, permits=permits, clock=clock),
        vcs=_vcs(config, permits, clock),
        delivery=LocalDelivery(source=platform, clock=clock),
        training=WorkerTraining(folder=state / "training", worker=training, permits=permits, clock=clock),
        evaluation=_evaluation(config, platform, workers, permits),
        sandbox=ProcessSandbox(worker=sandbox, memory_mib=config.jobs.memory_mib),
        notify=LogNotify(state / "notifications.jsonl", clock, permits),
        retrieval=_with_runbooks(LangChainRetrieval(state / "memory.jsonl")),
        store=_store(config, closing),
    )


def _tracking(config: Config, permits: PermitOffice) -> TrackingPort:
    from adapters.tracking.mlflow import MlflowTracking

    return MlflowTracking(
        uri=config.tracking.uri,
        experiment="evercrew",
        permits=permits,
        digest_of=_function(config.jobs.digest),
        artifacts=config.tracking.artifacts,
    )


def _vcs(config: Config, permits: PermitOffice, clock: Clock) -> VcsPort:
    from adapters.vcs.git import GitVcs

    return GitVcs(
        remote=config.values.remote,
        branch=config.values.branch,
        path=config.values.path,
        folder=config.state / "values",
        permits=permits,
        clock=clock,
    )


def _evaluation(config: Config, platform: PlatformPort, workers: _Workers, permits: PermitOffice) -> EvaluationPort:
    from adapters.evaluation.measure import Prices
    from adapters.evaluation.process import ProcessEvaluation

    jobs = config.jobs
    return ProcessEvaluation(
        entry=jobs.score,
        sealed=config.evaluation.sealed,
        documents=lambda: _documents(platform),
        folder=config.state / "evaluation",
        worker=workers.make("evaluation", quiet=True),
        permits=permits,
        clock=workers.clock,
        digest_of=_function(jobs.digest),
        prices=Prices(jobs.cpu_second_usd, jobs.per_1k_usd),
        max_queries=config.evaluation.max_queries,
    )


def _store(config: Config, closing: ExitStack) -> StorePort:
    from adapters.store.sqlalchemy import SqlStore

    store = SqlStore(config.store_url or f"sqlite:///{config.state}/evercrew.db")
    closing.callback(store.close)
    return store


@dataclass(frozen=True)
class _Workers:
    """Makes worker processes, each with its own view of the files."""

    clock: Clock
    environment: Mapping[str, str]
    bubblewrap: str | None

    def make(self, name: str, *, hidden: Sequence[Path] = (), quiet: bool = False) -> Worker:
        from adapters.worker import Worker

        return Worker(
            name=name,
            environment=self.environment,
            clock=self.clock,
            hidden=hidden,
            bubblewrap=self.bubblewrap,
            quiet=quiet,
        )


def _workers(clock: Clock) -> _Workers:
    from adapters.worker import find_bubblewrap

    environment = {**inherited(*PASSED_ON), "OMP_NUM_THREADS": "1"}
    return _Workers(clock, environment, find_bubblewrap(environment.get("PATH", "")))


def _documents(platform: PlatformPort) -> Iterator[dict[str, str]]:
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


def _with_runbooks(memory: RetrievalPort) -> RetrievalPort:
    """Put the runbooks beside the past cycles, rule by rule, so that a diagnosis can look both up."""
    for task in names():
        book = runbook(task)
        for number, rule in enumerate(book.rules, start=1):
            text = f"{rule.name}: {rule.answer.get('action', '')} {book.about}"
            facts = {"action": str(rule.answer.get("action", "")), "runbook": task}
            memory.add(Passage(id=f"runbook/{task}/{number}", text=text, facts=facts))
    return memory
