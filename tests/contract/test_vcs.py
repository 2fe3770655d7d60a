"""The values repositories hold to their contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.vcs.base import VcsPort
from adapters.vcs.git import GitVcs
from adapters.vcs.memory import MemoryVcs
from domain.clock import FrozenClock, SystemClock
from domain.permit import PermitOffice
from tests.contract.gitremote import Remote
from tests.contract.vcs_contract import VALUES, Outside, VcsContract


class TestMemoryVcs(VcsContract):
    @pytest.fixture
    def vcs(self, office: PermitOffice) -> VcsPort:
        return MemoryVcs(text=VALUES, permits=office, clock=FrozenClock())

    @pytest.fixture
    def outside(self, vcs: VcsPort) -> Outside:
        assert isinstance(vcs, MemoryVcs)
        return vcs.push_from_outside


class TestGitVcs(VcsContract):
    @pytest.fixture
    def remote(self, tmp_path: Path) -> Remote:
        return Remote(tmp_path, VALUES)

    @pytest.fixture
    def vcs(self, office: PermitOffice, remote: Remote, tmp_path: Path) -> VcsPort:
        return GitVcs(
            remote=str(remote.folder),
            branch="main",
            path="values.yaml",
            folder=tmp_path / "clone",
            permits=office,
            clock=SystemClock(),
        )

    @pytest.fixture
    def outside(self, remote: Remote) -> Outside:
        return remote.push
