"""The driver of a Ray task, in a process of its own, and the task itself.

``submit(spec, out)`` is an entry point. spec: ``{"address", "entry", "spec", "ship": [names], "timeout_s",
"memory_mib", "cpus", "environment", "required"}``. The fields named in ``ship`` are files or folders: they travel with
the task. On the node the job runs in a worker process as confined as on this machine; what it wrote comes back.
"""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from adapters.training.failures import FIELD, told
from adapters.worker import Worker, find_bubblewrap
from domain.clock import SystemClock
from domain.errors import (
    ConfigurationError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
)

NAME = "ray"
MOST_BYTES = 1024 * 1024 * 1024
_MIB = 1024 * 1024


class SubmitSpec(BaseModel):
    """See the module's text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    entry: str
    spec: Mapping[str, Any]
    ship: tuple[str, ...] = ()
    timeout_s: float = Field(gt=0)
    memory_mib: int = Field(ge=256)
    cpus: int = Field(default=1, ge=1)
    required: bool = False
    environment: Mapping[str, str] = Field(default_factory=dict)


def submit(spec: Mapping[str, Any], out: str | Path) -> dict[str, Any]:
    """Run one job on the cluster; see the module's text."""
    wanted = SubmitSpec.model_validate(spec)
    try:
        with _connected(wanted.address) as ray:
            _feasible(ray.nodes(), wanted)
            answer = _result(ray, wanted)
    except (DependencyError, InvalidInput) as error:
        return told(error)
    if FIELD in answer:
        return {FIELD: answer[FIELD]}
    _unpack(answer["files"], Path(out))
    return {"output": answer["output"], "node": answer["node"], "isolation": answer["isolation"]}


def nodes(spec: Mapping[str, Any], _out: str | Path) -> dict[str, Any]:
    """{"address"} -> {"nodes", "cpus", "memory_mib", "version"} of a cluster that answers."""
    try:
        with _connected(str(spec["address"])) as ray:
            alive = [node for node in ray.nodes() if node["Alive"]]
            version = str(ray.__version__)
    except (DependencyError, InvalidInput) as error:
        return told(error)
    cpus = sum(float(node["Resources"].get("CPU", 0)) for node in alive)
    memory = sum(float(node["Resources"].get("memory", 0)) for node in alive)
    return {"nodes": len(alive), "cpus": cpus, "memory_mib": memory / _MIB, "version": version}


def work(
    entry: str, spec: Mapping[str, Any], shipped: Mapping[str, bytes], limits: Mapping[str, Any]
) -> dict[str, Any]:
    """The task: unpack what was shipped, run the job in a worker process, and pack what it wrote."""
    with tempfile.TemporaryDirectory(prefix="evercrew-ray-") as scratch:
        place, out = Path(scratch), Path(scratch) / "out"
        out.mkdir()
        placed = dict(spec)
        for name, packed in shipped.items():
            placed[name] = str(_unpacked(packed, place / "given" / name))
        environment = dict(limits["environment"])
        worker = Worker(
            name="training",
            environment=environment,
            clock=SystemClock(),
            bubblewrap=find_bubblewrap(environment.get("PATH", "")),
            required=bool(limits["required"]),
        )
        timeout = timedelta(seconds=limits["timeout_s"])
        try:
            done = worker.run(entry, placed, out, timeout=timeout, memory_mib=limits["memory_mib"])
        except (DependencyError, InvalidInput) as error:
            return told(error)
        return {"output": done.output, "files": _packed(out), "isolation": done.isolation, "node": _node()}


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError("jobs.engine", "ray is not installed", "Install evercrew[ray]") from error
    try:
        ray.init(
            address=address,
            namespace="evercrew",
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, TimeoutError) as error:
        problem = f"the cluster at {address} does not answer: {_short(error)}"
        raise DependencyUnavailable(NAME, problem, "Start it, and check jobs.ray_address") from error
    except (ValueError, RuntimeError) as error:
        raise _unusable(address, error) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _unusable(address: str, error: Exception) -> DependencyError | InvalidInput:
    text = _short(error)
    if "ersion mismatch" in text:
        return ConfigurationError(
            "jobs.ray_address", f"another version runs there: {text}", "Use the same Ray and Python"
        )
    return ConfigurationError(
        "jobs.ray_address", f"{address} cannot be used: {text}", "Write host:port, or ray://host:port"
    )


def _feasible(known: list[Mapping[str, Any]], wanted: SubmitSpec) -> None:
    alive = [node["Resources"] for node in known if node["Alive"]]
    if not alive:
        raise DependencyUnavailable(NAME, "the cluster has no living node", "Start a worker")
    large = [
        node
        for node in alive
        if node.get("CPU", 0) >= wanted.cpus and node.get("memory", 0) >= wanted.memory_mib * _MIB
    ]
    if not large:
        most = max(float(node.get("memory", 0)) for node in alive) / _MIB
        raise ConfigurationError(
            "jobs.memory_mib",
            f"no node has {wanted.cpus} CPUs and {wanted.memory_mib} MiB; the largest has {most:.0f} MiB",
            "Lower it, or add a larger node",
        )


def _result(ray: Any, wanted: SubmitSpec) -> Mapping[str, Any]:
    limits = wanted.model_dump(include={"timeout_s", "memory_mib", "environment", "required"})
    shipped = {name: _packed(Path(str(wanted.spec[name]))) for name in wanted.ship if name in wanted.spec}
    task = ray.remote(work).options(num_cpus=wanted.cpus, memory=wanted.memory_mib * _MIB, max_retries=1)
    running = task.remote(wanted.entry, dict(wanted.spec), ray.put(shipped), limits)
    try:
        answer = ray.get(running, timeout=wanted.timeout_s)
    except ray.exceptions.GetTimeoutError as error:
        ray.cancel(running, force=True)
        raise DependencyTimeout(
            NAME,
            f"the job took longer than {wanted.timeout_s:g} s and was cancelled",
            "Allow it more time, or add a node",
        ) from error
    except (ray.exceptions.OutOfMemoryError, ray.exceptions.OutOfDiskError) as error:
        raise DependencyUnavailable(NAME, f"a node ran out of memory or disk: {_short(error)}", "Add memory") from error
    except (
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.NodeDiedError,
        ray.exceptions.ObjectLostError,
        ray.exceptions.RaySystemError,
    ) as error:
        raise DependencyUnavailable(
            NAME, f"its worker was lost, twice: {_short(error)}", "Look at the nodes"
        ) from error
    except ray.exceptions.RayError as error:
        raise DependencyUnavailable(NAME, f"the task failed: {_short(error)}", "Look at the nodes' logs") from error
    if not isinstance(answer, Mapping) or not (FIELD in answer or {"output", "files"} <= set(answer)):
        raise DependencyLied(NAME, "the task answered with something that is no result", "Run one version everywhere")
    return answer


def _node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _packed(path: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(path, arcname=path.name)
    if packed.tell() > MOST_BYTES:
        raise InvalidInput("job", f"{path.name} has {packed.tell()} bytes", f"At most {MOST_BYTES} travel with a task")
    return packed.getvalue()


def _unpacked(packed: bytes, into: Path) -> Path:
    into.mkdir(parents=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(into, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise DependencyLied(NAME, f"what came with the task cannot be unpacked: {error}") from error
    return next(into.iterdir())


def _unpack(packed: bytes, out: Path) -> None:
    with tempfile.TemporaryDirectory(dir=out, prefix=".came-") as scratch:
        folder = _unpacked(packed, Path(scratch) / "files")
        for child in folder.iterdir():
            child.rename(out / child.name)


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
