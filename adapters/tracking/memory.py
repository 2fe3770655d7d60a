"""Experiments and a model registry in memory, for tests and embedding."""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from adapters.tracking.base import EFFECT_ALIAS, EFFECT_LOG_RUN, EFFECT_REGISTER
from domain.candidate import ModelRef
from domain.errors import DependencyLied, DigestMismatch, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier


class MemoryTracking:
    """`TrackingPort` over dictionaries; bundles are copied to a folder that goes with the object."""

    def __init__(self, permits: PermitVerifier, digest_of: Callable[[Path], str]) -> None:
        self._permits = permits
        self._digest_of = digest_of
        self._lock = threading.Lock()
        self._runs: dict[str, Mapping[str, Mapping[str, str | float]]] = {}
        self._run_keys: dict[str, str] = {}
        self._versions: dict[str, list[ModelRef]] = {}
        self._version_keys: dict[str, ModelRef] = {}
        self._aliases: dict[tuple[str, str], str] = {}
        self._alias_keys: dict[str, tuple[str, str]] = {}
        self._store = tempfile.TemporaryDirectory(prefix="evercrew-registry-")

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
        """See `TrackingPort.log_run`."""
        self._permits.spend(permit, effect=EFFECT_LOG_RUN, key=key)
        for metric, value in metrics.items():
            if not math.isfinite(value):
                raise InvalidInput(f"metrics.{metric}", f"{value} is not a number", "Leave a missing metric out")
        with self._lock:
            if key not in self._run_keys:
                run_id = f"run-{len(self._runs) + 1}"
                self._runs[run_id] = {
                    "params": {field: str(value) for field, value in params.items()},
                    "metrics": dict(metrics),
                    "tags": {**tags, "evercrew.key": key},
                }
                self._run_keys[key] = run_id
            return self._run_keys[key]

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
        """See `TrackingPort.register`."""
        self._permits.spend(permit, effect=EFFECT_REGISTER, key=key)
        self._check_digest(bundle, digest)
        with self._lock:
            if key in self._version_keys:
                return self._version_keys[key]
            if run_id not in self._runs:
                raise InvalidInput("run_id", f"{run_id!r} is not a run", "Log the run first")
            versions = self._versions.setdefault(model, [])
            version = str(len(versions) + 1)
            shutil.copytree(bundle, self._place(model, version))
            marks = {**tags, "digest": digest, "evercrew.key": key}
            ref = ModelRef(
                name=model,
                version=version,
                digest=digest,
                run_id=run_id,
                dataset_revision=tags.get("dataset_revision") or tags.get("dataset_rev", ""),
                tags=marks,
            )
            versions.append(ref)
            self._version_keys[key] = ref
            return ref

    def set_alias(self, *, model: str, alias: str, version: str, key: str, permit: Permit | None) -> None:
        """See `TrackingPort.set_alias`."""
        self._permits.spend(permit, effect=EFFECT_ALIAS, key=key)
        with self._lock:
            if key in self._alias_keys:
                return
            if self._version(model, version) is None:
                raise InvalidInput("version", f"{model} has no version {version}", "Register it first")
            self._aliases[model, alias] = version
            self._alias_keys[key] = (alias, version)

    def by_alias(self, model: str, alias: str) -> ModelRef | None:
        """See `TrackingPort.by_alias`."""
        version = self._aliases.get((model, alias))
        return self._version(model, version) if version is not None else None

    def by_digest(self, model: str, digest: str) -> ModelRef | None:
        """See `TrackingPort.by_digest`."""
        return next((ref for ref in reversed(self.versions(model)) if ref.digest == digest), None)

    def versions(self, model: str) -> Sequence[ModelRef]:
        """See `TrackingPort.versions`."""
        return list(self._versions.get(model, []))

    def run(self, run_id: str) -> Mapping[str, Mapping[str, str | float]] | None:
        """See `TrackingPort.run`."""
        return self._runs.get(run_id)

    def download(self, ref: ModelRef, into: Path) -> Path:
        """See `TrackingPort.download`."""
        if self._version(ref.name, ref.version) is None:
            raise InvalidInput("ref", f"{ref.name} has no version {ref.version}", "Take it from the registry")
        self._check_digest(self._place(ref.name, ref.version), ref.digest)
        target = into / f"{ref.name}-{ref.version}"
        shutil.copytree(self._place(ref.name, ref.version), target, dirs_exist_ok=True)
        return target

    def observe(self, key: str) -> Observation:
        """See `TrackingPort.observe`."""
        outcome: dict[str, str] = {}
        if key in self._run_keys:
            outcome["run_id"] = self._run_keys[key]
        if key in self._version_keys:
            outcome |= {"version": self._version_keys[key].version, "digest": self._version_keys[key].digest}
        if key in self._alias_keys:
            alias, version = self._alias_keys[key]
            outcome |= {"alias": alias, "alias_version": version}
        return Observation.done(outcome) if outcome else Observation.absent("nothing carries the key")

    def check(self) -> str:
        """See `TrackingPort.check`."""
        return f"memory: {len(self._runs)} runs, {len(self._versions)} registered models"

    def _place(self, model: str, version: str) -> Path:
        return Path(self._store.name) / model / version

    def _version(self, model: str, version: str) -> ModelRef | None:
        return next((ref for ref in self._versions.get(model, []) if ref.version == version), None)

    def _check_digest(self, bundle: Path, digest: str) -> None:
        try:
            found = self._digest_of(bundle)
        except (ValueError, OSError) as error:
            raise DependencyLied("memory", f"{bundle.name} is not a bundle: {error}") from error
        if found != digest:
            raise DigestMismatch(f"the bundle {bundle.name} has the digest {found} instead of {digest}")
