"""Flags over HTTP: as they count, set with a reason, and never by somebody who saw another state."""

from __future__ import annotations

import pytest

from service.api.serving import Serving
from tests.api.conftest import Clients, good, notes, problem

FLAG = "/api/v1/flags/auto_promote"
OFF = {"enabled": False, "environment": "dev", "reason": "a freeze"}


def test_a_flag_is_set_here_on_record_and_in_the_history(bare: Serving, clients: Clients) -> None:
    admin = clients("admin")
    after = good(admin.put(FLAG, json={**OFF, "enabled": True, "details": {"ticket": "OPS-1"}}))
    assert (after["enabled"], after["said_by"]) == (True, "by the row of dev")
    assert after["details"] == {"ticket": "OPS-1", "by": "Ann", "reason": "a freeze"}
    listed = {each["flag"]: each for each in good(admin.get("/api/v1/flags"))["flags"]}
    assert listed["auto_promote"] == after
    newest = good(admin.get("/api/v1/flags/history", params={"name": "auto_promote"}))["items"][0]
    assert (newest["by"], newest["enabled"], newest["environment"]) == ("Ann", True, "dev")
    [(actor, body)] = notes(bare, "flag_set")
    assert (actor, body["flag"], body["enabled"]) == ("Ann", "auto_promote", True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"reason": " "}, "reason"),
        ({"reason": "\ud800"}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"environment": "moon"}, "environment"),
        ({"enabled": "yes"}, "enabled"),
        ({"by": "Bob"}, "by"),
        ({"details": {"\ud800": 1}}, "details"),
        ({"details": {"n": float("inf")}}, "details"),
        ({"details": [1]}, "details"),
    ],
)
def test_what_cannot_be_set_is_refused_by_its_field_and_leaves_no_trace(
    bare: Serving, clients: Clients, change: dict[str, object], field: str
) -> None:
    import json

    content = json.dumps({**OFF, **change}).encode()
    told = problem(clients("admin").put(FLAG, content=content, headers={"Content-Type": "application/json"}), 422)
    assert told["field"].startswith(field)
    assert notes(bare, "flag_set") == []


def test_there_are_no_other_flags_and_the_kill_switch_is_none(bare: Serving, clients: Clients) -> None:
    for name in ("auto_everything", "kill_switch"):
        told = problem(clients("admin").put(f"/api/v1/flags/{name}", json=OFF), 404)
        assert "auto_promote" in told["remedy"]


def test_who_saw_another_state_does_not_change_it(bare: Serving, clients: Clients) -> None:
    admin = clients("admin")
    seen = admin.get(FLAG).headers["etag"]
    good(admin.put(FLAG, json={**OFF, "enabled": True}, headers={"If-Match": seen}))
    told = problem(admin.put(FLAG, json=OFF, headers={"If-Match": seen}), 412)
    assert told["field"] == "If-Match"
    assert good(admin.get(FLAG))["enabled"] is True
    now = admin.get(FLAG).headers["etag"]
    assert admin.put(FLAG, json=OFF, headers={"If-Match": f'"another", {now}'}).headers["etag"] != now
    good(admin.put(FLAG, json={**OFF, "enabled": True}, headers={"If-Match": "*"}))


def test_what_has_not_changed_is_not_sent_again(bare: Serving, clients: Clients) -> None:
    viewer = clients("viewer")
    for path in ("/api/v1/flags", FLAG, "/api/v1/kill-switch"):
        first = viewer.get(path)
        tag = first.headers["etag"]
        again = viewer.get(path, headers={"If-None-Match": f"W/{tag}"})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert viewer.get(path, headers={"If-None-Match": '"older"'}).content == first.content
    tag = viewer.get(FLAG).headers["etag"]
    good(clients("admin").put(FLAG, json={**OFF, "enabled": True}))
    assert viewer.get(FLAG, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("role", ["viewer", "operator", "approver"])
def test_only_an_admin_sets_flags(bare: Serving, clients: Clients, role: str) -> None:
    problem(clients(role).put(FLAG, json=OFF), 403)
    assert notes(bare, "flag_set") == []
