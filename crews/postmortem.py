"""What is to be remembered of the cycle? The Supervisor writes; nobody reviews, since nothing is done with it but
reading.
"""

from __future__ import annotations

from crews.question import CheckReport, Question
from domain.actor import Role
from domain.brief import Brief
from domain.plan import PostMortem
from tools.evidence import Results


def check_post_mortem(written: PostMortem, brief: Brief, results: Results) -> CheckReport:
    """Return that a valid text may stand."""
    return CheckReport.of([])


QUESTION = Question(
    name="postmortem",
    propose="postmortem_write",
    proposer=Role.SUPERVISOR,
    answer=PostMortem,
    facts=(
        "diagnosis",
        "unsupported_claims",
        "augmentation_plan",
        "dataset",
        "candidate",
        "verdict_evaluate",
        "verdict_ab",
        "quarantined",
        "effects",
        "outcome",
        "outcome_reason",
        "cost_usd",
    ),
    check=check_post_mortem,
)
