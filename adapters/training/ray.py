"""Training on a Ray cluster: the same jobs, each as one task on whichever node has room.

Ray's client belongs to one process and leaves threads behind, so each job has a driver process of its own; when that
ends, for whatever reason, Ray ends its task. A task whose node is lost is tried once more by Ray on another.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from adapters.meter import metered
from adapters.training.failures import FIELD, error_of
from adapters.training.ray_job import NAME
from adapters.training.worker import Runner, WorkerTraining
from adapters.worker import WorkerResult
from domain.clock import Clock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout
from domain.permit import PermitVerifier

SUBMIT = "adapters.training.ray_job:submit"
NODES = "adapters.training.ray_job:nodes"
GRACE = timedelta(seconds=30)
"""What a driver has beyond the job's own time, to connect and to copy."""
DRIVER_MIB = 2048
_ADDRESS = re.compile(r"^(ray://)?[\w.-]+:\d{2,5}$")


class RayRunner:
    """A `Runner` on the cluster at `address`.

    `driver` runs the driver processes and needs the network; `environment` is what jobs get on their node; `ship` names
    the fields of a job's spec that are files or folders here; with `required` a node that cannot shut a job in does
    not run it.
    """

    def __init__(
        self,
        *,
        address: str,
        driver: Runner,
        environment: Mapping[str, str],
        ship: tuple[str, ...] = ("dataset",),
        cpus: int = 1,
        required: bool = False,
        grace: timedelta = GRACE,
    ) -> None:
        if not _ADDRESS.match(address):
            raise ConfigurationError(
                "jobs.ray_address", f"{address!r} is no address", "Write host:port, or ray://host:port"
            )
        self._address = address
        self._driver = driver
        self._environment = dict(environment)
        self._ship = ship
        self._cpus = cpus
        self._required = required
        self._grace = grace

    @property
    def isolation(self) -> str:
        """How jobs are confined, in words."""
        return f"Ray at {self._address}; on the node as here"

    def run(
        self, entry: str, spec: Mapping[str, Any], out: Path, *, timeout: timedelta, memory_mib: int
    ) -> WorkerResult:
        """See `Runner.run`."""
        asked = {
            "address": self._address,
            "entry": entry,
            "spec": dict(spec),
            "ship": list(self._ship),
            "timeout_s": timeout.total_seconds(),
            "memory_mib": memory_mib,
            "cpus": self._cpus,
            "environment": self._environment,
            "required": self._required,
        }
        with metered(NAME):
            done = self._asked(SUBMIT, asked, out, timeout + self._grace)
        return WorkerResult(done.output.get("output"), done.seconds, str(done.output.get("isolation", "")))

    def check(self) -> str:
        """Return one line for `doctor`, or raise a ConfigurationError or DependencyError."""
        with tempfile.TemporaryDirectory(prefix="evercrew-ray-") as scratch, metered(NAME):
            found = self._asked(NODES, {"address": self._address}, Path(scratch), self._grace).output
        return (
            f"{NAME}: {found.get('version')} at {self._address}, {found.get('nodes')} nodes, "
            f"{float(found.get('cpus', 0)):g} CPUs, {float(found.get('memory_mib', 0)):.0f} MiB"
        )

    def _asked(self, entry: str, spec: Mapping[str, Any], out: Path, timeout: timedelta) -> WorkerResult:
        try:
            done = self._driver.run(entry, spec, out, timeout=timeout, memory_mib=DRIVER_MIB)
        except DependencyTimeout as error:
            problem = f"the cluster at {self._address} did not answer within {timeout.total_seconds():g} s"
            raise DependencyTimeout(NAME, problem, "Check jobs.ray_address and the cluster's load") from error
        if not isinstance(done.output, Mapping):
            raise DependencyLied(NAME, f"the driver returned {type(done.output).__name__}, not an object")
        if FIELD in done.output:
            raise error_of(done.output[FIELD], NAME)
        return done


class RayTraining(WorkerTraining):
    """`TrainingPort` whose jobs run on a Ray cluster; results are kept here, in `folder`/<key>."""

    def __init__(self, *, folder: Path, runner: RayRunner, permits: PermitVerifier, clock: Clock) -> None:
        super().__init__(folder=folder, worker=runner, permits=permits, clock=clock)
        self._runner = runner

    def check(self) -> str:
        """See `TrainingPort.check`."""
        return self._runner.check()
