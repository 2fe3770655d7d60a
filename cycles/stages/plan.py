"""Plan: the specialist whose turn it is proposes how, the Supervisor reviews, and the action decides where to go."""

from __future__ import annotations

from cycles.desk import Desk
from cycles.pathologies import before_plan
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.plan import AugmentationPlan, PromotionProposal
from domain.stage import Stage, StageResult


def run(desk: Desk) -> StageResult:
    """Ask for the plan that the action needs, unless it would only go in circles."""
    circle = before_plan(desk)
    if circle is not None:
        return circle
    match desk.cycle.action:
        case Action.RETRAIN | Action.DATA_FIX:
            return _data(desk)
        case Action.ROLLBACK:
            return _delivery(desk, Stage.ROLL_BACK)
        case Action.TUNE:
            return _delivery(desk, Stage.PROMOTE)
        case _:
            return desk.finish(OutcomeKind.HANDED_OFF, f"there is no plan for {desk.cycle.action}")


def _data(desk: Desk) -> StageResult:
    answered = desk.ask("augmentation_plan", desk.office.judges.plan_augmentation, AugmentationPlan)
    if answered.stopped:
        return desk.finish(OutcomeKind.STOPPED, f"the Supervisor stopped the data plan: {answered.stopped}")
    return StageResult(next=Stage.AUGMENT, reason=answered.value.rationale)


def _delivery(desk: Desk, following: Stage) -> StageResult:
    answered = desk.ask("delivery_plan", desk.office.judges.propose_promotion, PromotionProposal)
    if answered.stopped or not answered.value.proceed:
        reason = answered.stopped or answered.value.rationale
        return desk.finish(OutcomeKind.STOPPED, f"the change was not agreed to: {reason}")
    return StageResult(next=following, reason=answered.value.change)
