"""What it costs and has cost: by the accounts of the ledger, and by what cycles of the like did cost."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING

from domain.budget import KINDS, MICROS, amount_said
from domain.intent import CostEstimate, CostSpent
from service.chat.events import ChatEvent, Cite
from service.chat.told import LOOK_BACK, UNKNOWN, cite, counted, cycle_cite, during, known, tell, within

if TYPE_CHECKING:
    from adapters.ledger.base import Standing
    from domain.cycle import Cycle
    from service.wiring import App


def cost(app: App, asked: CostEstimate) -> Iterator[ChatEvent]:
    """What it would cost: what its like did cost, and what the budget lets it cost at most."""
    past = [c for c in app.ports.store.cycles(limit=LOOK_BACK) if c.outcome is not None]
    alike = [c for c in past if c.action is not None and asked.action in (None, c.action.value)]
    paid_for = [(cycle, usd) for cycle in alike for usd in (paid(app, cycle),) if usd is not None]
    sums = sorted(usd for _, usd in paid_for)
    what = f" that led to {asked.action.replace('_', ' ')}" if asked.action else ""
    if len(sums) > 1:
        yield from tell(
            f"{len(sums)} cycles{what} cost {sums[0]:.4f} to {sums[-1]:.4f} USD, half of them at most "
            f"{median(sums):.4f} USD."
        )
    elif sums:
        yield from tell(f"The one cycle{what} that has an account cost {sums[0]:.4f} USD.")
    else:
        yield from tell(f"{UNKNOWN} from experience: no cycle{what} has ended with an account.")
    limit = app.profile.budget.cycle_usd
    yield from tell(f"A cycle may cost {limit:g} USD here at most; what would exceed it is refused.")
    yield from cite(*(cycle_cite(cycle) for cycle, _ in paid_for[:5]))
    yield from left(app)


def spent(app: App, asked: CostSpent) -> Iterator[ChatEvent]:
    """What was spent: by a cycle, by the cycles of a period, and by the accounts as they stand."""
    if asked.cycle is not None:
        cycle = known(app, asked.cycle)
        usd = paid(app, cycle)
        yield from tell(
            f"{cycle.id} has cost {usd:.4f} USD." if usd is not None else f"{UNKNOWN}: {cycle.id} has no account."
        )
        yield from cite(cycle_cite(cycle))
        return
    if asked.period is not None:
        inside = [c for c in app.ports.store.cycles(limit=LOOK_BACK) if within(c, asked.period)]
        paid_for = [(c, usd) for c in inside for usd in (paid(app, c),) if usd is not None]
        total = sum(usd for _, usd in paid_for)
        yield from tell(
            f"Opened{during(asked.period)}: {counted(len(inside), 'cycle')}, {len(paid_for)} with an account, "
            f"{total:.4f} USD in all."
        )
        yield from cite(*(cycle_cite(c) for c, _ in paid_for))
    yield from left(app)


def paid(app: App, cycle: Cycle) -> float | None:
    """Return what a cycle has cost by its account, in US dollars; None where it has none.

    Raises:
        DependencyError: the ledger cannot be read.
    """
    from tools.purse import cycle_account

    purse = app.office.purse
    standing = purse.ledger.account(cycle_account(cycle.id)) if purse is not None else None
    return standing.spent.usd_micros / MICROS if standing is not None else None


def left(app: App) -> Iterator[ChatEvent]:
    """How the accounts of this period stand."""
    purse = app.office.purse
    if purse is None:
        yield from tell(f"{UNKNOWN} what is left: nothing is counted here.")
        return
    names = app.current_accounts()
    mine = [standing for standing in purse.ledger.accounts() if standing.name in names]
    yield from tell(*(_line(standing) for standing in mine))
    yield from cite(*(Cite(kind="account", id=standing.name) for standing in mine))


def _line(standing: Standing) -> str:
    parts = []
    for kind in KINDS:
        limit, gone = standing.ceiling.of(kind), standing.spent.of(kind)
        if limit is not None or gone:
            # *1 of 500 cycles*: the unit is said once.
            so_far = amount_said(kind, gone)
            parts.append(so_far if limit is None else f"{so_far.partition(' ')[0]} of {amount_said(kind, limit)}")
    return f"Account {standing.name}: {'; '.join(parts)} so far." if parts else ""
