"""What classes of action may do by themselves, and the caps of admins, over HTTP: as on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from cycles.autonomy import CAPPED
from domain.access import AccessRole, Caller
from domain.autonomy import Level
from domain.errors import AuditUnavailable, InvalidInput
from domain.people import People, Person
from policies.consent import CLASSES
from service.api.serving import Serving
from tests.api.conftest import Clients, good, notes, problem

AUTONOMY = "/api/v1/autonomy"
CAP = f"{AUTONOMY}/promote/cap"
LOW: dict[str, Any] = {"level": "suggest", "reason": "an audit"}


def level(bare: Serving, kind: str = "promote") -> Level:
    """Return what a call of a class may do now, as the door is told."""
    return bare.app.office.autonomy.standing(kind, bare.app.profile.name).level


def test_every_class_is_shown_with_what_its_level_rests_on(recorded: Serving, clients: Clients) -> None:
    viewer = clients("viewer")
    listed = good(viewer.get(AUTONOMY))["classes"]
    assert [row["kind"] for row in listed] == list(CLASSES)
    shown = viewer.get(f"{AUTONOMY}/promote")
    assert good(shown) in listed
    assert (shown.json()["trials"], shown.json()["cap"]) == (2, None)
    assert viewer.get(f"{AUTONOMY}/promote", headers={"If-None-Match": shown.headers["etag"]}).status_code == 304
    history = good(viewer.get(f"{AUTONOMY}/promote/history"))
    assert [trial["outcome"] for trial in history["trials"]] == ["rolled_back", "improved"]
    assert [trial["success"] for trial in history["trials"]] == [False, True]
    for path in (f"{AUTONOMY}/everything", f"{AUTONOMY}/everything/history"):
        assert problem(viewer.get(path), 404)["field"] == "kind"


def test_an_admin_caps_a_class_and_lifts_the_cap_on_record(bare: Serving, clients: Clients) -> None:
    admin, before = clients("admin"), level(bare)
    capped = good(admin.put(CAP, json=LOW))
    assert (capped["level"], capped["cap"]["by"], capped["cap"]["reason"]) == ("suggest", "Ann", "an audit")
    assert level(bare) is Level.SUGGEST
    assert good(admin.put(CAP, json={"level": None, "reason": "it is over"}))["level"] == before.value
    assert level(bare) is before
    said = notes(bare, CAPPED)
    assert [(by, body["level"]) for by, body in said] == [("Ann", "suggest"), ("Ann", None)]
    assert said[0][1]["proof"] == {"how": "session", "who": "Ann", "signature": ""}
    caps = good(admin.get(f"{AUTONOMY}/promote/history"))["caps"]
    assert [(cap["level"], cap["reason"]) for cap in caps] == [("suggest", "an audit"), (None, "it is over")]


@pytest.mark.parametrize("role", ["viewer", "operator", "approver"])
def test_nobody_else_caps_anything(bare: Serving, clients: Clients, role: str) -> None:
    problem(clients(role).put(CAP, json=LOW), 403)
    assert notes(bare, CAPPED) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"level": "act"}, "level"),
        ({"level": "none"}, "level"),
        ({"reason": " "}, "reason"),
        ({"reason": None}, "reason"),
        ({"environment": "production"}, "environment"),
    ],
)
def test_a_cap_that_is_none_is_refused_by_its_field(
    bare: Serving, clients: Clients, change: dict[str, Any], field: str
) -> None:
    assert problem(clients("admin").put(CAP, json={**LOW, **change}), 422)["field"] == field
    assert problem(clients("admin").put(CAP, json={"reason": "r"}), 422)["field"] == "level"
    assert notes(bare, CAPPED) == []


def test_a_cap_is_put_once_and_only_while_it_is_as_it_was_read(bare: Serving, clients: Clients) -> None:
    admin = clients("admin")
    tag = admin.get(f"{AUTONOMY}/promote").headers["etag"]
    headers = {"Idempotency-Key": "k1", "If-Match": tag}
    assert good(admin.put(CAP, json=LOW, headers=headers)) == good(admin.put(CAP, json=LOW, headers=headers))
    assert len(notes(bare, CAPPED)) == 1
    problem(admin.put(CAP, json={"level": None, "reason": "r"}, headers={"If-Match": tag}), 412)
    assert level(bare) is Level.SUGGEST


def test_what_cannot_be_put_on_record_is_not_capped(
    bare: Serving, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_named: object) -> object:
        raise AuditUnavailable("the disk is full; nothing was recorded")

    before, admin = level(bare), clients("admin")
    with monkeypatch.context() as patched:
        patched.setattr(type(bare.app.audit), "append", full)
        problem(admin.put(CAP, json=LOW), 503)
    assert level(bare) is before


def caller(name: str, *, person: str | None = None, role: AccessRole = AccessRole.ADMIN) -> Caller:
    return Caller(name=name, roles=frozenset({role}), via="jwt", person=person)


@pytest.mark.parametrize(
    ("who", "why"),
    [
        (caller("robot"), "is a machine"),
        (caller("Bob", person="Bob"), "is no admin"),
        (caller("Kim", person="Kim"), "has to sign"),
        (caller("kims_account", person="kims_account"), "is the account of somebody"),
        (caller("Zoe", person="Zoe", role=AccessRole.OPERATOR), "is no admin"),
    ],
)
def test_the_people_say_who_an_admin_is_and_a_key_is_not_replaced_by_a_session(
    bare: Serving, who: Caller, why: str
) -> None:
    people = People(
        {
            "Bob": Person(name="Bob", roles=("approver",)),
            "Kim": Person(name="Kim", roles=("admin",), public_key="A" * 43 + "=", os_users=("kims_account",)),
        }
    )
    record = bare.app.office.autonomy
    word: dict[str, Any] = {"kind": "promote", "environment": "dev", "reason": "r"}
    with pytest.raises(InvalidInput, match=why):
        record.put_cap(people, who.name, Level.SUGGEST, **word, caller=who)
    assert record.caps() == []
    known = record.put_cap(people, "Zoe", Level.SUGGEST, **word, caller=caller("Zoe", person="Zoe"))
    assert known.by == "Zoe"
