"""The crews behind the plans, the promotion and the post-mortem, on the playbook; and the checks between proposal and
review.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from crews.augmentation import check_augmentation
from crews.promotion import check_promotion
from crews.training import check_training
from domain.brief import Brief
from domain.errors import DependencyUnavailable
from domain.plan import AugmentationMethod, AugmentationPlan, PromotionProposal, TrainingPlan
from tests.crews.bench import Answer, Bench, brief
from tests.crews.findings import BAD, GOOD, runtime
from tools.data.dataset import Preview
from tools.model.registry import RegistryView

RETRAIN = {
    "action": "retrain",
    "root_cause": "corpus_shift",
    "summary": "New subjects arrived.",
    "new_tokens": ["qubit", "entangle"],
    "low_coverage_tokens": ["qubit", "bloch"],
    "affected_categories": ["quantum"],
}
DATA_FIX = {"action": "data_fix", "root_cause": "data_quality", "summary": "Judgements are damaged."}
ROLLBACK = {"action": "rollback", "root_cause": "bad_release", "summary": "Worse.", "suspect_digest": BAD}
TUNE = {"action": "tune", "root_cause": "expensive_mode", "summary": "Too slow.", "tuning": {"mode": "balanced"}}
PASSED = {"verdict_evaluate": "pass", "verdict_ab": "pass"}
CANDIDATE = {"model": {"name": "reranker", "version": "7", "digest": BAD}}

ANSWERS: Mapping[str, Answer] = {
    "augmentation_preview": Preview(samples=("qubit gates",), diversity=0.8, judged_sessions=900),
    "registry_read": RegistryView(champion=None, candidate=None, gold=None, versions=6, tombstoned=()),
    "runtime_state": runtime(),
}


def _brief(stage: str, diagnosis: Mapping[str, Any], **facts: Any) -> Brief:
    kept = {"value": dict(diagnosis), "models": ["playbook"], "tokens": 0}
    return brief(stage=stage, facts={"diagnosis": kept, **facts})


def _dataset(examples: int) -> dict[str, Any]:
    return {"statistics": {"total_examples": examples}}


def test_a_retrain_gets_examples_aimed_at_what_the_model_never_saw() -> None:
    answered = Bench(ANSWERS).judges.plan_augmentation(_brief("plan", RETRAIN))
    plan = answered.value
    assert plan.target_tokens == ("qubit", "bloch", "entangle")
    assert plan.target_categories == ("quantum",)
    assert AugmentationMethod.QUERY_GENERATION in plan.methods
    assert "900 recent sessions" in plan.rationale
    assert not plan.drop_damaged
    assert answered.calls == ("plan/augmentation_preview/" + answered.calls[0][-10:],)
    assert answered.stopped == ""


def test_a_preview_that_fails_does_not_hold_the_plan_up() -> None:
    answers = {**ANSWERS, "augmentation_preview": DependencyUnavailable("platform", "no answer")}
    answered = Bench(answers).judges.plan_augmentation(_brief("plan", RETRAIN))
    assert answered.value.target_categories == ("quantum",)
    assert answered.calls == ()


def test_damaged_data_is_dropped_and_little_is_made() -> None:
    plan = Bench(ANSWERS).judges.plan_augmentation(_brief("plan", DATA_FIX)).value
    assert plan.drop_damaged
    assert plan.examples <= 200
    assert plan.target_tokens == ()


@pytest.mark.parametrize(("examples", "leaves"), [(2000, 15), (300, 7)])
def test_the_training_fits_the_data(examples: int, leaves: int) -> None:
    answered = Bench(ANSWERS).judges.plan_training(_brief("train", RETRAIN, dataset=_dataset(examples)))
    assert (answered.value.num_leaves, answered.value.seed) == (leaves, 7)
    assert answered.stopped == ""


def test_a_model_that_passed_both_verdicts_is_proposed() -> None:
    facts = {**PASSED, "candidate": CANDIDATE}
    answered = Bench(ANSWERS).judges.propose_promotion(_brief("promote", RETRAIN, **facts))
    assert answered.value.proceed
    for said in (f"reranker version 7 ({BAD[:19]})", f"instead of reranker version 6 ({GOOD[:19]})"):
        assert said in answered.value.change
    assert answered.stopped == ""


@pytest.mark.parametrize("missing", ["verdict_evaluate", "verdict_ab"])
@pytest.mark.parametrize("verdict", ["fail", "insufficient", "error", None])
def test_no_other_verdict_than_a_pass_leads_to_a_promotion(missing: str, verdict: str | None) -> None:
    facts = {**PASSED, "candidate": CANDIDATE, missing: verdict}
    answered = Bench(ANSWERS).judges.propose_promotion(_brief("promote", RETRAIN, **facts))
    assert not answered.value.proceed


@pytest.mark.parametrize(
    ("diagnosis", "said"),
    [(ROLLBACK, f"{BAD[:19]}; live is reranker version 6 ({GOOD[:19]})"), (TUNE, "mode balanced")],
)
def test_a_repair_that_the_diagnosis_names_is_proposed(diagnosis: Mapping[str, Any], said: str) -> None:
    answered = Bench(ANSWERS).judges.propose_promotion(_brief("plan", diagnosis))
    assert answered.value.proceed
    assert said in answered.value.change


def test_a_rollback_of_nothing_in_particular_is_not_proposed() -> None:
    answered = Bench(ANSWERS).judges.propose_promotion(_brief("plan", {**ROLLBACK, "suspect_digest": None}))
    assert not answered.value.proceed


def test_the_post_mortem_tells_what_was_done() -> None:
    effects = [{"name": "dataset_version", "call": "c"}, {"name": "promote", "call": "d"}]
    facts = {
        **PASSED,
        "candidate": CANDIDATE,
        "effects": effects,
        "dataset": _dataset(2000),
        "unsupported_claims": 0,
        "outcome_reason": "nDCG@10 is up by 9 %",
    }
    answered = Bench(ANSWERS).judges.write_post_mortem(_brief("learn", RETRAIN, **facts))
    assert answered.value.summary == "nDCG@10 is up by 9 %"
    assert "dataset_version, promote" in answered.value.what_was_done
    assert any("pass" in line for line in answered.value.evidence)


def test_the_post_mortem_of_a_platform_left_alone_is_short() -> None:
    answered = Bench(ANSWERS).judges.write_post_mortem(_brief("learn", {**DATA_FIX, "action": "noise"}, effects=[]))
    assert "left as it was" in answered.value.what_was_done
    assert answered.value.follow_ups == ()


def test_a_plan_aimed_elsewhere_is_found_out() -> None:
    plan = AugmentationPlan(
        methods=(AugmentationMethod.SYNONYM,),
        target_tokens=("qubit", "bitcoin"),
        target_categories=("finance",),
        examples=10,
        rationale="because",
    )
    report = check_augmentation(plan, _brief("plan", RETRAIN), {})
    assert not report.ok
    assert any("bitcoin" in problem for problem in report.problems)
    assert any("finance" in problem for problem in report.problems)


def test_a_plan_that_keeps_damaged_judgements_is_found_out() -> None:
    plan = AugmentationPlan(methods=(AugmentationMethod.SYNONYM,), examples=10, drop_damaged=False, rationale="because")
    assert "drop_damaged" in check_augmentation(plan, _brief("plan", DATA_FIX), {}).problems[0]


def test_a_training_that_learns_by_heart_is_found_out() -> None:
    plan = TrainingPlan(num_leaves=255, rationale="because")
    report = check_training(plan, _brief("train", RETRAIN, dataset=_dataset(300)), {})
    assert report.problems == ("255 leaves are too many for 300 examples",)


@pytest.mark.parametrize(
    ("diagnosis", "facts", "problem"),
    [
        (RETRAIN, {"verdict_evaluate": "pass", "verdict_ab": "insufficient"}, "verdict_ab is insufficient"),
        (RETRAIN, {}, "verdict_evaluate is missing"),
        ({**ROLLBACK, "suspect_digest": None}, {}, "no suspect_digest"),
        ({**TUNE, "tuning": {}}, {}, "no tuning"),
        ({**DATA_FIX, "action": "noise"}, {}, "changes nothing"),
    ],
)
def test_a_proposal_without_what_must_come_before_it_is_found_out(
    diagnosis: Mapping[str, Any], facts: Mapping[str, Any], problem: str
) -> None:
    proposal = PromotionProposal(proceed=True, change="it", rollback_plan="undo it", rationale="because")
    report = check_promotion(proposal, _brief("promote", diagnosis, **facts), {})
    assert not report.ok
    assert problem in report.problems[0]


def test_a_proposal_not_to_go_on_always_may_stand() -> None:
    proposal = PromotionProposal(proceed=False, change="nothing", rollback_plan="none", rationale="because")
    assert check_promotion(proposal, _brief("promote", RETRAIN), {}).ok
