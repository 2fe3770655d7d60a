"""What the stages ask for judgements: the crews implement it without being seen from here."""

from __future__ import annotations

from typing import Protocol

from domain.brief import Answered, Brief
from domain.diagnosis import Diagnosis
from domain.plan import AugmentationPlan, PostMortem, PromotionProposal, TrainingPlan


class Judges(Protocol):
    """One method, one typed question.

    Each raises `ModelAnswerInvalid` when no valid answer could be had and `BudgetExhausted` when a limit was reached
    first. An answer whose `stopped` is not empty was stopped by the Supervisor's review, for that reason.
    """

    def diagnose(self, brief: Brief) -> Answered[Diagnosis]: ...

    def plan_augmentation(self, brief: Brief) -> Answered[AugmentationPlan]: ...

    def plan_training(self, brief: Brief) -> Answered[TrainingPlan]: ...

    def propose_promotion(self, brief: Brief) -> Answered[PromotionProposal]: ...

    def write_post_mortem(self, brief: Brief) -> Answered[PostMortem]: ...
