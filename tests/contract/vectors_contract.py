"""What every vector index has to hold to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from adapters.vectors.base import (
    EFFECT_QUARANTINE,
    EFFECT_REINDEX,
    EFFECT_RELEASE,
    PointId,
    Reindexed,
    Status,
    Value,
    VectorsPort,
)
from domain.clock import FrozenClock
from domain.errors import InvalidInput
from domain.observation import Seen
from domain.permit import Permit, PermitOffice
from tests.contract.permits import Effect, EffectContract, permit_for

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POINTS: Mapping[PointId, Mapping[str, Value]] = {
    n: {"source": "feed" if n % 3 else "crawl", "number": n} for n in range(1, 13)
}
CRAWLED = [n for n in range(1, 13) if n % 3 == 0]


class VectorsContract(EffectContract):
    """A vendor gives `vectors` over POINTS at NOW."""

    @pytest.fixture
    def office_clock(self) -> FrozenClock:
        return FrozenClock(NOW)

    @pytest.fixture
    def vectors(self, office: PermitOffice) -> VectorsPort:
        raise NotImplementedError

    @pytest.fixture
    def effects(self, vectors: VectorsPort, office: PermitOffice) -> list[Effect]:
        self.hold(vectors, office, [11, 12], key="before")

        def effect(name: str, act: object) -> Effect:
            keys: set[str] = set()

            def noted(key: str, permit: Permit | None) -> object:
                keys.add(key)
                return act(key, permit)  # type: ignore[operator]

            return Effect(name, noted, lambda: sum(vectors.observe(key).seen is Seen.DONE for key in keys))

        return [
            effect(EFFECT_REINDEX, lambda key, permit: vectors.reindex(key=key, permit=permit)),
            effect(
                EFFECT_QUARANTINE,
                lambda key, permit: vectors.quarantine(ids=[1, 2], where={}, most=10, key=key, permit=permit),
            ),
            effect(EFFECT_RELEASE, lambda key, permit: vectors.release(of="before", key=key, permit=permit)),
        ]

    def hold(
        self,
        vectors: VectorsPort,
        office: PermitOffice,
        ids: list[PointId],
        where: Mapping[str, Value] | None = None,
        *,
        most: int = 100,
        key: str = "k1",
    ) -> int:
        """Put points into quarantine with a permit."""
        permit = permit_for(office, EFFECT_QUARANTINE, key)
        return vectors.quarantine(ids=ids, where=where or {}, most=most, key=key, permit=permit)

    def free(self, vectors: VectorsPort, office: PermitOffice, of: str, key: str) -> int:
        """Release a quarantine with a permit."""
        return vectors.release(of=of, key=key, permit=permit_for(office, EFFECT_RELEASE, key))

    def test_the_state_of_a_healthy_index(self, vectors: VectorsPort) -> None:
        state = vectors.status()
        assert (state.status, state.points, state.quarantined, state.at) == (Status.GREEN, 12, 0, NOW)
        assert state.problems == ()
        assert state.recall.value == 1.0
        assert state.recall.n == state.latency_ms.n == 8
        assert state.latency_ms.unit == "ms"

    def test_points_are_chosen_by_ids_by_fields_or_by_both(self, vectors: VectorsPort, office: PermitOffice) -> None:
        assert self.hold(vectors, office, [1, 2, 999], key="ids") == 2
        assert self.hold(vectors, office, [], {"source": "crawl"}, key="fields") == len(CRAWLED)
        assert self.hold(vectors, office, [3, 4, 5], {"source": "feed"}, key="both") == 2
        assert self.hold(vectors, office, [], {"number": 7, "source": "feed"}, key="two") == 1
        assert vectors.status().quarantined == 2 + len(CRAWLED) + 2 + 1

    def test_what_is_in_quarantine_stays_under_its_key(self, vectors: VectorsPort, office: PermitOffice) -> None:
        assert self.hold(vectors, office, [1, 2], key="first") == 2
        assert self.hold(vectors, office, [1, 2, 4], key="second") == 1
        assert vectors.observe("first").outcome == {"quarantined": 2}
        assert vectors.status().quarantined == 3

    def test_more_points_than_allowed_are_not_touched(self, vectors: VectorsPort, office: PermitOffice) -> None:
        with pytest.raises(InvalidInput, match="4 points match, 3 are allowed"):
            self.hold(vectors, office, [], {"source": "crawl"}, most=3)
        assert vectors.status().quarantined == 0
        assert vectors.observe("k1").seen is Seen.ABSENT

    def test_points_that_match_nothing_leave_nothing_to_find(self, vectors: VectorsPort, office: PermitOffice) -> None:
        assert self.hold(vectors, office, [999]) == 0
        assert vectors.observe("k1").seen is Seen.ABSENT

    @pytest.mark.parametrize(
        ("ids", "where", "most", "field"),
        [
            ([], {}, 5, "ids"),
            (["1 or true"], {}, 5, "ids"),
            ([-1], {}, 5, "ids"),
            ([True], {}, 5, "ids"),
            ([], {"a b": 1}, 5, "where"),
            ([1], {}, 0, "most"),
            ([1], {}, 10_001, "most"),
        ],
    )
    def test_a_choice_that_cannot_be_is_refused(
        self,
        vectors: VectorsPort,
        office: PermitOffice,
        ids: list[PointId],
        where: dict[str, Value],
        most: int,
        field: str,
    ) -> None:
        with pytest.raises(InvalidInput, match=field):
            self.hold(vectors, office, ids, where, most=most)
        assert vectors.status().quarantined == 0

    def test_a_quarantine_can_be_taken_back(self, vectors: VectorsPort, office: PermitOffice) -> None:
        self.hold(vectors, office, [1, 2], key="k1")
        self.hold(vectors, office, [4], key="k2")
        assert self.free(vectors, office, "k1", "r1") == 2
        assert vectors.status().quarantined == 1
        assert vectors.observe("r1").outcome == {"released": 2}
        assert vectors.observe("k1").outcome == {"quarantined": 2}
        assert self.hold(vectors, office, [1], key="k3") == 1

    def test_a_quarantine_nobody_made_is_not_released(self, vectors: VectorsPort, office: PermitOffice) -> None:
        with pytest.raises(InvalidInput, match="of"):
            self.free(vectors, office, "nobody", "r1")
        assert vectors.observe("r1").seen is Seen.ABSENT

    def test_a_reindex_is_found_by_its_key(self, vectors: VectorsPort, office: PermitOffice) -> None:
        assert vectors.observe("k1").seen is Seen.ABSENT
        done = vectors.reindex(key="k1", permit=permit_for(office, EFFECT_REINDEX, "k1"))
        assert done.ef_construct_before != done.ef_construct_after
        assert done.at == NOW
        assert Reindexed.model_validate(vectors.observe("k1").outcome) == done
        assert vectors.observe("k").seen is Seen.ABSENT

    def test_the_check_answers_in_one_line(self, vectors: VectorsPort) -> None:
        assert vectors.check()
        assert "\n" not in vectors.check()
