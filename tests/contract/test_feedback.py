"""The sources of feedback hold to their contract; the platform's and a table's are in tests/integrations/feedback."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from adapters.feedback.base import FeedbackPort, Kind
from adapters.feedback.memory import MemoryFeedback
from adapters.feedback.none import NoFeedback
from domain.errors import ConfigurationError
from tests.contract.feedback_contract import EVENTS, NOW, START, FeedbackContract, told


class TestMemoryFeedback(FeedbackContract):
    @pytest.fixture
    def feedback(self) -> FeedbackPort:
        return MemoryFeedback(EVENTS[::-1])


def test_where_no_source_is_configured_asking_names_the_section() -> None:
    with pytest.raises(ConfigurationError, match="Add the section feedback"):
        NoFeedback().events(START, NOW)
    assert "none configured" in NoFeedback().check()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.RATING, 0),
        (Kind.RATING, 6),
        (Kind.RATING, float("nan")),
        (Kind.THUMB, 0),
        (Kind.THUMB, 2),
        (Kind.CLICK, 3),
    ],
)
def test_a_value_that_its_kind_cannot_have_is_no_event(kind: Kind, value: float) -> None:
    with pytest.raises(ValidationError, match="value"):
        told(0, kind, value)
