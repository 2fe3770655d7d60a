"""From the audit chain to what people are told: a record that matters to somebody becomes a telling.

The chain is the one place where everything stands that happened, whichever process it happened in, and it has an
order; so whoever reads it from where it was left tells everything once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from adapters.approvals.base import ApprovalsPort
from adapters.audit.base import AuditPort
from adapters.store.base import StorePort
from domain.approval import ApprovalRequest, ApprovalState
from domain.cycle import Cycle
from domain.outcome import OutcomeKind
from domain.receipt import AuditRecord, RecordKind
from domain.stage import Stage
from service.notices.telling import Telling
from service.notify_sections import NoticeKind, Severity
from service.wording import duration, signal_label, words

# Records of these kinds are looked at; reads and intents, of which there are most, tell nobody anything.
KINDS = frozenset({RecordKind.NOTE, RecordKind.TRANSITION, RecordKind.OUTCOME, RecordKind.REFUSAL})
_ENDS = frozenset(stage.value for stage in Stage if stage.terminal)
_BACK = frozenset({"roll_back", "restore_values"})
_APPROVAL = re.compile(r"\bap_[0-9a-f]{24}\b")
_MOST_REQUESTS = 100
WEEKLY = "weekly_report"


class Reader:
    """Reads records; looks up what they speak of.

    `environment` is told with what belongs to no cycle.
    """

    def __init__(self, store: StorePort, approvals: ApprovalsPort, audit: AuditPort, environment: str) -> None:
        self._store = store
        self._audit = audit
        self._approvals = approvals
        self._environment = environment

    def of_record(self, record: AuditRecord) -> list[Telling]:
        """Return what the record has to tell.

        Raises:
            DependencyError: what it speaks of cannot be looked up.
        """
        entry = record.entry
        if entry.kind is RecordKind.TRANSITION:
            return self._ended(record) if entry.status in _ENDS else []
        if entry.kind is RecordKind.OUTCOME:
            return self._done(record) if entry.status == "done" else []
        if entry.kind is RecordKind.REFUSAL:
            return self.waiting(record) if entry.status == "escalate" else []
        return self._noted(record)

    def waiting(self, record: AuditRecord) -> list[Telling]:
        """Return the requests of the record's cycle that people could still decide then."""
        found = self._approvals.requests(cycle_id=record.entry.cycle_id, limit=_MOST_REQUESTS)
        return [approval(r) for r in found if r.state(record.at) is ApprovalState.WAITING]

    # -- a kind each --------------------------------------------------------------------------------------------------

    def _ended(self, record: AuditRecord) -> list[Telling]:
        cycle = self._store.cycle(record.entry.cycle_id)
        if cycle is None:
            return []
        outcome = cycle.outcome or OutcomeKind.UNVERIFIED
        handoff = outcome is OutcomeKind.HANDED_OFF
        severity: Severity = "critical" if handoff else "info" if outcome.verified else "warning"
        title = f"{cycle.id}: {words(outcome.value)}"
        return [
            Telling(
                key=f"end/{cycle.id}",
                kind=NoticeKind.HANDOFF if handoff else NoticeKind.OUTCOME,
                severity=severity,
                environment=cycle.environment,
                cycle_id=cycle.id,
                title=f"{title}: a person has to take it from here" if handoff else title,
                body=str(cycle.facts.get("outcome_reason") or record.entry.body.get("reason") or cycle.reason),
                page=cycle_page(cycle.id),
                facts=_facts(cycle),
            )
        ]

    def _done(self, record: AuditRecord) -> list[Telling]:
        entry = record.entry
        if entry.tool == "notify":
            return self._message(record)
        if entry.tool not in _BACK:
            return []
        cycle = self._store.cycle(entry.cycle_id)
        reason = str(((cycle.facts if cycle else {}).get("roll_back") or {}).get("reason", ""))
        return [
            Telling(
                key=f"back/{entry.key}",
                kind=NoticeKind.ROLLBACK,
                severity="warning",
                environment=cycle.environment if cycle else self._environment,
                cycle_id=entry.cycle_id,
                title=f"{entry.cycle_id}: {words(entry.tool)} is done",
                body=reason or "A change was taken back.",
                page=cycle_page(entry.cycle_id),
                facts=_facts(cycle) if cycle else (),
            )
        ]

    def _message(self, record: AuditRecord) -> list[Telling]:
        """What the crew said to people by the tool `notify`, unless the chain says the same in another way."""
        entry = record.entry
        args = self._args(entry.key)
        title, body = str(args.get("title", "")), str(args.get("body", ""))
        if not title or entry.stage == Stage.LEARN.value or _APPROVAL.search(body):
            return []
        severity = args.get("severity")
        cycle = self._store.cycle(entry.cycle_id)
        return [
            Telling(
                key=f"message/{entry.key}",
                kind=NoticeKind.MESSAGE,
                severity=severity if severity in ("info", "warning", "critical") else "info",
                environment=cycle.environment if cycle else self._environment,
                cycle_id=entry.cycle_id,
                title=title,
                body=body,
                page=cycle_page(entry.cycle_id),
            )
        ]

    def _args(self, key: str) -> Mapping[str, Any]:
        """Return the arguments of a call, by its intent."""
        intents = (r for r in self._audit.of_key(key) if r.entry.kind is RecordKind.INTENT)
        return next((dict(r.entry.body.get("args", {})) for r in intents), {})

    def _noted(self, record: AuditRecord) -> list[Telling]:
        told = _NOTES.get(record.entry.status)
        return [] if told is None else [told(self._environment, record)]


def approval(request: ApprovalRequest, *, reminder: bool = False) -> Telling:
    """Return what people are told of a request that waits for them."""
    bound = request.binding
    again = "still " if reminder else ""
    return Telling(
        key=f"approval/{request.id}{'/reminder' if reminder else ''}",
        kind=NoticeKind.APPROVAL,
        severity="critical" if reminder else "warning",
        environment=bound.environment,
        cycle_id=bound.cycle_id,
        title=f"{bound.tool} on {bound.target} {again}waits for an approval ({bound.quorum})",
        body=f"{request.reason}\nLook at the change and decide until {request.expires_at:%Y-%m-%d %H:%M} UTC; without "
        f"a decision it is not made. In a terminal: evercrew approvals show {request.id}",
        page=f"/approvals/{request.id}",
        facts=(
            ("cycle", bound.cycle_id),
            ("environment", bound.environment),
            ("asked", f"{request.asked_at:%Y-%m-%d %H:%M} UTC"),
            ("votes", f"{len(request.approving)} of {bound.quorum.need}"),
        ),
    )


def cycle_page(cycle_id: str) -> str:
    """Return the path of a cycle's page in the console."""
    return f"/cycles/{cycle_id}"


def _facts(cycle: Cycle) -> tuple[tuple[str, str], ...]:
    took = duration((cycle.updated_at - cycle.opened_at).total_seconds())
    return (
        ("signal", signal_label(cycle.alert.signal)),
        ("target", cycle.target),
        ("environment", cycle.environment),
        ("action", words(cycle.action.value) if cycle.action else "none"),
        ("took", took),
    )


def _killed(environment: str, record: AuditRecord) -> Telling:
    body = record.entry.body
    details = body.get("details", {})
    on = record.entry.status == "kill_on"
    return Telling(
        key=f"record/{record.sequence}",
        kind=NoticeKind.KILL_SWITCH,
        severity="critical" if on else "warning",
        environment="" if body.get("environment") == "all" else str(body.get("environment", environment)),
        title=f"{words(str(body.get('flag', 'kill_switch')))} is {'ON' if on else 'off again'}",
        body=f"By {record.entry.actor}: {details.get('reason', 'no reason is on record')}",
        page="/kill",
        facts=(("environment", str(body.get("environment", ""))),),
    )


def _late(environment: str, record: AuditRecord) -> Telling:
    body = record.entry.body
    took, allowed = float(body.get("seconds", 0)), float(body.get("allowed_s", 0))
    return Telling(
        key=f"late/{record.entry.cycle_id}",
        kind=NoticeKind.REACTION_LATE,
        severity="warning",
        environment=environment,
        cycle_id=record.entry.cycle_id,
        title=f"{record.entry.cycle_id} reacted late to {signal_label(str(body.get('signal', '')))}",
        body=f"The first remedy ({body.get('action', '')}) came {duration(took)} after the signal; the contract allows "
        f"{duration(allowed)}.",
        page=cycle_page(record.entry.cycle_id),
    )


def _policies_kept(environment: str, record: AuditRecord) -> Telling:
    said = record.entry.body.get("problem") or record.entry.body.get("reason") or "see `evercrew policy check`"
    return Telling(
        key=f"record/{record.sequence}",
        kind=NoticeKind.POLICY_BROKEN,
        severity="critical",
        environment=environment,
        title="The policy set on disk is broken and was not taken",
        body=f"The set before it stays in force. {said}",
        page="/policies",
    )


def _contract_kept(environment: str, record: AuditRecord) -> Telling:
    return Telling(
        key=f"record/{record.sequence}",
        kind=NoticeKind.POLICY_BROKEN,
        severity="critical",
        environment=environment,
        title="The contract on disk is broken and was not taken",
        body=f"The one before it stays in force. {record.entry.body.get('problem') or 'see `evercrew doctor`'}",
        page="/policies/contract",
    )


def _scheduled(environment: str, record: AuditRecord) -> Telling:
    body = record.entry.body
    return Telling(
        key=f"record/{record.sequence}",
        kind=NoticeKind.SCHEDULE,
        severity="warning",
        environment=environment,
        title=f"{words(record.entry.stage)} by the clock: {record.entry.status.removeprefix('scheduled_')}",
        body=str(body.get("detail", "")),
    )


def _weekly(environment: str, record: AuditRecord) -> Telling:
    body = record.entry.body
    return Telling(
        key=f"weekly/{body.get('report', record.sequence)}/{record.sequence}",
        kind=NoticeKind.WEEKLY,
        severity="info",
        environment=environment,
        title=str(body.get("title", "The weekly report is there")),
        body=str(body.get("summary", "")),
        page=f"/reports/weekly/{body.get('report', '')}",
    )


def _by_hand(environment: str, record: AuditRecord) -> Telling:
    body = record.entry.body
    return Telling(
        key=f"record/{record.sequence}",
        kind=NoticeKind.ROLLBACK,
        severity="warning",
        environment=environment,
        cycle_id=record.entry.cycle_id,
        title=f"{record.entry.actor} went back to an earlier state by hand",
        body=str(body.get("reason", "")),
        page=cycle_page(record.entry.cycle_id),
    )


_NOTES: Mapping[str, Callable[[str, AuditRecord], Telling]] = {
    "kill_on": _killed,
    "kill_off": _killed,
    "reaction_late": _late,
    "policies_kept": _policies_kept,
    "contract_kept": _contract_kept,
    "scheduled_failed": _scheduled,
    "scheduled_abandoned": _scheduled,
    "rollback_by_hand": _by_hand,
    WEEKLY: _weekly,
}
