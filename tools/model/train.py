"""`train_model` and `register_candidate`: a training job in a process of its own, and its result in the registry."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import Field

from adapters.datasets.base import DatasetsPort
from adapters.tracking.base import EFFECT_ALIAS, EFFECT_LOG_RUN, EFFECT_REGISTER, TrackingPort
from adapters.training.base import EFFECT_TRAIN, TrainingJob, TrainingPort, TrainingResult
from domain.budget import Amounts
from domain.candidate import ModelRef
from domain.clock import Clock
from domain.dataset import DatasetRef
from domain.decision import Effect
from domain.errors import DependencyLied, InvalidInput
from domain.observation import Observation, Seen
from domain.plan import TrainingPlan
from tools.rates import Rates
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

CANDIDATE = "candidate"
RERANKER = "reranker"


@dataclass(frozen=True)
class TargetJob:
    """What trains a target other than the platform's own re-ranker: its entry point and options."""

    entry: str
    params: Mapping[str, Any] = field(default_factory=dict)


class TrainArgs(Arguments):
    """The dataset version and the plan."""

    dataset: DatasetRef
    plan: TrainingPlan


class Trained(Result):
    """`digest` of the bundle, the job's own metrics, seconds of wall time; `key` finds the job's folder again."""

    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    metrics: Mapping[str, float]
    examples: int
    seconds: float
    cost_usd: float
    key: str


class TrainModel(Tool[TrainArgs, Trained]):
    """Trains the re-ranker on a dataset version."""

    spec = ToolSpec(
        "train_model",
        "Train the re-ranker on a dataset version in a process with limits on time and memory.",
        effect=Effect.WRITE,
        effects=(EFFECT_TRAIN,),
        timeout=timedelta(minutes=15),
    )
    input = TrainArgs
    output = Trained

    def __init__(
        self,
        training: TrainingPort,
        datasets: DatasetsPort,
        *,
        entry: str,
        rates: Rates,
        timeout: timedelta,
        targets: Mapping[str, TargetJob] | None = None,
    ) -> None:
        self._training = training
        self._datasets = datasets
        self._entry = entry
        self._targets = dict(targets or {})
        self._rates = rates
        self._timeout = timeout

    def run(self, args: TrainArgs, call: Call) -> Trained:
        self._check_target(args.plan.target)
        with tempfile.TemporaryDirectory(prefix="evercrew-train-") as scratch:
            folder = self._datasets.materialise(args.dataset, Path(scratch))
            job = self._job(args.plan, folder)
            return self._trained(self._training.run(job, key=call.key, permit=call.permit), args.plan, call.key)

    def observe(self, args: TrainArgs, call: Call) -> Observation:
        seen = self._training.observe(call.key)
        if seen.seen is not Seen.DONE:
            return seen
        result = TrainingResult.model_validate(seen.outcome)
        return Observation.done(self._trained(result, args.plan, call.key).model_dump(mode="json"))

    def price(self, args: TrainArgs) -> Amounts:
        return self._rates.until(self._timeout, args.plan.target)

    def spent(self, args: TrainArgs, result: Trained) -> Amounts:
        return self._rates.machine(result.seconds, args.plan.target)

    def lost(self, args: TrainArgs, seconds: float) -> Amounts:
        return self._rates.machine(seconds, args.plan.target)

    def _job(self, plan: TrainingPlan, folder: Path) -> TrainingJob:
        spec: dict[str, Any] = {"dataset": str(folder), "seed": plan.seed}
        if plan.target != RERANKER:
            other = self._targets[plan.target]
            return TrainingJob(entry=other.entry, spec={**spec, "params": dict(other.params)}, timeout=self._timeout)
        return TrainingJob(entry=self._entry, spec={**spec, **reranker_spec(plan)}, timeout=self._timeout)

    def _check_target(self, target: str) -> None:
        if target != RERANKER and target not in self._targets:
            known = ", ".join(sorted({RERANKER, *self._targets}))
            raise InvalidInput("plan.target", f"{target!r} is no target of training", f"Use one of: {known}")

    def _trained(self, result: TrainingResult, plan: TrainingPlan, key: str) -> Trained:
        output = result.output
        try:
            return Trained(
                digest=str(output["digest"]),
                metrics={name: float(value) for name, value in output["metrics"].items()},
                examples=int(output["examples"]),
                seconds=result.seconds,
                cost_usd=self._rates.dollars(result.seconds, plan.target),
                key=key,
            )
        except (AttributeError, KeyError, TypeError, ValueError) as problem:
            raise DependencyLied("training", f"the job's result lacks or garbles {problem}") from problem


class RegisterArgs(Arguments):
    """The finished training job by its key, and what it was made from."""

    training_key: str = Field(pattern=r"^[0-9a-f]{32}$")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    dataset: DatasetRef
    plan: TrainingPlan
    alert_fingerprint: str


class Registered(Result):
    model: ModelRef
    run_id: str


class RegisterCandidate(Tool[RegisterArgs, Registered]):
    """Logs the run and registers its bundle as a candidate."""

    spec = ToolSpec(
        "register_candidate",
        "Log the training run and register its model as candidate, with the dataset and alert it came from.",
        effect=Effect.WRITE,
        effects=(EFFECT_LOG_RUN, EFFECT_REGISTER, EFFECT_ALIAS),
        timeout=timedelta(minutes=5),
    )
    input = RegisterArgs
    output = Registered

    def __init__(
        self,
        tracking: TrackingPort,
        training: TrainingPort,
        clock: Clock,
        *,
        model: str,
        code_revision: str,
        artifacts: Path | None = None,
    ) -> None:
        self._tracking = tracking
        self._training = training
        self._clock = clock
        self._model = model
        self._code = code_revision
        self._artifacts = artifacts

    def run(self, args: RegisterArgs, call: Call) -> Registered:
        seen = self._training.observe(args.training_key)
        if seen.seen is not Seen.DONE:
            raise InvalidInput("training_key", "no finished job has it", "Train first, then register")
        result = TrainingResult.model_validate(seen.outcome)
        if result.output.get("digest") != args.digest:
            raise InvalidInput("digest", "the job made another model", "Register the digest the job returned")
        tags = self._tags(args, call)
        run_id = self._tracking.log_run(
            name=call.scope.cycle_id,
            params={**args.plan.model_dump(exclude={"rationale"}), "dataset_md5": args.dataset.md5},
            metrics={k: float(v) for k, v in result.output["metrics"].items()},
            tags=tags,
            artifacts=self._evidence(call.scope.cycle_id),
            key=call.key,
            permit=call.permit,
        )
        ref = self._tracking.register(
            model=self._name(args.plan),
            bundle=result.folder / str(result.output["bundle"]),
            digest=args.digest,
            run_id=run_id,
            tags=tags,
            key=call.key,
            permit=call.permit,
        )
        self._tracking.set_alias(model=ref.name, alias=CANDIDATE, version=ref.version, key=call.key, permit=call.permit)
        return Registered(model=ref, run_id=run_id)

    def observe(self, args: RegisterArgs, call: Call) -> Observation:
        """Done only when the alias stands too.

        Everything before it is done again under the same key, which changes nothing.
        """
        ref = self._tracking.by_alias(self._name(args.plan), CANDIDATE)
        if ref is None or ref.digest != args.digest or ref.tags.get("cycle_id") != call.scope.cycle_id:
            return Observation.absent("the candidate alias does not point at this cycle's model")
        return Observation.done(Registered(model=ref, run_id=ref.run_id).model_dump(mode="json"))

    def _name(self, plan: TrainingPlan) -> str:
        """The registered model: the platform's own, or one by the name of the target."""
        return self._model if plan.target == RERANKER else plan.target

    def _evidence(self, cycle_id: str) -> list[Path]:
        """Return what the cycle has written down so far: the run carries why it was made and from what."""
        folder = self._artifacts / cycle_id if self._artifacts is not None else None
        return sorted(p for p in folder.glob("d*.*") if p.is_file()) if folder is not None and folder.is_dir() else []

    def _tags(self, args: RegisterArgs, call: Call) -> dict[str, str]:
        return {
            "cycle_id": call.scope.cycle_id,
            "si_cycle_id": call.scope.cycle_id,
            "alert_fingerprint": args.alert_fingerprint,
            "dataset_md5": args.dataset.md5,
            "dataset_rev": args.dataset.revision,
            "dataset_path": args.dataset.path,
            "code_revision": self._code,
            "trained_at": self._clock.now().isoformat(),
        }


class AliasArgs(Arguments):
    """`champion` is what is live and verified; `gold` the best ever, kept for ever."""

    alias: str = Field(pattern=r"^(champion|gold|candidate)$")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")


class AliasSet(Result):
    alias: str
    version: str


class SetAlias(Tool[AliasArgs, AliasSet]):
    """Points an alias of the registry at the version with a digest."""

    spec = ToolSpec(
        "set_alias", "Point a registry alias at a model digest.", effect=Effect.WRITE, effects=(EFFECT_ALIAS,)
    )
    input = AliasArgs
    output = AliasSet

    def __init__(self, tracking: TrackingPort, *, model: str) -> None:
        self._tracking = tracking
        self._model = model

    def run(self, args: AliasArgs, call: Call) -> AliasSet:
        ref = known_model(self._tracking, self._model, args.digest)
        self._tracking.set_alias(
            model=self._model, alias=args.alias, version=ref.version, key=call.key, permit=call.permit
        )
        return AliasSet(alias=args.alias, version=ref.version)

    def observe(self, args: AliasArgs, call: Call) -> Observation:
        ref = self._tracking.by_alias(self._model, args.alias)
        if ref is None or ref.digest != args.digest:
            return Observation.absent("the alias points elsewhere")
        return Observation.done(AliasSet(alias=args.alias, version=ref.version).model_dump())


def reranker_spec(plan: TrainingPlan) -> dict[str, Any]:
    """Return what the platform's own training is called with, but for the folder of the dataset."""
    params = {"leaves": plan.num_leaves, "learning_rate": plan.learning_rate, "iterations": plan.rounds}
    return {"seed": plan.seed, "params": params, "learner": plan.learner}


def known_model(tracking: TrackingPort, model: str, digest: str) -> ModelRef:
    """Return the registered version with this digest.

    Raises:
        InvalidInput: there is none.
    """
    ref = tracking.by_digest(model, digest)
    if ref is None:
        raise InvalidInput("digest", f"{digest} is not registered as {model}", "Register the model first")
    return ref
