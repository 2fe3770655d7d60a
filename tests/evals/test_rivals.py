"""Learners side by side: the gates choose, a learner that fails is told, and nobody is taken who does not pass."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from domain.cycle import Cycle
from domain.diagnosis import Action
from domain.plan import TrainingPlan
from domain.stage import Stage
from domain.verdict import Judgement, Verdict
from evals.pace import write_profile
from evals.rivals import (
    LEARNERS,
    TRAINING,
    Contest,
    Rival,
    as_plain,
    ending,
    gates_table,
    main,
    patient,
    taken,
)
from policies.profiles import load_profile
from tests.support.office import Rig, office_in_memory
from tests.support.setting import alert_of
from tools.data.dataset import DatasetMade

DIGEST = f"sha256:{'a' * 64}"


def gate(verdict: Verdict = Verdict.PASS, lower: float | None = 0.1, name: str = "ndcg_at_10") -> Judgement:
    return Judgement(name=name, verdict=verdict, reason=f"{name} says {verdict.value}", figures={"lower": lower})


def rival(learner: str, *gates: Judgement, problem: str = "", held_out: str = "h1") -> Rival:
    return Rival(learner, "" if problem else DIGEST, "1", 2.0, {"valid_ndcg_at_10": 0.5}, gates, held_out, problem)


def test_the_highest_lower_bound_of_those_that_pass_is_taken() -> None:
    chosen = taken([rival("lightgbm", gate(lower=0.05)), rival("h2o", gate(lower=0.08))])
    assert chosen is not None
    assert chosen.learner == "h2o"


def test_a_better_lift_does_not_help_who_fails_another_gate() -> None:
    slow = rival("h2o", gate(lower=0.5), gate(Verdict.FAIL, None, "latency_p95_ms"))
    chosen = taken([slow, rival("lightgbm", gate(lower=0.01))])
    assert chosen is not None
    assert chosen.learner == "lightgbm"


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INSUFFICIENT, Verdict.ERROR])
def test_none_is_taken_where_none_passes(verdict: Verdict) -> None:
    assert taken([rival("h2o", gate(verdict)), rival("lightgbm", gate(verdict))]) is None
    assert taken([]) is None
    assert "none" in ending([rival("h2o", gate(verdict))])


def test_no_gates_and_a_problem_never_pass() -> None:
    assert rival("h2o").overall is not Verdict.PASS
    assert rival("h2o", gate(), problem="no Java").overall is Verdict.ERROR
    assert taken([rival("h2o"), rival("lightgbm", gate(), problem="broken")]) is None


def test_every_gate_of_every_learner_is_shown() -> None:
    table = gates_table([rival("lightgbm", gate(), gate(name="cost")), rival("h2o", gate(Verdict.FAIL))])
    told = Console(width=160, record=True, file=StringIO())
    told.print(table)
    text = told.export_text()
    assert table.row_count == 3
    assert "ndcg_at_10 says fail" in text
    assert "cost says pass" in text


def test_what_is_not_comparable_is_said() -> None:
    told = ending([rival("lightgbm", gate()), rival("h2o", gate(), held_out="h2")])
    assert "changed a little" in told
    assert "h2o was not judged: no Java" in ending([rival("h2o", problem="no Java")])
    assert "changed" not in ending([rival("lightgbm", gate()), rival("h2o", gate())])


def test_the_plain_form_is_json_and_names_who_was_taken() -> None:
    told = json.loads(json.dumps(as_plain([rival("lightgbm", gate())])))
    assert told["taken"] == "lightgbm"
    assert told["rivals"][0]["gates"][0]["verdict"] == "pass"


def test_a_learner_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--learners", "lightgbm,magic"])
    assert "magic" in capsys.readouterr().err


def test_training_has_the_same_long_time_for_all(tmp_path: Path) -> None:
    profile = patient(write_profile(tmp_path, 0.3))
    assert yaml.safe_load(profile.read_text())["poll"]["training_timeout"] == TRAINING
    assert load_profile(profile.read_text(), file="x").poll.training_timeout.total_seconds() == 600


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return office_in_memory(tmp_path, Action.RETRAIN)


def with_dataset(rig: Rig) -> Cycle:
    """A cycle that has come as far as its dataset."""
    cycle = rig.open(alert_of(Action.RETRAIN, rig.clock))
    for _ in range(50):
        told = rig.engine.advance(cycle.id)
        rig.clock.sleep(timedelta(seconds=told["wait_s"]))
        if rig.now(cycle.id).stage is Stage.TRAIN:
            return rig.now(cycle.id)
    raise AssertionError(rig.now(cycle.id).reason)


def test_learners_go_through_the_door_and_are_judged_by_the_cycles_own_gates(rig: Rig) -> None:
    cycle = with_dataset(rig)
    live = rig.world.live().digest
    dataset = DatasetMade.model_validate(cycle.facts["dataset"]).ref
    contest = Contest(rig.desk(cycle), dataset=dataset, plan=TrainingPlan(rationale="r"), baseline=live)
    found = contest.held(LEARNERS)
    assert [one.learner for one in found] == ["lightgbm", "h2o"]
    assert all(one.digest.startswith("sha256:") and not one.problem for one in found)
    assert {gate.name for one in found for gate in one.gates} >= {"ndcg_at_10", "latency_p95_ms"}
    tools = [record.entry.tool for record in rig.audit.records(cycle.id)]
    assert tools.count("train_model") == 4  # an intent and an outcome each
    assert found[0].held_out == found[1].held_out


def test_a_learner_the_door_or_the_job_refuses_is_told_not_hidden(rig: Rig) -> None:
    cycle = with_dataset(rig)
    dataset = DatasetMade.model_validate(cycle.facts["dataset"]).ref
    missing = dataset.model_copy(update={"revision": "0" * 40, "md5": "0" * 32})
    contest = Contest(rig.desk(cycle), dataset=missing, plan=TrainingPlan(rationale="r"), baseline="sha256:0")
    (found,) = contest.held(["lightgbm"])
    assert found.problem.startswith("train_model: ")
    assert taken([found]) is None
