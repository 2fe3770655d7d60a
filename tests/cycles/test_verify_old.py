"""Proofs of a cycle that is weeks old: what came after it is no damage, and damage is named as well as on the day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.audit.keys import Keys
from adapters.audit.memory import MemoryAudit
from adapters.audit.signed import HEAD, SignedAudit
from adapters.datasets.memory import MemoryDatasets
from adapters.evaluation.measure import Ranked
from adapters.evaluation.memory import MemoryEvaluation
from adapters.platform.memory import MemoryPlatform
from adapters.tracking.base import EFFECT_ALIAS
from adapters.tracking.memory import MemoryTracking
from adapters.vcs.memory import MemoryVcs
from cycles.retention import Retirement
from cycles.verify import Evidence, verify
from domain.clock import FrozenClock
from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from evals.simulated import HEALTHY
from evals.simulated_jobs import digest_of, ranked
from evals.simulated_rows import documents, judgements
from tests.support.office import ended, office_in_memory
from tests.support.setting import MODEL, alert_of
from tools.deliver.values import parse_values

WEEK = timedelta(days=7)


class History:
    """An office with a signed chain, the cycle that is proved, and those that came after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        clock = FrozenClock()
        self.chain = MemoryAudit(clock)
        self.audit = SignedAudit(self.chain, Keys(folder / "keys"), clock, anchor=folder / HEAD)
        self.rig = office_in_memory(folder, Action.RETRAIN, audit=self.audit, clock=clock)
        self.old = ended(self.rig, Action.RETRAIN)
        assert self.old.outcome is OutcomeKind.IMPROVED

    def later(self, *, better: bool = True) -> Cycle:
        """Let another shift come a week later, and a cycle that promotes its model only when it is better."""
        rig = self.rig
        rig.clock.sleep(WEEK)
        now, world, platform, judged = rig.clock.now(), rig.world, rig.ports.platform, rig.ports.evaluation
        assert isinstance(platform, MemoryPlatform)
        assert isinstance(judged, MemoryEvaluation)
        world.skills = {**world.skills, world.live().digest: HEALTHY}
        world.alert_at = now
        platform.all_documents = documents(now, shifted=True)
        platform.all_judgements = judgements(now, shifted=True, damaged=False)
        known = set(world.skills) if better else set()

        def rank(bundle: Path, query: str) -> Ranked:
            worn = digest_of(bundle) in known
            return Ranked(ranked(self.folder / "good" if worn else bundle, query), 2.0)

        judged._rank = rank
        alert = alert_of(Action.RETRAIN, rig.clock).model_copy(update={"fingerprint": f"f-{now:%m-%d}"})
        cycle = rig.open(alert)
        rig.engine.start(cycle.id)
        return rig.engine.wait(cycle.id)

    def evidence(self) -> Evidence:
        return replace(self.rig.evidence(), signed=self.audit)

    def told(self, cycle: Cycle | None = None) -> dict[str, str]:
        """Return the detail of every check that holds."""
        return {c.name: c.detail for c in verify((cycle or self.old).id, self.evidence()) if c.ok}

    def unproven(self, cycle: Cycle | None = None) -> dict[str, str]:
        """Return the detail of every check that does not hold."""
        return {c.name: c.detail for c in verify((cycle or self.old).id, self.evidence()) if not c.ok}


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path)


def test_cycles_that_came_after_it_take_nothing_from_the_proof(history: History) -> None:
    others = [history.later() for _ in range(2)]
    assert [other.outcome for other in others] == [OutcomeKind.IMPROVED] * 2
    live = {parse_values(history.rig.ports.vcs.read()).model.digest, history.old.facts["live"]["digest"]}
    assert len(live) == 2
    for cycle in (history.old, *others):
        assert history.unproven(cycle) == {}
    told = history.told()
    assert "signed up to record" in told["checkpoint"]
    assert set(told) >= {"approvals", "policies", "tape", "alias", "gold", "values in git", "live"}


def test_what_retention_deleted_is_named_as_retired_and_not_as_broken(history: History) -> None:
    passed_over = history.later(better=False)
    assert passed_over.outcome is OutcomeKind.NOT_PROMOTED
    assert history.unproven(passed_over) == {}
    history.later()
    history.rig.clock.sleep(8 * WEEK)
    round_ = Retirement(
        history.rig.gate,
        history.audit,
        history.rig.clock,
        keep_days=30,
        keep_last=1,
        target="search",
        environment="dev",
    )
    assert "deleted" in round_()
    tracking = history.rig.ports.tracking
    assert tracking.by_digest(MODEL, passed_over.facts["candidate"]["model"]["digest"]) is None
    told = history.told(passed_over)
    assert history.unproven(passed_over) == {}
    assert "was retired by record" in told["dataset"]
    assert "was retired by record" in told["registered model"]
    assert history.unproven() == {}
    assert "retired" not in history.told()["registered model"]


def test_what_is_gone_without_a_record_is_broken_however_old(history: History) -> None:
    passed_over = history.later(better=False)
    history.later()
    datasets, tracking = history.rig.ports.datasets, history.rig.ports.tracking
    assert isinstance(datasets, MemoryDatasets)
    assert isinstance(tracking, MemoryTracking)
    digest = passed_over.facts["candidate"]["model"]["digest"]
    tracking._versions[MODEL] = [ref for ref in tracking._versions[MODEL] if ref.digest != digest]
    datasets.objects.clear()
    broken = {"dataset", "registered model", "dataset of the model", "alert of the model"}
    assert set(history.unproven(passed_over)) == broken


def _pushed_over(history: History) -> None:
    """Somebody rewrites the branch: the release of the old cycle was never there."""
    vcs = history.rig.ports.vcs
    assert isinstance(vcs, MemoryVcs)
    place = vcs._index("revision", history.old.facts["release"]["revision"])
    kept, old = vcs.contains, history.old.facts["release"]["revision"]
    vcs.contains = lambda revision: revision != old and kept(revision)  # type: ignore[method-assign]
    assert place > 0


def _moved_alias(history: History) -> None:
    """Somebody points the champion at the model of the old cycle, which is not live any more."""
    tracking = history.rig.ports.tracking
    found = tracking.by_digest(MODEL, history.old.facts["candidate"]["model"]["digest"])
    assert found is not None
    permit = history.rig.permits.mint(
        tool="by hand", effects=(EFFECT_ALIAS,), args_hash="", actor="somebody", cycle_id="", key="by-hand"
    )
    tracking.set_alias(model=MODEL, alias="champion", version=found.version, key="by-hand", permit=permit)


def _tagged_anew(history: History) -> None:
    """Somebody moves the gold tag of the old cycle's data to newer data."""
    datasets = history.rig.ports.datasets
    assert isinstance(datasets, MemoryDatasets)
    first, *_, last = sorted(datasets._tags)
    datasets._tags[first] = datasets._tags[last]


def _data_of_the_model(history: History) -> None:
    tracking = history.rig.ports.tracking
    assert isinstance(tracking, MemoryTracking)
    digest = history.old.facts["candidate"]["model"]["digest"]
    tracking._versions[MODEL] = [
        ref.model_copy(update={"tags": {**ref.tags, "dataset_rev": "0" * 40}}) if ref.digest == digest else ref
        for ref in tracking._versions[MODEL]
    ]


def _cut_off(history: History) -> None:
    del history.chain._records[-5:]


def _rewritten(history: History) -> None:
    """Somebody who may write the database changes a reason of the old cycle, and makes every hash anew."""
    records, history.chain._records = history.chain._records, []
    place = next(n for n, r in enumerate(records) if r.entry.kind is RecordKind.TRANSITION)
    changed = records[place].entry.model_copy(update={"body": {"reason": "another"}})
    records[place] = records[place].model_copy(update={"entry": changed})
    for number, old in enumerate(records, start=1):
        history.chain._records.append(AuditRecord.seal(number, old.at, history.chain.head().hash, old.entry))


def _policies_forgotten(history: History) -> None:
    store: Any = history.rig.store
    for kept in [r for r in store.recordings("tapes") if r.place.startswith("policies/")]:
        store.record(
            kept.model_copy(
                update={"payload": {**kept.payload, "permits.cedar": "permit(principal, action, resource);"}}
            )
        )


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_pushed_over, {"values in git": "its history was rewritten"}),
        (_moved_alias, {"alias": "the alias champion is"}),
        (_tagged_anew, {"gold": "the dataset with that tag"}),
        (_data_of_the_model, {"dataset of the model": "dataset_rev"}),
        (_cut_off, {"audit chain": "is missing", "checkpoint": "is missing"}),
        (_rewritten, {"audit chain": "vouches for another record", "checkpoint": "vouches for another record"}),
        (_policies_forgotten, {"policies": "is not known"}),
    ],
)
def test_what_was_changed_since_is_named(
    history: History, damage: Callable[[History], None], named: dict[str, str]
) -> None:
    history.later()
    assert history.unproven() == {}
    damage(history)
    broken = history.unproven()
    assert set(broken) >= set(named)
    assert set(broken) - set(named) <= {"tape"}
    for name, words in named.items():
        assert words in broken[name]


def test_an_end_that_lies_under_no_checkpoint_is_said_to(history: History) -> None:
    rig, clock = history.rig, history.rig.clock
    bare = MemoryAudit(clock)
    for record in history.chain._records:
        if record.entry.kind is not RecordKind.CHECKPOINT:
            bare.append(record.entry)
    rig_audit = SignedAudit(bare, Keys(history.folder / "other"), clock, anchor=history.folder / "other" / HEAD)
    evidence = replace(rig.evidence(), audit=rig_audit, signed=rig_audit)
    (told,) = [c for c in verify(history.old.id, evidence) if c.name == "checkpoint"]
    assert (told.ok, "evercrew audit checkpoint" in told.detail) == (False, True)
    rig_audit.checkpoint()
    (told,) = [c for c in verify(history.old.id, evidence) if c.name == "checkpoint"]
    assert told.ok


def _voted(audit: SignedAudit, cycle: Cycle, intent: AuditRecord, **changes: Any) -> None:
    entry = AuditEntry(
        kind=RecordKind.NOTE,
        cycle_id=cycle.id,
        tool=intent.entry.tool,
        actor="Ann",
        args_hash=intent.entry.args_hash,
        decision="approve",
        status="approval_vote",
        body={"approval": "ap_1"},
    )
    audit.append(entry.model_copy(update=changes))


def _approved(audit: SignedAudit, cycle: Cycle) -> AuditRecord:
    """Append an intent that says it was approved by Ann."""
    first = next(r for r in audit.records(cycle.id) if r.entry.kind is RecordKind.INTENT)
    approval = {"approval": {"id": "ap_1", "by": ["Ann"]}}
    return audit.append(first.entry.model_copy(update={"key": "approved", "body": {**first.entry.body, **approval}}))


def _first_intent(history: History) -> AuditRecord:
    return next(r for r in history.audit.records(history.old.id) if r.entry.kind is RecordKind.INTENT)


def test_an_approval_is_proved_by_the_votes_before_the_effect(history: History) -> None:
    _voted(history.audit, history.old, _first_intent(history))
    _approved(history.audit, history.old)
    assert "1 effects were approved" in history.told()["approvals"]


@pytest.mark.parametrize(
    "changes",
    [
        {"decision": "deny"},
        {"actor": "Bob"},
        {"args_hash": "0" * 64},
        {"tool": "another"},
        {"body": {"approval": "ap_2"}},
        {"status": "note"},
        None,
    ],
)
def test_an_approval_without_its_vote_is_none(history: History, changes: dict[str, Any] | None) -> None:
    if changes is not None:
        _voted(history.audit, history.old, _first_intent(history), **changes)
    _approved(history.audit, history.old)
    _voted(history.audit, history.old, _first_intent(history))
    assert "no vote before it of Ann" in history.unproven()["approvals"]


def test_a_vote_that_was_taken_back_does_not_count(history: History) -> None:
    for answer in ("approve", "deny"):
        _voted(history.audit, history.old, _first_intent(history), decision=answer)
    _approved(history.audit, history.old)
    assert "no vote before it of Ann" in history.unproven()["approvals"]
