"""Somebody pushes in the very moment we do: after our last look, before the server takes ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from adapters.vcs.access import GitAccess
from domain.errors import ConflictError
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.githttp import GitHttp
from tests.contract.gitremote import Remote, commit, git, open_vcs, revert
from tests.contract.vcs_contract import CHANGED, VALUES
from tests.integrations.git.conftest import USERS


class Racing(GitHttp):
    """Lets others push first, one at each of our pushes."""

    def __init__(self, repository: Path) -> None:
        super().__init__(repository, users=USERS, tls=True)
        self.others: list[Callable[[], object]] = []
        self.pushes = 0

    def answer(self, environment: Mapping[str, str], body: bytes, *, writes: bool) -> bytes:
        if writes and environment["REQUEST_METHOD"] == "POST":
            self.pushes += 1
            if self.others:
                self.others.pop(0)()
        return super().answer(environment, body, writes=writes)


@pytest.fixture
def racing(remote: Remote) -> Iterator[Racing]:
    with Racing(remote.folder) as server:
        yield server


Access = Callable[..., GitAccess]


@pytest.mark.integration("git https", "works")
def test_a_lost_race_over_another_file_is_built_anew(
    racing: Racing, remote: Remote, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(racing.url, tmp_path / "clone", office, access=token(racing))
    racing.others = [lambda: remote.push(None)] * 2
    revision = commit(vcs, office, CHANGED)
    assert (vcs.head(), vcs.read(), racing.pushes) == (revision, CHANGED, 3)
    messages = git(remote.folder, "log", "--format=%s", "main").splitlines()
    assert messages == ["change the model", *(f"change {n} by somebody" for n in (3, 2, 1))]


@pytest.mark.integration("git https", "works")
def test_a_lost_race_over_the_file_is_a_conflict(
    racing: Racing, remote: Remote, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(racing.url, tmp_path / "clone", office, access=token(racing))
    theirs = VALUES.replace("users: 10", "users: 99")
    racing.others = [lambda: remote.push(theirs)]
    with pytest.raises(ConflictError, match="read it again"):
        commit(vcs, office, CHANGED)
    assert (vcs.read(), racing.pushes, vcs.observe("k1").seen) == (theirs, 1, Seen.ABSENT)


@pytest.mark.integration("git https", "works")
def test_a_lost_race_of_a_revert_keeps_what_the_other_changed(
    racing: Racing, remote: Remote, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(racing.url, tmp_path / "clone", office, access=token(racing))
    revision = commit(vcs, office, CHANGED)
    racing.others = [lambda: remote.push(CHANGED.replace("mode: balanced", "mode: fast"))]
    revert(vcs, office, revision)
    assert vcs.read() == VALUES.replace("mode: balanced", "mode: fast")


@pytest.mark.integration("git https", "refused")
def test_a_race_lost_again_and_again_ends(
    racing: Racing, remote: Remote, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(racing.url, tmp_path / "clone", office, access=token(racing))
    racing.others = [lambda: remote.push(None)] * 20
    with pytest.raises(ConflictError, match="moved 6 times"):
        commit(vcs, office, CHANGED)
    assert (racing.pushes, vcs.observe("k1").seen) == (6, Seen.ABSENT)
