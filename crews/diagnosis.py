"""Why was the platform alerted about? The Metrics Analyst proposes, a program checks every claim, the Supervisor
reviews.
"""

from __future__ import annotations

from crews.question import CheckReport, Question
from domain.actor import Role
from domain.brief import Brief
from domain.diagnosis import Diagnosis
from tools.evidence import Results, check, sufficient


def check_diagnosis(diagnosis: Diagnosis, brief: Brief, results: Results) -> CheckReport:
    """Return what the claim checker found, and whether what is left carries the action."""
    checked = check(diagnosis, results)
    enough = sufficient(checked, results)
    problems = [f"claim {c.claim.statement!r} does not hold: {c.reason}" for c in checked.dropped]
    if not enough:
        problems.append(enough.reason)
    return CheckReport(
        ok=enough.ok,
        problems=tuple(problems),
        details={"supported": len(checked.supported), "unsupported": len(checked.dropped), "reason": enough.reason},
    )


QUESTION = Question(
    name="diagnosis",
    propose="diagnosis_propose",
    proposer=Role.METRICS_ANALYST,
    review="diagnosis_review",
    answer=Diagnosis,
    facts=(),
    check=check_diagnosis,
)
