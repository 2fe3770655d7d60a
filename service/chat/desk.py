"""The chat desk: a sentence in, typed events out. Questions are answered; an order is shown back as a proposal, and
carried out when its caller confirms it.

The argument for its safety. A sentence becomes nothing but an intent of the closed set, whoever read it. An order only
ever becomes a proposal: `ask` has no way to `Acts`. A confirmation is taken once, from the caller and in the
conversation it was proposed in, before it expires; the caller's right is asked for when it is proposed and again when
it is confirmed, and what it does goes through the door, the ballot or the switchboard like everything else.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from adapters.conversations.base import ConversationsPort
from domain.access import ApiAction, Caller
from domain.conversation import LONGEST, Conversation, Message, Proposal
from domain.decision import Decision
from domain.errors import EvercrewError, InvalidInput
from domain.intent import IRREVERSIBLE, OF_ALL_TARGETS, Explain, Intent, is_write, kind_of, needed
from domain.untrusted import one_line
from service.chat.acts import Acts
from service.chat.addressed import Addressed
from service.chat.answers import Answers
from service.chat.events import ChatEvent, Done, Proposes, Refused
from service.chat.refusing import asked_back, failed, not_its, not_one, not_several, not_without, refusal
from service.chat.settling import Settling
from service.chat.spoken import followed
from service.chat.understanding import Heed, Understanding, plain, text_of

if TYPE_CHECKING:
    from service.chat.specialists import Specialists
    from service.wiring import App

LASTS = timedelta(minutes=10)
"""How long a proposal can be confirmed."""
_REMEMBERED = 12


class Guard(Protocol):
    """Says who may do what; `service.access.desk.Access` is one."""

    def allowed(self, caller: Caller, action: ApiAction) -> Decision:
        """Answer; never raises, and no answer is a deny."""
        ...


class Chat(Protocol):
    """What a front asks: one desk, or one for each of several targets."""

    def ask(self, caller: Caller, conversation_id: str, text: str) -> Iterator[ChatEvent]:
        """See `ChatDesk.ask`."""
        ...

    def confirm(self, caller: Caller, conversation_id: str, proposal_id: str) -> Iterator[ChatEvent]:
        """See `ChatDesk.confirm`."""
        ...

    def conversation(self, identity: str, caller: Caller | None = None) -> Sequence[Message]:
        """See `ChatDesk.conversation`."""
        ...

    def conversations(self, caller: Caller, *, limit: int = 50) -> Sequence[Conversation]:
        """See `ChatDesk.conversations`."""
        ...


class ChatDesk:
    """Answers sentences for one application, over the systems of one target.

    Args:
        specialists: answer what needs several of them; None leaves it at what the record says.
        runs_cycles: whether this process works cycles.
    """

    def __init__(
        self,
        app: App,
        access: Guard,
        conversations: ConversationsPort,
        understanding: Understanding,
        *,
        specialists: Specialists | None = None,
        runs_cycles: bool = True,
        lasts: timedelta = LASTS,
    ) -> None:
        self._app = app
        self._access = access
        self._kept = conversations
        self._understanding = understanding
        self._specialists = specialists
        self._answers = Answers(app)
        self._settling = Settling(app)
        self._acts = Acts(app, self._settling, runs_cycles=runs_cycles)
        self._lasts = lasts

    @property
    def target(self) -> str:
        """The target whose systems it is over."""
        return self._app.config.target

    # -- the seam ----------------------------------------------------------------------------------------------------

    def ask(
        self, caller: Caller, conversation_id: str, text: str, about: Addressed | None = None
    ) -> Iterator[ChatEvent]:
        """Answer a sentence; an empty `conversation_id` begins a conversation, whose name is in the last event.

        Args:
            about: which of several targets it names, and the sentence without the names.

        Raises:
            InvalidInput: the conversation is not this caller's, or there are no words.
            DependencyError: the conversation cannot be kept; nothing was done.
        """
        if not text.strip():
            raise InvalidInput("text", "is empty", "Say something")
        talk = self._talk(caller, conversation_id)
        before = self._kept.messages(talk.id, limit=_REMEMBERED)
        now = self._app.clock.now()
        self._kept.add(Message(conversation_id=talk.id, who="caller", text=text[:LONGEST], at=now))
        named = about if about is not None else Addressed(text)
        return self._told(talk, self._asked(caller, talk, text[:LONGEST], before, named))

    def confirm(self, caller: Caller, conversation_id: str, proposal_id: str) -> Iterator[ChatEvent]:
        """Carry out what was proposed to this caller in this conversation, once.

        Raises:
            InvalidInput: there is no such conversation or proposal of this caller's.
            DependencyError: the conversation cannot be kept; nothing was done.
        """
        talk = self._talk(caller, conversation_id, known=True)
        proposal = self._kept.proposal(proposal_id)
        if proposal is None or (proposal.conversation_id, proposal.caller) != (talk.id, caller.name):
            raise InvalidInput(
                "proposal", f"there is no proposal {proposal_id[:40]!r} of yours here", "Ask for it again"
            )
        now = self._app.clock.now()
        said_ = f"confirmed {proposal.id}"
        self._kept.add(Message(conversation_id=talk.id, who="caller", text=said_, at=now))
        return self._told(talk, self._confirmed(caller, talk, proposal))

    def conversation(self, identity: str, caller: Caller | None = None) -> Sequence[Message]:
        """Return what was said in a conversation, oldest first.

        Raises:
            InvalidInput: there is none, or it is not that caller's.
        """
        found = self._kept.conversation(identity)
        if found is None or (caller is not None and found.caller != caller.name):
            raise _no_such(identity)
        return self._kept.messages(identity)

    def conversations(self, caller: Caller, *, limit: int = 50) -> Sequence[Conversation]:
        """Return the conversations of a caller, newest first."""
        return self._kept.conversations(caller.name, limit=limit)

    # -- asking ------------------------------------------------------------------------------------------------------

    def _asked(
        self, caller: Caller, talk: Conversation, text: str, before: Sequence[Message], about: Addressed
    ) -> Iterator[ChatEvent]:
        now = self._app.clock.now()
        may = self._access.allowed(caller, ApiAction.CHAT)
        if not may.allowed:
            yield refusal(may, ApiAction.CHAT)
            return
        if len(about.names) > 1:
            yield not_several(about.names)
            yield Done(conversation_id=talk.id)
            return
        words = about.text[:LONGEST]
        alone = self._understanding.read(words, now)
        if about.target and alone.intent is None:
            alone = next((r for r in [self._understanding.read(about.of_model, now)] if r.intent is not None), alone)
        meant = followed(words, alone, before, lambda said_: self._understanding.read(said_, now))
        reading = meant.reading
        hindered = self._hindered(reading.intent, about)
        if hindered is not None:
            yield hindered
            yield Done(conversation_id=talk.id)
            return
        if reading.intent is not None:
            taken = f" ({meant.word!r} is {meant.identity}, the one spoken of before)" if meant.identity else ""
            yield from self._answer(caller, talk, reading.intent, text, taken=taken)
            yield Done(conversation_id=talk.id)
            return
        heed = None if reading.final else self._understanding.more(text, talk, before, reading, now)
        if heed is not None and not heed.problem:
            yield from self._heeded(caller, talk, heed, text, about)
            return
        yield asked_back(reading, text)
        yield Done(conversation_id=talk.id, models=heed.models if heed else ())

    def _heeded(
        self, caller: Caller, talk: Conversation, heed: Heed, text: str, about: Addressed
    ) -> Iterator[ChatEvent]:
        source = heed.models[-1] if heed.models else "model"
        yield from heed.events
        hindered = self._hindered(heed.intent, about)
        if hindered is not None:
            yield hindered
        elif heed.intent is not None:
            yield from self._answer(caller, talk, heed.intent, text, source=source)
        yield Done(
            conversation_id=talk.id, source=source, models=heed.models, tokens=heed.tokens, cost_usd=heed.cost_usd
        )

    def _answer(
        self,
        caller: Caller,
        talk: Conversation,
        intent: Intent,
        text: str,
        *,
        source: str = "playbook",
        taken: str = "",
    ) -> Iterator[ChatEvent]:
        decision = self._access.allowed(caller, needed(intent))
        if not decision.allowed:
            yield refusal(decision, needed(intent))
            return
        try:
            if is_write(intent):
                yield from self._propose(caller, talk, intent, text, source, taken)
            else:
                yield from self._answers.to(intent, caller)
                yield from self._by_specialists(talk, intent, text)
        except EvercrewError as problem:
            yield failed(problem)

    def _hindered(self, intent: Intent | None, about: Addressed) -> ChatEvent | None:
        """Return why an order is not one about the target that its sentence names; None where it is."""
        if intent is None or not about.target or not is_write(intent):
            return None
        other = self._settling.target_of(intent)
        if other:
            return not_its(about.target, other) if other != about.target else None
        if about.left_out:
            return not_without(about.target)
        return not_one(about.target) if kind_of(intent) in OF_ALL_TARGETS else None

    def _by_specialists(self, talk: Conversation, intent: Intent, text: str) -> Iterator[ChatEvent]:
        """What needs several specialists is worked on by them, after what the record says."""
        if self._specialists is not None and isinstance(intent, Explain):
            # The first desk's answers are about all targets, its specialists ask the systems of one.
            mine = [cycle for cycle in self._answers.about(intent) if cycle.target == self.target]
            yield from self._specialists.work(talk, intent, text, mine[0] if mine else None)

    def _propose(
        self, caller: Caller, talk: Conversation, intent: Intent, text: str, source: str, taken: str
    ) -> Iterator[ChatEvent]:
        settled = self._settling.of(intent, caller)
        now = self._app.clock.now()
        made = Proposal.of(
            talk,
            settled.intent,
            shown=settled.shown + taken,
            reason=one_line(text, 200),
            source=source,
            at=now,
            until=now + self._lasts,
        )
        kept = self._kept.propose(made)
        yield Proposes(
            proposal_id=kept.id,
            intent=kept.intent.model_dump(mode="json", exclude_none=True),
            shown=kept.shown,
            expires_at=kept.expires_at,
            irreversible=kind_of(kept.intent) in IRREVERSIBLE,
            args_hash=kept.args_hash,
        )

    # -- confirming --------------------------------------------------------------------------------------------------

    def _confirmed(self, caller: Caller, talk: Conversation, proposal: Proposal) -> Iterator[ChatEvent]:
        action = needed(proposal.intent)
        decision = self._access.allowed(caller, action)
        if not decision.allowed:
            yield refusal(decision, action)
            yield Done(conversation_id=talk.id, source=proposal.source)
            return
        now = self._app.clock.now()
        taken = self._kept.confirm(proposal.id, caller=caller.name, conversation_id=talk.id, at=now)
        if taken is None:
            state = proposal.state(now).value
            state = "confirmed" if state == "open" else state
            yield Refused(reason=f"{proposal.id} is {state}: nothing was done", remedy="Ask for it again")
            yield Done(conversation_id=talk.id, source=proposal.source)
            return
        try:
            yield from self._acts.do(taken, caller)
        except EvercrewError as problem:
            yield failed(problem)
        yield Done(conversation_id=talk.id, source=proposal.source)

    # -- keeping -----------------------------------------------------------------------------------------------------

    def _talk(self, caller: Caller, identity: str, *, known: bool = False) -> Conversation:
        if identity:
            found = self._kept.conversation(identity)
            if found is None or found.caller != caller.name:
                raise _no_such(identity)
            return found
        if known:
            raise _no_such(identity)
        now = self._app.clock.now()
        fresh = Conversation(id=f"ch_{secrets.token_hex(8)}", caller=caller.name, opened_at=now)
        return self._kept.open(fresh)

    def _told(self, talk: Conversation, events: Iterator[ChatEvent]) -> Iterator[ChatEvent]:
        """Pass events on, and keep them: also of an answer that nobody heard to its end."""
        heard: list[ChatEvent] = []
        try:
            for event in events:
                heard.append(event)
                yield event
        finally:
            text = text_of(heard)[: 4 * LONGEST]
            now = self._app.clock.now()
            message = Message(conversation_id=talk.id, who="evercrew", text=text, at=now, events=plain(heard))
            self._kept.add(message)


def _no_such(identity: str) -> InvalidInput:
    problem = f"there is no conversation {identity[:40]!r} of yours"
    return InvalidInput("conversation", problem, "Begin one without a name")
