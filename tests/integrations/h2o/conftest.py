"""A real cluster of one node, which asks for a password, and tables to learn from."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from pydantic import SecretStr

from adapters.rest import Endpoint
from adapters.training.table import write_classes
from testbed import jobs
from testbed.corpus import load_docstrings
from testbed.population import Population
from testbed.search import Searcher
from testbed.servers.h2o import H2OServer
from tests.testbed.science import dataset, judged

PASSWORD = "only-for-tests"


@pytest.fixture(scope="session")
def h2o_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[H2OServer]:
    if importlib.util.find_spec("h2o") is None:
        pytest.skip("h2o is not installed: pip install evercrew[h2o]")
    if shutil.which("java") is None:
        pytest.skip("Java is not installed: apt-get install openjdk-17-jre-headless")
    server = H2OServer(tmp_path_factory.mktemp("h2o") / "node", memory_mib=600, password=PASSWORD)
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def endpoint(h2o_cluster: H2OServer) -> Endpoint:
    return Endpoint(
        url=h2o_cluster.url, username="evercrew", password=SecretStr(PASSWORD), timeout=timedelta(seconds=20)
    )


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small data set of the testbed."""
    scratch = tmp_path_factory.mktemp("h2o-data")
    documents = load_docstrings(300, scratch)
    population = Population(documents, 1)
    mix = population.mix(population.subjects)
    return dataset(scratch / "data", documents, judged(population, mix, Searcher(documents, None), range(250)))


@pytest.fixture(scope="session")
def prepared(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the platform makes of it for a learner: real ranking features."""
    out = tmp_path_factory.mktemp("h2o-prepared")
    jobs.features({"dataset": str(data), "seed": 1, "params": {}}, out)
    return out


@pytest.fixture(scope="session")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of rows over features that tell them apart, with some noise."""
    rng = np.random.default_rng(3)
    features = rng.normal(size=(400, 6))
    scores = features[:, :3] + 0.3 * rng.normal(size=(400, 3))
    labels = [("animals", "plants", "stones")[place] for place in scores.argmax(axis=1)]
    folder = tmp_path_factory.mktemp("h2o-classes") / "table"
    write_classes(
        folder,
        names=[f"word {n}" for n in range(6)],
        features=features,
        labels=labels,
        held=[row % 5 == 0 for row in range(400)],
        seed=3,
    )
    return folder
