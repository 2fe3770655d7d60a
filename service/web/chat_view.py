"""A conversation as a page shows it: turns of events, a proposed change as a card, and what is cited as links."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.conversation import Message
from domain.intent import Kind
from service import wording

STARTERS = (
    "How is production?",
    "Why did nDCG drop last night?",
    "What waits for me?",
    "What have we spent this week?",
    "What would a retraining cost?",
    "What happened yesterday?",
)
"""Sentences to begin with; each is one the playbook answers."""

TITLES: Mapping[str, str] = {
    Kind.OPEN.value: "Open a cycle",
    Kind.STOP.value: "Throw the kill switch",
    Kind.START.value: "Lift the kill switch",
    Kind.ROLL_BACK.value: "Roll back",
    Kind.CANCEL.value: "Cancel a cycle",
    Kind.RESUME.value: "Go on with a cycle",
    Kind.APPROVE.value: "Approve a call",
    Kind.DENY.value: "Deny a call",
    Kind.FLAG.value: "Set a flag",
    Kind.OVERRIDE.value: "Override a gate",
}
"""What a proposed change is called on its card."""

CONFIRMED = "confirmed "
"""How the desk keeps that a caller confirmed a proposal: this, and its identity."""

# Where a citation leads; `{id}` is what is cited, `{of}` what it belongs to.
_PLACES: Mapping[str, str] = {
    "cycle": "/cycles/{id}",
    "record": "/audit/{id}",
    "approval": "/approvals/{id}",
    "artifact": "/cycles/{of}/evidence",
    "call": "/cycles/{of}/evidence",
    "flag": "/flags",
    "account": "/budgets",
    "policy": "/policies",
}


@dataclass(frozen=True)
class Turn:
    """What one side said: text, and the events beside it."""

    mine: bool
    text: str
    at: datetime
    events: Sequence[Mapping[str, Any]]


def states_of(messages: Sequence[Message], now: datetime) -> dict[str, str]:
    """Return how each proposal of a conversation stands: open, confirmed or expired."""
    confirmed = {message.text.removeprefix(CONFIRMED) for message in messages if _confirms(message)}
    states = {}
    for event in (event for message in messages for event in message.events if event.get("event") == "proposes"):
        identity, until = str(event["proposal_id"]), datetime.fromisoformat(str(event["expires_at"]))
        states[identity] = "confirmed" if identity in confirmed else "expired" if now >= until else "open"
    return states


def turns_of(messages: Sequence[Message]) -> list[Turn]:
    """Return the turns of a conversation, oldest first."""
    return [
        Turn(
            mine=message.who == "caller",
            text=_said(message),
            at=message.at,
            events=[event for event in message.events if event.get("event") not in ("said", "done")],
        )
        for message in messages
    ]


def place_of(cite: Mapping[str, Any]) -> str:
    """Return where a citation leads; empty where there is no page for it."""
    place = _PLACES.get(str(cite.get("kind", "")), "")
    identity, of = str(cite.get("id", "")), str(cite.get("of", ""))
    if not place or ("{of}" in place and not of):
        return ""
    return place.format(id=_plain(identity), of=_plain(of))


def label_of(cite: Mapping[str, Any]) -> str:
    """Return what a citation is called."""
    said = cite.get("label") or cite.get("id") or cite.get("kind") or ""
    return wording.clean(said, 80)


def slots_of(intent: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what an intent says, slot by slot, without those that are empty."""
    slots = ((name, _value(value)) for name, value in intent.items() if name != "kind")
    return [(wording.words(name), value) for name, value in slots if value]


def title_of(intent: Mapping[str, Any]) -> str:
    """Return what a proposed change is called."""
    return TITLES.get(str(intent.get("kind", "")), wording.words(str(intent.get("kind", "")) or None))


def _said(message: Message) -> str:
    if message.who == "caller":
        return "Confirmed." if _confirms(message) else message.text
    pieces = [str(event.get("text", "")) for event in message.events if event.get("event") == "said"]
    return "".join(pieces) or ("" if message.events else message.text)


def _confirms(message: Message) -> bool:
    return message.who == "caller" and message.text.startswith(f"{CONFIRMED}pr_")


def _value(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else ""
        case None:
            return ""
        case Mapping():
            return ", ".join(_value(each) for each in value.values() if _value(each))
        case list() | tuple():
            return ", ".join(_value(each) for each in value)
        case _:
            return wording.clean(value, 120)


def _plain(identity: str) -> str:
    """Return an identity as part of an address: what is none of letters, digits, `_`, `-` and `.` is left out."""
    return "".join(c for c in identity if c.isascii() and (c.isalnum() or c in "_-."))
