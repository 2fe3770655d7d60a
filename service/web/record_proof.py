"""What proves one record of the audit chain: its own hash, its place between two others, and a signature over it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice

from pydantic import ValidationError

from adapters.audit.base import GENESIS, Link
from adapters.audit.signed import SignedAudit
from adapters.audit.signing import Checkpoint
from adapters.audit.walk import record_of
from domain.errors import InvalidInput
from domain.receipt import AuditRecord, RecordKind
from service.web.record_search import one

# A checkpoint follows after a few hundred records; one that is further away is looked for by a walk of the whole chain.
REACH = 4096


@dataclass(frozen=True)
class Vouched:
    """The first signed checkpoint at or after a record."""

    sequence: int
    at: str
    key: str
    covers: int
    holds: bool
    said: str


@dataclass(frozen=True)
class Proof:
    """One record with its links. `next` is None for the last record; `vouched` where no checkpoint covers it yet."""

    record: AuditRecord
    body: str
    last: int
    intact: bool
    follows: bool
    followed: bool | None
    vouched: Vouched | None

    @property
    def next(self) -> int | None:
        """Number of the record after it."""
        return self.record.sequence + 1 if self.record.sequence < self.last else None


def proof(audit: SignedAudit, sequence: int) -> Proof:
    """Return a record and what holds it in its place.

    Raises:
        InvalidInput: there is no such record.
        AuditUnavailable: the chain cannot be read. ChainBroken: the record cannot be.
    """
    link, last = one(audit, sequence), audit.head().records
    if link is None or link.sequence != sequence:
        raise InvalidInput("record", f"there is no record {sequence}", f"The chain has records 1 to {last}")
    record, before, after = record_of(link), one(audit, sequence - 1), one(audit, sequence + 1)
    return Proof(
        record=record,
        body=json.dumps(dict(record.entry.body), indent=2, sort_keys=True, ensure_ascii=False),
        last=last,
        intact=record.intact(),
        follows=record.previous == (before.hash if before else GENESIS),
        followed=record_of(after).previous == record.hash if after else None,
        vouched=_vouched(audit, link),
    )


def _vouched(audit: SignedAudit, link: Link) -> Vouched | None:
    public = audit.keys.ring().public
    for later in islice(audit.links(link.sequence), REACH):
        if later.kind != RecordKind.CHECKPOINT.value:
            continue
        try:
            made = Checkpoint.model_validate(record_of(later).entry.body)
        except ValidationError:
            continue
        if made.sequence < link.sequence:
            continue
        known = public.get(made.key)
        holds = known is not None and made.signed_by(known)
        said = "the signature holds" if holds else "no key that is known here has made this signature"
        return Vouched(later.sequence, made.at, made.key, made.sequence, holds, said)
    return None
