"""What tools may cost and did cost: by their time limits, cards and texts before, by their results after."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.evaluation.memory import MemoryEvaluation
from cycles.desk import Desk
from domain.actor import Actor, Role
from domain.budget import Amounts, gpu, usd
from domain.dataset import DatasetRef
from domain.diagnosis import Action
from domain.errors import InvalidInput
from domain.plan import AugmentationMethod, AugmentationPlan, TrainingPlan
from service.sections import JobsConfig
from service.toolbox import rates_of
from tests.support.office import Rig, office_in_memory
from tests.support.setting import alert_of
from tools.data.dataset import DatasetArgs, DatasetMade, DatasetVersion, Workshop
from tools.data.usage import counted, note_usage
from tools.model.train import TrainArgs, Trained, TrainModel
from tools.outcome import Done
from tools.rates import TOKENS_A_BATCH, TOKENS_A_TEXT, Rates
from tools.sandbox.smoke import SandboxedTestRun, SmokeArgs, SmokeResult
from tools.tool import Call

PLAN = AugmentationPlan(methods=(AugmentationMethod.PARAPHRASE,), examples=20, rationale="more words")
DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return office_in_memory(tmp_path, Action.RETRAIN)


def desk_of(rig: Rig) -> Desk:
    """Return the desk of a cycle that augments."""
    cycle = rig.open(alert_of(Action.RETRAIN, rig.clock))
    facts = {"budget_admitted": True}
    rig.store.save(cycle.model_copy(update={"facts": facts, "action": Action.RETRAIN}))
    return Desk(rig.office, rig.now(cycle.id))


def test_the_machine_costs_by_the_second_and_its_cards_on_top() -> None:
    rates = rates_of(JobsConfig(usd_per_hour=3.6, gpu_usd_per_hour=7.2, target_gpus={"summariser": 2}), 0.6)
    assert rates.machine(10) == Amounts(usd_micros=10_000)
    assert rates.machine(10, "summariser") == Amounts(usd_micros=50_000, gpu_seconds=20)
    assert rates.until(timedelta(hours=1), "reranker") == usd(3.6)
    assert rates.machine(0.4, "summariser").gpu_seconds == 1


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_time_that_is_none_has_no_price(seconds: float) -> None:
    with pytest.raises(InvalidInput):
        Rates(usd_per_second=1).machine(seconds)
    with pytest.raises(InvalidInput):
        gpu(seconds)


def test_money_is_rounded_up_and_never_down() -> None:
    assert usd(0.000_000_1) == Amounts(usd_micros=1)
    assert usd(0) == Amounts()


def test_a_training_may_cost_its_time_limit_and_costs_its_time(rig: Rig) -> None:
    tool = rig.gate.registry.get("train_model")
    assert isinstance(tool, TrainModel)
    plan = TrainingPlan(rationale="it fell")
    dataset = DatasetRef.model_construct(name="d", path="d", md5="0", revision="0")
    args = TrainArgs.model_construct(dataset=dataset, plan=plan)
    assert tool.price(args) == usd(0.5 / 3600 * rig.profile.poll.training_timeout.total_seconds())
    made = Trained(digest=DIGEST, metrics={}, examples=1, seconds=36, cost_usd=0, key="k")
    assert tool.spent(args, made) == usd(0.005)
    assert tool.lost(args, 36) == usd(0.005)


def test_a_try_in_the_sandbox_costs_its_seconds(rig: Rig) -> None:
    tool = rig.gate.registry.get("sandboxed_test_run")
    assert isinstance(tool, SandboxedTestRun)
    args = SmokeArgs(digest=DIGEST)
    result = SmokeResult(ok=True, queries=1, answered=1, isolation="none", seconds=7.2)
    assert tool.spent(args, result) == usd(0.001)
    assert tool.price(args) == usd(0.5 / 30)


def _written(rig: Rig, tokens: int) -> DatasetVersion:
    """Return the tool with a model that writes, and takes so many tokens for a batch."""

    def write(texts: object) -> list[str]:
        assert isinstance(texts, list)
        note_usage(tokens, tokens / 1_000_000)
        return [f"{text} otherwise" for text in texts]

    assert isinstance(rig.ports.evaluation, MemoryEvaluation)
    rates = Rates(usd_per_token=0.000_001)
    workshop = Workshop(rig.ports.platform, rig.ports.evaluation.held_out, by_model=write, rates=rates)
    return DatasetVersion(workshop, rig.ports.datasets)


def test_what_a_model_writes_for_a_dataset_is_set_aside_and_counted(rig: Rig) -> None:
    tool = _written(rig, 321)
    rig.gate.registry._tools["dataset_version"] = tool
    args = DatasetArgs(name="aug_1", plan=PLAN)
    tokens = 10 * TOKENS_A_TEXT + TOKENS_A_BATCH
    assert tool.price(args) == Amounts(tokens=tokens, usd_micros=tokens)
    assert tool.lost(args, 1) == tool.price(args)
    desk = desk_of(rig)
    done = desk.call("dataset_version", args, Role.DATA_ENGINEER)
    assert isinstance(done, Done)
    made = DatasetMade.model_validate(done.value.model_dump())
    assert made.tokens == 321
    assert made.cost_usd == pytest.approx(0.000_321)
    assert rig.office.purse is not None
    standing = rig.office.purse.ledger.account(f"cycle/{desk.cycle.id}")
    assert standing is not None
    assert standing.spent == Amounts(tokens=321, usd_micros=321)
    seen = tool.observe(args, rig_call(done, desk))
    assert seen.outcome is not None
    assert seen.outcome["tokens"] == 321


def rig_call(done: Done[Any], desk: Desk) -> Call:
    """Return the call that made it, as it is observed after a crash."""
    return Call(scope=desk.scope, actor=Actor(role=Role.DATA_ENGINEER), key=done.receipt.key, place=done.call)


def test_without_a_model_or_paraphrases_a_dataset_costs_nothing(rig: Rig) -> None:
    plain = rig.gate.registry.get("dataset_version")
    assert plain.price(DatasetArgs(name="aug_1", plan=PLAN)).nothing
    others = PLAN.model_copy(update={"methods": (AugmentationMethod.SYNONYM,)})
    assert _written(rig, 1).price(DatasetArgs(name="aug_1", plan=others)).nothing


def test_usage_is_counted_where_somebody_counts_and_nowhere_else() -> None:
    note_usage(5, 0.1)
    with counted() as outer:
        note_usage(7, 0.2)
        with counted() as inner:
            note_usage(-3, 1.0)
    assert (outer.tokens, outer.cost_usd) == (7, 0.2)
    assert (inner.tokens, inner.cost_usd) == (0, 1.0)
