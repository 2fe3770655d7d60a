"""What only the values repository in git has to cope with: processes that die, remotes that are away, other writers."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.vcs.access import GitAccess
from adapters.vcs.base import EFFECT_COMMIT, EFFECT_REVERT
from domain.clock import FrozenClock
from domain.errors import (
    ConfigurationError,
    ConflictError,
    DependencyError,
    DependencyTimeout,
    DependencyUnavailable,
    InvalidInput,
)
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.gitremote import Remote, commit, git
from tests.contract.gitremote import open_vcs as open_repository
from tests.contract.permits import CYCLE, permit_for
from tests.contract.vcs_contract import CHANGED, VALUES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def office() -> PermitOffice:
    return PermitOffice(FrozenClock())


@pytest.fixture
def remote(tmp_path: Path) -> Remote:
    return Remote(tmp_path, VALUES, path="deploy/values.yaml")


open_vcs = partial(open_repository, path="deploy/values.yaml")


def test_a_commit_leaves_other_files_alone_and_names_its_author(
    remote: Remote, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(remote.folder, tmp_path / "clone", office)
    revision = commit(vcs, office, CHANGED)
    files = git(remote.folder, "ls-tree", "-r", "--name-only", revision).splitlines()
    assert files == ["README", "deploy/values.yaml"]
    assert git(remote.folder, "log", "-1", "--format=%an <%ae>|%cn", revision) == (
        "Evercrew <evercrew@localhost>|Evercrew"
    )


def test_a_fresh_clone_finds_what_a_lost_one_pushed(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    revision = commit(open_vcs(remote.folder, tmp_path / "one", office), office, CHANGED)
    other = open_vcs(remote.folder, tmp_path / "two", office)
    assert other.observe("k1").outcome == {"revision": revision}
    assert commit(other, office, CHANGED + "# again\n") == revision


def test_a_process_killed_right_after_its_push_is_found(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    """The remote's own hook kills the pushing process once the branch has moved."""
    hook = remote.folder / "hooks" / "post-update"
    pid_file = tmp_path / "pid"
    hook.write_text(f"#!/bin/sh\nkill -9 $(cat {pid_file})\n")
    hook.chmod(0o755)
    script = f"""
        import os, sys
        from datetime import timedelta
        from pathlib import Path
        from adapters.vcs.base import EFFECT_COMMIT
        from adapters.vcs.git import GitVcs
        from domain.clock import FrozenClock, SystemClock
        from domain.permit import PermitOffice
        from tests.contract.permits import CYCLE, permit_for
        Path({str(pid_file)!r}).write_text(str(os.getpid()))
        office = PermitOffice(FrozenClock())
        vcs = GitVcs(remote={str(remote.folder)!r}, branch="main", path="deploy/values.yaml",
                     folder=Path({str(tmp_path / "killed")!r}), permits=office, clock=SystemClock())
        vcs.commit(text={CHANGED!r}, message="m", expected_head=vcs.head(), cycle_id=CYCLE, key="k1",
                   permit=permit_for(office, EFFECT_COMMIT, "k1"))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    hook.unlink()
    vcs = open_vcs(remote.folder, tmp_path / "killed", office)
    seen = vcs.observe("k1")
    assert seen.seen is Seen.DONE
    assert commit(vcs, office, CHANGED) == seen.outcome["revision"]
    assert [c.trailers.get("Evercrew-Key") for c in vcs.history(10)].count("k1") == 1


@pytest.mark.parametrize(("times", "found"), [(2, True), (50, False)])
def test_a_branch_that_moves_under_a_fetch_is_fetched_again(
    remote: Remote, office: PermitOffice, tmp_path: Path, times: int, found: bool
) -> None:
    """What a killed process had begun may end later; its last act moves the ref of the clone."""
    vcs = open_vcs(remote.folder, tmp_path / "clone", office)
    vcs.head()
    hook, tries = tmp_path / "clone" / "hooks" / "reference-transaction", tmp_path / "tries"
    tries.touch()
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\n[ $1 = prepared ] && [ $(wc -l < {tries}) -lt {times} ] || exit 0\n"
        f"echo >> {tries}\necho cannot lock ref >&2\nexit 1\n"
    )
    hook.chmod(0o755)
    moved = remote.push(CHANGED)
    if found:
        assert vcs.head() == moved
    else:
        with pytest.raises(DependencyUnavailable, match="cannot lock ref"):
            vcs.head()


def test_locks_and_halves_of_a_killed_clone_do_not_matter(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    vcs = open_vcs(remote.folder, folder, office)
    vcs.head()
    (folder / "refs" / "remotes" / "origin" / "main.lock").touch()
    assert commit(open_vcs(remote.folder, folder, office), office, CHANGED)
    (folder / "HEAD").unlink()
    assert open_vcs(remote.folder, folder, office).read() == CHANGED


def test_two_writers_at_once_both_get_through_or_one_is_told(
    remote: Remote, office: PermitOffice, tmp_path: Path
) -> None:
    writers = [open_vcs(remote.folder, tmp_path / name, office) for name in ("one", "two")]
    head = writers[0].head()
    results: list[str] = []

    def write(number: int) -> None:
        text = VALUES.replace("users: 10", f"users: {20 + number}")
        try:
            results.append(commit(writers[number], office, text, f"k{number}", head))
        except ConflictError:
            results.append("conflict")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result == "conflict" for result in results) == [False, True]
    assert writers[0].head() in results


def test_one_clone_serves_several_threads(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    vcs = open_vcs(remote.folder, tmp_path / "clone", office)
    texts: list[str] = []
    threads = [threading.Thread(target=lambda: texts.append(vcs.read())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == [VALUES] * 4


def test_a_refused_push_changes_nothing_and_says_why(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    hook = remote.folder / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho the branch is protected >&2\nexit 1\n")
    hook.chmod(0o755)
    vcs = open_vcs(remote.folder, tmp_path / "clone", office)
    head = vcs.head()
    with pytest.raises(DependencyUnavailable, match="the branch is protected"):
        commit(vcs, office, CHANGED)
    assert vcs.head() == head
    assert vcs.observe("k1").seen is Seen.ABSENT


def test_a_push_that_hangs_is_killed_and_looked_up(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    hook = remote.folder / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexec sleep 60\n")
    hook.chmod(0o755)
    vcs = open_vcs(remote.folder, tmp_path / "clone", office, seconds=5)
    with pytest.raises(DependencyTimeout, match="nothing was pushed"):
        commit(vcs, office, CHANGED)
    assert vcs.observe("k1").seen is Seen.ABSENT


def test_a_remote_that_is_away_is_named(office: PermitOffice, tmp_path: Path) -> None:
    vcs = open_vcs("http://127.0.0.1:1/x.git", tmp_path / "clone", office)
    with pytest.raises(DependencyUnavailable, match=r"127\.0\.0\.1:1/x\.git"):
        vcs.head()
    with pytest.raises(DependencyError):
        vcs.observe("k1")


def test_a_branch_that_is_not_there_is_a_configuration_error(
    remote: Remote, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(remote.folder, tmp_path / "clone", office, branch="release")
    with pytest.raises(ConfigurationError, match="release"):
        vcs.head()


@pytest.mark.parametrize(
    ("branch", "path", "depth"),
    [("--all", "v.yaml", 0), ("main", "/etc/passwd", 0), ("main", "a/../../b", 0), ("main", "v.yaml", -1)],
)
def test_a_setting_that_cannot_be_is_refused_at_once(
    office: PermitOffice, tmp_path: Path, branch: str, path: str, depth: int
) -> None:
    with pytest.raises(ConfigurationError, match="values"):
        open_repository("x", tmp_path, office, branch=branch, path=path, depth=depth)


def test_a_key_with_a_line_break_cannot_forge_a_trailer(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    vcs = open_vcs(remote.folder, tmp_path / "clone", office)
    with pytest.raises(InvalidInput, match="Evercrew-Key"):
        commit(vcs, office, CHANGED, key="k1\nEvercrew-Key: other")


def test_a_key_in_somebody_elses_text_is_not_ours(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    vcs = open_vcs(remote.folder, tmp_path / "clone", office)
    vcs.commit(
        text=CHANGED,
        message="about Evercrew-Key: forged\n\nEvercrew-Key: forged\n\nmore words",
        expected_head=vcs.head(),
        cycle_id=CYCLE,
        key="k1",
        permit=permit_for(office, EFFECT_COMMIT, "k1"),
    )
    assert vcs.observe("forged").seen is Seen.ABSENT
    assert vcs.observe("k1").seen is Seen.DONE


def test_a_rewritten_branch_is_a_conflict(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    vcs = open_vcs(remote.folder, tmp_path / "clone", office)
    first = vcs.head()
    second = remote.push(CHANGED)
    vcs.head()
    git(remote.folder, "update-ref", "refs/heads/main", first)
    with pytest.raises(ConflictError, match="rewritten"):
        commit(vcs, office, CHANGED, head=second)


def test_a_first_commit_cannot_be_reverted(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    vcs = open_vcs(remote.folder, tmp_path / "clone", office)
    with pytest.raises(InvalidInput, match="parents"):
        vcs.rehearse_revert(vcs.head())


def test_a_revert_waits_for_no_work_tree(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    vcs = open_vcs(remote.folder, tmp_path / "clone", office)
    revision = commit(vcs, office, CHANGED)
    permit = permit_for(office, EFFECT_REVERT, "k2")
    vcs.revert(revision=revision, message="put it back", cycle_id=CYCLE, key="k2", permit=permit)
    assert vcs.read() == VALUES
    assert not (tmp_path / "clone" / "deploy").exists()


def test_settings_of_the_environment_reach_git(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    vcs = open_vcs(remote.folder, tmp_path / "clone", office, environment={"GIT_TRACE": str(tmp_path / "trace")})
    assert vcs.head()
    assert "fetch" in (tmp_path / "trace").read_text()


def test_a_commit_carries_how_the_audit_chain_stands(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    said = iter(["7:0123456789abcdef", ""])
    vcs = open_vcs(remote.folder, tmp_path / "clone", office, anchor=lambda: next(said))
    first = commit(vcs, office, CHANGED)
    permit = permit_for(office, EFFECT_REVERT, "k2")
    vcs.revert(revision=first, message="put it back", cycle_id=CYCLE, key="k2", permit=permit)
    later, earlier = vcs.history(2)
    assert earlier.trailers["Evercrew-Audit"] == "7:0123456789abcdef"
    assert "Evercrew-Audit" not in later.trailers


def test_what_was_pushed_over_is_no_part_of_the_branch(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    vcs = open_vcs(remote.folder, tmp_path / "clone", office)
    first = vcs.head()
    revision = commit(vcs, office, CHANGED)
    assert (vcs.contains(first), vcs.contains(revision)) == (True, True)
    git(remote.folder, "update-ref", "refs/heads/main", first)
    assert (vcs.contains(first), vcs.contains(revision)) == (True, False)


def test_a_clone_of_another_remote_is_made_anew(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    """The configuration names another repository, and the state folder is kept."""
    folder = tmp_path / "clone"
    old = open_vcs(remote.folder, folder, office).head()
    (tmp_path / "moved").mkdir()
    moved = Remote(tmp_path / "moved", CHANGED, path="deploy/values.yaml")
    vcs = open_vcs(moved.folder, folder, office)
    assert vcs.read() == CHANGED
    assert vcs.head() != old
    assert "deploy/values.yaml parses" in vcs.check()


def test_a_token_is_handed_to_https_alone(remote: Remote, office: PermitOffice, tmp_path: Path) -> None:
    """A hook of a remote on the same machine runs in the environment of the push."""
    seen = tmp_path / "seen"
    hook = remote.folder / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\nenv > {seen}\n")
    hook.chmod(0o755)
    access = GitAccess(username="crew", token=SecretStr("hunter2"))
    assert commit(open_vcs(remote.folder, tmp_path / "clone", office, access=access), office, CHANGED)
    assert "hunter2" not in seen.read_text()
    assert "hunter2" in access.environment("https://git.test/x.git").values()
    assert "hunter2" not in str(access.environment("ssh://git@git.test/x.git"))
