"""Where ports meet their vendors: each function builds what the configuration names, and says how it is taken down."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.accounts.base import AccountsPort
from adapters.approvals.base import ApprovalsPort
from adapters.autonomy.base import AutonomyPort
from adapters.datasets.base import DatasetsPort
from adapters.evaluation.base import EvaluationPort
from adapters.inbox.base import InboxPort
from adapters.ledger.base import LedgerPort
from adapters.metrics.base import MetricsPort
from adapters.notices.base import NoticesPort
from adapters.platform.base import PlatformPort
from adapters.requests.base import RequestsPort
from adapters.retrieval.base import Passage, RetrievalPort
from adapters.tracking.base import TrackingPort
from domain.clock import Clock
from domain.errors import ConfigurationError
from domain.permit import PermitOffice
from prompts.runbook import names, runbook
from service.config import Config
from service.database import store_of
from service.endpoints import location_of
from service.site import Site
from service.sources import costs_of, feedback_of, logs_of, search_of, vectors_of
from service.systems import annotations_of, delivery_of, rollouts_of, silences_of, vcs_of
from service.toolbox import Ports
from service.trainers import Workers, confinement_required, training_of, workers

if TYPE_CHECKING:
    from adapters.database import Database
    from adapters.workflow.dbos import DbosWorkflow

# Workflows in flight are recovered by a process of the same version: it changes when the steps of a cycle change.
WORKFLOW_VERSION = "1"


def workflow_of(
    config: Config, clock: Clock, closing: ExitStack, *, executor_id: str, slots: int | None
) -> DbosWorkflow:
    """Return the durable workflow engine; with `slots`, as one of several processes that share a queue."""
    from adapters.workflow.dbos import DbosWorkflow

    workflow = DbosWorkflow(
        config.workflow_url or f"sqlite:///{config.state}/workflows.db",
        clock=clock,
        application_version=WORKFLOW_VERSION,
        executor_id=executor_id,
        slots=slots,
    )
    closing.callback(workflow.close)
    return workflow


def ports_of(site: Site, metrics: MetricsPort, database: Database) -> Ports:
    """Return the ports of the tools."""
    from adapters.notify.log import LogNotify
    from adapters.platform.http import HttpPlatform
    from adapters.retrieval.langchain import LangChainRetrieval
    from adapters.sandbox.process import ProcessSandbox

    config, permits, clock, state = site.config, site.permits, site.clock, site.config.state
    made = workers(clock, required=confinement_required(config))
    sealed = list(config.sealed_folders)
    sandbox = made.make("sandbox", hidden=sealed)
    platform = HttpPlatform(url=config.platform.url, permits=permits, clock=clock)
    site.closing.callback(platform.close)
    rollout = rollouts_of(site)
    return Ports(
        metrics=metrics,
        platform=platform,
        logs=logs_of(site, platform),
        tracking=_tracking(config, permits),
        datasets=_datasets(site),
        vcs=vcs_of(site),
        delivery=delivery_of(site, platform, rollout),
        training=training_of(site, made, sealed),
        evaluation=_evaluation(config, platform, made, permits),
        sandbox=ProcessSandbox(worker=sandbox, memory_mib=config.jobs.memory_mib),
        silences=silences_of(site),
        annotations=annotations_of(site),
        notify=LogNotify(state / "notifications.jsonl", clock, permits),
        retrieval=_with_runbooks(LangChainRetrieval(state / "memory.jsonl")),
        store=store_of(database),
        costs=costs_of(site),
        vectors=vectors_of(site),
        search=search_of(site),
        feedback=feedback_of(site),
        rollout=rollout,
    )


def _datasets(site: Site) -> DatasetsPort:
    from adapters.datasets.dvc import DvcDatasets

    section = site.config.datasets
    s3 = None
    if section.remote.startswith("s3://"):
        s3 = location_of(section.remote, section.s3, address="datasets.remote", field="datasets.s3")
    return DvcDatasets(
        folder=section.repository,
        remote=section.remote,
        permits=site.permits,
        clock=site.clock,
        s3=s3,
        anchor=site.anchor,
    )


def _tracking(config: Config, permits: PermitOffice) -> TrackingPort:
    from adapters.tracking.mlflow import MlflowTracking

    return MlflowTracking(
        uri=config.tracking.uri,
        experiment=config.experiment,
        permits=permits,
        digest_of=_digest(config),
        artifacts=config.tracking.artifacts,
        s3_endpoint_url=config.tracking.s3_endpoint_url,
    )


def _evaluation(config: Config, platform: PlatformPort, made: Workers, permits: PermitOffice) -> EvaluationPort:
    from adapters.evaluation.measure import Prices
    from adapters.evaluation.process import ProcessEvaluation

    jobs = config.jobs
    return ProcessEvaluation(
        entry=jobs.score,
        sealed=config.evaluation.sealed,
        documents=lambda: _documents(platform),
        folder=config.state / "evaluation",
        worker=made.make("evaluation", quiet=True),
        permits=permits,
        clock=made.clock,
        digest_of=_digest(config),
        prices=Prices(jobs.cpu_second_usd, jobs.per_1k_usd),
        max_queries=config.evaluation.max_queries,
    )


def inbox_of(database: Database, clock: Clock) -> InboxPort:
    """Return where alerts wait until they are taken."""
    from adapters.inbox.sqlalchemy import SqlInbox

    return SqlInbox(database, clock)


def requests_of(database: Database) -> RequestsPort:
    """Return where requests that may be sent again are kept."""
    from adapters.requests.sqlalchemy import SqlRequests

    return SqlRequests(database)


def accounts_of(database: Database) -> AccountsPort:
    """Return who may sign in to the service."""
    from adapters.accounts.sqlalchemy import SqlAccounts

    return SqlAccounts(database)


def approvals_of(database: Database) -> ApprovalsPort:
    """Return where requests for approval and votes are kept."""
    from adapters.approvals.sqlalchemy import SqlApprovals

    return SqlApprovals(database)


def notices_of(database: Database) -> NoticesPort:
    """Return where notices wait until people were told."""
    from adapters.notices.sqlalchemy import SqlNotices

    return SqlNotices(database)


def autonomy_of(database: Database) -> AutonomyPort:
    """Return the record of what was earned."""
    from adapters.autonomy.sqlalchemy import SqlAutonomy

    return SqlAutonomy(database)


def ledger_of(database: Database, clock: Clock) -> LedgerPort:
    """Return the ledger of what is reserved and spent."""
    from adapters.ledger.sqlalchemy import SqlLedger

    return SqlLedger(database, clock)


def _documents(platform: PlatformPort) -> Iterator[dict[str, str]]:
    for d in platform.documents():
        yield {"id": d.id, "title": d.title, "text": d.text, "subject": d.subject}


def _digest(config: Config) -> Callable[[Path], str]:
    """Return what gives the digest of a bundle: the platform's own, or that of a target that comes along."""
    from adapters.training.targets.bundle import digest_by

    return digest_by(_function(config.jobs.digest))


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
