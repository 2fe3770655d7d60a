"""What runs training jobs holds to the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.training.base import TrainingPort
from adapters.training.memory import Entry, MemoryTraining
from adapters.training.worker import WorkerTraining
from domain.clock import SystemClock
from domain.permit import PermitOffice
from tests.contract import toy_jobs
from tests.contract.training_contract import JOBS, TrainingContract
from tests.contract.workers import worker


class TestMemoryTraining(TrainingContract):
    @pytest.fixture
    def training(self, office: PermitOffice, tmp_path: Path) -> TrainingPort:
        entries: dict[str, Entry] = {
            f"{JOBS}:add": toy_jobs.add,
            f"{JOBS}:fail": toy_jobs.fail,
            f"{JOBS}:not_json": toy_jobs.not_json,
            f"{JOBS}:not_an_object": toy_jobs.not_an_object,
        }
        return MemoryTraining(entries=entries, folder=tmp_path / "results", permits=office, clock=SystemClock())


class TestWorkerTraining(TrainingContract):
    @pytest.fixture
    def training(self, office: PermitOffice, tmp_path: Path) -> TrainingPort:
        return WorkerTraining(folder=tmp_path / "results", worker=worker(), permits=office, clock=SystemClock())


class TestConfinedTraining(TrainingContract):
    """The same in bubblewrap, where it is installed."""

    @pytest.fixture
    def training(self, office: PermitOffice, tmp_path: Path) -> TrainingPort:
        return WorkerTraining(
            folder=tmp_path / "results", worker=worker(confined=True), permits=office, clock=SystemClock()
        )
