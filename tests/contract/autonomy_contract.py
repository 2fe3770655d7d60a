"""What every record of autonomy keeps to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.autonomy.base import AutonomyPort
from domain.autonomy import Cap, Level, Trial
from domain.errors import AuditUnavailable, ConflictError
from domain.outcome import OutcomeKind

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def trial(number: int, **changes: Any) -> Trial:
    """Return the trial of a cycle, a day after the one before it."""
    plain = {
        "cycle_id": f"si_2026_01_01_{number:03d}",
        "kind": "promote",
        "environment": "production",
        "outcome": OutcomeKind.IMPROVED,
        "harmful": False,
        "at": NOON + number * DAY,
        "record": number,
        "record_hash": "h" * 64,
    }
    return Trial.model_validate({**plain, **changes})


def cap(level: Level | None, **changes: Any) -> Cap:
    """Return a cap, or the lifting of one."""
    plain = {
        "kind": "promote",
        "environment": "production",
        "level": level,
        "by": "Ann",
        "reason": "an audit",
        "at": NOON,
        "record": 1,
        "record_hash": "h" * 64,
    }
    return Cap.model_validate({**plain, **changes})


def put(autonomy: AutonomyPort, one: Cap, seen: list[Cap] | None = None) -> Cap:
    """Keep a cap, where the caps of its class are still those that were seen."""
    return autonomy.cap(one.kind, one.environment, lambda: one, seen=seen)


class AutonomyContract:
    """Inherited by the tests of every store; `autonomy` is an empty one."""

    def test_trials_are_kept_as_they_were_and_given_oldest_first(self, autonomy: AutonomyPort) -> None:
        for number in (3, 1, 2):
            autonomy.add(trial(number))
        assert list(autonomy.trials("promote", "production", NOON)) == [trial(1), trial(2), trial(3)]
        assert list(autonomy.trials("promote", "production", NOON + DAY)) == [trial(2), trial(3)]

    def test_a_cycle_counts_once_a_class_whatever_is_said_of_it_later(self, autonomy: AutonomyPort) -> None:
        autonomy.add(trial(1, outcome=OutcomeKind.ROLLED_BACK, harmful=True))
        autonomy.add(trial(1))
        autonomy.add(trial(1, kind="tune"))
        [kept] = autonomy.trials("promote", "production", NOON)
        assert kept.harmful
        assert len(autonomy.trials("tune", "production", NOON)) == 1

    def test_classes_and_environments_are_kept_apart(self, autonomy: AutonomyPort) -> None:
        autonomy.add(trial(1))
        assert list(autonomy.trials("promote", "staging", NOON)) == []
        assert list(autonomy.trials("tune", "production", NOON)) == []

    def test_one_of_those_who_saw_the_same_caps(self, autonomy: AutonomyPort) -> None:
        first = put(autonomy, cap(Level.APPROVE))
        put(autonomy, cap(Level.SUGGEST, environment="dev"))
        assert put(autonomy, cap(Level.SUGGEST), [first]) == cap(Level.SUGGEST)
        with pytest.raises(ConflictError, match="promote"):
            put(autonomy, cap(None), [first])
        assert list(autonomy.caps("promote", "production")) == [first, cap(Level.SUGGEST)]

    def test_what_cannot_be_put_on_record_caps_nothing(self, autonomy: AutonomyPort) -> None:
        def full() -> Cap:
            raise AuditUnavailable("the disk is full")

        with pytest.raises(AuditUnavailable):
            autonomy.cap("promote", "production", full)
        assert list(autonomy.caps()) == []

    def test_caps_are_only_ever_added(self, autonomy: AutonomyPort) -> None:
        said = [cap(Level.APPROVE), cap(None, by="Bob"), cap(Level.SUGGEST), cap(Level.APPROVE, kind="tune")]
        for one in said:
            put(autonomy, one)
        assert list(autonomy.caps("promote", "production")) == said[:3]
        assert list(autonomy.caps()) == said
        assert list(autonomy.caps("promote", "staging")) == []
        assert list(autonomy.caps(environment="production")) == said
