"""What every evaluation has to hold to."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.evaluation.base import EFFECT_EVALUATE, EvaluationPort, EvaluationResult
from adapters.evaluation.measure import Prices
from domain.errors import DependencyLied, InvalidInput
from domain.observation import Seen
from domain.permit import Permit, PermitOffice
from tests.contract.permits import Effect, EffectContract, permit_for

PRICES = Prices(cpu_second_usd=0.02, per_1k_usd=0.1)
MOST = 8
DOCUMENTS = [{"id": f"d{n}", "title": "t", "text": "x", "subject": "s"} for n in range(30)]


def row(number: int, query: str, document: str, **more: Any) -> dict[str, Any]:
    """A sealed session, as the platform's feedback pipeline writes it."""
    return {
        "request_id": f"r{number:03}",
        "ts": 1000.0 + number,
        "user_id": "u",
        "query": query,
        "doc_id": document,
        "grade": 1,
        "clicked": [document],
        "shown": [document],
        "digest": "sha256:x",
        "variant": "champion",
        "mode": "balanced",
        "subject": "red",
        "relevant": {document: 1},
    } | more


# The newest 8 usable sessions make 5 queries: alpha (two documents), beta (twice the same), gamma, delta and eps.
ROWS = [
    row(0, "too old to count", "d9"),
    row(1, "alpha", "d1"),
    row(2, "Alpha ", "d2", subject="blue"),
    row(3, "beta", "d3", subject="blue"),
    row(4, "beta", "d3", subject="blue"),
    row(5, "gamma", "d4"),
    row(6, "delta", "d5"),
    row(7, "eps", "d6", clicked=[], shown=[]),
    row(8, "alpha", "d1"),
    row(9, "nothing is relevant", "d7", relevant={"d7": 0}),
]
GOOD = {"alpha": ["d1", "d2"], "beta": ["d3"], "gamma": ["d0", "d4"], "delta": ["d5"], "eps": ["d6"]}
POOR = {"alpha": ["d0", "d1"], "beta": ["d0", "d8", "d3"], "gamma": [], "delta": [f"d{n}" for n in range(10, 30)]}


def bundle_digest(folder: Path) -> str:
    """The digest of a toy bundle; ValueError when it is none."""
    path = folder / "order.json"
    if not path.is_file():
        raise ValueError("there is no order.json")
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def write_bundle(folder: Path, order: Mapping[str, Sequence[str]]) -> Path:
    """Write a toy bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "order.json").write_text(json.dumps({**order, "Alpha ": order.get("alpha", [])}))
    return folder


class EvaluationContract(EffectContract):
    """A vendor gives `evaluation` over ROWS and DOCUMENTS, and `empty`, one over no rows at all."""

    @pytest.fixture
    def evaluation(self, office: PermitOffice) -> EvaluationPort:
        raise NotImplementedError

    @pytest.fixture
    def empty(self, office: PermitOffice) -> EvaluationPort:
        raise NotImplementedError

    @pytest.fixture
    def bundles(self, tmp_path: Path) -> dict[str, Path]:
        return {
            "baseline": write_bundle(tmp_path / "bundles" / "poor", POOR),
            "candidate": write_bundle(tmp_path / "bundles" / "good", GOOD),
        }

    @pytest.fixture
    def effects(self, evaluation: EvaluationPort, bundles: dict[str, Path]) -> list[Effect]:
        seen: set[str] = set()

        def look(key: str, permit: Permit | None) -> EvaluationResult:
            seen.add(key)
            return evaluation.evaluate(bundles, key=key, permit=permit)

        def count() -> int:
            outcomes = [evaluation.observe(key) for key in seen]
            return max([outcome.outcome["looks"] for outcome in outcomes if outcome.seen is Seen.DONE], default=0)

        return [Effect(EFFECT_EVALUATE, look, count)]

    def look(
        self, evaluation: EvaluationPort, office: PermitOffice, bundles: Mapping[str, Path], key: str = "k1"
    ) -> EvaluationResult:
        return evaluation.evaluate(bundles, key=key, permit=permit_for(office, EFFECT_EVALUATE, key))

    def test_metrics_are_those_of_the_textbook(
        self, evaluation: EvaluationPort, office: PermitOffice, bundles: dict[str, Path]
    ) -> None:
        result = self.look(evaluation, office, bundles)
        assert result.queries == 5
        good = result.bundles["candidate"].metrics
        second = 1 / math.log2(3)
        assert good["ndcg_at_10"].value == pytest.approx((1 + 1 + second + 1 + 1) / 5)
        assert good["recall_at_20"].value == 1
        assert good["precision_at_10"].value == pytest.approx((2 + 1 + 1 + 1 + 1) / 10 / 5)
        assert good["ndcg_at_10"].n == 5
        assert good["ndcg_at_10"].stderr is not None
        poor = result.bundles["baseline"].metrics
        alpha = second / (1 + second)
        assert poor["ndcg_at_10"].value == pytest.approx((alpha + 0.5) / 5)
        assert poor["recall_at_20"].value == pytest.approx((0.5 + 1) / 5)

    def test_latency_and_cost_come_from_the_run(
        self, evaluation: EvaluationPort, office: PermitOffice, bundles: dict[str, Path]
    ) -> None:
        metrics = self.look(evaluation, office, bundles).bundles["candidate"].metrics
        assert metrics["latency_p95_ms"].value == pytest.approx(13.8)  # of 10, 11, 12, 13, 14
        assert metrics["latency_p95_ms"].unit == "ms"
        assert metrics["cost_per_1k_requests"].value == pytest.approx(0.012 * 0.02 * 1000 + 0.1)

    def test_scores_per_query_are_paired_between_bundles(
        self, evaluation: EvaluationPort, office: PermitOffice, bundles: dict[str, Path]
    ) -> None:
        scores = self.look(evaluation, office, bundles).bundles
        pairs = set(
            zip(
                [round(v, 3) for v in scores["candidate"].per_query],
                [round(v, 3) for v in scores["baseline"].per_query],
                strict=True,
            )
        )
        assert pairs == {(1.0, 0.387), (1.0, 0.5), (0.631, 0.0), (1.0, 0.0)}

    def test_slices_are_by_subject(
        self, evaluation: EvaluationPort, office: PermitOffice, bundles: dict[str, Path]
    ) -> None:
        slices = self.look(evaluation, office, bundles).bundles["candidate"].per_slice
        assert {name: measured.n for name, measured in slices.items()} == {"blue": 1, "red": 4}
        assert slices["blue"].value == 1

    def test_bundles_are_known_by_their_digests(
        self, evaluation: EvaluationPort, office: PermitOffice, bundles: dict[str, Path]
    ) -> None:
        result = self.look(evaluation, office, bundles)
        for name, folder in bundles.items():
            assert result.bundles[name].digest == bundle_digest(folder)

    def test_every_key_is_one_look(
        self, evaluation: EvaluationPort, office: PermitOffice, bundles: dict[str, Path]
    ) -> None:
        looks = [self.look(evaluation, office, bundles, key).looks for key in ("a", "b", "a", "c")]
        assert looks == [1, 2, 1, 3]

    def test_the_set_has_a_hash_of_its_own(
        self, evaluation: EvaluationPort, empty: EvaluationPort, office: PermitOffice, bundles: dict[str, Path]
    ) -> None:
        first = self.look(evaluation, office, bundles, "a")
        second = self.look(evaluation, office, bundles, "b")
        assert first.set_hash == second.set_hash
        assert len(first.set_hash) == 64
        assert self.look(empty, office, bundles, "c").set_hash != first.set_hash

    def test_of_an_empty_set_everything_is_missing(
        self, empty: EvaluationPort, office: PermitOffice, bundles: dict[str, Path]
    ) -> None:
        result = self.look(empty, office, bundles)
        assert result.queries == 0
        for scores in result.bundles.values():
            assert set(scores.metrics) >= {"ndcg_at_10", "recall_at_20", "latency_p95_ms", "cost_per_1k_requests"}
            assert not any(measured.usable for measured in scores.metrics.values())

    def test_queries_and_documents_stay_inside(
        self, evaluation: EvaluationPort, office: PermitOffice, bundles: dict[str, Path]
    ) -> None:
        text = self.look(evaluation, office, bundles).model_dump_json()
        for word in ("alpha", "gamma", "d4", "r005"):
            assert f'"{word}' not in text.lower()

    def test_leaks_are_counted(self, evaluation: EvaluationPort) -> None:
        assert evaluation.held_out([]) == frozenset()
        assert evaluation.held_out(["not there", "alphabet"]) == frozenset()
        assert evaluation.held_out(["  ALPHA", "gamma", "not there"]) == frozenset({0, 1})

    def test_what_is_no_bundle_is_named(self, evaluation: EvaluationPort, office: PermitOffice, tmp_path: Path) -> None:
        (tmp_path / "nothing").mkdir()
        with pytest.raises(DependencyLied, match="candidate"):
            self.look(evaluation, office, {"candidate": tmp_path / "nothing"})
        with pytest.raises(InvalidInput, match="bundles"):
            self.look(evaluation, office, {}, "k2")

    def test_an_effect_is_found_by_its_key(
        self, evaluation: EvaluationPort, office: PermitOffice, bundles: dict[str, Path]
    ) -> None:
        assert evaluation.observe("k1").seen is Seen.ABSENT
        result = self.look(evaluation, office, bundles)
        assert EvaluationResult.model_validate(evaluation.observe("k1").outcome) == result

    def test_the_check_answers_in_one_line(self, evaluation: EvaluationPort) -> None:
        assert evaluation.check()
        assert "\n" not in evaluation.check()
