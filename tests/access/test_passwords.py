"""Passwords and machines' secrets: what fits, what is slowed down, and what nobody learns."""

from __future__ import annotations

import threading
import time

import pytest

from adapters.accounts.base import AccountKind
from adapters.accounts.passwords import Cost, Passwords
from domain.access import TooManyAttempts, Unauthenticated
from domain.errors import InvalidInput
from tests.access.setting import ADMIN, CHEAP, HOUR, PASSWORD, SECOND, Rig

HERE, THERE = "192.0.2.1", "192.0.2.2"


def fails(rig: Rig, name: str = "ann", secret: str = "wrong", address: str = HERE) -> None:
    with pytest.raises(Unauthenticated, match="do not fit"):
        rig.credentials.proved(name, secret, address)


def test_the_right_password_is_known_however_the_name_is_spelt() -> None:
    rig = Rig()
    rig.add("Ann Lee")
    assert rig.credentials.proved(" ann  LEE", PASSWORD, HERE).name == "Ann Lee"


def test_wrong_password_unknown_name_and_shut_out_say_the_same() -> None:
    rig = Rig()
    rig.add("ann")
    rig.add("bob")
    rig.keeper.disable("bob", by="set-up")
    fails(rig, "ann", "wrong")
    fails(rig, "nobody", PASSWORD)
    fails(rig, "bob", PASSWORD)


def test_a_machine_has_no_password_and_a_person_no_secret() -> None:
    rig = Rig()
    rig.add("ann")
    secret = rig.add("robot", machine=True)
    assert rig.credentials.proved("robot", secret, HERE, machine=True).kind is AccountKind.CLIENT
    fails(rig, "robot", secret)
    with pytest.raises(Unauthenticated):
        rig.credentials.proved("ann", PASSWORD, HERE, machine=True)


def test_an_account_of_the_provider_has_no_password_here() -> None:
    rig = Rig()
    rig.keeper.welcome("ann", frozenset({ADMIN}), "https://op 1")
    fails(rig, "ann", "")
    with pytest.raises(InvalidInput, match="OpenID"):
        rig.keeper.set_password("ann", PASSWORD, by="set-up")


def test_a_hash_is_argon2id_and_never_the_password() -> None:
    rig = Rig()
    rig.add("ann")
    kept = rig.accounts.account("ann")
    assert kept is not None
    assert kept.secret.startswith("$argon2id$")
    assert PASSWORD not in repr(kept) + str(rig.audit.records())


def test_a_hash_of_another_cost_is_made_anew_by_the_next_sign_in() -> None:
    rig = Rig()
    rig.add("ann")
    before = rig.accounts.account("ann")
    rig.keeper.passwords = Passwords(Cost(passes=2, memory_kib=16, lanes=1))
    rig.credentials.proved("ann", PASSWORD, HERE)
    after = rig.accounts.account("ann")
    assert before is not None
    assert after is not None
    assert "t=1" in before.secret
    assert "m=16,t=2" in after.secret
    rig.credentials.proved("ann", PASSWORD, HERE)
    assert rig.accounts.account("ann") == after


def test_who_is_not_there_takes_as_long_as_who_is() -> None:
    passwords = Passwords(Cost(passes=3, memory_kib=4096, lanes=1))
    kept = passwords.hashed(PASSWORD)

    def seconds(hashed: str) -> float:
        times = []
        for _ in range(15):
            begun = time.thread_time()  # of the processor: one lane is hashed where it is asked for
            assert not passwords.fits(hashed, "wrong")
            times.append(time.thread_time() - begun)
        return min(times)

    seconds("")
    there, nobody = seconds(kept), seconds("")
    assert 0.5 < nobody / there < 2


@pytest.mark.parametrize("password", ["short", "x" * 1025, "Quite A Long Name"])
def test_a_password_that_is_short_endless_or_the_name_is_refused(password: str) -> None:
    rig = Rig()
    with pytest.raises(InvalidInput, match="password"):
        rig.add("quite a long name", password=password)
    assert rig.notes() == []


def test_after_five_failures_each_attempt_waits_longer_and_the_right_password_too() -> None:
    rig = Rig()
    rig.add("ann")
    for _ in range(5):
        fails(rig)
    waits = []
    for _ in range(4):
        with pytest.raises(TooManyAttempts) as refused:
            rig.credentials.proved("ann", PASSWORD, HERE)
        waits.append(refused.value.retry_after / SECOND)
        rig.clock.advance(refused.value.retry_after)
        fails(rig)
    assert waits == [2, 4, 8, 16]


def test_the_longest_wait_is_five_minutes_and_after_it_the_right_password_is_taken() -> None:
    rig = Rig()
    rig.add("ann")
    for _ in range(40):
        rig.clock.advance(301 * SECOND)
        fails(rig)
    with pytest.raises(TooManyAttempts) as refused:
        rig.credentials.proved("ann", PASSWORD, THERE)
    assert refused.value.retry_after <= 300 * SECOND
    rig.clock.advance(refused.value.retry_after)
    assert rig.credentials.proved("ann", PASSWORD, THERE).name == "ann"
    for _ in range(5):
        fails(rig, address=THERE)


def test_what_is_slowed_down_for_one_account_is_not_for_another() -> None:
    rig = Rig()
    rig.add("ann")
    rig.add("bob")
    for _ in range(5):
        fails(rig)
    assert rig.credentials.proved("bob", PASSWORD, HERE).name == "bob"


def test_an_address_that_tries_many_names_is_slowed_down_and_one_success_does_not_help_it() -> None:
    rig = Rig()
    rig.add("bob")
    for number in range(19):
        fails(rig, f"nobody {number}")
    assert rig.credentials.proved("bob", PASSWORD, HERE).name == "bob"
    fails(rig, "nobody 19")
    with pytest.raises(TooManyAttempts):
        rig.credentials.proved("bob", PASSWORD, HERE)
    assert rig.credentials.proved("bob", PASSWORD, THERE).name == "bob"


def test_addresses_of_one_network_of_version_6_are_one() -> None:
    rig = Rig(throttle={"free_per_address": 3, "free_per_account": 100})
    for number in range(3):
        fails(rig, address=f"2001:db8:0:1::{number}")
    with pytest.raises(TooManyAttempts):
        rig.credentials.proved("ann", "wrong", "2001:db8:0:1:ffff::1")
    fails(rig, address="2001:db8:0:2::1")


def test_failures_of_long_ago_are_forgotten() -> None:
    rig = Rig()
    for _ in range(5):
        fails(rig)
    rig.clock.advance(HOUR + SECOND)
    for _ in range(5):
        fails(rig)


def test_many_attempts_at_once_are_no_more_than_many_in_a_row() -> None:
    rig = Rig(throttle={"free_per_account": 5})
    rig.add("ann")
    looked: list[str] = []
    gate = threading.Barrier(24)

    def attempt() -> None:
        gate.wait(60)
        try:
            rig.credentials.proved("ann", "wrong", HERE)
        except Unauthenticated:
            looked.append("looked at")
        except TooManyAttempts:
            looked.append("refused")

    threads = [threading.Thread(target=attempt) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert looked.count("looked at") <= 5
    assert len(looked) == 24


def test_neither_names_nor_addresses_are_kept_as_they_were_typed() -> None:
    rig = Rig()
    fails(rig, "my password typed into the wrong field")
    kept = str(rig.accounts.__dict__)
    assert "wrong field" not in kept
    assert HERE not in kept


def test_the_usual_cost_is_that_of_the_standard() -> None:
    assert (Cost().passes, Cost().memory_kib, Cost().lanes) == (3, 65_536, 4)
    assert Cost() != CHEAP
