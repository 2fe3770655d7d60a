"""What may be deleted by age: registered models and their runs, and the content of old datasets.

Needed is whatever an open cycle names anywhere in its facts, what is live or under test, and the datasets of models
that are kept. Aliases, tags of gold baselines and the newest are kept by the adapters in any case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from adapters.audit.base import AuditPort
from adapters.datasets.base import EFFECT_COLLECT, Collectable, DatasetsPort
from adapters.delivery.base import DeliveryPort
from adapters.store.base import StorePort
from adapters.tracking.base import EFFECT_RETIRE, Retirable, TrackingPort
from domain.canonical import canonical_hash, canonical_json
from domain.clock import Clock
from domain.permit import PermitOffice
from domain.receipt import AuditEntry, RecordKind
from service.sections import RetentionConfig

ACTOR = "retention"
_NAMED = re.compile(r"sha256:[0-9a-f]{64}|\b[0-9a-f]{32}\.dir\b")
# More open cycles than one a target and environment there cannot be.
_MOST = 10_000


class Swept(BaseModel):
    """What was deleted, or would be."""

    model_config = ConfigDict(frozen=True)

    dry_run: bool
    models: Retirable
    datasets: Collectable


@dataclass(frozen=True)
class Sweeper:
    """Deletes what nothing needs. `model` is the registered model's name."""

    store: StorePort
    audit: AuditPort
    tracking: TrackingPort
    datasets: DatasetsPort
    delivery: DeliveryPort
    permits: PermitOffice
    clock: Clock
    model: str
    retention: RetentionConfig

    def sweep(self, *, dry_run: bool = True) -> Swept:
        """Return what goes, having deleted it unless it is a dry run.

        What is live must be known: while the platform does not answer, nothing is deleted.

        Raises:
            DependencyError: a system does not answer.
            AuditUnavailable: it could not be recorded; nothing was deleted.
        """
        now = self.clock.now()
        before, last = now - timedelta(days=self.retention.keep_days), self.retention.keep_last
        needed = self._needed()
        models = self.tracking.retirable(self.model, keep_last=last, before=before, keep=needed)
        gone = set(models.versions)
        kept = [ref for ref in self.tracking.versions(self.model) if ref.version not in gone]
        hashes = {*needed, *(ref.tags.get("dataset_md5", "") for ref in kept), *self._young(before)}
        datasets = self.datasets.collectable(hashes)
        if dry_run or not (models.versions or models.runs or datasets.datasets):
            return Swept(dry_run=dry_run, models=models, datasets=datasets)
        key = canonical_hash([ACTOR, now.isoformat(), models.model_dump(), datasets.model_dump(mode="json")])[:32]
        self._note(key, "begun", models, datasets)
        permit = self.permits.mint(
            tool=ACTOR, effects=(EFFECT_RETIRE, EFFECT_COLLECT), args_hash=key, actor=ACTOR, cycle_id="", key=key
        )
        models = self.tracking.retire(self.model, keep_last=last, before=before, keep=needed, key=key, permit=permit)
        datasets = self.datasets.collect(keep=hashes, key=key, permit=permit)
        self._note(key, "done", models, datasets)
        return Swept(dry_run=False, models=models, datasets=datasets)

    def _needed(self) -> set[str]:
        """Digests, dataset hashes and cycles that open cycles name, and what is live."""
        needed: set[str] = set()
        for cycle in self.store.cycles(open_only=True, limit=_MOST):
            needed |= {cycle.id, *_NAMED.findall(canonical_json(dict(cycle.facts)))}
        live = self.delivery.live()
        return needed | set(_NAMED.findall(canonical_json(live)))

    def _young(self, since: datetime) -> set[str]:
        """Dataset hashes of cycles that are not old enough yet."""
        found: set[str] = set()
        for cycle in self.store.cycles(limit=_MOST):
            if cycle.updated_at >= since:
                found |= set(_NAMED.findall(canonical_json(dict(cycle.facts))))
        return found

    def _note(self, key: str, status: str, models: Retirable, datasets: Collectable) -> None:
        body = {
            "versions": list(models.versions),
            "runs": len(models.runs),
            "datasets": [ref.md5 for ref in datasets.datasets],
        }
        entry = AuditEntry(
            kind=RecordKind.NOTE, cycle_id="", tool=ACTOR, actor=ACTOR, key=key, status=status, body=body
        )
        self.audit.append(entry)
