"""Accounts are changed on the record or not at all, and somebody is always left who runs the place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from domain.access import Unauthenticated
from domain.errors import AuditUnavailable, ConflictError, InvalidInput
from service.access.keeper import known_roles
from tests.access.setting import ADMIN, APPROVER, OPERATOR, PASSWORD, VIEWER, Rig


def test_the_first_start_makes_an_admin_and_tells_the_password_once() -> None:
    rig = Rig()
    password = rig.access.first_admin()
    assert password is not None
    admin = rig.credentials.proved("admin", password, "192.0.2.1")
    assert admin.roles == {ADMIN}
    assert rig.access.first_admin() is None
    assert password not in str(rig.accounts.__dict__) + str(rig.audit.records())
    assert rig.notes() == ["account_added"]


def test_no_first_admin_is_made_where_anybody_is() -> None:
    rig = Rig()
    rig.add("ann", VIEWER)
    assert rig.access.first_admin() is None
    assert [each.name for each in rig.accounts.accounts()] == ["ann"]


def test_the_first_admin_is_not_made_off_the_record() -> None:
    rig = Rig()
    rig.audit.full = True
    with pytest.raises(AuditUnavailable):
        rig.access.first_admin()
    assert list(rig.accounts.accounts()) == []


CHANGES: dict[str, Callable[[Rig], object]] = {
    "account_added": lambda rig: rig.keeper.add("bob", [VIEWER], by="admin"),
    "account_roles": lambda rig: rig.keeper.set_roles("ann", [OPERATOR], by="admin"),
    "account_secret": lambda rig: rig.keeper.set_password("ann", by="admin"),
    "account_disabled": lambda rig: rig.keeper.disable("ann", by="admin"),
    "account_enabled": lambda rig: rig.keeper.disable("ann", by="admin", disabled=False),
    "token_given": lambda rig: rig.token("ann"),
}


@pytest.mark.parametrize("status", CHANGES)
def test_every_change_is_on_the_record_with_who_made_it(status: str) -> None:
    rig = Rig()
    rig.add("ann", APPROVER)
    CHANGES[status](rig)
    entry = rig.audit.records()[-1].entry
    assert entry.status == status
    assert entry.actor in ("admin", "ann")
    assert entry.body["account"] in ("ann", "bob")
    assert PASSWORD not in entry.canonical()
    assert "argon2" not in entry.canonical()


@pytest.mark.parametrize("status", CHANGES)
def test_what_cannot_be_put_on_record_is_not_done(status: str) -> None:
    rig = Rig()
    rig.add("ann", APPROVER)
    before = (list(rig.accounts.accounts()), list(rig.accounts.tokens()))
    rig.audit.full = True
    with pytest.raises(AuditUnavailable):
        CHANGES[status](rig)
    assert (list(rig.accounts.accounts()), list(rig.accounts.tokens())) == before


def test_nobody_signs_in_off_the_record() -> None:
    rig = Rig()
    rig.add("ann")
    account = rig.accounts.account("ann")
    assert account is not None
    rig.audit.full = True
    with pytest.raises(AuditUnavailable):
        rig.credentials.begin(account, "password")
    rig.audit.full = False
    cookie = rig.credentials.begin(account, "password")
    assert rig.audit.records()[-1].entry.status == "signed_in"
    assert cookie not in str(rig.accounts.__dict__)


def test_the_last_admin_stays_and_the_record_does_not_claim_otherwise() -> None:
    rig = Rig()
    rig.add("ann", ADMIN)
    with pytest.raises(ConflictError, match="last admin"):
        rig.keeper.disable("ann", by="ann")
    with pytest.raises(ConflictError, match="last admin"):
        rig.keeper.set_roles("ann", [VIEWER], by="ann")
    assert rig.notes() == ["account_added"]
    rig.add("bob", ADMIN)
    assert rig.keeper.disable("ann", by="bob").disabled


def test_a_change_that_somebody_else_was_faster_with_is_noted_as_not_made() -> None:
    rig = Rig()
    rig.add("ann")
    stale = rig.accounts.account("ann")
    assert stale is not None
    rig.keeper.set_roles("ann", [OPERATOR], by="admin")
    with pytest.raises(ConflictError, match="meanwhile"):
        rig.keeper._change(stale, "account_roles", "bob", roles=frozenset({ADMIN}))
    assert rig.notes()[-2:] == ["account_roles", "account_roles_failed"]
    kept = rig.accounts.account("ann")
    assert kept is not None
    assert kept.roles == {OPERATOR}


@pytest.mark.parametrize("name", ["", "  ", "a/b", "engine", "Supervisor", "profile dev", "x" * 201, "tab\tname\x07"])
def test_a_name_that_nobody_could_have_is_refused(name: str) -> None:
    rig = Rig()
    with pytest.raises(InvalidInput, match="name"):
        rig.keeper.add(name, [VIEWER], by="admin")
    assert rig.notes() == []


def test_roles_and_scopes_that_are_none_are_refused_by_name() -> None:
    rig = Rig()
    with pytest.raises(InvalidInput, match="emperor"):
        known_roles(["viewer", "emperor"])
    with pytest.raises(InvalidInput, match="roles"):
        rig.keeper.add("ann", [], by="admin")
    with pytest.raises(InvalidInput, match="fly"):
        rig.keeper.add("robot", [VIEWER], by="admin", machine=True, scopes=["fly"])
    with pytest.raises(InvalidInput, match="machine"):
        rig.keeper.add("robot", [VIEWER], by="admin", machine=True, password=PASSWORD)


def test_who_the_provider_vouches_for_keeps_the_account_when_the_name_changes() -> None:
    rig = Rig()
    first = rig.keeper.welcome("ann", frozenset({VIEWER}), "https://op 1")
    again = rig.keeper.welcome("ann.married", frozenset({OPERATOR}), "https://op 1")
    assert (again.name, again.roles, again.subject) == (first.name, frozenset({OPERATOR}), "https://op 1")
    assert rig.notes() == ["account_added", "account_roles"]
    assert rig.keeper.welcome("ann", frozenset({OPERATOR}), "https://op 1") == again
    assert len(rig.notes()) == 2


def test_an_older_token_of_the_provider_does_not_give_back_a_role_that_was_taken() -> None:
    rig = Rig()
    rig.keeper.welcome("ann", frozenset({ADMIN}), "https://op 1")
    rig.keeper.welcome("ann", frozenset({VIEWER}), "https://op 1")
    assert rig.keeper.vouched_for("ann", frozenset({ADMIN}), "https://op 1").roles == {VIEWER}


def test_who_the_provider_vouches_for_does_not_become_somebody_else_of_the_same_name() -> None:
    rig = Rig()
    rig.add("ann", ADMIN)
    rig.keeper.welcome("bob", frozenset({VIEWER}), "https://op 1")
    for name in ("ann", " ANN", "bob"):
        with pytest.raises(ConflictError, match="another account"):
            rig.keeper.welcome(name, frozenset({ADMIN}), "https://op 2")


def test_who_was_shut_out_stays_out_whatever_the_provider_says() -> None:
    rig = Rig()
    rig.keeper.welcome("ann", frozenset({VIEWER}), "https://op 1")
    rig.keeper.disable("ann", by="admin")
    found = rig.keeper.welcome("ann", frozenset({ADMIN}), "https://op 1")
    assert (found.disabled, found.roles) == (True, frozenset({VIEWER}))
    assert found.secret == ""
    with pytest.raises(Unauthenticated):
        rig.credentials.proved("ann", "", "192.0.2.1")
