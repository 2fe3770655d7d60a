"""One thing that happened, as the feed tells it: what the record says, and a sentence for a person."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from domain.receipt import AuditRecord, RecordKind
from service.wording import clean, role_label, stage_label, words

_DOOR = {"denied": "the door said no", "escalate": "it waits for people", "budget": "the budget does not reach"}
_NOTES = {
    "kill_on": "threw the kill switch",
    "kill_off": "lifted the kill switch",
    "flag_set": "switched a flag",
    "override_ended": "ended an override",
    "artifact": "wrote",
    "policies_changed": "took new policies",
    "policies_kept": "refused new policies, and kept those in force",
    "rollback_by_hand": "rolled back by hand",
}
_LOUD = frozenset({"kill_on", "kill_off", "flag_set", "approval_vote"})


class FeedItem(BaseModel):
    """One record of the chain without its body. `loud` is what people who look on want to be told at once."""

    model_config = ConfigDict(frozen=True)

    sequence: int = Field(ge=1, description="Number of the audit record, and identity of the event.")
    at: datetime
    kind: str
    cycle_id: str
    stage: str
    tool: str
    actor: str
    decision: str
    policies: tuple[str, ...]
    status: str
    said: str
    loud: bool


def item_of(record: AuditRecord) -> FeedItem:
    """Return a record as the feed tells it."""
    entry = record.entry
    return FeedItem(
        sequence=record.sequence,
        at=record.at,
        kind=entry.kind.value,
        cycle_id=entry.cycle_id,
        stage=entry.stage,
        tool=entry.tool,
        actor=entry.actor,
        decision=entry.decision,
        policies=entry.policies,
        status=entry.status,
        said=said(record),
        loud=_loud(record),
    )


def said(record: AuditRecord) -> str:
    """Return a record as a sentence."""
    entry = record.entry
    who = role_label(entry.actor)
    match entry.kind:
        case RecordKind.TRANSITION:
            return (
                f"{clean(entry.cycle_id, 40)}: {stage_label(entry.stage)} is over, next is {stage_label(entry.status)}"
            )
        case RecordKind.READ:
            return f"{who} read {clean(entry.tool, 60)}"
        case RecordKind.INTENT:
            return f"{who} begins {clean(entry.tool, 60)}"
        case RecordKind.OUTCOME:
            return f"{clean(entry.tool, 60)}: {words(entry.status)}"
        case RecordKind.REFUSAL:
            return f"{who} asked for {clean(entry.tool, 60)}: {_DOOR.get(entry.status, words(entry.status))}"
        case RecordKind.CHECKPOINT:
            return "a signed checkpoint of the record"
        case _:
            return _note(record, who)


def _note(record: AuditRecord, who: str) -> str:
    entry = record.entry
    if entry.status == "approval_vote":
        verb = {"approve": "approved", "deny": "denied"}.get(entry.decision, "voted on")
        return f"{who} {verb} {clean(entry.tool, 60)} of {clean(entry.cycle_id, 40)}"
    what = str(entry.body.get("artifact") or entry.body.get("flag") or "") if entry.status in _NOTES else ""
    return f"{who} {_NOTES.get(entry.status, f'noted: {words(entry.status)}')} {clean(what, 80)}".rstrip()


def _loud(record: AuditRecord) -> bool:
    entry = record.entry
    if entry.kind is RecordKind.OUTCOME:
        return entry.status == "failed"
    return entry.kind in (RecordKind.TRANSITION, RecordKind.REFUSAL) or entry.status in _LOUD
