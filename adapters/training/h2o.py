"""Training by H2O-3: the platform makes the features, H2O fits, the platform makes the bundle.

Features and bundle are made in the same confinement as every job. What fits depends on the configuration: without an
address H2O is a Java machine inside a process as confined as they are (its network has loopback only, so nothing else
reaches it, and it dies with the job); with one, the process in the middle sees the network, and of the platform's data
only the table of features.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from adapters.meter import metered
from adapters.rest import Endpoint, RestClient
from adapters.training.failures import FIELD, error_of
from adapters.training.h2o_cluster import NAME, ClusterSpec, check_cloud
from adapters.training.worker import Runner
from adapters.worker import WorkerResult
from domain.clock import Clock
from domain.errors import (
    ConfigurationError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
)

LEARNER = "h2o"
ENTRY = "adapters.training.h2o_job:learn"
OWN_JAVA_MIB = 1024
"""What a Java machine and the client need beside the heap."""
SEARCH_SHARE = 0.5
"""Of a job's time, what the search may take: models are scored and handed over afterwards."""
# This release's open-source build refuses to hand out MOJOs.
_NO_MOJO = ("3.46.0.12",)


@dataclass(frozen=True)
class Split:
    """The two halves of a training job, as entry points: what makes the features, and what makes the bundle."""

    features: str
    finish: str


@dataclass(frozen=True)
class Limits:
    """What H2O may take: models and seconds of a search, MiB of heap (of its own Java machine) and threads."""

    max_models: int = 4
    max_runtime: timedelta = timedelta(minutes=5)
    max_memory_mib: int = 1024
    threads: int = 1
    nodes: int = 1


class H2OLearner:
    """Fits a table in a process of its own; see the module's text for which.

    `confined` runs jobs without a network, `connected` with one. `endpoint` is the cluster's, None for none; a client
    certificate is not supported by H2O's client.
    """

    def __init__(
        self,
        *,
        confined: Runner,
        connected: Runner,
        clock: Clock,
        endpoint: Endpoint | None = None,
        limits: Limits | None = None,
        algorithm: Literal["automl", "gbm", "drf", "glm"] = "automl",
        java: str = "java",
    ) -> None:
        if endpoint is not None and (endpoint.cert is not None or endpoint.token is not None):
            raise ConfigurationError(
                "h2o", "a client certificate or token is not supported", "Use username and password"
            )
        self._confined = confined
        self._connected = connected
        self._clock = clock
        self._endpoint = endpoint
        self._limits = limits or Limits()
        self._algorithm = algorithm
        self._java = java

    @property
    def isolation(self) -> str:
        """How it is confined, in words."""
        if self._endpoint is None:
            return f"{self._confined.isolation}; H2O inside"
        return f"{self._connected.isolation}; H2O at {self._endpoint.url}"

    def learn(
        self, table: Path, out: Path, *, params: Mapping[str, Any], timeout: timedelta, memory_mib: int
    ) -> Mapping[str, Any]:
        """Fit the table; `out` then holds ``model.json``, ``mojo.zip`` and ``leaderboard.json``.

        Raises:
            ConfigurationError: no Java, no client, other versions, more heap than the job may have.
            DependencyUnavailable: refused, down, out of memory. DependencyTimeout: too slow, or no model in time.
            DependencyLied: an answer breaks the contract.
        """
        spec = {
            "table": str(table),
            "cluster": self._cluster(memory_mib).model_dump(mode="json"),
            "algorithm": self._algorithm,
            "max_models": self._limits.max_models,
            "max_runtime_s": max(1, int(min(self._limits.max_runtime, timeout * SEARCH_SHARE).total_seconds())),
            "params": _numbers(params),
        }
        runner = self._confined if self._endpoint is None else self._connected
        with metered(NAME):
            done = runner.run(ENTRY, spec, out, timeout=timeout, memory_mib=memory_mib)
            if not isinstance(done.output, Mapping):
                raise DependencyLied(NAME, f"the job returned {type(done.output).__name__}, not an object")
            if FIELD in done.output:
                raise error_of(done.output[FIELD], NAME)
        return done.output

    def check(self) -> str:
        """Return one line for `doctor`.

        Raises:
            ConfigurationError: no client, no Java, another version. DependencyError: the cluster is not usable.
        """
        ours = _client_version()
        if self._endpoint is None:
            return f"{NAME}: {ours}, own {_java_version(self._java)}, {self._limits.max_memory_mib} MiB"
        client = RestClient(self._endpoint, name=NAME, field="h2o", clock=self._clock)
        try:
            cloud = client.get("/3/Cloud")
        finally:
            client.close()
        if not isinstance(cloud, Mapping) or not {"version", "cloud_healthy", "cloud_size"} <= set(cloud):
            raise DependencyLied(NAME, "what answers is not H2O", "Check h2o.url")
        check_cloud(ours, {"version": str(cloud["version"]), "healthy": bool(cloud["cloud_healthy"])})
        size = int(cloud["cloud_size"])
        if size < self._limits.nodes:
            locked = "is locked with" if cloud.get("locked") else "has only"
            problem = f"the cloud {locked} {size} of {self._limits.nodes} nodes"
            raise DependencyUnavailable(NAME, problem, "Restart all its nodes together, or lower h2o.nodes")
        free = sum(int(node.get("free_mem", 0)) for node in cloud.get("nodes", [])) // 1024**2
        return f"{NAME}: {ours} at {self._endpoint.url}, {size} nodes, {free} MiB free"

    def _cluster(self, memory_mib: int) -> ClusterSpec:
        given, limits = self._endpoint, self._limits
        if given is None:
            if limits.max_memory_mib + OWN_JAVA_MIB > memory_mib:
                raise ConfigurationError(
                    "h2o.max_memory_mib",
                    f"{limits.max_memory_mib} MiB of heap and {OWN_JAVA_MIB} beside it exceed the job's {memory_mib}",
                    "Lower it, or raise jobs.memory_mib",
                )
            return ClusterSpec(java=self._java, max_memory_mib=limits.max_memory_mib, threads=limits.threads)
        return ClusterSpec(
            url=given.url,
            username=given.username,
            password=given.password.get_secret_value() if given.password else "",
            ca=str(given.ca or ""),
            verify=given.verify,
        )


class LearnerRunner:
    """A `Runner` whose jobs may name another learner: those with ``learner: h2o`` are fitted by H2O in between.

    `splits` has the halves of each entry point that can be split; all other jobs run as they are.
    """

    def __init__(self, *, worker: Runner, h2o: H2OLearner, splits: Mapping[str, Split], clock: Clock) -> None:
        self._worker = worker
        self._h2o = h2o
        self._splits = dict(splits)
        self._clock = clock

    @property
    def isolation(self) -> str:
        """How jobs are confined, in words."""
        return self._worker.isolation

    def run(
        self, entry: str, spec: Mapping[str, Any], out: Path, *, timeout: timedelta, memory_mib: int
    ) -> WorkerResult:
        """See `Runner.run`; the three parts share the time."""
        if spec.get("learner") != LEARNER:
            return self._worker.run(entry, spec, out, timeout=timeout, memory_mib=memory_mib)
        split = self._splits.get(entry)
        if split is None:
            raise InvalidInput("learner", f"{entry} cannot be fitted by {LEARNER}", "Choose another learner")
        begun = self._clock.monotonic()

        def left() -> timedelta:
            rest = timeout - timedelta(seconds=self._clock.monotonic() - begun)
            if rest <= timedelta(0):
                raise DependencyTimeout(NAME, f"the job took longer than {timeout.total_seconds():g} s", "Allow more")
            return rest

        prepared, learned = (_made(out / ".steps" / name) for name in ("prepared", "learned"))
        asked = {name: value for name, value in spec.items() if name != "learner"}
        self._worker.run(split.features, asked, prepared, timeout=left(), memory_mib=memory_mib)
        params = spec.get("params") or {}
        found = self._h2o.learn(prepared / "table", learned, params=params, timeout=left(), memory_mib=memory_mib)
        last = {"prepared": str(prepared), "learned": str(learned), "learner": LEARNER, "params": params}
        done = self._worker.run(split.finish, last, out, timeout=left(), memory_mib=memory_mib)
        shutil.rmtree(out / ".steps")
        output = _with_board(done.output, found)
        return WorkerResult(output, self._clock.monotonic() - begun, f"{done.isolation}; {self._h2o.isolation}")


def _with_board(output: Any, found: Mapping[str, Any]) -> dict[str, Any]:
    """The job's output with the leaderboard: as metrics by place, and as it is."""
    if not isinstance(output, Mapping) or not isinstance(output.get("metrics"), Mapping):
        raise DependencyLied("training", "the job's result lacks its metrics")
    board = found.get("leaderboard")
    rows = [row for row in board if isinstance(row, Mapping)] if isinstance(board, list) else []
    places = {
        f"h2o_{place:02d}_{row['algorithm']}_{name}": value
        for place, row in enumerate(rows, start=1)
        for name, value in row["metrics"].items()
    }
    told = {name: found.get(name) for name in ("leader", "algorithm", "version")}
    return {
        **output,
        "metrics": {**output["metrics"], **places},
        "learner": {"name": LEARNER, **told},
        "leaderboard": rows,
    }


def _numbers(params: Mapping[str, Any]) -> dict[str, float]:
    """The plan's numbers under the names the learner knows."""
    names = {"iterations": "trees", "leaves": "leaves", "learning_rate": "learning_rate"}
    return {names[name]: float(value) for name, value in params.items() if name in names}


def _client_version() -> str:
    try:
        ours = metadata.version("h2o")
    except metadata.PackageNotFoundError as error:
        raise ConfigurationError("h2o", "the client is not installed", "Install evercrew[h2o]") from error
    if ours in _NO_MOJO:
        raise ConfigurationError("h2o", f"release {ours} hands out no MOJOs", "Install h2o 3.46.0.11")
    return ours


def _java_version(java: str) -> str:
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = f"{java!r} cannot be started: {error}"
        raise ConfigurationError("h2o.java", problem, "Install Java 17, or name h2o.url") from error
    if done.returncode != 0:
        raise ConfigurationError("h2o.java", f"{java!r} ended with {done.returncode}", "Install Java 17")
    return (done.stderr or done.stdout).splitlines()[0].replace('"', "")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
