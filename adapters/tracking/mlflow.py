"""Experiments and the model registry in MLflow, straight on its store or through a server.

`mlflow` takes seconds to import: it is imported at the first call. Whoever builds this turns its telemetry off first.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.tracking.base import (
    EFFECT_ALIAS,
    EFFECT_DESCRIBE,
    EFFECT_LOG_RUN,
    EFFECT_REGISTER,
    EFFECT_RETIRE,
    EFFECT_TAG,
    ModelCard,
    Retirable,
)
from adapters.tracking.card import first_card, markdown
from adapters.tracking.mlflow_errors import NAME, line
from adapters.tracking.mlflow_retention import choose, retired
from adapters.tracking.mlflow_store import (
    ALIAS_TAG,
    CARD_TAG,
    KEY_TAG,
    SAFE,
    MlflowStore,
    check_key,
    check_name,
    ref_of,
    unless_absent,
)
from domain.candidate import ModelRef
from domain.errors import ConflictError, DependencyLied, DigestMismatch, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

_RETIRED_TAG = "evercrew.retired."
_FINISHED = "FINISHED"
_CARD = "model_card.md"
# What a description or tag of MLflow's may be long.
_MOST = 4900


class MlflowTracking(MlflowStore):
    """`TrackingPort` over a database (``sqlite:///...``) or a server (``http://...``).

    `artifacts` is where a new experiment keeps its files (a folder, a URI such as ``s3://bucket/prefix``; None leaves
    it to the server); `s3_endpoint_url` is only named in errors: MLflow's client takes it, as it takes credentials and
    timeouts, from the environment.
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
        s3_endpoint_url: str | None = None,
    ) -> None:
        super().__init__(uri=uri, experiment=experiment, artifacts=artifacts, s3_endpoint_url=s3_endpoint_url)
        self._permits = permits
        self._digest_of = digest_of

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
        check_key(key)
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
            self._log_dataset(run_id, tags)
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
        check_key(key)
        self._check_digest(bundle, digest)
        with self._errors() as client:
            done = self._versions(f"tags.`{KEY_TAG}` = '{key}'", model)
            if done:
                return ref_of(done[-1])
            folder = f"bundle-{digest.removeprefix('sha256:')[:12]}"
            client.log_artifacts(run_id, str(bundle), folder)
            source = f"{client.get_run(run_id).info.artifact_uri}/{folder}"
            self._ensure_model(model)
            marks = {**tags, "digest": digest, KEY_TAG: key}
            numbers = dict(client.get_run(run_id).data.metrics)
            text = markdown(first_card(model, digest, tags, run_id, numbers))
            client.log_text(run_id, text, f"{folder}-{_CARD}")
            made = client.create_model_version(model, source, run_id=run_id, tags=marks, description=text[:_MOST])
            return ref_of(made)

    def set_alias(self, *, model: str, alias: str, version: str, key: str, permit: Permit | None) -> None:
        """See `TrackingPort.set_alias`."""
        self._permits.spend(permit, effect=EFFECT_ALIAS, key=key)
        check_key(key)
        with self._errors() as client:
            if self._versions(f"tags.`{ALIAS_TAG}{key}` = '{alias}'", model):
                return
            client.set_registered_model_alias(model, alias, version)
            client.set_model_version_tag(model, version, f"{ALIAS_TAG}{key}", alias)

    def tag(self, *, model: str, version: str, tag: str, value: str, key: str, permit: Permit | None) -> None:
        """See `TrackingPort.tag`."""
        self._permits.spend(permit, effect=EFFECT_TAG, key=key)
        check_key(key)
        with self._errors() as client:
            known = dict(client.get_model_version(model, version).tags).get(tag)
            if known is None:
                client.set_model_version_tag(model, version, tag, value)
        if known not in (None, value):
            raise ConflictError(f"version {version} of {model} has the tag {tag} already, with another value")

    def by_alias(self, model: str, alias: str) -> ModelRef | None:
        """See `TrackingPort.by_alias`."""
        with self._errors() as client:
            found: ModelVersion | None = unless_absent(lambda: client.get_model_version_by_alias(model, alias))
        return ref_of(found) if found is not None else None

    def by_digest(self, model: str, digest: str) -> ModelRef | None:
        """See `TrackingPort.by_digest`."""
        if not SAFE.match(digest):
            return None
        with self._errors():
            found = self._versions(f"tags.digest = '{digest}'", model)
        return ref_of(found[-1]) if found else None

    def versions(self, model: str) -> Sequence[ModelRef]:
        """See `TrackingPort.versions`."""
        with self._errors():
            return [ref_of(version) for version in self._versions("", model)]

    def run(self, run_id: str) -> Mapping[str, Mapping[str, str | float]] | None:
        """See `TrackingPort.run`."""
        with self._errors() as client:
            found: Run | None = unless_absent(lambda: client.get_run(run_id))
        if found is None:
            return None
        data, inputs = found.data, found.inputs.dataset_inputs if found.inputs else []
        return {
            "params": dict(data.params),
            "metrics": dict(data.metrics),
            "tags": dict(data.tags),
            "datasets": {str(given.dataset.name): str(given.dataset.digest) for given in inputs},
        }

    def describe(self, *, model: str, version: str, card: ModelCard, key: str, permit: Permit | None) -> None:
        """See `TrackingPort.describe`: the version's description, and a file of its run."""
        self._permits.spend(permit, effect=EFFECT_DESCRIBE, key=key)
        check_key(key)
        text = markdown(card)
        with self._errors() as client:
            found = client.get_model_version(check_name(model), version)
            client.log_text(str(found.run_id), text, f"version-{version}-{_CARD}")
            client.update_model_version(model, version, description=text[:_MOST])
            client.set_model_version_tag(model, version, f"{CARD_TAG}{key}", "described")

    def card(self, model: str, version: str) -> str:
        """See `TrackingPort.card`."""
        with self._errors() as client:
            return str(client.get_model_version(check_name(model), version).description or "")

    def retirable(self, model: str, *, keep_last: int, before: datetime, keep: Collection[str]) -> Retirable:
        """See `TrackingPort.retirable`."""
        with self._errors() as client:
            registered = unless_absent(lambda: client.get_registered_model(check_name(model)))
            aliased = {str(version) for version in registered.aliases.values()} if registered is not None else set()
            every = self._versions("")
            return choose(
                client,
                [version for version in every if version.name == model],
                [version for version in every if version.name != model],
                aliased,
                self._known_home(),
                keep_last=keep_last,
                before=before,
                keep=keep,
            )

    def retire(
        self,
        model: str,
        *,
        keep_last: int,
        before: datetime,
        keep: Collection[str],
        key: str,
        permit: Permit | None,
    ) -> Retirable:
        """See `TrackingPort.retire`.

        Runs are marked as deleted; `mlflow gc` on the server takes their files away.
        """
        self._permits.spend(permit, effect=EFFECT_RETIRE, key=key)
        check_key(key)
        with self._errors() as client:
            registered = unless_absent(lambda: client.get_registered_model(check_name(model)))
            if registered is None:
                return Retirable()
            done = registered.tags.get(f"{_RETIRED_TAG}{key}")
            chosen = Retirable.model_validate_json(done) if done else None
            if chosen is None:
                chosen = _fitting(self.retirable(model, keep_last=keep_last, before=before, keep=keep))
                # Noted before: what is broken off is finished by asking again, which deletes these and no others.
                client.set_registered_model_tag(model, f"{_RETIRED_TAG}{key}", chosen.model_dump_json())
            for version in chosen.versions:
                unless_absent(partial(client.delete_model_version, model, version))
            for run_id in chosen.runs:
                unless_absent(partial(client.delete_run, run_id))
        return chosen

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
            found = unless_absent(
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
        check_key(key)
        with self._errors() as client:
            run = self._run_by_key(key)
            registered = self._versions(f"tags.`{KEY_TAG}` = '{key}'")
            aliased = self._versions(f"tags.`{ALIAS_TAG}{key}` LIKE '%'")
            described = self._versions(f"tags.`{CARD_TAG}{key}` LIKE '%'")
            gone = retired(client, f"{_RETIRED_TAG}{key}")
        outcome: dict[str, str] = {}
        if run is not None and run.info.status == _FINISHED:
            outcome["run_id"] = str(run.info.run_id)
        if registered:
            ref = ref_of(registered[-1])
            outcome |= {"version": ref.version, "digest": ref.digest}
        if aliased:
            outcome |= {"alias": aliased[-1].tags[f"{ALIAS_TAG}{key}"], "alias_version": str(aliased[-1].version)}
        if described:
            outcome["described"] = str(described[-1].version)
        if gone is not None:
            outcome["retired"] = gone.model_dump_json()
        if outcome:
            return Observation.done(outcome)
        return Observation.absent("a run was begun and not finished" if run is not None else "nothing carries the key")

    def check(self) -> str:
        """See `TrackingPort.check`; the store of the artifacts is asked too."""
        with self._errors() as client:
            models = len(client.search_registered_models(max_results=100))
            there = "is there" if self._known_home() is not None else "will be made"
            self._look_at_artifacts(client)
        return f"{NAME}: {models} registered models, experiment {self._experiment} {there}, artifacts answer"

    def _check_digest(self, bundle: Path, digest: str) -> None:
        try:
            found = self._digest_of(bundle)
        except (ValueError, OSError) as error:
            raise DependencyLied(NAME, f"{bundle.name} is not a bundle: {line(error)}") from error
        if found != digest:
            raise DigestMismatch(f"the bundle {bundle.name} has the digest {found} instead of {digest}")


def _fitting(told: Retirable) -> Retirable:
    """Leave for the next time what does not fit into a tag."""
    while len(told.model_dump_json()) > _MOST:
        half = Retirable(versions=told.versions[: len(told.versions) // 2], runs=told.runs[: len(told.runs) // 2])
        told = half.model_copy(update={"kept": told.kept + len(told.versions) - len(half.versions)})
    return told
