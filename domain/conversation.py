"""What is kept of a talk with an operator: who said what, and what was proposed and came of it.

A proposal is bound to the caller it was made to, the conversation, and the exact arguments; it opens one act, once,
before it expires. The rules that every store of them keeps are the functions here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from domain.canonical import canonical_hash
from domain.ids import TALK
from domain.intent import AnyIntent, Intent, Kind, kind_of

ConversationId = Annotated[str, Field(pattern=TALK.pattern)]
ProposalId = Annotated[str, Field(pattern=r"^pr_[0-9a-f]{24}$")]
LONGEST = 4000
"""Characters of a message that are read and kept."""


class Conversation(BaseModel):
    """A talk of one caller. Nobody else sees it, or goes on with it."""

    model_config = ConfigDict(frozen=True)

    id: ConversationId
    caller: str = Field(min_length=1, max_length=200)
    opened_at: datetime


class Message(BaseModel):
    """One thing that was said. `events` are the typed events of an answer, as they were streamed."""

    model_config = ConfigDict(frozen=True)

    conversation_id: ConversationId
    who: Literal["caller", "evercrew"]
    text: str = Field(max_length=4 * LONGEST)
    at: datetime
    intent: Mapping[str, Any] | None = None
    events: tuple[Mapping[str, Any], ...] = ()


class ProposalState(StrEnum):
    """Only `open` can be confirmed."""

    OPEN = "open"
    CONFIRMED = "confirmed"
    EXPIRED = "expired"


class Proposal(BaseModel):
    """A write as it was shown back. `shown` is what the caller read, `source` who understood the sentence so."""

    model_config = ConfigDict(frozen=True)

    id: ProposalId
    conversation_id: ConversationId
    caller: str = Field(min_length=1, max_length=200)
    intent: AnyIntent
    shown: str
    reason: str = Field(default="", max_length=500)
    source: str = "playbook"
    proposed_at: datetime
    expires_at: datetime
    confirmed_at: datetime | None = None

    @classmethod
    def of(
        cls, talk: Conversation, intent: Intent, *, shown: str, reason: str, source: str, at: datetime, until: datetime
    ) -> Self:
        """Return a new proposal; its identity covers all that it is for."""
        return cls.model_validate(
            {
                "id": _identity(talk.id, talk.caller, intent, at, until, reason),
                "conversation_id": talk.id,
                "caller": talk.caller,
                "intent": intent.model_dump(),
                "shown": shown,
                "reason": reason,
                "source": source,
                "proposed_at": at,
                "expires_at": until,
            }
        )

    @property
    def kind(self) -> Kind:
        """Which write it is."""
        return kind_of(self.intent)

    @property
    def args_hash(self) -> str:
        """SHA-256 of the canonical arguments."""
        return canonical_hash(self.intent)

    def state(self, now: datetime) -> ProposalState:
        """Return how it stands; a time equal to the expiry is past it."""
        if self.confirmed_at is not None:
            return ProposalState.CONFIRMED
        return ProposalState.EXPIRED if now >= self.expires_at else ProposalState.OPEN

    def confirmed(self, caller: str, conversation_id: str, at: datetime) -> Self | None:
        """Return it confirmed, or None when it is not open, or not this caller's in this conversation."""
        mine = self.caller == caller and self.conversation_id == conversation_id
        if not mine or self.state(at) is not ProposalState.OPEN:
            return None
        return self.model_copy(update={"confirmed_at": at})

    def intact(self) -> bool:
        """Whether the identity is that of what it is for: a row that somebody altered is not acted on."""
        mine = (self.conversation_id, self.caller, self.intent, self.proposed_at, self.expires_at, self.reason)
        return self.id == _identity(*mine)


def _identity(
    conversation: str, caller: str, intent: Intent, proposed_at: datetime, expires_at: datetime, reason: str
) -> str:
    return f"pr_{canonical_hash([conversation, caller, intent, proposed_at, expires_at, reason])[:24]}"
