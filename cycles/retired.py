"""What retention has deleted, by the word of the audit chain: gone, and no break in a proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from adapters.audit.base import AuditPort
from domain.receipt import AuditRecord, RecordKind
from tools.model.retire import RETENTION, RetireArgs, Retired, RetireModelsAndData


@dataclass(frozen=True)
class Gone:
    """The record that says so, and when that was."""

    record: int
    at: datetime

    def said(self, what: str) -> str:
        """Return it in a sentence."""
        return f"{what} was retired by record {self.record} on {self.at:%Y-%m-%d}: the chain has what it was"


@dataclass(frozen=True)
class Retirements:
    """Models by digest and data by hash that retention deleted."""

    models: Mapping[str, Gone] = field(default_factory=dict)
    datasets: Mapping[str, Gone] = field(default_factory=dict)


def retirements(audit: AuditPort) -> Retirements:
    """Return what was deleted so far; what a round listed and did not delete is not in it."""
    models: dict[str, Gone] = {}
    datasets: dict[str, Gone] = {}
    asked: dict[str, RetireArgs] = {}
    for record in audit.records(RETENTION):
        if record.entry.tool != RetireModelsAndData.spec.name:
            continue
        if record.entry.kind is RecordKind.INTENT:
            asked[record.entry.key] = RetireArgs.model_validate(record.entry.body["args"])
        elif _done(record) and record.entry.key in asked:
            deleted, gone = Retired.model_validate(record.entry.body["result"]), Gone(record.sequence, record.at)
            listed = {old.version: old.digest for old in asked[record.entry.key].versions}
            models |= {listed[version]: gone for version in deleted.versions if version in listed}
            datasets |= dict.fromkeys(deleted.datasets, gone)
    return Retirements(models, datasets)


def _done(record: AuditRecord) -> bool:
    return record.entry.kind is RecordKind.OUTCOME and record.entry.status == "done"
