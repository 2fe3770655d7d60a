"""Pages: every thing once, in order, whatever is added meanwhile; and cursors that are nobody else's."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from adapters.store.base import FlagRow
from service.api.serving import Serving
from tests.api.conftest import Clients, good, problem

HISTORY, CYCLES = "/api/v1/flags/history", "/api/v1/cycles"


def test_every_cycle_comes_once_in_pages_of_any_size(viewer: TestClient) -> None:
    whole = [row["id"] for row in good(viewer.get(CYCLES))["items"]]
    for limit in (1, 2, 4, 6, 7):
        seen: list[str] = []
        link: str | None = f"{CYCLES}?limit={limit}&environment=dev"
        while link:
            answer = viewer.get(link)
            page = good(answer)
            assert len(page["items"]) <= limit
            seen += [row["id"] for row in page["items"]]
            link = page["next"]
            assert ("link" in answer.headers) == (link is not None)
            assert link is None or "environment=dev" in link
        assert seen == whole


def changed(served: Serving, times: int, **row: Any) -> None:
    for _ in range(times):
        flag = FlagRow(name="auto_promote", enabled=False, details=row)
        served.app.ports.store.set_flag(flag, by="ann", at=served.clock.now())


def test_what_is_added_meanwhile_shifts_nothing_and_equal_things_are_told_apart(
    bare: Serving, clients: Clients
) -> None:
    changed(bare, 5)  # five changes that look the same
    bare.clock.sleep(timedelta(seconds=1))
    changed(bare, 2, later=1)
    viewer = clients("viewer")
    first = good(viewer.get(f"{HISTORY}?limit=3"))
    changed(bare, 4, later=2)
    second = good(viewer.get(first["next"]))
    third = good(viewer.get(second["next"]))
    seen = [*first["items"], *second["items"], *third["items"]]
    assert [item["details"] for item in seen] == [{"later": 1}] * 2 + [{}] * 5
    assert third["next"] is None


def test_a_cursor_belongs_to_its_list_and_its_filters(viewer: TestClient) -> None:
    cursor = good(viewer.get(f"{CYCLES}?limit=1&environment=dev"))["next"].partition("cursor=")[2]
    good(viewer.get(f"{CYCLES}?limit=2&environment=dev&cursor={cursor}"))
    for foreign in (
        f"{CYCLES}?cursor={cursor}",
        f"{CYCLES}?environment=dev&target=ads&cursor={cursor}",
        f"{HISTORY}?cursor={cursor}",
    ):
        assert problem(viewer.get(foreign), 422)["field"] == "cursor"


def made_up(mark: str, position: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps([mark, position]).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    ["AAAA", "bm90aGluZw", made_up("x", "y"), made_up("", 1), "W10", "eyJhIjoxfQ", "_" * 600, "x" * 601, "=", "a b"],
)
def test_a_cursor_that_is_made_up_is_refused(viewer: TestClient, cursor: str) -> None:
    for place in (CYCLES, HISTORY, "/api/v1/audit/records", "/api/v1/approvals"):
        assert problem(viewer.get(place, params={"cursor": cursor}), 422)["field"] == "cursor"


def test_a_position_that_is_none_is_refused_where_positions_are_numbers_or_cycles(viewer: TestClient) -> None:
    for place in ("/api/v1/audit/records", CYCLES):
        link = good(viewer.get(f"{place}?limit=1"))["next"]
        cursor = link.partition("cursor=")[2]
        mark = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[0]
        for position in ("-1", "x", "\u0661", "9" * 30, "1 OR 1=1", "si_1", "\x00", "\ud800"):
            answer = viewer.get(place, params={"cursor": made_up(mark, position)})
            assert problem(answer, 422)["field"] in ("cursor", "cycle_id")
