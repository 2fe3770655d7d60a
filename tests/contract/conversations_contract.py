"""What every store of conversations has to keep, whichever it is."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from adapters.conversations.base import ConversationsPort
from domain.canonical import canonical_hash
from domain.conversation import Conversation, Message, Proposal
from domain.errors import InvalidInput
from domain.intent import RollBack, Stop, intent_of

NOW = datetime(2026, 3, 12, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)


def talk(caller: str = "Dora", number: int = 1) -> Conversation:
    identity = f"ch_{canonical_hash([caller, number])[:16]}"
    return Conversation(id=identity, caller=caller, opened_at=NOW + timedelta(seconds=number))


def message(of: Conversation, text: str, who: str = "caller") -> Message:
    return Message.model_validate(
        {"conversation_id": of.id, "who": who, "text": text, "at": NOW, "events": ({"event": "said", "text": text},)}
    )


def proposal(of: Conversation, environment: str = "dev") -> Proposal:
    stop = intent_of({"kind": "stop", "environment": environment})
    return Proposal.of(of, stop, shown="stop", reason="it loops", source="playbook", at=NOW, until=LATER)


class ConversationsContract:
    """Inherited by the tests of every store."""

    @pytest.fixture
    def kept(self) -> ConversationsPort:
        raise NotImplementedError

    def test_a_conversation_is_kept_once_and_found_by_its_caller(self, kept: ConversationsPort) -> None:
        first, second = talk(number=1), talk(number=2)
        assert kept.open(first) == first
        kept.open(second)
        kept.open(talk("Ann"))
        assert kept.open(first.model_copy(update={"opened_at": NOW + timedelta(days=1)})) == first
        assert kept.conversation(first.id) == first
        assert [found.id for found in kept.conversations("Dora")] == [second.id, first.id]
        assert [found.id for found in kept.conversations("Dora", limit=1)] == [second.id]
        assert kept.conversation("ch_0000000000000000") is None

    def test_messages_come_back_as_they_were_said_in_their_order(self, kept: ConversationsPort) -> None:
        here = kept.open(talk())
        said = [message(here, text) for text in ("one", "zwei 😀", "три")]
        for each in said:
            kept.add(each)
        assert list(kept.messages(here.id)) == said
        assert list(kept.messages(here.id, limit=2)) == said[1:]
        assert list(kept.messages(talk("Ann").id)) == []

    def test_nothing_is_said_or_proposed_in_a_conversation_that_is_not_there(self, kept: ConversationsPort) -> None:
        with pytest.raises(InvalidInput):
            kept.add(message(talk(), "hello"))
        with pytest.raises(InvalidInput):
            kept.propose(proposal(talk()))

    def test_a_proposal_comes_back_as_it_was_made(self, kept: ConversationsPort) -> None:
        here = kept.open(talk())
        made = kept.propose(proposal(here))
        assert kept.propose(made) == made
        found = kept.proposal(made.id)
        assert found == made
        assert found is not None
        assert found.intact()
        assert isinstance(found.intent, Stop)
        assert kept.proposal("pr_000000000000000000000000") is None

    def test_what_is_nested_in_an_intent_survives(self, kept: ConversationsPort) -> None:
        here = kept.open(talk())
        back = intent_of({"kind": "rollback", "environment": "dev", "to": {"how": "gold", "value": "gold"}})
        made = Proposal.of(here, back, shown="back", reason="", source="playbook", at=NOW, until=LATER)
        kept.propose(made)
        found = kept.proposal(made.id)
        assert found is not None
        assert isinstance(found.intent, RollBack)
        assert found.intact()

    def test_a_proposal_is_confirmed_once(self, kept: ConversationsPort) -> None:
        here = kept.open(talk())
        made = kept.propose(proposal(here))
        taken = kept.confirm(made.id, caller="Dora", conversation_id=here.id, at=NOW)
        assert taken == made.model_copy(update={"confirmed_at": NOW})
        assert kept.confirm(made.id, caller="Dora", conversation_id=here.id, at=NOW) is None
        assert kept.proposal(made.id) == taken

    def test_of_many_that_confirm_at_once_exactly_one_is_given_it(self, kept: ConversationsPort) -> None:
        here = kept.open(talk())
        made = kept.propose(proposal(here))
        with ThreadPoolExecutor(8) as pool:
            asked = [
                pool.submit(kept.confirm, made.id, caller="Dora", conversation_id=here.id, at=NOW) for _ in range(16)
            ]
        assert sum(each.result() is not None for each in asked) == 1

    def test_a_proposal_is_confirmed_by_its_caller_in_its_conversation_in_time(self, kept: ConversationsPort) -> None:
        here, other = kept.open(talk()), kept.open(talk(number=2))
        made = kept.propose(proposal(here))
        assert kept.confirm(made.id, caller="Ann", conversation_id=here.id, at=NOW) is None
        assert kept.confirm(made.id, caller="Dora", conversation_id=other.id, at=NOW) is None
        assert kept.confirm(made.id, caller="Dora", conversation_id=here.id, at=LATER) is None
        assert kept.confirm("pr_000000000000000000000000", caller="Dora", conversation_id=here.id, at=NOW) is None
        assert kept.confirm(made.id, caller="Dora", conversation_id=here.id, at=NOW) is not None

    def test_it_answers_the_doctor(self, kept: ConversationsPort) -> None:
        assert "conversations" in kept.check()
