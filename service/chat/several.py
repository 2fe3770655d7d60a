"""The chat of several targets: a desk for each, in front of which a sentence is sent to the one that it names.

An order is bound to its target when it is proposed, so that a confirmation goes where the proposal was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from adapters.conversations.base import ConversationsPort
from domain.access import Caller
from domain.conversation import Conversation, Message
from domain.errors import InvalidInput
from service.chat.addressed import addressed
from service.chat.desk import ChatDesk
from service.chat.events import ChatEvent


class SeveralDesks:
    """Sends sentences to the desk of the target that they name, and others to the first. A `Chat`.

    Args:
        first: answers sentences that name no target.
        make: makes the desk of a target when it is first needed.
    """

    def __init__(
        self, first: ChatDesk, targets: Sequence[str], make: Callable[[str], ChatDesk], conversations: ConversationsPort
    ) -> None:
        self._first = first
        self._targets = tuple(targets)
        self._make = make
        self._kept = conversations
        self._desks = {first.target: first}

    def ask(self, caller: Caller, conversation_id: str, text: str) -> Iterator[ChatEvent]:
        """See `ChatDesk.ask`.

        Raises:
            DependencyUnavailable: the systems of the target it names cannot be opened.
        """
        about = addressed(text, self._targets)
        return self._at(about.target).ask(caller, conversation_id, text, about)

    def confirm(self, caller: Caller, conversation_id: str, proposal_id: str) -> Iterator[ChatEvent]:
        """See `ChatDesk.confirm`.

        Raises:
            InvalidInput: it was proposed for a target that is not looked after any more.
        """
        proposal = self._kept.proposal(proposal_id)
        target = getattr(proposal.intent, "target", None) or "" if proposal is not None else ""
        if target and target not in self._targets:
            raise InvalidInput("proposal", f"is about {target}, which is not cared for here", "Ask for it again")
        return self._at(target).confirm(caller, conversation_id, proposal_id)

    def conversation(self, identity: str, caller: Caller | None = None) -> Sequence[Message]:
        """See `ChatDesk.conversation`."""
        return self._first.conversation(identity, caller)

    def conversations(self, caller: Caller, *, limit: int = 50) -> Sequence[Conversation]:
        """See `ChatDesk.conversations`."""
        return self._first.conversations(caller, limit=limit)

    def _at(self, target: str) -> ChatDesk:
        name = target or self._first.target
        if name not in self._desks:
            self._desks[name] = self._make(name)
        return self._desks[name]
