"""What every audit chain has to hold to."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from adapters.audit.base import EMPTY, Anchor, ChainPort, Head
from domain.errors import AuditUnavailable, ChainBroken
from domain.receipt import AuditEntry, RecordKind
from tests.contract.store_contract import at_once

CYCLE = "si_2026_01_31_001"


def entry(kind: RecordKind = RecordKind.INTENT, key: str = "k1", cycle_id: str = CYCLE, **body: Any) -> AuditEntry:
    """Return an entry of the tool ``promote``."""
    return AuditEntry(
        kind=kind, cycle_id=cycle_id, stage="promote", tool="promote", actor="devops_engineer/stage", key=key, body=body
    )


class AuditContract:
    """A vendor gives `audit`, empty, on a frozen clock."""

    @pytest.fixture
    def audit(self) -> ChainPort:
        raise NotImplementedError

    def test_records_are_numbered_from_one_and_each_carries_the_hash_before_it(self, audit: ChainPort) -> None:
        first, second = audit.append(entry()), audit.append(entry(RecordKind.OUTCOME))
        assert (first.sequence, second.sequence) == (1, 2)
        assert second.previous == first.hash
        assert first.intact()
        assert second.intact()

    def test_what_was_appended_comes_back_equal(self, audit: ChainPort) -> None:
        made = [
            audit.append(entry(key=f"k{number}", text="naïve ✓", number=1.5, deep={"a": [1]})) for number in range(3)
        ]
        assert list(audit.records()) == made
        assert all(record.intact() for record in audit.records())
        assert audit.verify() == 3

    def test_a_cycle_has_its_own_records(self, audit: ChainPort) -> None:
        audit.append(entry())
        audit.append(entry(cycle_id="si_2026_01_31_002"))
        assert [record.sequence for record in audit.records(CYCLE)] == [1]
        assert [record.sequence for record in audit.records("si_2026_01_31_002")] == [2]
        assert list(audit.records("si_2026_01_31_003")) == []

    def test_a_key_finds_its_records_and_no_others(self, audit: ChainPort) -> None:
        for key in ("k1", "k2", "k1"):
            audit.append(entry(key=key))
        assert [record.sequence for record in audit.of_key("k1")] == [1, 3]
        assert list(audit.of_key("k3")) == []

    def test_the_head_is_the_length_and_the_last_hash(self, audit: ChainPort) -> None:
        assert audit.head() == EMPTY
        last = [audit.append(entry()) for _ in range(2)][-1]
        assert audit.head() == Head(2, last.hash)

    def test_links_are_what_was_hashed_in_order_from_any_place_on(self, audit: ChainPort) -> None:
        made = [audit.append(entry(key=f"k{number}", text="naïve ✓")) for number in range(3)]
        links = list(audit.links())
        assert [hashlib.sha256(link.text.encode()).hexdigest() for link in links] == [record.hash for record in made]
        assert [(link.sequence, link.kind, link.cycle_id, link.key) for link in audit.links(1)] == [
            (2, "intent", CYCLE, "k1"),
            (3, "intent", CYCLE, "k2"),
        ]
        stream = audit.links()
        assert next(stream).key == "k0"
        del stream
        assert audit.append(entry()).sequence == 4

    def test_whoever_follows_it_is_given_what_came_after_a_record(self, audit: ChainPort) -> None:
        made = [audit.append(entry(cycle_id=f"si_2026_01_31_00{number % 2}", key=f"k{number}")) for number in range(6)]
        assert list(audit.after(0)) == made
        assert list(audit.after(2, limit=2)) == made[2:4]
        assert list(audit.after(1, cycle_id="si_2026_01_31_000", limit=1)) == [made[2]]
        assert list(audit.after(2, cycle_id="si_2026_01_31_001")) == [made[3], made[5]]
        assert list(audit.after(6)) == list(audit.after(99)) == []

    def test_what_others_have_seen_is_held_against_it(self, audit: ChainPort) -> None:
        made = [audit.append(entry()) for _ in range(2)]
        assert audit.verify(anchors=[Anchor("a commit", 1, made[0].hash[:16])]) == 2
        for anchor, why in (
            (Anchor("a commit", 1, "0" * 16), "changed"),
            (Anchor("a commit", 3, "0" * 16), "truncated"),
        ):
            with pytest.raises(ChainBroken, match="a commit has seen") as told:
                audit.verify(anchors=[anchor])
            assert (told.value.record, told.value.why) == (anchor.record, why)

    def test_an_empty_chain_verifies(self, audit: ChainPort) -> None:
        assert audit.verify() == 0

    def test_an_intent_is_open_until_an_outcome_with_its_key_follows(self, audit: ChainPort) -> None:
        audit.append(entry(RecordKind.OUTCOME, key="early"))
        for key in ("early", "done", "open"):
            audit.append(entry(key=key))
        audit.append(entry(RecordKind.OUTCOME, key="done"))
        audit.append(entry(RecordKind.REFUSAL, key="open"))
        assert [record.entry.key for record in audit.open_intents()] == ["early", "open"]

    def test_open_intents_of_a_cycle_are_its_own(self, audit: ChainPort) -> None:
        audit.append(entry(key="mine"))
        audit.append(entry(key="other", cycle_id="si_2026_01_31_002"))
        assert [record.entry.key for record in audit.open_intents(CYCLE)] == ["mine"]

    def test_threads_that_append_at_once_make_one_chain(self, audit: ChainPort) -> None:
        made: list[int] = []

        def work(number: int) -> None:
            for turn in range(5):
                made.append(audit.append(entry(key=f"{number}/{turn}")).sequence)

        at_once(8, work)
        assert sorted(made) == list(range(1, 41))
        assert audit.verify() == 40
        keys = [record.entry.key for record in audit.records() if record.entry.key.startswith("3/")]
        assert keys == [f"3/{turn}" for turn in range(5)]

    def test_a_record_that_has_no_json_form_is_refused_and_nothing_is_written(self, audit: ChainPort) -> None:
        for worthless in (float("nan"), object()):
            with pytest.raises(AuditUnavailable, match="nothing was recorded"):
                audit.append(entry(value=worthless))
        assert audit.verify() == 0
        assert audit.append(entry()).sequence == 1
