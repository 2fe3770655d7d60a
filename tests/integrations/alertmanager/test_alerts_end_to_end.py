"""From a number on the platform's page to an open cycle: Prometheus with the generated rules, Alertmanager, webhook."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from adapters.rest import Endpoint
from adapters.silences.alertmanager import AlertmanagerSilences
from adapters.store.memory import MemoryStore
from cycles.intake import Routing, Taken, take
from domain.actor import Actor, Role
from domain.clock import SystemClock
from domain.permit import PermitOffice
from policies.contract import load_contract
from policies.packaged import packaged_contract
from service.catalog import default_catalog
from service.rules import Scene, alerting_rules
from testbed.servers.alertmanager import Alertmanager
from testbed.servers.prometheus import Prometheus
from testbed.servers.webhook import Webhook
from tests.contract.permits import CYCLE, permit_for
from tests.stubs.small_server import Asked, Said, SmallServer
from tests.support.waiting import until
from tools.notify.silences import LiftArgs, LiftSilence, SilenceAlerts, SilenceArgs
from tools.observe.reading import Windows
from tools.tool import Call, Scope

SCHEMA = Path(__file__).resolve().parents[4] / "shared/contracts/alert_payloads/alertmanager_webhook_v4.schema.json"
CONTRACT = load_contract(packaged_contract())
SECOND = timedelta(seconds=1)
WINDOWS = Windows(current=SECOND, baseline=2 * SECOND, gap=SECOND)
SCENE = Scene("search", "dev", SECOND / 5)
PROGRAMS = ("prometheus", "prometheus-alertmanager")

pytestmark = [
    pytest.mark.integration("alertmanager", "works"),
    pytest.mark.xdist_group("prometheus"),
    pytest.mark.skipif(
        any(shutil.which(name) is None for name in PROGRAMS),
        reason="not installed: apt-get install prometheus prometheus-alertmanager",
    ),
]


@dataclass
class Platform:
    """A page whose satisfaction a test sets, and the office that its alerts arrive at."""

    satisfaction: float = 4.5
    sessions: int = 0
    store: MemoryStore = field(default_factory=MemoryStore)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, _request: Asked) -> Said:
        self.sessions += 10
        text = f"search_satisfaction {self.satisfaction}\nsearch_judged_sessions_total {self.sessions}\n"
        return Said(200, text.encode(), "text/plain; version=0.0.4")

    def receive(self, body: Any) -> None:
        routing = Routing(list(CONTRACT.signals), {}, ["search"], "dev")
        with self.lock:
            self.taken.append(take(body, routing, self.store, SystemClock()))
            self.bodies.append(body)

    def statuses(self) -> list[str]:
        return [alert["status"] for body in self.bodies for alert in body["alerts"]]


@dataclass
class Chain:
    """The platform with the whole chain behind it."""

    platform: Platform
    alertmanager: Alertmanager


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    platform, tmp_path = Platform(), tmp_path_factory.mktemp("chain")
    rules = alerting_rules(CONTRACT, default_catalog(), WINDOWS, SCENE, min_samples=1)
    with (
        SmallServer(platform.page) as page,
        Webhook(platform.receive) as webhook,
        Alertmanager(tmp_path / "alertmanager", webhook=webhook.url) as alertmanager,
        Prometheus(
            tmp_path / "prometheus",
            targets={"platform": page.url.removeprefix("http://")},
            rules=rules,
            alertmanagers=[alertmanager.address],
            interval=0.2,
        ),
    ):
        until(lambda: platform.sessions > 20)
        yield Chain(platform, alertmanager)


@pytest.fixture
def chain(running: Chain) -> Chain:
    """The chain with a healthy platform and nothing open."""
    platform = running.platform
    platform.satisfaction = 4.5
    firing = {"filter": 'alertname="SignalBreached"', "active": "true"}
    alerts = f"{running.alertmanager.url}/api/v2/alerts"
    until(lambda: httpx.get(alerts, params=firing, trust_env=False, timeout=60).json() == [])
    platform.store, platform.bodies, platform.taken = MemoryStore(), [], []
    return running


def test_a_signal_that_breaks_opens_one_cycle_and_its_recovery_is_told(chain: Chain) -> None:
    platform = chain.platform
    time.sleep(1)
    assert platform.bodies == []
    platform.satisfaction = 3.0
    until(lambda: "firing" in platform.statuses())
    (cycle,) = platform.taken[0].opened
    assert (cycle.alert.signal, cycle.target, cycle.environment) == ("user_satisfaction", "search", "dev")
    assert cycle.alert.name == "SignalBreached"
    platform.satisfaction = 4.5
    until(lambda: "resolved" in platform.statuses())
    assert len(platform.store.cycles()) == 1
    assert [reason for taken in platform.taken for reason in taken.ignored if "resolved" in reason]
    if SCHEMA.is_file():
        for body in platform.bodies:
            jsonschema.validate(body, json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_while_a_change_of_ours_is_watched_its_signal_is_quiet_and_then_heard_again(chain: Chain) -> None:
    platform, clock = chain.platform, SystemClock()
    office = PermitOffice(clock)
    endpoint = Endpoint(url=chain.alertmanager.url)
    silences = AlertmanagerSilences(endpoint=endpoint, clock=clock, permits=office)
    scope = Scope(CYCLE, "watch", "search", "dev", clock.now(), clock.now())

    def call(tool: Any, key: str) -> Call:
        return Call(scope, Actor(role=Role.DEVOPS_ENGINEER), key, "watch", permit_for(office, tool.spec.effects, key))

    quieten, lift = SilenceAlerts(silences), LiftSilence(silences)
    now = clock.now()
    args = SilenceArgs(signal="user_satisfaction", starts=now, ends=now + timedelta(minutes=5), reason="watched")
    made = quieten.run(args, call(quieten, "k1")).silence
    platform.satisfaction = 3.0
    until(lambda: _silenced(chain.alertmanager) == ["suppressed"])
    time.sleep(1)
    assert platform.statuses() == []
    lift.run(LiftArgs(silence=made), call(lift, "k2"))
    until(lambda: "firing" in platform.statuses())
    assert len(platform.store.cycles()) == 1
    silences.close()


def _silenced(alertmanager: Alertmanager) -> list[str]:
    """How each alert that is there is dealt with."""
    alerts = httpx.get(f"{alertmanager.url}/api/v2/alerts", trust_env=False, timeout=60).json()
    return [alert["status"]["state"] for alert in alerts]


def test_a_receiver_that_fails_gets_the_alert_again(tmp_path: Path) -> None:
    failing = threading.Event()
    failing.set()
    platform = Platform()

    def receive(body: Any) -> None:
        if failing.is_set():
            failing.clear()
            raise ConnectionError("the disk is full")
        platform.receive(body)

    with Webhook(receive) as webhook, Alertmanager(tmp_path, webhook=webhook.url) as alertmanager:
        labels = {"alertname": "SignalBreached", **SCENE.labels("ndcg_at_10")}
        posted = httpx.post(f"{alertmanager.url}/api/v2/alerts", json=[{"labels": labels}], trust_env=False, timeout=60)
        assert posted.status_code == 200
        until(lambda: len(platform.bodies) == 1)
        assert not failing.is_set()
        refused = httpx.post(webhook.url, content=b"no json", trust_env=False, timeout=60)
        assert refused.status_code == 400
    assert len(platform.store.cycles()) == 1
