"""Permits: minted by the office, spent once, worthless when altered, late or for something else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.clock import FrozenClock
from domain.errors import PermitAltered, PermitError, PermitExpired, PermitMissing, PermitSpent
from domain.permit import Permit, PermitOffice

FIELDS = {"tool": "x", "effects": ("x",), "args_hash": "x", "actor": "x", "cycle_id": "x", "key": "x", "nonce": "x"}


def minted(office: PermitOffice, *effects: str) -> Permit:
    return office.mint(
        tool="promote",
        effects=effects or ("vcs.commit",),
        args_hash="h",
        actor="devops_engineer/stage",
        cycle_id="si_2026_01_01_001",
        key="k",
    )


def test_a_permit_is_good_for_each_of_its_effects_once() -> None:
    office = PermitOffice(FrozenClock())
    permit = minted(office, "a", "b")
    for effect in ("a", "b"):
        office.spend(permit, effect=effect, key="k")
        with pytest.raises(PermitSpent):
            office.spend(permit, effect=effect, key="k")


@pytest.mark.parametrize("nothing", [None, "permit", {"seal": "x"}, 1])
def test_what_is_no_permit_is_none(nothing: Any) -> None:
    with pytest.raises(PermitMissing):
        PermitOffice(FrozenClock()).spend(nothing, effect="a", key="k")


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_every_field_is_under_the_seal(field: str) -> None:
    office = PermitOffice(FrozenClock())
    with pytest.raises(PermitAltered):
        office.spend(minted(office).model_copy(update={field: FIELDS[field]}), effect="vcs.commit", key="k")


def test_a_longer_life_cannot_be_written_in() -> None:
    clock = FrozenClock()
    office = PermitOffice(clock, lifetime=timedelta(minutes=1))
    permit = minted(office)
    longer = permit.model_copy(update={"expires_at": permit.expires_at + timedelta(days=1)})
    with pytest.raises(PermitAltered):
        office.spend(longer, effect="vcs.commit", key="k")
    clock.advance(timedelta(minutes=1))
    with pytest.raises(PermitExpired):
        office.spend(permit, effect="vcs.commit", key="k")


def test_another_offices_permit_is_worthless() -> None:
    clock = FrozenClock()
    with pytest.raises(PermitAltered):
        PermitOffice(clock).spend(minted(PermitOffice(clock)), effect="vcs.commit", key="k")


@given(effect=st.text(), key=st.text())
def test_it_covers_its_own_effect_and_key_and_no_other(effect: str, key: str) -> None:
    office = PermitOffice(FrozenClock())
    permit = minted(office)
    if (effect, key) != ("vcs.commit", "k"):
        with pytest.raises(PermitError):
            office.spend(permit, effect=effect, key=key)
    office.spend(permit, effect="vcs.commit", key="k")
