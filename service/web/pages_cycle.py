"""The pages of one cycle, and the ways to say no to it."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import Depends, Form, Query, Request, Response
from starlette.responses import RedirectResponse

from domain.access import ApiAction, Caller
from domain.approval import VoteAnswer
from domain.cycle import Cycle
from service.access.guard import page
from service.api.problems import Problem, not_found
from service.api.serving import Serving, serving
from service.web import say_no
from service.web.background import background_of
from service.web.calls import calls_of, of_place
from service.web.cycle_view import cycle_view
from service.web.evidence import claims_of, sources_of
from service.web.material import gather
from service.web.pages import page_router
from service.web.render import render, slug
from service.web.standing import status_of, title_of

router = page_router()
MOST_SOURCES = 40
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
Reason = Annotated[str, Form(max_length=2000)]
Typed = Annotated[str, Form(max_length=100)]
Said = Annotated[str, Query(pattern="^(denied|cancelled|stopped)?$")]
_SAID = {
    "denied": "Your no is on record. The cycle ends without what it asked for.",
    "cancelled": "The cycle ends at its next step; what is live and not judged yet is judged first.",
    "stopped": "The kill switch is thrown. No effect gets through the door.",
}


@router.get("/cycles/{cycle_id}")
def cycle_page(
    request: Request,
    cycle_id: str,
    caller: Annotated[Caller, Depends(page(ApiAction.VIEW))],
    calls: Annotated[str, Query(pattern="^(all)?$")] = "",
    said: Said = "",
) -> Response:
    """Show a cycle, live."""
    stood = serving(request)
    cycle = _known(stood, cycle_id)
    view = cycle_view(stood, caller, cycle, background_of(request.app, stood.clock), every_call=calls == "all")
    return render(
        request,
        "cycle.html",
        caller,
        active="cycles",
        title=f"{view.title} ({cycle.id})",
        view=view,
        said=_SAID.get(said, ""),
        live="" if view.ended else f"/api/v1/events?cycle={cycle.id}",
        last_event=view.seen,
    )


@router.get("/cycles/{cycle_id}/evidence")
def evidence_page(
    request: Request,
    cycle_id: str,
    caller: Annotated[Caller, Depends(page(ApiAction.VIEW))],
    call: Annotated[str, Query(max_length=200, pattern=PRINTABLE)] = "",
) -> Response:
    """Show the claims of a diagnosis, and what the tools answered that they cite."""
    stood = serving(request)
    cycle = _known(stood, cycle_id)
    records = stood.app.audit.records(cycle.id)
    gathered = gather(stood.app, background_of(request.app, stood.clock), cycle, records)
    places = of_place(calls_of(records))
    claims = claims_of(cycle, gathered.artifacts, places)
    sources = sources_of(gathered.results, places, claims)
    chosen = [source for source in sources if source.place == call] if call else sources[:MOST_SOURCES]
    return render(
        request,
        "evidence.html",
        caller,
        active="cycles",
        title=f"Evidence of {cycle.id}",
        cycle=cycle,
        heading=title_of(cycle),
        standing=status_of(cycle),
        claims=claims,
        sources=chosen,
        left_out=0 if call else len(sources) - len(chosen),
        chosen=call,
    )


@router.get("/cycles/{cycle_id}/evidence/answer")
def answer_file(
    request: Request,
    cycle_id: str,
    caller: Annotated[Caller, Depends(page(ApiAction.VIEW))],
    call: Annotated[str, Query(min_length=1, max_length=200, pattern=PRINTABLE)],
) -> Response:
    """Hand out what a tool was asked and what it answered, whole, as JSON: a page shows the beginning of what is long.

    Everything that is not ASCII is escaped, so that a terminal finds nothing in it to obey.
    """
    stood = serving(request)
    cycle = _known(stood, cycle_id)
    kept = stood.app.ports.store.recordings(cycle.id, call)
    answers = [each.payload for each in kept if each.kind == "tool" and each.place == call]
    if not answers:
        raise not_found("a call whose answer was kept", call[:60], "See the evidence of the cycle", field="call")
    told = {"cycle": cycle.id, "call": call, "args": answers[-1].get("args"), "result": answers[-1].get("result")}
    return Response(
        json.dumps(told, indent=2, default=str),
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{cycle.id}-{slug(call)}.json"'},
    )


@router.post("/cycles/{cycle_id}/deny")
def deny(
    request: Request,
    cycle_id: str,
    caller: Annotated[Caller, Depends(page(ApiAction.VOTE))],
    approval: Annotated[str, Form(max_length=100)],
    reason: Reason = "",
) -> Response:
    """Refuse a call of a cycle that is before people."""
    stood = serving(request)
    say_no.vote(stood, caller, _known(stood, cycle_id), approval, VoteAnswer.DENY, reason)
    return _back(cycle_id, "denied")


@router.post("/cycles/{cycle_id}/cancel")
def cancel(
    request: Request,
    cycle_id: str,
    caller: Annotated[Caller, Depends(page(ApiAction.CANCEL_CYCLE))],
    typed: Typed = "",
    reason: Reason = "",
) -> Response:
    """Ask a cycle to end at its next step."""
    stood = serving(request)
    cycle = _known(stood, cycle_id)
    _must(typed, cycle.id)
    say_no.cancel(stood, caller, cycle, reason)
    return _back(cycle_id, "cancelled")


@router.post("/cycles/{cycle_id}/stop")
def stop(
    request: Request,
    cycle_id: str,
    caller: Annotated[Caller, Depends(page(ApiAction.STOP))],
    typed: Typed = "",
    reason: Reason = "",
) -> Response:
    """Throw the kill switch of the environment."""
    stood = serving(request)
    _known(stood, cycle_id)
    _must(typed, f"stop {stood.app.profile.name}")
    say_no.stop(stood, caller, reason)
    return _back(cycle_id, "stopped")


def _known(stood: Serving, cycle_id: str) -> Cycle:
    cycle = stood.app.ports.store.cycle(cycle_id)
    if cycle is None:
        raise not_found("a cycle", cycle_id[:60], "See the list of cycles", field="cycle_id")
    return cycle


def _must(typed: str, wanted: str) -> None:
    """Raises a Problem unless somebody typed what they had to: the form of a browser is not believed."""
    if typed.strip() != wanted:
        raise Problem(
            422,
            "Not confirmed",
            f"type {wanted} to confirm; nothing was done",
            field="typed",
            remedy="Go back and type it as it stands there",
        )


def _back(cycle_id: str, said: str) -> Response:
    return RedirectResponse(f"/cycles/{cycle_id}?said={said}", status_code=303)
