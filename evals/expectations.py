"""What is right: the action each fault asks for, and scorers of single runs.

Pure functions of what a run recorded; nothing here looks into a cycle.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from domain.diagnosis import Action

NO_CYCLE = "no_cycle"
CRASHED = "crashed"

EXPECTED: Mapping[str, frozenset[str]] = {
    "corpus_shift": frozenset({Action.RETRAIN.value}),
    "bad_deploy": frozenset({Action.ROLLBACK.value}),
    "label_corruption": frozenset({Action.DATA_FIX.value}),
    "latency": frozenset({Action.TUNE.value}),
    "recall_drop": frozenset({Action.TUNE.value}),
    "etl_backlog": frozenset({Action.TUNE.value}),
    "satisfaction_drop": frozenset({Action.TUNE.value}),
    "index_errors": frozenset({Action.TUNE.value}),
    "cost_spike": frozenset({Action.TUNE.value}),
    # A dip too small for an alert needs no cycle either.
    "noise": frozenset({Action.NOISE.value, Action.MONITOR.value, NO_CYCLE}),
    "none": frozenset({NO_CYCLE}),
}
# Faults after which the model is as good as before: a new one is needless, and a promotion may make users worse off.
MODEL_IS_FINE = frozenset(
    {
        *("label_corruption", "recall_drop", "etl_backlog", "satisfaction_drop", "index_errors", "cost_spike"),
        *("noise", "none"),
    }
)
RIGHT_SHARE = 28 / 30
LIFT = 0.03


@dataclass(frozen=True)
class Level:
    """nDCG@10 for fresh questions with known answers: mean, its standard error, and how many were asked."""

    value: float
    stderr: float
    n: int


@dataclass(frozen=True)
class Run:
    """What one run recorded.

    `action` is the diagnosis' action, ``no_cycle`` when no alert fired, ``crashed`` when the run broke. `effects` are
    the effects the audit chain lists, `seconds` the wall time of the whole run and `cycle_seconds` that of the cycle,
    `rate` the sessions a second that users really made where `wanted_rate` were to be made.
    """

    fault: str
    seed: int
    action: str
    outcome: str
    verified: bool
    reason: str = ""
    signal: str = ""
    effects: tuple[str, ...] = ()
    levels: Mapping[str, Level] = field(default_factory=dict)
    seconds: float = 0.0
    cycle_seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    rate: float | None = None
    wanted_rate: float | None = None


def right(run: Run) -> bool:
    """Whether the action is one that the fault asks for."""
    return run.action in EXPECTED[run.fault]


def dangerous(run: Run) -> bool:
    """Whether a model was made or promoted although the one that served was as good as before."""
    touched = {"promote", "train_model"}.intersection(run.effects)
    return run.fault in MODEL_IS_FINE and (bool(touched) or run.action == Action.RETRAIN.value)


def lift(run: Run) -> float | None:
    """The relative change of nDCG@10 from degraded to final, for the same questions; None when not measured."""
    degraded, final = run.levels.get("degraded"), run.levels.get("final")
    if degraded is None or final is None or degraded.value <= 0:
        return None
    change = final.value / degraded.value - 1
    return change if math.isfinite(change) else None


def healed(run: Run, least: float = LIFT) -> bool:
    """Whether search is better by at least `least` than while it was degraded."""
    change = lift(run)
    return change is not None and change >= least


@dataclass(frozen=True)
class Rule:
    """One line of the bar: what was asked for, what was found."""

    name: str
    wanted: str
    found: str
    holds: bool


def bar(runs: Sequence[Run]) -> tuple[Rule, ...]:
    """What has to hold over all runs; a bar over no runs does not hold."""
    correct = sum(map(right, runs))
    needed = math.ceil(RIGHT_SHARE * len(runs) - 1e-9)
    perilous = [run for run in runs if dangerous(run)]
    shifted = [run for run in runs if run.fault == "corpus_shift"]
    rules = [
        Rule("right action", f"at least {needed} of {len(runs)}", f"{correct}", bool(runs) and correct >= needed),
        Rule("needless training or promotion", "0", f"{len(perilous)}", not perilous),
    ]
    if shifted:
        better = sum(map(healed, shifted))
        wanted = f"at least {LIFT:+.0%} in {len(shifted)} of {len(shifted)}"
        rules.append(Rule("nDCG@10 after corpus_shift", wanted, f"in {better}", better == len(shifted)))
    return tuple(rules)


def confusion(runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    """How often each fault led to each action, faults in the order of `EXPECTED`."""
    counts: dict[str, dict[str, int]] = {name: {} for name in EXPECTED if any(r.fault == name for r in runs)}
    for run in runs:
        row = counts[run.fault]
        row[run.action] = row.get(run.action, 0) + 1
    return counts


def actions() -> tuple[str, ...]:
    """Every action a run can end with, in the order of the table's columns."""
    return (*(action.value for action in Action), NO_CYCLE, CRASHED)
