"""What a cycle spends: whether it may begin, what a dead process left set aside, and what its report says of it."""

from __future__ import annotations

from typing import Any

from cycles.desk import Desk
from domain.budget import KINDS, MICROS
from domain.errors import AuditUnavailable, BudgetExhausted, DependencyError
from domain.events import Event

ADMITTED = "budget_admitted"
REFUSED = "budget_refused"


def begin(desk: Desk) -> None:
    """Count the cycle as begun, before it reads or asks anything.

    A cycle beyond the budget is opened and ends at once: so the alert is on record under an identity of its own,
    whoever is told of ends is told of it, and intake needs no ledger.

    Raises:
        BudgetExhausted: the cycles of the day or of the period are used up.
        DependencyError: that cannot be found out.
    """
    if desk.fact(ADMITTED):
        return
    try:
        desk.told("budget: cycle", lambda: _admitted(desk), bool)
    except BudgetExhausted as problem:
        desk.keep(REFUSED, str(problem))
        desk.office.observer(_event(desk, str(problem)))
        raise
    desk.keep(ADMITTED, True)


def settle_left(desk: Desk) -> None:
    """Settle what a dead process left set aside for this cycle; what cannot be told yet stays set aside."""
    purse = desk.office.purse
    if purse is None:
        return
    try:
        found = purse.settle_left(desk.cycle, desk.office.audit)
    except (DependencyError, AuditUnavailable) as problem:
        desk.note(f"what is set aside for {desk.cycle.id} stays so for now: {problem}")
        return
    for reckoned in found:
        if reckoned.spent is not None:
            desk.note(f"{reckoned.key}: {reckoned.spent.said()} ({reckoned.why})")


def statement(desk: Desk) -> dict[str, Any] | None:
    """Return what the report says: every account of the cycle, and what was refused; None where nothing is counted."""
    lines = desk.told("budget: statement", lambda: _lines(desk), list[dict[str, Any]] | None)
    return None if lines is None else {"accounts": lines, "refused": desk.fact(REFUSED)}


def spent(said: dict[str, Any] | None) -> tuple[float, int]:
    """Return money in US dollars and tokens that the cycle's own account has spent; zero where nothing is counted."""
    for line in (said or {}).get("accounts", []):
        if line["name"].startswith("cycle/"):
            return line["spent"]["usd_micros"] / MICROS, line["spent"]["tokens"]
    return 0.0, 0


def refused(desk: Desk, reason: str) -> None:
    """Keep why the budget ended the cycle, and tell whoever looks on."""
    if desk.fact(REFUSED) is None:
        desk.keep(REFUSED, reason)
        desk.office.observer(_event(desk, reason))


def _admitted(desk: Desk) -> bool:
    if desk.office.purse is not None:
        desk.office.purse.admit(desk.cycle)
    return True


def _lines(desk: Desk) -> list[dict[str, Any]] | None:
    if desk.office.purse is None:
        return None
    try:
        standings = desk.office.purse.standings(desk.cycle)
    except DependencyError as problem:
        desk.note(f"what was spent cannot be told: {problem}")
        return None
    return [
        {
            "name": s.name,
            "limit": {kind: s.ceiling.of(kind) for kind in KINDS},
            "reserved": s.reserved.model_dump(),
            "spent": s.spent.model_dump(),
            "left": {kind: s.left.of(kind) for kind in KINDS},
        }
        for s in standings
    ]


def _event(desk: Desk, reason: str) -> Event:
    stage = desk.cycle.stage.value
    return Event(kind="budget", cycle_id=desk.cycle.id, stage=stage, what=reason, answer="refused")
