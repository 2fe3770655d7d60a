"""Several targets in one file: each has its own systems, secrets, signals and series."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from adapters.metrics.labelled import LabelledMetrics
from adapters.metrics.memory import MemoryMetrics
from cycles.intake import look
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, DependencyUnavailable, InvalidInput
from domain.signal import SeriesQuery
from domain.wish import Wish
from evals.simulated_rows import VALUES
from policies.packaged import packaged_contract
from service.auditing import seen_elsewhere
from service.catalog import catalog
from service.choice import chosen, chosen_config
from service.config import load_config
from service.contracts import signals_of_further
from service.doctor import examine, of_target
from service.further import AGAIN
from service.opening import wanted
from service.profile import profile_of
from service.rules import rules_of
from service.schedules import _each
from service.serve_sections import RouteConfig, routing_of
from service.settings import Settings, load
from service.taping import secrets_of
from service.telemetry.logs import secrets_of as hidden_in_logs
from service.wiring import App, build
from tests.contract.gitremote import Remote
from tests.support.targets import ADS, two, written


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """Two targets with a values repository each; the contract of `ads` is not there yet."""
    remotes = {name: Remote(_folder(tmp_path / name), _values(name)) for name in ("search", "ads")}
    ads = {**ADS, "values": {"remote": str(remotes["ads"].folder)}, "contract": "ads-contract.yaml"}
    given = written(tmp_path, {"ads": ads}, values={"remote": str(remotes["search"].folder)})
    built = build(load_config(given), Settings(home=tmp_path / "home"), clock=FrozenClock(), workflow=False)
    yield built
    built.close()


def test_secrets_of_a_target_stand_in_place_of_those_for_all_and_are_hidden_like_them() -> None:
    settings = load({"EVERCREW_VALUES_TOKEN": "for-all", "EVERCREW_TARGETS__ADS__VALUES_TOKEN": "for-ads-only"})
    assert (settings.values_token, settings.at("search").values_token) == ("for-all", "for-all")
    assert settings.at("ads").values_token == "for-ads-only"
    assert "for-ads-only" in secrets_of(settings)
    assert "for-ads-only" in hidden_in_logs(settings)
    assert "for-ads-only" not in repr(settings)
    without = load({"EVERCREW_VALUES_TOKEN": "for-all", "EVERCREW_TARGETS__ADS__VALUES_TOKEN": ""})
    assert without.at("ads").values_token == ""


@pytest.mark.parametrize(
    "variable",
    [
        "EVERCREW_TARGETS__ADS__TRACKING_TOKEN",
        "EVERCREW_TARGETS__ADS__NOTHING",
        "EVERCREW_TARGETS__ADS__values_token",
        "EVERCREW_TARGETS__ADS",
    ],
)
def test_what_is_no_secret_of_a_target_is_refused(variable: str) -> None:
    with pytest.raises(ConfigurationError, match="is no setting of a single target") as refused:
        load({variable: "x"})
    assert refused.value.field == variable


def test_a_secret_of_a_target_that_there_is_not_stops_the_start(tmp_path: Path) -> None:
    settings = load({"EVERCREW_TARGETS__ADDS__VALUES_TOKEN": "x", "EVERCREW_HOME": str(tmp_path / "home")})
    with pytest.raises(ConfigurationError, match="EVERCREW_TARGETS__ADDS__VALUES_TOKEN"):
        build(two(tmp_path), settings, workflow=False)


def test_each_target_has_its_own_repository_and_one_that_cannot_be_opened_is_alone_with_it(
    app: App, tmp_path: Path
) -> None:
    assert app.targets == ("search", "ads")
    assert app.ports.vcs.read() == _values("search")
    with pytest.raises(DependencyUnavailable, match=r"targets\.ads\.") as shut:
        app.at("ads")
    assert "ads-contract.yaml" in str(shut.value)
    assert app.at("search") is app
    (tmp_path / "ads-contract.yaml").write_text(packaged_contract(), encoding="utf-8")
    assert isinstance(app.clock, FrozenClock)
    with pytest.raises(DependencyUnavailable):
        app.at("ads")  # it is not tried again at once
    app.clock.sleep(AGAIN)
    assert app.routing.own["ads"] == list(app.contract.signals)
    ads = app.at("ads")
    assert app.routing.own["ads"] == list(ads.contract.signals)
    assert ads.ports.vcs.read() == _values("ads")
    assert ads.at("ads") is ads
    assert ads.at("search") is app
    assert (ads.office.store, ads.office.audit, ads.office.consent) == (
        app.office.store,
        app.office.audit,
        app.office.consent,
    )
    assert ads.office.artifacts.root == app.office.artifacts.root
    assert (ads.gate is app.gate, ads.office.retrieval is app.office.retrieval) == (False, False)


def test_an_unknown_target_has_no_systems(app: App) -> None:
    with pytest.raises(DependencyUnavailable, match="does not look after it"):
        app.at("gone")
    with pytest.raises(InvalidInput, match="Use one of: search, ads"):
        chosen(app, "gone")
    assert chosen(app, "") is app


def test_what_others_have_seen_of_the_chain_is_asked_of_every_repository(app: App, tmp_path: Path) -> None:
    def ask() -> dict[str, str]:
        return seen_elsewhere(app.config, app.clock, lambda target: app.at(target).ports.vcs)[1]

    shut = ask()
    assert shut["commits"] == "none has seen the chain"
    assert "not looked at" in shut["commits of ads"]
    (tmp_path / "ads-contract.yaml").write_text(packaged_contract(), encoding="utf-8")
    app.clock.sleep(AGAIN)
    assert ask()["commits of ads"] == "none has seen the chain"


def test_the_doctor_says_of_a_target_that_cannot_be_opened_why(app: App) -> None:
    [shut] = of_target(app, "ads")
    assert (shut.name, shut.ok) == ("ads", False)
    assert "ads-contract.yaml" in shut.detail


@pytest.mark.slow
def test_the_doctor_asks_the_systems_of_every_target(app: App, tmp_path: Path) -> None:
    (tmp_path / "ads-contract.yaml").write_text(packaged_contract(), encoding="utf-8")
    found = {finding.name: finding for finding in examine(app)}
    assert (found["values"].ok, found["ads.values"].ok) == (True, True)
    assert {"ads.platform", "ads.metrics", "ads.contract", "ads.evaluation"} <= found.keys()
    assert "audit" in found
    assert "ads.audit" not in found


def test_a_job_by_the_clock_is_done_for_every_target_whatever_becomes_of_one(app: App) -> None:
    done: list[str] = []

    def job(one: App) -> str:
        done.append(one.config.target)
        return "well"

    with pytest.raises(DependencyUnavailable, match=r"targets\.ads: search: well; ads: "):
        _each(app, job)
    assert done == ["search"]


def test_alerts_and_wishes_are_routed_by_target_to_signals_of_its_own_contract(tmp_path: Path) -> None:
    rules = yaml.safe_load(packaged_contract())
    del rules["signals"]["vector_index_errors"]
    (tmp_path / "ads-contract.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    config = load_config(written(tmp_path, {"ads": {**ADS, "contract": "ads-contract.yaml"}}))
    further = signals_of_further(config, profile_of(config))
    routes = [RouteConfig(match={"namespace": "ads-*"}, target="ads")]
    known = ["ndcg_at_10", "vector_index_errors"]
    routing = routing_of(known, {}, config.target, config.environment, routes, further)
    assert {name: set(signals) for name, signals in further.items()} == {"ads": set(rules["signals"])}
    (tmp_path / "ads-contract.yaml").unlink()
    assert "vector_index_errors" in signals_of_further(config, profile_of(config))["ads"]

    def target_of(signal: str, **labels: str) -> str:
        alert = {"status": "firing", "labels": {"signal": signal, **labels}, "startsAt": "2026-01-31T12:00:00Z"}
        body = {"version": "4", "receiver": "evercrew", "alerts": [{**alert, "fingerprint": "f"}]}
        [found] = look(json.dumps(body), routing).alerts
        return found.letter.alert.target if found.letter else found.ignored

    assert target_of("ndcg_at_10") == "search"
    assert target_of("ndcg_at_10", target="ads") == "ads"
    assert target_of("ndcg_at_10", namespace="ads-prod") == "ads"
    assert "no signal of the contract of ads" in target_of("vector_index_errors", target="ads")
    assert "not one of this configuration" in target_of("ndcg_at_10", target="gone")
    clock = FrozenClock()
    wish = wanted(routing, clock, Wish(action="diagnose", by="Ann"), signal="ndcg_at_10", target="ads", reason="why")
    assert wish.target == "ads"
    with pytest.raises(InvalidInput, match="is not in the contract"):
        wanted(
            routing, clock, Wish(action="diagnose", by="Ann"), signal="vector_index_errors", target="ads", reason="why"
        )


def test_a_route_to_a_further_target_knows_its_signals(tmp_path: Path) -> None:
    known, further = ["ndcg_at_10", "latency_p95_ms"], {"ads": ["ndcg_at_10"]}
    wrong = [RouteConfig(match={"a": "b"}, target="ads", signal="latency_p95_ms")]
    with pytest.raises(ConfigurationError, match=r"routes\.0\.signal"):
        routing_of(known, {}, "search", "dev", wrong, further)
    with pytest.raises(ConfigurationError, match="Use search or ads"):
        routing_of(known, {}, "search", "dev", [RouteConfig(match={"a": "b"}, target="gone")], further)


def test_labels_narrow_every_query_of_a_target_and_its_alerting_rules(tmp_path: Path) -> None:
    config = two(tmp_path)
    ads = chosen_config(config, "ads")
    assert catalog(config)["ndcg_at_10"].value.labels == {"service": "search"}
    assert catalog(ads)["ndcg_at_10"].value.labels == {"service": "ads"}
    text, _ = rules_of(ads, timedelta(seconds=30))
    assert 'service="ads"' in text
    assert "target: ads" in text
    with pytest.raises(InvalidInput, match="target"):
        chosen_config(config, "gone")


def test_metrics_with_labels_read_no_other_series() -> None:
    clock = FrozenClock()
    metrics = MemoryMetrics(clock)
    for name, value in (("search", 1.0), ("ads", 2.0)):
        metrics.add("load", value, {"service": name})
    mine = LabelledMetrics(metrics, {"service": "ads"})
    assert mine.read(SeriesQuery(metric="load")).value == 2.0
    assert mine.read(SeriesQuery(metric="load", labels={"service": "search"})).value == 2.0
    assert (mine.name, mine.check(), list(mine.labels("load", "service"))) == (
        metrics.name,
        metrics.check(),
        ["ads", "search"],
    )


def _folder(place: Path) -> Path:
    place.mkdir()
    return place


def _values(name: str) -> str:
    return f"# Of {name}.\n" + VALUES.format(version="1", digest="sha256:" + "0" * 64)
