"""What each cycle spent, as the page of budgets lists it; the accounts of the present are those of `money`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from adapters.ledger.base import Standing
from domain.budget import Kind
from service.web.money import amount
from tools.purse import Purse, cycle_account

PREFIX = cycle_account("")


@dataclass(frozen=True)
class CycleMoney:
    """The account of a cycle: money spent, set aside and left, tokens, and minutes of GPU."""

    cycle_id: str
    spent: str
    reserved: str
    left: str
    tokens: str
    gpu: str
    alarmed: bool
    updated_at: datetime


def cycles_of(purse: Purse) -> Sequence[CycleMoney]:
    """Return the accounts of cycles, the last used first.

    Raises:
        DependencyError: the ledger does not answer.
    """
    found = [_row(standing) for standing in purse.ledger.accounts(PREFIX)]
    return sorted(found, key=lambda row: row.updated_at, reverse=True)


def _row(standing: Standing) -> CycleMoney:
    def said(kind: Kind, value: int | None) -> str:
        return "no limit" if value is None else amount(kind, value)

    spent, reserved = standing.spent, standing.reserved
    return CycleMoney(
        cycle_id=standing.name.removeprefix(PREFIX),
        spent=said("usd_micros", spent.usd_micros),
        reserved=said("usd_micros", reserved.usd_micros),
        left=said("usd_micros", standing.left.usd_micros),
        tokens=said("tokens", spent.tokens),
        gpu=said("gpu_seconds", spent.gpu_seconds),
        alarmed=standing.alarmed is not None,
        updated_at=standing.updated_at,
    )
