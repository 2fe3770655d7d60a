"""Experiments and the model registry in MLflow, straight on its store or through a server.

`mlflow` takes seconds to import: it is imported at the first call. Whoever builds this turns its telemetry off first.
"""

from __future__ import annotations

import math
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from adapters.tracking.base import EFFECT_ALIAS, EFFECT_LOG_RUN, EFFECT_REGISTER
from domain.candidate import ModelRef
from domain.errors import DependencyLied, DependencyUnavailable, DigestMismatch, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

NAME = "mlflow"
T = TypeVar("T")
KEY_TAG = "evercrew.key"
_ALIAS_TAG = "evercrew.alias."
_FINISHED = "FINISHED"
_ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"})
_SAFE = re.compile(r"^[\w.:/@+-]{1,200}$")


class MlflowTracking:
    """`TrackingPort`. `artifacts` is where a new experiment keeps its files (a URI; None leaves it to the server).

    `digest_of` returns the digest of a bundle folder; it raises ValueError or OSError when the folder is not one.
    """

    def __init__(
        self,
        *,
        uri: str,
        experiment: str,
        permits: PermitVerifier,
        digest_of: Callable[[Path], str],
        artifacts: str | None = None,
    ) -> None:
        self._uri = uri
        self._experiment = experiment
        self._permits = permits
        self._digest_of = digest_of
        self._artifacts = artifacts
        self._client_made: MlflowClient | None = None
        self._experiment_id: str | None = None

    def log_run(
        self,
        *,
        name: str,
        params: Mapping[str, str | int | float],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        artifacts: Sequence[Path],
        key: str,
        permit: Permit | None,
    ) -> str:
        """See `TrackingPort.log_run`. A run that was begun under the key and not finished is taken up again."""
        self._permits.spend(permit, effect=EFFECT_LOG_RUN, key=key)
        _check_key(key)
        for metric, value in metrics.items():
            if not math.isfinite(value):
                raise InvalidInput(f"metrics.{metric}", f"{value} is not a number", "Leave a missing metric out")
        with self._errors() as client:
            run = self._run_by_key(key)
            if run is not None and run.info.status == _FINISHED:
                return str(run.info.run_id)
            if run is None:
                run = client.create_run(self._home(), run_name=name, tags={**tags, KEY_TAG: key})
            run_id = str(run.info.run_id)
            self._fill(run_id, params, metrics, artifacts)
            client.set_terminated(run_id, status=_FINISHED)
            return run_id

    def register(
        self,
        *,
        model: str,
        bundle: Path,
        digest: str,
        run_id: str,
        tags: Mapping[str, str],
        key: str,
        permit: Permit | None,
    ) -> ModelRef:
        """See `TrackingPort.register`.

        Raises:
            DigestMismatch: the folder's content does not have that digest.
        """
        self._permits.spend(permit, effect=EFFECT_REGISTER, key=key)
        _check_key(key)
        self._check_digest(bundle, digest)
        with self._errors() as client:
            done = self._versions(f"tags.`{KEY_TAG}` = '{key}'", model)
            if done:
                return _ref(done[-1])
            folder = f"bundle-{digest.removeprefix('sha256:')[:12]}"
            client.log_artifacts(run_id, str(bundle), folder)
            source = f"{client.get_run(run_id).info.artifact_uri}/{folder}"
            self._ensure_model(model)
            marks = {**tags, "digest": digest, KEY_TAG: key}
            return _ref(client.create_model_version(model, source, run_id=run_id, tags=marks))

    def set_alias(self, *, model: str, alias: str, version: str, key: str, permit: Permit | None) -> None:
        """See `TrackingPort.set_alias`."""
        self._permits.spend(permit, effect=EFFECT_ALIAS, key=key)
        _check_key(key)
        with self._errors() as client:
            if self._versions(f"tags.`{_ALIAS_TAG}{key}` = '{alias}'", model):
                return
            client.set_registered_model_alias(model, alias, version)
            client.set_model_version_tag(model, version, f"{_ALIAS_TAG}{key}", alias)

    def by_alias(self, model: str, alias: str) -> ModelRef | None:
        """See `TrackingPort.by_alias`."""
        with self._errors() as client:
            found: ModelVersion | None = _unless_absent(lambda: client.get_model_version_by_alias(model, alias))
        return _ref(found) if found is not None else None

    def by_digest(self, model: str, digest: str) -> ModelRef | None:
        """See `TrackingPort.by_digest`."""
        if not _SAFE.match(digest):
            return None
        with self._errors():
            found = self._versions(f"tags.digest = '{digest}'", model)
        return _ref(found[-1]) if found else None

    def versions(self, model: str) -> Sequence[ModelRef]:
        """See `TrackingPort.versions`."""
        with self._errors():
            return [_ref(version) for version in self._versions("", model)]

    def run(self, run_id: str) -> Mapping[str, Mapping[str, str | float]] | None:
        """See `TrackingPort.run`."""
        with self._errors() as client:
            found: Run | None = _unless_absent(lambda: client.get_run(run_id))
        if found is None:
            return None
        data = found.data
        return {"params": dict(data.params), "metrics": dict(data.metrics), "tags": dict(data.tags)}

    def download(self, ref: ModelRef, into: Path) -> Path:
        """See `TrackingPort.download`.

        Raises:
            DigestMismatch: the bundle is not the one the version was registered as.
        """
        into.mkdir(parents=True, exist_ok=True)
        target = into / f"{ref.name}-{ref.version}"
        with self._errors() as client, tempfile.TemporaryDirectory(dir=into, prefix=".download-") as scratch:
            from mlflow.artifacts import download_artifacts

            source = client.get_model_version_download_uri(ref.name, ref.version)
            found = _unless_absent(
                lambda: download_artifacts(artifact_uri=source, dst_path=scratch, tracking_uri=self._uri)
            )
            local = Path(found or scratch)
            if not local.is_dir() or not any(local.iterdir()):
                raise DependencyLied(NAME, f"version {ref.version} of {ref.name} holds no files")
            self._check_digest(local, ref.digest)
            if not target.exists():
                local.rename(target)
        return target

    def observe(self, key: str) -> Observation:
        """See `TrackingPort.observe`; what was done under one key by several methods is in one outcome."""
        _check_key(key)
        with self._errors():
            run = self._run_by_key(key)
            registered = self._versions(f"tags.`{KEY_TAG}` = '{key}'")
            aliased = self._versions(f"tags.`{_ALIAS_TAG}{key}` LIKE '%'")
        outcome: dict[str, str] = {}
        if run is not None and run.info.status == _FINISHED:
            outcome["run_id"] = str(run.info.run_id)
        if registered:
            ref = _ref(registered[-1])
            outcome |= {"version": ref.version, "digest": ref.digest}
        if aliased:
            outcome |= {"alias": aliased[-1].tags[f"{_ALIAS_TAG}{key}"], "alias_version": str(aliased[-1].version)}
        if outcome:
            return Observation.done(outcome)
        return Observation.absent("a run was begun and not finished" if run is not None else "nothing carries the key")

    def check(self) -> str:
        """See `TrackingPort.check`."""
        with self._errors() as client:
            models = len(client.search_registered_models(max_results=100))
            there = "is there" if self._known_home() is not None else "will be made"
        return f"{NAME}: {models} registered models, experiment {self._experiment} {there}"

    @contextmanager
    def _errors(self) -> Iterator[MlflowClient]:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self._client_made is None:
                from mlflow import MlflowClient

                self._client_made = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
            yield self._client_made
        except (MlflowException, SQLAlchemyError, OSError) as error:
            if getattr(error, "error_code", "") in _ABSENT:
                raise InvalidInput("tracking", _line(error), "Name a run, model or version that exists") from error
            raise DependencyUnavailable(NAME, _line(error)) from error

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

    def _run_by_key(self, key: str) -> Run | None:
        home = self._known_home()
        if home is None:
            return None
        found = self._client().search_runs([home], filter_string=f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
        return found[0] if found else None

    def _versions(self, condition: str, model: str | None = None) -> list[ModelVersion]:
        """Versions that match, oldest first."""
        parts = [
            *([f"name = '{_check_name(model)}'"] if model is not None else []),
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

    def _ensure_model(self, model: str) -> None:
        client = self._client()
        if _unless_absent(lambda: client.get_registered_model(model)) is None:
            client.create_registered_model(_check_name(model))

    def _check_digest(self, bundle: Path, digest: str) -> None:
        try:
            found = self._digest_of(bundle)
        except (ValueError, OSError) as error:
            raise DependencyLied(NAME, f"{bundle.name} is not a bundle: {_line(error)}") from error
        if found != digest:
            raise DigestMismatch(f"the bundle {bundle.name} has the digest {found} instead of {digest}")


def _unless_absent(read: Callable[[], T]) -> T | None:
    from mlflow.exceptions import MlflowException

    try:
        return read()
    except MlflowException as error:
        if error.error_code in _ABSENT:
            return None
        raise


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _check_key(key: str) -> str:
    if not _SAFE.match(key):
        raise InvalidInput("key", f"{key!r} cannot stand in a tag", "Use letters, digits and ._:/@+- only")
    return key


def _check_name(model: str) -> str:
    if not re.match(r"^[\w. -]{1,200}$", model):
        raise InvalidInput("model", f"{model!r} is not a model name", "Use letters, digits, spaces and ._- only")
    return model


def _ref(version: Any) -> ModelRef:
    tags = {str(name): str(value) for name, value in version.tags.items() if not name.startswith(_ALIAS_TAG)}
    return ModelRef(
        name=version.name,
        version=str(version.version),
        digest=tags.get("digest", ""),
        run_id=version.run_id or "",
        dataset_revision=tags.get("dataset_revision") or tags.get("dataset_rev", ""),
        tags=tags,
    )
