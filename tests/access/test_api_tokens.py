"""API tokens: recognisable, kept as digests, narrow, over in time, and revoked for good."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from domain.access import ApiAction, Caller, Unauthenticated
from domain.errors import AuditUnavailable, InvalidInput
from service.access.keeper import PREFIX, digest_of
from tests.access.setting import ADMIN, HOUR, MINUTE, SECOND, VIEWER, Rig


def secret_of(text: str) -> str:
    """Return the secret part of a token, which may hold underscores itself."""
    return text.removeprefix(PREFIX).split("_", 1)[1]


def check_refused(rig: Rig, token: str) -> None:
    with pytest.raises(Unauthenticated):
        rig.credentials.bearer(token)


def test_a_token_is_recognisable_and_its_text_is_kept_nowhere() -> None:
    rig = Rig()
    rig.add("ann")
    text = rig.token("ann")
    assert re.fullmatch(r"evc_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", text)
    assert text.startswith(PREFIX)
    kept = rig.accounts.tokens()[0]
    assert kept.digest == digest_of(text)
    assert secret_of(text) not in str(rig.accounts.__dict__) + str(rig.audit.records())


def test_a_token_is_its_owner_for_what_it_was_made_for() -> None:
    rig = Rig()
    rig.add("ann", ADMIN)
    caller = rig.credentials.bearer(rig.token("ann", "view", "set_flag"))
    assert (caller.name, caller.via, caller.scopes) == ("ann", "token", frozenset({"view", "set_flag"}))
    allowed = {action for action in ApiAction if rig.access.allowed(caller, action).allowed}
    assert allowed == {ApiAction.VIEW, ApiAction.SET_FLAG}


@pytest.mark.parametrize("how", ["cut", "longer", "other secret", "other identity", "prefix only", "upper case"])
def test_a_token_that_is_not_exactly_the_one_opens_nothing(how: str) -> None:
    rig = Rig()
    rig.add("ann")
    text = rig.token("ann")
    secret = secret_of(text)
    head = text.removesuffix(f"_{secret}")
    changed = {
        "cut": text[:-1],
        "longer": text + "A",
        "other secret": f"{head}_{secret[::-1]}",
        "other identity": f"{PREFIX}{'0' * 12}_{secret}",
        "prefix only": PREFIX,
        "upper case": PREFIX + text.removeprefix(PREFIX).upper(),
    }
    check_refused(rig, changed[how])
    assert rig.credentials.bearer(text).name == "ann"


def test_a_token_is_over_at_its_expiry() -> None:
    rig = Rig()
    rig.add("ann")
    text = rig.token("ann", lasts=HOUR)
    rig.clock.advance(HOUR - SECOND)
    assert rig.credentials.bearer(text).name == "ann"
    rig.clock.advance(SECOND)
    check_refused(rig, text)


def test_a_token_that_was_revoked_by_its_text_or_its_identity_is_refused() -> None:
    rig = Rig()
    rig.add("ann")
    first, second = rig.token("ann"), rig.token("ann")
    ann = rig.credentials.bearer(first)
    assert rig.credentials.revoke(first, ann)
    identity = second.split("_")[1]
    rig.keeper.revoke_token(next(t for t in rig.accounts.tokens() if t.id == identity), by="ann")
    check_refused(rig, first)
    check_refused(rig, second)
    assert rig.notes()[-2:] == ["token_revoked", "token_revoked"]


def test_nobody_revokes_a_token_of_somebody_else_by_its_text() -> None:
    rig = Rig()
    rig.add("ann")
    rig.add("bob")
    mine, theirs = rig.token("ann"), rig.token("bob")
    assert not rig.credentials.revoke(theirs, rig.credentials.bearer(mine))
    assert rig.credentials.bearer(theirs).name == "bob"


def test_a_token_ends_while_its_owner_is_shut_out() -> None:
    rig = Rig()
    rig.add("ann")
    text = rig.token("ann")
    rig.keeper.disable("ann", by="admin")
    check_refused(rig, text)


def test_a_token_cannot_make_one_that_may_do_more() -> None:
    rig = Rig()
    rig.add("ann", ADMIN)
    owner = rig.accounts.account("ann")
    assert owner is not None
    narrow = rig.credentials.bearer(rig.token("ann", "view", "own_tokens"))
    with pytest.raises(InvalidInput, match="manage_access"):
        rig.keeper.give_token(owner, "", ["view", "manage_access"], HOUR, by=narrow)
    _, text = rig.keeper.give_token(owner, "", ["view"], HOUR, by=narrow)
    assert rig.credentials.bearer(text).scopes == frozenset({"view"})


@pytest.mark.parametrize(
    ("scopes", "lasts", "field"),
    [
        ([], HOUR, "scopes"),
        (["fly"], HOUR, "scopes"),
        (["view"], timedelta(), "lasts"),
        (["view"], -HOUR, "lasts"),
        (["view"], timedelta(days=3651), "lasts"),
    ],
)
def test_a_token_for_nothing_or_for_ever_is_not_made(scopes: list[str], lasts: timedelta, field: str) -> None:
    rig = Rig()
    rig.add("ann")
    owner = rig.accounts.account("ann")
    assert owner is not None
    with pytest.raises(InvalidInput, match=field):
        rig.keeper.give_token(owner, "", scopes, lasts, by=Caller(name="ann", roles=owner.roles, via="local"))
    assert list(rig.accounts.tokens()) == []


def test_when_a_token_was_used_is_noted_once_a_minute() -> None:
    rig = Rig()
    rig.add("ann", VIEWER)
    text, first = rig.token("ann"), rig.clock.now()
    for _ in range(3):
        rig.credentials.bearer(text)
        rig.clock.advance(30 * SECOND)
    assert rig.accounts.tokens()[0].used_at == first + MINUTE


def test_a_token_that_cannot_be_put_on_record_is_not_made() -> None:
    rig = Rig()
    rig.add("ann")
    owner = rig.accounts.account("ann")
    assert owner is not None
    rig.audit.full = True
    with pytest.raises(AuditUnavailable):
        rig.keeper.give_token(owner, "", ["view"], HOUR, by=Caller(name="ann", roles=owner.roles, via="local"))
    assert list(rig.accounts.tokens()) == []
