"""Sessions: how long they last, what ends them, and what a cookie is good for."""

from __future__ import annotations

from datetime import timedelta

import pytest

from adapters.accounts.base import Account
from domain.access import Unauthenticated
from service.access.credentials import csrf_of
from tests.access.setting import HOUR, MINUTE, OPERATOR, SECOND, VIEWER, Rig


def begun(rig: Rig, name: str = "ann") -> str:
    """Let somebody in, and return the cookie of a session."""
    rig.add(name, OPERATOR)
    return rig.credentials.begin(account(rig, name), "password")


def account(rig: Rig, name: str = "ann") -> Account:
    found = rig.accounts.account(name)
    assert found is not None
    return found


def check_over(rig: Rig, cookie: str) -> None:
    with pytest.raises(Unauthenticated):
        rig.credentials.session(cookie)


def test_a_session_is_whoever_began_it_with_all_their_roles() -> None:
    rig = Rig()
    caller = rig.credentials.session(begun(rig))
    assert (caller.name, caller.roles, caller.scopes, caller.via) == ("ann", frozenset({OPERATOR}), None, "session")


def test_a_session_that_is_not_used_for_an_hour_is_over() -> None:
    rig = Rig()
    cookie = begun(rig)
    rig.clock.advance(HOUR - SECOND)
    assert rig.credentials.session(cookie).name == "ann"
    rig.clock.advance(HOUR)
    check_over(rig, cookie)


def test_a_session_ends_after_twelve_hours_however_busy_it_is() -> None:
    rig = Rig()
    cookie = begun(rig)
    for _ in range(12 * 4 - 1):
        rig.clock.advance(15 * MINUTE)
        assert rig.credentials.session(cookie).name == "ann"
    rig.clock.advance(15 * MINUTE)
    check_over(rig, cookie)


def test_the_configuration_says_how_long_sessions_last() -> None:
    rig = Rig(session_hours=1, session_idle_minutes=2)
    cookie = begun(rig)
    rig.clock.advance(2 * MINUTE)
    check_over(rig, cookie)


def test_a_session_that_was_ended_stays_ended() -> None:
    rig = Rig()
    cookie = begun(rig)
    rig.credentials.end(cookie)
    check_over(rig, cookie)
    rig.credentials.end(cookie)


@pytest.mark.parametrize("cookie", ["", "x", "A" * 43, "a" * 100_000, "\x00"])
def test_a_cookie_that_was_never_given_is_no_session(cookie: str) -> None:
    rig = Rig()
    begun(rig)
    check_over(rig, cookie)


def test_every_session_of_an_account_ends_with_its_password() -> None:
    rig = Rig()
    first = begun(rig)
    second = rig.credentials.begin(account(rig), "password")
    rig.keeper.set_password("ann", "another long password", by="ann")
    check_over(rig, first)
    check_over(rig, second)


def test_a_session_of_who_is_shut_out_is_over_and_does_not_come_back() -> None:
    rig = Rig()
    cookie = begun(rig)
    rig.keeper.disable("ann", by="admin")
    check_over(rig, cookie)
    rig.keeper.disable("ann", by="admin", disabled=False)
    check_over(rig, cookie)


def test_a_role_that_was_taken_is_gone_from_the_session_at_once() -> None:
    rig = Rig()
    cookie = begun(rig)
    rig.keeper.set_roles("ann", [VIEWER], by="admin")
    assert rig.credentials.session(cookie).roles == {VIEWER}


def test_what_is_over_is_deleted_when_somebody_tries_to_sign_in() -> None:
    rig = Rig()
    cookie = begun(rig)
    for number in range(5):
        with pytest.raises(Unauthenticated):
            rig.credentials.proved(f"nobody {number}", "x", "192.0.2.1")
    assert len(rig.accounts._failures) == 6
    rig.clock.advance(timedelta(hours=13))
    with pytest.raises(Unauthenticated):
        rig.credentials.proved("nobody", "x", "192.0.2.1")
    assert (len(rig.accounts._sessions), len(rig.accounts._failures)) == (0, 2)
    check_over(rig, cookie)


def test_two_sessions_have_two_cookies_and_two_tokens_against_forgery() -> None:
    rig = Rig()
    first = begun(rig)
    second = rig.credentials.begin(account(rig), "password")
    assert len({first, second, csrf_of(first), csrf_of(second)}) == 4
    assert csrf_of(first) == csrf_of(first)
