"""The audit chain: looking in it, proving it, and handing it to somebody else."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Query, Response
from fastapi import Path as PathParam
from fastapi.responses import FileResponse
from pydantic import AwareDatetime, Field, StringConstraints
from starlette.background import BackgroundTask

from adapters.audit.base import Anchor
from adapters.audit.export import export
from domain.access import ApiAction, Caller
from domain.receipt import AuditEntry, AuditRecord, RecordKind
from service.access.guard import may
from service.api.blocking import bounded
from service.api.etags import NOT_MODIFIED, IfNoneMatch, tagged
from service.api.paging import Asked, Page
from service.api.problems import documented, not_found
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Reply, YesNo
from service.auditing import seen_elsewhere
from service.chain_proof import ChainProof, proved
from service.web.record_search import Wanted, one, search

router = router_of("audit")
On = Annotated[Serving, Depends(serving)]
Auditor = Annotated[Caller, Depends(may(ApiAction.VIEW_AUDIT))]
EXPORTED = "audit_exported"
_LINES = "application/x-ndjson"
Word = Annotated[str, StringConstraints(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$")]
CycleFilter = Annotated[
    str | None, Query(pattern=r"^si_[0-9]{4}_[0-9]{2}_[0-9]{2}_[0-9]{3,6}$", description="Only records of this cycle.")
]
_EXPORT: dict[int | str, dict[str, Any]] = {
    **documented(),
    200: {"description": "A signed header, then a record a line", "content": {_LINES: {"schema": {"type": "string"}}}},
}


class RecordView(Reply):
    """A record of the chain. `hash` covers every other field, `previous` included."""

    sequence: int
    at: datetime
    kind: RecordKind
    cycle_id: str
    stage: str
    tool: str
    actor: str
    key: str
    args_hash: str
    decision: str
    policies: list[str]
    policy_hash: str
    status: str
    trace_id: str
    body: dict[str, Any]
    previous: str
    hash: str

    @classmethod
    def of(cls, record: AuditRecord) -> RecordView:
        """Return a record as it is sent."""
        entry = record.entry
        told = {name: getattr(entry, name) for name in cls.model_fields if hasattr(entry, name)}
        return cls(
            **{**told, "policies": list(entry.policies), "body": dict(entry.body)},
            sequence=record.sequence,
            at=record.at,
            previous=record.previous,
            hash=record.hash,
        )


class HeadView(Reply):
    """How long the chain is, the hash of its last record, and the last one that a signed checkpoint vouches for."""

    records: int
    hash: str
    signer: str = Field(description="Which key signs, and how it is kept.")


class ProofView(Reply):
    """What a walk of the whole chain has proved; `elsewhere` is what commits and backups have seen of it."""

    proof: ChainProof
    elsewhere: dict[str, str]


@router.get("/audit/records")
@bounded()
def records(
    on: On,
    caller: Auditor,
    page: Asked,
    cycle: CycleFilter = None,
    kind: RecordKind | None = None,
    actor: Annotated[Word, Query(description="How the actor's name begins.")] = "",
    tool: Word = "",
    decision: Annotated[Word, Query(description="A decision, or a status.")] = "",
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
) -> Page[RecordView]:
    """List records, newest first. A page may be short where much had to be read to find it; `next` goes on."""
    wanted = Wanted(
        cycle=cycle or "",
        kind=kind.value if kind else "",
        actor=actor,
        tool=tool,
        decision=decision,
        since=since,
        until=until,
        before=page.number() or None,
        limit=page.limit,
    )
    found = search(on.app.audit, wanted)
    return page.page([RecordView.of(record) for record in found.records], str(found.older) if found.older else "")


@router.get("/audit/records/{sequence}", responses=NOT_MODIFIED)
@bounded()
def record(
    on: On,
    caller: Auditor,
    sequence: Annotated[int, PathParam(ge=1, le=10**12)],
    response: Response,
    if_none_match: IfNoneMatch = "",
) -> RecordView:
    """Show one record by its number."""
    from adapters.audit.walk import record_of

    link = one(on.app.audit, sequence)
    if link is None or link.sequence != sequence:
        raise not_found("a record of the chain", str(sequence), "See GET /api/v1/audit/head", field="sequence")
    return tagged(response, if_none_match, RecordView.of(record_of(link)))


@router.get("/audit/head", responses=NOT_MODIFIED)
@bounded()
def head(on: On, caller: Auditor, response: Response, if_none_match: IfNoneMatch = "") -> HeadView:
    """Show how long the chain is and the hash of its last record: what to keep elsewhere."""
    found = on.app.audit.head()
    view = HeadView(records=found.records, hash=found.hash, signer=on.app.audit.signer())
    return tagged(response, if_none_match, view)


@router.get("/audit/verify")
@bounded(timedelta(minutes=5))
def verify(
    on: On,
    caller: Auditor,
    elsewhere: Annotated[YesNo, Query(description="Compare with what commits and backups have seen.")] = "true",
) -> ProofView:
    """Walk the whole chain: hashes, order, signatures, and what others have seen of it."""
    app = on.app
    seen: list[Anchor] = []
    told: dict[str, str] = {}
    if elsewhere == "true":
        seen, told = seen_elsewhere(app.config, app.clock, lambda target: app.at(target).ports.vcs)
    return ProofView(proof=proved(app.audit, seen), elsewhere=told)


@router.get("/audit/export", response_class=FileResponse, responses=_EXPORT)
@bounded(timedelta(minutes=5))
def export_chain(
    on: On, caller: Annotated[Caller, Depends(may(ApiAction.EXPORT_AUDIT))], cycle: CycleFilter = None
) -> FileResponse:
    """Return the chain, or the part with a cycle, as lines that a third party verifies with the public key alone.

    That it was handed out is on record.
    """
    if cycle is not None and on.app.ports.store.cycle(cycle) is None:
        raise not_found("a cycle", cycle, "See GET /api/v1/cycles", field="cycle")
    entry = AuditEntry(
        kind=RecordKind.NOTE, cycle_id="", actor=caller.name, status=EXPORTED, body={"scope": cycle or "whole"}
    )
    on.app.audit.append(entry)
    with tempfile.NamedTemporaryFile(prefix="evercrew-export-", suffix=".jsonl", delete=False) as scratch:
        path = Path(scratch.name)
    with ExitStack() as unless_made:
        unless_made.callback(path.unlink, missing_ok=True)
        done = export(on.app.audit, on.clock, path, cycle)
        unless_made.pop_all()
    name = f"audit-{cycle or 'whole'}-{done.last}.jsonl"
    gone = BackgroundTask(path.unlink, missing_ok=True)
    return FileResponse(path, media_type=_LINES, filename=name, background=gone)
