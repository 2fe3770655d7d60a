"""Ray: jobs run on a real cluster of several nodes as they run on one machine."""

from __future__ import annotations

import importlib.util
import socket
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapters.training.base import EFFECT_TRAIN, TrainingJob, TrainingPort
from adapters.training.ray import RayRunner, RayTraining
from adapters.training.worker import Runner
from adapters.worker import Worker, WorkerResult
from domain.clock import SystemClock
from domain.errors import ConfigurationError, DependencyLied, DependencyTimeout, DependencyUnavailable
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.ray import RayCluster
from tests.contract.permits import permit_for
from tests.contract.training_contract import TrainingContract
from tests.contract.workers import ENVIRONMENT
from tests.support.waiting import gone, until

MINUTE = timedelta(minutes=1)
JOBS = "tests.integrations.ray.jobs"


def case(name: str) -> pytest.MarkDecorator:
    return pytest.mark.integration("ray", name)


def driver() -> Worker:
    """A worker with the network, and with Ray's telemetry off."""
    environment = {**ENVIRONMENT, "RAY_USAGE_STATS_ENABLED": "0"}
    return Worker(name="ray", environment=environment, clock=SystemClock())


class Saying:
    """A driver that always returns the same."""

    isolation = "none"

    def __init__(self, output: object) -> None:
        self.output = output

    def run(
        self, entry: str, spec: Mapping[str, Any], out: Path, *, timeout: timedelta, memory_mib: int
    ) -> WorkerResult:
        return WorkerResult(self.output, 0.0, self.isolation)


def runner(address: str, by: Runner | None = None, **fields: Any) -> RayRunner:
    return RayRunner(address=address, driver=by or driver(), **{"environment": ENVIRONMENT, **fields})


def loose(address: str) -> RayRunner:
    """One whose jobs may write outside of their own folder, so that a test sees them run."""
    return runner(address, ship=(), environment={**ENVIRONMENT, "PATH": "/usr/sbin"})


def needed() -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed: pip install evercrew[ray]")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    needed()
    with RayCluster(tmp_path_factory.mktemp("ray"), workers=2) as running:
        yield running


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.slow
@case("works")
class TestRayTraining(TrainingContract):
    @pytest.fixture
    def training(self, cluster: RayCluster, office: PermitOffice, tmp_path: Path) -> TrainingPort:
        given = runner(cluster.address)
        return RayTraining(folder=tmp_path / "results", runner=given, permits=office, clock=SystemClock())


@pytest.mark.slow
@case("works")
def test_a_data_set_travels_and_the_files_come_back(cluster: RayCluster, tmp_path: Path, out: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "rows.jsonl").write_text("{}\n")
    spec = {"dataset": str(data), "was": str(data)}
    done = runner(cluster.address).run(f"{JOBS}:look", spec, out, timeout=MINUTE, memory_mib=512)
    assert done.output == {"files": ["rows.jsonl"], "same": False}
    assert (out / "deep" / "er" / "file.txt").read_text() == "found"
    assert sorted(path.name for path in out.iterdir()) == ["deep"]


@pytest.mark.slow
@case("works")
def test_two_jobs_run_on_two_nodes_at_once(cluster: RayCluster, tmp_path: Path) -> None:
    tries, go = tmp_path / "tries", tmp_path / "go"
    results: list[object] = []

    def work(number: int) -> None:
        place = tmp_path / str(number)
        place.mkdir()
        spec = {"tries": str(tries), "go": str(go)}
        results.append(
            loose(cluster.address).run(f"{JOBS}:count", spec, place, timeout=2 * MINUTE, memory_mib=512).output
        )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    assert lines(tries, 2) == 2
    go.touch()
    for thread in threads:
        thread.join()
    assert results == [{"done": True}] * 2


@pytest.mark.slow
@case("lying")
def test_a_job_whose_node_is_lost_is_tried_on_another(cluster: RayCluster, tmp_path: Path, out: Path) -> None:
    tries, go = tmp_path / "tries", tmp_path / "go"
    results: list[object] = []

    def work() -> None:
        spec = {"tries": str(tries), "go": str(go)}
        results.append(
            loose(cluster.address).run(f"{JOBS}:count", spec, out, timeout=2 * MINUTE, memory_mib=512).output
        )

    thread = threading.Thread(target=work)
    thread.start()
    assert lines(tries, 1) == 1
    until(lambda: len(working(cluster)) == 1)
    working(cluster)[0].kill()  # Ray's worker on the node, and with it the job
    assert lines(tries, 2) == 2
    go.touch()
    thread.join()
    assert results == [{"done": True}]


@pytest.mark.slow
@case("slow")
def test_a_job_that_takes_too_long_is_cancelled(cluster: RayCluster, tmp_path: Path, out: Path) -> None:
    spec = {"tries": str(tmp_path / "tries"), "go": str(tmp_path / "never")}
    for seconds in (12, 40, 100):  # a machine with much to do may not have begun it by then
        with pytest.raises(DependencyTimeout, match="longer than"):
            loose(cluster.address).run(f"{JOBS}:count", spec, out, timeout=timedelta(seconds=seconds), memory_mib=512)
        if (tmp_path / "tries").exists():
            break
    assert lines(tmp_path / "tries", 1) == 1
    (job,) = [int(line) for line in (tmp_path / "tries").read_text().splitlines()]
    until(lambda: gone(job))


@case("slow")
def test_a_cluster_that_never_answers_is_given_up(out: Path) -> None:
    needed()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises((DependencyTimeout, DependencyUnavailable), match=r"jobs\.ray_address"):
            runner(address, grace=timedelta(seconds=4)).check()


@pytest.mark.slow
@case("refused")
def test_a_cluster_that_is_down_is_named(out: Path) -> None:
    needed()
    with pytest.raises((DependencyUnavailable, DependencyTimeout), match=r"127\.0\.0\.1:9.*jobs\.ray_address"):
        runner("127.0.0.1:99", grace=timedelta(seconds=5)).run(
            f"{JOBS}:look", {}, out, timeout=timedelta(seconds=5), memory_mib=512
        )


@case("lying")
@pytest.mark.parametrize("output", [None, [1], "fine"])
def test_a_driver_that_returns_no_object_lied(out: Path, output: object) -> None:
    with pytest.raises(DependencyLied, match="not an object"):
        runner("cluster:6379", Saying(output)).run("x:y", {}, out, timeout=MINUTE, memory_mib=512)


@case("lying")
def test_a_failure_that_tells_nothing_is_still_a_failure(out: Path) -> None:
    with pytest.raises(DependencyLied):
        runner("cluster:6379", Saying({"failure": 3})).run("x:y", {}, out, timeout=MINUTE, memory_mib=512)
    with pytest.raises(DependencyUnavailable, match="ray"):
        runner("cluster:6379", Saying({"failure": {}})).run("x:y", {}, out, timeout=MINUTE, memory_mib=512)


@case("lying")
def test_a_lost_job_leaves_no_result(tmp_path: Path) -> None:
    office = PermitOffice(SystemClock())
    failure = {
        "kind": "DependencyUnavailable",
        "name": "ray",
        "problem": "its worker was lost, twice",
        "remedy": "Look",
    }
    given = runner("cluster:6379", Saying({"failure": failure}))
    port = RayTraining(folder=tmp_path / "results", runner=given, permits=office, clock=SystemClock())
    job = TrainingJob(entry="x:y", spec={})
    with pytest.raises(DependencyUnavailable, match="lost, twice"):
        port.run(job, key="k1", permit=permit_for(office, EFFECT_TRAIN, "k1"))
    assert port.observe("k1").seen is Seen.ABSENT


@pytest.mark.slow
@case("misconfigured")
def test_a_job_no_node_has_room_for_is_refused(cluster: RayCluster, out: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"jobs\.memory_mib.*the largest has 1024 MiB"):
        runner(cluster.address).run(f"{JOBS}:look", {}, out, timeout=MINUTE, memory_mib=4096)


@case("misconfigured")
@pytest.mark.parametrize("address", ["", "auto", "http://cluster:8265", "cluster", "cluster:1; reboot"])
def test_an_address_that_cannot_be_is_named(address: str) -> None:
    with pytest.raises(ConfigurationError, match=r"jobs\.ray_address"):
        runner(address)


@case("refused")
def test_what_the_driver_tells_of_a_refusal_arrives_whole(out: Path) -> None:
    failure = {
        "kind": "ConfigurationError",
        "name": "jobs.engine",
        "problem": "ray is not installed",
        "remedy": "Install",
    }
    with pytest.raises(ConfigurationError, match=r"jobs\.engine: ray is not installed\. Install"):
        runner("cluster:6379", Saying({"failure": failure})).check()


def working(cluster: RayCluster) -> list[psutil.Process]:
    """The workers that run a job; others of the cluster's processes come and go meanwhile."""
    found = []
    for process in cluster.processes():
        try:
            found += [process] if process.name().startswith("ray::work") else []
        except psutil.NoSuchProcess:
            continue
    return found


def lines(path: Path, wanted: int) -> int:
    """Wait until a file has so many lines, and say how many it has."""
    until(lambda: path.exists() and len(path.read_text().splitlines()) >= wanted)
    return len(path.read_text().splitlines())
