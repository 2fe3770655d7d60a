"""Augment: mend the feedback where it is damaged, and make the training data a version."""

from __future__ import annotations

from cycles.desk import Desk
from cycles.pathologies import of_dataset
from cycles.wishes import aimed
from domain.actor import Role
from domain.dataset import DatasetManifest, DatasetSource, DvcPointer
from domain.diagnosis import Action, Diagnosis
from domain.outcome import OutcomeKind
from domain.plan import AugmentationPlan
from domain.stage import Stage, StageResult
from tools import warrant
from tools.data.dataset import DatasetArgs, DatasetMade
from tools.data.quarantine import QuarantineArgs, Quarantined


def run(desk: Desk) -> StageResult:
    """Quarantine what is damaged (data fix), build and version the data, and go to training or to the watch."""
    if desk.cycle.action is Action.DATA_FIX:
        _quarantine(desk)
    made = _version(desk)
    desk.keep("dataset", made)
    _manifest(desk, made)
    said = f"{made.statistics.judged_examples} judged and {made.statistics.synthetic_examples} synthetic examples"
    if made.statistics.judged_examples == 0:
        return desk.finish(OutcomeKind.NOT_PROMOTED, "there is no judgement to learn from")
    circle = of_dataset(desk, made.provenance.model_dump()) if made.provenance is not None else None
    if circle is not None:
        return circle
    if desk.cycle.action is Action.DATA_FIX:
        desk.since("changed_at")
        return StageResult(next=Stage.WATCH, reason=f"damaged judgements set aside; {said} are left")
    return StageResult(next=Stage.TRAIN, reason=said)


def _quarantine(desk: Desk) -> None:
    diagnosis = Diagnosis.model_validate(desk.fact("diagnosis")["value"])
    since = warrant.since(diagnosis.since, desk.results(), desk.cycle.alert.starts_at)
    # The pipeline broke before anybody noticed: from the onset, or one measuring window before it where that is
    # earlier.
    since = min(since, desk.cycle.alert.starts_at) - desk.profile.measure.current
    done = desk.do("quarantine_feedback", QuarantineArgs(since=since), Role.DATA_ENGINEER, Quarantined)
    desk.keep("quarantined", done.quarantined)


def _plan(desk: Desk) -> AugmentationPlan:
    plan = AugmentationPlan.model_validate(desk.fact("augmentation_plan")["value"])
    results = desk.results()
    return warrant.within(aimed(plan, desk.cycle, results), desk.cycle.action or Action.RETRAIN, results)


def _version(desk: Desk) -> DatasetMade:
    plan = _plan(desk)
    args = DatasetArgs(name=desk.cycle.id.replace("si_", "aug_"), plan=plan)
    return desk.do("dataset_version", args, Role.DATA_ENGINEER, DatasetMade)


def _manifest(desk: Desk, made: DatasetMade) -> None:
    plan = _plan(desk)
    manifest = DatasetManifest(
        dataset_id=made.ref.name,
        cycle_id=desk.cycle.id,
        created_at=desk.clock.now(),
        source=DatasetSource(
            type="auto_augmentation",
            trigger=desk.contract.signal(desk.cycle.alert.signal).trigger,
            base_documents=made.documents,
        ),
        method="+".join(m.value for m in plan.methods),
        target_tokens=plan.target_tokens,
        statistics=made.statistics,
        dvc=DvcPointer(path=made.ref.path, hash=made.ref.md5, revision=made.ref.revision),
        methods=made.methods,
        provenance=made.provenance,
    )
    desk.write("dataset_manifest.yaml", manifest.model_dump(mode="json"))
