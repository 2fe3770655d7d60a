"""A changed byte anywhere is named: chain, artifact, dataset, registry, values, live platform, the cycle itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.memory import MemoryAudit
from adapters.datasets.memory import MemoryDatasets
from adapters.tracking.memory import MemoryTracking
from adapters.vcs.memory import MemoryVcs
from cycles.verify import verify
from domain.diagnosis import Action
from domain.errors import IntegrityError, InvalidInput
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, RecordKind
from tests.support.office import Rig
from tests.support.setting import MODEL
from tests.support.story import Story, given

Damage = Callable[[Story], None]


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return given(tmp_path, Action.RETRAIN).runs()


def unproven(story: Story) -> list[str]:
    return [check.name for check in verify(story.cycle.id, story.rig.evidence()) if not check.ok]


def ports(rig: Rig) -> Any:
    return rig.ports


def _chain_byte(story: Story) -> None:
    audit = story.rig.audit
    assert isinstance(audit, MemoryAudit)
    place = len(audit._records) // 2
    record = audit._records[place]
    entry = record.entry.model_copy(update={"actor": "somebody else"})
    audit._records[place] = record.model_copy(update={"entry": entry})


def _chain_cut(story: Story) -> None:
    audit = story.rig.audit
    assert isinstance(audit, MemoryAudit)
    del audit._records[3]


def _second_outcome(story: Story) -> None:
    audit = story.rig.audit
    done = next(r.entry for r in audit.records() if r.entry.kind is RecordKind.OUTCOME)
    audit.append(AuditEntry.model_validate(done.model_dump()))


def _effect_of_no_intent(story: Story) -> None:
    effects = [{**effect, "receipt": 1} for effect in story.cycle.facts["effects"]]
    story.rig.store.save(story.cycle.with_fact("effects", effects))


def _another_effect(story: Story) -> None:
    first, *others = story.cycle.facts["effects"]
    story.rig.store.save(story.cycle.with_fact("effects", [{**first, "name": "promote"}, *others]))


def _artifact(name: str) -> Damage:
    def damage(story: Story) -> None:
        path = story.rig.office.artifacts.folder(story.cycle.id) / name
        path.write_text(path.read_text().replace("e", "E", 1))

    return damage


def _artifact_gone(story: Story) -> None:
    (story.rig.office.artifacts.folder(story.cycle.id) / "watch.json").unlink()


def _dataset_byte(story: Story) -> None:
    datasets = story.rig.ports.datasets
    assert isinstance(datasets, MemoryDatasets)
    address = next(iter(datasets.objects))
    datasets.objects[address] += b" "


def _dataset_gone(story: Story) -> None:
    datasets = story.rig.ports.datasets
    assert isinstance(datasets, MemoryDatasets)
    datasets.objects.clear()


def _tag(name: str) -> Damage:
    def damage(story: Story) -> None:
        tracking = story.rig.ports.tracking
        assert isinstance(tracking, MemoryTracking)
        *others, last = tracking._versions[MODEL]
        tracking._versions[MODEL] = [*others, last.model_copy(update={"tags": {**last.tags, name: "another"}})]

    return damage


def _bundle(story: Story) -> None:
    tracking = story.rig.ports.tracking
    assert isinstance(tracking, MemoryTracking)
    version = tracking.versions(MODEL)[-1].version
    place = tracking._place(MODEL, version) / "model.json"
    place.write_text(place.read_text() + " ")


def _unregistered(story: Story) -> None:
    tracking = story.rig.ports.tracking
    assert isinstance(tracking, MemoryTracking)
    tracking._versions[MODEL].pop()


def _values(story: Story) -> None:
    vcs = story.rig.ports.vcs
    assert isinstance(vcs, MemoryVcs)
    digest = story.cycle.facts["candidate"]["model"]["digest"]
    vcs._texts = [text.replace(digest, "sha256:" + "0" * 64) for text in vcs._texts]


def _live(story: Story) -> None:
    state = story.rig.world.live().model_copy(update={"digest": "sha256:" + "1" * 64})
    source: Any = story.rig.ports.delivery
    source._source = type("Lies", (), {"live": lambda self: state})()


def _fact(name: str, **changes: Any) -> Damage:
    def damage(story: Story) -> None:
        story.rig.store.save(story.cycle.with_fact(name, {**story.cycle.facts[name], **changes}))

    return damage


def _alert(story: Story) -> None:
    alert = story.cycle.alert.model_copy(update={"fingerprint": "another"})
    story.rig.store.save(story.cycle.model_copy(update={"alert": alert}))


def _recording(story: Story) -> None:
    snapshot = next(r for r in story.rig.store.recordings(story.cycle.id) if r.place.startswith("observe/"))
    story.rig.store.record(snapshot.model_copy(update={"payload": {**snapshot.payload, "result": {}}}))


def _claims(outcome: OutcomeKind) -> Damage:
    def damage(story: Story) -> None:
        story.rig.store.save(story.cycle.model_copy(update={"outcome": outcome}))

    return damage


CHAIN, EFFECTS, FACTS, FILES, OUTCOME = "audit chain", "effects", "facts", "artifacts", "outcome"


def test_a_cycle_nobody_touched_is_proven_link_by_link(story: Story) -> None:
    checks = verify(story.cycle.id, story.rig.evidence())
    assert [c.name for c in checks if not c.ok] == []
    assert [c.name for c in checks] == [
        CHAIN,
        EFFECTS,
        "approvals",
        "policies",
        FACTS,
        "recordings",
        "tape",
        FILES,
        "alert",
        OUTCOME,
        "dataset",
        "registered model",
        "dataset of the model",
        "alert of the model",
        "evaluated model",
        "values in git",
        "live",
        "alias",
        "gold",
    ]
    assert all(check.detail for check in checks)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_chain_byte, {CHAIN}),
        (_chain_cut, {CHAIN}),
        (_second_outcome, {EFFECTS}),
        (_effect_of_no_intent, {EFFECTS}),
        (_another_effect, {EFFECTS}),
        (_recording, {"recordings"}),
        (_artifact("diagnostic_report.json"), {FILES}),
        (_artifact("dataset_manifest.yaml"), {FILES}),
        (_artifact("helm_values_patch.yaml"), {FILES}),
        (_artifact_gone, {FILES, OUTCOME}),
        (_claims(OutcomeKind.TUNED), {OUTCOME}),
        (_claims(OutcomeKind.LEFT_ALONE), {OUTCOME}),
        (_claims(OutcomeKind.UNVERIFIED), set()),
        (_dataset_byte, {"dataset"}),
        (_dataset_gone, {"dataset"}),
        (_tag("dataset_rev"), {"dataset of the model"}),
        (_tag("dataset_md5"), {"dataset of the model"}),
        (_tag("alert_fingerprint"), {"alert of the model"}),
        (_bundle, {"registered model"}),
        (_unregistered, {"registered model", "dataset of the model", "alert of the model", "alias", "gold"}),
        (_values, {"values in git"}),
        (_live, {"live"}),
        (_alert, {"alert", "alert of the model"}),
        (_fact("trained", digest="sha256:" + "2" * 64), {FACTS, "registered model"}),
        (_fact("live", digest="sha256:" + "3" * 64), {"values in git"}),
    ],
)
def test_what_was_changed_is_named(story: Story, damage: Damage, named: set[str]) -> None:
    damage(story)
    assert set(unproven(story)) == named


def test_a_cycle_of_a_release_that_knew_no_reaction_is_still_proven(story: Story) -> None:
    artifacts, audit = story.rig.office.artifacts, story.rig.audit
    outcome = artifacts.read(story.cycle.id, "outcome.json")
    assert outcome is not None
    old = {name: value for name, value in outcome.items() if name != "reaction"}
    with pytest.raises(IntegrityError, match="reaction"):
        artifacts.write(story.cycle.id, "outcome.json", old)
    path = artifacts.write_text(story.cycle.id, "outcome.json", json.dumps(old))
    noted = next(r.entry for r in audit.records(story.cycle.id) if r.entry.body.get("artifact") == "outcome.json")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    audit.append(noted.model_copy(update={"body": {"artifact": "outcome.json", "sha256": digest}}))
    assert unproven(story) == []


def test_a_later_release_by_somebody_else_is_no_fault_of_this_cycle(story: Story) -> None:
    vcs = story.rig.ports.vcs
    assert isinstance(vcs, MemoryVcs)
    first = story.rig.ports.tracking.versions(MODEL)[0].digest
    vcs.push_from_outside(vcs.read().replace(story.cycle.facts["live"]["digest"], first))
    assert unproven(story) == []


def test_a_cycle_that_is_not_there_cannot_be_verified(story: Story) -> None:
    with pytest.raises(InvalidInput, match="si_2020_01_01_001"):
        verify("si_2020_01_01_001", story.rig.evidence())


@pytest.mark.parametrize("action", [Action.ROLLBACK, Action.DATA_FIX, Action.TUNE, Action.NOISE])
def test_other_cycles_are_proven_by_the_links_they_have(tmp_path: Path, action: Action) -> None:
    story = given(tmp_path, action).runs()
    names = [check.name for check in verify(story.cycle.id, story.rig.evidence()) if check.ok]
    assert unproven(story) == []
    assert ("dataset" in names) == (action is Action.DATA_FIX)
    assert ("values in git" in names) == (action in (Action.ROLLBACK, Action.TUNE))
