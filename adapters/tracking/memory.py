"""Experiments and a model registry in memory, for tests and embedding."""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from adapters.tracking.base import (
    EFFECT_ALIAS,
    EFFECT_DESCRIBE,
    EFFECT_LOG_RUN,
    EFFECT_REGISTER,
    EFFECT_RETIRE,
    EFFECT_TAG,
    GOLD,
    ModelCard,
    Retirable,
)
from adapters.tracking.card import first_card, markdown
from domain.candidate import ModelRef
from domain.clock import Clock, SystemClock
from domain.errors import ConflictError, DependencyLied, DigestMismatch, InvalidInput
from domain.observation import Observation
from domain.permit import Permit, PermitVerifier


class MemoryTracking:
    """`TrackingPort` over dictionaries; bundles are copied to a folder that goes with the object."""

    def __init__(self, permits: PermitVerifier, digest_of: Callable[[Path], str], clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._permits = permits
        self._digest_of = digest_of
        self._lock = threading.Lock()
        self._runs: dict[str, Mapping[str, Mapping[str, str | float]]] = {}
        self._run_keys: dict[str, str] = {}
        self._versions: dict[str, list[ModelRef]] = {}
        self._version_keys: dict[str, ModelRef] = {}
        self._made: dict[tuple[str, str], datetime] = {}
        self._made_runs: dict[str, datetime] = {}
        self._cards: dict[tuple[str, str], str] = {}
        self._card_keys: dict[str, str] = {}
        self._retired: dict[str, Retirable] = {}
        self._count: dict[str, int] = {}
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
                    "datasets": {path: md5}
                    if (path := tags.get("dataset_path")) and (md5 := tags.get("dataset_md5"))
                    else {},
                }
                self._made_runs[run_id] = self._clock.now()
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
            self._count[model] = self._count.get(model, 0) + 1
            version = str(self._count[model])
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
            self._made[model, version] = self._clock.now()
            numbers = {name: float(value) for name, value in self._runs[run_id]["metrics"].items()}
            self._cards[model, version] = markdown(first_card(model, digest, tags, run_id, numbers))
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

    def tag(self, *, model: str, version: str, tag: str, value: str, key: str, permit: Permit | None) -> None:
        """See `TrackingPort.tag`."""
        self._permits.spend(permit, effect=EFFECT_TAG, key=key)
        with self._lock:
            known = self._version(model, version)
            if known is None:
                raise InvalidInput("version", f"{model} has no version {version}", "Register it first")
            if known.tags.get(tag, value) != value:
                raise ConflictError(f"version {version} of {model} has the tag {tag} already, with another value")
            marked = known.model_copy(update={"tags": {**known.tags, tag: value}})
            self._versions[model] = [marked if ref is known else ref for ref in self._versions[model]]

    def describe(self, *, model: str, version: str, card: ModelCard, key: str, permit: Permit | None) -> None:
        """See `TrackingPort.describe`."""
        self._permits.spend(permit, effect=EFFECT_DESCRIBE, key=key)
        self.card(model, version)
        self._cards[model, version] = markdown(card)
        self._card_keys[key] = version

    def card(self, model: str, version: str) -> str:
        """See `TrackingPort.card`."""
        if self._version(model, version) is None:
            raise InvalidInput("version", f"{model} has no version {version}", "Register it first")
        return self._cards[model, version]

    def retirable(self, model: str, *, keep_last: int, before: datetime, keep: Collection[str]) -> Retirable:
        """See `TrackingPort.retirable`."""
        versions = self._versions.get(model, [])
        newest = {ref.version for ref in versions[-keep_last:]} if keep_last else set[str]()
        aliased = {version for (name, _), version in self._aliases.items() if name == model}
        gone = [
            ref
            for ref in versions
            if ref.version not in newest | aliased
            and self._made[model, ref.version] < before
            and not {ref.digest, ref.tags.get("cycle_id", "")} & set(keep)
            and not any(tag.startswith(GOLD) for tag in ref.tags)
        ]
        kept = [ref for found in self._versions.values() for ref in found if ref not in gone]
        needed = {ref.run_id for ref in kept}
        runs = [
            run_id
            for run_id, run in self._runs.items()
            if run_id not in needed and self._made_runs[run_id] < before and run["tags"].get("cycle_id", "") not in keep
        ]
        return Retirable(versions=tuple(ref.version for ref in gone), runs=tuple(runs), kept=len(versions) - len(gone))

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
        """See `TrackingPort.retire`."""
        self._permits.spend(permit, effect=EFFECT_RETIRE, key=key)
        with self._lock:
            if key not in self._retired:
                told = self.retirable(model, keep_last=keep_last, before=before, keep=keep)
                left = [ref for ref in self._versions.get(model, []) if ref.version not in told.versions]
                self._versions[model] = left
                for run_id in told.runs:
                    del self._runs[run_id]
                self._retired[key] = told
            return self._retired[key]

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
        if key in self._card_keys:
            outcome["described"] = self._card_keys[key]
        if key in self._retired:
            outcome["retired"] = self._retired[key].model_dump_json()
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


def _dataset(tags: Mapping[str, str]) -> dict[str, str]:
    fields = [tags.get(f"dataset_{field}", "") for field in ("path", "md5", "rev")]
    return {fields[0]: fields[1]} if all(fields) else {}
