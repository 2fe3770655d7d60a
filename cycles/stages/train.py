"""Train: a model from the versioned data, in a process of its own, registered as candidate."""

from __future__ import annotations

from cycles.desk import CallFailed, CallRefused, Desk
from domain.actor import Role
from domain.outcome import OutcomeKind
from domain.plan import TrainingPlan
from domain.stage import Stage, StageResult
from tools.data.dataset import DatasetMade
from tools.model.pipeline import RecordArgs, Recorded, reproducible
from tools.model.registry import RegistryView
from tools.model.train import RERANKER, RegisterArgs, Registered, TrainArgs, Trained
from tools.sandbox.smoke import SmokeArgs, SmokeResult
from tools.tool import Nothing


def run(desk: Desk) -> StageResult:
    """Plan, train, register, and try the candidate in a sandbox."""
    answered = desk.ask("training_plan", desk.office.judges.plan_training, TrainingPlan)
    if answered.stopped:
        return desk.finish(OutcomeKind.STOPPED, f"the Supervisor stopped the training: {answered.stopped}")
    if answered.value.target != RERANKER:
        return desk.finish(OutcomeKind.STOPPED, f"{answered.value.target[:40]!r} is not what this cycle mends")
    dataset = DatasetMade.model_validate(desk.fact("dataset")).ref
    trained = desk.do("train_model", TrainArgs(dataset=dataset, plan=answered.value), Role.ML_ENGINEER, Trained)
    desk.keep("trained", trained)
    desk.keep("cost_usd", trained.cost_usd)
    registry = desk.do("registry_read", Nothing(), Role.ML_ENGINEER, RegistryView)
    if trained.digest in registry.tombstoned:
        return desk.finish(OutcomeKind.NOT_PROMOTED, "training gave a model that was rolled back before")
    if registry.champion is not None and registry.champion.digest == trained.digest:
        return desk.finish(OutcomeKind.NOT_PROMOTED, "training gave the model that is live already")
    args = RegisterArgs(
        training_key=trained.key,
        digest=trained.digest,
        dataset=dataset,
        plan=answered.value,
        alert_fingerprint=desk.cycle.alert.fingerprint,
    )
    registered = desk.do("register_candidate", args, Role.ML_ENGINEER, Registered)
    desk.keep("candidate", registered)
    _point_at_run(desk, registered.run_id)
    _record_pipeline(desk, args)
    tried = desk.do("sandboxed_test_run", SmokeArgs(digest=trained.digest), Role.ML_ENGINEER, SmokeResult)
    if not tried.ok:
        return desk.finish(
            OutcomeKind.NOT_PROMOTED, f"the candidate answered {tried.answered} of {tried.queries} test queries"
        )
    return StageResult(next=Stage.EVALUATE, reason=f"trained on {trained.examples} examples in {trained.seconds:.1f} s")


def _record_pipeline(desk: Desk, made: RegisterArgs) -> None:
    """Record how the model was made, where it can be made again.

    The candidate does not depend on it: what fails or is refused is on record, told, and the cycle goes on.
    """
    if not reproducible(made.plan):
        desk.note(f"no pipeline is recorded: {made.plan.learner} does not train {made.plan.target} the same twice")
        return
    args = RecordArgs(training_key=made.training_key, digest=made.digest, dataset=made.dataset, plan=made.plan)
    try:
        desk.keep("pipeline", desk.do("record_pipeline", args, Role.ML_ENGINEER, Recorded))
    except (CallRefused, CallFailed) as problem:
        desk.note(str(problem))


def _point_at_run(desk: Desk, run_id: str) -> None:
    """Complete the dataset's manifest: which run was made from it."""
    manifest = desk.artifacts.read(desk.cycle.id, "dataset_manifest.yaml")
    if manifest is not None:
        pointer = {"run_id": run_id, "artifact_uri": f"runs:/{run_id}"}
        desk.write("dataset_manifest.yaml", {**manifest, "mlflow": pointer})
