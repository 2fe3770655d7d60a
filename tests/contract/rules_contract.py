"""What every store of overrides has to hold to."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.rules.base import RulesPort
from domain.errors import AuditUnavailable, ConflictError, InvalidInput
from domain.override import Override, override

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def made(threshold: float = 0.02, **changed: Any) -> Override:
    """Return an override of an hour from noon."""
    asked: dict[str, Any] = {"environment": "dev", "by": "ann", "reason": "a release", "at": NOON, "lasts": HOUR}
    return override("gate", "ndcg_at_10", threshold, **{**asked, **changed})


class RulesContract:
    """A vendor gives `rules`, empty."""

    @pytest.fixture
    def rules(self) -> RulesPort:
        raise NotImplementedError

    def test_what_its_number_means_comes_back_with_it(self, rules: RulesPort) -> None:
        level = made().model_copy(update={"of": "max", "unit": "USD a day"})
        share = made(at=NOON + HOUR).model_copy(update={"of": "max_relative_delta"})
        plain = made(at=NOON + 2 * HOUR)
        for each in (level, share, plain):
            rules.add(each)
            rules.add(each)
        assert list(rules.overrides()) == [level, share, plain]

    def test_what_is_added_comes_back_equal_and_twice_is_once(self, rules: RulesPort) -> None:
        first, second = made(), made(at=NOON + HOUR, environment="production")
        for each in (second, first, first):
            rules.add(each)
        assert list(rules.overrides()) == [first, second]
        assert list(rules.overrides(environment="production")) == [second]
        with pytest.raises(InvalidInput, match=first.id):
            rules.add(first.model_copy(update={"threshold": 0.5}))

    def test_it_counts_from_when_it_was_made_until_it_expires(self, rules: RulesPort) -> None:
        rules.add(made())
        moments = (NOON - HOUR, NOON, NOON + HOUR - timedelta(seconds=1), NOON + HOUR)
        assert [len(rules.overrides(in_force_at=at)) for at in moments] == [0, 1, 1, 0]

    def test_it_can_be_ended_once_before_its_time(self, rules: RulesPort) -> None:
        rules.add(made())
        half = NOON + HOUR / 2
        ended = rules.end(made().id, by="bob", at=half)
        assert (ended.ended_at, ended.ended_by) == (half, "bob")
        assert rules.end(made().id, by="eve", at=half + HOUR / 4) == ended
        assert list(rules.overrides(in_force_at=half)) == []
        assert list(rules.overrides()) == [ended]
        assert list(rules.unseen(NOON + 2 * HOUR)) == []

    def test_one_of_those_who_saw_the_same_adds_and_one_ends(self, rules: RulesPort) -> None:
        rules.add(made(environment="production"))
        seen, noted = [made(0.01)], list[str]()
        rules.add(seen[0])

        def add(share: float) -> None:
            rules.add(made(share), seen=seen, first=lambda: noted.append(f"{share}"))

        def end(who: str) -> None:
            rules.end(seen[0].id, by=who, at=NOON, seen=seen[0], first=lambda: noted.append(who))

        add(0.03)
        with pytest.raises(ConflictError, match="overrides"):
            add(0.04)
        end("bob")
        with pytest.raises(ConflictError, match=seen[0].id):
            end("eve")
        assert noted == ["0.03", "bob"]
        assert [o.ended_by for o in rules.overrides(environment="dev")] == ["bob", ""]

    def test_what_comes_first_keeps_it_from_being_added_and_ended(self, rules: RulesPort) -> None:
        def full() -> None:
            raise AuditUnavailable("the disk is full")

        rules.add(made())
        with pytest.raises(AuditUnavailable):
            rules.add(made(0.03), first=full)
        with pytest.raises(AuditUnavailable):
            rules.end(made().id, by="bob", at=NOON, first=full)
        assert list(rules.overrides()) == [made()]

    def test_what_is_not_there_or_over_cannot_be_ended(self, rules: RulesPort) -> None:
        rules.add(made())
        with pytest.raises(InvalidInput, match="ov_nothing"):
            rules.end("ov_nothing", by="bob", at=NOON)
        with pytest.raises(InvalidInput, match="expired"):
            rules.end(made().id, by="bob", at=NOON + HOUR)

    def test_an_expiry_is_seen_once_whoever_looks(self, rules: RulesPort) -> None:
        rules.add(made())
        assert list(rules.unseen(NOON + HOUR / 2)) == []
        assert list(rules.unseen(NOON + HOUR)) == [made()]
        seen: list[bool] = []
        lookers = [threading.Thread(target=lambda: seen.append(rules.see_expiry(made().id))) for _ in range(8)]
        for looker in lookers:
            looker.start()
        for looker in lookers:
            looker.join()
        assert sorted(seen) == [False] * 7 + [True]
        assert list(rules.unseen(NOON + HOUR)) == []
        assert not rules.see_expiry("ov_nothing")
