"""Cycles over HTTP: listed, shown, asked for, steered, proved and replayed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from adapters.workflow.dbos import DbosWorkflow
from cycles.engine import Engine
from cycles.intake import take_turn
from domain.stage import Stage
from domain.wish import Wish
from service.api.app import create_app
from service.api.serving import Serving
from tests.api.conftest import Clients, good, made, notes, problem

CYCLES = "/api/v1/cycles"
NOISE, RESTORED, ROLLED_BACK, IMPROVED, WAITING, OTHER = (f"si_2026_01_01_00{n}" for n in range(1, 7))


def ids(viewer: TestClient, **filters: str) -> list[str]:
    return [row["id"] for row in good(viewer.get(CYCLES, params=filters))["items"]]


def test_cycles_are_listed_newest_first_and_by_what_is_asked_for(viewer: TestClient) -> None:
    assert ids(viewer) == [OTHER, WAITING, IMPROVED, ROLLED_BACK, RESTORED, NOISE]
    assert ids(viewer, open="true") == [OTHER, WAITING]
    assert ids(viewer, target="ads") == [OTHER]
    assert ids(viewer, outcome="rolled_back") == [ROLLED_BACK]
    assert ids(viewer, action="retrain", open="false") == [IMPROVED, ROLLED_BACK]
    assert ids(viewer, signal="latency_p95_ms") == [OTHER]
    assert ids(viewer, stage="promote", environment="dev") == [WAITING]
    assert ids(viewer, since="2026-01-01T02:10:40Z", until="2026-01-01T02:26:00+00:00") == [IMPROVED]
    assert ids(viewer, fingerprint="f-ads") == [OTHER]
    assert ids(viewer, target="nothing") == []


def test_a_row_says_how_a_cycle_ended_and_whether_that_was_measured(viewer: TestClient) -> None:
    rows = {row["id"]: row for row in good(viewer.get(CYCLES))["items"]}
    assert (rows[IMPROVED]["outcome"], rows[IMPROVED]["verified"], rows[IMPROVED]["open"]) == ("improved", True, False)
    assert (rows[OTHER]["outcome"], rows[OTHER]["verified"], rows[OTHER]["open"]) == (None, None, True)


@pytest.mark.parametrize(
    ("filters", "field"),
    [
        ({"open": "yes"}, "open"),
        ({"stage": "lunch"}, "stage"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"target": "a b"}, "target"),
        ({"limit": "0"}, "limit"),
        ({"limit": "501"}, "limit"),
        ({"cursor": "!"}, "cursor"),
    ],
)
def test_a_filter_that_is_none_is_refused_by_its_name(viewer: TestClient, filters: dict[str, str], field: str) -> None:
    assert problem(viewer.get(CYCLES, params=filters), 422)["field"] == field


def test_a_cycle_is_shown_with_what_is_known_of_it(viewer: TestClient) -> None:
    answer = viewer.get(f"{CYCLES}/{IMPROVED}")
    found = good(answer)
    assert found["alert"]["name"] == "SignalBreached"
    assert set(found["timings"]) >= {"observe", "train", "watch"}
    assert {"outcome.json", "evaluation.json"} <= set(found["artifacts"])
    assert found["records"] > 50
    tag = answer.headers["etag"]
    assert viewer.get(f"{CYCLES}/{IMPROVED}", headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("what", ["", "/events", "/verify", "/report", "/artifacts", "/artifacts/outcome.json"])
def test_a_cycle_that_is_not_there_is_not_found_whatever_is_asked_of_it(viewer: TestClient, what: str) -> None:
    told = problem(viewer.get(f"{CYCLES}/si_2031_01_01_001{what}"), 404)
    assert told["field"] == "cycle_id"
    assert problem(viewer.get(f"{CYCLES}/si_1{what}"), 422)["field"] == "cycle_id"


def test_what_happened_is_told_in_order_and_in_pages(viewer: TestClient) -> None:
    seen: list[dict[str, Any]] = []
    place: str | None = f"{CYCLES}/{IMPROVED}/events?limit=50"
    while place:
        page = good(viewer.get(place))
        seen += page["items"]
        place = page["next"]
    numbers = [item["sequence"] for item in seen]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == good(viewer.get(f"{CYCLES}/{IMPROVED}"))["records"]
    assert {item["cycle_id"] for item in seen} == {IMPROVED}
    later = good(viewer.get(f"{CYCLES}/{IMPROVED}/events", params={"after": str(numbers[-3])}))
    assert [item["sequence"] for item in later["items"]] == numbers[-2:]


def test_a_cycle_is_proved_link_by_link(viewer: TestClient) -> None:
    found = good(viewer.get(f"{CYCLES}/{IMPROVED}/verify"))
    assert (found["verified"], found["cycle_id"]) == (True, IMPROVED)
    assert {"audit chain", "live", "registered model"} <= {check["name"] for check in found["checks"]}


def test_a_cycle_is_replayed_to_the_same_and_with_other_gates_to_where_they_part(read_only: FastAPI) -> None:
    operator = made(read_only, "operator")
    same = good(operator.post(f"{CYCLES}/{IMPROVED}/replay"))
    assert (same["same"], same["partings"]) == (True, [])
    assert same["decisions"] > 20
    stricter = {"gates": "quality_gates: {ndcg_at_10: {threshold: 0.9}}"}
    parted = good(operator.post(f"{CYCLES}/{IMPROVED}/replay", json=stricter))
    assert parted["partings"][0]["stage"] == "evaluate"
    assert problem(operator.post(f"{CYCLES}/{IMPROVED}/replay", json={"gates": ": ["}), 422)["field"] == "gates"
    problem(operator.post(f"{CYCLES}/{OTHER}/replay"), 409)
    problem(made(read_only, "viewer").post(f"{CYCLES}/{IMPROVED}/replay"), 403)


def test_a_cycle_that_is_asked_for_comes_by_the_inbox_with_its_bounds_and_its_person(
    recorded: Serving, clients: Clients
) -> None:
    operator = clients("operator")
    end(recorded, OTHER)
    wish = {"signal": "latency_p95_ms", "reason": "it feels slow", "target": "ads", "only_diagnose": True}
    answer = operator.post(CYCLES, json=wish, headers={"Idempotency-Key": "k1"})
    told = good(answer, 202)
    assert operator.post(CYCLES, json=wish, headers={"Idempotency-Key": "k1"}).json() == told
    assert recorded.app.inbox.counts().waiting == 1
    assert good(operator.get(told["cycles"]))["items"] == []
    assert take_turn(recorded.app.inbox, recorded.clock) is not None
    assert answer.headers["location"] == told["cycles"]
    [row] = good(operator.get(told["cycles"]))["items"]
    cycle = recorded.app.ports.store.cycle(row["id"])
    assert cycle is not None
    bounds = Wish.of(cycle.alert)
    assert bounds is not None
    assert (bounds.by, bounds.only_diagnose, cycle.alert.annotations["reason"]) == ("Dora", True, "it feels slow")
    [(actor, body)] = notes(recorded, "cycle_asked")
    assert (actor, body["fingerprint"]) == ("Dora", told["fingerprint"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"signal": "happiness"}, "signal"),
        ({"target": "moon"}, "target"),
        ({"reason": "  "}, "reason"),
        ({"action": "promote"}, "action"),
        ({"only_diagnose": "yes"}, "only_diagnose"),
        ({"by": "Ann"}, "by"),
    ],
)
def test_a_cycle_that_cannot_be_asked_for_is_not(
    bare: Serving, clients: Clients, change: dict[str, object], field: str
) -> None:
    wish = {"signal": "latency_p95_ms", "reason": "it feels slow", **change}
    assert problem(clients("operator").post(CYCLES, json=wish), 422)["field"] == field
    assert bare.app.inbox.counts().waiting == 0
    assert notes(bare, "cycle_asked") == []


def test_a_cycle_is_called_off_by_whoever_operates_and_that_is_on_record(recorded: Serving, clients: Clients) -> None:
    problem(clients("approver").post(f"{CYCLES}/{OTHER}/cancel"), 403)
    row = good(clients("operator").post(f"{CYCLES}/{OTHER}/cancel", json={"reason": "a mistake"}), 202)
    assert row["cancel_requested"] is True
    assert notes(recorded, "cancel_requested") == [("Dora", {"reason": "a mistake"})]
    told = problem(clients("operator").post(f"{CYCLES}/{IMPROVED}/cancel"), 409)
    assert "has ended: improved" in told["detail"]


def test_a_cycle_without_a_workflow_is_gone_on_with(served: Serving, clients: Clients) -> None:
    operator = clients("operator")
    row = good(operator.post(f"{CYCLES}/{OTHER}/resume", json={"reason": "nobody works on it"}), 202)
    assert row["open"] is False
    assert notes(served, "resume_asked") == [("Dora", {"reason": "nobody works on it"})]
    problem(operator.post(f"{CYCLES}/{OTHER}/resume"), 409)


def end(served: Serving, cycle_id: str) -> None:
    """End a cycle long ago."""
    cycle = served.app.ports.store.cycle(cycle_id)
    assert cycle is not None
    served.app.ports.store.save(cycle.at(Stage.CANCELLED, served.clock.now() - timedelta(hours=1)))


def test_a_process_that_runs_no_cycles_shows_them_and_says_who_goes_on_with_one(
    recorded: Serving, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = DbosWorkflow(
        f"sqlite:///{tmp_path_factory.mktemp('workflows')}/w.db", clock=recorded.clock, application_version="1"
    )
    app = create_app(replace(recorded, app=replace(recorded.app, engine=Engine(recorded.app.office, elsewhere))))
    operator = made(app, "operator")
    assert good(operator.get(f"{CYCLES}/{WAITING}"))["workflow"] == "elsewhere"
    told = problem(operator.post(f"{CYCLES}/{WAITING}/resume"), 409)
    assert "runs no cycles" in told["detail"]
    assert "evercrew serve" in told["remedy"]
    assert notes(recorded, "resume_asked") == []
