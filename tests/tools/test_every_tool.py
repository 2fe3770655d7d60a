"""Every tool there is: no permit, no effect; no policies, no answer; no record, no effect."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tools
from adapters.annotations.memory import MemoryAnnotations
from adapters.datasets.memory import MemoryDatasets
from adapters.evaluation.memory import MemoryEvaluation
from adapters.notify.memory import MemoryNotify
from adapters.platform.memory import MemoryPlatform
from adapters.silences.memory import MemorySilences
from adapters.store.base import FlagRow
from adapters.tracking.memory import MemoryTracking
from adapters.training.memory import MemoryTraining
from adapters.vectors.memory import MemoryVectors
from domain.actor import Actor, Role
from domain.decision import Effect
from domain.diagnosis import Action
from domain.ids import idempotency_key
from domain.observation import Seen
from domain.permit import Permit
from domain.plan import AugmentationMethod, AugmentationPlan, TrainingPlan
from tests.support.cluster import SyncedDelivery
from tests.support.office import Rig, office_in_memory
from tests.support.reviews import WAITING, Reviewed, reviewed
from tests.support.setting import MODEL, alert_of
from tests.support.strays import stray
from tools.data.dataset import DatasetMade
from tools.deliver.release import Released
from tools.deliver.values import parse_values
from tools.model.train import Trained
from tools.outcome import Done, Failed, Outcome, Refused
from tools.tool import Call, Scope, Tool

PLAN = AugmentationPlan(methods=(AugmentationMethod.QUERY_GENERATION,), examples=20, rationale="r")
OTHER_PLAN = PLAN.model_copy(update={"examples": 30})
Args = Mapping[str, Any]


@dataclass
class Bench:
    """An office with an open cycle that has registered a candidate, so that every tool has something to do."""

    rig: Rig
    scope: Scope
    dataset: DatasetMade
    trained: Trained
    live: str
    revision: str
    silence: str
    held: str = ""
    old: str = ""

    def call(self, name: str) -> Outcome:
        """Take a sensible call of this tool through the door, in its stage and role."""
        row = TABLE[name]
        return self.rig.gate.call(name, row.args(self), row.actor, replace(self.scope, stage=row.stage))

    def direct(self, name: str, permit: Permit | None) -> Any:
        """Call the tool behind the door's back."""
        tool = self.rig.gate.registry.get(name)
        row = TABLE[name]
        call = Call(replace(self.scope, stage=row.stage), row.actor, self.key(name), "direct", permit)
        return tool.run(tool.input.model_validate(row.args(self)), call)

    def key(self, name: str) -> str:
        """Return the key of a direct call."""
        return idempotency_key(self.scope.cycle_id, "direct", name, "0" * 64)

    def permit(self, name: str, key: str | None = None) -> Permit:
        """Mint a permit as the door would."""
        spec = self.rig.gate.registry.get(name).spec
        return self.rig.permits.mint(
            tool=name,
            effects=spec.effects,
            args_hash="0" * 64,
            actor="somebody",
            cycle_id=self.scope.cycle_id,
            key=key or self.key(name),
        )

    def world(self) -> list[Any]:
        """Return everything an effect could have changed."""
        ports = self.rig.ports
        assert isinstance(ports.tracking, MemoryTracking)
        assert isinstance(ports.datasets, MemoryDatasets)
        assert isinstance(ports.training, MemoryTraining)
        assert isinstance(ports.evaluation, MemoryEvaluation)
        assert isinstance(ports.notify, MemoryNotify)
        assert isinstance(ports.platform, MemoryPlatform)
        assert isinstance(ports.silences, MemorySilences)
        assert isinstance(ports.annotations, MemoryAnnotations)
        assert isinstance(ports.vectors, MemoryVectors)
        assert isinstance(ports.delivery, SyncedDelivery)
        assert isinstance(ports.vcs, Reviewed)
        aliases = [ports.tracking.by_alias(MODEL, alias) for alias in ("champion", "candidate", "gold")]
        return [
            (ports.vcs.head(), ports.vcs.read(), sorted(ports.vcs.open)),
            (sorted(ports.tracking._runs), ports.tracking.versions(MODEL), aliases),
            dict(ports.tracking._cards),
            (sorted(ports.datasets._keys), sorted(ports.datasets._pipelines), ports.datasets.pointed("live")),
            {(row.name, row.environment): row.enabled for row in self.rig.store.flags()},
            sorted(ports.training._results),
            sorted(ports.evaluation._results),
            sorted(ports.notify.sent),
            {key: (silence.id, silence.ends_at) for key, silence in ports.silences.kept.items()},
            sorted(ports.annotations.kept),
            dict(ports.delivery.asked),
            (dict(ports.vectors.reindexed), ports.vectors.held),
            dict(ports.platform._spans),
            [self.rig.store.tombstone(ref.digest) for ref in ports.tracking.versions(MODEL)],
        ]


@dataclass(frozen=True)
class Row:
    """How a tool is called sensibly."""

    args: Callable[[Bench], Args] = lambda _: {}
    role: Role = Role.DEVOPS_ENGINEER
    stage: str = "observe"
    person: str | None = None

    @property
    def actor(self) -> Actor:
        """Who asks."""
        return Actor(role=self.role, person=self.person)


def _train(b: Bench) -> Args:
    return {"dataset": b.dataset.ref.model_dump(), "plan": TrainingPlan(seed=8, rationale="r").model_dump()}


def _register(b: Bench) -> Args:
    plan = TrainingPlan(rationale="r").model_dump()
    keys = {"training_key": b.trained.key, "digest": b.trained.digest}
    return {**keys, "dataset": b.dataset.ref.model_dump(), "plan": plan, "alert_fingerprint": "other"}


def _promote(b: Bench) -> Args:
    return {"name": MODEL, "version": "2", "digest": b.trained.digest}


def _points(b: Bench) -> Args:
    return {"signal": "ndcg_at_10", "end": b.rig.clock.now(), "step_s": 2.0, "count": 3}


def _silence(b: Bench) -> Args:
    return {
        "signal": "ndcg_at_10",
        "starts": b.scope.alert_at,
        "ends": b.scope.alert_at + timedelta(minutes=5),
        "reason": "it is watched",
    }


def _restore(b: Bench) -> Args:
    return {"revision": b.revision, "digest": b.live, "reason": "it was better"}


def _record(b: Bench) -> Args:
    made = _register(b)
    return {name: made[name] for name in ("training_key", "digest", "dataset", "plan")}


def _describe(b: Bench) -> Args:
    return {"model": MODEL, "version": "2", "card": {"title": MODEL, "what": "it ranks"}}


def _retire(b: Bench) -> Args:
    before = b.rig.clock.now() - timedelta(days=100)
    return {"before": before, "keep_last": 1, "versions": [{"version": "3", "digest": b.old}]}


TABLE: Mapping[str, Row] = {
    "signal_snapshot": Row(),
    "metric_query": Row(lambda _: {"signal": "ndcg_at_10"}),
    "metric_range": Row(lambda _: {"signal": "latency_p95_ms"}),
    "metric_points": Row(_points),
    "anomaly_check": Row(lambda _: {"signal": "ndcg_at_10"}),
    "drift_report": Row(),
    "attribution": Row(),
    "log_search": Row(lambda _: {"contains": "x"}),
    "deployment_history": Row(),
    "deployment_diff": Row(lambda b: {"older": b.revision, "newer": b.rig.ports.vcs.head()}),
    "data_quality_report": Row(),
    "runtime_state": Row(),
    "etl_report": Row(),
    "recall_report": Row(),
    "satisfaction_report": Row(),
    "similar_cycles": Row(lambda _: {"situation": "quality fell"}),
    "registry_read": Row(),
    "ab_read": Row(lambda b: {"revision": b.rig.ports.vcs.head()}),
    "rollout_status": Row(),
    "sync_live": Row(lambda b: {"revision": b.rig.ports.vcs.head()}, stage="promote"),
    "await_live": Row(lambda b: {"revision": b.rig.ports.vcs.head()}),
    "augmentation_preview": Row(lambda _: {"plan": PLAN.model_dump()}),
    "rehearse_rollback": Row(_promote),
    "sandboxed_test_run": Row(lambda b: {"digest": b.trained.digest}, Role.ML_ENGINEER),
    "dataset_version": Row(lambda _: {"name": "other", "plan": OTHER_PLAN.model_dump()}, Role.DATA_ENGINEER, "augment"),
    "quarantine_feedback": Row(lambda b: {"since": b.scope.alert_at}, Role.DATA_ENGINEER, "augment"),
    "train_model": Row(_train, Role.ML_ENGINEER, "train"),
    "register_candidate": Row(_register, Role.ML_ENGINEER, "train"),
    "record_pipeline": Row(_record, Role.ML_ENGINEER, "train"),
    "describe_model": Row(_describe, Role.ML_ENGINEER, "learn"),
    "set_alias": Row(lambda b: {"alias": "gold", "digest": b.live}, Role.ML_ENGINEER, "watch"),
    "offline_evaluation": Row(
        lambda b: {"baseline": b.live, "candidate": b.trained.digest}, Role.ML_ENGINEER, "evaluate"
    ),
    "ab_start": Row(lambda b: {"candidate": b.trained.digest, "share": 0.2}, stage="ab"),
    "ab_stop": Row(lambda _: {"reason": "it is over"}, stage="ab"),
    "promote": Row(_promote, stage="promote"),
    "apply_tuning": Row(lambda _: {"mode": "fast"}, stage="promote"),
    "roll_back": Row(lambda b: {"revision": b.rig.ports.vcs.head(), "reason": "it is worse"}, stage="roll_back"),
    "cost_report": Row(),
    "vector_status": Row(),
    "query_analytics": Row(),
    "rank_eval": Row(),
    "feedback_report": Row(),
    "reindex_vectors": Row(),
    "quarantine_vectors": Row(lambda _: {"ids": [1, 2]}, Role.DATA_ENGINEER),
    "release_vectors": Row(lambda b: {"quarantine": b.held}),
    "mark_gold": Row(lambda b: {"digest": b.live, "values_revision": b.revision}, stage="learn"),
    "restore_values": Row(_restore, stage="roll_back", person="ann@example.org"),
    "retention_report": Row(lambda _: {"keep_days": 100, "keep_last": 1}),
    "retire_models_and_data": Row(_retire, stage="retention", person="ann@example.org"),
    "release_state": Row(lambda b: {"digest": b.live}),
    "point_dataset": Row(lambda b: {"dataset": b.dataset.ref.model_dump()}, stage="promote"),
    "restore_flags": Row(lambda b: {"revision": b.revision}, stage="roll_back"),
    "withdraw_change": Row(lambda _: {"proposal": WAITING, "reason": "it has ended"}, stage="promote"),
    "notify": Row(lambda _: {"title": "hello", "body": "there"}),
    "silence_alerts": Row(_silence, stage="watch"),
    "lift_silence": Row(lambda b: {"silence": b.silence}, stage="watch"),
    "annotate": Row(lambda b: {"kind": "promotion", "at": b.scope.alert_at, "text": "a model"}, stage="promote"),
}


def bench_in(folder: Path, **wiring: Any) -> Bench:
    rig = office_in_memory(
        folder, Action.RETRAIN, announces=True, surroundings=True, cluster=True, change=reviewed(0), **wiring
    )
    assert isinstance(rig.ports.delivery, SyncedDelivery)
    rig.ports.delivery._vcs = rig.ports.vcs
    rig.world.values, rig.world.head = rig.ports.vcs.read, rig.ports.vcs.head
    cycle = rig.open(alert_of(Action.RETRAIN, rig.clock))
    desk = rig.desk(cycle)
    first, live = rig.ports.vcs.head(), parse_values(rig.ports.vcs.read()).model.digest
    assert hasattr(rig.ports.vcs, "push_from_outside")
    rig.ports.vcs.push_from_outside(rig.ports.vcs.read().replace("by content", "by its bytes"))
    desk.keep("verdict_evaluate", "pass")
    desk.keep("verdict_ab", "pass")
    dataset = desk.do("dataset_version", {"name": "first", "plan": PLAN}, Role.DATA_ENGINEER, DatasetMade)
    args = {"dataset": dataset.ref, "plan": TrainingPlan(rationale="r")}
    trained = desk.do("train_model", args, Role.ML_ENGINEER, Trained)
    bench = Bench(rig, desk.scope, dataset, trained, live, first, "silence-1")
    registered = {**_register(bench), "alert_fingerprint": cycle.alert.fingerprint}
    assert isinstance(desk.call("register_candidate", registered, Role.ML_ENGINEER), Done)
    silenced = replace(bench.scope, stage="roll_back")
    assert isinstance(
        rig.gate.call("silence_alerts", _silence(bench), Actor(role=Role.DEVOPS_ENGINEER), silenced), Done
    )
    desk.keep("undo_point", {"flags": [FlagRow(name="ab_testing", enabled=False)]})
    came = FlagRow(name="ab_testing", enabled=True, details={"release": cycle.id})
    rig.store.set_flag(came, by="ann", at=rig.clock.now())
    held = rig.gate.call("quarantine_vectors", {"ids": [11, 12]}, Actor(role=Role.DATA_ENGINEER), bench.scope)
    assert isinstance(held, Done)
    return replace(bench, held=held.receipt.key, old=_old_version(rig, folder))


def _old_version(rig: Rig, folder: Path) -> str:
    """Register a version nothing needs, long ago, and a newer one; return the old one's digest."""
    tracking = rig.ports.tracking
    assert isinstance(tracking, MemoryTracking)
    old, _ = (stray(rig, folder / name, name) for name in ("old", "newest"))
    tracking._made[MODEL, old.version] -= timedelta(days=200)
    tracking._made_runs[old.run_id] -= timedelta(days=200)
    return old.digest


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_in(tmp_path)


def _classes() -> Iterator[type[Tool[Any, Any]]]:
    for module in pkgutil.walk_packages(tools.__path__, "tools."):
        for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(found, Tool) and found.__module__ == module.name and hasattr(found, "spec"):
                yield found


NAMES = sorted({tool.spec.name for tool in _classes()})
EFFECTFUL = sorted({tool.spec.name for tool in _classes() if tool.spec.effect is not Effect.READ})
READS = sorted(set(NAMES) - set(EFFECTFUL))


def test_the_registry_has_every_tool_and_the_table_knows_how_to_call_it(bench: Bench) -> None:
    registered = {tool.spec.name: type(tool) for tool in bench.rig.gate.registry}
    assert sorted(registered) == NAMES == sorted(TABLE)
    assert set(registered.values()) == set(_classes())
    assert len(EFFECTFUL) >= 11


def test_every_effectful_tool_names_the_effects_its_permit_covers_and_no_read_does(bench: Bench) -> None:
    for tool in bench.rig.gate.registry:
        assert bool(tool.spec.effects) == (tool.spec.effect is not Effect.READ), tool.spec.name


@pytest.mark.parametrize("name", EFFECTFUL)
def test_an_allowed_effect_happens_once_and_is_seen(bench: Bench, name: str) -> None:
    before = bench.world()
    first = bench.call(name)
    assert isinstance(first, Done), first
    after = bench.world()
    assert after != before, "this test's own eyes see no effect: the others prove nothing"
    if name != "roll_back":
        # Its revision is the head, which its own revert moved.
        again = bench.call(name)
        assert isinstance(again, Done)
        assert again.receipt.repeated
        assert again.value == first.value
        assert bench.world() == after


@pytest.mark.parametrize("name", EFFECTFUL)
def test_an_effect_is_found_again_by_its_key_and_by_no_other(bench: Bench, name: str) -> None:
    tool = bench.rig.gate.registry.get(name)
    args = tool.input.model_validate(TABLE[name].args(bench))
    done = bench.call(name)
    assert isinstance(done, Done)
    scope = replace(bench.scope, stage=TABLE[name].stage)
    seen = tool.observe(args, Call(scope, Actor(role=TABLE[name].role), done.receipt.key, done.call))
    assert seen.seen is Seen.DONE
    found = tool.output.model_validate(seen.outcome)
    if isinstance(found, Released):
        # A commit that says the file as it was once more is not in the file's history.
        assert found.revision == done.value.revision
    else:
        assert found == done.value
    if name not in ("set_alias", "register_candidate", "lift_silence"):
        # An alias that points where it should, and a silence that is over, are done, whoever did it.
        other = Call(scope, Actor(role=TABLE[name].role), "0" * 32, "elsewhere")
        assert tool.observe(args, other).seen is Seen.ABSENT


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench_in(tmp_path_factory.mktemp("shared"))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("ndcg_at_10"),
    lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=5), c, max_size=3),
    max_leaves=4,
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25)
@given(data=st.data())
def test_whatever_a_model_asks_for_is_answered_and_never_raises(shared: Bench, name: str, data: st.DataObject) -> None:
    row, tool = TABLE[name], shared.rig.gate.registry.get(name)
    sensible = {**tool.input.model_validate(row.args(shared)).model_dump()}
    changed = data.draw(st.sets(st.sampled_from([*sorted(tool.input.model_fields), "extra"]), min_size=1))
    args = {**sensible, **{field: data.draw(junk) for field in changed}}
    actor = Actor(role=Role.METRICS_ANALYST if tool.spec.effect is not Effect.READ else row.role, via="agent")
    outcome = shared.rig.gate.call(name, args, actor, replace(shared.scope, stage=row.stage))
    assert isinstance(outcome, Done | Refused | Failed)


@pytest.mark.parametrize("name", READS)
def test_a_read_changes_nothing(bench: Bench, name: str) -> None:
    before = bench.world()
    outcome = bench.call(name)
    assert isinstance(outcome, Done), outcome
    assert bench.world() == before
