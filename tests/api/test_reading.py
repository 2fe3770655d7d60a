"""Policies, budgets, the audit chain, targets and reports over HTTP: what is read is what there is."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from adapters.audit.export import VERIFIER
from domain.errors import DependencyUnavailable
from service.api.serving import Serving
from service.weekly.make import made as weekly
from tests.api.conftest import Clients, good, made, notes, problem


def walked(client: TestClient, place: str) -> Iterator[dict[str, Any]]:
    """Follow the pages of a list to its end."""
    link: str | None = place
    while link:
        answer = client.get(link)
        page = good(answer)
        yield from page["items"]
        link = page["next"]
        assert answer.headers.get("link", "") == (f'<{link}>; rel="next"' if link else "")


# -- policies ---------------------------------------------------------------------------------------------------------


def test_the_set_in_force_is_named_by_its_hash_and_is_sound(viewer: TestClient, read_only: FastAPI) -> None:
    serving: Serving = read_only.state.serving
    found = good(viewer.get("/api/v1/policies"))
    assert (found["policy_hash"], found["problem"]) == (serving.app.policies.policy_hash, "")
    assert "access.cedar" in found["files"]
    check = good(viewer.get("/api/v1/policies/check"))
    assert (check["sound"], check["findings"], check["policies"]) == (True, [], found["policies"])


def test_the_matrix_says_who_may_do_what_where(viewer: TestClient) -> None:
    rows = good(viewer.get("/api/v1/policies/matrix"))["rows"]
    assert {row["environment"] for row in rows} == {"dev", "staging", "production"}
    [row] = good(viewer.get("/api/v1/policies/matrix?environment=production&tool=promote&role=metrics_analyst"))["rows"]
    assert (row["word"], row["answers"]["agent"]) == ("never", "never")


def test_a_decision_is_explained_with_what_would_change_it(viewer: TestClient) -> None:
    asked = {"role": "devops_engineer", "tool": "promote", "environment": "production"}
    found = good(viewer.get("/api/v1/policies/explain", params={**asked, "context": '{"kill_switch": true}'}))
    assert (found["answer"], found["context"]["kill_switch"]) == ("never", True)
    assert any(flip["field"] == "kill_switch" for flip in found["flips"])


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"role": "janitor"}, "role"),
        ({"tool": "drop_table"}, "tool"),
        ({"environment": "moon"}, "environment"),
        ({"via": "mail"}, "via"),
        ({"context": "["}, "context"),
        ({"context": '{"a": {}}'}, "context"),
        ({"context": '{"a": null}'}, "context"),
    ],
)
def test_what_cannot_be_explained_is_refused_by_its_field(
    viewer: TestClient, change: dict[str, str], field: str
) -> None:
    asked = {"role": "devops_engineer", "tool": "promote", **change}
    assert problem(viewer.get("/api/v1/policies/explain", params=asked), 422)["field"] == field


# -- budgets ----------------------------------------------------------------------------------------------------------


def test_the_accounts_say_what_is_spent_and_left_and_add_up(viewer: TestClient) -> None:
    now = {each["name"]: each for each in good(viewer.get("/api/v1/budgets"))["accounts"]}
    everything = good(viewer.get("/api/v1/budgets?all=true"))["accounts"]
    assert len(everything) > len(now) > 0
    spent = next(each for name, each in now.items() if name.startswith("period/search/dev"))
    assert spent["spent"]["cycles"] == 4
    assert good(viewer.get("/api/v1/budgets/check"))["whole"] is True
    [mine] = good(viewer.get("/api/v1/budgets?cycle=si_2026_01_01_004"))["accounts"]
    assert mine["name"] == "cycle/si_2026_01_01_004"
    problem(viewer.get("/api/v1/budgets?cycle=si_2031_01_01_001"), 404)


def test_every_move_of_an_account_is_in_its_history(viewer: TestClient) -> None:
    account = "cycle/si_2026_01_01_004"
    entries = list(walked(viewer, f"/api/v1/budgets/history?limit=3&account={account}"))
    numbers = [entry["sequence"] for entry in entries]
    assert numbers == sorted(numbers, reverse=True)
    assert {entry["account"] for entry in entries} == {account}
    [now] = good(viewer.get("/api/v1/budgets?cycle=si_2026_01_01_004"))["accounts"]
    assert sum(entry["spent"].get("usd_micros", 0) for entry in entries) == now["spent"]["usd_micros"]


# -- the audit chain --------------------------------------------------------------------------------------------------


def test_the_chain_is_read_backwards_in_pages_and_whole(viewer: TestClient) -> None:
    head = good(viewer.get("/api/v1/audit/head"))
    numbers = [record["sequence"] for record in walked(viewer, "/api/v1/audit/records?limit=50")]
    assert numbers == list(range(head["records"], 0, -1))
    last = good(viewer.get(f"/api/v1/audit/records/{head['records']}"))
    assert last["hash"] == head["hash"]
    before = good(viewer.get(f"/api/v1/audit/records/{head['records'] - 1}"))
    assert last["previous"] == before["hash"]
    assert problem(viewer.get(f"/api/v1/audit/records/{head['records'] + 1}"), 404)["field"] == "sequence"


def test_records_are_found_by_what_they_say(viewer: TestClient) -> None:
    mine = list(walked(viewer, "/api/v1/audit/records?cycle=si_2026_01_01_003&kind=outcome&tool=roll_back"))
    assert {(r["cycle_id"], r["kind"], r["tool"]) for r in mine} == {("si_2026_01_01_003", "outcome", "roll_back")}
    refused = list(walked(viewer, "/api/v1/audit/records?kind=refusal&actor=devops"))
    assert refused
    assert all(r["actor"].startswith("devops") for r in refused)
    assert list(walked(viewer, "/api/v1/audit/records?since=2030-01-01T00:00:00Z")) == []
    assert problem(viewer.get("/api/v1/audit/records?kind=gossip"), 422)["field"] == "kind"


def test_the_whole_chain_is_proved_and_a_change_in_it_is_found(recorded: Serving, clients: Clients) -> None:
    import sqlite3
    from contextlib import closing

    viewer = clients("viewer")
    proof = good(viewer.get("/api/v1/audit/verify"))
    assert proof["proof"]["verified"] is True
    assert set(proof["elsewhere"]) == {"commits", "backups"}
    with closing(sqlite3.connect(recorded.app.config.audit_file)) as chain, chain:
        triggers = [name for (name,) in chain.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in triggers:
            chain.execute(f"DROP TRIGGER {name}")
        forged = """UPDATE records SET body = replace(body, '"stage":"', '"stage":"x') WHERE sequence = 160"""
        chain.execute(forged)
    broken = good(viewer.get("/api/v1/audit/verify?elsewhere=false"))["proof"]
    assert (broken["verified"], broken["record"], broken["why"]) == (False, 160, "changed")


def test_an_export_is_verified_by_a_third_party_and_is_on_record(
    served: Serving, clients: Clients, tmp_path: Path
) -> None:
    problem(clients("operator").get("/api/v1/audit/export"), 403)
    for scope, query in (("whole", ""), ("si_2026_01_01_004", "?cycle=si_2026_01_01_004")):
        answer = clients("admin").get(f"/api/v1/audit/export{query}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
        file = tmp_path / f"{scope}.jsonl"
        file.write_bytes(answer.content)
        header = json.loads(answer.text.splitlines()[0])
        assert header["scope"] == scope
        public = header["keys"][header["key"]]
        checked = subprocess.run(
            [sys.executable, "-I", str(VERIFIER), str(file), public], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
    assert notes(served, "audit_exported") == [
        ("Ann", {"scope": "whole"}),
        ("Ann", {"scope": "si_2026_01_01_004"}),
    ]
    problem(clients("admin").get("/api/v1/audit/export?cycle=si_2031_01_01_001"), 404)


# -- targets ----------------------------------------------------------------------------------------------------------


def test_a_target_is_shown_with_its_contract_and_what_is_live(viewer: TestClient) -> None:
    rows = {row["name"]: row for row in good(viewer.get("/api/v1/targets"))["targets"]}
    assert rows["search"]["open_cycle"] == "si_2026_01_01_005"
    found = good(viewer.get("/api/v1/targets/search"))
    assert found["live"]["digest"].startswith("sha256:")
    assert {"ndcg_at_10", "latency_p95_ms"} <= {row["name"] for row in found["signals"]}
    problem(viewer.get("/api/v1/targets/moon"), 404)


def test_every_signal_is_measured_now_and_one_that_cannot_be_says_why(served: Serving, clients: Clients) -> None:
    viewer = clients("viewer")
    found = good(viewer.get("/api/v1/targets/search/health"))
    readings = {each["name"]: each for each in found["signals"]}
    assert readings["ndcg_at_10"]["current"]["n"] > 0
    assert found["breached"] == []

    def away(*_args: object, **_named: object) -> object:
        raise DependencyUnavailable("metrics", "is away")

    reader: Any = type(served.app.reader)
    kept = reader.reading
    reader.reading = away
    try:
        dark = good(viewer.get("/api/v1/targets/search/health"))
    finally:
        reader.reading = kept
    assert {each["breached"] for each in dark["signals"]} == {None}
    assert all("is away" in each["reason"] for each in dark["signals"])


# -- reports ----------------------------------------------------------------------------------------------------------


def test_weekly_reports_come_in_their_formats(recorded: Serving, clients: Clients) -> None:
    viewer = clients("viewer")
    assert good(viewer.get("/api/v1/reports/weekly"))["items"] == []
    report = weekly(recorded.app)
    [row] = good(viewer.get("/api/v1/reports/weekly"))["items"]
    assert (row["id"], row["title"]) == (report.id, report.title)
    forms = {"json": "application/json", "md": "text/markdown", "html": "text/html"}
    for form, kind in forms.items():
        answer = viewer.get(f"/api/v1/reports/weekly/{row['id']}?format={form}")
        assert answer.headers["content-type"].startswith(kind)
        assert answer.content
    problem(viewer.get("/api/v1/reports/weekly/2001-W01"), 404)
    assert problem(viewer.get("/api/v1/reports/weekly/..%2f..%2fx"), 404)


# -- health -----------------------------------------------------------------------------------------------------------


def test_health_answers_anybody_and_tells_nobody_why(bare: Serving, clients: Clients) -> None:
    from service.api.app import create_app

    def broken() -> None:
        raise DependencyUnavailable("worker", "postgresql://user:secret@db is away")

    app = create_app(bare, ready={"worker": broken})
    stranger = made(app, None)
    assert good(stranger.get("/healthz")) == {"status": "ok"}
    answer = stranger.get("/readyz")
    found = good(answer, 503)
    assert (found["ready"], {"name": "worker", "ok": False} in found["parts"]) == (False, True)
    assert "secret" not in answer.text
    assert good(made(create_app(bare), None).get("/readyz"))["ready"] is True


def test_a_part_that_hangs_is_not_ready_and_does_not_hold_up_the_answer(
    bare: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading
    from datetime import timedelta

    from service.api import health
    from service.api.app import create_app

    monkeypatch.setattr(health, "PATIENCE", timedelta(milliseconds=200))
    held = threading.Event()
    client = made(create_app(bare, ready={"worker": lambda: held.wait(20)}), None)
    assert good(client.get("/readyz"), 503)["ready"] is False
    assert good(client.get("/healthz")) == {"status": "ok"}
    held.set()


def test_an_export_that_fails_leaves_nothing_behind(
    recorded: Serving, clients: Clients, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, admin = tmp_path_factory.mktemp("scratch"), clients("admin")
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    [new] = [cycle for cycle in good(admin.get("/api/v1/cycles"))["items"] if cycle["target"] == "ads"]
    assert recorded.app.audit.records(new["id"]) == []
    assert problem(admin.get(f"/api/v1/audit/export?cycle={new['id']}"), 422)["field"]
    assert list(scratch.iterdir()) == []
    assert admin.get("/api/v1/audit/export").status_code == 200
    assert list(scratch.iterdir()) == []
