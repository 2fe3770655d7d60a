"""Gold baselines: kept when a promotion ended well, found again by name, day or revision, and restored by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.datasets.memory import MemoryDatasets
from adapters.store.base import FlagRow, Recording, Tombstone
from adapters.tracking.memory import MemoryTracking
from adapters.vcs.memory import MemoryVcs
from cycles.desk import CallFailed, CallRefused, Desk
from cycles.restore import OperatorRestore, Restored
from cycles.verify import verify
from domain.actor import Role
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.errors import ConflictError, DependencyUnavailable, InvalidInput
from domain.gold import GOLD, GoldBaseline, gold_name
from domain.outcome import OutcomeKind
from domain.stage import Stage
from tests.support.cluster import SyncedDelivery
from tests.support.flaky import Flaky, always, first
from tests.support.office import Rig, office_in_memory
from tests.support.setting import MODEL, alert_of
from tests.support.story import Story, given
from tools.deliver.gold import Marked, baselines
from tools.deliver.restore import Destination, Restorer

PERSON = "ann@example.org"


def restorer(rig: Rig) -> Restorer:
    ports = rig.ports
    return Restorer(
        ports.vcs, ports.tracking, ports.datasets, ports.store, model=MODEL, target="search", environment="dev"
    )


def by_hand(rig: Rig, destination: Destination, **how: Any) -> Restored:
    hand = OperatorRestore(rig.office, person=PERSON, target="search", environment="dev")
    return hand.run(destination, "quality fell after the release", **how)


def golden(folder: Path, **wiring: Any) -> Story:
    """A platform whose last promotion ended well."""
    return given(folder, Action.RETRAIN, **wiring).runs().expect_end(OutcomeKind.IMPROVED)


def spoilt(rig: Rig) -> str:
    """Somebody tunes the platform by hand, an hour after the baseline; returns the revision."""
    assert isinstance(rig.ports.vcs, MemoryVcs)
    assert isinstance(rig.clock, FrozenClock)
    rig.clock.advance(timedelta(hours=1))
    text = rig.ports.vcs.read().replace("mode: balanced", "mode: fast").replace("generation: 1", "generation: 2")
    return rig.ports.vcs.push_from_outside(text, "try something")


def gold_of(rig: Rig) -> GoldBaseline:
    (found,) = baselines(rig.store, "search", "dev")
    return found


# -- works ------------------------------------------------------------------------------------------------------------


@pytest.mark.integration("gold", "works")
def test_a_promotion_that_ended_well_is_kept_under_one_name_everywhere(tmp_path: Path) -> None:
    story = golden(tmp_path)
    rig, cycle = story.rig, story.cycle
    gold = gold_of(rig)
    assert gold.name == gold_name(rig.clock.now().date(), 1) == cycle.facts["gold"]
    assert (gold.cycle_id, gold.digest) == (cycle.id, cycle.facts["candidate"]["model"]["digest"])
    assert gold.values_revision == cycle.facts["release"]["revision"]
    assert gold.dataset is not None
    assert gold.dataset.revision == cycle.facts["dataset"]["ref"]["revision"]
    assert rig.ports.datasets.tagged(gold.name) == gold.dataset
    alias, version = rig.ports.tracking.by_alias(MODEL, GOLD), rig.ports.tracking.by_digest(MODEL, gold.digest)
    assert alias == version
    assert version is not None
    assert version.tags[gold.name] == cycle.id
    assert "mark_gold" in story.effects
    story.is_proven()


@pytest.mark.integration("gold", "works")
@pytest.mark.parametrize("action", [Action.ROLLBACK, Action.TUNE, Action.NOISE])
def test_what_is_no_promotion_is_no_baseline(tmp_path: Path, action: Action) -> None:
    story = given(tmp_path, action).runs()
    assert "mark_gold" not in story.effects
    assert baselines(story.rig.store, "search", "dev") == []


@pytest.mark.integration("gold", "works")
def test_what_is_restored_by_hand_is_applied_where_that_has_to_be_asked_for(tmp_path: Path) -> None:
    rig = golden(tmp_path, cluster=True).rig
    spoilt(rig)
    done = by_hand(rig, restorer(rig).resolve(GOLD))
    delivery = rig.ports.delivery
    assert isinstance(delivery, SyncedDelivery)
    assert list(delivery.asked.values())[-1] == done.released.revision == rig.ports.vcs.head()


@pytest.mark.integration("gold", "works")
@pytest.mark.parametrize("how", ["gold", "name", "revision", "short", "time"])
def test_gold_is_restored_by_hand_and_its_record_proves_it(tmp_path: Path, how: str) -> None:
    rig = golden(tmp_path).rig
    gold = gold_of(rig)
    asked = {
        "gold": GOLD,
        "name": gold.name,
        "revision": gold.values_revision,
        "short": gold.values_revision[:9],
        "time": (gold.at + timedelta(minutes=1)).isoformat(),
    }[how]
    bad = spoilt(rig)
    destination = restorer(rig).resolve(asked)
    assert (destination.revision, destination.baseline) == (gold.values_revision, gold)
    assert "+  mode: balanced" in restorer(rig).diff(destination)
    done = by_hand(rig, destination)
    assert rig.ports.vcs.read() == rig.ports.vcs.read(gold.values_revision)
    assert (done.released.previous, done.live.digest, done.live.revision) == (bad, gold.digest, rig.ports.vcs.head())
    cycle = rig.now(done.cycle_id)
    assert (cycle.stage, cycle.outcome) == (Stage.DONE, OutcomeKind.RESTORED)
    assert cycle.reason.startswith(PERSON)
    assert [c for c in verify(done.cycle_id, rig.evidence()) if not c.ok] == []
    intents = [r.entry for r in rig.audit.records(done.cycle_id) if r.entry.kind.value == "intent"]
    assert [(e.tool, e.actor) for e in intents] == [("restore_values", PERSON)]
    assert restorer(rig).diff(restorer(rig).resolve(asked)) == ""


@pytest.mark.integration("gold", "works")
def test_a_day_stands_for_the_values_as_it_left_them(tmp_path: Path) -> None:
    rig = golden(tmp_path).rig
    assert isinstance(rig.clock, FrozenClock)
    day = rig.clock.now().date()
    last = rig.ports.vcs.head()
    rig.clock.advance(timedelta(days=2))
    spoilt(rig)
    assert restorer(rig).resolve(day.isoformat()).revision == last
    assert restorer(rig).resolve((day + timedelta(days=1)).isoformat()).revision == last
    with pytest.raises(InvalidInput, match="nothing stood at 2020-01-01: the values file is known since 20"):
        restorer(rig).resolve("2020-01-01")


@pytest.mark.integration("gold", "works")
def test_the_kill_switch_does_not_keep_a_person_from_restoring(tmp_path: Path) -> None:
    rig = golden(tmp_path).rig
    spoilt(rig)
    rig.store.set_flag(FlagRow(name="kill_switch", enabled=True), by="a person", at=rig.clock.now())
    done = by_hand(rig, restorer(rig).resolve(GOLD))
    assert done.live.digest == gold_of(rig).digest
    assert done.notes == ()


@pytest.mark.integration("gold", "works")
def test_a_rehearsal_goes_there_in_a_scratch_copy_and_changes_nothing(tmp_path: Path) -> None:
    rig = golden(tmp_path).rig
    head = spoilt(rig)
    records = len(rig.audit.records())
    steps = restorer(rig).rehearse(restorer(rig).resolve(GOLD))
    assert [(step.name, step.ok) for step in steps] == [
        ("values", True),
        ("model", True),
        ("dataset", True),
        ("tags", True),
    ]
    assert (rig.ports.vcs.head(), len(rig.audit.records())) == (head, records)


# -- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.integration("gold", "refused")
def test_a_model_that_was_rolled_back_for_good_is_not_brought_back(tmp_path: Path) -> None:
    rig = golden(tmp_path).rig
    head = spoilt(rig)
    destination = restorer(rig).resolve(GOLD)
    stone = Tombstone(digest=destination.digest, cycle_id="si_x", reason="it was worse", at=rig.clock.now())
    rig.store.entomb(stone)
    steps = {step.name: step for step in restorer(rig).rehearse(destination)}
    assert "stays dead: it was worse" in steps["model"].detail
    with pytest.raises(CallRefused, match="restore_values"):
        by_hand(rig, destination)
    assert rig.ports.vcs.head() == head
    assert rig.store.cycles(open_only=True) == []


@pytest.mark.integration("gold", "refused")
def test_while_a_cycle_works_on_the_target_a_person_has_to_say_so(tmp_path: Path) -> None:
    rig = golden(tmp_path).rig
    spoilt(rig)
    open_one = rig.open(alert_of(Action.RETRAIN, rig.clock))
    with pytest.raises(ConflictError, match=rf"evercrew cycles cancel {open_one.id}.*--take-over"):
        by_hand(rig, restorer(rig).resolve(GOLD))
    done = by_hand(rig, restorer(rig).resolve(GOLD), take_over=True)
    assert done.cycle_id == open_one.id
    assert rig.now(open_one.id).cancel_requested
    assert rig.now(open_one.id).stage is Stage.OBSERVE


@pytest.mark.integration("gold", "refused")
def test_values_that_stand_already_are_not_committed_again(tmp_path: Path) -> None:
    rig = golden(tmp_path).rig
    head = rig.ports.vcs.head()
    with pytest.raises(CallFailed, match="There is nothing to restore"):
        by_hand(rig, restorer(rig).resolve(GOLD))
    assert rig.ports.vcs.head() == head


# -- slow -------------------------------------------------------------------------------------------------------------


@pytest.mark.integration("gold", "slow")
def test_what_does_not_come_live_is_told_with_what_is_live_instead(tmp_path: Path) -> None:
    rig = golden(tmp_path).rig
    rig.world.frozen_at = spoilt(rig)
    with pytest.raises(CallFailed, match="await_live"):
        by_hand(rig, restorer(rig).resolve(GOLD))
    (cycle,) = [c for c in rig.store.cycles() if c.alert.source == "operator"]
    assert (cycle.stage, cycle.outcome) == (Stage.DONE, OutcomeKind.UNVERIFIED)
    assert rig.ports.vcs.read() == rig.ports.vcs.read(gold_of(rig).values_revision)


@pytest.mark.integration("gold", "slow")
def test_a_tag_that_could_not_be_made_at_once_is_made_at_the_second_try(tmp_path: Path) -> None:
    flaky: list[Flaky] = []

    def change(ports: Any) -> Any:
        flaky.append(Flaky(ports.datasets, {"tag": first(1, DependencyUnavailable("dvc", "it is slow today"))}))
        return replace(ports, datasets=flaky[0])

    story = golden(tmp_path, change=change)
    rig, cycle = story.rig, story.cycle
    assert "mark_gold" not in story.effects
    assert baselines(rig.store, "search", "dev") == []
    args = {
        "digest": cycle.facts["candidate"]["model"]["digest"],
        "values_revision": cycle.facts["release"]["revision"],
        "dataset": cycle.facts["dataset"]["ref"],
    }
    desk = Desk(rig.office, cycle)
    marked = desk.do("mark_gold", args, Role.DEVOPS_ENGINEER, Marked)
    assert baselines(rig.store, "search", "dev") == [marked.baseline]
    assert marked.baseline.name.endswith("-1")


@pytest.mark.integration("gold", "slow")
def test_what_was_begun_before_midnight_is_finished_under_the_same_name_after_it(tmp_path: Path) -> None:
    def change(ports: Any) -> Any:
        away = first(1, DependencyUnavailable("dvc", "it is slow today"))
        return replace(ports, datasets=Flaky(ports.datasets, {"tag": away}))

    story = golden(tmp_path, change=change)
    rig, cycle = story.rig, story.cycle
    digest = cycle.facts["candidate"]["model"]["digest"]
    begun = _gold_tags(rig, digest)
    assert [name.endswith("-1") for name in begun] == [True]
    assert isinstance(rig.clock, FrozenClock)
    rig.clock.advance(timedelta(days=1))
    args = {
        "digest": digest,
        "values_revision": cycle.facts["release"]["revision"],
        "dataset": cycle.facts["dataset"]["ref"],
    }
    learning = Desk(rig.office, cycle.model_copy(update={"stage": Stage.LEARN}))
    marked = learning.do("mark_gold", args, Role.DEVOPS_ENGINEER, Marked)
    assert [marked.baseline.name] == begun == _gold_tags(rig, digest)
    assert marked.baseline.at == rig.clock.now()


def _gold_tags(rig: Rig, digest: str) -> list[str]:
    version = rig.ports.tracking.by_digest(MODEL, digest)
    assert version is not None
    return [tag for tag in version.tags if tag.startswith(f"{GOLD}/")]


# -- lying ------------------------------------------------------------------------------------------------------------


def _gone(rig: Rig) -> None:
    assert isinstance(rig.ports.tracking, MemoryTracking)
    rig.ports.tracking._versions[MODEL] = [
        ref for ref in rig.ports.tracking._versions[MODEL] if ref.digest != gold_of(rig).digest
    ]


def _untagged(rig: Rig) -> None:
    assert isinstance(rig.ports.tracking, MemoryTracking)
    rig.ports.tracking._versions[MODEL] = [
        ref.model_copy(update={"tags": {}}) for ref in rig.ports.tracking._versions[MODEL]
    ]


def _damaged(rig: Rig) -> None:
    assert isinstance(rig.ports.datasets, MemoryDatasets)
    for address in rig.ports.datasets.objects:
        rig.ports.datasets.objects[address] = b"something else"


def _swapped(rig: Rig) -> None:
    assert isinstance(rig.ports.tracking, MemoryTracking)
    ref = rig.ports.tracking.by_digest(MODEL, gold_of(rig).digest)
    assert ref is not None
    (rig.ports.tracking._place(MODEL, ref.version) / "model.json").write_text('{"name": "another", "skill": 1}')


@pytest.mark.integration("gold", "lying")
@pytest.mark.parametrize(
    ("damage", "step", "said"),
    [
        (_gone, "model", "the registry has no version of reranker"),
        (_swapped, "model", "digest"),
        (_untagged, "tags", "does not carry the tag gold/"),
        (_damaged, "dataset", "hash"),
    ],
)
def test_a_rehearsal_names_what_is_lost_or_was_changed(tmp_path: Path, damage: Any, step: str, said: str) -> None:
    rig = golden(tmp_path).rig
    spoilt(rig)
    destination = restorer(rig).resolve(GOLD)
    damage(rig)
    failed = {s.name: s.detail for s in restorer(rig).rehearse(destination) if not s.ok}
    assert said in failed[step]


@pytest.mark.integration("gold", "lying")
def test_a_restore_whose_model_is_gone_changes_nothing(tmp_path: Path) -> None:
    rig = golden(tmp_path).rig
    head = spoilt(rig)
    destination = restorer(rig).resolve(GOLD)
    _gone(rig)
    with pytest.raises(CallFailed, match="Restore the registry from a backup"):
        by_hand(rig, destination)
    assert rig.ports.vcs.head() == head


@pytest.mark.integration("gold", "lying")
def test_a_dataset_store_that_fails_takes_nothing_from_the_cycles_outcome(tmp_path: Path) -> None:
    def change(ports: Any) -> Any:
        return replace(ports, datasets=Flaky(ports.datasets, {"tag": always(DependencyUnavailable("dvc", "gone"))}))

    story = golden(tmp_path, change=change)
    assert "mark_gold" not in story.effects
    assert any("mark_gold" in event.what for event in story.rig.events if event.kind == "note")
    story.is_proven()


# -- misconfigured ----------------------------------------------------------------------------------------------------


@pytest.mark.integration("gold", "misconfigured")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("gold", "there is no baseline gold; there are: none yet"),
        ("gold/2026-01-01-7", "there is no baseline gold/2026-01-01-7"),
        ("yesterday", "'yesterday' is neither gold, a revision nor a date"),
        ("deadbeef", "0 of the last 1 commits to the values file begin with deadbeef"),
        ("2026-13-01", "neither gold, a revision nor a date"),
    ],
)
def test_a_destination_that_leads_nowhere_says_what_there_is(tmp_path: Path, asked: str, said: str) -> None:
    rig = office_in_memory(tmp_path)
    with pytest.raises(InvalidInput, match=said):
        restorer(rig).resolve(asked)


@pytest.mark.integration("gold", "misconfigured")
def test_a_baseline_of_another_target_is_none_of_this_one(tmp_path: Path) -> None:
    rig = golden(tmp_path).rig
    gold = gold_of(rig).model_copy(update={"target": "ads", "name": gold_name(rig.clock.now().date(), 2)})
    payload = {"key": "k", "baseline": gold.model_dump(mode="json")}
    assert rig.store.claim(Recording(cycle_id=GOLD, place=gold.name, kind=GOLD, payload=payload))
    assert [b.target for b in baselines(rig.store, "search", "dev")] == ["search"]
    with pytest.raises(InvalidInput, match="there is no baseline"):
        restorer(rig).resolve(gold.name)
