"""Gauges, rolling means, cost, and the user-level statistics of variants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from testbed.experiment import Experiment
from testbed.judged import Judgement
from testbed.metrics import MINIMUM, Metrics, Rolling, current, request_cost
from testbed.values import Variant
from tests.testbed.helpers import DIGEST, OTHER, judgement, samples

ARMS = (Variant(name="champion", digest=DIGEST, weight=80), Variant(name="candidate", digest=OTHER, weight=20))


def figure(experiment: Experiment, name: str) -> dict[str, float]:
    return {labels[0]: value for labels, value in experiment.rows(name)}


def judged(user: str, doc: str) -> Judgement:
    return replace(judgement("open file", doc=doc), user_id=user)


def test_a_rolling_mean_needs_a_minimum_and_forgets_the_oldest() -> None:
    rolling = Rolling(30)
    for _ in range(MINIMUM - 1):
        rolling.add(1.0)
    assert rolling.mean() is None
    for _ in range(30):
        rolling.add(3.0)
    assert rolling.mean() == pytest.approx(3.0)


def test_nothing_measured_is_no_sample_and_not_a_zero() -> None:
    assert current(None) == []
    assert current(0.0) == [(("current",), 0.0)]


def test_a_search_is_counted_with_its_latency_and_cost() -> None:
    metrics = Metrics()
    for _ in range(MINIMUM):
        metrics.served("champion", "balanced", "ok", 0.004, request_cost(0.003, "standard"))
    text = metrics.render().decode()
    assert 'search_requests_total{mode="balanced",status="ok",variant="champion"} 25.0' in text
    assert 'search_latency_seconds_bucket{le="0.004",mode="balanced",variant="champion"} 25.0' in text
    assert samples(text)["search_cost_per_1k_requests"] == pytest.approx(0.16)


def test_the_premium_tier_costs_more_than_the_limit_of_half_a_dollar() -> None:
    assert 1000 * request_cost(0.004, "standard") < 0.5 < 1000 * request_cost(0.004, "premium")


def test_what_is_live_is_said_once() -> None:
    metrics = Metrics()
    metrics.live(DIGEST, "one", "balanced", "standard")
    metrics.live(OTHER, "two", "fast", "standard")
    lines = [line for line in metrics.render().decode().splitlines() if line.startswith("search_info{")]
    assert len(lines) == 1
    assert 'revision="two"' in lines[0]


def test_user_level_figures_average_over_users_and_not_over_sessions() -> None:
    experiment = Experiment("rev", ARMS)
    for row in (judged("u1", "a"), judged("u1", "a"), judged("u1", "a"), judged("u2", "nowhere")):
        experiment.judged(row)
    assert figure(experiment, "experiment_users") == {"champion": 2.0, "candidate": 0.0}
    assert figure(experiment, "experiment_user_ndcg_mean") == {"champion": pytest.approx(0.5)}
    variance = float(np.var([1.0, 0.0], ddof=1))
    assert figure(experiment, "experiment_user_ndcg_variance") == {"champion": pytest.approx(variance)}


def test_exposure_latency_cost_and_satisfaction_are_kept_by_variant() -> None:
    experiment = Experiment("rev", ARMS)
    for number in range(100):
        experiment.served("candidate", f"u{number % 10}", number / 1000, 0.0002)
    experiment.rated("candidate", OTHER, 4.0)
    experiment.rated("candidate", DIGEST, 1.0)
    assert figure(experiment, "experiment_exposed_users")["candidate"] == 10
    assert figure(experiment, "experiment_latency_p95_seconds")["candidate"] == pytest.approx(0.094, abs=0.002)
    assert figure(experiment, "experiment_cost_per_1k")["candidate"] == pytest.approx(0.2)
    assert figure(experiment, "experiment_satisfaction_mean") == {"candidate": 4.0}


def test_judgements_of_another_release_do_not_count_in_an_experiment() -> None:
    experiment = Experiment("rev", ARMS)
    experiment.judged(replace(judged("u1", "a"), digest=OTHER))
    experiment.judged(replace(judged("u1", "a"), variant="gone"))
    assert figure(experiment, "experiment_users") == {"champion": 0.0, "candidate": 0.0}


def test_judged_statistics_can_start_again_from_the_rows_that_are_kept() -> None:
    experiment = Experiment("rev", ARMS)
    experiment.judged(judged("u1", "a"))
    experiment.judged(judged("u2", "nowhere"))
    experiment.retain([row for row in experiment.judged_rows if row.user_id == "u1"])
    assert figure(experiment, "experiment_user_ndcg_mean") == {"champion": pytest.approx(1.0)}


def test_sums_keep_their_plain_names() -> None:
    metrics = Metrics()
    metrics.ndcg_sum.labels("champion", DIGEST).inc(0.5)
    metrics.ndcg_squares.labels("champion", DIGEST).inc(0.25)
    found = samples(metrics.render().decode())
    assert found["search_ndcg_at_10_sum"] == 0.5
    assert found["search_ndcg_at_10_squares_sum"] == 0.25
