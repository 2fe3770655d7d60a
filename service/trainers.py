"""Where jobs run: worker processes of this machine, a Ray cluster, H2O, and H2O LLM Studio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.training.base import TrainingPort
from domain.clock import Clock
from domain.errors import ConfigurationError
from service.config import Config
from service.endpoints import endpoint_of
from service.settings import inherited
from service.site import Site

if TYPE_CHECKING:
    from adapters.training.h2o import H2OLearner
    from adapters.training.llm_studio import LlmStudio
    from adapters.training.worker import Runner
    from adapters.worker import Worker

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")


@dataclass(frozen=True)
class Workers:
    """Makes worker processes, each with its own view of the files."""

    clock: Clock
    environment: Mapping[str, str]
    bubblewrap: str | None
    required: bool = False

    def make(self, name: str, *, hidden: Sequence[Path] = (), quiet: bool = False, network: bool = False) -> Worker:
        """Return a worker; one that needs the network is not confined."""
        from adapters.worker import Worker

        return Worker(
            name=name,
            environment=self.environment,
            clock=self.clock,
            hidden=hidden,
            bubblewrap=None if network else self.bubblewrap,
            quiet=quiet,
            required=self.required and not network,
        )


def workers(clock: Clock, *, required: bool = False) -> Workers:
    """Return what makes worker processes on this machine; where confinement is `required`, none without."""
    from adapters.worker import find_bubblewrap

    environment = {**inherited(*PASSED_ON), "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    return Workers(clock, environment, find_bubblewrap(environment.get("PATH", "")), required)


def confinement_required(config: Config) -> bool:
    """Return whether no job may run that is not shut in: so it is outside dev, unless the configuration says else."""
    return (config.jobs.sandbox or ("preferred" if config.environment == "dev" else "required")) == "required"


def training_of(site: Site, made: Workers, sealed: Sequence[Path]) -> TrainingPort:
    """Return where training jobs run; those whose learner is H2O are fitted by it.

    Raises:
        ConfigurationError: engine and address do not fit.
    """
    from adapters.training.worker import WorkerTraining

    folder = site.config.state / "training"
    if site.config.jobs.engine == "ray":
        from adapters.training.ray import RayRunner, RayTraining

        if site.config.h2o is not None:
            raise ConfigurationError("jobs.engine", "ray does not fit jobs by H2O", "Leave out h2o, or use worker")
        driver = made.make("training", hidden=sealed, network=True)
        ray = RayRunner(
            address=site.config.jobs.ray_address,
            driver=driver,
            environment=made.environment,
            required=made.required,
        )
        return RayTraining(folder=folder, runner=ray, permits=site.permits, clock=site.clock)
    runner: Runner = made.make("training", hidden=sealed)
    learner = h2o_of(site, made, sealed)
    jobs = site.config.jobs
    if learner is not None:
        from adapters.training.h2o import LearnerRunner, Split

        splits = {jobs.train: Split(jobs.features, jobs.finish)}
        runner = LearnerRunner(worker=runner, h2o=learner, splits=splits, clock=site.clock)
    return WorkerTraining(folder=folder, worker=runner, permits=site.permits, clock=site.clock)


def h2o_of(site: Site, made: Workers, sealed: Sequence[Path]) -> H2OLearner | None:
    """Return what fits tables on H2O, where it is configured."""
    section = site.config.h2o
    if section is None:
        return None
    from adapters.training.h2o import H2OLearner, Limits

    return H2OLearner(
        confined=made.make("training", hidden=sealed),
        connected=made.make("training", hidden=sealed, network=True),
        clock=site.clock,
        endpoint=endpoint_of(section, site.settings, "h2o") if section.url else None,
        limits=Limits(
            max_models=section.max_models,
            max_runtime=timedelta(seconds=section.max_runtime_s),
            max_memory_mib=section.max_memory_mib,
            nodes=section.nodes,
        ),
        algorithm=section.algorithm,
        java=section.java,
    )


def studio_of(site: Site) -> LlmStudio:
    """Return H2O LLM Studio on the host that is configured.

    Raises:
        ConfigurationError: it is not configured, or what its kind needs is missing.
    """
    from adapters.training.llm_studio import LlmStudio
    from adapters.training.llm_studio_kubernetes import KubernetesHost
    from adapters.training.llm_studio_shell import LocalShell, Shell, ShellHost, SshShell

    section = site.config.llm_studio
    if section is None:
        raise ConfigurationError("llm_studio", "is not configured", "Say where H2O LLM Studio runs")
    if section.kind == "kubernetes":
        if section.kubernetes is None:
            raise ConfigurationError("llm_studio.kubernetes.url", "is missing", "Name the Kubernetes API")
        host = KubernetesHost(
            endpoint=endpoint_of(section.kubernetes, site.settings, "llm_studio"),
            clock=site.clock,
            namespace=section.namespace,
            image=section.image,
            claim=section.claim,
            gpus=section.gpus,
        )
        return LlmStudio(host=host, permits=site.permits)
    shell: Shell = LocalShell()
    if section.kind == "ssh":
        if section.ssh_key is None or section.known_hosts is None:
            raise ConfigurationError("llm_studio.ssh_key", "and known_hosts go together", "Name both files")
        shell = SshShell(host=section.host, port=section.port, key=section.ssh_key, known_hosts=section.known_hosts)
    there = ShellHost(shell, studio=section.folder, python=section.python, root=section.root)
    return LlmStudio(host=there, permits=site.permits)
