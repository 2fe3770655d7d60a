"""The conversations port: talks with operators, what was said in them, and what was proposed.

Contract: messages come back in the order they were added and are never changed. A proposal is kept as it was made;
`confirm` gives it to its caller, in its conversation, before its expiry, once: of many that come at once, from
whichever thread, process or machine, exactly one is given it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from domain.conversation import Conversation, Message, Proposal


class ConversationsPort(Protocol):
    """Keeps talks. Every method raises a DependencyError when the place they are kept in cannot be used."""

    def open(self, conversation: Conversation) -> Conversation:
        """Keep a conversation unless it is known, and return the one that is kept."""
        ...

    def conversation(self, identity: str) -> Conversation | None:
        """Return a conversation, or None."""
        ...

    def conversations(self, caller: str, *, limit: int = 50) -> Sequence[Conversation]:
        """Return the conversations of a caller, newest first."""
        ...

    def add(self, message: Message) -> None:
        """Add a message.

        Raises:
            InvalidInput: there is no such conversation.
        """
        ...

    def messages(self, identity: str, *, limit: int = 200) -> Sequence[Message]:
        """Return the newest messages of a conversation, oldest first."""
        ...

    def propose(self, proposal: Proposal) -> Proposal:
        """Keep a proposal unless it is known, and return the one that is kept.

        Raises:
            InvalidInput: there is no such conversation.
        """
        ...

    def proposal(self, identity: str) -> Proposal | None:
        """Return a proposal, or None."""
        ...

    def confirm(self, identity: str, *, caller: str, conversation_id: str, at: datetime) -> Proposal | None:
        """Use a proposal up and return it confirmed; None when it is not open, or not this caller's."""
        ...

    def check(self) -> str:
        """Return one line for `doctor`, or raise a DependencyError."""
        ...
