"""Permits for tests, and what every effectful method of every port has to hold to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from domain.clock import FrozenClock
from domain.errors import PermitAltered, PermitExpired, PermitMissing, PermitSpent
from domain.permit import Permit, PermitOffice

CYCLE = "si_2026_01_01_001"


def permit_for(office: PermitOffice, effects: str | Iterable[str], key: str, tool: str = "test") -> Permit:
    """Return a fresh permit for the effect or effects under `key`."""
    names = (effects,) if isinstance(effects, str) else tuple(effects)
    return office.mint(tool=tool, effects=names, args_hash="0" * 64, actor="tests", cycle_id=CYCLE, key=key)


@dataclass(frozen=True)
class Effect:
    """One effectful method: `act` calls it under a key with a permit, `count` says how often it has happened."""

    name: str
    act: Callable[[str, Permit | None], object]
    count: Callable[[], int]


class EffectContract:
    """Inherited by the suites of ports that have effects; a suite gives `office` and `effects`."""

    @pytest.fixture
    def office_clock(self) -> FrozenClock:
        return FrozenClock()

    @pytest.fixture
    def office(self, office_clock: FrozenClock) -> PermitOffice:
        return PermitOffice(office_clock)

    @pytest.fixture
    def effects(self) -> list[Effect]:
        raise NotImplementedError

    def test_nothing_happens_without_a_permit(self, effects: list[Effect]) -> None:
        for effect in effects:
            before = effect.count()
            with pytest.raises(PermitMissing):
                effect.act("key-none", None)
            assert effect.count() == before, effect.name

    def test_nothing_happens_with_a_permit_for_something_else(
        self, effects: list[Effect], office: PermitOffice
    ) -> None:
        for effect in effects:
            before = effect.count()
            with pytest.raises(PermitMissing):
                effect.act("key-other", permit_for(office, "some.other_effect", "key-other"))
            with pytest.raises(PermitMissing):
                effect.act("key-other", permit_for(office, effect.name, "another-key"))
            assert effect.count() == before, effect.name

    def test_nothing_happens_with_an_altered_permit(self, effects: list[Effect], office: PermitOffice) -> None:
        for effect in effects:
            before = effect.count()
            permit = permit_for(office, effect.name, "key-before")
            with pytest.raises(PermitAltered):
                effect.act("key-after", permit.model_copy(update={"key": "key-after"}))
            assert effect.count() == before, effect.name

    def test_nothing_happens_with_an_expired_permit(
        self, effects: list[Effect], office: PermitOffice, office_clock: FrozenClock
    ) -> None:
        for effect in effects:
            before = effect.count()
            permit = permit_for(office, effect.name, "key-late")
            office_clock.advance(timedelta(hours=1))
            with pytest.raises(PermitExpired):
                effect.act("key-late", permit)
            assert effect.count() == before, effect.name

    def test_a_spent_permit_does_not_act_again(self, effects: list[Effect], office: PermitOffice) -> None:
        for effect in effects:
            permit = permit_for(office, effect.name, "key-spent")
            office.spend(permit, effect=effect.name, key="key-spent")
            before = effect.count()
            with pytest.raises(PermitSpent):
                effect.act("key-spent", permit)
            assert effect.count() == before, effect.name

    def test_the_same_key_twice_is_one_effect(self, effects: list[Effect], office: PermitOffice) -> None:
        for number, effect in enumerate(effects):
            key = f"key-twice-{number}"
            before = effect.count()
            first = effect.act(key, permit_for(office, effect.name, key))
            second = effect.act(key, permit_for(office, effect.name, key))
            assert first == second, effect.name
            assert effect.count() == before + 1, effect.name
