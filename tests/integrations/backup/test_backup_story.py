"""Everything is lost, and a cycle is proven, or gone on with, from its backup: real databases, git, DVC and MLflow."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.backup.local import LocalObjects
from domain.clock import SystemClock
from service.backup import back_up, restore
from service.config import Config
from tests.contract.gitremote import git
from tests.durability.conftest import Start
from tests.durability.counts import chain, count
from tests.integrations.backup.office import config_in

pytestmark = [pytest.mark.slow, pytest.mark.integration("backup", "works")]


def config_of(folder: Path, place: Path) -> Config:
    """Return a configuration whose state is the whole office."""
    tracking = {"uri": f"sqlite:///{folder}/mlflow.db", "artifacts": f"{folder}/files"}
    data = {"repository": str(folder / "datasets"), "remote": str(folder / "dvc-remote")}
    return config_in(place, state=str(folder), tracking=tracking, datasets=data)


def lost_and_restored(folder: Path, place: Path) -> int | None:
    """Back the office up, delete it, bring it back, and return the length of its chain."""
    config, objects = config_of(folder, place), LocalObjects(place / "backups")
    back_up(config, objects, SystemClock())
    shutil.rmtree(folder)
    return restore(config, objects, SystemClock()).audit_records


def told(folder: Path) -> Mapping[str, Any]:
    """Return what the last process left."""
    found: Mapping[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def _loose(counted: Mapping[str, int]) -> Mapping[str, int]:
    """All but the tags that are files of their own: those of a clone are packed into one."""
    return {name: number for name, number in counted.items() if name != "gold datasets"}


def test_an_old_cycle_is_still_proven_after_the_whole_state_was_lost(
    folder: Path, start: Start, tmp_path: Path
) -> None:
    assert start(folder, "retrain", "") == 0
    before, effects = told(folder), count(folder)
    assert (before["outcome"], before["unproven"]) == ("improved", [])
    length, _ = chain(folder)
    tags = git(folder / "datasets", "tag", "--list")
    assert lost_and_restored(folder, tmp_path) == length
    (folder / "result.json").unlink()
    assert start(folder, "retrain", "") == 0
    assert told(folder) == before
    assert _loose(count(folder)) == _loose(effects)
    assert git(folder / "datasets", "tag", "--list") == tags != ""


def test_a_cycle_in_flight_goes_on_from_its_backup_and_repeats_nothing(
    folder: Path, start: Start, tmp_path: Path
) -> None:
    assert start(folder, "retrain", "after register_candidate register") == -9
    lost_and_restored(folder, tmp_path)
    assert start(folder, "retrain", "") == 0
    assert (told(folder)["outcome"], told(folder)["unproven"]) == ("improved", [])
    counted = count(folder)
    once = ("versions", "runs", "pipelines", "trainings", "cards")
    assert [counted[name] for name in once] == [1] * len(once)
    assert counted["dataset commits"] == 3
