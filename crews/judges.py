"""`CrewJudges`: the crews behind the questions the stages ask, one crew for each."""

from __future__ import annotations

from collections.abc import Callable

from adapters.llm.base import ChatPort
from adapters.traces.base import TracesPort
from agents.roster import Roster
from crews import augmentation, diagnosis, postmortem, promotion, training
from crews.runtime import ask
from crews.session import Limits, Workplace
from domain.actor import Role
from domain.brief import Answered, Brief
from domain.clock import Clock, SystemClock
from domain.diagnosis import Diagnosis
from domain.events import Observer
from domain.plan import AugmentationPlan, PostMortem, PromotionProposal, TrainingPlan
from tools.ask import Budget, NoBudget
from tools.gate import Gate


class CrewJudges:
    """Answers the stages' questions with CrewAI crews; every question gets fresh agents and models.

    Args:
        chat_for: returns a model for a role; asked once for every task, so that no two agents share one.
        budget: what a question may cost is set aside there before it is asked.

    Raises:
        ConfigurationError: the roster names a tool the gate does not have, or one that changes the world.
    """

    def __init__(
        self,
        gate: Gate,
        roster: Roster,
        chat_for: Callable[[Role], ChatPort],
        observer: Observer,
        traces: TracesPort,
        limits: Limits | None = None,
        clock: Clock | None = None,
        budget: Budget | None = None,
    ) -> None:
        roster.check(gate.registry)
        self._place = Workplace(
            gate,
            roster,
            chat_for,
            observer,
            traces,
            limits or Limits(),
            clock or SystemClock(),
            budget or NoBudget(),
        )

    def diagnose(self, brief: Brief) -> Answered[Diagnosis]:
        """Return why the platform was alerted about."""
        return ask(diagnosis.QUESTION, brief, self._place)

    def plan_augmentation(self, brief: Brief) -> Answered[AugmentationPlan]:
        """Return how the training data is to be mended or extended."""
        return ask(augmentation.QUESTION, brief, self._place)

    def plan_training(self, brief: Brief) -> Answered[TrainingPlan]:
        """Return how the model is to be trained."""
        return ask(training.QUESTION, brief, self._place)

    def propose_promotion(self, brief: Brief) -> Answered[PromotionProposal]:
        """Return whether and how the change goes live."""
        return ask(promotion.QUESTION, brief, self._place)

    def write_post_mortem(self, brief: Brief) -> Answered[PostMortem]:
        """Return what is to be remembered of the cycle."""
        return ask(postmortem.QUESTION, brief, self._place)
