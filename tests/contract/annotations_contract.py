"""What every system of dashboards has to hold to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from adapters.annotations.base import EFFECT_ANNOTATE, Annotation, AnnotationsPort
from domain.observation import Seen
from domain.permit import PermitOffice
from tests.contract.permits import Effect, EffectContract, permit_for

AT = datetime(2026, 1, 31, 12, 0, 0, 250_000, tzinfo=UTC)
MARK = Annotation(text="Promoted ✓ <b>v2</b>\n(si_2026_01_31_001)", at=AT, tags=("promotion", "search"))


class AnnotationsContract(EffectContract):
    """A vendor gives `annotations` and `texts`: what is marked, in order."""

    @pytest.fixture
    def annotations(self, office: PermitOffice) -> AnnotationsPort:
        raise NotImplementedError

    @pytest.fixture
    def texts(self, annotations: AnnotationsPort) -> Callable[[], Sequence[str]]:
        raise NotImplementedError

    @pytest.fixture
    def effects(self, annotations: AnnotationsPort, texts: Callable[[], Sequence[str]]) -> list[Effect]:
        return [
            Effect(
                name=EFFECT_ANNOTATE,
                act=lambda key, permit: annotations.annotate(MARK, key=key, permit=permit),
                count=lambda: len(texts()),
            )
        ]

    def test_the_same_key_is_one_mark(
        self, annotations: AnnotationsPort, office: PermitOffice, texts: Callable[[], Sequence[str]]
    ) -> None:
        made = [
            annotations.annotate(
                MARK.model_copy(update={"text": text}), key=key, permit=permit_for(office, EFFECT_ANNOTATE, key)
            )
            for key, text in (("k1", "first"), ("k1", "second"), ("k2", MARK.text))
        ]
        assert made[0] == made[1] != made[2]
        assert list(texts()) == ["first", MARK.text]

    def test_what_was_marked_can_be_observed(self, annotations: AnnotationsPort, office: PermitOffice) -> None:
        assert annotations.observe("k1").seen is Seen.ABSENT
        made = annotations.annotate(MARK, key="k1", permit=permit_for(office, EFFECT_ANNOTATE, "k1"))
        assert annotations.observe("k1").outcome == {"id": made}
        assert annotations.observe("k").seen is Seen.ABSENT

    def test_a_stretch_of_time_can_be_marked(
        self, annotations: AnnotationsPort, office: PermitOffice, texts: Callable[[], Sequence[str]]
    ) -> None:
        stretch = MARK.model_copy(update={"ends_at": AT + timedelta(minutes=5)})
        assert annotations.annotate(stretch, key="k1", permit=permit_for(office, EFFECT_ANNOTATE, "k1"))
        assert list(texts()) == [MARK.text]

    def test_check_says_what_it_is(self, annotations: AnnotationsPort) -> None:
        assert "marks" in annotations.check()
