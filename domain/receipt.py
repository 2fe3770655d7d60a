"""Receipts and audit records: the proof that an effect was asked for, allowed, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from domain.canonical import canonical_hash


class RecordKind(StrEnum):
    """What an audit record says."""

    INTENT = "intent"
    OUTCOME = "outcome"
    REFUSAL = "refusal"
    READ = "read"
    TRANSITION = "transition"
    NOTE = "note"


class AuditEntry(BaseModel):
    """What is to be recorded; the chain adds the sequence number, the time and the hashes."""

    model_config = ConfigDict(frozen=True)

    kind: RecordKind
    cycle_id: str
    stage: str = ""
    tool: str = ""
    actor: str = ""
    key: str = ""
    args_hash: str = ""
    decision: str = ""
    policies: tuple[str, ...] = ()
    policy_hash: str = ""
    status: str = ""
    body: Mapping[str, Any] = Field(default_factory=dict)


class AuditRecord(BaseModel):
    """One link of the chain. `hash` covers every other field, `previous` included."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    at: datetime
    previous: str
    entry: AuditEntry
    hash: str

    @staticmethod
    def seal(sequence: int, at: datetime, previous: str, entry: AuditEntry) -> AuditRecord:
        """Return the record with its hash."""
        return AuditRecord(
            sequence=sequence, at=at, previous=previous, entry=entry, hash=_hash(sequence, at, previous, entry)
        )

    def intact(self) -> bool:
        """Whether the hash matches the content."""
        return self.hash == _hash(self.sequence, self.at, self.previous, self.entry)


def _hash(sequence: int, at: datetime, previous: str, entry: AuditEntry) -> str:
    return canonical_hash({"sequence": sequence, "at": at, "previous": previous, "entry": entry})


class Receipt(BaseModel):
    """What a caller keeps of a call that went through the door."""

    model_config = ConfigDict(frozen=True)

    tool: str
    cycle_id: str
    stage: str
    actor: str
    key: str
    args_hash: str
    policies: tuple[str, ...]
    policy_hash: str
    intent: int | None = None
    intent_hash: str = ""
    outcome: int | None = None
    permit: str = ""
    repeated: bool = False
