"""The dataset stores hold to their contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.datasets.base import DatasetsPort
from adapters.datasets.dvc import DvcDatasets
from adapters.datasets.dvc_content import object_path
from adapters.datasets.memory import MemoryDatasets
from domain.clock import SystemClock
from domain.permit import PermitOffice
from tests.contract.datasets_contract import Damage, DatasetsContract


class TestMemoryDatasets(DatasetsContract):
    @pytest.fixture
    def datasets(self, office: PermitOffice) -> DatasetsPort:
        return MemoryDatasets(office)

    @pytest.fixture
    def damage(self, datasets: DatasetsPort) -> Damage:
        assert isinstance(datasets, MemoryDatasets)
        objects = datasets.objects

        def change(address: str, data: bytes | None) -> None:
            objects.pop(address, None)
            if data is not None:
                objects[address] = data

        return change


class TestDvcDatasets(DatasetsContract):
    @pytest.fixture
    def datasets(self, office: PermitOffice, tmp_path: Path) -> DatasetsPort:
        (tmp_path / "remote").mkdir()
        return DvcDatasets(
            folder=tmp_path / "repository", remote=str(tmp_path / "remote"), permits=office, clock=SystemClock()
        )

    @pytest.fixture
    def damage(self, tmp_path: Path) -> Damage:
        def change(address: str, data: bytes | None) -> None:
            place = object_path(tmp_path / "remote", address)
            place.unlink(missing_ok=True)
            if data is not None:
                place.write_bytes(data)

        return change
