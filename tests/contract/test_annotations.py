"""Annotations in memory, held to their contract; and what is said where there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import pytest

from adapters.annotations.base import EFFECT_ANNOTATE, AnnotationsPort
from adapters.annotations.memory import MemoryAnnotations
from adapters.annotations.none import NoAnnotations
from domain.clock import FrozenClock
from domain.errors import ConfigurationError, PermitMissing
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.annotations_contract import MARK, AnnotationsContract
from tests.contract.permits import permit_for


class TestMemoryAnnotations(AnnotationsContract):
    @pytest.fixture
    def annotations(self, office: PermitOffice) -> AnnotationsPort:
        return MemoryAnnotations(office)

    @pytest.fixture
    def texts(self, annotations: AnnotationsPort) -> Callable[[], Sequence[str]]:
        return lambda: [mark.text for mark in cast(MemoryAnnotations, annotations).kept.values()]


def test_without_dashboards_nothing_is_marked_and_it_says_so() -> None:
    office = PermitOffice(FrozenClock())
    none = NoAnnotations(office)
    assert not none.configured
    with pytest.raises(ConfigurationError, match="grafana"):
        none.annotate(MARK, key="k1", permit=permit_for(office, EFFECT_ANNOTATE, "k1"))
    with pytest.raises(PermitMissing):
        none.annotate(MARK, key="k1", permit=None)
    assert none.observe("k1").seen is Seen.ABSENT
    assert "none" in none.check()
