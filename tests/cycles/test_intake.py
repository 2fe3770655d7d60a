"""Webhook bodies: what Alertmanager and Grafana really send opens or joins a cycle; anything else is told why not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.store.memory import MemoryStore
from cycles.intake import MOST_ALERTS, Routing, parse_alerts, take
from domain.alert import AlertStatus
from domain.clock import FrozenClock
from domain.errors import InvalidInput
from domain.stage import Stage

CONTRACTS = Path(__file__).resolve().parents[3] / "shared" / "contracts" / "alert_payloads"
ROUTING = Routing(
    signals=("ndcg_at_10", "latency_p95_ms"),
    alert_names={"RelevanceDropped": "ndcg_at_10", "Odd": "no_such_signal", "High memory usage": "latency_p95_ms"},
    targets=("search", "suggest"),
    environment="dev",
)


def alert(**changes: Any) -> dict[str, Any]:
    """One alert as Alertmanager sends it."""
    plain = {
        "status": "firing",
        "labels": {"alertname": "RelevanceDropped", "severity": "critical"},
        "annotations": {"summary": "down by 7 %"},
        "startsAt": "2026-01-31T12:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus/graph",
        "fingerprint": "f1",
    }
    return {**plain, **changes}


def body(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A version 4 body."""
    plain = {
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "evercrew",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager",
        "alerts": list(alerts),
    }
    return {**plain, **changes}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


CLOCK = FrozenClock(datetime(2026, 1, 31, 12, 1, tzinfo=UTC))


def test_a_firing_alert_opens_a_cycle_with_the_signal_its_name_stands_for(store: MemoryStore) -> None:
    taken = take(body(alert()), ROUTING, store, CLOCK)
    [cycle] = taken.opened
    assert (cycle.id, cycle.stage) == ("si_2026_01_31_001", Stage.OBSERVE)
    assert (cycle.alert.signal, cycle.alert.target, cycle.alert.environment) == ("ndcg_at_10", "search", "dev")
    assert cycle.alert.starts_at == datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
    assert cycle.alert.source == "alertmanager"
    assert "down by 7 %" in cycle.alert.text().text
    assert (taken.joined, taken.ignored, taken.truncated) == ((), (), 0)


def test_a_label_names_the_signal_before_the_alert_name_does(store: MemoryStore) -> None:
    labels = {"alertname": "RelevanceDropped", "signal": "latency_p95_ms", "target": "suggest", "environment": "dev"}
    [cycle] = take(body(alert(labels=labels)), ROUTING, store, CLOCK).opened
    assert (cycle.alert.signal, cycle.target) == ("latency_p95_ms", "suggest")


def test_the_same_fingerprint_joins_the_open_cycle(store: MemoryStore) -> None:
    first = take(body(alert()), ROUTING, store, CLOCK)
    again = take(body(alert(), alert(fingerprint="f2")), ROUTING, store, CLOCK)
    assert again.opened == ()
    assert {cycle.id for cycle in again.joined} == {first.opened[0].id}
    assert len(store.cycles()) == 1


def test_after_the_end_the_same_alert_opens_the_next_cycle(store: MemoryStore) -> None:
    [cycle] = take(body(alert()), ROUTING, store, CLOCK).opened
    store.save(cycle.model_copy(update={"stage": Stage.DONE}))
    [following] = take(body(alert()), ROUTING, store, CLOCK).opened
    assert following.id == "si_2026_01_31_002"


def test_a_resolved_alert_opens_none(store: MemoryStore) -> None:
    taken = take(body(alert(status="resolved", endsAt="2026-01-31T12:30:00Z")), ROUTING, store, CLOCK)
    assert taken.opened == ()
    assert "resolved" in taken.ignored[0]
    assert store.cycles() == []


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({}, "no signal"),
        ({"alertname": "Unheard"}, "no signal"),
        ({"alertname": "Odd"}, "no signal"),
        ({"signal": "bananas"}, "no signal"),
        ({"signal": "ndcg_at_10", "target": "payments"}, "target or environment"),
        ({"signal": "ndcg_at_10", "environment": "production"}, "target or environment"),
    ],
)
def test_what_is_none_of_ours_is_ignored_with_the_reason(
    store: MemoryStore, labels: dict[str, str], reason: str
) -> None:
    taken = take(body(alert(labels=labels)), ROUTING, store, CLOCK)
    assert taken.opened == ()
    assert reason in taken.ignored[0]
    assert store.cycles() == []


def test_alerts_that_were_left_out_are_counted(store: MemoryStore) -> None:
    assert take(body(alert(), truncatedAlerts=7), ROUTING, store, CLOCK).truncated == 7


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (None, "body"),
        ([], "body"),
        ("{}", "body"),
        ({}, "alerts"),
        ({"version": None}, "version"),
        (body(version="3"), "version"),
        (body(version=4), "version"),
        (body(alerts=None), "alerts"),
        (body(receiver=None), "receiver"),
        (body(truncatedAlerts=-1), "truncatedAlerts"),
        (body(alert(status="pending")), "alerts.0.status"),
        (body(alert(), alert(fingerprint="")), "alerts.1.fingerprint"),
        (body(alert(startsAt="yesterday")), "alerts.0.startsAt"),
        (body(alert(startsAt="2026-01-31T12:00:00")), "alerts.0.startsAt"),
        (body(alert(labels={"alertname": 3})), "alerts.0.labels.alertname"),
        (body(alert(annotations=["x"])), "alerts.0.annotations"),
        (body(*[alert()] * (MOST_ALERTS + 1)), "alerts"),
    ],
)
def test_a_malformed_body_opens_nothing_and_the_field_is_named(store: MemoryStore, bad: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as problem:
        take(bad, ROUTING, store, CLOCK)
    assert problem.value.field == field
    assert store.cycles() == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)
    )
)
def test_whatever_is_sent_is_parsed_or_refused(bad: Any) -> None:
    with pytest.raises(InvalidInput):
        parse_alerts(bad, ROUTING)


@given(
    labels=st.dictionaries(st.text(max_size=20), st.text(max_size=50)),
    annotations=st.dictionaries(st.text(), st.text()),
)
def test_labels_and_annotations_never_name_anything_of_ours_by_themselves(
    labels: dict[str, str], annotations: dict[str, str]
) -> None:
    alerts, _, _ = parse_alerts(body(alert(labels=labels, annotations=annotations)), ROUTING)
    for one in alerts:
        assert one.signal in ROUTING.signals
        assert one.target in ROUTING.targets
        assert one.environment == ROUTING.environment


def test_our_bodies_are_what_alertmanager_documents() -> None:
    schema = CONTRACTS / "alertmanager_webhook_v4.schema.json"
    if not schema.exists():
        pytest.skip("the published webhook schema is not here")
    from jsonschema import Draft202012Validator

    Draft202012Validator(json.loads(schema.read_text())).validate(body(alert()))
    assert parse_alerts(body(alert()), ROUTING)[0][0].status is AlertStatus.FIRING


def test_grafanas_own_example_is_understood(store: MemoryStore) -> None:
    example = CONTRACTS / "grafana_webhook_example.json"
    if not example.exists():
        pytest.skip("the published Grafana example is not here")
    taken = take(json.loads(example.read_text()), ROUTING, store, CLOCK)
    [cycle] = taken.opened
    assert (cycle.alert.source, cycle.alert.signal, cycle.alert.name) == (
        "grafana",
        "latency_p95_ms",
        "High memory usage",
    )
    assert len(taken.ignored) == 1
