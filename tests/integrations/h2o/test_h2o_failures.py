"""H2O-3 that refuses, dawdles, lies or is set up wrongly: each has its own answer."""

from __future__ import annotations

import importlib.util
import shutil
import socket
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from adapters.rest import Endpoint, Refused
from adapters.training.h2o import H2OLearner, LearnerRunner, Limits, Split
from adapters.training.h2o_cluster import check_cloud
from adapters.training.portable import PortableModel
from adapters.training.table import write_classes
from adapters.worker import WorkerResult
from domain.clock import SystemClock
from domain.errors import (
    ConfigurationError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
)
from testbed.errors import DataError
from testbed.learned import assemble
from tests.contract.workers import worker
from tests.stubs.small_server import NOBODY, Said, SmallServer, said
from tests.stubs.small_server import endpoint as small

SOON = timedelta(seconds=60)
CLOUD = {"version": "3.46.0.11", "cloud_healthy": True, "cloud_size": 1, "locked": True, "nodes": [{"free_mem": 2**30}]}
needs_client = pytest.mark.skipif(
    importlib.util.find_spec("h2o") is None, reason="h2o is not installed: pip install evercrew[h2o]"
)
needs_java = pytest.mark.skipif(
    shutil.which("java") is None, reason="Java is not installed: apt-get install openjdk-17-jre-headless"
)


def case(name: str) -> pytest.MarkDecorator:
    return pytest.mark.integration("h2o", name)


class Saying:
    """A runner whose job always returns the same."""

    isolation = "none"

    def __init__(self, output: object) -> None:
        self.output = output

    def run(
        self, entry: str, spec: Mapping[str, Any], out: Path, *, timeout: timedelta, memory_mib: int
    ) -> WorkerResult:
        return WorkerResult(self.output, 0.0, self.isolation)


def learner(endpoint: Endpoint | None = None, java: str = "java", **limits: Any) -> H2OLearner:
    fields: dict[str, Any] = {"confined": worker(), "connected": worker(), "clock": SystemClock()}
    return H2OLearner(**fields, endpoint=endpoint, limits=Limits(**limits), algorithm="gbm", java=java)


def learn(h2o: H2OLearner, table: Path, out: Path, timeout: timedelta = SOON, memory_mib: int = 3072) -> None:
    out.mkdir(exist_ok=True)
    h2o.learn(table, out, params={"iterations": 5}, timeout=timeout, memory_mib=memory_mib)


@pytest.fixture
def cloud() -> Iterator[SmallServer]:
    with SmallServer(lambda asked: said(CLOUD)) as running:
        yield running


@case("refused")
def test_a_wrong_password_is_refused(endpoint: Endpoint, classes: Path, tmp_path: Path) -> None:
    wrong = endpoint.model_copy(update={"password": SecretStr("wrong-one")})
    with pytest.raises(DependencyUnavailable, match=r"refused the credentials.*EVERCREW_H2O_PASSWORD") as told:
        learn(learner(wrong), classes, tmp_path / "out")
    assert "wrong-one" not in str(told.value)
    with pytest.raises(Refused, match="credentials of h2o"):
        learner(wrong).check()


@needs_client
@case("refused")
def test_a_cluster_that_is_down_is_named(classes: Path, tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable, match=r"cannot be reached.*h2o\.url"):
        learn(learner(small(NOBODY)), classes, tmp_path / "out")
    with pytest.raises(DependencyUnavailable, match=r"h2o\.url"):
        learner(small(NOBODY)).check()


@needs_client
@case("slow")
def test_a_cluster_that_never_answers_costs_no_more_than_the_jobs_time(classes: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DependencyTimeout, match="longer than 4 s"):
            learn(learner(small(url)), classes, tmp_path / "out", timeout=timedelta(seconds=4))
        with pytest.raises(DependencyTimeout):
            learner(small(url, timeout=timedelta(seconds=0.3))).check()


@case("slow")
def test_no_model_within_the_time_is_told_as_such() -> None:
    failure = {
        "kind": "DependencyTimeout",
        "name": "h2o",
        "problem": "no model was ready within 1 s",
        "remedy": "Raise h2o.max_runtime_s or lower the rows",
    }
    fields: dict[str, Any] = {"confined": Saying({"failure": failure}), "connected": worker(), "clock": SystemClock()}
    with pytest.raises(DependencyTimeout, match=r"no model was ready.*h2o\.max_runtime_s"):
        H2OLearner(**fields).learn(Path(), Path(), params={}, timeout=SOON, memory_mib=4096)


@case("slow")
def test_the_parts_of_a_job_share_its_time(tmp_path: Path) -> None:
    runner = LearnerRunner(
        worker=worker(),
        h2o=learner(),
        splits={"x:y": Split("tests.integrations.h2o.jobs:dawdle", "x:z")},
        clock=SystemClock(),
    )
    with pytest.raises(DependencyTimeout, match=r"longer than [34]\.\d"):
        runner.run("x:y", {"learner": "h2o"}, tmp_path, timeout=timedelta(seconds=5), memory_mib=512)


@needs_client
@case("lying")
@pytest.mark.parametrize("lie", [said([]), said({"version": "1"}), Said(body=b"<html>"), Said(body=b"")])
def test_another_product_at_the_address_is_no_cluster(cloud: SmallServer, lie: Said) -> None:
    cloud.lie = lie
    with pytest.raises(DependencyLied, match=r"h2o\.url"):
        learner(small(cloud.url)).check()


@case("lying")
@pytest.mark.parametrize("output", [None, [1], "fine"])
def test_a_job_that_returns_no_object_lied(output: object) -> None:
    fields: dict[str, Any] = {"confined": Saying(output), "connected": worker(), "clock": SystemClock()}
    with pytest.raises(DependencyLied, match="not an object"):
        H2OLearner(**fields).learn(Path(), Path(), params={}, timeout=SOON, memory_mib=4096)


@case("lying")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"kind": "trees", "outputs": []}',
        '{"kind": "trees", "outputs": [{"bias": 0, "trees": []}]}',
        '{"kind": "linear", "outputs": [{"bias": 0, "weights": [1.0]}]}',
        '{"kind": "trees", "outputs": [{"bias": 0, "trees": [{"feature": [99, -1, -1], "threshold": [0, 0, 0],'
        ' "left": [1, -1, -1], "right": [2, -1, -1], "value": [0, 1, 2]}]}]}',
    ],
)
def test_a_model_that_does_not_fit_never_becomes_a_bundle(prepared: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(DataError, match=r"model\.json"):
        assemble(prepared, tmp_path, tmp_path / "bundle", learner="h2o")
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(DependencyLied, match=r"model\.json"):
        PortableModel.read(tmp_path / "model.json")


@needs_client
@case("lying")
def test_a_sick_cluster_is_not_used(cloud: SmallServer) -> None:
    cloud.lie = said({**CLOUD, "cloud_healthy": False})
    with pytest.raises(DependencyUnavailable, match="not healthy"):
        learner(small(cloud.url)).check()


@needs_client
@case("misconfigured")
def test_a_cluster_of_another_version_is_refused(cloud: SmallServer, classes: Path, tmp_path: Path) -> None:
    cloud.lie = said({**CLOUD, "version": "3.40.0.1"})
    with pytest.raises(ConfigurationError, match=r"3\.40\.0\.1, the client 3\.46\.0\.11"):
        learner(small(cloud.url)).check()
    with pytest.raises(ConfigurationError, match="Run the same version"):
        check_cloud("3.46.0.11", {"version": "3.46.0.9", "healthy": True})


@needs_client
@case("misconfigured")
def test_a_locked_cloud_with_too_few_nodes_is_told(cloud: SmallServer) -> None:
    assert "1 nodes" in learner(small(cloud.url)).check()
    with pytest.raises(DependencyUnavailable, match=r"locked with 1 of 3 nodes.*Restart all"):
        learner(small(cloud.url), nodes=3).check()


@needs_client
@case("misconfigured")
def test_no_java_is_named_with_its_remedy(classes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"h2o\.java.*Install Java 17"):
        learner(java="no-such-java").check()
    with pytest.raises(ConfigurationError, match=r"h2o\.java.*Install Java 17"):
        learn(learner(java="no-such-java"), classes, tmp_path / "out")


@case("misconfigured")
def test_more_heap_than_the_job_may_have_is_refused(classes: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"h2o\.max_memory_mib.*jobs\.memory_mib"):
        learn(learner(max_memory_mib=4096), classes, tmp_path / "out")


@case("misconfigured")
def test_a_token_is_refused_for_the_client_cannot_send_it() -> None:
    with pytest.raises(ConfigurationError, match="username and password"):
        learner(small(NOBODY, token="t"))


@case("misconfigured")
def test_a_job_that_cannot_be_split_is_refused(tmp_path: Path) -> None:
    runner = LearnerRunner(worker=worker(), h2o=learner(), splits={}, clock=SystemClock())
    with pytest.raises(InvalidInput, match="learner"):
        runner.run("x:y", {"learner": "h2o"}, tmp_path, timeout=SOON, memory_mib=512)


@case("misconfigured")
@pytest.mark.parametrize("damage", ["one class", "gap", "no file", "few rows"])
def test_a_table_nothing_can_be_learnt_from_is_refused(tmp_path: Path, damage: str) -> None:
    table, count = tmp_path / "table", 5 if damage == "few rows" else 40
    labels = ["a" if damage == "one class" else f"c{row % 2}" for row in range(count)]
    features = np.full((count, 2), np.nan if damage == "gap" else 1.0)
    held = [row % 4 == 0 for row in range(count)]
    write_classes(table, names=["x", "y"], features=features, labels=labels, held=held, seed=1)
    if damage == "no file":
        (table / "features.npy").unlink()
    with pytest.raises(InvalidInput, match="table"):
        learn(learner(), table, tmp_path / "out")


@needs_client
@case("refused")
@needs_java
@pytest.mark.slow
def test_a_java_machine_that_runs_out_of_memory_is_told_as_such(classes: Path, tmp_path: Path) -> None:
    with pytest.raises(DependencyUnavailable, match=r"out of memory.*h2o\.max_memory_mib"):
        learn(learner(max_memory_mib=20), classes, tmp_path / "out")


@needs_client
@case("misconfigured")
@needs_java
def test_a_java_that_cannot_start_the_cluster_tells_its_words(classes: Path, tmp_path: Path) -> None:
    fake = tmp_path / "java"
    fake.write_text("#!/bin/sh\necho Only Java 8 to 17 are supported >&2\nexit 1\n")
    fake.chmod(0o755)
    with pytest.raises(DependencyUnavailable, match=r"Only Java 8 to 17.*h2o\.java"):
        learn(learner(java=str(fake)), classes, tmp_path / "out")
    with pytest.raises(ConfigurationError, match="Install Java 17"):
        learner(java=str(fake)).check()
