"""H2O-3: a real cluster trains, and what it trains scores the same without it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from adapters.rest import Endpoint
from adapters.training.base import EFFECT_TRAIN, TrainingJob, TrainingPort
from adapters.training.h2o import H2OLearner, LearnerRunner, Limits, Split
from adapters.training.portable import PortableModel
from adapters.training.table import read_table, write_classes
from adapters.training.worker import WorkerTraining
from domain.clock import SystemClock
from domain.permit import PermitOffice
from testbed import jobs
from testbed.bundle import Bundle
from testbed.learned import assemble
from testbed.servers.h2o import H2OServer
from testbed.trees import Forest
from tests.contract.permits import permit_for
from tests.contract.training_contract import TrainingContract
from tests.contract.workers import worker

MINUTES = timedelta(minutes=3)
SPLITS = {"testbed.jobs:train": Split("testbed.jobs:features", "testbed.jobs:finish")}
works = pytest.mark.integration("h2o", "works")
Algorithm = Literal["automl", "gbm", "drf", "glm"]


def learner(endpoint: Endpoint | None, algorithm: Algorithm = "gbm", **limits: Any) -> H2OLearner:
    return H2OLearner(
        confined=worker(confined=True),
        connected=worker(),
        clock=SystemClock(),
        endpoint=endpoint,
        limits=Limits(**limits),
        algorithm=algorithm,
    )


def training(folder: Path, office: PermitOffice, h2o: H2OLearner) -> WorkerTraining:
    runner = LearnerRunner(worker=worker(confined=True), h2o=h2o, splits=SPLITS, clock=SystemClock())
    return WorkerTraining(folder=folder, worker=runner, permits=office, clock=SystemClock())


def learnt(h2o: H2OLearner, table: Path, out: Path, **params: Any) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    return dict(h2o.learn(table, out, params=params, timeout=MINUTES, memory_mib=3072))


def by_mojo(endpoint: Endpoint, out: Path, table: Path) -> np.ndarray:
    """What the MOJO answers, loaded into the cluster again."""
    assert endpoint.password is not None
    cluster = {"url": endpoint.url, "username": endpoint.username, "password": endpoint.password.get_secret_value()}
    names = json.loads((table / "table.json").read_text())["features"]
    spec = {"cluster": cluster, "mojo": str(out / "mojo.zip"), "features": str(table / "features.npy"), "names": names}
    entry = "tests.integrations.h2o.jobs:score_mojo"
    done = worker().run(entry, spec, out, timeout=MINUTES, memory_mib=2048)
    return np.array(done.output["predictions"])


def kept(server: H2OServer, out: Path) -> Any:
    """The names of what the cluster holds."""
    spec = {"cluster": {"url": server.url, "username": "evercrew", "password": "only-for-tests"}}
    return worker().run("tests.integrations.h2o.jobs:kept", spec, out, timeout=MINUTES, memory_mib=2048).output


@works
class TestLearnerRunner(TrainingContract):
    """Jobs that name no learner run as they are."""

    @pytest.fixture
    def training(self, office: PermitOffice, tmp_path: Path) -> TrainingPort:
        return training(tmp_path / "results", office, learner(None))


@works
@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["gbm", "drf", "glm"])
def test_a_ranker_scores_on_real_features_as_its_mojo_does(
    endpoint: Endpoint, prepared: Path, tmp_path: Path, algorithm: Algorithm
) -> None:
    table = prepared / "table"
    learnt(learner(endpoint, algorithm), table, tmp_path, iterations=25, leaves=12)
    features = np.load(table / "features.npy")
    expected = by_mojo(endpoint, tmp_path, table)[:, 0]
    assert len(expected) == len(features) > 3000
    assert np.ptp(expected) > 0.1
    portable = PortableModel.read(tmp_path / "model.json")
    assert np.abs(portable.predict(features) - expected).max() < 1e-6
    trained = assemble(prepared, tmp_path, tmp_path / "bundle", learner="h2o")
    served = Forest((tmp_path / "bundle" / "booster.txt").read_text()).predict(features)
    assert np.abs(served - expected).max() < 1e-6
    assert trained.metrics["valid_ndcg_at_10"] == pytest.approx(read_table(table).ndcg(expected, "held"), abs=1e-4)


@works
@pytest.mark.slow
@pytest.mark.parametrize(
    ("algorithm", "count"), [("gbm", 2), ("gbm", 3), ("drf", 2), ("drf", 3), ("glm", 2), ("glm", 3)]
)
def test_a_classifier_gives_the_probabilities_its_mojo_gives(
    endpoint: Endpoint, classes: Path, tmp_path: Path, algorithm: Algorithm, count: int
) -> None:
    known = read_table(classes)
    labels = [label if count == 3 else label.replace("stones", "plants") for label in known.labels or []]
    table = tmp_path / "table"
    held = [part == "held" for part in known.parts]
    write_classes(table, names=known.names, features=known.features, labels=labels, held=held, seed=3)
    learnt(learner(endpoint, algorithm), table, tmp_path, iterations=10)
    model = PortableModel.read(tmp_path / "model.json")
    found = model.predict(known.features)
    assert model.classes == sorted(set(labels))
    assert np.abs(found - by_mojo(endpoint, tmp_path, table)).max() < 1e-6
    assert np.allclose(found.sum(axis=1), 1)
    right = [one == other for one, other, out in zip(model.labels(known.features), labels, held, strict=True) if out]
    assert np.mean(right) > 0.7


@works
@pytest.mark.slow
def test_a_search_leaves_its_leaderboard_and_nothing_on_the_cluster(
    endpoint: Endpoint, h2o_cluster: H2OServer, prepared: Path, tmp_path: Path
) -> None:
    before = kept(h2o_cluster, tmp_path)
    found = learnt(learner(endpoint, "automl", max_models=3), prepared / "table", tmp_path)
    board = json.loads((tmp_path / "leaderboard.json").read_text())
    assert board == found["leaderboard"]
    assert len(board) == 3
    assert {row["algorithm"] for row in board} <= {"gbm", "drf", "glm"}
    quality = [row["metrics"]["held_ndcg_at_10"] for row in board]
    assert quality == sorted(quality, reverse=True)
    assert found["leader"] == board[0]["model"]
    assert kept(h2o_cluster, tmp_path) == before


@works
@pytest.mark.slow
def test_a_job_with_a_java_machine_of_its_own_needs_no_network(
    data: Path, tmp_path: Path, h2o_cluster: H2OServer
) -> None:
    office = PermitOffice(SystemClock())
    assert h2o_cluster.url
    port = training(tmp_path / "results", office, learner(None, "automl", max_models=2, max_memory_mib=400))
    spec = {"dataset": str(data), "seed": 1, "params": {"iterations": 20}, "learner": "h2o"}
    job = TrainingJob(entry="testbed.jobs:train", spec=spec, timeout=MINUTES, memory_mib=3072)
    result = port.run(job, key="k1", permit=permit_for(office, EFFECT_TRAIN, "k1"))
    bundle = Bundle.load(result.folder / "bundle")
    assert result.output["digest"] == bundle.digest
    assert bundle.config["learner"] == result.output["learner"]["name"] == "h2o"
    assert result.output["metrics"]["h2o_01_" + result.output["learner"]["algorithm"] + "_held_ndcg_at_10"] > 0
    assert {"mojo.zip", "leaderboard.json"} <= {path.name for path in (result.folder / "bundle").iterdir()}
    assert sorted(path.name for path in result.folder.iterdir()) == ["bundle"]
    assert port.run(job, key="k1", permit=permit_for(office, EFFECT_TRAIN, "k1")) == result


@works
@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["gbm", "glm"])
def test_a_bundle_of_h2o_is_served_and_explained_like_any_other(
    endpoint: Endpoint, prepared: Path, data: Path, tmp_path: Path, algorithm: Algorithm
) -> None:
    learnt(learner(endpoint, algorithm), prepared / "table", tmp_path, iterations=10)
    assemble(prepared, tmp_path, tmp_path / "bundle", learner="h2o")
    documents = data / "documents.jsonl"
    query = json.loads((data / "judgements.jsonl").read_text().splitlines()[0])["query"]
    spec = {"bundle": str(tmp_path / "bundle"), "documents": str(documents), "queries": [query]}
    told = jobs.explain(spec, tmp_path / "told")
    assert max(told["features"].values()) > 0
    assert set(told["features"]) == set(json.loads((prepared / "table" / "table.json").read_text())["features"])


@works
def test_the_check_tells_version_and_memory(endpoint: Endpoint) -> None:
    assert "3.46" in learner(endpoint).check()
    assert "MiB free" in learner(endpoint).check()
    assert "openjdk" in learner(None).check()
