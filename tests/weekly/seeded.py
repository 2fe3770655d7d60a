"""A week of raw rows, written through the ports as the engine writes them, at times of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from adapters.approvals.sqlalchemy import SqlApprovals
from adapters.audit.sqlite import SqliteAudit
from adapters.database import Database
from adapters.ledger.base import Account
from adapters.ledger.sqlalchemy import SqlLedger
from adapters.store.sqlalchemy import SqlStore
from cycles.artifacts import Artifacts
from domain.actor import Actor, Role
from domain.approval import ApprovalRequest, Binding, Proof, Quorum, Vote, VoteAnswer
from domain.budget import Amounts, Ceiling
from domain.clock import FrozenClock
from domain.diagnosis import Action
from domain.outcome import OutcomeKind
from domain.receipt import AuditEntry, RecordKind
from domain.stage import Stage
from policies.consent import AutonomyProfile
from service.weekly.build import built
from service.weekly.material import Sources, gathered
from service.weekly.report import WeeklyReport
from service.weekly.span import Span, week_of
from tests.contract.alerts import alert
from tests.service.artifacts import artifacts

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
WEEK = week_of(MONDAY)
POLICY = "a" * 64


@dataclass
class Records:
    """Everything a report is read from, on SQLite files below `folder`."""

    folder: Path
    clock: FrozenClock
    store: SqlStore
    audit: SqliteAudit
    ledger: SqlLedger
    approvals: SqlApprovals
    artifacts: Artifacts
    count: int = 0

    @property
    def sources(self) -> Sources:
        """The same as a report takes it."""
        return Sources(self.store, self.audit, self.artifacts, self.approvals, self.ledger)

    def at(self, days: float) -> None:
        """Go to a moment of the week, so many days after its Monday."""
        self.clock.advance(MONDAY + timedelta(days=days) - self.clock.now())

    def cycle(
        self,
        days: float,
        hours: float,
        outcome: OutcomeKind,
        action: Action = Action.RETRAIN,
        *,
        cost: float | None = None,
        signal: str = "ndcg_at_10",
        stage: Stage = Stage.DONE,
        reason: str = "because of the figures",
        with_evidence: bool = False,
    ) -> str:
        """Open a cycle so many days after Monday and let it end after so many hours; return its id."""
        self.count += 1
        self.at(days)
        opened, _ = self.store.open_cycle(alert(fingerprint=f"f{self.count}", signal=signal), self.clock.now())
        self.clock.advance(timedelta(hours=hours))
        ended = opened.model_copy(
            update={
                "stage": stage,
                "outcome": outcome,
                "action": action,
                "reason": reason,
                "updated_at": self.clock.now(),
            }
        )
        self.store.save(ended)
        if cost is not None:
            self._outcome(opened.id, outcome, cost)
        if with_evidence:
            self._evidence(opened.id)
        return opened.id

    def done(self, cycle_id: str, tool: str) -> None:
        """Put an effect on record that was done."""
        self._note(RecordKind.OUTCOME, cycle_id, status="done", tool=tool, stage="promote")

    def refused(self, cycle_id: str, tool: str, status: str, reason: str, policy: str = "") -> None:
        """Put a refusal on record."""
        policies = (policy,) if policy else ()
        self._note(RecordKind.REFUSAL, cycle_id, status=status, tool=tool, body={"reason": reason}, policies=policies)

    def reacted(self, cycle_id: str, seconds: float, allowed: float) -> None:
        """Put a reaction on record."""
        late = seconds >= allowed
        body = {"signal": "ndcg_at_10", "action": "promote", "seconds": seconds, "allowed_s": allowed}
        self._note(RecordKind.NOTE, cycle_id, status="reaction_late" if late else "reaction", body=body)

    def spent(self, cycle_id: str, key: str, usd: float, *, stage: str = "train", tokens: int = 0) -> None:
        """Set aside and settle."""
        amounts = Amounts(usd_micros=round(usd * 1_000_000), tokens=tokens)
        account = Account(name=f"cycle/{cycle_id}", ceiling=Ceiling(usd_micros=50_000_000))
        self.ledger.reserve(key, [account], amounts, about=f"{cycle_id} {stage}")
        self.ledger.settle(key, amounts)

    def asked(self, cycle_id: str, answer: VoteAnswer | None, hours: float, tool: str = "promote") -> str:
        """Put a call before people, who answer after so many hours; None leaves it waiting."""
        now = self.clock.now()
        binding = Binding(
            cycle_id=cycle_id,
            stage="promote",
            tool=tool,
            target="search",
            environment="dev",
            actor="devops_engineer",
            args_hash=f"{self.count:064d}",
            policy_hash=POLICY,
            quorum=Quorum(need=1, of=("approver",)),
        )
        request = ApprovalRequest(
            binding=binding,
            args={},
            actor=Actor(role=Role.DEVOPS_ENGINEER),
            proposers=("devops_engineer",),
            reason="needs a person",
            key=f"{self.count:032d}",
            asked_at=now,
            expires_at=now + timedelta(days=1),
        )
        self.approvals.open(request)
        if answer is not None:
            at = now + timedelta(hours=hours)
            proof = Proof(how="os_user", who="ann")
            vote = Vote(person="Ann", answer=answer, at=at, reason="not on a Friday", proof=proof)
            self.approvals.vote(request.id, vote)
        return request.id

    def report(self, span: Span = WEEK, now: datetime | None = None) -> WeeklyReport:
        """Return the report as it is computed."""
        moment = now or span.end + timedelta(hours=6)
        return built(
            gathered(self.sources, span, moment),
            gathered(self.sources, span.before, moment),
            environment="dev",
            target="search",
            version="0.0",
            autonomy=AutonomyProfile(),
        )

    def _note(self, kind: RecordKind, cycle_id: str, **fields: Any) -> None:
        self.audit.append(AuditEntry(kind=kind, cycle_id=cycle_id, actor="engine", **fields))

    def _outcome(self, cycle_id: str, outcome: OutcomeKind, cost: float) -> None:
        content = {**artifacts()["outcome.json"], "cycle_id": cycle_id, "outcome": outcome.value, "actions": []}
        self.artifacts.write(cycle_id, "outcome.json", {**content, "total_cost_usd": cost, "tokens": 1200})

    def _evidence(self, cycle_id: str) -> None:
        for name in ("evaluation.json", "ab_test_results.json", "dataset_manifest.yaml", "diagnostic_report.json"):
            self.artifacts.write(cycle_id, name, {**artifacts()[name], "cycle_id": cycle_id})


@contextmanager
def records_in(folder: Path) -> Iterator[Records]:
    """Give empty records."""
    clock = FrozenClock(MONDAY - timedelta(days=10))
    database = Database(f"sqlite:///{folder / 'evercrew.db'}")
    audit = SqliteAudit(folder / "audit.db", clock)
    try:
        yield Records(
            folder=folder,
            clock=clock,
            store=SqlStore(database),
            audit=audit,
            ledger=SqlLedger(database, clock),
            approvals=SqlApprovals(database),
            artifacts=Artifacts(folder / "artifacts"),
        )
    finally:
        audit.close()
        database.close()


def busy_week(records: Records) -> dict[str, str]:
    """Fill a week, and the one before it, and return the ids of its cycles by what they were."""
    records.cycle(-6, 4, OutcomeKind.IMPROVED, cost=10.0)
    records.cycle(-5, 4, OutcomeKind.IMPROVED, cost=10.0)
    ids = {
        "improved": records.cycle(0.1, 3, OutcomeKind.IMPROVED, cost=8.0, with_evidence=True),
        "tuned": records.cycle(1.1, 2, OutcomeKind.TUNED, Action.TUNE, cost=0.5, signal="latency_p95_ms"),
        "back": records.cycle(2.1, 9, OutcomeKind.ROLLED_BACK, cost=9.0, with_evidence=True),
        "noise": records.cycle(3.1, 1, OutcomeKind.LEFT_ALONE, Action.NOISE, reason="within its noise"),
        "weak": records.cycle(4.1, 1, OutcomeKind.NOT_PROMOTED, cost=4.5, reason="too few queries"),
        "off": records.cycle(5.1, 1, OutcomeKind.CANCELLED, stage=Stage.CANCELLED),
    }
    records.at(5.3)
    for name in ("improved", "back"):
        records.done(ids[name], "promote")
        records.done(ids[name], "dataset_version")
    records.done(ids["tuned"], "apply_tuning")
    records.done(ids["back"], "roll_back")
    records.refused(ids["weak"], "promote", "denied", "the window is closed", "forbid-closed-window")
    records.refused(ids["weak"], "train_model", "budget", "0.10 USD left of 5.00 USD")
    records.reacted(ids["improved"], 1800, 3600)
    records.reacted(ids["back"], 5400, 3600)
    records.spent(ids["improved"], "ask/a/diagnose/diagnosis", 1.25, tokens=900)
    records.spent(ids["improved"], "k" * 32, 6.5)
    records.asked(ids["improved"], VoteAnswer.APPROVE, 2)
    records.count += 1
    records.asked(ids["back"], VoteAnswer.DENY, 4)
    return ids
