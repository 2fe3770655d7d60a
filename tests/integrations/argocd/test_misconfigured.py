"""Each way to set it up wrongly has an answer of its own, with a remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adapters.delivery.argocd_client import PermissionDenied, Unauthenticated
from adapters.delivery.argocd_state import Application, same
from domain.errors import ConfigurationError, DependencyError, DependencyLied, DependencyUnavailable
from testbed.argocd import ArgoCd
from testbed.servers.certificates import Authority
from tests.integrations.argocd.bench import APPLICATION, NOBODY, READER, Bench, endpoint
from tests.integrations.argocd.test_works import wait
from tests.stubs.small_server import Said, SmallServer

pytestmark = pytest.mark.integration("argocd", "misconfigured")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    pytest.importorskip("cryptography", reason="pip install cryptography")
    return Authority(tmp_path / "authority")


@pytest.fixture
def secured(it: Bench, authority: Authority) -> ArgoCd:
    return it.argo(certificate=authority.issue("argocd"))


@pytest.mark.parametrize(
    "answer",
    [
        Said(body=b"<html>Welcome</html>", kind="text/html"),
        Said(body=b'{"hello": "world"}'),
        Said(body=b'["Version"]'),
        Said(status=404, body=b"not here"),
        Said(status=403, body=b"a proxy says no"),
    ],
)
def test_another_product_at_the_address_is_told(it: Bench, answer: Said) -> None:
    with (
        SmallServer(lambda request: answer) as other,
        pytest.raises(DependencyLied, match=r"not Argo CD.*delivery\.url"),
    ):
        it.delivery(other.url).check()


def test_an_address_that_sends_us_on_is_told(it: Bench) -> None:
    moved = SmallServer(lambda request: Said(status=307, body=b"Temporary Redirect"))
    with moved, pytest.raises(DependencyLied, match="https://"):
        it.delivery(moved.url).check()


def test_a_missing_token_is_told_before_anything_is_asked(it: Bench, argo: ArgoCd) -> None:
    with pytest.raises(ConfigurationError, match=r"neither a token nor .*Set EVERCREW_DELIVERY_TOKEN"):
        it.delivery(argo, endpoint=endpoint(argo.url, None)).check()


def test_a_bad_token_is_told(it: Bench, argo: ArgoCd) -> None:
    with pytest.raises(Unauthenticated, match=r"unknown or expired.*EVERCREW_DELIVERY_TOKEN"):
        it.delivery(argo, endpoint=endpoint(argo.url, "old-token")).check()


def test_a_missing_application_is_told_where_the_project_is_named(it: Bench, argo: ArgoCd) -> None:
    with pytest.raises(ConfigurationError, match=r"no application 'search-prod' of project 'default'.*template"):
        it.delivery(argo, application="search-prod", project="default").check()
    with pytest.raises(ConfigurationError, match="no application 'search-staging' of project 'other'"):
        it.delivery(argo, project="other").check()


def test_without_the_project_a_missing_application_may_be_a_missing_right(it: Bench, argo: ArgoCd) -> None:
    with pytest.raises(PermissionDenied, match=r"or it does not exist.*Set delivery\.project"):
        it.delivery(argo, application="search-prod").check()
    with pytest.raises(PermissionDenied, match=r"or it does not exist"):
        it.delivery(argo, app_namespace="elsewhere").check()


def test_a_missing_right_is_told(it: Bench, argo: ArgoCd) -> None:
    with pytest.raises(PermissionDenied, match="Give the account this right"):
        it.delivery(argo, project="default", endpoint=endpoint(argo.url, NOBODY)).check()


def test_a_missing_right_to_sync_is_told_where_it_will_be_needed(it: Bench) -> None:
    argo = it.argo(automated=False)
    reader = endpoint(argo.url, READER)
    with pytest.raises(PermissionDenied, match=r"'reader' may not sync it.*applications, sync, default/search-staging"):
        it.delivery(argo, endpoint=reader).check()
    argo.controller.automate(True)
    assert "automated sync is on" in it.delivery(argo, endpoint=reader).check()


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ({"repository": "https://git.example/other.git"}, "follows repository .* 'https://git.example/other.git'"),
        ({"branch": "release"}, "follows branch 'main', our commits go to 'release'"),
        ({"path": "charts/search"}, "follows path '.', our commits go to 'charts/search'"),
    ],
)
def test_an_application_that_follows_something_else_is_told(
    it: Bench, argo: ArgoCd, expected: dict[str, str], problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        it.delivery(argo, **expected).check()


def test_a_certificate_nobody_vouches_for_is_told(it: Bench, secured: ArgoCd, authority: Authority) -> None:
    with pytest.raises(DependencyUnavailable, match=r"delivery\.ca"):
        it.delivery(secured).check()
    trusting = endpoint(secured.url, ca=authority.ca)
    assert it.delivery(secured, endpoint=trusting).check().startswith("argocd: ")


def test_http_where_https_is_spoken_and_the_other_way_round_is_told(it: Bench, argo: ArgoCd, secured: ArgoCd) -> None:
    with pytest.raises(DependencyError, match=r"delivery\.url"):
        it.delivery(secured.url.replace("https", "http")).check()
    with pytest.raises(DependencyError, match=r"delivery\.url"):
        it.delivery(argo.url.replace("http", "https")).check()


def test_a_file_of_certificates_that_is_none_is_told(it: Bench, argo: ArgoCd, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"delivery\.ca"):
        it.delivery(argo, endpoint=endpoint(argo.url, ca=tmp_path / "ca.pem"))


def test_of_several_sources_the_one_with_the_values_has_to_be_named(it: Bench) -> None:
    sources = [{"repoURL": "https://git.example/charts.git"}, {"repoURL": "git@git.example:team/values.git"}]
    revisions = {"status": "Synced", "revisions": ["9" * 40, it.old.revision]}
    body = {
        "metadata": {"name": APPLICATION},
        "spec": {"sources": sources},
        "status": {"sync": revisions, "health": {"status": "Healthy"}},
    }
    app = Application.model_validate(body)
    assert app.status.sync.at(app.place("https://git.example/team/values")) == it.old.revision
    with pytest.raises(ConfigurationError, match="2 sources, 0 of them"):
        app.place("https://git.example/team/others.git")
    server = SmallServer(lambda request: Said(body=json.dumps(body).encode()))
    it.enter(server)
    with pytest.raises(ConfigurationError, match=r"values\.remote"):
        wait(it.delivery(server.url), it.old)
    named = it.delivery(server.url, repository="https://git.example/team/values")
    assert wait(named, it.old) == it.old


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("https://git.example/team/values.git", "https://git.example/team/values/", True),
        ("https://bot@GIT.example:443/team/values.git", "ssh://git@git.example/team/values", True),
        ("git@git.example:team/values.git", "https://git.example/team/values.git", True),
        ("https://git.example/team/values.git", "https://git.example/team/value.git", False),
        ("https://git.example/team/values.git", "https://other.example/team/values.git", False),
        ("file:///srv/values.git", "/srv/values.git", True),
    ],
)
def test_one_repository_has_many_spellings(one: str, other: str, equal: bool) -> None:
    assert same(one, other) is equal
