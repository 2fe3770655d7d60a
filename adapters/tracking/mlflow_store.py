"""The store of runs and versions behind MLflow's client, as `MlflowTracking` works on it.

`mlflow` takes seconds to import: it is imported at the first call.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from adapters.meter import metered
from adapters.tracking.mlflow_errors import NAME, is_absent, told
from domain.candidate import ModelRef
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

T = TypeVar("T")
KEY_TAG = "evercrew.key"
ALIAS_TAG = "evercrew.alias."
CARD_TAG = "evercrew.card."
SAFE = re.compile(r"^[\w.:/@+-]{1,200}$")


class MlflowStore:
    """One experiment and the registry, through a client that is made at the first call."""

    def __init__(self, *, uri: str, experiment: str, artifacts: str | None, s3_endpoint_url: str | None) -> None:
        self._uri = uri
        self._experiment = experiment
        self._artifacts = artifacts
        self._s3_endpoint_url = s3_endpoint_url or None
        self._client_made: MlflowClient | None = None
        self._experiment_id: str | None = None

    @contextmanager
    def _errors(self) -> Iterator[MlflowClient]:
        with metered(NAME), told(artifacts=self._artifacts, s3_endpoint_url=self._s3_endpoint_url):
            if self._client_made is None:
                from mlflow import MlflowClient

                self._client_made = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
            yield self._client_made

    def _client(self) -> MlflowClient:
        if self._client_made is None:
            raise RuntimeError("a store call outside of `_errors`")
        return self._client_made

    def _home(self) -> str:
        """The experiment's id; it is made when absent."""
        known = self._known_home()
        if known is None:
            made = self._client().create_experiment(self._experiment, artifact_location=self._artifacts)
            known = self._experiment_id = str(made)
        return known

    def _known_home(self) -> str | None:
        """The experiment's id, where it exists: reads make nothing."""
        if self._experiment_id is None:
            found = self._client().get_experiment_by_name(self._experiment)
            self._experiment_id = str(found.experiment_id) if found is not None else None
        return self._experiment_id

    def _fill(
        self,
        run_id: str,
        params: Mapping[str, str | int | float],
        metrics: Mapping[str, float],
        artifacts: Sequence[Path],
    ) -> None:
        from mlflow.entities import Metric, Param

        client = self._client()
        moment = client.get_run(run_id).info.start_time  # so that logging again writes the same points
        client.log_batch(
            run_id,
            metrics=[Metric(name, float(value), moment, 0) for name, value in metrics.items()],
            params=[Param(name, str(value)) for name, value in params.items()],
        )
        for path in artifacts:
            if path.is_dir():
                client.log_artifacts(run_id, str(path), path.name)
            else:
                client.log_artifact(run_id, str(path))

    def _log_dataset(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Make the dataset an input of the run. MLflow knows no ``dvc://``: the source is its path and revision."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        path, md5, revision = (tags.get(f"dataset_{field}", "") for field in ("path", "md5", "rev"))
        if not (path and md5 and revision):
            return
        source = json.dumps({"uri": path, "revision": revision})
        marks = [
            InputTag("mlflow.data.context", "training"),
            InputTag("dvc.md5", md5),
            InputTag("dvc.revision", revision),
        ]
        self._client().log_inputs(run_id, datasets=[DatasetInput(Dataset(path, md5[:36], "local", source), marks)])

    def _run_by_key(self, key: str) -> Run | None:
        home = self._known_home()
        if home is None:
            return None
        found = self._client().search_runs([home], filter_string=f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
        return found[0] if found else None

    def _versions(self, condition: str, model: str | None = None) -> list[ModelVersion]:
        """Versions that match, oldest first."""
        parts = [
            *([f"name = '{check_name(model)}'"] if model is not None else []),
            *([condition] if condition else []),
        ]
        found: list[ModelVersion] = []
        token: str | None = None
        while True:
            page = self._client().search_model_versions(" and ".join(parts), max_results=1000, page_token=token)
            found.extend(page)
            token = page.token
            if not token:
                return sorted(found, key=lambda version: int(version.version))

    def _look_at_artifacts(self, client: MlflowClient) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        home = self._known_home()
        place = client.get_experiment(home).artifact_location if home is not None else self._artifacts
        if place is not None:
            get_artifact_repository(place, tracking_uri=self._uri).list_artifacts()

    def _ensure_model(self, model: str) -> None:
        client = self._client()
        if unless_absent(lambda: client.get_registered_model(model)) is None:
            client.create_registered_model(check_name(model))


def unless_absent(read: Callable[[], T]) -> T | None:
    from mlflow.exceptions import MlflowException

    try:
        return read()
    except MlflowException as error:
        if is_absent(error):
            return None
        raise


def check_key(key: str) -> str:
    if not SAFE.match(key):
        raise InvalidInput("key", f"{key!r} cannot stand in a tag", "Use letters, digits and ._:/@+- only")
    return key


def check_name(model: str) -> str:
    if not re.match(r"^[\w. -]{1,200}$", model):
        raise InvalidInput("model", f"{model!r} is not a model name", "Use letters, digits, spaces and ._- only")
    return model


def ref_of(version: Any) -> ModelRef:
    tags = {str(name): str(value) for name, value in version.tags.items() if not name.startswith((ALIAS_TAG, CARD_TAG))}
    return ModelRef(
        name=version.name,
        version=str(version.version),
        digest=tags.get("digest", ""),
        run_id=version.run_id or "",
        dataset_revision=tags.get("dataset_revision") or tags.get("dataset_rev", ""),
        tags=tags,
    )
