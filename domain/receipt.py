"""Receipts and audit records: the proof that an effect was asked for, allowed, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from domain.canonical import canonical_json, sha256_text


class RecordKind(StrEnum):
    """What an audit record says."""

    INTENT = "intent"
    OUTCOME = "outcome"
    REFUSAL = "refusal"
    READ = "read"
    TRANSITION = "transition"
    NOTE = "note"
    CHECKPOINT = "checkpoint"


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
    trace_id: str = ""
    body: Mapping[str, Any] = Field(default_factory=dict)

    def canonical(self) -> str:
        """Return the entry as canonical JSON, the form it is stored, hashed and exported in.

        An entry that belongs to no trace does not mention one: so records keep their hashes that are older than traces.

        Raises:
            TypeError: a value of the body has no JSON form.
            ValueError: a number is not finite, or text is no Unicode.
        """
        told = {**self.__dict__, "body": dict(self.body)}
        if not self.trace_id:
            del told["trace_id"]
        text = canonical_json(told)
        text.encode()
        return text


class AuditRecord(BaseModel):
    """One link of the chain. `hash` covers every other field, `previous` included."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    at: datetime
    previous: str
    entry: AuditEntry
    hash: str

    @staticmethod
    def seal(sequence: int, at: datetime, previous: str, entry: AuditEntry, text: str = "") -> AuditRecord:
        """Return the record with its hash; `text` is the entry's canonical form, where it was computed before."""
        digest = sha256_text(record_text(sequence, at, previous, text or entry.canonical()))
        return AuditRecord(sequence=sequence, at=at, previous=previous, entry=entry, hash=digest)

    def intact(self) -> bool:
        """Whether the hash matches the content."""
        return self.hash == sha256_text(record_text(self.sequence, self.at, self.previous, self.entry.canonical()))


def record_text(sequence: int, at: datetime, previous: str, entry: str) -> str:
    """Return the canonical JSON of a record, `entry` being that of its entry: what its hash is taken of."""
    return f'{{"at":"{at.isoformat()}","entry":{entry},"previous":"{previous}","sequence":{sequence}}}'


class Receipt(BaseModel):
    """What a caller keeps of a call that went through the door.

    `trace_id` is the trace its spans are in; intent and outcome name it inside their hashes.
    """

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
    approval: str = ""
    approvers: tuple[str, ...] = ()
    repeated: bool = False
    trace_id: str = ""
