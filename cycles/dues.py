"""What is still set aside for cycles that have ended, and what became of it: `evercrew budget check`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.audit.base import AuditPort
from adapters.ledger.base import LedgerPort, Reservation, Standing
from adapters.store.base import StorePort
from domain.budget import KINDS, amount_said
from tools.purse import Purse, Reckoned, reckon

_CYCLE = "cycle/"


@dataclass(frozen=True)
class Due:
    """A reservation nobody works on any more, the cycle it belongs to, and what became of it."""

    cycle_id: str
    held: Reservation
    reckoned: Reckoned

    def said(self) -> str:
        """Return it in a sentence."""
        spent = self.reckoned.spent
        became = "stays set aside" if spent is None else f"spent {spent.said()}"
        return (
            f"{self.held.key} of {self.cycle_id}: {self.held.reserved.said()} set aside, {became}: {self.reckoned.why}"
        )


def left_over(ledger: LedgerPort, store: StorePort, audit: AuditPort) -> list[Due]:
    """Return what is set aside for cycles that have ended or are not known.

    Raises:
        DependencyError, AuditUnavailable: it cannot be found out.
    """
    found = []
    for held in ledger.open_reservations():
        named = next((name.removeprefix(_CYCLE) for name in held.accounts if name.startswith(_CYCLE)), "")
        cycle = store.cycle(named) if named else None
        if cycle is not None and not cycle.stage.terminal:
            continue
        facts = cycle.facts if cycle is not None else {}
        found.append(Due(named, held, reckon(held, audit.of_key(held.key), facts)))
    return found


def settle(purse: Purse, dues: Sequence[Due]) -> list[Due]:
    """Settle those of which it is known what they spent, and return the others."""
    for due in dues:
        purse.settle_reckoned(due.reckoned)
    return [due for due in dues if due.reckoned.spent is None]


def overdrawn(standings: Sequence[Standing]) -> list[str]:
    """Return which accounts have spent more than there was, in sentences: what cost more than was foreseen."""
    return [
        f"{s.name} is overdrawn: {amount_said(kind, s.spent.of(kind))} of {amount_said(kind, limit)} are spent"
        for s in standings
        for kind in KINDS
        if (limit := s.ceiling.of(kind)) is not None and s.spent.of(kind) > limit
    ]
