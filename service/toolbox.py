"""Every tool, built with the ports it uses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.annotations.base import AnnotationsPort
from adapters.costs.base import CostsPort
from adapters.costs.none import NoCosts
from adapters.datasets.base import DatasetsPort
from adapters.delivery.base import DeliveryPort, RolloutPort, SyncPort
from adapters.evaluation.base import EvaluationPort
from adapters.feedback.base import FeedbackPort
from adapters.feedback.none import NoFeedback
from adapters.logs.base import LogsPort
from adapters.metrics.base import MetricsPort
from adapters.notify.base import NotifyPort
from adapters.platform.base import PlatformPort
from adapters.retrieval.base import RetrievalPort
from adapters.sandbox.base import SandboxPort
from adapters.search.base import SearchPort
from adapters.search.none import NoSearch
from adapters.silences.base import SilencesPort
from adapters.store.base import StorePort
from adapters.tracking.base import TrackingPort
from adapters.training.base import TrainingPort
from adapters.training.targets import TARGETS
from adapters.vcs.base import VcsPort
from adapters.vectors.base import VectorsPort
from adapters.vectors.none import NoVectors
from domain.clock import Clock
from domain.events import Observer, nobody
from domain.permit import PermitVerifier
from policies.profiles import Profile
from service.sections import JobsConfig, RetentionConfig
from tools.data.dataset import AugmentationPreview, DatasetVersion, Workshop
from tools.data.examples import Paraphraser
from tools.data.quarantine import QuarantineFeedback
from tools.deliver.gold import MarkGold, RestoreValues
from tools.deliver.live import AbRead, AwaitLive, RolloutRead, SyncLive
from tools.deliver.release import AbStart, AbStop, ApplyTuning, Promote, RehearseRollback, RollBack
from tools.deliver.together import PointDataset, ReleaseState, RestoreFlags
from tools.deliver.values import DEFAULT_LAYOUT, ValuesLayout
from tools.deliver.withdraw import WithdrawChange
from tools.model.describe import DescribeModel
from tools.model.evaluate import OfflineEvaluation
from tools.model.pipeline import RecordPipeline
from tools.model.registry import AttributionRead, RegistryRead
from tools.model.retire import Keeper, RetentionRead, RetireModelsAndData
from tools.model.train import RegisterCandidate, SetAlias, TargetJob, TrainModel
from tools.notify.annotate import Annotate
from tools.notify.send import Notify
from tools.notify.silences import LiftSilence, SilenceAlerts
from tools.observe.anomaly import AnomalyCheck
from tools.observe.costs import CostReportRead
from tools.observe.deployments import DeploymentDiff, DeploymentHistory, RuntimeState
from tools.observe.drift import DriftCheck
from tools.observe.etl import EtlCheck
from tools.observe.feedback import FeedbackRead
from tools.observe.logs import LogSearch
from tools.observe.points import MetricPoints
from tools.observe.quality import DataQualityReport
from tools.observe.reading import SignalReader
from tools.observe.recall import RecallCheck
from tools.observe.relevance import QueryAnalyticsRead, RankEval
from tools.observe.satisfaction import SatisfactionCheck
from tools.observe.signals import MetricQuery, MetricRange, SignalSnapshot
from tools.observe.similar import SimilarCycles
from tools.observe.vectors import VectorStatusRead
from tools.rates import Rates
from tools.registry import Registry
from tools.repair.vectors import QuarantineVectors, ReindexVectors, ReleaseVectors
from tools.sandbox.smoke import SandboxedTestRun
from tools.tool import Tool


@dataclass(frozen=True)
class Ports:
    """The ports the tools use; a system that need not be there answers that it is not configured."""

    metrics: MetricsPort
    platform: PlatformPort
    logs: LogsPort
    tracking: TrackingPort
    datasets: DatasetsPort
    vcs: VcsPort
    delivery: DeliveryPort
    training: TrainingPort
    evaluation: EvaluationPort
    sandbox: SandboxPort
    notify: NotifyPort
    silences: SilencesPort
    annotations: AnnotationsPort
    retrieval: RetrievalPort
    store: StorePort
    costs: CostsPort = field(default_factory=NoCosts)
    vectors: VectorsPort = field(default_factory=NoVectors)
    search: SearchPort = field(default_factory=NoSearch)
    feedback: FeedbackPort = field(default_factory=NoFeedback)
    rollout: RolloutPort | None = None


def toolbox(
    ports: Ports,
    reader: SignalReader,
    profile: Profile,
    jobs: JobsConfig,
    clock: Clock,
    *,
    model: str,
    bundles: Path,
    code_revision: str,
    artifacts: Path | None = None,
    by_model: Paraphraser | None = None,
    observer: Observer = nobody,
    layout: ValuesLayout = DEFAULT_LAYOUT,
    retention: RetentionConfig | None = None,
    permits: PermitVerifier | None = None,
    usd_per_1m_tokens: float = 0.0,
) -> Registry:
    """Return the registry of all tools."""
    rates = rates_of(jobs, usd_per_1m_tokens)
    workshop = Workshop(ports.platform, ports.evaluation.held_out, by_model=by_model, rates=rates)
    return Registry(
        [
            SignalSnapshot(reader),
            MetricQuery(reader),
            MetricRange(reader),
            MetricPoints(reader),
            AnomalyCheck(reader),
            DriftCheck(ports.platform, ports.tracking, reader, model=model),
            DeploymentHistory(ports.vcs, reader, near=profile.measure.near, layout=layout),
            DeploymentDiff(ports.vcs),
            DataQualityReport(ports.platform, reader),
            RuntimeState(ports.vcs, ports.delivery, layout),
            SimilarCycles(ports.retrieval),
            RegistryRead(ports.tracking, ports.store, model=model),
            AbRead(ports.metrics),
            AwaitLive(ports.delivery, poll=profile.poll.delivery, observer=observer),
            AugmentationPreview(workshop),
            DatasetVersion(workshop, ports.datasets),
            QuarantineFeedback(ports.platform),
            _training(ports, jobs, profile, rates),
            RegisterCandidate(
                ports.tracking, ports.training, clock, model=model, code_revision=code_revision, artifacts=artifacts
            ),
            RecordPipeline(ports.datasets, ports.training, train=jobs.train, score=jobs.score),
            DescribeModel(ports.tracking),
            SetAlias(ports.tracking, model=model),
            *_trying(ports, reader, jobs, rates, model, bundles),
            *_changing(ports, layout),
            *_golden(ports, clock, model, layout),
            *_together(ports, clock, model, permits),
            *_retiring(ports, clock, model, retention or RetentionConfig()),
            Notify(ports.notify),
            *_watching(ports, reader, clock, layout),
            *_announcing(ports),
            *_applying(ports),
        ]
    )


def _trying(
    ports: Ports, reader: SignalReader, jobs: JobsConfig, rates: Rates, model: str, bundles: Path
) -> list[Tool[Any, Any]]:
    """What runs a registered model to see what it does; running it costs."""
    kept: dict[str, Any] = {"model": model, "bundles": bundles, "rates": rates}
    return [
        AttributionRead(ports.platform, ports.tracking, ports.sandbox, reader, entry=jobs.explain, **kept),
        OfflineEvaluation(ports.evaluation, ports.tracking, **kept),
        SandboxedTestRun(ports.platform, ports.tracking, ports.sandbox, entry=jobs.score, **kept),
    ]


def target_jobs(jobs: JobsConfig) -> dict[str, TargetJob]:
    """Return what trains each target: those that come along, and the configuration's in their place."""
    packaged = {
        name: TargetJob(target.train, {**target.options, **jobs.target_options.get(name, {})})
        for name, target in TARGETS.items()
    }
    return {**packaged, **{name: TargetJob(entry) for name, entry in jobs.targets.items()}}


def rates_of(jobs: JobsConfig, usd_per_1m_tokens: float = 0.0) -> Rates:
    """Return what running the configuration's jobs, and asking its model, costs."""
    hour = timedelta(hours=1).total_seconds()
    return Rates(
        jobs.usd_per_hour / hour, jobs.gpu_usd_per_hour / hour, usd_per_1m_tokens / 1_000_000, jobs.target_gpus
    )


def _training(ports: Ports, jobs: JobsConfig, profile: Profile, rates: Rates) -> TrainModel:
    return TrainModel(
        ports.training,
        ports.datasets,
        entry=jobs.train,
        rates=rates,
        timeout=profile.poll.training_timeout,
        targets=target_jobs(jobs),
    )


def _golden(ports: Ports, clock: Clock, model: str, layout: ValuesLayout) -> list[Tool[Any, Any]]:
    """What keeps a good state, and brings it back."""
    return [
        MarkGold(ports.tracking, ports.datasets, ports.vcs, ports.store, clock, model=model, layout=layout),
        RestoreValues(ports.vcs, ports.tracking, ports.store, model=model, layout=layout),
    ]


def _together(ports: Ports, clock: Clock, model: str, permits: PermitVerifier | None) -> list[Tool[Any, Any]]:
    """What belongs to a release besides its values."""
    flags: list[Tool[Any, Any]] = [RestoreFlags(ports.store, permits, clock)] if permits is not None else []
    return [ReleaseState(ports.tracking, ports.datasets, model=model), PointDataset(ports.datasets), *flags]


def _changing(ports: Ports, layout: ValuesLayout) -> list[Tool[Any, Any]]:
    """What changes what is served; where that waits for a person, also what takes it back before it is approved."""
    withdrawing: list[Tool[Any, Any]] = [WithdrawChange(ports.vcs)] if ports.vcs.reviewed else []
    return [
        *withdrawing,
        AbStart(ports.vcs, layout),
        AbStop(ports.vcs, layout),
        Promote(ports.vcs, ports.tracking, layout),
        RehearseRollback(ports.vcs, layout),
        ApplyTuning(ports.vcs, layout),
        RollBack(ports.vcs),
    ]


def _watching(ports: Ports, reader: SignalReader, clock: Clock, layout: ValuesLayout) -> list[Tool[Any, Any]]:
    """What looks at, and mends, the systems around the platform."""
    return [
        LogSearch(ports.logs),
        EtlCheck(ports.metrics, ports.vcs, reader, layout),
        RecallCheck(ports.platform, ports.metrics, reader),
        SatisfactionCheck(ports.platform, reader),
        CostReportRead(ports.costs, reader),
        VectorStatusRead(ports.vectors),
        ReindexVectors(ports.vectors),
        QuarantineVectors(ports.vectors),
        ReleaseVectors(ports.vectors),
        QueryAnalyticsRead(ports.search, clock),
        RankEval(ports.search, ports.platform),
        FeedbackRead(ports.feedback, ports.platform, clock),
    ]


def _retiring(ports: Ports, clock: Clock, model: str, retention: RetentionConfig) -> list[Tool[Any, Any]]:
    """What lists and deletes what is old."""
    keeper = Keeper(ports.store, ports.tracking, ports.datasets, ports.delivery, model)
    retire = RetireModelsAndData(keeper, clock, keep_days=retention.keep_days, keep_last=retention.keep_last)
    return [RetentionRead(keeper, clock), retire]


def _announcing(ports: Ports) -> list[Tool[Any, Any]]:
    """What is told to systems that may not be there; what is not configured is not offered."""
    silencing: list[Tool[Any, Any]] = [SilenceAlerts(ports.silences), LiftSilence(ports.silences)]
    marking: list[Tool[Any, Any]] = [Annotate(ports.annotations)]
    return (silencing if ports.silences.configured else []) + (marking if ports.annotations.configured else [])


def _applying(ports: Ports) -> list[Tool[Any, Any]]:
    """What a delivery can be told and asked beyond what is live, where it can be."""
    telling: list[Tool[Any, Any]] = [SyncLive(ports.delivery)] if isinstance(ports.delivery, SyncPort) else []
    asking: list[Tool[Any, Any]] = [RolloutRead(ports.rollout)] if ports.rollout is not None else []
    return telling + asking
