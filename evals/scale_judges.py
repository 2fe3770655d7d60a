"""Judges that tune, by tools they really call through the door: the scale bench measures no model."""

from __future__ import annotations

from typing import Any

from domain.actor import Actor, Role
from domain.brief import Answered, Brief
from domain.diagnosis import Action, Claim, Comparison, Diagnosis, RootCause
from domain.errors import ModelAnswerInvalid
from domain.plan import AugmentationPlan, PostMortem, PromotionProposal, TrainingPlan
from tools.gate import Gate
from tools.outcome import Done
from tools.tool import scope_of


class TuningJudges:
    """`Judges` that find an expensive mode, whatever they are asked."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def diagnose(self, brief: Brief) -> Answered[Diagnosis]:
        """See `Judges.diagnose`."""
        snapshot, readings = self._use("signal_snapshot", brief)
        state_call, state = self._use("runtime_state", brief)
        claims = (
            _equals(state_call, "mode", state["mode"]),
            _equals(snapshot, "readings.latency_p95_ms.current", readings["readings"]["latency_p95_ms"]["current"]),
            _equals(snapshot, "readings.latency_p95_ms.unit", "ms"),
        )
        found = Diagnosis(
            action=Action.TUNE,
            root_cause=RootCause.EXPENSIVE_MODE,
            summary="somebody set an expensive mode",
            claims=claims,
            tuning={"mode": state["declared_mode"]},
        )
        return _answer(found)

    def plan_augmentation(self, brief: Brief) -> Answered[AugmentationPlan]:
        """See `Judges.plan_augmentation`; tuning needs none."""
        raise ModelAnswerInvalid(f"{brief.cycle_id} is to be tuned, not augmented")

    def plan_training(self, brief: Brief) -> Answered[TrainingPlan]:
        """See `Judges.plan_training`; tuning needs none."""
        raise ModelAnswerInvalid(f"{brief.cycle_id} is to be tuned, not trained")

    def propose_promotion(self, brief: Brief) -> Answered[PromotionProposal]:
        """See `Judges.propose_promotion`."""
        proposal = PromotionProposal(
            proceed=True, change="serve the mode of the values", rollback_plan="revert", rationale="it is slow"
        )
        return _answer(proposal)

    def write_post_mortem(self, brief: Brief) -> Answered[PostMortem]:
        """See `Judges.write_post_mortem`."""
        return _answer(PostMortem(summary="it is fast again", what_happened="it was slow", what_was_done="tuned"))

    def _use(self, tool: str, brief: Brief) -> tuple[str, dict[str, Any]]:
        outcome = self._gate.call(tool, {}, Actor(role=Role.METRICS_ANALYST, via="agent"), scope_of(brief))
        if not isinstance(outcome, Done):
            raise ModelAnswerInvalid(f"{tool} did not answer: {outcome}")
        return outcome.call, outcome.value.model_dump(mode="json")


def _answer(value: Any) -> Answered[Any]:
    return Answered[Any](value=value, models=("script",), tokens=10, cost_usd=0.001)


def _equals(call: str, path: str, value: float | str | bool) -> Claim:
    return Claim(statement=path, call=call, path=path, comparison=Comparison.EQUALS, value=value)
