"""Which versions and runs of MLflow nothing needs any more."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from adapters.tracking.base import GOLD, Retirable
from adapters.tracking.mlflow_store import unless_absent

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_ENDED = ("FINISHED", "FAILED", "KILLED")
_PAGE = 1000


def choose(
    client: MlflowClient,
    versions: list[ModelVersion],
    others: list[ModelVersion],
    aliased: Collection[str],
    experiment: str | None,
    *,
    keep_last: int,
    before: datetime,
    keep: Collection[str],
) -> Retirable:
    """Return what `TrackingPort.retirable` does.

    `versions` are the model's, oldest first; `others` those of every other model, whose runs are kept.
    """
    moment = int(before.timestamp() * 1000)
    newest = {str(version.version) for version in versions[-keep_last:]} if keep_last else set[str]()
    gone = [v for v in versions if str(v.version) not in newest and _old(v, aliased, moment, keep)]
    left = {str(v.version) for v in versions} - {str(v.version) for v in gone}
    needed = {str(v.run_id) for v in versions if str(v.version) in left} | {str(v.run_id) for v in others}
    runs = [
        str(run.info.run_id)
        for run in _runs(client, experiment)
        if str(run.info.run_id) not in needed
        and run.info.status in _ENDED
        and int(run.info.end_time or run.info.start_time) < moment
        and run.data.tags.get("cycle_id", "") not in keep
    ]
    return Retirable(versions=tuple(str(v.version) for v in gone), runs=tuple(runs), kept=len(left))


def _old(version: Any, aliased: Collection[str], moment: int, keep: Collection[str]) -> bool:
    tags = version.tags
    return (
        str(version.version) not in aliased
        and int(version.creation_timestamp) < moment
        and tags.get("digest", "") not in keep
        and tags.get("cycle_id", "") not in keep
        and not any(name.startswith(GOLD) for name in tags)
    )


def _runs(client: MlflowClient, experiment: str | None) -> list[Run]:
    if experiment is None:
        return []
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment], max_results=_PAGE, page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            return found


def retired(client: MlflowClient, tag: str) -> Retirable | None:
    """Return what was deleted under the tag that noted it before, once all of it is gone; None else."""
    noted = client.search_registered_models(filter_string=f"tags.`{tag}` LIKE '%'", max_results=1)
    if not noted:
        return None
    told = Retirable.model_validate_json(noted[0].tags[tag])
    left = client.search_model_versions(f"name = '{noted[0].name}'", max_results=10_000)
    there = {str(version.version) for version in left} & set(told.versions)
    return None if there or any(_active(client, run_id) for run_id in told.runs) else told


def _active(client: MlflowClient, run_id: str) -> bool:
    run = unless_absent(lambda: client.get_run(run_id))
    return run is not None and run.info.lifecycle_stage == "active"
