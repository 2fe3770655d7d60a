"""`record_pipeline`: how a model was made, where its data are kept, so that a person can make it again."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from adapters.datasets.base import EFFECT_PIPELINE, DatasetsPort, Pipeline
from adapters.training.base import TrainingPort, TrainingResult
from domain.dataset import DatasetRef
from domain.decision import Effect
from domain.errors import InvalidInput
from domain.observation import Observation, Seen
from domain.plan import TrainingPlan
from tools.model.train import RERANKER, reranker_spec
from tools.tool import Arguments, Call, Result, Tool, ToolSpec

_REPRODUCIBLE = "lightgbm"


class RecordArgs(Arguments):
    """The finished training job by its key, the model it made, and what it was made from."""

    training_key: str = Field(pattern=r"^[0-9a-f]{32}$")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    dataset: DatasetRef
    plan: TrainingPlan


class Recorded(Result):
    """The dataset whose repository has the pipeline now; `key` is the trailer ``Evercrew-Key`` of its commit."""

    dataset: DatasetRef
    key: str


class RecordPipeline(Tool[RecordArgs, Recorded]):
    """Commits a re-ranker's training as a pipeline of the dataset repository."""

    spec = ToolSpec(
        "record_pipeline",
        "Record in the dataset repository how a model was made, so that it can be made again.",
        effect=Effect.WRITE,
        effects=(EFFECT_PIPELINE,),
        timeout=timedelta(minutes=15),
    )
    input = RecordArgs
    output = Recorded

    def __init__(self, datasets: DatasetsPort, training: TrainingPort, *, train: str, score: str) -> None:
        self._datasets = datasets
        self._training = training
        self._train = train
        self._score = score

    def run(self, args: RecordArgs, call: Call) -> Recorded:
        if not reproducible(args.plan):
            problem = f"{args.plan.target} by {args.plan.learner} is not the same when it is trained again"
            raise InvalidInput("plan", problem, f"Record re-rankers made by {_REPRODUCIBLE} only")
        seen = self._training.observe(args.training_key)
        if seen.seen is not Seen.DONE:
            raise InvalidInput("training_key", "no finished job has it", "Train first, then record")
        result = TrainingResult.model_validate(seen.outcome)
        if result.output.get("digest") != args.digest:
            raise InvalidInput("digest", "the job made another model", "Record the digest the job returned")
        pipeline = Pipeline(
            dataset=args.dataset,
            train=self._train,
            score=self._score,
            spec=reranker_spec(args.plan),
            model=result.folder / str(result.output["bundle"]),
            output=result.output,
        )
        message = f"pipeline of {args.digest.removeprefix('sha256:')[:12]} ({call.scope.cycle_id})"
        self._datasets.record(pipeline, message=message, key=call.key, permit=call.permit)
        return Recorded(dataset=args.dataset, key=call.key)

    def observe(self, args: RecordArgs, call: Call) -> Observation:
        seen = self._datasets.observe(call.key)
        if seen.seen is not Seen.DONE:
            return seen
        return Observation.done(Recorded(dataset=args.dataset, key=call.key).model_dump(mode="json"))


def reproducible(plan: TrainingPlan) -> bool:
    """Whether the same data and plan give the same bundle, byte for byte."""
    return plan.target == RERANKER and plan.learner == _REPRODUCIBLE
