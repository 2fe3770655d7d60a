"""The evaluation's process keeps the sealed set to itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.evaluation.base import EFFECT_EVALUATE, EvaluationResult
from adapters.evaluation.looks import Looks
from adapters.evaluation.process import ProcessEvaluation
from adapters.evaluation.sealed import SealedRow, draw, read_rows
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyError, DependencyLied, DependencyUnavailable
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.evaluation_contract import DOCUMENTS, GOOD, PRICES, ROWS, bundle_digest, row, write_bundle
from tests.contract.permits import permit_for
from tests.contract.test_evaluation import process
from tests.contract.workers import worker


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle", GOOD)


def look(evaluation: ProcessEvaluation, office: PermitOffice, bundle: Path, key: str = "k1") -> EvaluationResult:
    return evaluation.evaluate({"candidate": bundle}, key=key, permit=permit_for(office, EFFECT_EVALUATE, key))


def test_neither_results_nor_files_nor_errors_name_the_set_or_its_queries(
    office: PermitOffice, tmp_path: Path, bundle: Path
) -> None:
    evaluation = process(office, tmp_path, ROWS)
    look(evaluation, office, bundle)
    with pytest.raises(DependencyError) as caught:
        look(process(office, tmp_path, ROWS, entry="leaky_score"), office, bundle, "k2")
    kept = " ".join(path.read_text(errors="replace") for path in (tmp_path / "results").rglob("*") if path.is_file())
    for text in (kept, str(caught.value), evaluation.check()):
        for word in ("sealed/", "gamma", "judgements.jsonl"):
            assert word not in text
    assert "LookupError" in str(caught.value)


def test_a_scorer_that_leaves_out_a_query_is_not_believed(office: PermitOffice, tmp_path: Path, bundle: Path) -> None:
    evaluation = process(office, tmp_path, ROWS, entry="half_a_score")
    with pytest.raises(DependencyUnavailable, match="ValueError"):
        look(evaluation, office, bundle)
    assert evaluation.observe("k1").seen is Seen.ABSENT


def test_a_look_that_failed_half_way_was_one(office: PermitOffice, tmp_path: Path, bundle: Path) -> None:
    with pytest.raises(DependencyError):
        look(process(office, tmp_path, ROWS, entry="leaky_score"), office, bundle)
    assert look(process(office, tmp_path, ROWS), office, bundle).looks == 1
    assert look(process(office, tmp_path, ROWS), office, bundle, "k2").looks == 2


def test_the_count_of_looks_survives_the_process(tmp_path: Path) -> None:
    assert Looks(tmp_path / "looks.sqlite").take("a") == 1
    assert Looks(tmp_path / "looks.sqlite").take("b") == 2
    assert Looks(tmp_path / "looks.sqlite").take("a") == 1


def test_a_count_of_looks_that_cannot_be_written_stops_the_look(tmp_path: Path) -> None:
    (tmp_path / "looks.sqlite").write_text("this is no database, and long enough to be seen as none" * 20)
    with pytest.raises(DependencyUnavailable, match="looks"):
        Looks(tmp_path / "looks.sqlite").take("a")


def test_a_worker_that_talks_is_refused(office: PermitOffice, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="quiet"):
        ProcessEvaluation(
            entry="a:b",
            sealed=tmp_path,
            documents=tmp_path,
            folder=tmp_path,
            worker=worker(),
            permits=office,
            clock=FrozenClock(),
            digest_of=bundle_digest,
            prices=PRICES,
        )


def test_documents_may_come_from_a_file_and_the_process_may_be_confined(
    office: PermitOffice, tmp_path: Path, bundle: Path
) -> None:
    documents = tmp_path / "documents.jsonl"
    documents.write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    sealed = tmp_path / "sealed.jsonl"
    sealed.write_text("".join(json.dumps(one) + "\n" for one in ROWS))
    evaluation = ProcessEvaluation(
        entry="tests.contract.toy_jobs:score",
        sealed=sealed,
        documents=documents,
        folder=tmp_path / "results",
        worker=worker(confined=True, quiet=True),
        permits=office,
        clock=FrozenClock(),
        digest_of=bundle_digest,
        prices=PRICES,
    )
    assert look(evaluation, office, bundle).queries == 6


def test_a_damaged_stored_result_is_named(office: PermitOffice, tmp_path: Path, bundle: Path) -> None:
    evaluation = process(office, tmp_path, ROWS)
    look(evaluation, office, bundle)
    (tmp_path / "results" / "k1.json").write_text("{}")
    with pytest.raises(DependencyUnavailable, match="k1"):
        evaluation.observe("k1")


def test_damaged_rows_are_told_by_their_line_only(office: PermitOffice, tmp_path: Path, bundle: Path) -> None:
    path = tmp_path / "judgements.jsonl"
    path.write_text(json.dumps(ROWS[1]) + "\n" + '{"query": "secret-query"}\n')
    with pytest.raises(ValueError, match="line 2, field request_id") as caught:
        read_rows(path)
    assert "secret-query" not in str(caught.value)
    with pytest.raises(DependencyLied, match="not a bundle"):
        look(process(office, tmp_path, ROWS), office, tmp_path)


def test_a_last_line_that_is_just_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "judgements.jsonl"
    path.write_text(json.dumps(ROWS[1]) + "\n" + json.dumps(ROWS[2])[:40])
    assert [one.request_id for one in read_rows(path)] == ["r001"]
    assert read_rows(tmp_path / "nothing.jsonl") == []


def test_rows_whose_document_nobody_saw_may_be_dropped() -> None:
    rows = [SealedRow.model_validate(one) for one in ROWS]
    kept = {query.query for query in draw(rows, 100, drop_unseen=False).queries}
    seen = {query.query for query in draw(rows, 100, drop_unseen=True).queries}
    assert kept - seen == {"eps"}


def test_the_newest_sessions_are_drawn_and_the_best_grade_counts() -> None:
    rows = [SealedRow.model_validate(row(n, "q", "d1", relevant={"d1": grade})) for n, grade in enumerate((1, 3, 2))]
    assert draw(rows, 3, drop_unseen=False).queries[0].relevant == {"d1": 3}
    assert draw(rows, 1, drop_unseen=False).queries[0].relevant == {"d1": 2}
    assert draw(rows, 0, drop_unseen=False).queries == ()
