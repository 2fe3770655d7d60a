"""What a weekly report is computed from: typed rows, read from where they are kept, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from adapters.approvals.base import ApprovalsPort
from adapters.audit.base import Link
from adapters.ledger.base import Entry, EntryKind, LedgerPort, Standing
from adapters.store.base import StorePort
from cycles.artifacts import Artifacts
from domain.approval import ApprovalRequest
from domain.autonomy import Standing as Level
from domain.cycle import Cycle
from domain.errors import IntegrityError
from domain.outcome import OutcomeKind
from domain.receipt import AuditRecord, RecordKind
from service.weekly.span import Span
from service.wording import finite

ALL = 1_000_000
MONTH = timedelta(days=30)
QUALITY = "ndcg_at_10"
_KINDS = frozenset({RecordKind.NOTE.value, RecordKind.OUTCOME.value, RecordKind.REFUSAL.value})
_AT, _TO_SECONDS = len('{"at":"'), len("2026-11-16T00:00:00")
_FORWARD = frozenset({"promote", "apply_tuning"})
_BACK = frozenset({"roll_back", "restore_values"})


class Change(BaseModel):
    """One metric of a model before and after, on the held-out set or in the A/B test (`where`), over `n` samples.

    `lift` is relative, with its interval where one is known.
    """

    model_config = ConfigDict(frozen=True)

    cycle_id: str
    metric: str
    where: str
    before: float
    after: float
    lift: float | None
    lower: float | None
    upper: float | None
    n: int


class CycleFacts(BaseModel):
    """A cycle that ended in the stretch. `cost_usd` is None where nothing says what it cost."""

    model_config = ConfigDict(frozen=True)

    id: str
    target: str
    environment: str
    signal: str
    cause: str
    action: str
    outcome: OutcomeKind
    reason: str
    opened_at: datetime
    ended_at: datetime
    cost_usd: float | None
    tokens: int | None
    examples: int | None
    promoted: bool
    taken_back: bool
    verdicts: Mapping[str, str] = {}
    changes: tuple[Change, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def hours(self) -> float:
        """How long it took."""
        return (self.ended_at - self.opened_at).total_seconds() / 3600


class Note(BaseModel):
    """A record of the chain that a report counts: refusals, effects that were done, remarks of the engine."""

    model_config = ConfigDict(frozen=True)

    sequence: int
    at: datetime
    kind: RecordKind
    cycle_id: str
    stage: str
    tool: str
    actor: str
    status: str
    policies: tuple[str, ...] = ()
    body: Mapping[str, Any] = {}


class Material(BaseModel):
    """All that is known of a stretch of time.

    `opened_month` is how many cycles were opened in the thirty days up to its end; `month_known` whether the record
    reaches that far back.
    """

    model_config = ConfigDict(frozen=True)

    span: Span
    now: datetime
    cycles: tuple[CycleFacts, ...] = ()
    opened: int = 0
    opened_month: int = 0
    month_known: bool = False
    open_now: tuple[Cycle, ...] = ()
    notes: tuple[Note, ...] = ()
    spent: tuple[Entry, ...] = ()
    reserved: Mapping[str, str] = {}
    approvals: tuple[ApprovalRequest, ...] = ()
    waiting: tuple[ApprovalRequest, ...] = ()
    budgets: tuple[Standing, ...] = ()
    levels: tuple[Level, ...] = ()


class Chain(Protocol):
    """The audit chain, as far as it is read here."""

    def links(self, after: int = 0) -> Iterator[Link]: ...


@dataclass(frozen=True)
class Sources:
    """Where the rows are. `budgets` and `levels` are as they stand now."""

    store: StorePort
    chain: Chain
    artifacts: Artifacts
    approvals: ApprovalsPort
    ledger: LedgerPort | None = None
    budgets: Sequence[Standing] = ()
    levels: Sequence[Level] = ()


def gathered(sources: Sources, span: Span, now: datetime) -> Material:
    """Return the rows of a stretch.

    Raises:
        DependencyError, AuditUnavailable: something cannot be read; there is no report with holes nobody knows of.
    """
    cycles = sources.store.cycles(limit=ALL)
    notes = tuple(noted(sources.chain, span))
    ended = [c for c in cycles if c.stage.terminal and span.holds(c.updated_at)]
    effects: dict[str, set[str]] = {}
    for note in notes:
        if note.kind is RecordKind.OUTCOME and note.status == "done":
            effects.setdefault(note.cycle_id, set()).add(note.tool)
    entries = sources.ledger.entries(limit=ALL) if sources.ledger is not None else ()
    requests = sources.approvals.requests(limit=ALL)
    return Material(
        span=span,
        now=now,
        cycles=tuple(sorted((_facts(sources, c, effects.get(c.id, set())) for c in ended), key=lambda c: c.ended_at)),
        opened=sum(span.holds(c.opened_at) for c in cycles),
        opened_month=sum(span.end - MONTH <= c.opened_at < span.end for c in cycles),
        month_known=any(c.opened_at <= span.end - MONTH for c in cycles),
        open_now=tuple(c for c in cycles if not c.stage.terminal),
        notes=notes,
        spent=tuple(e for e in entries if _is_spending(e) and span.holds(e.at)),
        reserved={e.key: e.about for e in entries if e.kind is EntryKind.RESERVE},
        approvals=tuple(r for r in requests if span.holds(r.asked_at)),
        waiting=tuple(r for r in requests if r.state(now).value == "waiting"),
        budgets=tuple(sources.budgets),
        levels=tuple(sources.levels),
    )


def noted(chain: Chain, span: Span) -> Iterator[Note]:
    """Give the records of the stretch that a report counts, in their order; the others are not even parsed."""
    begin, end = span.start.isoformat()[:_TO_SECONDS], span.end.isoformat()[:_TO_SECONDS]
    for link in chain.links():
        # The canonical text of a record begins with its time, so that most need not be parsed.
        at = link.text[_AT : _AT + _TO_SECONDS]
        if link.kind not in _KINDS or not begin <= at <= end:
            continue
        record = AuditRecord.model_validate_json(f'{link.text[:-1]},"hash":"{link.hash}"}}')
        if span.holds(record.at):
            entry = record.entry
            yield Note(
                sequence=record.sequence,
                at=record.at,
                kind=entry.kind,
                cycle_id=entry.cycle_id,
                stage=entry.stage,
                tool=entry.tool,
                actor=entry.actor,
                status=entry.status,
                policies=entry.policies,
                body=entry.body,
            )


def _is_spending(entry: Entry) -> bool:
    return entry.kind is EntryKind.SETTLE and entry.account.startswith("cycle/")


def _facts(sources: Sources, cycle: Cycle, tools: set[str]) -> CycleFacts:
    read, unreadable = _artifacts(sources.artifacts, cycle.id)
    outcome = read.get("outcome.json", {})
    manifest = read.get("dataset_manifest.yaml", {})
    # What was done before the stretch began counts as well: the outcome lists it.
    done = tools | {str(each.get("type")) for each in outcome.get("actions", ())}
    return CycleFacts(
        id=cycle.id,
        target=cycle.target,
        environment=cycle.environment,
        signal=cycle.alert.signal,
        cause=str(read.get("diagnostic_report.json", {}).get("root_cause_analysis", {}).get("type", "")),
        action=cycle.action.value if cycle.action else "none",
        outcome=cycle.outcome or OutcomeKind.UNVERIFIED,
        reason=str(cycle.facts.get("outcome_reason") or cycle.reason),
        opened_at=cycle.opened_at,
        ended_at=cycle.updated_at,
        cost_usd=finite(outcome.get("total_cost_usd")),
        tokens=int(outcome["tokens"]) if finite(outcome.get("tokens")) is not None else None,
        examples=manifest.get("statistics", {}).get("total_examples"),
        promoted=bool(done & _FORWARD),
        taken_back=bool(done & _BACK),
        verdicts=_verdicts(cycle, read),
        changes=tuple(_changes(cycle.id, read)),
        unreadable=tuple(unreadable),
    )


def _verdicts(cycle: Cycle, read: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return what its gates said: by its artifacts, and by its own facts where it ended before it wrote them."""
    told = {name: str(value) for name, value in cycle.facts.items() if name.startswith("verdict_")}
    return told | {name: str(read[name]["verdict"]) for name in _JUDGED if "verdict" in read.get(name, {})}


_JUDGED = ("evaluation.json", "ab_test_results.json", "watch.json")
_READ = (*_JUDGED, "outcome.json", "dataset_manifest.yaml", "diagnostic_report.json")


def _artifacts(artifacts: Artifacts, cycle_id: str) -> tuple[dict[str, dict[str, Any]], list[str]]:
    read: dict[str, dict[str, Any]] = {}
    unreadable = []
    for name in _READ:
        try:
            content = artifacts.read(cycle_id, name)
            if content is not None:
                artifacts.check(name, content)
                read[name] = content
        except IntegrityError:
            unreadable.append(name)
    return read, unreadable


def _changes(cycle_id: str, read: Mapping[str, Mapping[str, Any]]) -> Iterator[Change]:
    evaluation, ab = read.get("evaluation.json"), read.get("ab_test_results.json")
    if evaluation is not None:
        gate = next((g for g in evaluation["gates"] if g["name"] == QUALITY), None)
        before, after = evaluation["baseline"]["metrics"], evaluation["candidate"]["metrics"]
        for metric in sorted(set(before) & set(after)):
            one, two = finite(before[metric].get("value")), finite(after[metric].get("value"))
            if one is None or two is None:
                continue
            figures = gate["figures"] if gate is not None and metric == QUALITY else {}
            n = int(figures.get("n") or after[metric].get("n") or 0)
            yield _change(cycle_id, metric, "held-out set", one, two, figures, n)
    if ab is not None and ab["looks"]:
        look = ab["looks"][-1]
        one, two = finite(look["baseline_ndcg"]), finite(look["candidate_ndcg"])
        if one is not None and two is not None:
            users = int(look["users_baseline"]) + int(look["users_candidate"])
            yield _change(cycle_id, QUALITY, "A/B test", one, two, look, users)


def _change(
    cycle_id: str, metric: str, where: str, before: float, after: float, told: Mapping[str, Any], n: int
) -> Change:
    lift = finite(told.get("lift"))
    return Change(
        cycle_id=cycle_id,
        metric=metric,
        where=where,
        before=before,
        after=after,
        lift=lift if lift is not None else (after / before - 1 if before else None),
        lower=finite(told.get("lower")),
        upper=finite(told.get("upper")),
        n=n,
    )
