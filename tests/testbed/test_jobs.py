"""Worker jobs: reproducible, honest about what they skipped, and errors that name the place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed import jobs
from testbed.bundle import Bundle
from testbed.corpus import Document, load_docstrings, write_documents
from testbed.errors import DataError
from testbed.features import FEATURES
from testbed.population import Population
from testbed.search import Searcher
from testbed.training import read_judgements
from tests.testbed.science import dataset, judged

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def documents(scratch: Path) -> list[Document]:
    return load_docstrings(400, scratch)


@pytest.fixture(scope="module")
def population(documents: list[Document]) -> Population:
    return Population(documents, 1)


@pytest.fixture(scope="module")
def data(documents: list[Document], population: Population, tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = judged(population, population.mix(population.subjects), Searcher(documents, None), range(500))
    rows.append({"query": "nothing here", "doc_id": "gone", "grade": 1, "source": "judgement"})
    return dataset(tmp_path_factory.mktemp("jobs") / "data", documents, rows)


@pytest.fixture(scope="module")
def first(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("jobs") / "first"
    result = jobs.train({"dataset": str(data), "seed": 1, "params": {"iterations": 40}}, out)
    return out / result["bundle"], result


def test_training_reports_what_it_used(first: tuple[Path, dict[str, Any]]) -> None:
    directory, result = first
    bundle = Bundle.load(directory)
    assert result["digest"] == bundle.digest
    assert (result["examples"], result["skipped"]) == (500, 1)
    assert 0 < result["metrics"]["valid_ndcg_at_10"] <= 1
    assert bundle.config["seed"] == 1
    assert bundle.config["params"]["iterations"] == 40
    assert bundle.config["documents"] == bundle.reference["documents"] == 400
    assert sum(bundle.reference["subjects"].values()) == 400
    assert sum(bundle.reference["query_subjects"].values()) == 500
    assert json.loads(json.dumps(result)) == result


def test_the_same_inputs_give_the_same_digest_in_another_process(
    data: Path, first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    args = {"dataset": str(data), "seed": 1, "params": {"iterations": 40}}
    code = (
        "import json, sys; from testbed import jobs; print(jobs.train(json.loads(sys.argv[1]), sys.argv[2])['digest'])"
    )
    command = [sys.executable, "-c", code, json.dumps(args), str(tmp_path)]
    environment = {"PYTHONHASHSEED": "77", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=120)
    assert done.stdout.strip() == first[1]["digest"]


def test_another_seed_or_date_gives_another_digest(
    data: Path, first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    digests = {first[1]["digest"]}
    for number, (seed, params) in enumerate(((2, {}), (1, {"trained_at": "2026-01-01T00:00:00Z"}))):
        args = {"dataset": str(data), "seed": seed, "params": {"iterations": 40, **params}}
        digests.add(jobs.train(args, tmp_path / str(number))["digest"])
    assert len(digests) == 3


def test_scoring_ranks_every_query_with_every_bundle(
    documents: list[Document], population: Population, first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    write_documents(tmp_path / "documents.jsonl", documents)
    mix = population.mix(population.subjects)
    intents = [population.session(n, mix, stream="truth") for n in range(12)]
    lines = [{"query": i.query, "relevant": i.relevant, "subject": i.subject} for i in intents]
    (tmp_path / "judgements.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    args = {
        "bundles": {"champion": str(first[0]), "candidate": str(first[0])},
        "documents": str(tmp_path / "documents.jsonl"),
        "judgements": str(tmp_path / "judgements.jsonl"),
        "k": 20,
    }
    result = jobs.score(args, tmp_path / "out")
    runs = {
        n: [json.loads(r) for r in (tmp_path / "out" / f).read_text().splitlines()] for n, f in result["runs"].items()
    }
    searcher = Searcher(documents, Bundle.load(first[0]))
    assert result["queries"] == 12
    assert set(result["digests"].values()) == {first[1]["digest"]}
    assert [r["ranking"] for r in runs["champion"]] == [r["ranking"] for r in runs["candidate"]]
    for number, (row, intent) in enumerate(zip(runs["champion"], intents, strict=True)):
        assert (row["query_index"], row["query"], row["subject"]) == (number, intent.query, intent.subject)
        assert [key for key, _ in row["ranking"]] == [hit.id for hit in searcher.search(intent.query, 20)]
        assert row["latency_ms"] > 0


def test_explaining_attributes_the_score_to_the_features(
    documents: list[Document], population: Population, first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    write_documents(tmp_path / "documents.jsonl", documents)
    mix = population.mix(population.subjects)
    queries = [population.session(n, mix).query for n in range(30)]
    args = {"bundle": str(first[0]), "documents": str(tmp_path / "documents.jsonl"), "queries": queries}
    result = jobs.explain({**args, "groups": {"few": queries[:5]}}, tmp_path / "out")
    assert tuple(result["features"]) == FEATURES
    assert all(value >= 0 for value in result["features"].values())
    assert sum(result["features"].values()) > 0
    assert tuple(result["groups"]["few"]) == FEATURES
    assert json.loads((tmp_path / "out/attribution.json").read_text()) == result
    with pytest.raises(DataError, match="none of them finds"):
        jobs.explain({**args, "queries": ["zzzz"]}, tmp_path / "out")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"seed": 1}, "dataset=None"),
        ({"dataset": "x"}, "seed=None"),
        ({"dataset": "x", "seed": True}, "seed=True"),
        ({"dataset": "x", "seed": 1}, "the file is missing"),
    ],
)
def test_a_wrong_argument_is_named(args: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        jobs.train(args, tmp_path)


def test_unknown_parameters_and_too_few_judgements_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="unknown depth"):
        jobs.train({"dataset": str(data), "seed": 1, "params": {"depth": 3}}, tmp_path)
    few = dataset(tmp_path / "few", [Document("a", "a", "b", "c")], [])
    with pytest.raises(DataError, match="at least 20"):
        jobs.train({"dataset": str(few), "seed": 1}, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": ""}, "field query"),
        ({"doc_id": None}, "field doc_id"),
        ({"source": 3}, "field source"),
        ({"grade": -1}, "field grade"),
        ({"grade": float("nan")}, "field grade"),
        ({"grade": True}, "field grade"),
        ({"weight": 0}, "field weight"),
        ({"weight": 1.5}, "field weight"),
    ],
)
def test_a_wrong_judgement_is_named_by_file_line_and_field(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "judgements.jsonl"
    good = {"query": "q", "doc_id": "d", "grade": 1, "source": "judgement"}
    path.write_text(json.dumps(good) + "\n" + json.dumps({**good, **change}) + "\n")
    with pytest.raises(DataError, match=rf"judgements.jsonl:2: {message}"):
        read_judgements(path)


def test_scoring_refuses_an_unknown_mode_no_bundle_and_no_query(tmp_path: Path, documents: list[Document]) -> None:
    write_documents(tmp_path / "documents.jsonl", documents[:3])
    files = {"documents": str(tmp_path / "documents.jsonl"), "judgements": str(tmp_path / "none.jsonl")}
    with pytest.raises(DataError, match="mode='x'"):
        jobs.score({**files, "bundles": {"a": "b"}, "mode": "x"}, tmp_path)
    with pytest.raises(DataError, match="at least one"):
        jobs.score({**files, "bundles": {}}, tmp_path)
    with pytest.raises(DataError, match="documents=None"):
        jobs.score({"bundles": {"a": "b"}}, tmp_path)


def test_scoring_refuses_queries_that_are_missing_or_wrong(
    documents: list[Document], first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    write_documents(tmp_path / "documents.jsonl", documents[:3])
    args = {"bundles": {"a": str(first[0])}, "documents": str(tmp_path / "documents.jsonl")}
    for name, text, message in (
        ("none", "", "holds no queries"),
        ("wrong", '{"query": 1}', "wrong.jsonl:1: field query"),
    ):
        (tmp_path / f"{name}.jsonl").write_text(text)
        with pytest.raises(DataError, match=message):
            jobs.score({**args, "judgements": str(tmp_path / f"{name}.jsonl")}, tmp_path)
