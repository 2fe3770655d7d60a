"""The demo with the systems a production team has: Prometheus and Alertmanager call, git answers over HTTPS on a
protected branch, data and models lie in S3, and Argo CD applies what git says.

    git (HTTPS) <- commits - Evercrew <- webhook - Alertmanager <- Prometheus <- /metrics
         |                      |                                                   |
      Argo CD  ---- applies ---------------------------------------------->  the platform <- users
                                +--> S3: datasets (DVC), models (MLflow)

Everything runs on loopback and is the real program, but for Argo CD, whose protocol a stand-in speaks.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from policies.contract import load_contract
from policies.packaged import packaged_contract, packaged_profile
from policies.profiles import load_profile
from service.catalog import default_catalog
from service.rules import Scene, alerting_rules
from service.settings import export
from service.surroundings import Inbox, Note, Surroundings, started
from testbed.argocd import ArgoCd
from testbed.argocd.accounts import Account
from testbed.servers.alertmanager import Alertmanager
from testbed.servers.certificates import Authority
from testbed.servers.githttp import GitHttp
from testbed.servers.moto import Moto
from testbed.servers.prometheus import Prometheus
from testbed.servers.webhook import Webhook
from testbed.world import World
from tools.observe.reading import Windows

ENVIRONMENT, TARGET = "dev", "search"
# Accounts of servers that live and die with the demo.
USER, GIT_TOKEN, ARGO_TOKEN = "evercrew", "demo-git-token", "demo-argocd-token"
_EVERY = timedelta(seconds=0.5)


@dataclass(frozen=True)
class _Git:
    url: str
    ca: Path


def everything(
    world: World, out: Path, running: ExitStack, note: Note, *, rate: float, paged: Sequence[str]
) -> Surroundings:
    """Start the platform, its users and all systems around them; they stop with `running`.

    Alerts are raised on the signals `paged`.

    Raises:
        DependencyUnavailable: a program is missing or does not start; says which.
    """
    note("starting S3, git over HTTPS, Argo CD's stand-in, Alertmanager and Prometheus")
    s3 = started("s3", lambda: running.enter_context(Moto(out / "s3")))
    export(s3.environment)
    _cluster(world)
    world.start(rate=rate)
    running.callback(world.stop)
    git = _git(world, running)
    argocd = _argocd(world, git, out, running)
    inbox = Inbox()
    alertmanager, prometheus = _alerts(world, inbox, out, running, paged)
    note(f"git {git.url} (only {USER} pushes to main), Argo CD's stand-in {argocd['url']}, S3 {s3.url}")
    note(f"Prometheus {prometheus.url} with the contract's rules, Alertmanager {alertmanager.url} calls the crew")
    return Surroundings(
        sections={
            "metrics": {"kind": "prometheus", "url": prometheus.url},
            "alertmanager": {"url": alertmanager.url},
            "values": {"remote": git.url, "username": USER, "ca": str(git.ca)},
            "delivery": argocd,
            "tracking": {"artifacts": f"{s3.bucket('models')}/mlflow", "s3_endpoint_url": s3.url},
            "datasets": {"remote": f"{s3.bucket('data')}/dvc", "s3": {"endpoint_url": s3.url}},
            "backup": {"to": f"{s3.bucket('backups')}/demo", "s3": {"endpoint_url": s3.url}},
        },
        settings={"values_token": GIT_TOKEN, "delivery_token": ARGO_TOKEN},
        inbox=inbox,
    )


def _cluster(world: World) -> None:
    """Give the platform a repository of its own: from now on what git says is only what it is to be."""
    layout = world.layout
    command = ["git", "clone", "--quiet", "--bare", str(layout.gitops), str(layout.cluster)]
    subprocess.run(command, check=True, capture_output=True)


def _git(world: World, running: ExitStack) -> _Git:
    """Serve the platform's repository; only the crew's account may push to `main`, and nobody rewrites it."""
    server = GitHttp(
        world.layout.gitops,
        users={USER: GIT_TOKEN, "argocd": ARGO_TOKEN, "somebody": "demo-reader"},
        readers=("argocd",),
        protected={"main": (USER,)},
        tls=True,
    )
    started("git", lambda: running.enter_context(server))
    return _Git(server.url, server.ca)


def _argocd(world: World, git: _Git, out: Path, running: ExitStack) -> dict[str, Any]:
    """Start Argo CD's stand-in, and return the section of the configuration that names it."""
    authority = Authority(out / "argocd" / "tls")
    server = ArgoCd(
        folder=out / "argocd" / "mirror",
        remote=git.url,
        cluster=world.layout.cluster,
        platform=world.url,
        application=f"{TARGET}-{ENVIRONMENT}",
        accounts=(Account(USER, ARGO_TOKEN),),
        poll_seconds=_EVERY.total_seconds(),
        git_environment={
            "GIT_SSL_CAINFO": str(git.ca),
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "credential.helper",
            "GIT_CONFIG_VALUE_0": f'!f() {{ printf "username=argocd\\npassword={ARGO_TOKEN}\\n"; }}; f',
        },
        certificate=authority.issue("argocd"),
    )
    started("argocd", lambda: running.enter_context(server))
    return {
        "kind": "argocd",
        "url": server.url,
        "application": "{target}-{environment}",
        "ca": str(authority.ca),
    }


def _alerts(
    world: World, inbox: Inbox, out: Path, running: ExitStack, paged: Sequence[str]
) -> tuple[Alertmanager, Prometheus]:
    """Start Prometheus with the contract's rules, and Alertmanager, which sends what fires to the inbox."""
    hook = running.enter_context(Webhook(inbox.receive))
    alertmanager = Alertmanager(out / "alertmanager", webhook=hook.url)
    started("alertmanager", lambda: running.enter_context(alertmanager))
    profile = load_profile(packaged_profile(ENVIRONMENT), file=f"{ENVIRONMENT}.yaml")
    measure = profile.measure
    catalog = default_catalog()
    rules = alerting_rules(
        load_contract(packaged_contract()).with_overrides(profile.signals),
        {name: catalog[name] for name in paged},
        Windows(current=measure.current, baseline=measure.baseline, gap=measure.gap),
        Scene(target=TARGET, environment=ENVIRONMENT, interval=_EVERY),
    )
    prometheus = Prometheus(
        out / "prometheus",
        targets={"platform": urlsplit(world.url).netloc},
        rules=rules,
        alertmanagers=[alertmanager.address],
        interval=_EVERY.total_seconds(),
    )
    started("prometheus", lambda: running.enter_context(prometheus))
    return alertmanager, prometheus
