"""The evaluations hold to their contract."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from adapters.evaluation.base import EvaluationPort
from adapters.evaluation.measure import Ranked
from adapters.evaluation.memory import MemoryEvaluation
from adapters.evaluation.process import ProcessEvaluation
from adapters.evaluation.sealed import SealedRow
from domain.clock import SystemClock
from domain.permit import PermitOffice
from tests.contract.evaluation_contract import DOCUMENTS, MOST, PRICES, ROWS, EvaluationContract, bundle_digest
from tests.contract.workers import worker


def memory(office: PermitOffice, rows: Sequence[dict[str, Any]]) -> MemoryEvaluation:
    numbers: dict[Path, Iterator[int]] = {}

    def rank(bundle: Path, query: str) -> Ranked:
        order = json.loads((bundle / "order.json").read_text())
        number = numbers.setdefault(bundle, count())
        return Ranked(order.get(query, []), 10.0 + next(number) % 5)

    return MemoryEvaluation(
        rows=[SealedRow.model_validate(row) for row in rows],
        rank=rank,
        permits=office,
        clock=SystemClock(),
        digest_of=bundle_digest,
        prices=PRICES,
        max_queries=MOST,
    )


def process(
    office: PermitOffice, folder: Path, rows: Sequence[dict[str, Any]] | None, *, entry: str = "score"
) -> ProcessEvaluation:
    """An evaluation over rows in `folder`/sealed (None: no such file); results in `folder`/results."""
    sealed = folder / "sealed" / "judgements.jsonl"
    if rows is not None:
        sealed.parent.mkdir(parents=True, exist_ok=True)
        sealed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ProcessEvaluation(
        entry=f"tests.contract.toy_jobs:{entry}",
        sealed=sealed,
        documents=lambda: DOCUMENTS,
        folder=folder / "results",
        worker=worker(quiet=True),
        permits=office,
        clock=SystemClock(),
        digest_of=bundle_digest,
        prices=PRICES,
        max_queries=MOST,
        memory_mib=1024,
    )


class TestMemoryEvaluation(EvaluationContract):
    @pytest.fixture
    def evaluation(self, office: PermitOffice) -> EvaluationPort:
        return memory(office, ROWS)

    @pytest.fixture
    def empty(self, office: PermitOffice) -> EvaluationPort:
        return memory(office, [])


class TestProcessEvaluation(EvaluationContract):
    @pytest.fixture
    def evaluation(self, office: PermitOffice, tmp_path: Path) -> EvaluationPort:
        return process(office, tmp_path / "full", ROWS)

    @pytest.fixture
    def empty(self, office: PermitOffice, tmp_path: Path) -> EvaluationPort:
        return process(office, tmp_path / "empty", None)
