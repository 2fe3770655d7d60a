"""The first page, computed: what runs, what waits, how the target is, what was spent and what was done lately."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from domain.cycle import Cycle
from domain.outcome import OutcomeKind
from domain.wanted import Wanted
from policies.flags import KILL_SWITCH
from service.web.asked import call_said
from service.web.background import Background
from service.web.health import Health, health_of
from service.web.money import AccountCard, accounts_of
from service.web.standing import CycleRow, row_of, title_of
from service.web.waiting import Waiting, waiting_for

if TYPE_CHECKING:
    from domain.access import Caller
    from service.api.serving import Serving

MOST_OPEN = 20
LATELY = 8
# A cycle that was handed over, and for how long somebody is reminded of it.
HANDED, REMINDED = 4, timedelta(days=7)


@dataclass(frozen=True)
class WaitingRow:
    """Something before people: what is asked for, of which cycle, and why that runs."""

    waiting: Waiting
    said: str
    title: str


@dataclass(frozen=True)
class Switch:
    """A kill switch that is on: its name, where, by whom, and why."""

    name: str
    environment: str
    by: str
    reason: str


@dataclass(frozen=True)
class OverviewView:
    """Everything the page shows.

    `seen` is the number of the last record it was computed from; `untold` says how many notices were given up.
    """

    running: list[CycleRow]
    waiting: list[WaitingRow]
    healths: tuple[Health, ...]
    accounts: list[AccountCard]
    lately: list[CycleRow]
    handed: list[CycleRow]
    switches: list[Switch]
    paused: bool
    per_day: int
    untold: int
    seen: int

    @property
    def mine(self) -> list[WaitingRow]:
        return [row for row in self.waiting if row.waiting.mine]


def overview_view(serving: Serving, caller: Caller, background: Background) -> OverviewView:
    """Compute the first page for a caller.

    Raises:
        DependencyError, AuditUnavailable: the store, the ledger or the record cannot be read.
    """
    app = serving.app
    seen = app.audit.head().records
    store = app.ports.store
    waiting = waiting_for(serving, caller)
    before_people = {one.request.binding.cycle_id for one in waiting}
    running = [
        row_of(cycle, waiting=cycle.id in before_people) for cycle in store.cycles(open_only=True, limit=MOST_OPEN)
    ]
    ended = store.found(Wanted(open=False), limit=LATELY)
    since = app.clock.now() - REMINDED
    handed = store.found(Wanted(open=False, outcome=OutcomeKind.HANDED_OFF.value, since=since), limit=HANDED)
    known = {row.cycle.id: row.cycle for row in running}
    return OverviewView(
        running=running,
        waiting=[_row(one, known.get(one.request.binding.cycle_id)) for one in waiting],
        healths=tuple(health_of(app, background, target=name) for name in app.targets),
        accounts=accounts_of(app),
        lately=[row_of(cycle) for cycle in ended],
        handed=[row_of(cycle) for cycle in handed],
        switches=_switches(serving),
        paused=not _enabled(serving),
        per_day=app.profile.max_cycles_per_day,
        untold=app.notices.counts().dead,
        seen=seen,
    )


def _row(one: Waiting, cycle: Cycle | None) -> WaitingRow:
    request = one.request
    return WaitingRow(one, call_said(request.binding.tool, request.args), title_of(cycle) if cycle is not None else "")


def _switches(serving: Serving) -> list[Switch]:
    rows = serving.app.ports.store.flags()
    return [
        Switch(row.name, row.environment, str(row.details.get("by", "")), str(row.details.get("reason", "")))
        for row in rows
        if row.enabled and row.name.split("/")[0] == KILL_SWITCH
    ]


def _enabled(serving: Serving) -> bool:
    from cycles.switches import flags_of

    app = serving.app
    return flags_of(app.ports.store, app.profile).enabled("self_improvement_enabled", app.profile.name)
