"""A site to run Evercrew on: the search platform with its users, Prometheus, Alertmanager, and `evercrew serve`.

All are processes of their own on loopback. Prometheus scrapes the platform and Evercrew, evaluates the contract's
rules, and Alertmanager posts what fires to Evercrew's webhook. The profile is that of `dev`, where everything takes
seconds, but a person has to approve a promotion, and the baseline is minutes long: one that moves on within seconds
takes what is bad for normal before the crew is done, and the alert resolves without having been healed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import httpx
import yaml

from domain.clock import Clock
from domain.errors import DependencyTimeout, DependencyUnavailable
from policies.contract import load_contract
from policies.packaged import packaged_contract, packaged_profile
from policies.profiles import Profile, load_profile
from service.catalog import default_catalog
from service.demo import PAGED, TARGET, DemoOptions, write_config
from service.rules import Scene, alerting_rules
from service.settings import inherited
from service.surroundings import started
from testbed.servers.alertmanager import Alertmanager
from testbed.servers.base import free_port
from testbed.servers.prometheus import Prometheus
from testbed.world import World, bootstrap
from tools.observe.reading import Windows

ENVIRONMENT = "dev"
WEBHOOK_TOKEN = "e2e-webhook-token-of-a-run-that-ends"
APPROVER, PASSWORD = "ann", "a long enough password for one run"
BASELINE, GAP = "2m", "30s"
_EVERY = timedelta(seconds=0.5)
_READY = timedelta(seconds=90)
# Of the environment a child gets: what programs need to be found and to write their caches.
_PASSED = ("PATH", "HOME", "LANG", "OMP_NUM_THREADS", "TMPDIR")


@dataclass
class Site:
    """What runs, and where it answers."""

    out: Path
    world: World
    prometheus: Prometheus
    alertmanager: Alertmanager
    url: str
    secret: str

    def firing(self) -> list[str]:
        """Return the signals whose alerts Alertmanager holds as active."""
        answer = httpx.get(f"{self.alertmanager.url}/api/v2/alerts", params={"active": "true"}, timeout=5.0)
        answer.raise_for_status()
        return sorted({str(alert["labels"].get("signal", "")) for alert in answer.json()})


def site(out: Path, clock: Clock, running: ExitStack, *, seed: int, documents: int | None, cache: Path) -> Site:
    """Start everything; it stops with `running`.

    Raises:
        DependencyUnavailable: a program is missing or does not start; says which.
    """
    world = bootstrap(out / "world", seed, documents, None, cache)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    world.start(rate=120.0)
    running.callback(world.stop)
    alertmanager = Alertmanager(out / "alertmanager", webhook=f"{url}/webhooks/alertmanager", token=WEBHOOK_TOKEN)
    started("alertmanager", lambda: running.enter_context(alertmanager))
    prometheus = _prometheus(out, world, alertmanager, port)
    started("prometheus", lambda: running.enter_context(prometheus))
    _configured(out, world, prometheus, alertmanager, port, url)
    secret = _served(out, clock, running, url)
    return Site(out, world, prometheus, alertmanager, url, secret)


def profile() -> Profile:
    """Return the profile of the site."""
    return load_profile(yaml.safe_dump(_profile()), file="profile.yaml")


def _profile() -> dict[str, Any]:
    packaged = yaml.safe_load(packaged_profile(ENVIRONMENT))
    return {
        **packaged,
        "approver": "person",
        "manual_approval_required": True,
        "approvals": {"need": 1, "of": ["approver"]},
        "measure": {**packaged["measure"], "baseline": BASELINE, "gap": GAP},
    }


def _prometheus(out: Path, world: World, alertmanager: Alertmanager, port: int) -> Prometheus:
    followed, catalog = profile(), default_catalog()
    measure = followed.measure
    rules = alerting_rules(
        load_contract(packaged_contract()).with_overrides(followed.signals),
        {name: catalog[name] for name in PAGED},
        Windows(current=measure.current, baseline=measure.baseline, gap=measure.gap),
        Scene(target=TARGET, environment=ENVIRONMENT, interval=_EVERY),
    )
    return Prometheus(
        out / "prometheus",
        targets={"platform": urlsplit(world.url).netloc, "evercrew": f"127.0.0.1:{port}"},
        rules=rules,
        alertmanagers=[alertmanager.address],
        interval=_EVERY.total_seconds(),
    )


def _configured(
    out: Path, world: World, prometheus: Prometheus, alertmanager: Alertmanager, port: int, url: str
) -> None:
    file = out / "profile.yaml"
    file.write_text(yaml.safe_dump(_profile()), encoding="utf-8")
    sections: Mapping[str, Any] = {
        "metrics": {"kind": "prometheus", "url": prometheus.url},
        "alertmanager": {"url": alertmanager.url},
        "serve": {"port": port, "public_url": url, "metrics_open": True},
    }
    write_config(out, world, DemoOptions(out=out, profile=file), sections)


def _served(out: Path, clock: Clock, running: ExitStack, url: str) -> str:
    """Start `evercrew serve`, wait until it is ready, and return the secret that the first start prints."""
    log = out / "serve.log"
    told = running.enter_context(log.open("w", encoding="utf-8"))
    process = _command(out, told)
    running.callback(_stopped, process)
    deadline = clock.now() + _READY
    while clock.now() < deadline:
        if process.poll() is not None:
            raise DependencyUnavailable("serve", f"it ended at once: {log.read_text(encoding='utf-8')[-1500:]}", "")
        try:
            if httpx.get(f"{url}/readyz", timeout=2.0).status_code == 200:
                return _secret(log.read_text(encoding="utf-8"))
        except httpx.HTTPError:
            pass
        clock.sleep(timedelta(milliseconds=100))
    raise DependencyTimeout("serve", f"was not ready in {_READY.total_seconds():g} s; see {log}")


def _command(out: Path, told: IO[str]) -> subprocess.Popen[str]:
    environment = {
        **inherited(*_PASSED),
        "EVERCREW_CONFIG": str(out / "evercrew.yaml"),
        "EVERCREW_WEBHOOK_TOKEN": WEBHOOK_TOKEN,
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "service.cli", "serve"]
    return subprocess.Popen(command, stdout=told, stderr=subprocess.STDOUT, text=True, env=environment)


def _stopped(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _secret(log: str) -> str:
    """Return the password of the first account, from what the first start printed."""
    _, said, rest = log.partition("its password is ")
    if not said:
        raise DependencyUnavailable("serve", "the first start printed no password of an account", "")
    return rest.split()[0]
