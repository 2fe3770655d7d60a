"""What an operator asked of a cycle, kept to by its stages. The door knows of it too (`held_back`), so that a stage
that forgot could still put nothing live.

A wish for training turns a diagnosis that sees no need into training, and nothing else: where the platform shows
another cause, a person decides. What is trained on is what tools named, whatever was wished for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cycles.desk import Desk
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.plan import AugmentationPlan
from domain.stage import Stage, StageResult
from domain.wish import Wish
from tools.model.train import RERANKER
from tools.warrant import recorded

WISH = "wish"
_NO_NEED = (Action.NOISE, Action.MONITOR)
# Stages at which something new reaches users.
_LIVE = (Stage.AB, Stage.PROMOTE)


def held_back(cycle: Cycle) -> bool:
    """Whether nothing of the cycle may go live."""
    wish = Wish.of(cycle.alert)
    return wish is not None and (wish.do_not_promote or wish.only_diagnose)


def before(desk: Desk) -> StageResult | None:
    """Return how a cycle ends that must not go on to its present stage; None where nobody asked for that."""
    wish = Wish.of(desk.cycle.alert)
    if wish is None or desk.cycle.stage not in _LIVE or not held_back(desk.cycle):
        return None
    candidate = (desk.fact("candidate") or {}).get("model") or {}
    made = (
        f"{candidate['name']} version {candidate['version']} stays a candidate" if candidate else "nothing is changed"
    )
    verdict = desk.fact("verdict_evaluate")
    judged = f"; offline evaluation: {verdict}" if verdict else ""
    return desk.finish(OutcomeKind.NOT_PROMOTED, f"{wish.said()}; {made}{judged}")


def steered(desk: Desk, action: Action, why: str | None, summary: str) -> tuple[Action, str | None]:
    """Return the action of a diagnosis as the wish has it, and why it is not the diagnosis' own."""
    wish = Wish.of(desk.cycle.alert)
    if wish is None:
        return action, why
    desk.keep(WISH, wish)
    if wish.action != "retrain" or action is Action.HANDOFF:
        return action, why
    if wish.model not in (None, RERANKER):
        return Action.HANDOFF, f"{wish.said()}; a cycle trains {RERANKER}"
    if action in _NO_NEED:
        return Action.RETRAIN, f"{wish.said()}; the diagnosis sees no need: {action.value}: {summary}"
    if action is not Action.RETRAIN:
        return Action.HANDOFF, f"{wish.said()}; the diagnosis is {action.value}: {summary}; a person has to decide"
    return action, why


def only_looked(desk: Desk, action: Action, summary: str) -> StageResult | None:
    """Return the end of a cycle that was to look and change nothing."""
    wish = Wish.of(desk.cycle.alert)
    if wish is None or not wish.only_diagnose or action in (*_NO_NEED, Action.HANDOFF):
        return None
    return desk.finish(OutcomeKind.HANDED_OFF, f"{wish.said()}; the diagnosis is {action.value}: {summary}")


def aimed(plan: AugmentationPlan, cycle: Cycle, results: Mapping[str, Mapping[str, Any]]) -> AugmentationPlan:
    """Return the plan aimed at the subjects that were wished for, as far as a tool of this cycle has named them."""
    wish = Wish.of(cycle.alert)
    if wish is None or not (wish.new_subjects or wish.subjects):
        return plan
    new = [str(name) for name in recorded(results, "drift_report", "new_subjects")]
    known = [*new, *(str(name) for name in recorded(results, "drift_report", "affected_categories"))]
    wanted = [*(new if wish.new_subjects else ()), *(name for name in known if name in wish.subjects)]
    return plan.model_copy(update={"target_categories": tuple(dict.fromkeys(wanted))[:50]}) if wanted else plan
