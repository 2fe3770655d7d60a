"""The calls of a cycle as its record tells them: who asked for what, what the door answered, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from domain.receipt import AuditRecord, RecordKind
from service.wording import clean, role_label, words

_VIA = {"agent": "the model asked", "stage": "the engine acted"}
_SHORT = 12


@dataclass(frozen=True)
class CallRow:
    """One call. `place` is what claims cite it by; `receipt` the record of the intent, `outcome` that of its end.

    `answer` is what the door said: allow, deny or escalate. `state` is read, open, done, failed, absent or refused.
    """

    sequence: int
    at: datetime
    stage: str
    tool: str
    who: str
    via: str
    answer: str
    state: str
    policies: tuple[str, ...] = ()
    why: str = ""
    place: str = ""
    args: Mapping[str, Any] | None = None
    receipt: int | None = None
    receipt_hash: str = ""
    outcome: int | None = None
    permit: str = ""
    approval: str = ""
    approvers: tuple[str, ...] = ()
    took: timedelta | None = None
    spent: str = ""
    trace: str = ""
    times: int = 1

    @property
    def id(self) -> str:
        """What the row is called on the page, and what an address points at."""
        return f"call-{self.sequence}"

    @property
    def effect(self) -> bool:
        """Whether it was to change something."""
        return self.state != "read"

    @property
    def tone(self) -> str:
        """How what came of it is to be read."""
        return {"done": "good", "failed": "bad", "refused": "warn", "open": "info", "absent": "warn"}.get(
            self.state, "idle"
        )

    @property
    def said(self) -> str:
        """What came of it, in a word or two."""
        return {"open": "under way", "absent": "had not happened", "refused": "not made"}.get(self.state, self.state)


def calls_of(records: Iterable[AuditRecord]) -> list[CallRow]:
    """Return the calls of a cycle, oldest first; an intent and its outcome are one call."""
    rows: list[CallRow] = []
    begun: dict[str, int] = {}
    for record in records:
        entry = record.entry
        match entry.kind:
            case RecordKind.READ:
                rows.append(_row(record, "read"))
            case RecordKind.REFUSAL:
                why = clean(entry.body.get("reason", ""), 600)
                rows.append(replace(_row(record, "refused"), why=why, answer=_answer(record)))
            case RecordKind.INTENT:
                begun[entry.key] = len(rows)
                rows.append(_begun(record))
            case RecordKind.OUTCOME if entry.key in begun:
                place = begun[entry.key]
                rows[place] = _ended(rows[place], record)
            case _:
                continue
    return rows


def folded(rows: Sequence[CallRow]) -> list[CallRow]:
    """Return the rows with the same read many times over as one, which is the first of them and says how often."""
    kept: list[CallRow] = []
    for row in rows:
        before = kept[-1] if kept else None
        if before is not None and row.state == "read" and _alike(row, before):
            kept[-1] = replace(before, times=before.times + 1)
        else:
            kept.append(row)
    return kept


def _alike(row: CallRow, other: CallRow) -> bool:
    """Whether two calls tell a reader the same, but for when they were made."""
    return (row.state, row.tool, row.who, row.stage, row.answer) == (
        other.state,
        other.tool,
        other.who,
        other.stage,
        other.answer,
    )


def of_place(rows: Sequence[CallRow]) -> dict[str, CallRow]:
    """Return the calls by what claims cite them by; the last one of a place counts."""
    return {row.place: row for row in rows if row.state != "refused"}


def _answer(record: AuditRecord) -> str:
    """What the door said of a call that was not made: a budget that does not reach is a no as well."""
    return "escalate" if record.entry.decision == "escalate" else "deny"


def _row(record: AuditRecord, state: str) -> CallRow:
    entry = record.entry
    person = "/" not in entry.actor
    return CallRow(
        sequence=record.sequence,
        at=record.at,
        stage=entry.stage,
        tool=entry.tool,
        who=role_label(entry.actor),
        via="a person asked" if person else _VIA.get(entry.actor.partition("/")[2], ""),
        answer=entry.decision,
        state=state,
        policies=entry.policies,
        place=f"{entry.stage}/{entry.tool}/{entry.args_hash[:10]}",
        trace=entry.trace_id,
    )


def _begun(record: AuditRecord) -> CallRow:
    body = record.entry.body
    approval = body.get("approval")
    known: Mapping[str, Any] = approval if isinstance(approval, Mapping) else {}
    args = body.get("args")
    return replace(
        _row(record, "open"),
        args=args if isinstance(args, Mapping) and args else None,
        receipt=record.sequence,
        receipt_hash=record.hash[:_SHORT],
        approval=str(known.get("id", "")),
        approvers=tuple(str(name) for name in known.get("by", ())),
    )


def _ended(row: CallRow, record: AuditRecord) -> CallRow:
    entry = record.entry
    failed = clean(entry.body.get("reason") or entry.body.get("detail") or "", 600) if entry.status != "done" else ""
    return replace(
        row,
        state=entry.status if entry.status in ("done", "failed", "absent") else words(entry.status),
        why=failed,
        outcome=record.sequence,
        permit=str(entry.body.get("permit") or ""),
        took=record.at - row.at,
        spent=_spent(entry.body.get("spent")),
    )


def _spent(told: Any) -> str:
    from domain.budget import Amounts

    if not isinstance(told, Mapping):
        return ""
    known = {name: value for name, value in told.items() if name in Amounts.model_fields and isinstance(value, int)}
    amounts = Amounts(**{name: max(value, 0) for name, value in known.items()})
    return "" if amounts.nothing else amounts.said()
