"""The stand-in really delivers: from a git remote over HTTPS to the cluster's repository, and asks the platform."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from testbed.argocd import ArgoCd, Fault
from testbed.servers.base import Program, free_port, listens
from testbed.servers.githttp import GitHttp
from tests.integrations.argocd.bench import ADMIN, READER, Bench
from tests.integrations.argocd.test_works import wait
from tests.stubs.small_server import Asked, Said, SmallServer
from tests.support.waiting import until

pytestmark = pytest.mark.integration("argocd", "works")


def test_it_follows_a_remote_over_https_with_a_password_and_a_certificate_authority(it: Bench, tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="pip install cryptography")
    with GitHttp(it.remote, users={"argocd": "deploy-key-1"}, tls=True) as server:
        store = tmp_path / "credentials"
        store.write_text(server.url.replace("https://", "https://argocd:deploy-key-1@", 1) + "\n", encoding="utf-8")
        environment = {
            "GIT_SSL_CAINFO": str(server.ca),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "credential.helper",
            "GIT_CONFIG_VALUE_0": f"store --file={store}",
        }
        argo = it.argo(remote=server.url, git_environment=environment, poll_seconds=0.05)
        delivery = it.delivery(argo, repository=server.url)
        assert "Synced and Healthy" in delivery.check()
        it.becomes(it.new)
        assert wait(delivery, it.new) == it.new
        assert "deploy-key-1" not in json.dumps([exchange.answered.decode() for exchange in it.recorder.exchanges])


def test_a_remote_that_is_away_is_a_comparison_error(it: Bench) -> None:
    argo = it.argo()
    shutil.rmtree(it.remote)
    app = it.delivery(argo).application(refresh=True)
    assert app.status.sync.status == "Unknown"
    assert app.status.conditions[0].type == "ComparisonError"


def test_it_looks_at_the_remote_by_itself(it: Bench) -> None:
    it.argo(poll_seconds=0.05)
    it.push(it.new)
    until(lambda: it.applied() == it.new.revision)
    assert it.applied() == it.new.revision


def test_a_revision_that_the_platform_refuses_is_degraded_with_its_reason(it: Bench) -> None:
    def platform(request: Asked) -> Said:
        if request.path == "/version":
            return Said(body=json.dumps({"values_revision": it.old.revision}).encode())
        line = {"event": "values_rejected", "revision": it.new.revision, "reason": "model: no such digest"}
        return Said(body=json.dumps(line).encode() + b"\n")

    server = SmallServer(platform)
    it.enter(server)
    argo = it.argo(platform=server.url)
    it.push(it.new)
    delivery = it.delivery(argo)
    assert delivery.application(refresh=True).status.health.status == "Degraded"
    assert any("no such digest" in node.health.message for node in delivery.resources() if node.health is not None)


def test_faults_are_switched_from_outside_the_api_by_the_administrator_only(it: Bench, argo: ArgoCd) -> None:
    def switch(token: str, body: object) -> httpx.Response:
        return httpx.post(f"{argo.url}/_control/faults", json=body, headers={"Authorization": f"Bearer {token}"})

    assert switch(ADMIN, {"degraded": True}).json()["degraded"] is True
    assert argo.controller.faults == {Fault.DEGRADED}
    assert switch(READER, {"lie": True}).status_code == 403
    assert switch(ADMIN, {"gremlins": True}).status_code == 400
    assert switch(ADMIN, {"degraded": False}).json()["degraded"] is False
    assert it.recorder.exchanges == []


def test_there_is_no_way_back_through_it_while_it_syncs_by_itself(it: Bench, argo: ArgoCd) -> None:
    it.push(it.new)
    argo.controller.reconcile()
    url = f"{argo.url}/api/v1/applications/search-staging/rollback"
    headers = {"Authorization": f"Bearer {ADMIN}"}
    assert "auto-sync is enabled" in httpx.post(url, json={"id": 0}, headers=headers).json()["message"]
    argo.controller.automate(False)
    it.push(it.other)
    it.delivery(argo).application(refresh=True)
    assert httpx.post(url, json={"id": 0}, headers=headers).status_code == 200
    assert it.applied() == it.new.revision


def test_it_runs_in_a_terminal(it: Bench, tmp_path: Path) -> None:
    port = free_port()
    command = [
        *(sys.executable, "-m", "testbed.argocd", "--folder", str(tmp_path / "apart"), "--port", str(port)),
        *("--remote", str(it.remote), "--cluster", str(it.cluster), "--platform", "http://127.0.0.1:1"),
        *("--application", "search-staging", "--token", ADMIN, "--git-env", "GIT_TRACE=0"),
    ]
    with Program(command, tmp_path / "log", lambda: listens(port)):
        url = f"http://127.0.0.1:{port}"
        status = it.delivery(url).application().status
        assert (status.sync.status, status.health.status) == ("Synced", "Progressing")
    wrong = subprocess.run([*command[:3], "--git-env", "x"], capture_output=True, text=True, check=False, timeout=60)
    assert wrong.returncode == 2
