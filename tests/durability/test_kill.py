"""Kill -9 at every boundary of a stage and in the middle of every effect.

The cycle ends as it would have, and each effect is one. In every test several processes work on the same cycle, one
after the other; each but the last dies at its point.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.durability.conftest import Start
from tests.durability.counts import chain, count

# Each test is several processes, one after the other, on a machine that may have other things to do.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LEARNING = ("dataset_version", "train_model", "register_candidate", "record_pipeline", "offline_evaluation", "ab_start")
LEARNT = {
    "dataset commits": 2,
    "pipelines": 1,
    "cards": 1,
    "trainings": 1,
    "runs": 1,
    "versions": 1,
    "looks": 1,
    "evaluations": 1,
    "messages": 1,
}


@dataclass(frozen=True)
class Expected:
    """What a path does when nobody dies; kinds that are not named are zero."""

    outcome: str
    effects: Sequence[str]
    counts: Mapping[str, int] = field(default_factory=dict)


EXPECTED: Mapping[str, Expected] = {
    "retrain": Expected(
        "improved",
        (*LEARNING, "promote", "point_dataset", "set_alias", "mark_gold", "describe_model", "notify"),
        {
            **LEARNT,
            "dataset commits": 3,
            "commits": 2,
            "aliases": 3,
            "gold models": 1,
            "gold datasets": 1,
            "baselines": 1,
        },
    ),
    "failed test": Expected(
        "not_promoted", (*LEARNING, "ab_stop", "describe_model", "notify"), {**LEARNT, "commits": 2, "aliases": 1}
    ),
    "worse model": Expected(
        "rolled_back",
        (*LEARNING, "promote", "point_dataset", "roll_back", "point_dataset", "ab_stop", "describe_model", "notify"),
        {**LEARNT, "dataset commits": 4, "commits": 4, "aliases": 1},
    ),
    "rollback": Expected("restored", ("roll_back", "set_alias", "notify"), {"commits": 1, "aliases": 1, "messages": 1}),
    "data fix": Expected(
        "repaired",
        ("quarantine_feedback", "dataset_version", "notify"),
        {"quarantines": 1, "dataset commits": 1, "messages": 1},
    ),
    "tuning": Expected("tuned", ("apply_tuning", "notify"), {"commits": 1, "messages": 1}),
}


def around(tool: str, *during: str) -> list[str]:
    """Return the points of an effect: after its intent, during it, and after its outcome."""
    return [f"before {tool}", *during, f"recorded {tool}"]


def commits(tool: str, method: str = "commit") -> list[str]:
    """Return the points of an effect that is one push to the values repository."""
    return around(tool, f"inside {tool} commit_tree", f"after {tool} {method}")


REGISTER = "register_candidate"
DEATHS: Sequence[tuple[str, list[str]]] = [
    ("retrain", ["entered diagnose", "entered plan", "entered augment"]),
    ("retrain", [f"moved {stage}" for stage in ("diagnose", "plan", "augment", "train", "evaluate", "ab")]),
    ("retrain", [f"moved {stage}" for stage in ("promote", "watch", "learn", "done")]),
    ("worse model", ["moved roll_back"]),
    (
        "retrain",
        [
            *around("dataset_version", "inside dataset_version _store", "after dataset_version version"),
            "entered train",
        ],
    ),
    ("retrain", around("train_model", "inside train_model run", "after train_model run")),
    (
        "retrain",
        [
            *around(
                REGISTER,
                f"inside {REGISTER} _fill",
                f"after {REGISTER} log_run",
                f"inside {REGISTER} _ensure_model",
                f"after {REGISTER} register",
                f"after {REGISTER} set_alias",
            ),
            "entered evaluate",
        ],
    ),
    ("retrain", around("record_pipeline", "inside record_pipeline check_pointer", "after record_pipeline record")),
    (
        "retrain",
        [
            *around("offline_evaluation", "inside offline_evaluation _look", "after offline_evaluation evaluate"),
            "entered ab",
        ],
    ),
    ("retrain", commits("ab_start")),
    ("retrain", ["entered promote", *commits("promote"), "entered watch"]),
    ("retrain", around("point_dataset", "after point_dataset point")),
    ("retrain", [*around("set_alias", "after set_alias set_alias"), "entered learn"]),
    (
        "retrain",
        around("mark_gold", "after mark_gold tag", "inside mark_gold _tagged", "after mark_gold set_alias"),
    ),
    ("retrain", around("describe_model", "after describe_model describe")),
    ("retrain", [*around("notify", "after notify send"), "entered done"]),
    ("failed test", commits("ab_stop")),
    ("worse model", ["entered roll_back", *commits("roll_back", "revert")]),
    ("worse model", ["recorded roll_back", "after point_dataset point", "recorded point_dataset"]),
    ("rollback", [*commits("roll_back", "revert"), *around("set_alias", "after set_alias set_alias")]),
    ("data fix", around("quarantine_feedback", "after quarantine_feedback quarantine")),
    ("tuning", commits("apply_tuning")),
]


@pytest.mark.parametrize(("path", "deaths"), DEATHS, ids=[f"{path}: {deaths[0]} ..." for path, deaths in DEATHS])
def test_a_cycle_whose_processes_are_killed_ends_as_if_they_had_not_been(
    folder: Path, start: Start, path: str, deaths: list[str]
) -> None:
    for death in deaths:
        assert start(folder, path, death) == -signal.SIGKILL, f"nobody died at {death!r}{_problem(folder)}"
    assert start(folder, path, "") == 0, _problem(folder)
    expected = EXPECTED[path]
    told = json.loads((folder / "result.json").read_text())
    assert (told["outcome"], told["stage"]) == (expected.outcome, "done"), told["reason"]
    assert told["unproven"] == []
    assert told["effects"] == list(expected.effects)
    counted = count(folder)
    assert counted == {**dict.fromkeys(counted, 0), **expected.counts}
    length, done = chain(folder)
    assert done == list(expected.effects)
    assert length > len(done)


def _problem(folder: Path) -> str:
    problem = folder / "error.txt"
    return f": {problem.read_text()[-2000:]}" if problem.exists() else ""


def test_every_effect_and_every_stage_has_its_death() -> None:
    points = [point for _, deaths in DEATHS for point in deaths]
    effects = {effect for path in EXPECTED.values() for effect in path.effects}
    for effect in effects:
        kinds = {point.split()[0] for point in points if point.split()[1] == effect}
        assert {"before", "after", "recorded"} <= kinds, effect
    stages = {point.removeprefix("entered ") for point in points if point.startswith("entered ")}
    moves = {point.removeprefix("moved ") for point in points if point.startswith("moved ")}
    walked = (
        "diagnose",
        "plan",
        "augment",
        "train",
        "evaluate",
        "ab",
        "promote",
        "watch",
        "roll_back",
        "learn",
        "done",
    )
    assert stages == moves == set(walked)
