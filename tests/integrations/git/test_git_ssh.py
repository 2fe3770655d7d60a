"""Git over SSH: one round trip, and every way it is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adapters.vcs.access import GitAccess
from adapters.vcs.git import GitVcs
from adapters.vcs.git_failures import AccessRefused
from domain.errors import DependencyError, DependencyTimeout, DependencyUnavailable
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.ssh import Sshd
from tests.contract.gitremote import Remote, commit, git, open_vcs, revert
from tests.contract.vcs_contract import CHANGED, VALUES

NAME = "git ssh"


def reach(sshd: Sshd, remote: Path, folder: Path, office: PermitOffice, **changed: Path) -> GitVcs:
    fields = {"ssh_key": sshd.user_key, "known_hosts": sshd.known_hosts, **changed}
    access = GitAccess.model_validate(fields)
    return open_vcs(sshd.url(remote), folder, office, access=access)


@pytest.mark.integration(NAME, "works")
def test_a_commit_and_its_revert_go_over_ssh(sshd: Sshd, remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    vcs = reach(sshd, remote.folder, tmp_path / "clone", office)
    assert "a dry run may push" in vcs.check()
    revision = commit(vcs, office, CHANGED)
    assert git(remote.folder, "rev-parse", "main") == revision
    revert(vcs, office, revision)
    assert vcs.read() == VALUES


@pytest.mark.integration(NAME, "refused")
def test_a_key_the_server_does_not_know_is_named(
    sshd: Sshd, remote: Remote, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = reach(sshd, remote.folder, tmp_path / "clone", office, ssh_key=sshd.stranger_key)
    with pytest.raises(AccessRefused, match=r"public half of values\.ssh_key"):
        vcs.check()


@pytest.mark.integration(NAME, "refused")
def test_a_key_that_may_read_is_told_so(sshd: Sshd, remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    vcs = reach(sshd, remote.folder, tmp_path / "clone", office, ssh_key=sshd.reader_key)
    assert vcs.read() == VALUES
    with pytest.raises(AccessRefused, match="right to read and write"):
        vcs.check()
    with pytest.raises(AccessRefused, match="nothing was pushed"):
        commit(vcs, office, CHANGED)
    assert vcs.observe("k1").seen is Seen.ABSENT


@pytest.mark.integration(NAME, "refused")
def test_nobody_listening_is_named(sshd: Sshd, office: PermitOffice, tmp_path: Path) -> None:
    access = GitAccess(ssh_key=sshd.user_key, known_hosts=sshd.known_hosts)
    vcs = open_vcs("ssh://git@127.0.0.1:1/x.git", tmp_path / "clone", office, access=access)
    with pytest.raises(DependencyUnavailable, match="nothing accepts a connection"):
        vcs.check()


@pytest.mark.integration(NAME, "slow")
def test_a_server_that_never_greets_is_given_up(sshd: Sshd, silent: int, office: PermitOffice, tmp_path: Path) -> None:
    access = GitAccess(ssh_key=sshd.user_key, known_hosts=sshd.known_hosts)
    vcs = open_vcs(f"ssh://git@127.0.0.1:{silent}/x.git", tmp_path / "clone", office, access=access, seconds=1)
    with pytest.raises(DependencyTimeout, match="took longer than 1 s"):
        vcs.check()


@pytest.mark.integration(NAME, "lying")
@pytest.mark.parametrize("hosts", ["other", "none"])
def test_a_server_with_another_host_key_gets_nothing(
    sshd: Sshd, remote: Remote, office: PermitOffice, tmp_path: Path, hosts: str
) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    known = sshd.other_hosts if hosts == "other" else empty
    vcs = reach(sshd, remote.folder, tmp_path / "clone", office, known_hosts=known)
    with pytest.raises(AccessRefused, match=r"values\.known_hosts"):
        vcs.check()
    assert empty.read_text() == ""


@pytest.mark.integration(NAME, "misconfigured")
def test_a_repository_that_is_not_there_is_named(sshd: Sshd, office: PermitOffice, tmp_path: Path) -> None:
    vcs = reach(sshd, tmp_path / "nothing.git", tmp_path / "clone", office)
    with pytest.raises(AccessRefused, match=r"no such repository.*values\.remote"):
        vcs.check()


@pytest.mark.integration(NAME, "misconfigured")
@pytest.mark.parametrize(("fault", "words"), [("open", "0600"), ("broken", r"values\.ssh_key")])
def test_a_key_file_ssh_does_not_use_is_named(
    sshd: Sshd, remote: Remote, office: PermitOffice, tmp_path: Path, fault: str, words: str
) -> None:
    key = tmp_path / "key with a space"
    shutil.copy(sshd.user_key, key)
    key.chmod(0o644 if fault == "open" else 0o600)
    if fault == "broken":
        key.write_text("not a key\n")
    vcs = reach(sshd, remote.folder, tmp_path / "clone", office, ssh_key=key)
    with pytest.raises(DependencyError, match=words):
        vcs.check()
