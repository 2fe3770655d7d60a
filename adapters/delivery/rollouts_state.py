"""What a Rollout and its AnalysisRuns tell (``argoproj.io/v1alpha1``), and what that is worth.

A run's phase is Argo Rollouts' own verdict and is taken over with one exception: a run that measured nothing, or could
only not measure, is never a success here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field, ValidationError

from adapters.delivery.part import Part
from domain.errors import DependencyLied
from domain.verdict import Judgement, Verdict, combine

NAME = "rollouts"
KEYS = "evercrew.io/keys"
"""Annotation with the effects made last, newest last."""

_NOT_A_NUMBER = frozenset({"nan", "[nan]", "[]", "null", "<nil>"})


class Owner(Part):
    kind: str = ""
    name: str = ""
    uid: str = ""


class Metadata(Part):
    name: str
    uid: str = ""
    generation: int = 0
    version: str = Field(default="", alias="resourceVersion")
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    owners: tuple[Owner, ...] = Field(default=(), alias="ownerReferences")


class Pause(Part):
    """Why it is paused, and since when."""

    reason: str = ""
    since: datetime | None = Field(default=None, alias="startTime")


class _Step(Part):
    weight: int | None = Field(default=None, alias="setWeight")


class _Canary(Part):
    steps: tuple[_Step, ...] = ()


class _Strategy(Part):
    canary: _Canary = _Canary()


class _Spec(Part):
    paused: bool = False
    strategy: _Strategy = _Strategy()


class _Destination(Part):
    weight: int = 0


class _Weights(Part):
    canary: _Destination = _Destination()
    stable: _Destination = _Destination()


class _CanaryStatus(Part):
    weights: _Weights | None = None


class _Status(Part):
    phase: str = ""
    message: str = ""
    abort: bool = False
    observed: str = Field(default="", alias="observedGeneration")
    step: int | None = Field(default=None, alias="currentStepIndex")
    pauses: tuple[Pause, ...] = Field(default=(), alias="pauseConditions")
    current: str = Field(default="", alias="currentPodHash")
    stable: str = Field(default="", alias="stableRS")
    canary: _CanaryStatus = _CanaryStatus()


class Rollout(Part):
    """A Rollout as the API tells it."""

    metadata: Metadata
    spec: _Spec = _Spec()
    status: _Status = _Status()

    @property
    def settled(self) -> bool:
        """Whether the status is about the present specification; an older one is not to be built on."""
        return self.status.observed == str(self.metadata.generation)

    @property
    def updating(self) -> bool:
        """Whether a new version is on its way."""
        return bool(self.status.current) and self.status.current != self.status.stable

    @property
    def paused(self) -> bool:
        """Whether somebody, a step or an analysis paused it."""
        return self.spec.paused or bool(self.status.pauses)

    @property
    def weight(self) -> int | None:
        """Percent of the traffic for the new version: as routed, else as its steps have set; None when unknown."""
        if self.status.canary.weights is not None:
            return self.status.canary.weights.canary.weight
        if self.status.step is None or not self.updating:
            return None
        reached = self.spec.strategy.canary.steps[: self.status.step + 1]
        return next((step.weight for step in reversed(reached) if step.weight is not None), 0)


class _Measurement(Part):
    phase: str = ""
    value: str = ""


class MetricResult(Part):
    """One metric of a run; the counts are of all measurements, `measurements` holds the last few."""

    name: str = ""
    phase: str = ""
    message: str = ""
    count: int = 0
    successful: int = 0
    failed: int = 0
    inconclusive: int = 0
    error: int = 0
    dry: bool = Field(default=False, alias="dryRun")
    measurements: tuple[_Measurement, ...] = ()


class _RunStatus(Part):
    phase: str = ""
    message: str = ""
    results: tuple[MetricResult, ...] = Field(default=(), alias="metricResults")


class AnalysisRun(Part):
    """One analysis of a version."""

    metadata: Metadata
    status: _RunStatus = _RunStatus()

    def judge(self) -> Judgement:
        """Return what the run is worth; metrics in a dry run do not count."""
        status, name = self.status, self.metadata.name
        counted = [result for result in status.results if not result.dry]
        match status.phase:
            case "Successful":
                return combine([_of_metric(result) for result in counted], name)
            case "Failed":
                only_errors = bool(counted) and not any(r.failed for r in counted) and any(r.error for r in counted)
                verdict = Verdict.ERROR if only_errors else Verdict.FAIL
            case "Error":
                verdict = Verdict.ERROR
            case "Inconclusive" | "Pending" | "Running" | "":
                verdict = Verdict.INSUFFICIENT
            case _:
                verdict = Verdict.ERROR
        said = status.message or "; ".join(f"{r.name}: {r.message}" for r in counted if r.message)
        return Judgement(verdict=verdict, reason=f"{status.phase or 'Pending'}: {said or 'no reason given'}", name=name)


def parsed(form: type[Rollout] | type[AnalysisRun], answer: object) -> Any:
    """Return the answer as `form`; raises DependencyLied naming the field."""
    try:
        return form.model_validate(answer)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, problem["loc"])) or "(all)"
        raise DependencyLied(NAME, f"{form.__name__}: field {field}: {problem['msg']}") from error


def _of_metric(result: MetricResult) -> Judgement:
    figures = {"count": result.count, "successful": result.successful, "failed": result.failed, "error": result.error}

    def said(verdict: Verdict, reason: str) -> Judgement:
        return Judgement(verdict=verdict, reason=f"{result.name}: {reason}", name=result.name, figures=figures)

    if result.phase in ("Failed", "Error"):
        verdict = Verdict.FAIL if result.phase == "Failed" else Verdict.ERROR
        return said(verdict, f"the run says Successful, and this metric {result.phase}")
    if result.successful == 0:
        if result.error:
            return said(Verdict.ERROR, f"none of {result.error} measurements could be made")
        return said(Verdict.INSUFFICIENT, "nothing was measured")
    if result.phase != "Successful":
        return said(Verdict.INSUFFICIENT, f"it is {result.phase or 'not done'}")
    values = [m.value.strip().lower() for m in result.measurements if m.phase == "Successful"]
    if values and all(value in _NOT_A_NUMBER for value in values):
        return said(Verdict.INSUFFICIENT, "no measurement has a value")
    return said(Verdict.PASS, f"{result.successful} of {result.count} measurements were successful")
