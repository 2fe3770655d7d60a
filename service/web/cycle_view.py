"""The page of a cycle, computed: what somebody needs to see first, then everything it rests on. No HTML here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from cycles.artifacts import SCHEMAS
from domain.access import ApiAction
from domain.actor import Role
from domain.approval import ApprovalRequest
from domain.cycle import Cycle
from domain.errors import DependencyUnavailable, EvercrewError
from domain.receipt import AuditRecord
from domain.trace import trace_id_of
from policies.flags import KILL_SWITCH
from service.contracts import contract_of
from service.report import story
from service.web.background import Background
from service.web.brief import Brief, brief_of, price_of
from service.web.calls import CallRow, calls_of, folded, of_place
from service.web.charts import Chart, charts_of
from service.web.elsewhere import Elsewhere, elsewhere_of
from service.web.evidence import ClaimRow, claims_of
from service.web.material import Gathered, gather
from service.web.money import AccountCard, account_of
from service.web.stages import StageRow, stages_of
from service.web.standing import Status, status_of, title_of
from service.web.waiting import Waiting, waiting_for

if TYPE_CHECKING:
    from domain.access import Caller
    from policies.contract import Contract
    from service.api.serving import Serving
    from service.wiring import App

MOST_CALLS = 40
_BY_HAND = ("report.html", "report.md", "audit.jsonl")


@dataclass(frozen=True)
class CrewRow:
    """One role of the crew: what it did in this cycle, and whether it is at work."""

    name: str
    calls: int
    effects: int
    last: str
    working: bool
    models: str


@dataclass(frozen=True)
class Artifact:
    """A file of the cycle, and where it can be had."""

    name: str
    href: str
    size: int


@dataclass(frozen=True)
class No:
    """The ways to say no that this caller has, of this cycle now."""

    deny: tuple[Waiting, ...] = ()
    others: tuple[Waiting, ...] = ()
    cancel: bool = False
    stop: bool = False
    environment: str = ""

    @property
    def any(self) -> bool:
        return bool(self.deny or self.cancel or self.stop)


@dataclass(frozen=True)
class CycleView:
    """Everything the page shows. `seen` is the number of the last record it was computed from."""

    cycle: Cycle
    title: str
    status: Status
    brief: Brief
    no: No
    stages: list[StageRow]
    crew: list[CrewRow]
    calls: list[CallRow]
    calls_left_out: int
    charts: list[Chart]
    claims: list[ClaimRow]
    gates: list[dict[str, Any]]
    change: Mapping[str, Any] | None
    patch: list[tuple[str, str]]
    account: AccountCard | None
    artifacts: list[Artifact]
    sources: int
    trace: str
    elsewhere: Elsewhere
    problems: tuple[str, ...]
    asking: bool
    seen: int
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        return self.cycle.stage.terminal


def cycle_view(
    serving: Serving, caller: Caller, cycle: Cycle, background: Background, *, every_call: bool = False
) -> CycleView:
    """Compute the page of a cycle for a caller.

    Raises:
        DependencyError, AuditUnavailable: the store or the record cannot be read.
    """
    app = serving.app
    records = app.audit.records(cycle.id)
    now = app.clock.now()
    there, contract = _there(app, cycle.target)
    gathered = gather(app, background, cycle, records)
    calls = calls_of(records)
    waiting = waiting_for(serving, caller, cycle_id=cycle.id)
    asked: list[ApprovalRequest] = [one.request for one in waiting]
    account = account_of(app, cycle)
    newest = list(reversed(calls))
    shown = newest if every_call else folded(newest)[:MOST_CALLS]
    change = gathered.artifacts.get("helm_values_patch.yaml")
    trace = _trace(cycle, records)
    return CycleView(
        cycle=cycle,
        title=title_of(cycle),
        status=status_of(cycle, waiting=bool(waiting)),
        brief=_brief(cycle, there, contract, account, asked),
        no=_no(serving, caller, cycle, waiting),
        stages=stages_of(cycle, records, now, waiting=bool(waiting)),
        crew=_crew(cycle, calls),
        calls=shown,
        calls_left_out=len(newest) - len(shown),
        charts=charts_of(gathered.material, gathered.artifacts, now, _asked_lift(contract)),
        claims=claims_of(cycle, gathered.artifacts, of_place(calls)),
        gates=_gates(gathered),
        change=change,
        patch=story.patch_lines(str(change["patch"])) if change and change.get("patch") else [],
        account=account,
        artifacts=_artifacts(serving, cycle.id),
        sources=len(gathered.results),
        trace=trace,
        elsewhere=elsewhere_of(there, cycle, trace),
        problems=gathered.problems,
        asking=gathered.asking,
        seen=records[-1].sequence if records else app.audit.head().records,
        told=gathered.artifacts.get("outcome.json", {}),
    )


def _no(serving: Serving, caller: Caller, cycle: Cycle, waiting: Sequence[Waiting]) -> No:
    ended = cycle.stage.terminal
    flags = {
        action: serving.access.allowed(caller, action).allowed for action in (ApiAction.CANCEL_CYCLE, ApiAction.STOP)
    }
    return No(
        deny=tuple(one for one in waiting if one.mine),
        others=tuple(one for one in waiting if not one.mine),
        cancel=flags[ApiAction.CANCEL_CYCLE] and not ended and not cycle.cancel_requested,
        stop=flags[ApiAction.STOP] and not _thrown(serving),
        environment=serving.app.profile.name,
    )


def _thrown(serving: Serving) -> bool:
    """Whether there is nothing left to stop: the switch of everybody is on already."""
    here = ("all", serving.app.profile.name)
    return any(
        row.enabled for row in serving.app.ports.store.flags() if row.name == KILL_SWITCH and row.environment in here
    )


def _there(app: App, target: str) -> tuple[App, Contract | None]:
    """Return the application over a target's systems, and the contract of that target.

    Where they cannot be opened: the application under the target's configuration, and the contract as its file stands;
    None where that cannot be read either, for another target's limits are none of it.
    """
    try:
        there = app.at(target)
        return there, there.contract
    except DependencyUnavailable:
        there = app
    try:
        there = replace(app, config=app.config.at(target))
        return there, contract_of(there.config, app.profile)
    except EvercrewError:
        return there, None


def _brief(
    cycle: Cycle, there: App, contract: Contract | None, account: AccountCard | None, asked: Sequence[ApprovalRequest]
) -> Brief:
    brief = brief_of(cycle, contract or there.contract, account, asked, price_of(there.gate, asked))
    if contract is not None:
        return brief
    # The first line below what is wrong tells the limits, here those of another target's contract.
    return replace(brief, wrong=replace(brief.wrong, more=brief.wrong.more[1:]))


def _asked_lift(contract: Contract | None) -> float | None:
    gate = contract.quality_gates.get("ndcg_at_10") if contract is not None else None
    return gate.threshold if gate is not None and gate.kind == "min_relative_delta" else None


def _crew(cycle: Cycle, calls: Sequence[CallRow]) -> list[CrewRow]:
    at_work = calls[-1].who if calls and not cycle.stage.terminal and calls[-1].stage == cycle.stage.value else ""
    models = _models(cycle)
    rows = []
    for role in Role:
        mine = [call for call in calls if call.who == role.label]
        effects = sum(1 for call in mine if call.receipt is not None)
        last = mine[-1].tool if mine else ""
        rows.append(CrewRow(role.label, len(mine), effects, last, role.label == at_work, models if mine else ""))
    return rows


def _models(cycle: Cycle) -> str:
    found: dict[str, None] = {}
    for fact in cycle.facts.values():
        if isinstance(fact, Mapping) and "tokens" in fact:
            found.update(dict.fromkeys(str(model) for model in fact.get("models", ())))
    return ", ".join(found)


def _gates(gathered: Gathered) -> list[dict[str, Any]]:
    return story.gates(gathered.artifacts, story.watched(gathered.material, gathered.artifacts).signal)


def _artifacts(serving: Serving, cycle_id: str) -> list[Artifact]:
    root = serving.app.office.artifacts.root / cycle_id
    found = []
    for name in (*SCHEMAS, *_BY_HAND):
        path = root / name
        if path.is_file():
            found.append(Artifact(name, f"/api/v1/cycles/{cycle_id}/artifacts/{name}", path.stat().st_size))
    return found


def _trace(cycle: Cycle, records: Sequence[AuditRecord]) -> str:
    """Return the trace of the cycle, as its receipts name it; empty where it was not traced."""
    wanted = trace_id_of(cycle.id, cycle.opened_at)
    return wanted if any(record.entry.trace_id == wanted for record in records) else ""
