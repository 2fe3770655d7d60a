"""How is the training data to be mended or extended? The Data Engineer proposes, the Supervisor reviews."""

from __future__ import annotations

from crews.question import CheckReport, Question, value_of
from domain.actor import Role
from domain.brief import Brief
from domain.diagnosis import Action
from domain.plan import AugmentationPlan
from tools.evidence import Results


def check_augmentation(plan: AugmentationPlan, brief: Brief, results: Results) -> CheckReport:
    """Return whether the plan aims at what the diagnosis names, and drops judgements where they are damaged."""
    diagnosis = value_of(brief, "diagnosis") or {}
    known = {*diagnosis.get("new_tokens", ()), *diagnosis.get("low_coverage_tokens", ())}
    strangers = sorted(set(plan.target_tokens) - known)
    others = sorted(set(plan.target_categories) - set(diagnosis.get("affected_categories", ())))
    problems = []
    if strangers:
        problems.append(f"target_tokens the diagnosis does not name: {', '.join(strangers[:5])}")
    if others:
        problems.append(f"target_categories the diagnosis does not name: {', '.join(others[:5])}")
    if diagnosis.get("action") == Action.DATA_FIX and not plan.drop_damaged:
        problems.append("the diagnosis found damaged judgements, and the plan keeps them (drop_damaged)")
    return CheckReport.of(problems, target_tokens=len(plan.target_tokens), examples=plan.examples)


QUESTION = Question(
    name="augmentation",
    propose="augmentation_propose",
    proposer=Role.DATA_ENGINEER,
    review="augmentation_review",
    answer=AugmentationPlan,
    facts=("diagnosis",),
    check=check_augmentation,
)
