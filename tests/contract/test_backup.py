"""The object stores that need no server hold to their contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.backup.base import ObjectsPort
from adapters.backup.local import LocalObjects
from adapters.backup.memory import MemoryObjects
from domain.errors import DependencyUnavailable
from tests.contract.backup_contract import ObjectsContract


class TestMemoryObjects(ObjectsContract):
    @pytest.fixture
    def objects(self) -> ObjectsPort:
        return MemoryObjects()


class TestLocalObjects(ObjectsContract):
    @pytest.fixture
    def objects(self, tmp_path_factory: pytest.TempPathFactory) -> ObjectsPort:
        return LocalObjects(tmp_path_factory.mktemp("objects"))


def test_a_file_where_the_folder_should_be_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DependencyUnavailable, match=r"taken.*Mend backup\.to"):
        LocalObjects(tmp_path / "taken").check()
