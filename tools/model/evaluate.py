"""`offline_evaluation`: two registered models on the sealed held-out set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from pydantic import Field

from adapters.evaluation.base import EFFECT_EVALUATE, BundleScores, EvaluationPort, EvaluationResult
from adapters.tracking.base import TrackingPort
from domain.budget import Amounts
from domain.decision import Effect
from domain.measurement import Measurement
from domain.observation import Observation, Seen
from tools.model.train import known_model
from tools.rates import Rates
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

BASELINE = "baseline"
CANDIDATE = "candidate"


class EvaluateArgs(Arguments):
    """Digests of two registered models."""

    baseline: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    candidate: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class Scores(Result):
    """Metrics of one model, nDCG@10 of every query in the same order for both, and nDCG@10 by slice."""

    digest: str
    metrics: Mapping[str, Measurement]
    per_query: Sequence[float]
    per_slice: Mapping[str, Measurement]


class Evaluated(Result):
    """Both models over the same `queries` of the set `set_hash`, which has now been looked at `looks` times.

    `seconds` is the wall time of this look.
    """

    queries: int
    looks: int
    set_hash: str
    baseline: Scores
    candidate: Scores
    seconds: float = 0.0


class OfflineEvaluation(Tool[EvaluateArgs, Evaluated]):
    """Asks for an evaluation; the set itself is out of reach."""

    spec = ToolSpec(
        "offline_evaluation",
        "Score the live model and a candidate on the sealed held-out set; every look is counted.",
        effect=Effect.WRITE,
        effects=(EFFECT_EVALUATE,),
        timeout=timedelta(minutes=15),
    )
    input = EvaluateArgs
    output = Evaluated

    def __init__(
        self,
        evaluation: EvaluationPort,
        tracking: TrackingPort,
        *,
        model: str,
        bundles: Path,
        rates: Rates | None = None,
    ) -> None:
        self._rates = rates or Rates()
        self._evaluation = evaluation
        self._tracking = tracking
        self._model = model
        self._bundles = bundles

    def run(self, args: EvaluateArgs, call: Call) -> Evaluated:
        named = {BASELINE: self._bundle(args.baseline), CANDIDATE: self._bundle(args.candidate)}
        return _evaluated(self._evaluation.evaluate(named, key=call.key, permit=call.permit))

    def observe(self, args: EvaluateArgs, call: Call) -> Observation:
        seen = self._evaluation.observe(call.key)
        if seen.seen is not Seen.DONE:
            return seen
        return Observation.done(_evaluated(EvaluationResult.model_validate(seen.outcome)).model_dump(mode="json"))

    def price(self, args: EvaluateArgs) -> Amounts:
        return self._rates.until(self.spec.timeout)

    def spent(self, args: EvaluateArgs, result: Evaluated) -> Amounts:
        return self._rates.machine(result.seconds)

    def lost(self, args: EvaluateArgs, seconds: float) -> Amounts:
        return self._rates.machine(seconds)

    def _bundle(self, digest: str) -> Path:
        return fetch_bundle(self._tracking, self._model, digest, self._bundles)


def fetch_bundle(tracking: TrackingPort, model: str, digest: str, cache: Path) -> Path:
    """Return the folder of a registered model's bundle, downloaded once into `cache`."""
    target = cache / digest.removeprefix("sha256:")[:16]
    kept = target / "here"
    if kept.exists():
        return Path(kept.read_text(encoding="utf-8"))
    target.mkdir(parents=True, exist_ok=True)
    folder = tracking.download(known_model(tracking, model, digest), target)
    kept.write_text(str(folder), encoding="utf-8")
    return folder


def _evaluated(result: EvaluationResult) -> Evaluated:
    return Evaluated(
        queries=result.queries,
        looks=result.looks,
        set_hash=result.set_hash,
        baseline=_scores(result.bundles[BASELINE]),
        candidate=_scores(result.bundles[CANDIDATE]),
        seconds=result.seconds,
    )


def _scores(scores: BundleScores) -> Scores:
    return Scores(
        digest=scores.digest, metrics=scores.metrics, per_query=list(scores.per_query), per_slice=scores.per_slice
    )
