"""The metrics that are computed from the store, the inbox, the ledger and the audit chain, a few seconds old at most.

Any number of processes on one database tell the same; where a part does not answer, the last that was known stands and
`evercrew_metrics_stale` says which part that is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cycles.switches import flags_of
from domain.budget import KINDS, MICROS, Amounts
from domain.errors import EvercrewError
from service.telemetry import fold
from service.telemetry.fold import Totals
from tools.purse import cycle_account

if TYPE_CHECKING:
    from policies.live_contract import LiveContract
    from service.wiring import App

FRESH = timedelta(seconds=5)
# Records read in one look: a long chain is caught up with in several, and other metrics need not wait for it.
_AT_ONCE = 50_000
_KEEP_EVERY = 1000
_MOST_OPEN = 10_000
_PARTS = ("chain", "cycles", "inbox", "approvals", "budget", "switches")


@dataclass
class Standing:
    """What was found out at the last look."""

    head: int = 0
    open_stages: dict[str, int] = field(default_factory=dict)
    oldest_open_s: float = 0.0
    open_spent: Amounts = field(default_factory=Amounts)
    waiting: int = 0
    oldest_s: float = 0.0
    fates: dict[str, int] = field(default_factory=dict)
    aside: int = 0
    approvals: int = 0
    approval_s: float = 0.0
    budget: dict[tuple[str, str, str], float] = field(default_factory=dict)
    killed: bool = False


class Stock:
    """A collector for a registry; looks at most every `fresh`, in the thread of whoever scrapes."""

    def __init__(self, app: App, *, fresh: timedelta = FRESH) -> None:
        self._app = app
        self._fresh = fresh.total_seconds()
        self._lock = threading.Lock()
        self._next = float("-inf")
        self._totals: Totals | None = None
        self._kept = 0
        self._now = Standing()
        self._stale: dict[str, int] = dict.fromkeys(_PARTS, 0)
        # A cycle that ends is for a moment in neither sum: a counter must not go back for that.
        self._most_spent = Amounts()

    def register(self, registry: CollectorRegistry) -> None:
        """Let a registry collect from here."""
        registry.register(self)

    def describe(self) -> list[Metric]:
        """Name nothing beforehand: a registry then asks nothing while it is built."""
        return []

    def look(self) -> None:
        """Find out how everything stands, where the last look is old; of several threads one does."""
        with self._lock:
            if self._app.clock.monotonic() < self._next:
                return
            parts: dict[str, Callable[[], None]] = {
                "chain": self._chain,
                "cycles": self._cycles,
                "inbox": self._inbox,
                "approvals": self._approvals,
                "budget": self._budget,
                "switches": self._switches,
            }
            for name, part in parts.items():
                self._stale[name] = int(not _done(part))
            self._app.policies.look()
            for rules in self._contracts():
                rules.look()
            self._next = self._app.clock.monotonic() + self._fresh

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        self.look()
        yield from self._of_totals(self._totals or Totals())
        yield from self._of_now()
        stale = GaugeMetricFamily("evercrew_metrics_stale", "1 while a part does not answer.", labels=["part"])
        for name, value in self._stale.items():
            stale.add_metric([name], value)
        yield stale

    # -- looking ------------------------------------------------------------------------------------------------------

    def _chain(self) -> None:
        app = self._app
        self._now.head = app.audit.head().records
        if self._totals is None:
            self._totals = fold.kept(app.ports.store.recordings(fold.SCOPE, fold.PLACE), self._now.head)
            self._kept = self._totals.sequence
        fold.add(self._totals, islice(app.audit.links(self._totals.sequence), _AT_ONCE))
        for cycle_id in list(self._totals.waiting):
            cycle = app.ports.store.cycle(cycle_id)
            if cycle is None or cycle.stage.terminal:
                self._totals.waiting.remove(cycle_id)
            if cycle is not None and cycle.stage.terminal:
                fold.end(self._totals, cycle, self._spent(cycle_id))
        if self._totals.sequence - self._kept >= _KEEP_EVERY:
            app.ports.store.record(self._totals.recording())
            self._kept = self._totals.sequence

    def _cycles(self) -> None:
        opened = self._app.ports.store.cycles(open_only=True, limit=_MOST_OPEN)
        stages: dict[str, int] = {}
        spent = Amounts()
        for cycle in opened:
            stages[cycle.stage.value] = stages.get(cycle.stage.value, 0) + 1
            spent = spent.plus(self._spent(cycle.id))
        now = self._app.clock.now()
        self._now.open_stages, self._now.open_spent = stages, spent
        self._now.oldest_open_s = max(((now - cycle.opened_at).total_seconds() for cycle in opened), default=0.0)

    def _inbox(self) -> None:
        counts = self._app.inbox.counts()
        self._now.waiting, self._now.aside = counts.waiting, counts.aside
        self._now.fates = {fate.value: count for fate, count in counts.settled.items()}
        oldest = counts.oldest
        self._now.oldest_s = (self._app.clock.now() - oldest).total_seconds() if oldest else 0.0

    def _approvals(self) -> None:
        now = self._app.clock.now()
        asked = self._app.office.consent.store.requests(waiting_at=now, limit=1000)
        self._now.approvals = len(asked)
        self._now.approval_s = max(((now - request.asked_at).total_seconds() for request in asked), default=0.0)

    def _budget(self) -> None:
        app, purse = self._app, self._app.office.purse
        if purse is None:
            return
        found: dict[tuple[str, str, str], float] = {}
        for name in sorted(app.current_accounts()):
            standing = purse.ledger.account(name)
            if standing is None:
                continue
            of = self._account(name)
            told = {("usd", "spent"): standing.spent.usd_micros / MICROS}
            told["usd", "reserved"] = standing.reserved.usd_micros / MICROS
            if standing.ceiling.usd_micros is not None:
                told["usd", "ceiling"] = standing.ceiling.usd_micros / MICROS
            told["cycles", "spent"] = standing.spent.cycles
            if standing.ceiling.cycles is not None:
                told["cycles", "ceiling"] = standing.ceiling.cycles
            found.update({(of, *what): value for what, value in told.items()})
        self._now.budget = found

    def _account(self, name: str) -> str:
        """Return ``period`` or ``day``; of a further target ``period/<target>``, for each has a ceiling of its own."""
        of, target = name.split("/")[:2]
        return f"{of}/{target}" if of == "period" and target in self._app.targets[1:] else of

    def _switches(self) -> None:
        app = self._app
        self._now.killed = flags_of(app.ports.store, app.profile).killed(app.profile.name)

    def _contracts(self) -> list[LiveContract]:
        """The contracts of all targets that are open."""
        further = self._app.further
        return [self._app.rules] if further is None else [app.rules for app in further.opened()]

    def _spent(self, cycle_id: str) -> Amounts:
        purse = self._app.office.purse
        standing = purse.ledger.account(cycle_account(cycle_id)) if purse is not None else None
        return standing.spent if standing is not None else Amounts()

    # -- telling ------------------------------------------------------------------------------------------------------

    def _of_totals(self, totals: Totals) -> Iterator[Metric]:
        ended = Amounts(tokens=totals.tokens, usd_micros=totals.usd_micros)
        total = ended.plus(self._now.open_spent)
        spent = Amounts(**{kind: max(total.of(kind), self._most_spent.of(kind)) for kind in KINDS})
        self._most_spent = spent
        yield _counter("evercrew_cycles", "Cycles that have ended.", ["outcome", "action"], totals.cycles)
        yield _counter(
            "evercrew_verdicts", "Verdicts of gates, of cycles that have ended.", ["gate", "verdict"], totals.verdicts
        )
        yield _counter("evercrew_decisions", "Decisions at the door.", ["effect", "answer"], totals.decisions)
        yield _counter("evercrew_refusals", "Refusals at the door.", ["kind"], totals.refusals)
        yield _counter(
            "evercrew_cycle_stage_seconds", "Work on stages of cycles that have ended.", ["stage"], totals.stages
        )
        yield _counter(
            "evercrew_cycle_stages", "Stages that cycles that have ended went through.", ["stage"], totals.stage_runs
        )
        reactions = {"in_time": 0, "late": 0, **totals.reactions}
        yield _counter(
            "evercrew_reactions", "First remedies, by the reaction time of the contract.", ["result"], reactions
        )
        yield _plain_counter("evercrew_reaction_seconds", "Seconds from alert to first remedy.", totals.reaction_s)
        yield _plain_counter("evercrew_tokens", "Tokens of models spent by cycles.", spent.tokens)
        yield _plain_counter("evercrew_cost_usd", "Money spent by cycles, in US dollars.", spent.usd_micros / MICROS)
        yield _gauge("evercrew_audit_records", "Records of the audit chain.", self._now.head)
        behind = max(self._now.head - totals.sequence, 0)
        yield _gauge("evercrew_audit_lag_records", "Records that these metrics have not counted yet.", behind)
        unsigned = max(totals.sequence - totals.checkpoint, 0)
        yield _gauge("evercrew_audit_unsigned_records", "Records after the last signed checkpoint.", unsigned)

    def _of_now(self) -> Iterator[Metric]:
        now, policies = self._now, self._app.policies
        opened = GaugeMetricFamily("evercrew_cycles_open", "Cycles that are open.", labels=["stage"])
        for stage, count in now.open_stages.items():
            opened.add_metric([stage], count)
        yield opened
        yield _gauge("evercrew_cycle_oldest_seconds", "How long the oldest open cycle is open.", now.oldest_open_s)
        yield _gauge("evercrew_inbox_waiting", "Alerts that wait to be taken.", now.waiting)
        yield _gauge("evercrew_inbox_oldest_seconds", "How long the oldest of them waits.", now.oldest_s)
        settled = GaugeMetricFamily(
            "evercrew_inbox_settled", "Alerts that were taken and are kept, by fate.", labels=["fate"]
        )
        for fate, count in now.fates.items():
            settled.add_metric([fate], count)
        yield settled
        yield _gauge("evercrew_inbox_aside", "Texts that were sent and are no alerts.", now.aside)
        yield _gauge("evercrew_approvals_waiting", "Requests that wait for people.", now.approvals)
        yield _gauge("evercrew_approval_oldest_seconds", "How long the oldest of them waits.", now.approval_s)
        budget = GaugeMetricFamily(
            "evercrew_budget", "The accounts of the present period and day.", labels=["account", "unit", "part"]
        )
        for names, amount in now.budget.items():
            budget.add_metric(list(names), amount)
        yield budget
        yield _gauge("evercrew_kill_switch", "1 while the kill switch of the environment is on.", int(now.killed))
        well = int(bool(policies.policy_hash) and not policies.problem)
        yield _gauge("evercrew_policy_set_ok", "1 while the policy set on disk is the one in force.", well)
        sound = int(not any(rules.problem for rules in self._contracts()))
        yield _gauge("evercrew_contract_ok", "1 while the contract on disk is the one in force.", sound)


def _done(part: Callable[[], None]) -> bool:
    try:
        part()
    except EvercrewError:
        return False
    return True


def _counter(name: str, about: str, names: list[str], values: dict[str, int] | dict[str, float]) -> Metric:
    family = CounterMetricFamily(name, about, labels=names)
    for key, value in values.items():
        family.add_metric(fold.labels(key), value)
    return family


def _plain_counter(name: str, about: str, value: float) -> Metric:
    return CounterMetricFamily(name, about, value=value)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, value=value)
