"""No combination of damaged, empty or missing inputs gets past a stage's judge."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cycles.desk import Desk
from cycles.stages import ab, evaluate, looks
from domain.diagnosis import Action
from domain.measurement import Measurement
from domain.stage import Stage
from domain.verdict import Judgement, Verdict, combine
from learning.canary import conclude_watch
from tests.support.office import office_in_memory
from tests.support.story import opened
from tools.deliver.live import AbView, ArmView
from tools.model.evaluate import Evaluated, Scores

QUERIES = 80
broken_float = st.sampled_from([math.nan, math.inf, -math.inf])


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    rig = office_in_memory(tmp_path_factory.mktemp("desk"))
    return rig.desk(opened(rig, Action.RETRAIN, Stage.EVALUATE))


def m(value: float | None, unit: str, n: int = 400, stderr: float | None = None) -> Measurement:
    return Measurement(value=value, unit=unit, n=n, stderr=stderr)


@st.composite
def damaged(draw: st.DrawFn, unit: str) -> Measurement | None:
    """A measurement no gate may read: missing, of nothing, not finite, or of no sample."""
    kind = draw(st.sampled_from(["absent", "missing", "not finite", "no sample", "negative sample"]))
    match kind:
        case "absent":
            return None
        case "missing":
            return Measurement.missing(unit, "test")
        case "not finite":
            return m(draw(broken_float), unit)
        case "no sample":
            return m(draw(st.floats(-1e6, 1e6)), unit, 0)
        case _:
            return m(draw(st.floats(-1e6, 1e6)), unit, draw(st.integers(-5, -1)))


# -- evaluate --------------------------------------------------------------------------------------------

UNITS = {"latency_p95_ms": "ms", "cost_per_1k_requests": "USD"}


def scored(level: float, digest: str = "d") -> Scores:
    metrics = {"latency_p95_ms": m(100.0, "ms"), "cost_per_1k_requests": m(0.2, "USD")}
    per_query = [level + 0.1 * math.sin(n) for n in range(QUERIES)]
    return Scores(digest=digest, metrics=metrics, per_query=per_query, per_slice={})


def evaluated(baseline: Scores, candidate: Scores) -> Evaluated:
    return Evaluated(queries=QUERIES, looks=1, set_hash="h", baseline=baseline, candidate=candidate)


def offline(desk: Desk, baseline: Scores, candidate: Scores) -> Judgement:
    return combine(evaluate.judge(desk, evaluated(baseline, candidate)))


def test_the_offline_gates_pass_what_is_whole_and_better(desk: Desk) -> None:
    assert offline(desk, scored(0.4), scored(0.5)).passed


@st.composite
def damaged_list(draw: st.DrawFn) -> list[float]:
    values = [0.5 + 0.1 * math.sin(n) for n in range(QUERIES)]
    kind = draw(st.sampled_from(["empty", "short", "not finite"]))
    if kind == "not finite":
        for place in draw(st.lists(st.integers(0, QUERIES - 1), min_size=1, max_size=5)):
            values[place] = draw(broken_float)
        return values
    return [] if kind == "empty" else values[: draw(st.integers(1, QUERIES - 1))]


@given(side=st.sampled_from(["baseline", "candidate", "both"]), values=damaged_list())
def test_damaged_scores_of_queries_never_pass(desk: Desk, side: str, values: list[float]) -> None:
    sides = {"baseline": scored(0.4), "candidate": scored(0.5)}
    for name in sides:
        if side in (name, "both"):
            sides[name] = sides[name].model_copy(update={"per_query": values})
    assert not offline(desk, sides["baseline"], sides["candidate"]).passed


@given(data=st.data(), metric=st.sampled_from(sorted(UNITS)))
def test_damaged_metrics_of_the_candidate_never_pass(desk: Desk, data: st.DataObject, metric: str) -> None:
    found = data.draw(damaged(UNITS[metric]))
    metrics = {**scored(0.5).metrics, metric: found}
    kept = {name: value for name, value in metrics.items() if value is not None}
    candidate = scored(0.5).model_copy(update={"metrics": kept})
    assert not offline(desk, scored(0.4), candidate).passed


@given(found=damaged("ms"))
def test_a_damaged_latency_of_the_baseline_never_passes(desk: Desk, found: Measurement | None) -> None:
    metrics = {"cost_per_1k_requests": m(0.2, "USD"), **({"latency_p95_ms": found} if found else {})}
    assert not offline(desk, scored(0.4).model_copy(update={"metrics": metrics}), scored(0.5)).passed


@pytest.mark.parametrize("metric", sorted(UNITS))
def test_a_latency_in_another_unit_or_a_cost_beyond_the_limit_never_passes(desk: Desk, metric: str) -> None:
    wrong = m(0.1, "s") if metric == "latency_p95_ms" else m(0.51, "USD")
    candidate = scored(0.5).model_copy(update={"metrics": {**scored(0.5).metrics, metric: wrong}})
    assert not offline(desk, scored(0.4), candidate).passed


# -- A/B -------------------------------------------------------------------------------------------------


def arm(name: str, mean: float, users: int) -> ArmView:
    return ArmView(
        name=name,
        users=users,
        exposed=users,
        ndcg_mean=m(mean, "ratio", users),
        ndcg_variance=m(0.04, "ratio^2", users),
        latency_p95_ms=m(100.0, "ms", users),
        cost_per_1k_requests=m(0.2, "USD", users),
        user_satisfaction=m(4.3, "1-5", users),
    )


def live(desk: Desk, champion: ArmView, candidate: ArmView) -> Judgement:
    return ab.conclude(ab.judge(desk, AbView(revision="r", champion=champion, candidate=candidate)))


def whole() -> dict[str, ArmView]:
    return {"champion": arm("champion", 0.48, 1600), "candidate": arm("candidate", 0.58, 400)}


def test_the_live_gates_pass_what_is_whole_and_better(desk: Desk) -> None:
    assert live(desk, **whole()).passed


DECIDING = {
    "champion": ("ndcg_mean", "ndcg_variance", "latency_p95_ms"),
    "candidate": ("ndcg_mean", "ndcg_variance", "latency_p95_ms", "cost_per_1k_requests", "user_satisfaction"),
}
FIELDS = [(side, field) for side, fields in DECIDING.items() for field in fields]


@given(data=st.data(), places=st.lists(st.sampled_from(FIELDS), min_size=1, max_size=4, unique=True))
def test_damaged_figures_of_an_arm_never_pass(desk: Desk, data: st.DataObject, places: list[tuple[str, str]]) -> None:
    arms = whole()
    for side, field in places:
        unit = getattr(arms[side], field).unit
        found = data.draw(damaged(unit)) or Measurement.missing(unit, "test")
        arms[side] = arms[side].model_copy(update={field: found})
    assert not live(desk, **arms).passed


@given(
    side=st.sampled_from(["champion", "candidate"]), field=st.sampled_from(["users", "exposed"]), n=st.integers(-3, 20)
)
def test_an_arm_without_users_never_passes(desk: Desk, side: str, field: str, n: int) -> None:
    arms = whole()
    arms[side] = arms[side].model_copy(update={field: n})
    assert not live(desk, **arms).passed


@given(variance=st.sampled_from([0.0, -0.1, 1e300]), side=st.sampled_from(["champion", "candidate"]))
def test_a_variance_no_users_have_never_passes(desk: Desk, variance: float, side: str) -> None:
    arms = whole()
    arms[side] = arms[side].model_copy(update={"ndcg_variance": m(variance, "ratio^2")})
    assert not live(desk, **arms).passed


def test_no_judgement_at_all_is_no_pass() -> None:
    assert ab.conclude([]).verdict is Verdict.INSUFFICIENT


# -- watch -----------------------------------------------------------------------------------------------

Points = list[Measurement]


def points(level: float, count: int = 6) -> Points:
    return [m(level + 0.003 * math.sin(3 * n), "score", 200, 0.02) for n in range(count)]


def judged(desk: Desk, before: Points, now: Points) -> Judgement:
    return looks.judge_promotion(desk, before, now)


def test_the_watch_passes_what_is_whole_and_no_worse(desk: Desk) -> None:
    assert judged(desk, points(0.5), points(0.52)).passed


def test_the_watch_passes_with_a_gap_once_a_further_look_has_filled_it(desk: Desk) -> None:
    gap = Measurement.missing("score", "test")
    assert judged(desk, points(0.5), [*points(0.52, 5), gap]).verdict is Verdict.INSUFFICIENT
    assert judged(desk, points(0.5), [*points(0.52, 5), gap, *points(0.52, 1)]).passed


@given(data=st.data(), side=st.sampled_from(["before", "now", "both"]))
def test_damaged_points_never_pass(desk: Desk, data: st.DataObject, side: str) -> None:
    sides = {"before": points(0.5), "now": points(0.52)}
    for name in sides:
        if side in (name, "both"):
            for place in data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=6)):
                sides[name][place] = data.draw(damaged("score")) or Measurement.missing("score", "test")
    assert not judged(desk, sides["before"], sides["now"]).passed


@given(count=st.integers(0, 5), side=st.sampled_from(["before", "now"]))
def test_too_few_points_never_pass(desk: Desk, count: int, side: str) -> None:
    sides = {"before": points(0.5), "now": points(0.52)}
    sides[side] = sides[side][:count]
    assert not judged(desk, sides["before"], sides["now"]).passed


@given(n=st.integers(-5, 29))
def test_looks_of_too_few_sessions_never_pass(desk: Desk, n: int) -> None:
    few = [point.model_copy(update={"n": n}) for point in points(0.52)]
    assert not judged(desk, points(0.5), few).passed


@given(stderr=broken_float)
def test_a_noise_that_is_no_number_never_passes(desk: Desk, stderr: float) -> None:
    before = [point.model_copy(update={"stderr": stderr}) for point in points(0.5)]
    assert not judged(desk, before, points(0.52)).passed


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.ERROR, Verdict.INSUFFICIENT])
def test_a_watch_that_did_not_pass_is_no_pass_whatever_the_limits_say(verdict: Verdict) -> None:
    good = Judgement(verdict=Verdict.PASS, reason="fine")
    make: Callable[[Any], Judgement] = lambda v: Judgement(verdict=v, reason="r")  # noqa: E731
    assert conclude_watch(make(verdict), [good]).verdict is verdict
    assert conclude_watch(good, [make(verdict)]).verdict is verdict
