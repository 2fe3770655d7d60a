"""What every store has to hold to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from adapters.store.base import FlagRow, Recording, StorePort, Tombstone
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.errors import AuditUnavailable, ConflictError, InvalidInput
from domain.outcome import OutcomeKind
from domain.stage import Stage
from domain.wanted import Wanted
from tests.contract.alerts import NOON, alert


def ended(cycle: Cycle) -> Cycle:
    """Return the cycle at its end."""
    return cycle.at(Stage.STOPPED, NOON, "over")


def at_once(threads: int, work: Callable[[int], object]) -> None:
    """Run `work` in so many threads that start together."""
    gate = threading.Barrier(threads)

    def run(number: int) -> None:
        gate.wait()
        work(number)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


class StoreContract:
    """A vendor gives `store`, empty."""

    @pytest.fixture
    def store(self) -> StorePort:
        raise NotImplementedError

    def test_the_first_cycle_of_a_day_is_number_one_and_observes(self, store: StorePort) -> None:
        cycle, new = store.open_cycle(alert(), NOON)
        assert new
        assert (cycle.id, cycle.stage, cycle.target, cycle.environment) == (
            "si_2026_01_31_001",
            Stage.OBSERVE,
            "search",
            "dev",
        )
        assert store.cycle(cycle.id) == cycle

    def test_an_alert_joins_the_open_cycle_of_its_target_and_environment(self, store: StorePort) -> None:
        first, _ = store.open_cycle(alert(), NOON)
        second, new = store.open_cycle(alert(fingerprint="f2"), NOON + timedelta(hours=1))
        assert not new
        assert second == first

    def test_other_targets_and_environments_have_cycles_of_their_own(self, store: StorePort) -> None:
        ids = {
            store.open_cycle(alert(target=target, environment=environment), NOON)[0].id
            for target in ("search", "ads")
            for environment in ("dev", "production")
        }
        assert ids == {f"si_2026_01_31_00{number}" for number in (1, 2, 3, 4)}

    def test_a_cycle_that_ended_makes_room_for_the_next(self, store: StorePort) -> None:
        first, _ = store.open_cycle(alert(), NOON)
        store.save(ended(first))
        second, new = store.open_cycle(alert(), NOON)
        assert new
        assert second.id == "si_2026_01_31_002"

    def test_numbers_start_again_on_the_next_utc_day(self, store: StorePort) -> None:
        first, _ = store.open_cycle(alert(), NOON)
        store.save(ended(first))
        late = datetime(2026, 1, 31, 20, 0, tzinfo=timezone(timedelta(hours=-5)))
        second, _ = store.open_cycle(alert(), late)
        assert second.id == "si_2026_02_01_001"
        assert store.cycles_on(NOON) == 1
        assert store.cycles_on(late) == 1
        assert store.cycles_on(NOON - timedelta(days=1)) == 0

    def test_threads_that_open_at_once_get_one_cycle_per_target(self, store: StorePort) -> None:
        answers: list[tuple[str, bool, str]] = []

        def work(number: int) -> None:
            target = f"target-{number % 3}"
            cycle, new = store.open_cycle(alert(target=target), NOON)
            answers.append((target, new, cycle.id))

        at_once(12, work)
        assert len(answers) == 12
        assert len({(target, cycle) for target, _, cycle in answers}) == 3
        assert sum(new for _, new, _ in answers) == 3
        assert {cycle for _, _, cycle in answers} == {f"si_2026_01_31_00{number}" for number in (1, 2, 3)}

    def test_what_is_saved_comes_back_equal(self, store: StorePort) -> None:
        cycle, _ = store.open_cycle(alert(), NOON)
        changed = cycle.at(Stage.DIAGNOSE, NOON + timedelta(seconds=1), "breached").model_copy(
            update={
                "action": Action.RETRAIN,
                "outcome": OutcomeKind.IMPROVED,
                "facts": {"observe": {"ndcg": 0.31, "tokens": ["a", "b"], "none": None}},
                "timings": {"observe": 1.25},
            }
        )
        store.save(changed)
        assert store.cycle(cycle.id) == changed

    def test_times_come_back_in_utc_whatever_zone_they_had(self, store: StorePort) -> None:
        abroad = NOON.astimezone(timezone(timedelta(hours=9)))
        cycle, _ = store.open_cycle(alert(), abroad)
        found = store.cycle(cycle.id)
        assert found is not None
        assert found.opened_at == NOON
        assert found.opened_at.utcoffset() is not None

    def test_saving_an_unknown_cycle_is_an_error(self, store: StorePort) -> None:
        cycle, _ = store.open_cycle(alert(), NOON)
        with pytest.raises(InvalidInput, match="si_2026_01_31_009"):
            store.save(cycle.model_copy(update={"id": "si_2026_01_31_009"}))

    def test_facts_that_are_no_json_are_an_error_and_change_nothing(self, store: StorePort) -> None:
        cycle, _ = store.open_cycle(alert(), NOON)
        for worthless in (float("nan"), float("inf"), object()):
            with pytest.raises(InvalidInput, match="facts"):
                store.save(cycle.with_fact("observe", worthless))
        assert store.cycle(cycle.id) == cycle

    def test_there_is_no_cycle_nobody_opened(self, store: StorePort) -> None:
        assert store.cycle("si_2026_01_31_001") is None
        assert store.cycles() == []

    def test_a_cancel_request_survives_a_save_that_does_not_know_of_it(self, store: StorePort) -> None:
        cycle, _ = store.open_cycle(alert(), NOON)
        store.request_cancel(cycle.id)
        store.save(cycle.at(Stage.DIAGNOSE, NOON))
        found = store.cycle(cycle.id)
        assert found is not None
        assert found.cancel_requested
        assert found.stage is Stage.DIAGNOSE

    def test_only_an_open_cycle_can_be_cancelled(self, store: StorePort) -> None:
        with pytest.raises(InvalidInput, match="no cycle"):
            store.request_cancel("si_2026_01_31_001")
        cycle, _ = store.open_cycle(alert(), NOON)
        store.save(ended(cycle))
        with pytest.raises(InvalidInput, match="ended"):
            store.request_cancel(cycle.id)

    def test_cycles_are_listed_newest_first(self, store: StorePort) -> None:
        for number in range(3):
            store.open_cycle(alert(target=f"target-{number}"), NOON)
        tomorrow, _ = store.open_cycle(alert(target="later"), NOON + timedelta(days=1))
        store.save(ended(tomorrow))
        newest_first = ["si_2026_02_01_001", "si_2026_01_31_003", "si_2026_01_31_002", "si_2026_01_31_001"]
        assert [cycle.id for cycle in store.cycles()] == newest_first
        assert [cycle.id for cycle in store.cycles(limit=2)] == newest_first[:2]
        assert [cycle.id for cycle in store.cycles(open_only=True)] == newest_first[1:]

    def test_cycles_are_found_by_what_is_named_in_pages_that_nothing_new_shifts(self, store: StorePort) -> None:
        for number in range(5):
            signal = "recall" if number % 2 else "ndcg"
            cycle, _ = store.open_cycle(alert(fingerprint=f"f{number}", signal=signal), NOON)
            outcome = OutcomeKind.IMPROVED if number % 2 else OutcomeKind.STOPPED
            store.save(cycle.model_copy(update={"stage": Stage.DONE, "outcome": outcome, "action": Action.RETRAIN}))
        late, _ = store.open_cycle(alert(fingerprint="late", target="ads"), NOON + timedelta(days=1))
        ids = [cycle.id for cycle in store.found(Wanted())]
        assert ids[0] == late.id
        assert ids == sorted(ids, reverse=True)
        first = store.found(Wanted(open=False), limit=2)
        store.open_cycle(alert(fingerprint="new"), NOON + timedelta(days=2))
        rest = store.found(Wanted(open=False), before=first[-1].id, limit=9)
        assert [cycle.id for cycle in (*first, *rest)] == ids[1:]
        assert [c.alert.fingerprint for c in store.found(Wanted(signal="recall"))] == ["f3", "f1"]
        assert [c.alert.fingerprint for c in store.found(Wanted(outcome="stopped", action="retrain"))] == [
            "f4",
            "f2",
            "f0",
        ]
        assert [c.id for c in store.found(Wanted(target="ads", stage="observe", environment="dev"))] == [late.id]
        assert [c.id for c in store.found(Wanted(fingerprint="late", open=True))] == [late.id]
        since, until = NOON + timedelta(days=1), NOON + timedelta(days=2)
        assert [c.id for c in store.found(Wanted(since=since, until=until))] == [late.id]
        assert list(store.found(Wanted(target="nothing"))) == []
        with pytest.raises(InvalidInput, match="si_YYYY"):
            store.found(Wanted(), before="si_1")

    def test_a_flag_is_kept_by_name_and_environment(self, store: StorePort) -> None:
        general = FlagRow(name="auto_promote", enabled=False)
        special = FlagRow(name="auto_promote", enabled=True, environment="dev", details={"owner": "search"})
        store.set_flag(general, by="operator", at=NOON)
        store.set_flag(special.model_copy(update={"enabled": False}), by="operator", at=NOON)
        store.set_flag(special, by="operator", at=NOON)
        assert sorted(store.flags(), key=lambda flag: flag.environment) == [general, special]

    def test_every_change_of_a_flag_is_remembered_newest_first(self, store: StorePort) -> None:
        assert list(store.flag_history()) == []
        off, on = FlagRow(name="ab_testing", enabled=False), FlagRow(name="ab_testing", enabled=True, environment="dev")
        store.set_flag(off, by="ann", at=NOON)
        store.set_flag(on.model_copy(update={"details": {"why": "a test"}}), by="bob", at=NOON + timedelta(hours=1))
        store.set_flag(FlagRow(name="kill_switch/tool/promote", enabled=True), by="eve", at=NOON)
        changes = store.flag_history("ab_testing")
        assert [(c.by, c.at, c.enabled, c.environment) for c in changes] == [
            ("bob", NOON + timedelta(hours=1), True, "dev"),
            ("ann", NOON, False, "all"),
        ]
        assert changes[0].details == {"why": "a test"}
        assert [c.name for c in store.flag_history(limit=1)] == ["kill_switch/tool/promote"]

    def test_a_flag_is_set_by_one_of_those_who_saw_the_same(self, store: StorePort) -> None:
        for environment in ("staging", "all"):
            store.set_flag(FlagRow(name="ab_testing", enabled=True, environment=environment), by="ann", at=NOON)
        seen = [row for row in store.flags() if row.name == "ab_testing"]
        off, noted, refused = FlagRow(name="ab_testing", enabled=False, environment="dev"), list[int](), list[int]()

        def switch(number: int) -> None:
            try:
                store.set_flag(off, by=f"{number}", at=NOON, seen=seen, first=lambda: noted.append(number))
            except ConflictError:
                refused.append(number)

        store.set_flag(FlagRow(name="auto_promote", enabled=True), by="another flag", at=NOON)
        at_once(4, switch)
        assert (len(noted), len(refused)) == (1, 3)
        assert [change.by for change in store.flag_history("ab_testing", limit=1)] == [f"{noted[0]}"]

    def test_what_comes_first_keeps_a_flag_from_being_set(self, store: StorePort) -> None:
        def full() -> None:
            raise AuditUnavailable("the disk is full")

        with pytest.raises(AuditUnavailable):
            store.set_flag(FlagRow(name="ab_testing", enabled=True), by="ann", at=NOON, first=full)
        assert (list(store.flags()), list(store.flag_history())) == ([], [])
        store.set_flag(FlagRow(name="ab_testing", enabled=True), by="ann", at=NOON, seen=[])

    def test_ended_cycles_of_a_target_come_back_the_last_to_end_first(self, store: StorePort) -> None:
        ids = []
        for hour in range(3):
            cycle, _ = store.open_cycle(alert(), NOON)
            store.save(cycle.at(Stage.STOPPED, NOON + timedelta(hours=hour), "over"))
            ids.append(cycle.id)
        other, _ = store.open_cycle(alert(target="ads"), NOON)
        store.save(ended(other))
        store.open_cycle(alert(), NOON)
        assert [cycle.id for cycle in store.ended("search", "dev")] == ids[::-1]
        assert [cycle.id for cycle in store.ended("search", "dev", limit=1)] == ids[-1:]
        assert list(store.ended("search", "production")) == []

    def test_the_first_tombstone_of_a_digest_stays(self, store: StorePort) -> None:
        stone = Tombstone(digest="sha256:" + "a" * 64, cycle_id="si_2026_01_31_001", reason="worse", at=NOON)
        assert store.tombstone(stone.digest) is None
        store.entomb(stone)
        store.entomb(stone.model_copy(update={"reason": "another"}))
        assert store.tombstone(stone.digest) == stone

    def test_recordings_come_back_in_order_by_prefix(self, store: StorePort) -> None:
        places = ["diagnose/2", "diagnose/1", "Diagnose/1", "plan/1", "diag%nose/1"]
        for place in places:
            store.record(Recording(cycle_id="c1", place=place, kind="reply", payload={"at": place}))
        store.record(Recording(cycle_id="c2", place="diagnose/1", kind="reply", payload={}))
        assert [recording.place for recording in store.recordings("c1")] == places
        assert [recording.place for recording in store.recordings("c1", "diagnose/")] == places[:2]
        assert [recording.place for recording in store.recordings("c1", "diag%")] == places[4:]

    def test_the_same_place_again_replaces_the_recording_where_it_stood(self, store: StorePort) -> None:
        for place in ("a", "b"):
            store.record(Recording(cycle_id="c1", place=place, kind="reply", payload={"n": 1}))
        store.record(Recording(cycle_id="c1", place="a", kind="clock", payload={"n": 2}))
        first, second = store.recordings("c1")
        assert (first.place, first.kind, first.payload) == ("a", "clock", {"n": 2})
        assert second.place == "b"

    def test_of_many_claims_of_one_place_exactly_one_is_kept(self, store: StorePort) -> None:
        won: list[int] = []

        def claim(number: int) -> None:
            if store.claim(Recording(cycle_id="schedule", place="backup/1", kind="slot", payload={"by": number})):
                won.append(number)

        at_once(6, claim)
        kept = [recording.payload for recording in store.recordings("schedule")]
        assert kept == [{"by": number} for number in won]
        assert len(won) == 1
        assert store.claim(Recording(cycle_id="schedule", place="backup/2", kind="slot", payload={}))
        with pytest.raises(InvalidInput):
            store.claim(Recording(cycle_id="schedule", place="backup/3", kind="slot", payload={"n": float("nan")}))

    def test_a_moment_is_what_the_single_questions_answer(self, store: StorePort) -> None:
        assert store.moment("si_2026_01_31_001") is None
        cycle, _ = store.open_cycle(alert(), NOON)
        store.save(cycle.with_fact("verdict_ab", "pass"))
        store.open_cycle(alert(target="ads"), NOON + timedelta(hours=1))
        store.open_cycle(alert(target="later"), NOON + timedelta(days=1))
        store.entomb(Tombstone(digest="sha256:bad", cycle_id=cycle.id, reason="worse", at=NOON))
        now = store.moment(cycle.id, "sha256:bad")
        assert now is not None
        assert (now.cycle, now.cycles_that_day) == (store.cycle(cycle.id), store.cycles_on(NOON))
        assert (now.cycles_that_day, now.entombed, list(now.flags)) == (2, True, [])
        for digest in ("sha256:good", ""):
            other = store.moment(cycle.id, digest)
            assert other is not None
            assert not other.entombed

    def test_a_flag_that_was_set_is_in_the_very_next_moment(self, store: StorePort) -> None:
        cycle, _ = store.open_cycle(alert(), NOON)
        for enabled in (True, False, True):
            flag = FlagRow(name="kill_switch", enabled=enabled, environment="dev", details={"why": "a test"})
            store.set_flag(flag, by="ann", at=NOON)
            now = store.moment(cycle.id)
            assert now is not None
            assert list(now.flags) == [flag] == list(store.flags())

    def test_what_many_threads_record_at_once_is_all_kept(self, store: StorePort) -> None:
        def work(number: int) -> None:
            for turn in range(5):
                place = f"observe/{number}/{turn}"
                store.record(Recording(cycle_id="c1", place=place, kind="reply", payload={"n": number, "turn": turn}))
                assert [kept.payload["turn"] for kept in store.recordings("c1", place)] == [turn]
            store.record(Recording(cycle_id="c1", place="shared", kind="reply", payload={"n": number}))

        at_once(12, work)
        assert len(store.recordings("c1", "observe/")) == 60
        assert len(store.recordings("c1", "shared")) == 1
        for number in range(12):
            turns = [kept.payload["turn"] for kept in store.recordings("c1", f"observe/{number}/")]
            assert turns == list(range(5))

    def test_check_says_what_it_is(self, store: StorePort) -> None:
        store.open_cycle(alert(), datetime(2026, 1, 1, tzinfo=UTC))
        assert store.check().startswith("store: ")
        assert store.check().endswith("1 cycles")
