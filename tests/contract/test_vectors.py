"""The vector indices hold to their contract; Qdrant's is in tests/integrations/qdrant."""

from __future__ import annotations

import pytest

from adapters.vectors.base import IndexState, Status, VectorsPort
from adapters.vectors.memory import MemoryVectors
from adapters.vectors.none import NoVectors
from domain.clock import FrozenClock
from domain.errors import ConfigurationError
from domain.measurement import Measurement
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.vectors_contract import NOW, POINTS, VectorsContract


class TestMemoryVectors(VectorsContract):
    @pytest.fixture
    def vectors(self, office: PermitOffice) -> VectorsPort:
        return MemoryVectors(permits=office, clock=FrozenClock(NOW), points=POINTS)


def test_where_no_index_is_configured_asking_names_the_section() -> None:
    vectors = NoVectors()
    for ask in (
        vectors.status,
        lambda: vectors.reindex(key="k", permit=None),
        lambda: vectors.quarantine(ids=[1], where={}, most=1, key="k", permit=None),
        lambda: vectors.release(of="k", key="r", permit=None),
    ):
        with pytest.raises(ConfigurationError, match="Add the section vectors"):
            ask()
    assert vectors.observe("k").seen is Seen.UNKNOWN
    assert "none configured" in vectors.check()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"status": Status.RED}, "did not recover"),
        ({"status": Status.GREY}, "waits for a change"),
        ({"optimizer_error": "no space left"}, "optimizer"),
        ({"probe_errors": 2}, "2 probe searches"),
        ({"recall": Measurement(value=0.5, unit="share", n=8)}, "finds 50%"),
    ],
)
def test_every_sign_of_a_damaged_index_is_a_problem(changes: dict[str, object], problem: str) -> None:
    well = MemoryVectors(permits=PermitOffice(FrozenClock()), clock=FrozenClock(NOW), points=POINTS).status()
    assert well.problems == ()
    (found,) = IndexState.model_validate({**well.model_dump(), **changes}).problems
    assert problem in found
