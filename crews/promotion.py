"""Does the change go live? The DevOps Engineer proposes, the Supervisor reviews. The gates have answered before;
nobody here overrules them.
"""

from __future__ import annotations

from typing import Any

from crews.question import CheckReport, Question, value_of
from domain.actor import Role
from domain.brief import Brief
from domain.diagnosis import Action
from domain.plan import PromotionProposal
from domain.verdict import Verdict
from tools.evidence import Results

_VERDICTS = ("verdict_evaluate", "verdict_ab")


def check_promotion(proposal: PromotionProposal, brief: Brief, results: Results) -> CheckReport:
    """Return whether what must come before the change is there; a proposal not to go on always may stand."""
    if not proposal.proceed:
        return CheckReport.of([], proceed=False)
    diagnosis = value_of(brief, "diagnosis") or {}
    problems = _missing(diagnosis, brief)
    return CheckReport.of(problems, proceed=True, action=diagnosis.get("action"))


def _missing(diagnosis: dict[str, Any], brief: Brief) -> list[str]:
    match diagnosis.get("action"):
        case Action.RETRAIN:
            verdicts = {name: value_of(brief, name) for name in _VERDICTS}
            return [
                f"{name} is {found or 'missing'}, not pass" for name, found in verdicts.items() if found != Verdict.PASS
            ]
        case Action.ROLLBACK:
            return [] if diagnosis.get("suspect_digest") else ["the diagnosis names no suspect_digest"]
        case Action.TUNE:
            return [] if diagnosis.get("tuning") else ["the diagnosis names no tuning"]
        case other:
            return [f"the action {other!r} changes nothing that is live"]


QUESTION = Question(
    name="promotion",
    propose="promotion_propose",
    proposer=Role.DEVOPS_ENGINEER,
    review="promotion_review",
    answer=PromotionProposal,
    facts=("diagnosis", "candidate", "verdict_evaluate", "verdict_ab"),
    check=check_promotion,
)
