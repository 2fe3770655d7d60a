"""Re-rankers fitted elsewhere: the features go out, a portable model comes back, and it is served like any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed import jobs
from testbed.bundle import Bundle
from testbed.errors import BundleError, DataError
from testbed.features import FEATURES
from testbed.learned import assemble, booster_text
from testbed.trees import Forest
from tests.testbed.science import dataset

WIDTH = len(FEATURES)
STUMP: dict[str, list[Any]] = {
    "feature": [4, -1, -1],
    "threshold": [0.5, 0.0, 0.0],
    "left": [1, -1, -1],
    "right": [2, -1, -1],
    "value": [0.0, 1.0, 3.0],
}
DEEP: dict[str, list[Any]] = {
    "feature": [0, 4, -1, -1, -1],
    "threshold": [0.0, -0.25, 0.0, 0.0, 0.0],
    "left": [1, 3, -1, -1, -1],
    "right": [2, 4, -1, -1, -1],
    "value": [0.0, 0.0, 10.0, 20.0, 30.0],
}


def model(*trees: dict[str, list[Any]], bias: float = 0.0, average: bool = False) -> dict[str, Any]:
    return {"kind": "trees", "outputs": [{"bias": bias, "average": average, "trees": list(trees)}]}


@pytest.fixture
def matrix() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(500, WIDTH))


@pytest.mark.parametrize("average", [False, True])
def test_trees_add_up_or_are_averaged_and_a_value_at_the_threshold_goes_right(
    matrix: np.ndarray, average: bool
) -> None:
    matrix[0, 4], matrix[1, 4] = 0.5, np.nextafter(0.5, 0)
    matrix[2, 0], matrix[2, 4] = -1.0, -0.25
    first = np.where(matrix[:, 4] < 0.5, 1.0, 3.0)
    second = np.where(matrix[:, 0] < 0, np.where(matrix[:, 4] < -0.25, 20.0, 30.0), 10.0)
    expected = 7 + (first + second) / (2 if average else 1)
    text = booster_text(model(STUMP, DEEP, bias=7.0, average=average), matrix)
    assert np.abs(Forest(text).predict(matrix) - expected).max() < 1e-12


@pytest.mark.parametrize("average", [False, True])
def test_the_trainers_own_library_reads_it_and_explains_it(matrix: np.ndarray, average: bool) -> None:
    import lightgbm

    text = booster_text(model(STUMP, DEEP, bias=1.0, average=average), matrix)
    booster = lightgbm.Booster(model_str=text)
    expected = Forest(text).predict(matrix)
    assert np.abs(np.asarray(booster.predict(matrix, num_threads=1)) - expected).max() < 1e-9
    contributions = np.asarray(booster.predict(matrix, pred_contrib=True, num_threads=1)) * Forest(text).share
    assert np.abs(contributions.sum(axis=1) - expected).max() < 1e-9
    used = np.abs(contributions[:, :-1]).max(axis=0) > 1e-9
    assert set(np.flatnonzero(used)) == {0, 4}


def test_a_linear_model_is_a_weighted_sum(matrix: np.ndarray) -> None:
    weights = [float(place) for place in range(WIDTH)]
    text = booster_text({"kind": "linear", "outputs": [{"bias": 2.5, "weights": weights}]}, matrix)
    assert np.abs(Forest(text).predict(matrix) - (matrix @ weights + 2.5)).max() < 1e-9


@pytest.mark.parametrize("text", ["linear\n", "linear\nbias=x\nweights=1 2\n"])
def test_a_damaged_linear_model_is_refused(text: str) -> None:
    with pytest.raises(BundleError, match="damaged"):
        Forest(text)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"kind": "magic", "outputs": [{"bias": 0}]},
        model(),
        model({**STUMP, "feature": [WIDTH, -1, -1]}),
        model({**STUMP, "left": [9, -1, -1]}),
        {"kind": "linear", "outputs": [{"bias": 0.0, "weights": [1.0]}]},
    ],
)
def test_what_is_no_model_of_the_features_is_refused(matrix: np.ndarray, broken: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"model\.json"):
        booster_text(broken, matrix)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny data set, and what the first half of a job makes of it."""
    from testbed.corpus import Document

    scratch = tmp_path_factory.mktemp("learned")
    words = ["root", "sum", "sort", "file", "path", "time", "zone", "byte", "text", "line"]
    documents = [
        Document(f"d{n}", f"{words[n % 10]} {n}", f"{words[n % 10]} {words[(n * 3) % 10]} {n}", "s") for n in range(40)
    ]
    rows = [
        {"query": f"{words[n % 10]} {n % 40}", "doc_id": f"d{n % 40}", "grade": 1, "source": "judgement"}
        for n in range(40)
    ]
    data = dataset(scratch / "data", documents, rows)
    jobs.features({"dataset": str(data), "seed": 1, "params": {}}, scratch / "prepared")
    return data, scratch / "prepared"


def test_the_table_is_what_a_learner_needs_and_nothing_more(prepared: tuple[Path, Path]) -> None:
    _, folder = prepared
    about = json.loads((folder / "table" / "table.json").read_text())
    features, labels = np.load(folder / "table" / "features.npy"), np.load(folder / "table" / "labels.npy")
    assert about["features"] == list(FEATURES)
    assert sum(query["rows"] for query in about["queries"]) == len(features) == len(labels)
    assert {query["part"] for query in about["queries"]} >= {"fit", "held"}
    assert sorted(path.name for path in (folder / "table").iterdir()) == ["features.npy", "labels.npy", "table.json"]


def test_a_bundle_of_both_halves_is_whole_and_tells_its_learner(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    _, folder = prepared
    learned = tmp_path / "learned"
    learned.mkdir()
    (learned / "model.json").write_text(json.dumps(model(STUMP, DEEP)))
    (learned / "mojo.zip").write_bytes(b"mojo")
    (learned / "secret.txt").write_text("not asked for")
    asked = {"prepared": str(folder), "learned": str(learned), "learner": "h2o"}
    first, second = jobs.finish(asked, tmp_path / "one"), jobs.finish(asked, tmp_path / "two")
    bundle = Bundle.load(tmp_path / "one" / "bundle")
    assert first["digest"] == second["digest"] == bundle.digest
    assert bundle.config["learner"] == "h2o"
    assert (tmp_path / "one" / "bundle" / "mojo.zip").read_bytes() == b"mojo"
    assert not (tmp_path / "one" / "bundle" / "secret.txt").exists()
    assert 0 <= first["metrics"]["valid_ndcg_at_10"] <= 1


def test_both_halves_give_what_the_whole_gives(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    """The whole fits by LightGBM; its trees, handed in as a learner's, make the same scores and the same metrics."""
    data, folder = prepared
    whole = jobs.train(
        {"dataset": str(data), "seed": 1, "params": {"iterations": 3, "min_leaf": 1}}, tmp_path / "whole"
    )
    forest = Bundle.load(tmp_path / "whole" / "bundle").forest
    learned = tmp_path / "learned"
    learned.mkdir()
    (learned / "model.json").write_text(json.dumps(model(*(as_portable(forest, tree) for tree in range(3)))))
    halves = assemble(folder, learned, tmp_path / "halves", learner="other")
    assert halves.metrics == whole["metrics"]


def as_portable(forest: Forest, tree: int) -> dict[str, list[Any]]:
    """A tree of a forest, its inner nodes before its leaves; a value at the threshold goes left there."""
    inner = int(((forest.children[tree] != -1) | (np.arange(forest.children.shape[1])[:, None] == 0)).any(axis=1).sum())
    leaves = inner + 1

    def place(child: int) -> int:
        return child if child >= 0 else inner + ~child

    return {
        "feature": [int(forest.feature[tree, node]) for node in range(inner)] + [-1] * leaves,
        "threshold": [float(np.nextafter(forest.threshold[tree, node], np.inf)) for node in range(inner)]
        + [0.0] * leaves,
        "left": [place(int(forest.children[tree, node, 0])) for node in range(inner)] + [-1] * leaves,
        "right": [place(int(forest.children[tree, node, 1])) for node in range(inner)] + [-1] * leaves,
        "value": [0.0] * inner + [float(forest.value[tree, leaf]) for leaf in range(leaves)],
    }


def test_another_learner_is_refused_by_the_whole_job(prepared: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="learner='h2o'"):
        jobs.train({"dataset": str(prepared[0]), "seed": 1, "learner": "h2o"}, tmp_path)
