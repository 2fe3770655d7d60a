"""Git over HTTPS when it does not go well: who may not, what is slow, what lies, what is configured wrongly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.vcs.access import GitAccess
from adapters.vcs.git_failures import AccessRefused, ProtectedBranch
from domain.errors import (
    ConfigurationError,
    ConflictError,
    DependencyError,
    DependencyLied,
    DependencyTimeout,
    DependencyUnavailable,
    OutcomeUnknown,
)
from domain.observation import Seen
from domain.permit import PermitOffice
from testbed.servers.githttp import Fault, GitHttp
from tests.contract.gitremote import Remote, commit, git, open_vcs
from tests.contract.vcs_contract import CHANGED, VALUES
from tests.integrations.git.conftest import USERS

NAME = "git https"
Access = Callable[..., GitAccess]


def hook(remote: Remote, name: str, body: str) -> None:
    file = remote.folder / "hooks" / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)


@pytest.mark.integration(NAME, "works")
def test_the_token_is_nowhere_but_in_the_environment(
    https: GitHttp, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    environment = {"GIT_TRACE": str(trace), "GIT_TRACE_CURL": str(tmp_path / "curl")}
    access = token(https)
    vcs = open_vcs(https.url, tmp_path / "clone", office, access=access, environment=environment)
    assert commit(vcs, office, CHANGED)
    secret = USERS["evercrew"]
    assert secret not in repr(access)
    assert secret not in trace.read_text()
    assert "git push" in trace.read_text()
    kept = [file for file in (tmp_path / "clone").rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
    assert kept == []
    assert secret not in (tmp_path / "curl").read_text()


@pytest.mark.integration(NAME, "works")
def test_a_helper_the_operator_names_is_asked(https: GitHttp, office: PermitOffice, tmp_path: Path) -> None:
    helper = f'!f() {{ echo username=evercrew; echo "password=$(cat {tmp_path}/secret)"; }}; f'
    (tmp_path / "secret").write_text(USERS["evercrew"])
    vcs = open_vcs(https.url, tmp_path / "clone", office, access=GitAccess(ca=https.ca, credential_helper=helper))
    assert commit(vcs, office, CHANGED) == vcs.head()


@pytest.mark.integration(NAME, "works")
def test_a_server_that_asks_for_a_certificate_gets_ours(
    remote: Remote, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    with GitHttp(remote.folder, users=USERS, tls=True, client_certificates=True) as server:
        cert, key = server.client
        vcs = open_vcs(server.url, tmp_path / "clone", office, access=token(server, cert=cert, key=key))
        assert "parses" in vcs.check()
        without = open_vcs(server.url, tmp_path / "other", office, access=token(server))
        with pytest.raises(DependencyError, match=r"values\.cert|broke off"):
            without.check()


@pytest.mark.integration(NAME, "works")
def test_who_may_push_to_a_protected_branch_does(
    remote: Remote, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    with GitHttp(remote.folder, users=USERS, tls=True, protected={"main": ["evercrew"]}) as server:
        vcs = open_vcs(server.url, tmp_path / "one", office, access=token(server))
        revision = commit(vcs, office, CHANGED)
        assert vcs.head() == revision
        other = open_vcs(server.url, tmp_path / "two", office, access=token(server, "reader"))
        with pytest.raises(ProtectedBranch, match="the branch main is protected"):
            commit(other, office, VALUES, "k2")


@pytest.mark.integration(NAME, "refused")
def test_a_protected_branch_says_what_to_do_and_is_asked_once(
    remote: Remote, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    with GitHttp(remote.folder, users=USERS, tls=True, protected={"main": []}) as server:
        vcs = open_vcs(server.url, tmp_path / "clone", office, access=token(server))
        head = vcs.head()
        with pytest.raises(ProtectedBranch, match="nothing was pushed") as caught:
            commit(vcs, office, CHANGED)
        pushes = [line for line in server.requests if line.startswith("POST") and "git-receive-pack" in line]
    assert "values.mode to pull_request" in caught.value.remedy
    assert len(pushes) == 1
    assert git(remote.folder, "rev-parse", "main") == head


@pytest.mark.integration(NAME, "refused")
@pytest.mark.parametrize("password", ["wrong", ""])
def test_wrong_credentials_are_named_and_not_shown(
    https: GitHttp, token: Access, office: PermitOffice, tmp_path: Path, password: str
) -> None:
    vcs = open_vcs(https.url, tmp_path / "clone", office, access=token(https, password=password))
    acts: list[Callable[[], str]] = [vcs.check, lambda: commit(vcs, office, CHANGED, head="0" * 40)]
    for act in acts:
        with pytest.raises(AccessRefused, match="EVERCREW_VALUES_TOKEN") as caught:
            act()
        assert "wrong" not in str(caught.value)


@pytest.mark.integration(NAME, "refused")
def test_no_credentials_at_all_are_named(https: GitHttp, office: PermitOffice, tmp_path: Path) -> None:
    with pytest.raises(AccessRefused, match="EVERCREW_VALUES_TOKEN"):
        open_vcs(https.url, tmp_path / "clone", office, access=GitAccess(ca=https.ca)).check()


@pytest.mark.integration(NAME, "refused")
def test_a_reader_is_told_before_it_pushes_and_when_it_does(
    https: GitHttp, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(https.url, tmp_path / "clone", office, access=token(https, "reader"))
    assert vcs.read() == VALUES
    with pytest.raises(AccessRefused, match="Grant this identity the right"):
        vcs.check()
    with pytest.raises(AccessRefused, match="nothing was pushed"):
        commit(vcs, office, CHANGED)
    assert vcs.observe("k1").seen is Seen.ABSENT


@pytest.mark.integration(NAME, "refused")
def test_nobody_listening_and_a_server_that_is_down_are_told_apart(
    https: GitHttp, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    away = open_vcs("https://127.0.0.1:1/x.git", tmp_path / "away", office, access=token(https))
    with pytest.raises(DependencyUnavailable, match="nothing accepts a connection"):
        away.check()
    vcs = open_vcs(https.url, tmp_path / "clone", office, access=token(https))
    https.fault = Fault.REFUSE
    with pytest.raises(DependencyUnavailable, match="error: 503"):
        vcs.check()
    https.fault = Fault.NONE
    assert "parses" in vcs.check()


@pytest.mark.integration(NAME, "slow")
def test_a_server_that_does_not_answer_is_given_up(
    https: GitHttp, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(https.url, tmp_path / "clone", office, access=token(https), seconds=1.5)
    https.fault = Fault.SLOW
    with pytest.raises(DependencyTimeout, match=r"1\.5 s"):
        vcs.check()


@pytest.mark.integration(NAME, "slow")
def test_a_black_hole_is_given_up(
    silent: int, https: GitHttp, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(f"https://127.0.0.1:{silent}/x.git", tmp_path / "clone", office, access=token(https), seconds=1)
    with pytest.raises(DependencyTimeout, match=r"127\.0\.0\.1"):
        vcs.head()


@pytest.mark.integration(NAME, "slow")
def test_a_push_that_hangs_is_looked_up(
    https: GitHttp, remote: Remote, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(https.url, tmp_path / "clone", office, access=token(https), seconds=5)
    head = vcs.head()
    hook(remote, "pre-receive", "exec sleep 30 >/dev/null 2>&1")
    with pytest.raises(DependencyTimeout, match="nothing was pushed"):
        commit(vcs, office, CHANGED, head=head)


@pytest.mark.integration(NAME, "lying")
def test_an_answer_that_is_not_git_is_recognised(
    https: GitHttp, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(https.url, tmp_path / "clone", office, access=token(https))
    https.fault = Fault.NOT_GIT
    with pytest.raises(DependencyLied, match="does not speak git"):
        vcs.check()


@pytest.mark.integration(NAME, "lying")
def test_a_push_that_the_branch_does_not_show_is_no_success(
    https: GitHttp, remote: Remote, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    """An old copy answers the reads: the push went to the real repository, and must not be made twice."""
    vcs = open_vcs(https.url, tmp_path / "clone", office, access=token(https))
    head = vcs.head()
    https.freeze()
    with pytest.raises(OutcomeUnknown, match="old copy"):
        commit(vcs, office, CHANGED)
    assert vcs.head() == head
    # Within one second git makes the very same commit again, and its push is acknowledged as one that is there.
    with pytest.raises((ConflictError, OutcomeUnknown)):
        commit(vcs, office, CHANGED)
    https.thaw()
    seen = vcs.observe("k1")
    assert seen.outcome == {"revision": git(remote.folder, "rev-parse", "main")}
    assert git(remote.folder, "rev-list", "--count", f"{head}..main") == "1"
    assert commit(vcs, office, CHANGED) == seen.outcome["revision"]


@pytest.mark.integration(NAME, "lying")
def test_a_branch_that_was_rewritten_is_a_conflict(
    https: GitHttp, remote: Remote, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    vcs = open_vcs(https.url, tmp_path / "clone", office, access=token(https))
    first, second = vcs.head(), remote.push(CHANGED)
    assert vcs.head() == second
    git(remote.folder, "update-ref", "refs/heads/main", first)
    with pytest.raises(ConflictError, match="rewritten"):
        commit(vcs, office, CHANGED, head=second)


@pytest.mark.integration(NAME, "misconfigured")
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://crew:hunter2@git.test/x.git", "EVERCREW_VALUES_TOKEN"),
        ("https://hunter2@git.test/x.git", r"values\.username"),
        ("ssh://git:hunter2@git.test/x.git", "carries a password"),
        ("ext::sh -c hunter2", "helper program"),
        ("ftp://git.test/x.git", "scheme"),
        ("--upload-pack=hunter2", "not an address"),
        ("", "not an address"),
    ],
)
def test_an_address_with_a_secret_or_a_trick_is_refused(
    office: PermitOffice, tmp_path: Path, address: str, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        open_vcs(address, tmp_path / "clone", office)
    assert caught.value.field == "values.remote"
    assert "hunter2" not in str(caught.value) or address.startswith("--")


@pytest.mark.integration(NAME, "misconfigured")
def test_a_certificate_nobody_vouches_for_is_named(https: GitHttp, office: PermitOffice, tmp_path: Path) -> None:
    access = GitAccess(token=SecretStr(USERS["evercrew"]))
    with pytest.raises(AccessRefused, match=r"values\.ca"):
        open_vcs(https.url, tmp_path / "clone", office, access=access).check()


@pytest.mark.integration(NAME, "misconfigured")
def test_what_is_missing_is_named(https: GitHttp, token: Access, office: PermitOffice, tmp_path: Path) -> None:
    access = token(https)
    elsewhere = https.url.replace("remote.git", "other.git")
    with pytest.raises(AccessRefused, match="no such repository"):
        open_vcs(elsewhere, tmp_path / "one", office, access=access).check()
    with pytest.raises(ConfigurationError, match=r"no branch 'release'.*it has: main"):
        open_vcs(https.url, tmp_path / "two", office, access=access, branch="release").check()
    with pytest.raises(DependencyLied, match=r"no values/prod\.yaml.*values\.path"):
        open_vcs(https.url, tmp_path / "three", office, access=access, path="values/prod.yaml").check()


@pytest.mark.integration(NAME, "misconfigured")
def test_a_repository_without_a_commit_is_named(office: PermitOffice, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    with GitHttp(tmp_path / "empty.git") as server, pytest.raises(ConfigurationError, match="no branch at all"):
        open_vcs(server.url, tmp_path / "clone", office).check()


@pytest.mark.integration(NAME, "misconfigured")
@pytest.mark.parametrize(
    ("access", "field"),
    [
        (GitAccess(ca=Path("nowhere.pem")), "values.ca"),
        (GitAccess(ssh_key=Path("nowhere")), "values.ssh_key"),
        (GitAccess(signing_key="/nowhere/key"), "values.signing_key"),
        (GitAccess(token=SecretStr("a"), credential_helper="store"), "values.credential_helper"),
        (GitAccess(cert=Path(__file__)), "values.cert"),
    ],
)
def test_a_file_that_is_not_there_is_named(
    remote: Remote, office: PermitOffice, tmp_path: Path, access: GitAccess, field: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_vcs(remote.folder, tmp_path / "clone", office, access=access).check()
    assert caught.value.field == field


@pytest.mark.integration(NAME, "misconfigured")
def test_a_file_that_is_no_certificate_is_named(
    https: GitHttp, token: Access, office: PermitOffice, tmp_path: Path
) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate\n")
    access = token(https, ca=tmp_path / "ca.pem")
    with pytest.raises(AccessRefused, match=r"values\.ca"):
        open_vcs(https.url, tmp_path / "clone", office, access=access).check()
