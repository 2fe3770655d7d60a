"""Registered versions that no alias names and no cycle made."""

from __future__ import annotations

from pathlib import Path

from adapters.tracking.base import EFFECT_LOG_RUN, EFFECT_REGISTER
from domain.candidate import ModelRef
from domain.dataset import DatasetRef
from evals.simulated_jobs import bundle_of, digest_of
from tests.support.office import Rig
from tests.support.setting import MODEL

SKILL = 0.5


def stray(rig: Rig, folder: Path, name: str, dataset: DatasetRef | None = None) -> ModelRef:
    """Register a version, as trained on `dataset`, and return it."""
    tracking, bundle = rig.ports.tracking, bundle_of(folder, name, SKILL)
    permit = rig.permits.mint(
        tool="set-up", effects=(EFFECT_LOG_RUN, EFFECT_REGISTER), args_hash="", actor="release", cycle_id="", key=name
    )
    tags = {"dataset_md5": dataset.md5} if dataset is not None else {}
    run_id = tracking.log_run(name=name, params={}, metrics={}, tags={}, artifacts=[], key=name, permit=permit)
    return tracking.register(
        model=MODEL, bundle=bundle, digest=digest_of(bundle), run_id=run_id, tags=tags, key=name, permit=permit
    )
