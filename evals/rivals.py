"""Learners side by side: each trains on one dataset version, through the door, and the gates say which is taken.

`python -m evals.rivals --documents 3000` hurts a platform by new subjects, lets a cycle make its dataset, and then
trains every learner on it with the same plan; each candidate is registered and scored beside the model that was live,
on the sealed held-out set. Taken is the candidate with the highest lower bound of its lift among those that pass every
gate, and none if none passes. Ends with 1 when a learner was not judged, for then nothing was compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel
from rich.table import Table

from cycles.desk import Desk
from cycles.stages.evaluate import judge
from domain.actor import Role
from domain.clock import SystemClock
from domain.cycle import Cycle
from domain.dataset import DatasetRef
from domain.errors import EvercrewError
from domain.events import Event
from domain.plan import TrainingPlan
from domain.stage import Stage
from domain.verdict import Judgement, Verdict, combine
from evals.pace import RATE, write_profile
from evals.tables import console
from service.demo import DemoOptions, run
from service.demo_told import Stage as Found
from service.settings import load
from service.summary import DemoSummary
from service.wiring import App
from testbed.errors import TestbedError
from tools.data.dataset import DatasetMade
from tools.model.evaluate import EvaluateArgs, Evaluated
from tools.model.train import RegisterArgs, Registered, TrainArgs, Trained
from tools.outcome import Done

LEARNERS = ("lightgbm", "h2o")
SCALE = 0.3
TRAINING = "10m"
Out = TypeVar("Out", bound=BaseModel)


class Stopped(EvercrewError):
    """The door said no, or what it let through failed."""


@dataclass(frozen=True)
class Rival:
    """What became of one learner: its candidate and how the gates judge it, or what went wrong.

    `held_out` is the hash of the set it was judged on: it grows while users search.
    """

    learner: str
    digest: str = ""
    version: str = ""
    seconds: float = 0.0
    metrics: Mapping[str, float] | None = None
    gates: tuple[Judgement, ...] = ()
    held_out: str = ""
    problem: str = ""

    @property
    def overall(self) -> Verdict:
        """The worst of its gates; an error where something went wrong."""
        return Verdict.ERROR if self.problem else combine(self.gates, self.learner).verdict

    @property
    def lower(self) -> float:
        """The lower bound of its relative lift; minus infinity where there is none."""
        found = self.gates[0].figures.get("lower") if self.gates else None
        return float(found) if isinstance(found, int | float) else float("-inf")


def taken(rivals: Sequence[Rival]) -> Rival | None:
    """Return the one the gates take: the highest lower bound of those that pass every gate, the first of equals."""
    passing = [rival for rival in rivals if rival.overall is Verdict.PASS]
    return max(passing, key=lambda rival: rival.lower, default=None)


class Contest:
    """Trains and judges learners for one cycle, in its name; `desk` is one of that cycle."""

    def __init__(self, desk: Desk, *, dataset: DatasetRef, plan: TrainingPlan, baseline: str) -> None:
        self._desk = desk
        self._dataset = dataset
        self._plan = plan
        self._baseline = baseline

    def held(self, learners: Sequence[str]) -> list[Rival]:
        """Train all, then judge all in a row, so that they meet the same held-out set as nearly as can be."""
        return [self.look(rival) for rival in [self.enter(learner) for learner in learners]]

    def enter(self, learner: str) -> Rival:
        """Train and register one learner; what goes wrong is told, not hidden."""
        plan = self._plan.model_copy(update={"learner": learner})
        try:
            trained = self._do("train_model", TrainArgs(dataset=self._dataset, plan=plan), Trained)
            registration = RegisterArgs(
                training_key=trained.key,
                digest=trained.digest,
                dataset=self._dataset,
                plan=plan,
                alert_fingerprint=self._desk.cycle.alert.fingerprint,
            )
            registered = self._do("register_candidate", registration, Registered)
        except Stopped as problem:
            return Rival(learner, problem=str(problem))
        version = registered.model.version
        return Rival(learner, trained.digest, version, seconds=trained.seconds, metrics=trained.metrics)

    def look(self, rival: Rival) -> Rival:
        """Judge a candidate on the held-out set; where there is none, nothing changes."""
        if not rival.digest:
            return rival
        args = EvaluateArgs(baseline=self._baseline, candidate=rival.digest)
        try:
            scored = self._do("offline_evaluation", args, Evaluated)
        except Stopped as problem:
            return replace(rival, problem=str(problem))
        return replace(rival, gates=tuple(judge(self._desk, scored)), held_out=scored.set_hash)

    def _do(self, tool: str, args: BaseModel, kind: type[Out]) -> Out:
        outcome = self._desk.call(tool, args, Role.ML_ENGINEER, place="rivals")
        if isinstance(outcome, Done):
            return kind.model_validate(outcome.value.model_dump())
        raise Stopped(f"{tool}: {outcome.reason}")


def contest_of(app: App, cycle: Cycle) -> Contest:
    """Return the contest on the dataset that a cycle made, against the model that was live then.

    Raises:
        Stopped: the cycle came to no dataset or no evaluation.
    """
    made, planned = cycle.facts.get("dataset"), cycle.facts.get("training_plan")
    evaluation = app.office.artifacts.read(cycle.id, "evaluation.json")
    if made is None or planned is None or evaluation is None:
        raise Stopped(f"{cycle.id} ended before it evaluated a model: {cycle.reason}")
    return Contest(
        Desk(app.office, cycle.model_copy(update={"stage": Stage.EVALUATE})),
        dataset=DatasetMade.model_validate(made).ref,
        plan=TrainingPlan.model_validate(planned["value"]),
        baseline=str(evaluation["baseline"]["digest"]),
    )


class _Silent:
    def __call__(self, event: Event) -> None: ...

    def signals(self, values: Mapping[str, float | None]) -> None: ...


def compete(options: DemoOptions, learners: Sequence[str]) -> list[Rival]:
    """Hurt a platform, wait for the cycle's dataset, and let the learners compete while it is still served.

    Raises:
        Stopped: the cycle came to no dataset.
        DependencyError, TestbedError: a part of the platform does not start.
    """
    rivals: list[Rival] = []

    def told(app: App, summary: DemoSummary, found: Found) -> None:
        if found.cycle is None:
            raise Stopped(f"{summary.fault} raised no alert, so there is nothing to train for")
        rivals.extend(contest_of(app, found.cycle).held(learners))

    _, _, app = run(options, load(), _Silent(), SystemClock(), on_told=told)
    app.close()
    return rivals


def patient(profile: Path) -> Path:
    """Give training as long as a search takes on a busy machine; the same for every learner."""
    content = yaml.safe_load(profile.read_text(encoding="utf-8"))
    content["poll"]["training_timeout"] = TRAINING
    profile.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return profile


def as_plain(rivals: Sequence[Rival]) -> dict[str, Any]:
    """Return everything as plain JSON."""
    chosen = taken(rivals)
    return {
        "rivals": [
            {
                "learner": rival.learner,
                "digest": rival.digest,
                "version": rival.version,
                "seconds": rival.seconds,
                "metrics": dict(rival.metrics or {}),
                "gates": [gate.model_dump(mode="json") for gate in rival.gates],
                "verdict": rival.overall.value,
                "held_out": rival.held_out,
                "problem": rival.problem,
            }
            for rival in rivals
        ],
        "taken": chosen.learner if chosen is not None else None,
    }


def gates_table(rivals: Sequence[Rival]) -> Table:
    """One row a gate and learner, gate by gate."""
    table = Table(title="every gate, learner by learner", title_justify="left")
    for name in ("gate", "learner", "verdict", "reason"):
        table.add_column(name)
    names = list(dict.fromkeys(gate.name for rival in rivals for gate in rival.gates))
    for name in names:
        for rival in rivals:
            for gate in rival.gates:
                if gate.name == name:
                    table.add_row(name, rival.learner, gate.verdict.value, gate.reason)
    return table


def ending(rivals: Sequence[Rival]) -> str:
    """Say who was taken, and why."""
    chosen = taken(rivals)
    broken = [f"{rival.learner} was not judged: {rival.problem}" for rival in rivals if rival.problem]
    if len({rival.held_out for rival in rivals if rival.held_out}) > 1:
        broken.append("users went on searching: the held-out set changed a little from one look to the next")
    if chosen is None:
        said = "taken: none, for none passes every gate"
    else:
        said = f"taken: {chosen.learner}, whose lift is at least {chosen.lower:+.2%} with 95 % confidence"
    return "\n".join([*broken, said])


def main(arguments: Sequence[str] | None = None) -> int:
    """Let the learners compete and print how the gates judge them."""
    parser = argparse.ArgumentParser(prog="python -m evals.rivals", description=__doc__)
    parser.add_argument("--learners", default=",".join(LEARNERS), help="comma-separated (default %(default)s)")
    parser.add_argument("--documents", type=int, default=3000, help="documents of the corpus (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the world and the fault (default %(default)s)")
    parser.add_argument("--keep", type=Path, help="keep the folder of the run here")
    parser.add_argument("--json", action="store_true", help="print JSON")
    given = parser.parse_args(arguments)
    learners = [name.strip() for name in given.learners.split(",") if name.strip()]
    if not learners or any(name not in LEARNERS for name in learners):
        parser.error(f"--learners: {given.learners!r} are not all of {', '.join(LEARNERS)}")
    with tempfile.TemporaryDirectory(prefix="evercrew-rivals-") as scratch:
        out = given.keep.resolve() if given.keep else Path(scratch) / "run"
        options = DemoOptions(
            fault="corpus_shift",
            seed=given.seed,
            out=out,
            documents=given.documents,
            rate=RATE / SCALE,
            profile=patient(write_profile(Path(scratch) / "profile", SCALE)),
            probes=0,
            sections={"h2o": {}},
        )
        try:
            rivals = compete(options, learners)
        except (EvercrewError, TestbedError) as problem:
            sys.stderr.write(f"{problem}\n")
            return 3
    _show(rivals, as_json=given.json)
    return 1 if any(rival.problem for rival in rivals) else 0


def _show(rivals: Sequence[Rival], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(as_plain(rivals), indent=2) + "\n")
        return
    told = console()
    for rival in rivals:
        held = (rival.metrics or {}).get("valid_ndcg_at_10")
        quality = f", nDCG@10 {held:.4f} on queries held out of training" if held is not None else ""
        told.print(f"{rival.learner}: {rival.digest[:19] or 'no candidate'} in {rival.seconds:.1f} s{quality}")
    told.print(gates_table(rivals))
    told.print(ending(rivals), soft_wrap=True, markup=False)


if __name__ == "__main__":
    sys.exit(main())
