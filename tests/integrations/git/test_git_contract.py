"""The values repository holds to its contract over HTTPS and over SSH."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.vcs.access import GitAccess
from adapters.vcs.base import VcsPort
from domain.permit import PermitOffice
from testbed.servers.githttp import GitHttp
from testbed.servers.ssh import Sshd
from tests.contract.gitremote import Remote, open_vcs
from tests.contract.vcs_contract import Outside, VcsContract


@pytest.mark.integration("git https", "works")
class TestGitOverHttps(VcsContract):
    @pytest.fixture
    def vcs(self, office: PermitOffice, https: GitHttp, token: Callable[..., GitAccess], tmp_path: Path) -> VcsPort:
        return open_vcs(https.url, tmp_path / "clone", office, access=token(https))

    @pytest.fixture
    def outside(self, remote: Remote) -> Outside:
        return remote.push


@pytest.mark.slow
@pytest.mark.integration("git ssh", "works")
class TestGitOverSsh(VcsContract):
    @pytest.fixture
    def vcs(self, office: PermitOffice, sshd: Sshd, remote: Remote, tmp_path: Path) -> VcsPort:
        access = GitAccess(ssh_key=sshd.user_key, known_hosts=sshd.known_hosts)
        return open_vcs(sshd.url(remote.folder), tmp_path / "clone", office, access=access)

    @pytest.fixture
    def outside(self, remote: Remote) -> Outside:
        return remote.push
