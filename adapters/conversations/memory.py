"""Conversations in memory, for tests and for what lives as long as its process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime

from domain.conversation import Conversation, Message, Proposal
from domain.errors import InvalidInput


class MemoryConversations:
    """A `ConversationsPort` on dictionaries."""

    def __init__(self) -> None:
        self._talks: dict[str, Conversation] = {}
        self._said: dict[str, list[Message]] = {}
        self._proposals: dict[str, Proposal] = {}
        self._lock = threading.Lock()

    def open(self, conversation: Conversation) -> Conversation:
        """See `ConversationsPort.open`."""
        with self._lock:
            self._said.setdefault(conversation.id, [])
            return self._talks.setdefault(conversation.id, conversation)

    def conversation(self, identity: str) -> Conversation | None:
        """See `ConversationsPort.conversation`."""
        return self._talks.get(identity)

    def conversations(self, caller: str, *, limit: int = 50) -> Sequence[Conversation]:
        """See `ConversationsPort.conversations`."""
        with self._lock:
            mine = [talk for talk in self._talks.values() if talk.caller == caller]
        return sorted(mine, key=lambda talk: (talk.opened_at, talk.id), reverse=True)[:limit]

    def add(self, message: Message) -> None:
        """See `ConversationsPort.add`."""
        with self._lock:
            self._known(message.conversation_id)
            self._said[message.conversation_id].append(message)

    def messages(self, identity: str, *, limit: int = 200) -> Sequence[Message]:
        """See `ConversationsPort.messages`."""
        with self._lock:
            return list(self._said.get(identity, ()))[-limit:]

    def propose(self, proposal: Proposal) -> Proposal:
        """See `ConversationsPort.propose`."""
        with self._lock:
            self._known(proposal.conversation_id)
            return self._proposals.setdefault(proposal.id, proposal)

    def proposal(self, identity: str) -> Proposal | None:
        """See `ConversationsPort.proposal`."""
        return self._proposals.get(identity)

    def confirm(self, identity: str, *, caller: str, conversation_id: str, at: datetime) -> Proposal | None:
        """See `ConversationsPort.confirm`."""
        with self._lock:
            known = self._proposals.get(identity)
            after = known.confirmed(caller, conversation_id, at) if known is not None else None
            if after is not None:
                self._proposals[identity] = after
            return after

    def check(self) -> str:
        """See `ConversationsPort.check`."""
        return f"conversations: in memory, {len(self._talks)}"

    def _known(self, identity: str) -> None:
        if identity not in self._talks:
            raise no_such_conversation(identity)


def no_such_conversation(identity: str) -> InvalidInput:
    """Return the error of a conversation that is not there, or not the caller's: nobody learns which."""
    return InvalidInput(
        "conversation", f"there is no conversation {identity[:40]!r} of yours", "Begin one without a name"
    )
