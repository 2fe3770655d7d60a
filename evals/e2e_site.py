"""A site to run Evercrew on: the search platform with its users, Prometheus, Alertmanager, and `evercrew serve`.

All are processes of their own on loopback; what goes to Slack goes to a receiver of its webhooks here. Prometheus
scrapes the platform and Evercrew, evaluates the contract's rules, and Alertmanager posts what fires to Evercrew's
webhook. The profile is that of `dev`, where everything takes seconds, but a person has to approve a promotion, and the
baseline is minutes long: one that moves on within seconds takes what is bad for normal before the crew is done, and the
alert resolves without having been healed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

from domain.errors import DependencyUnavailable
from evals.serve_site import Served
from policies.contract import load_contract
from policies.packaged import packaged_contract, packaged_profile
from policies.profiles import Profile, load_profile
from service.catalog import default_catalog
from service.demo import PAGED, TARGET, DemoOptions, write_config
from service.rules import Scene, alerting_rules
from service.surroundings import started
from testbed.servers.alertmanager import Alertmanager
from testbed.servers.base import free_port
from testbed.servers.prometheus import Prometheus
from testbed.servers.webhook import Webhook
from testbed.world import World, bootstrap
from tools.observe.reading import Windows

ENVIRONMENT = "dev"
WEBHOOK_TOKEN = "e2e-webhook-token-of-a-run-that-ends"
APPROVER, PASSWORD = "ann", "a long enough password for one run"
BASELINE, GAP = "2m", "30s"
NOTIFIED: Mapping[str, Any] = {"slack": {"timeout_s": 5}}
"""Section `notify`: everything goes to one channel; where that is, is a setting."""
_EVERY = timedelta(seconds=0.5)


@dataclass
class Site:
    """What runs, and where it answers."""

    out: Path
    world: World
    prometheus: Prometheus
    alertmanager: Alertmanager
    url: str
    secret: str
    told: Sequence[Any]
    """What the people were told, as Slack gets it; it grows."""

    def firing(self) -> list[str]:
        """Return the signals whose alerts Alertmanager holds as active."""
        answer = httpx.get(f"{self.alertmanager.url}/api/v2/alerts", params={"active": "true"}, timeout=5.0)
        answer.raise_for_status()
        return sorted({str(alert["labels"].get("signal", "")) for alert in answer.json()})


def site(out: Path, running: ExitStack, *, seed: int, documents: int | None, cache: Path) -> Site:
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
    told: list[Any] = []
    channel = running.enter_context(Webhook(told.append))
    served = _served(out, running, port, channel.url)
    return Site(out, world, prometheus, alertmanager, url, _secret(served.out), told)


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
        "notify": {**NOTIFIED, "public_url": url},
    }
    write_config(out, world, DemoOptions(out=out, profile=file), sections)


def _served(out: Path, running: ExitStack, port: int, channel: str) -> Served:
    """Start `evercrew serve` and wait until it is ready; it ends in order with `running`."""
    settings = {
        "EVERCREW_WEBHOOK_TOKEN": WEBHOOK_TOKEN,
        "EVERCREW_TRACES": "mlflow",
        "EVERCREW_NOTIFY_SLACK_URL": channel,
    }
    served = Served(out / "evercrew.yaml", port=port, settings=settings)
    served.start()
    running.callback(served.stop)
    served.ready("/readyz")
    return served


def _secret(printed: str) -> str:
    """Return the password of the first account, from what the first start printed."""
    _, said, rest = printed.partition("its password is ")
    if not said:
        raise DependencyUnavailable("serve", "the first start printed no password of an account", "")
    return rest.split()[0]
