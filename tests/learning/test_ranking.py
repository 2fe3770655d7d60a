"""Ranking metrics equal those of ir-measures, and paired comparisons keep their promises."""

from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from ir_measures import P, R, nDCG

from domain.verdict import Verdict
from learning.paired import compare_paired
from learning.ranking import grade_rankings, ndcg_of_ranks, trec_order

Qrels = dict[str, dict[str, int]]
Run = dict[str, dict[str, float]]


def random_judgements(seed: int, *, ties: bool) -> tuple[Qrels, Run]:
    rng = np.random.default_rng(seed)
    docs = [f"d{i}" for i in range(60)]
    qrels: Qrels = {}
    run: Run = {}
    for q in range(40):
        judged = rng.choice(docs, 12, replace=False)
        qrels[f"q{q}"] = {str(d): int(g) for d, g in zip(judged, rng.integers(0, 4, 12), strict=True)}
        scores = rng.integers(0, 4, 60) if ties else rng.random(60)
        if q % 13:
            run[f"q{q}"] = {d: float(s) for d, s in zip(docs, scores, strict=True)}
    return qrels, run


@pytest.mark.parametrize("ties", [False, True])
def test_metrics_agree_with_ir_measures_with_and_without_ties(ties: bool) -> None:
    qrels, run = random_judgements(3, ties=ties)
    graded = grade_rankings({q: trec_order(scores) for q, scores in run.items()}, qrels)
    ours = {
        "nDCG@10": graded.ndcg(10),
        "R@20": graded.recall(20),
        "P@10": graded.precision(10),
    }
    for value in ir_measures.iter_calc([nDCG @ 10, R @ 20, P @ 10], qrels, run):
        row = graded.queries.index(value.query_id)
        assert ours[str(value.measure)][row] == pytest.approx(value.value, abs=1e-9)


def test_a_judged_query_without_a_ranking_scores_zero() -> None:
    graded = grade_rankings({}, {"q": {"d": 1}})
    assert graded.ndcg(10).tolist() == [0.0]
    assert graded.recall(20).tolist() == [0.0]


def test_a_query_with_nothing_relevant_scores_zero() -> None:
    assert grade_rankings({"q": ["d"]}, {"q": {"d": 0}}).ndcg(10).tolist() == [0.0]


def test_a_repeated_document_counts_once() -> None:
    graded = grade_rankings({"q": ["a", "a", "b"]}, {"q": {"a": 1, "b": 1}})
    assert graded.gains[0, :3].tolist() == [1.0, 1.0, 0.0]
    assert graded.ndcg(10)[0] <= 1.0


def test_the_session_score_is_one_over_log_rank_down_to_the_cut() -> None:
    assert ndcg_of_ranks([1, 3, 10, 11, 0]).tolist() == pytest.approx([1, 0.5, 1 / np.log2(11), 0, 0])


def scores(seed: int, lift: float, n: int = 800) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    before = rng.beta(6, 4, n)
    noise = rng.normal(0, 0.05, n)
    after = before + noise - noise.mean() + lift * before.mean()
    return before, after


def test_a_lift_of_five_percent_passes_the_paired_gate() -> None:
    before, after = scores(1, 0.05)
    answer = compare_paired(before, after)
    assert answer.verdict is Verdict.PASS
    assert float(answer.figures["lift"] or 0) == pytest.approx(0.05)


def test_a_lift_of_exactly_three_percent_passes_the_paired_gate() -> None:
    before, _ = scores(2, 0.0)
    assert compare_paired(before, before * 1.03).verdict is Verdict.PASS


def test_a_lift_of_two_percent_fails_the_paired_gate() -> None:
    assert compare_paired(*scores(3, 0.02)).verdict is Verdict.FAIL


def test_a_large_lift_over_few_noisy_queries_is_insufficient() -> None:
    rng = np.random.default_rng(4)
    before = rng.beta(0.5, 0.5, 60)
    after = np.roll(before, 7)
    after += 0.035 * before.mean()
    answer = compare_paired(before, after)
    assert answer.verdict is Verdict.INSUFFICIENT
    assert "not shown to be above zero" in answer.reason


def test_both_intervals_agree_on_a_large_sample() -> None:
    before, after = scores(5, 0.05, 2000)
    fieller, boot = compare_paired(before, after), compare_paired(before, after, bootstrap=1000, seed=1)
    for end in ("lower", "upper"):
        assert float(fieller.figures[end] or 0) == pytest.approx(float(boot.figures[end] or 0), abs=0.001)


def test_the_interval_covers_the_true_lift_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(1000):
        before = rng.beta(6, 4, 150)
        after = before * 1.04 + rng.normal(0, 0.1, 150)
        figures = compare_paired(before, after).figures
        covered += float(figures["lower"] or 0) <= 0.04 <= float(figures["upper"] or 0)
    assert 0.93 <= covered / 1000 <= 0.97


def test_different_numbers_of_queries_are_an_error() -> None:
    assert compare_paired([0.5] * 60, [0.5] * 61).verdict is Verdict.ERROR


def test_a_baseline_of_zero_is_an_error() -> None:
    assert compare_paired([0.0] * 60, [0.5] * 60).verdict is Verdict.ERROR
