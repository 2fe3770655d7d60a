"""Weekly reports that are asked for over HTTP: made of the record as it is now, kept, and on record."""

from __future__ import annotations

import pytest

from service.api.serving import Serving
from tests.api.conftest import Clients, good, notes, problem

WEEKLY = "/api/v1/reports/weekly"


def test_an_operator_has_a_report_made_and_it_is_kept_and_on_record(recorded: Serving, clients: Clients) -> None:
    operator = clients("operator")
    answer = operator.post(WEEKLY, json={"week": "2026-W01"}, headers={"Idempotency-Key": "k1"})
    made_ = good(answer, 201)
    assert made_["id"] == "2026-W01"
    assert good(operator.get(answer.headers["location"]))["id"] == "2026-W01"
    assert good(operator.get(WEEKLY))["items"] == [made_]
    [(by, body)] = notes(recorded, "weekly_report")
    assert (by, body["report"]) == ("Dora", "2026-W01")
    again = operator.post(WEEKLY, json={"week": "2026-W01"}, headers={"Idempotency-Key": "k1"})
    assert (good(again, 201), again.headers["idempotency-replayed"]) == (made_, "true")
    assert len(notes(recorded, "weekly_report")) == 1
    days = good(operator.post(WEEKLY, json={"from": "2026-01-01", "to": "2026-01-02"}), 201)
    assert days["id"] == "2026-01-01_2026-01-02"
    assert good(operator.post(WEEKLY), 201)["id"] == "2025-W52"


@pytest.mark.parametrize("role", ["viewer", "approver"])
def test_who_may_only_look_has_no_report_made(bare: Serving, clients: Clients, role: str) -> None:
    problem(clients(role).post(WEEKLY), 403)
    assert notes(bare, "weekly_report") == []


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"week": "2026-W99"}, "week"),
        ({"week": "next"}, "week"),
        ({"week": "9999-W52"}, "week"),
        ({"week": "2026-W01", "from": "2026-01-01"}, "week"),
        ({"from": "2026-01-01"}, "to"),
        ({"from": "2026-02-01", "to": "2026-01-01"}, "to"),
        ({"from": "2026-13-01", "to": "2026-01-01"}, "from"),
        ({"day": "2026-01-01"}, "day"),
    ],
)
def test_a_stretch_that_is_none_is_refused_by_its_field(
    bare: Serving, clients: Clients, wish: dict[str, str], field: str
) -> None:
    assert problem(clients("operator").post(WEEKLY, json=wish), 422)["field"] == field
