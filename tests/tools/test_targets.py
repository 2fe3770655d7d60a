"""The plan's target picks what is trained, and under which name it is registered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.tracking.memory import MemoryTracking
from adapters.training.memory import MemoryTraining
from adapters.training.targets import TARGETS, classifier
from adapters.training.targets.bundle import bundle_digest, digest_by
from cycles.desk import CallFailed, Desk
from domain.actor import Role
from domain.diagnosis import Action
from domain.plan import TrainingPlan
from evals.simulated_jobs import TRAIN, digest_of, train
from service.sections import JobsConfig
from service.toolbox import target_jobs
from tests.support.office import office_in_memory
from tests.support.setting import MODEL, alert_of
from tests.tools.test_every_tool import PLAN
from tools.data.dataset import DatasetMade
from tools.model.train import Registered, Trained


def made(folder: Path) -> tuple[Desk, DatasetMade]:
    def change(ports: Any) -> Any:
        entries = {TRAIN: train, TARGETS["classifier"].train: classifier.train}
        permits, clock = ports.training._permits, ports.training._clock
        training = MemoryTraining(entries=entries, folder=folder / "training", permits=permits, clock=clock)
        assert isinstance(ports.tracking, MemoryTracking)
        ports.tracking._digest_of = digest_by(digest_of)
        return replace(ports, training=training)

    rig = office_in_memory(folder, Action.RETRAIN, change=change)
    desk = rig.desk(rig.open(alert_of(Action.RETRAIN, rig.clock)))
    return desk, desk.do("dataset_version", {"name": "first", "plan": PLAN}, Role.DATA_ENGINEER, DatasetMade)


def test_a_target_is_trained_by_its_own_entry_and_registered_under_its_name(tmp_path: Path) -> None:
    desk, dataset = made(tmp_path)
    plan = TrainingPlan(target="classifier", rationale="sort new documents")
    trained = desk.do("train_model", {"dataset": dataset.ref, "plan": plan}, Role.ML_ENGINEER, Trained)
    assert "valid_macro_f1" in trained.metrics
    args = {
        "training_key": trained.key,
        "digest": trained.digest,
        "dataset": dataset.ref,
        "plan": plan,
        "alert_fingerprint": "f",
    }
    registered = desk.do("register_candidate", args, Role.ML_ENGINEER, Registered)
    assert (registered.model.name, registered.model.digest) == ("classifier", trained.digest)
    assert bundle_digest(tmp_path / "training" / trained.key / "bundle") == trained.digest


def test_a_target_nobody_knows_is_refused_with_those_there_are(tmp_path: Path) -> None:
    desk, dataset = made(tmp_path)
    plan = TrainingPlan(target="poems", rationale="why not")
    with pytest.raises(CallFailed, match=r"plan\.target: 'poems' is no target.*classifier.*reranker.*summariser"):
        desk.do("train_model", {"dataset": dataset.ref, "plan": plan}, Role.ML_ENGINEER, Trained)


def test_the_configuration_puts_another_entry_in_the_place_of_a_target() -> None:
    jobs = target_jobs(JobsConfig(targets={"classifier": "own.jobs:train", "poems": "own.poems:train"}))
    assert jobs["classifier"].entry == "own.jobs:train"
    assert jobs["poems"].entry == "own.poems:train"
    assert jobs["summariser"].entry == TARGETS["summariser"].train
    assert MODEL not in jobs
