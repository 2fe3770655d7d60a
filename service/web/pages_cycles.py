"""The list of cycles."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request, Response

from domain.access import ApiAction, Caller
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.wanted import Wanted
from service.access.guard import page
from service.api.serving import Serving, serving
from service.web.pages import page_router
from service.web.paging import Pager, address
from service.web.render import render
from service.web.standing import CycleRow, row_of
from service.wording import signal_label, words

router = page_router()
SIZE = 25
PATH = "/cycles"
_NAME = Query(max_length=60, pattern="^[A-Za-z0-9_.-]*$")
Name = Annotated[str, _NAME]


@router.get(PATH)
def cycles(
    request: Request,
    caller: Annotated[Caller, Depends(page(ApiAction.VIEW))],
    state: Annotated[str, Query(pattern="^(open|ended)?$")] = "",
    outcome: Name = "",
    action: Name = "",
    signal: Name = "",
    target: Name = "",
    before: Name = "",
) -> Response:
    """List cycles, newest first."""
    stood = serving(request)
    kept = {"state": state, "outcome": outcome, "action": action, "signal": signal, "target": target}
    rows, pager = found(stood, kept, before)
    return render(
        request,
        "cycles.html",
        caller,
        active="cycles",
        title="Cycles",
        rows=rows,
        pager=pager,
        kept=kept,
        choices=choices(stood),
        filtered=any(kept.values()),
        live="/api/v1/events" if not before else "",
        last_event=stood.app.audit.head().records,
    )


def found(stood: Serving, kept: dict[str, str], before: str) -> tuple[list[CycleRow], Pager]:
    """Return one page of the cycles that fit, and where the others are."""
    wanted = Wanted(
        open={"open": True, "ended": False}.get(kept["state"]),
        outcome=kept["outcome"],
        action=kept["action"],
        signal=kept["signal"],
        target=kept["target"],
    )
    chosen = stood.app.ports.store.found(wanted, before=before, limit=SIZE + 1)
    shown = chosen[:SIZE]
    now = stood.clock.now()
    store = stood.app.office.consent.store
    asked = {request.binding.cycle_id for request in store.requests(waiting_at=now, limit=1000)}
    older = address(PATH, {**kept, "before": shown[-1].id}) if len(chosen) > SIZE else ""
    said = f"{len(shown)} {'cycle' if len(shown) == 1 else 'cycles'}{', there are older ones' if older else ''}"
    newest = address(PATH, kept) if before else ""
    rows = [row_of(cycle, waiting=cycle.id in asked) for cycle in shown]
    return rows, Pager(said if shown else "", newest, older, "Newest")


def choices(stood: Serving) -> dict[str, list[tuple[str, str]]]:
    """Return what the filters offer, as pairs of value and label."""
    app = stood.app
    targets = dict.fromkeys([app.config.target, *app.routing.targets])
    return {
        "state": [("", "Open and ended"), ("open", "Open"), ("ended", "Ended")],
        "outcome": [("", "Any outcome"), *((kind.value, words(kind.value)) for kind in OutcomeKind)],
        "action": [("", "Any action"), *((action.value, words(action.value)) for action in Action)],
        "signal": [("", "Any signal"), *((name, signal_label(name)) for name in app.routing.known)],
        "target": [("", "Any target"), *((name, name) for name in targets)],
    }
