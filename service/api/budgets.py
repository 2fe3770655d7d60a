"""Budgets: what may be spent, what was, and whether the accounts add up."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import Depends, Query, Response
from pydantic import StringConstraints

from adapters.ledger.base import Entry, Standing
from cycles.dues import left_over, overdrawn
from domain.access import ApiAction, Caller
from domain.budget import Amounts, Ceiling
from domain.errors import ConfigurationError
from service.access.guard import may
from service.api.blocking import bounded
from service.api.etags import NOT_MODIFIED, IfNoneMatch, tagged
from service.api.paging import Asked, Page
from service.api.problems import not_found
from service.api.routing import router_of
from service.api.serving import Serving, serving
from service.api.shapes import Reply, YesNo
from tools.purse import Purse, cycle_account

router = router_of("budgets")
On = Annotated[Serving, Depends(serving)]
Viewer = Annotated[Caller, Depends(may(ApiAction.VIEW))]
MOST_ENTRIES = 10_000
AccountName = Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\s\x00-\x1f\x7f]*$")]
CycleFilter = Annotated[
    str | None, Query(pattern=r"^si_[0-9]{4}_[0-9]{2}_[0-9]{2}_[0-9]{3,6}$", description="Only the account of a cycle.")
]


class AmountsView(Reply):
    """Whole numbers; money in millionths of a US dollar."""

    tokens: int
    usd_micros: int
    gpu_seconds: int
    cycles: int

    @classmethod
    def of(cls, amounts: Amounts) -> AmountsView:
        """Return amounts as they are sent."""
        return cls(**amounts.model_dump())


class CeilingView(Reply):
    """Limits; null where there is none."""

    tokens: int | None
    usd_micros: int | None
    gpu_seconds: int | None
    cycles: int | None

    @classmethod
    def of(cls, ceiling: Ceiling) -> CeilingView:
        """Return limits as they are sent."""
        return cls(**ceiling.model_dump())


class AccountView(Reply):
    """An account: its limit, what is spent, set aside and left; `share` is the most of a limit that is gone."""

    name: str
    ceiling: CeilingView
    spent: AmountsView
    reserved: AmountsView
    left: CeilingView
    share: float
    alarmed: datetime | None
    updated_at: datetime

    @classmethod
    def of(cls, standing: Standing) -> AccountView:
        """Return an account as it is sent."""
        return cls(
            name=standing.name,
            ceiling=CeilingView.of(standing.ceiling),
            spent=AmountsView.of(standing.spent),
            reserved=AmountsView.of(standing.reserved),
            left=CeilingView.of(standing.left),
            share=standing.share(),
            alarmed=standing.alarmed,
            updated_at=standing.updated_at,
        )


class AccountsView(Reply):
    """The accounts of this period, this day and the open cycles; or all there ever were."""

    accounts: list[AccountView]


class EntryView(Reply):
    """What was reserved, settled, given back or refused under a key."""

    sequence: int
    at: datetime
    account: str
    key: str
    kind: str
    reserved: dict[str, int]
    spent: dict[str, int]
    about: str

    @classmethod
    def of(cls, entry: Entry) -> EntryView:
        """Return an entry as it is sent."""
        return cls(**{**entry.model_dump(), "kind": entry.kind.value})


class SumsView(Reply):
    """Whether every account adds up, and nothing is left set aside for cycles that ended."""

    whole: bool
    accounts: int
    faults: list[str]
    overdrawn: list[str]
    left_over: list[str]


@router.get("/budgets", responses=NOT_MODIFIED)
@bounded()
def listed(
    on: On,
    caller: Viewer,
    response: Response,
    everything: Annotated[YesNo, Query(alias="all", description="Also past periods and ended cycles.")] = "false",
    cycle: CycleFilter = None,
    if_none_match: IfNoneMatch = "",
) -> AccountsView:
    """Show the accounts: limit, spent, set aside and left."""
    found = _of_cycle(on, cycle) if cycle is not None else _chosen(on, everything=everything == "true")
    return tagged(response, if_none_match, AccountsView(accounts=[AccountView.of(each) for each in found]))


@router.get("/budgets/history")
@bounded()
def history(
    on: On,
    caller: Viewer,
    page: Asked,
    account: Annotated[AccountName, Query(description="Only this account, as the list names it.")] = "",
    key: Annotated[AccountName, Query(description="Only what happened under this key.")] = "",
) -> Page[EntryView]:
    """List what was reserved, settled, given back and refused, newest first."""
    found = _purse(on).ledger.entries(account or None, key=key or None, limit=MOST_ENTRIES)
    newest = sorted(found, key=lambda entry: entry.sequence, reverse=True)
    return page.of([EntryView.of(entry) for entry in newest], lambda entry: str(entry.sequence))


@router.get("/budgets/check")
@bounded()
def check(on: On, caller: Viewer) -> SumsView:
    """Check that every account adds up and nothing is left set aside; nothing is mended by it."""
    ledger = _purse(on).ledger
    faults, standings = list(ledger.faults()), ledger.accounts()
    dues = [due.said() for due in left_over(ledger, on.app.ports.store, on.app.audit)]
    return SumsView(
        whole=not (faults or dues),
        accounts=len(standings),
        faults=faults,
        overdrawn=list(overdrawn(standings)),
        left_over=dues,
    )


def _chosen(on: Serving, *, everything: bool) -> list[Standing]:
    purse = _purse(on)
    known = list(purse.ledger.accounts())
    if everything:
        return known
    now = on.app.current_accounts()
    now |= {cycle_account(c.id) for c in on.app.ports.store.cycles(open_only=True, limit=1000)}
    return [standing for standing in known if standing.name in now]


def _of_cycle(on: Serving, cycle_id: str) -> list[Standing]:
    standing = _purse(on).ledger.account(cycle_account(cycle_id))
    if standing is None and on.app.ports.store.cycle(cycle_id) is None:
        raise not_found("a cycle", cycle_id, "See GET /api/v1/cycles", field="cycle")
    return [standing] if standing is not None else []


def _purse(on: Serving) -> Purse:
    purse = on.app.office.purse
    if purse is None:
        raise ConfigurationError("ledger", "nothing is counted here", "Build the application with a ledger")
    return purse
