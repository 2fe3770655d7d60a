"""`evercrew doctor` on broken configurations: each names the fault and the remedy; nothing else is called broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.platform.memory import MemoryPlatform
from domain.clock import FrozenClock
from domain.permit import PermitOffice
from service.doctor import Finding, diagnosed
from service.settings import Settings
from testbed.argocd import Account, ArgoCd
from tests.contract.gitremote import Remote
from tests.contract.platform_contract import DOCUMENTS, JUDGEMENTS, LOGS, STATE
from tests.contract.platform_stub import PlatformApi
from tests.stubs.small_server import Asked, Said, SmallServer

VALUES = "model: {name: reranker, version: '1', digest: sha256:0}\n"
TOKEN = "token-of-the-test"


@dataclass(frozen=True)
class Site:
    """Systems that are all well, and the configuration that names them."""

    folder: Path
    platform: str
    argocd: str
    sections: Mapping[str, Any]

    def diagnosed(self, changes: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Finding]:
        """Return the doctor's findings by name, with `changes` laid over the sound configuration."""
        content: dict[str, Any] = dict(self.sections)
        for name, change in changes.items():
            whole = isinstance(change, Mapping) and isinstance(content.get(name), Mapping)
            content[name] = {**content[name], **change} if whole else change
        path = self.folder / "evercrew.yaml"
        path.write_text(yaml.safe_dump(json.loads(json.dumps(content))), encoding="utf-8")
        return {
            found.name: found
            for found in diagnosed(path, Settings(home=self.folder / "home").model_copy(update=settings))
        }


def _answered(api: Callable[[Asked], Said]) -> Callable[[Asked], Said]:
    def answer(request: Asked) -> Said:
        if request.path == "/metrics":
            return Said(200, b"# TYPE up gauge\nup 1\n", "text/plain; version=0.0.4")
        return api(request)

    return answer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("doctor")
    (folder / "git").mkdir()
    remote = Remote(folder / "git", VALUES)
    sealed = folder / "sealed" / "judgements.jsonl"
    sealed.parent.mkdir()
    sealed.write_text('{"request_id": "r1", "ts": 1.0, "query": "how to sort", "relevant": {"d1": 1}}\n')
    (folder / "dvc-remote").mkdir()
    office = PermitOffice(FrozenClock())
    platform = MemoryPlatform(permits=office, state=STATE, documents=DOCUMENTS, judgements=JUDGEMENTS, logs=LOGS)
    with SmallServer(_answered(PlatformApi(platform, office))) as stub:
        argocd = ArgoCd(
            folder=folder / "argocd",
            remote=str(remote.folder),
            cluster=_cluster(folder, remote),
            platform=stub.url,
            application="search-dev",
            accounts=(Account("evercrew", TOKEN),),
            poll_seconds=0,
        )
        with argocd:
            sections = {
                "environment": "dev",
                "target": "search",
                "state": "state",
                "platform": {"url": stub.url},
                "metrics": {"url": f"{stub.url}/metrics"},
                "values": {"remote": str(remote.folder)},
                "tracking": {"uri": "sqlite:///mlflow.db", "artifacts": str(folder / "mlruns")},
                "datasets": {"repository": "datasets", "remote": str(folder / "dvc-remote")},
                "evaluation": {"sealed": "sealed/judgements.jsonl"},
            }
            yield Site(folder, stub.url, argocd.url, sections)


def _cluster(folder: Path, remote: Remote) -> Path:
    from tests.contract.gitremote import git

    git(folder, "clone", "--quiet", "--bare", str(remote.folder), "cluster.git")
    return folder / "cluster.git"


@pytest.mark.slow
def test_a_broken_contract_is_one_finding_and_everything_else_is_looked_at_all_the_same(site: Site) -> None:
    (site.folder / "mine.yaml").write_text("signals: [", encoding="utf-8")
    argocd = {"kind": "argocd", "url": site.argocd, "application": "{target}-{environment}"}
    broken = {"contract": "mine.yaml", "datasets": {"remote": str(site.folder / "nowhere")}}
    found = site.diagnosed({"delivery": argocd, **broken}, {"delivery_token": TOKEN})
    assert [name for name in found if not found[name].ok] == ["contract", "datasets"]
    assert len(found) >= 15
    assert found["contract"].detail.startswith("mine.yaml: is not YAML: line ")
    assert "signals not known" in found["policies"].detail


@pytest.mark.slow
def test_a_sound_configuration_has_no_finding(site: Site) -> None:
    argocd = {"kind": "argocd", "url": site.argocd, "application": "{target}-{environment}"}
    found = site.diagnosed({"delivery": argocd}, {"delivery_token": TOKEN})
    assert {name: f.detail for name, f in found.items() if not f.ok} == {}
    assert len(found) >= 15


def _argocd(**changes: str) -> Callable[[Site], dict[str, Any]]:
    def changed(site: Site) -> dict[str, Any]:
        sound = {"kind": "argocd", "url": site.argocd, "application": "{target}-{environment}"}
        return {"delivery": {**sound, **changes}}

    return changed


@pytest.mark.slow
def test_the_doctor_says_whose_code_trains_scores_and_explains(site: Site) -> None:
    told = site.diagnosed({"jobs": {"train": "adapters.sandbox.hostile:look"}}, {})["jobs"]
    assert told.ok
    assert told.detail.startswith("train adapters.sandbox.hostile:look, score testbed.jobs:score")
    assert told.detail.endswith("name your own in jobs.score, jobs.explain, jobs.digest: these are the testbed's")


BROKEN: dict[str, tuple[Callable[[Site], dict[str, Any]], dict[str, str], str, tuple[str, ...]]] = {
    "a field that does not exist": (
        lambda site: {"platform": {"adress": "x"}},
        {},
        "configuration",
        ("platform.adress", "there is no such field", "Fields there are: url"),
    ),
    "nobody at the platform's address": (
        lambda site: {"platform": {"url": "http://127.0.0.1:9"}},
        {},
        "platform",
        ("platform.url",),
    ),
    "another product in place of the cluster with the Rollout": (
        lambda site: {"delivery": {"rollout": {"url": site.platform, "namespace": "search", "name": "search"}}},
        {},
        "rollout",
        ("delivery.rollout.url",),
    ),
    "another product in place of Prometheus": (
        lambda site: {"metrics": {"kind": "prometheus", "url": site.platform}},
        {},
        "metrics",
        ("metrics.url", "Prometheus"),
    ),
    "a user without a password": (
        lambda site: {"metrics": {"kind": "prometheus", "url": site.platform, "username": "reader"}},
        {},
        "configuration",
        ("metrics.username", "EVERCREW_METRICS_PASSWORD"),
    ),
    "a branch that is not there": (
        lambda site: {"values": {"branch": "production"}},
        {},
        "values",
        ("branch", "production"),
    ),
    "a password in the repository's address": (
        lambda site: {"values": {"remote": "https://user:secret@127.0.0.1:9/values.git"}},
        {},
        "configuration",
        ("values.remote", "EVERCREW_VALUES_TOKEN"),
    ),
    "a values file that is not there": (
        lambda site: {"values": {"path": "charts/values.yaml"}},
        {},
        "values",
        ("charts/values.yaml",),
    ),
    "a wrong token for Argo CD": (
        _argocd(),
        {"delivery_token": "stale"},
        "live",
        ("EVERCREW_DELIVERY_TOKEN",),
    ),
    "an application that is not there": (
        _argocd(application="{target}-nowhere", project="default"),
        {"delivery_token": TOKEN},
        "live",
        ("search-nowhere", "delivery.application"),
    ),
    "a template that is none": (
        _argocd(application="{service}"),
        {"delivery_token": TOKEN},
        "configuration",
        ("delivery.application", "{target}"),
    ),
    "nobody at MLflow's address": (
        lambda site: {"tracking": {"uri": "http://127.0.0.1:9"}},
        {},
        "models",
        ("tracking.uri",),
    ),
    "a sealed set that is not there": (
        lambda site: {"evaluation": {"sealed": "elsewhere.jsonl"}},
        {},
        "evaluation",
        ("elsewhere.jsonl", "evaluation.sealed"),
    ),
    "a state folder that is a file": (
        lambda site: {"state": "evercrew.yaml"},
        {},
        "configuration",
        ("state",),
    ),
    "a certificate that is none": (
        _argocd(ca="evercrew.yaml"),
        {"delivery_token": TOKEN},
        "configuration",
        ("delivery.ca", "PEM"),
    ),
    "a function that cannot be imported": (
        lambda site: {"jobs": {"digest": "testbed.bundle:nothing"}},
        {},
        "configuration",
        ("testbed.bundle:nothing", "module:function"),
    ),
    "logs without an address": (
        lambda site: {"logs": {"kind": "loki", "selector": '{app="search"}'}},
        {},
        "configuration",
        ("logs.http.url",),
    ),
}


# Asked through the same address: what breaks one breaks the other.
TOGETHER = {"platform": ("live", "logs"), "models": ("traces",)}


@pytest.mark.slow
@pytest.mark.parametrize("case", list(BROKEN))
def test_a_broken_configuration_is_named_with_its_remedy(case: str, site: Site) -> None:
    change, settings, name, words = BROKEN[case]
    found = site.diagnosed(change(site), settings)
    broken = {n: f.detail for n, f in found.items() if not f.ok}
    assert set(broken) == {name, *TOGETHER.get(name, ())}
    assert [word for word in words if word not in broken[name]] == []
