"""Every tool, built with the ports it uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from adapters.datasets.base import DatasetsPort
from adapters.delivery.base import DeliveryPort
from adapters.evaluation.base import EvaluationPort
from adapters.metrics.base import MetricsPort
from adapters.notify.base import NotifyPort
from adapters.platform.base import PlatformPort
from adapters.retrieval.base import RetrievalPort
from adapters.sandbox.base import SandboxPort
from adapters.store.base import StorePort
from adapters.tracking.base import TrackingPort
from adapters.training.base import TrainingPort
from adapters.vcs.base import VcsPort
from domain.clock import Clock
from policies.profiles import Profile
from service.config import JobsConfig
from tools.data.dataset import AugmentationPreview, DatasetVersion, Workshop
from tools.data.examples import Paraphraser
from tools.data.quarantine import QuarantineFeedback
from tools.deliver.live import AbRead, AwaitLive
from tools.deliver.release import AbStart, AbStop, ApplyTuning, Promote, RehearseRollback, RollBack
from tools.model.evaluate import OfflineEvaluation
from tools.model.registry import AttributionRead, RegistryRead
from tools.model.train import RegisterCandidate, SetAlias, TrainModel
from tools.notify.send import Notify
from tools.observe.anomaly import AnomalyCheck
from tools.observe.deployments import DeploymentDiff, DeploymentHistory, RuntimeState
from tools.observe.drift import DriftCheck
from tools.observe.logs import LogSearch
from tools.observe.points import MetricPoints
from tools.observe.quality import DataQualityReport
from tools.observe.reading import SignalReader
from tools.observe.signals import MetricQuery, MetricRange, SignalSnapshot
from tools.observe.similar import SimilarCycles
from tools.registry import Registry
from tools.sandbox.smoke import SandboxedTestRun


@dataclass(frozen=True)
class Ports:
    """The ports the tools use."""

    metrics: MetricsPort
    platform: PlatformPort
    tracking: TrackingPort
    datasets: DatasetsPort
    vcs: VcsPort
    delivery: DeliveryPort
    training: TrainingPort
    evaluation: EvaluationPort
    sandbox: SandboxPort
    notify: NotifyPort
    retrieval: RetrievalPort
    store: StorePort


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
) -> Registry:
    """Return the registry of all tools."""
    workshop = Workshop(ports.platform, ports.evaluation.held_out, by_model=by_model)
    price = jobs.usd_per_hour / timedelta(hours=1).total_seconds()
    timeout = profile.poll.training_timeout
    return Registry(
        [
            SignalSnapshot(reader),
            MetricQuery(reader),
            MetricRange(reader),
            MetricPoints(reader),
            AnomalyCheck(reader),
            DriftCheck(ports.platform, ports.tracking, reader, model=model),
            AttributionRead(
                ports.platform, ports.tracking, ports.sandbox, reader, model=model, entry=jobs.explain, bundles=bundles
            ),
            LogSearch(ports.platform),
            DeploymentHistory(ports.vcs, reader, near=profile.measure.near),
            DeploymentDiff(ports.vcs),
            DataQualityReport(ports.platform, reader),
            RuntimeState(ports.vcs, ports.delivery),
            SimilarCycles(ports.retrieval),
            RegistryRead(ports.tracking, ports.store, model=model),
            AbRead(ports.metrics),
            AwaitLive(ports.delivery, poll=profile.poll.delivery),
            AugmentationPreview(workshop),
            DatasetVersion(workshop, ports.datasets),
            QuarantineFeedback(ports.platform),
            TrainModel(ports.training, ports.datasets, entry=jobs.train, usd_per_second=price, timeout=timeout),
            RegisterCandidate(
                ports.tracking, ports.training, clock, model=model, code_revision=code_revision, artifacts=artifacts
            ),
            SetAlias(ports.tracking, model=model),
            OfflineEvaluation(ports.evaluation, ports.tracking, model=model, bundles=bundles),
            SandboxedTestRun(
                ports.platform, ports.tracking, ports.sandbox, model=model, entry=jobs.score, bundles=bundles
            ),
            AbStart(ports.vcs),
            AbStop(ports.vcs),
            Promote(ports.vcs),
            RehearseRollback(ports.vcs),
            ApplyTuning(ports.vcs),
            RollBack(ports.vcs),
            Notify(ports.notify),
        ]
    )
