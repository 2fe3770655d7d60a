"""How is the model to be trained? The ML Engineer proposes, the Supervisor reviews."""

from __future__ import annotations

from crews.question import CheckReport, Question, value_of
from domain.actor import Role
from domain.brief import Brief
from domain.plan import TrainingPlan
from tools.evidence import Results

# A tree needs some examples a leaf, or it learns them by heart.
EXAMPLES_A_LEAF = 5


def check_training(plan: TrainingPlan, brief: Brief, results: Results) -> CheckReport:
    """Return whether the dataset bears the plan."""
    dataset = value_of(brief, "dataset") or {}
    examples = dataset.get("statistics", {}).get("total_examples")
    problems = []
    if plan.target != "reranker":
        problems.append(f"target {plan.target!r} cannot be trained; there is only the reranker")
    if isinstance(examples, int) and plan.num_leaves * EXAMPLES_A_LEAF > examples:
        problems.append(f"{plan.num_leaves} leaves are too many for {examples} examples")
    return CheckReport.of(problems, examples=examples)


QUESTION = Question(
    name="training",
    propose="training_propose",
    proposer=Role.ML_ENGINEER,
    review="training_review",
    answer=TrainingPlan,
    facts=("diagnosis", "augmentation_plan", "dataset"),
    check=check_training,
)
