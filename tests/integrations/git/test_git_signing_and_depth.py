"""Signed commits, and clones that begin with a part of the history."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters.vcs.access import GitAccess
from adapters.vcs.git import GitVcs
from domain.errors import ConfigurationError
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.githttp import GitHttp
from testbed.servers.ssh import write_key
from tests.contract.gitremote import Remote, commit, git, open_vcs, revert
from tests.contract.vcs_contract import CHANGED, VALUES

AUTHOR = ("Crew", "crew@values.test")


@pytest.mark.integration("git https", "works")
@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is missing: apt-get install openssh-client")
def test_commits_are_signed_with_an_ssh_key(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    key, public = write_key(tmp_path / "signing")
    signers = tmp_path / "signers"
    signers.write_text(f"{AUTHOR[1]} {public}\n")
    vcs = open_vcs(remote.folder, tmp_path / "clone", office, access=GitAccess(signing_key=str(key), author=AUTHOR))
    assert "signed (ssh)" in vcs.check()
    revision = commit(vcs, office, CHANGED)
    undone = revert(vcs, office, revision)
    verify = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={signers}", "verify-commit")
    for signed in (revision, undone):
        assert git(remote.folder, *verify, signed) == ""
        assert git(remote.folder, "log", "-1", "--format=%an <%ae>", signed) == "Crew <crew@values.test>"
    assert vcs.history(1)[0].trailers["Evercrew-Reverts"] == revision
    signers.write_text(f"{AUTHOR[1]} {write_key(tmp_path / 'another')[1]}\n")
    with pytest.raises(subprocess.CalledProcessError):
        git(remote.folder, *verify, revision)


@pytest.fixture
def gpg_home() -> Iterator[Path]:
    """A key ring of its own; its path must be short, for the socket of the agent in it."""
    if shutil.which("gpg") is None:
        pytest.skip("gpg is missing: apt-get install gnupg")
    home = Path(tempfile.mkdtemp(prefix="gpg-"))
    command = ["gpg", "--homedir", str(home), "--batch", "--passphrase", "", "--quick-gen-key", AUTHOR[1], "ed25519"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        if made.returncode != 0:
            pytest.skip(f"gpg makes no key here: {made.stderr[-200:]}")
        yield home
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.integration("git https", "works")
def test_commits_are_signed_with_a_gpg_key(
    remote: Remote, office: PermitOffice, tmp_path: Path, gpg_home: Path
) -> None:
    vcs = open_vcs(
        remote.folder,
        tmp_path / "clone",
        office,
        access=GitAccess(signing_key=AUTHOR[1], author=AUTHOR),
        environment={"GNUPGHOME": str(gpg_home)},
    )
    revision = commit(vcs, office, CHANGED)
    shown = subprocess.run(
        ["env", f"GNUPGHOME={gpg_home}", "git", "verify-commit", revision],
        cwd=remote.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Good signature" in shown.stderr


@pytest.mark.integration("git https", "misconfigured")
@pytest.mark.parametrize("kind", ["ssh", "gpg"])
def test_a_key_that_cannot_sign_is_named_before_anything_is_pushed(
    remote: Remote, office: PermitOffice, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "broken").write_text("no key\n")
    (tmp_path / "empty").mkdir(mode=0o700)
    signing = str(tmp_path / "broken") if kind == "ssh" else "0123456789ABCDEF"
    home = {"GNUPGHOME": str(tmp_path / "empty")}
    vcs = open_vcs(remote.folder, tmp_path / "clone", office, access=GitAccess(signing_key=signing), environment=home)
    acts: list[Callable[[], str]] = [vcs.check, lambda: commit(vcs, office, CHANGED)]
    for act in acts:
        with pytest.raises(ConfigurationError, match=r"values\.signing_key"):
            act()
    assert vcs.read() == VALUES


def grown(remote: Remote, commits: int = 12) -> list[str]:
    """Push to values and to another file in turn; return the revisions, oldest first."""
    return [
        remote.push(VALUES.replace("users: 10", f"users: {20 + n}") if n % 2 == 0 else None) for n in range(commits)
    ]


def depth_of(clone: Path) -> int:
    return len(git(clone, "rev-list", "refs/remotes/origin/main").splitlines())


@pytest.mark.integration("git https", "works")
def test_a_shallow_clone_reads_with_little_history_and_fetches_more_when_asked(
    remote: Remote, office: PermitOffice, tmp_path: Path
) -> None:
    with GitHttp(remote.folder) as server:
        pushed = grown(remote)
        vcs = open_vcs(server.url, tmp_path / "clone", office, depth=3)
        assert "users: 30" in vcs.read()
        assert depth_of(tmp_path / "clone") == 3
        newer = remote.push(VALUES)
        assert (vcs.head(), depth_of(tmp_path / "clone")) == (newer, 4)
        assert [one.revision for one in vcs.history(1)] == [newer]
        assert depth_of(tmp_path / "clone") == 4
        full = open_vcs(server.url, tmp_path / "full", office).history(20)
        assert vcs.history(20) == full
        assert len(full) == 8
        assert depth_of(tmp_path / "clone") == len(pushed) + 2


@pytest.mark.integration("git https", "works")
def test_a_shallow_clone_never_takes_the_edge_for_the_beginning(
    remote: Remote, office: PermitOffice, tmp_path: Path
) -> None:
    """At the edge a commit seems to have no parent and to bring every file."""
    first = commit(open_vcs(remote.folder, tmp_path / "one", office), office, CHANGED, "k0")
    grown(remote, 1)
    last = remote.push(None)

    def shallow(name: str) -> GitVcs:
        return open_vcs(f"file://{remote.folder}", tmp_path / name, office, depth=1)

    reading = shallow("two")
    assert reading.head() == last
    assert [one.revision for one in reading.history(1)] != [last]
    found = shallow("three")
    assert found.observe("k0").outcome == {"revision": first}
    assert found.observe("k9").seen is Seen.ABSENT
    older = shallow("four")
    assert older.read(first) == CHANGED
    reverting = shallow("five")
    touched = open_vcs(remote.folder, tmp_path / "six", office).history(1)[0].revision
    assert reverting.rehearse_revert(touched) == CHANGED
    assert commit(shallow("seven"), office, VALUES, "k0") == first
