"""The trackers hold to their contract."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adapters.tracking.base import TrackingPort
from adapters.tracking.memory import MemoryTracking
from adapters.tracking.mlflow import MlflowTracking
from domain.permit import PermitOffice
from tests.contract.tracking_contract import TrackingContract, digest_of


class TestMemoryTracking(TrackingContract):
    @pytest.fixture
    def tracking(self, office: PermitOffice) -> TrackingPort:
        return MemoryTracking(office, digest_of)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables: making them takes seconds."""
    from mlflow import MlflowClient

    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{database}").search_experiments()
    return database


def _tracking(office: PermitOffice, database: Path) -> MlflowTracking:
    return MlflowTracking(
        uri=f"sqlite:///{database}",
        experiment="reranker",
        permits=office,
        digest_of=digest_of,
        artifacts=(database.parent / "files").as_uri(),
    )


@pytest.mark.xdist_group("mlflow")
class TestMlflowTracking(TrackingContract):
    @pytest.fixture
    def tracking(self, office: PermitOffice, template: Path, tmp_path: Path) -> TrackingPort:
        database = tmp_path / "mlflow.db"
        shutil.copyfile(template, database)
        return _tracking(office, database)
