"""Judges that answer from a script, by tools they really call through the door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.actor import Actor, Role
from domain.brief import Answered, Brief
from domain.diagnosis import Action, Claim, Comparison, Diagnosis, RootCause
from domain.errors import ModelAnswerInvalid
from domain.plan import AugmentationMethod, AugmentationPlan, PostMortem, PromotionProposal, TrainingPlan
from tools.gate import Gate
from tools.outcome import Done
from tools.tool import scope_of

_CAUSES = {
    Action.RETRAIN: RootCause.CORPUS_SHIFT,
    Action.ROLLBACK: RootCause.BAD_RELEASE,
    Action.DATA_FIX: RootCause.DATA_QUALITY,
    Action.TUNE: RootCause.EXPENSIVE_MODE,
    Action.NOISE: RootCause.NOISE,
}


class ScriptedJudges:
    """`Judges` that come to `action`; `say` replaces the answer of a question, by its method's name."""

    def __init__(
        self, gate: Gate, action: Action, say: Mapping[str, Callable[[Brief], Answered[Any]]] | None = None
    ) -> None:
        self._gate = gate
        self._action = action
        self._say = dict(say or {})
        self.asked: list[str] = []

    def diagnose(self, brief: Brief) -> Answered[Diagnosis]:
        """See `Judges.diagnose`."""
        return self._answer("diagnose", brief, self._diagnosis)

    def plan_augmentation(self, brief: Brief) -> Answered[AugmentationPlan]:
        """See `Judges.plan_augmentation`."""
        plan = AugmentationPlan(
            methods=(AugmentationMethod.QUERY_GENERATION, AugmentationMethod.SYNONYM),
            examples=40,
            rationale="more of what is missing",
        )
        return self._answer("plan_augmentation", brief, lambda _: plan)

    def plan_training(self, brief: Brief) -> Answered[TrainingPlan]:
        """See `Judges.plan_training`."""
        return self._answer("plan_training", brief, lambda _: TrainingPlan(rationale="as always"))

    def propose_promotion(self, brief: Brief) -> Answered[PromotionProposal]:
        """See `Judges.propose_promotion`."""
        proposal = PromotionProposal(proceed=True, change="serve it", rollback_plan="revert", rationale="gates passed")
        return self._answer("propose_promotion", brief, lambda _: proposal)

    def write_post_mortem(self, brief: Brief) -> Answered[PostMortem]:
        """See `Judges.write_post_mortem`."""
        said = PostMortem(summary="it is over", what_happened="a signal moved", what_was_done="see the actions")
        return self._answer("write_post_mortem", brief, lambda _: said)

    def _answer(self, name: str, brief: Brief, make: Callable[[Brief], Any]) -> Answered[Any]:
        self.asked.append(name)
        if name in self._say:
            return self._say[name](brief)
        return Answered[Any](value=make(brief), models=("script",), tokens=10, cost_usd=0.001)

    def _diagnosis(self, brief: Brief) -> Diagnosis:
        snapshot, readings = self._use("signal_snapshot", brief)
        claims: list[Claim] = []
        extra: dict[str, Any] = {}
        if self._action in (Action.RETRAIN, Action.DATA_FIX, Action.ROLLBACK):
            self._use("anomaly_check", brief, signal="ndcg_at_10")
            self._use("data_quality_report", brief)
            self._use("deployment_history", brief)
        delta = readings["readings"]["ndcg_at_10"]["relative_delta"]
        fell = Claim(
            statement="quality fell",
            call=snapshot,
            path="readings.ndcg_at_10.relative_delta",
            comparison=Comparison.EQUALS,
            value=delta,
        )
        match self._action:
            case Action.RETRAIN:
                claims = [fell, self._claim("drift_report", brief, "new_documents")]
            case Action.DATA_FIX:
                claims = [fell, self._claim("data_quality_report", brief, "damaged")]
            case Action.ROLLBACK:
                call, history = self._use("deployment_history", brief)
                suspect = history["suspect"]
                extra = {"suspect_digest": suspect["digest"], "restore_revision": history["releases"][-1]["revision"]}
                claims = [fell, _equals(call, "suspect.model_changed", True)]
            case Action.TUNE:
                call, state = self._use("runtime_state", brief)
                latency = readings["readings"]["latency_p95_ms"]["current"]
                extra = {"tuning": {"mode": state["declared_mode"]}}
                claims = [
                    _equals(call, "mode", state["mode"]),
                    _equals(snapshot, "readings.latency_p95_ms.current", latency),
                    _equals(snapshot, "readings.latency_p95_ms.unit", "ms"),
                ]
            case _:
                claims = [fell]
        return Diagnosis(
            action=self._action,
            root_cause=_CAUSES.get(self._action, RootCause.UNKNOWN),
            summary=f"it looks like {self._action.value}",
            claims=tuple(claims),
            **extra,
        )

    def _claim(self, tool: str, brief: Brief, path: str) -> Claim:
        call, result = self._use(tool, brief)
        return _equals(call, path, result[path])

    def _use(self, tool: str, brief: Brief, **args: Any) -> tuple[str, dict[str, Any]]:
        actor = Actor(role=Role.METRICS_ANALYST, via="agent")
        outcome = self._gate.call(tool, args, actor, scope_of(brief))
        if not isinstance(outcome, Done):
            raise ModelAnswerInvalid(f"{tool} did not answer: {outcome}")
        return outcome.call, outcome.value.model_dump(mode="json")


def _equals(call: str, path: str, value: float | str | bool) -> Claim:
    return Claim(statement=path, call=call, path=path, comparison=Comparison.EQUALS, value=value)
