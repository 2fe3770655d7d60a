"""Pages of the audit chain: its newest records, one record with its proof, the proof of all of it, and its export."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Form, Query, Request
from fastapi import Path as Place
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.background import BackgroundTask

from domain.access import ApiAction, Caller
from domain.errors import ConflictError, EvercrewError, InvalidInput
from domain.receipt import RecordKind
from service.access.guard import page
from service.api.problems import Problem
from service.api.serving import serving
from service.web.forms import Fault, by_field, moment
from service.web.pages import page_router
from service.web.paging import address
from service.web.policy_tools import tool_facts
from service.web.proving import Progress, Proven, Prover
from service.web.record_proof import proof
from service.web.record_search import Wanted, search
from service.web.render import render, sentence, slug

router = page_router()

Auditor = Annotated[Caller, Depends(page(ApiAction.VIEW_AUDIT))]
Exporter = Annotated[Caller, Depends(page(ApiAction.EXPORT_AUDIT))]
DECISIONS = {"allow": "allowed", "deny": "denied", "escalate": "needs approval", "approve": "approved by people"}
PLACE = "/audit"
PAGE = 50
DIGITS = 18  # more has the number of no record


@router.get(PLACE)
def audit(
    request: Request,
    caller: Auditor,
    cycle: str = "",
    kind: str = "",
    actor: str = "",
    tool: str = "",
    decision: str = "",
    since: str = "",
    until: str = "",
    before: Annotated[str, Query(pattern=f"^[0-9]{{0,{DIGITS}}}$")] = "",
) -> Response:
    """Show the newest records that are looked for."""
    here = serving(request)
    cycle, actor, tool = cycle.strip(), actor.strip(), tool.strip()
    told = {"cycle": cycle, "kind": kind, "actor": actor, "tool": tool, "decision": decision}
    given, faults, found = {**told, "since": since, "until": until}, list[Fault](), None
    place = int(before) if before else None
    try:
        after, below = moment(since, "since"), moment(until, "until")
        wanted = Wanted(cycle, kind, actor, tool, decision, since=after, until=below, before=place, limit=PAGE)
        found = search(here.app.audit, wanted)
    except InvalidInput as problem:
        faults.append(Fault.of(problem))
    head = here.app.audit.head()
    return render(
        request,
        "audit.html",
        caller,
        active="audit",
        status=422 if faults else 200,
        title="Audit",
        live="" if place else "/api/v1/events",
        last_event=head.records,
        head=head,
        found=found,
        given=given,
        filtered=any(given.values()),
        newest=address(PLACE, given) if place else "",
        older=address(PLACE, {**given, "before": str(found.older)}) if found and found.older else "",
        kinds=[("", "any"), *((kind.value, kind.value) for kind in RecordKind)],
        decisions=[("", "any"), *DECISIONS.items()],
        tools=sorted(tool_facts()),
        may_export=here.access.allowed(caller, ApiAction.EXPORT_AUDIT).allowed,
        errors=by_field(faults),
    )


@router.get("/audit/{sequence}")
def record(request: Request, sequence: Annotated[int, Place(lt=10**DIGITS)], caller: Auditor) -> Response:
    """Show one record, and what holds it in its place."""
    try:
        found = proof(serving(request).app.audit, sequence)
    except InvalidInput as problem:
        raise Problem(404, "No such record", f"{problem.problem}.", remedy=problem.remedy) from problem
    return render(request, "audit_record.html", caller, active="audit", title=f"Record {sequence}", found=found)


@router.post("/audit/verify")
def verify(request: Request, caller: Auditor) -> Response:
    """Walk the whole chain. A script is told of every step; without one the page comes with the result."""
    streams = "text/event-stream" in request.headers.get("accept", "")
    try:
        steps = _prover(request).prove()
    except ConflictError as problem:
        steps = iter([Proven(False, f"{sentence(problem)}.", why="busy")])
    if streams:
        return StreamingResponse(_told(steps), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
    *_, result = steps
    return render(request, "audit_verified.html", caller, active="audit", title="Verification", result=result)


@router.post("/audit/export")
def export_chain(request: Request, caller: Exporter, cycle: Annotated[str, Form()] = "") -> Response:
    """Hand out the chain, or the part of a cycle, signed, as lines that anybody can verify."""
    from adapters.audit.export import export

    here = serving(request)
    folder = Path(tempfile.mkdtemp(prefix="evercrew-export-"))
    try:
        export(here.app.audit, here.clock, folder / "audit.jsonl", cycle.strip() or None)
    except EvercrewError:
        _emptied(folder)
        raise
    name = f"audit-{slug(cycle)}.jsonl" if cycle.strip() else "audit.jsonl"
    done = BackgroundTask(_emptied, folder)
    return FileResponse(folder / "audit.jsonl", filename=name, media_type="application/x-ndjson", background=done)


def _prover(request: Request) -> Prover:
    """Return the one prover of the application, made at the first question."""
    found = getattr(request.app.state, "prover", None)
    if not isinstance(found, Prover):
        found = request.app.state.prover = Prover(serving(request).app)
    return found


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _told(steps: Iterator[Progress | Proven]) -> Iterator[str]:
    for step in steps:
        name = "result" if isinstance(step, Proven) else "progress"
        yield f"event: {name}\ndata: {json.dumps(asdict(step))}\n\n"
